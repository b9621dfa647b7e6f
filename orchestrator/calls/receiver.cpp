// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/receiver.h"

#include <algorithm>

namespace junctor::calls {

namespace {

constexpr int kFullRate = 30;

bool names_a_size(const std::string &fmtp) {
  const auto parameters = rtp::parse_fmtp(fmtp);
  return std::ranges::any_of(parameters, [](const auto &parameter) {
    return parameter.first.find("cif") != std::string::npos || parameter.first == "custom";
  });
}

}  // namespace

H263Receiver H263Receiver::from_fmtp(std::string_view encoding_name, const std::string &fmtp) {
  const H263Size &usual = usual_h263_size();
  H263Receiver receiver;
  if (encoding_name == "H263" && !names_a_size(fmtp)) {
    for (const H263Size &size : h263_sizes())
      if (size.width <= usual.width) receiver.sizes_.push_back({size.width, size.height, 1});
  } else {
    receiver.sizes_ = rtp::H263Limits::from_fmtp(fmtp).sizes;
  }
  for (const H263Size &size : h263_sizes())
    for (const rtp::PictureSize &taken : receiver.sizes_) {
      if (taken.width != size.width || taken.height != size.height) continue;
      if (receiver.size && size.width > usual.width) continue;
      receiver.size = &size;
      receiver.rate = std::max(1, kFullRate / std::max(1, taken.interval));
    }
  // One that takes custom sizes alone must still take QCIF (RFC 4629, 8.1).
  if (!receiver.size) receiver.size = &h263_sizes()[1];
  return receiver;
}

bool H263Receiver::takes(int width, int height) const {
  return std::ranges::any_of(sizes_, [&](const rtp::PictureSize &size) {
    return size.width == width && size.height == height;
  });
}

}  // namespace junctor::calls
