// SPDX-License-Identifier: LGPL-2.1-or-later
// The table [stun].
#pragma once

#include <optional>
#include <string_view>

#include "config/config.h"

namespace junctor::config {

/// "auto", "off" or ADDRESS:PORT.
Result<void> parse_alternate(std::string_view text, Stun &stun);

/// The second address and port of STUN. Where the configuration leaves it to us, the port after the
/// first one's: RFC 5780 has 3479 beside 3478, and one that another of our listeners wants is left
/// to it. Nothing where it is off.
std::optional<Endpoint> stun_alternate(const Config &config);

/// Whether its two addresses go together: BadInput says how.
Result<void> check_stun(const Config &config);

}  // namespace junctor::config
