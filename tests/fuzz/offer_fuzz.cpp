// SPDX-License-Identifier: LGPL-2.1-or-later
// What a rendezvous says of nodes and relays.
#include <algorithm>
#include <variant>

#include "input.h"
#include "nat/core/offer.h"

using namespace junctor;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const auto read = nat::parse_offer({reinterpret_cast<const char *>(data), size});
  if (!read) {
    fuzz::require(!read.error().detail.empty());
    return 0;
  }
  // Names and reasons come to logs, and names into the keys of channels.
  const auto printable = [](const std::string &text) {
    return std::ranges::all_of(text,
                               [](unsigned char each) { return each >= 0x20 && each != 0x7f; });
  };
  std::visit(
      [&](const auto &offer) {
        if constexpr (requires { offer.name; })
          fuzz::require(!offer.name.empty() && offer.name.size() <= nat::kMostNodeName &&
                        printable(offer.name));
        if constexpr (requires { offer.why; }) fuzz::require(printable(offer.why));
        if constexpr (requires { offer.servers; })
          fuzz::require(!offer.servers.empty() && offer.servers.size() <= 8);
      },
      *read);
  return 0;
}
