// SPDX-License-Identifier: LGPL-2.1-or-later
// Why a call ended.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace junctor {

/// The reasons that API, records, logs and element messages share.
enum class EndReason : std::uint8_t {
  CallerHangup,
  CalleeHangup,
  Busy,
  Declined,
  NoAnswer,
  NoPushMedia,
  Unreachable,
  NotAcceptable,
  Unauthorized,
  Overloaded,
  Admin,
  Shutdown,
  Internal,
};

/// "caller-hangup" … "internal".
std::string_view to_string(EndReason reason);
std::optional<EndReason> end_reason_from_string(std::string_view name);

/// A sentence for a person, e.g. "The callee is busy."
std::string_view describe(EndReason reason);

}  // namespace junctor
