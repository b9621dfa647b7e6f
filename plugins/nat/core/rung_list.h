// SPDX-License-Identifier: LGPL-2.1-or-later
// Which rungs a person wants.
#pragma once

#include <string_view>
#include <vector>

#include "common/result.h"
#include "nat/core/ladder.h"

namespace junctor::nat {

/// "p2p,relay": in this order, each once. The error names the words that can be.
Result<std::vector<Rung>> parse_rungs(std::string_view text);

}  // namespace junctor::nat
