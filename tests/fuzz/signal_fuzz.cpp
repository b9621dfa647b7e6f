// SPDX-License-Identifier: LGPL-2.1-or-later
// The strings that the ends of a channel give each other.
#include "input.h"
#include "nat/core/description.h"

using namespace junctor;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const auto read = nat::parse_signal({reinterpret_cast<const char *>(data), size});
  if (!read) {
    fuzz::require(!read.error().detail.empty());
    return 0;
  }
  // What was read can be written, and reads the same again.
  const auto again = nat::parse_signal(nat::to_string(*read));
  fuzz::require(again && *again == *read);
  if (const auto *description = std::get_if<nat::Description>(&*read))
    for (const auto &each : description->candidates)
      fuzz::require(static_cast<bool>(each.endpoint.to_sockaddr()) && each.endpoint.port != 0);
  return 0;
}
