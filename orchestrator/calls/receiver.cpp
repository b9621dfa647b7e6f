// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/receiver.h"

#include <algorithm>

namespace junctor::calls {

namespace {

constexpr int kFullRate = 30;

/// A coarser one makes of faces what nobody likes to see: rather a smaller picture, if there is
/// one.
constexpr int kCoarsest = 2 * kUsualH263Quantizer;

bool names_a_size(const std::string &fmtp) {
  const auto parameters = rtp::parse_fmtp(fmtp);
  return std::ranges::any_of(parameters, [](const auto &parameter) {
    return parameter.first.find("cif") != std::string::npos || parameter.first == "custom";
  });
}

}  // namespace

H263Receiver H263Receiver::from_fmtp(std::string_view encoding_name, const std::string &fmtp,
                                     int most_kbit) {
  const H263Size &usual = usual_h263_size();
  H263Receiver receiver;
  if (encoding_name == "H263" && !names_a_size(fmtp)) {
    for (const H263Size &size : h263_sizes())
      if (size.width <= usual.width) receiver.sizes_.push_back({size.width, size.height, 1});
  } else {
    auto limits = rtp::H263Limits::from_fmtp(fmtp);
    receiver.sizes_ = std::move(limits.sizes);
    receiver.kbit_per_second = limits.kbit_per_second;
  }
  if (most_kbit > 0 && (receiver.kbit_per_second == 0 || most_kbit < receiver.kbit_per_second))
    receiver.kbit_per_second = most_kbit;
  for (const H263Size &size : h263_sizes())
    for (const rtp::PictureSize &taken : receiver.sizes_) {
      if (taken.width != size.width || taken.height != size.height) continue;
      const bool fits = h263_quantizer(size, receiver.kbit_per_second) <= kCoarsest;
      if (receiver.size && (size.width > usual.width || !fits)) continue;
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

bool H263Receiver::takes_as_it_is(int width, int height) const {
  const auto usual = std::ranges::find_if(h263_sizes(), [&](const H263Size &size) {
    return size.width == width && size.height == height;
  });
  const bool heavy = kbit_per_second != 0 &&
                     (usual == h263_sizes().end() || kbit_per_second < usual->kbit_per_second);
  return !heavy && std::ranges::any_of(sizes_, [&](const rtp::PictureSize &size) {
    return size.width == width && size.height == height && size.interval == 1;
  });
}

}  // namespace junctor::calls
