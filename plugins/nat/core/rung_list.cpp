// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/rung_list.h"

#include <algorithm>
#include <string>

namespace junctor::nat {

Result<std::vector<Rung>> parse_rungs(std::string_view text) {
  std::vector<Rung> rungs;
  for (std::size_t at = 0; at <= text.size();) {
    const auto comma = std::min(text.find(',', at), text.size());
    const std::string_view word = text.substr(at, comma - at);
    const auto rung = rung_from_string(word);
    if (!rung)
      return bad_input("'" + std::string(word) +
                       "' is no rung; write p2p, sfu or relay, several with \",\" between");
    if (std::ranges::count(rungs, *rung) == 0) rungs.push_back(*rung);
    at = comma + 1;
  }
  return rungs;
}

}  // namespace junctor::nat
