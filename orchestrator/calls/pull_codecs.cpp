// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/pull_codecs.h"

#include "calls/codec_table.h"

namespace junctor::calls {

namespace {

Result<void> read(const std::map<std::string, std::string> &parameters, Medium medium,
                  Codec &codec) {
  const auto found = parameters.find(std::string(to_string(medium)));
  if (found == parameters.end() || found->second.empty()) return {};
  const auto wanted = codec_from_string(found->second);
  if (wanted && medium_of(*wanted) == medium) {
    const CodecRow *row = find_codec_row(*wanted);
    if (row && !row->encode.empty()) {
      codec = *wanted;
      return {};
    }
  }
  std::string known;
  for (const CodecRow &row : codec_rows())
    if (medium_of(row.codec) == medium && !row.encode.empty())
      known += (known.empty() ? "" : ", ") + std::string(to_string(row.codec));
  // The value is the peer's: its length is bounded before it goes into a sentence.
  return bad_input(std::string(to_string(medium)) + "=" + found->second.substr(0, 32) +
                   " cannot be played here; choose one of: " + known);
}

}  // namespace

std::string to_string(const PullCodecs &codecs) {
  return std::string(to_string(codecs.audio)) + " and " + std::string(to_string(codecs.video));
}

Result<PullCodecs> pull_codecs(const std::map<std::string, std::string> &parameters) {
  PullCodecs codecs;
  if (auto audio = read(parameters, Medium::Audio, codecs.audio); !audio) return audio.error();
  if (auto video = read(parameters, Medium::Video, codecs.video); !video) return video.error();
  return codecs;
}

}  // namespace junctor::calls
