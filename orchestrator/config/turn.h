// SPDX-License-Identifier: LGPL-2.1-or-later
// The table [turn].
#pragma once

#include <string_view>

#include "config/config.h"

namespace junctor::config {

/// "turn:HOST[:PORT][?transport=udp|tcp]" or "turns:…" (RFC 7065).
Result<void> check_turn_url(std::string_view url);
/// "auto", "off", or such URLs with "," between.
Result<void> parse_turn(std::string_view text, Turn &turn);
/// Where it listens: unlike other listeners it cannot be off.
Result<Endpoint> parse_turn_listen(std::string_view text);

}  // namespace junctor::config
