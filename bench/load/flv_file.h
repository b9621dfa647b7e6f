// SPDX-License-Identifier: LGPL-2.1-or-later
// A recorded FLV file, ready to be played over RTMP.
#pragma once

#include <cstdint>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace junctor::bench {

struct FlvTag {
  std::uint8_t type = 0;   ///< 8 audio, 9 video, 18 data
  std::uint32_t time = 0;  ///< ms
  std::vector<std::uint8_t> body;
  bool is_header() const {  ///< a decoder configuration
    return type == 9 && body.size() > 1 && body[1] == 0;
  }
};

/// All tags of the file, in its order. Throws if it is none.
inline std::vector<FlvTag> read_flv(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<std::uint8_t> data{std::istreambuf_iterator<char>(file), {}};
  if (data.size() < 13 || data[0] != 'F') throw std::runtime_error(path + " is no FLV file");
  std::vector<FlvTag> tags;
  for (std::size_t at = 13; at + 11 <= data.size();) {
    FlvTag tag;
    tag.type = data[at] & 31;
    const std::size_t size = data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3];
    tag.time =
        data[at + 4] << 16 | data[at + 5] << 8 | data[at + 6] | std::uint32_t{data[at + 7]} << 24;
    if (at + 11 + size > data.size()) break;
    tag.body.assign(data.begin() + at + 11, data.begin() + at + 11 + size);
    tags.push_back(std::move(tag));
    at += 11 + size + 4;
  }
  return tags;
}

}  // namespace junctor::bench
