// SPDX-License-Identifier: LGPL-2.1-or-later
// Digits in the body of an INFO, as phones sent them before RFC 4733 and still do.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "rtp/core/dtmf.h"

namespace junctor::sip {

/// "Signal=5" and "Duration=160" (milliseconds), a line each.
inline constexpr const char *kDtmfRelayType = "application/dtmf-relay";
/// The digit alone, or the number of its event.
inline constexpr const char *kDtmfType = "application/dtmf";

/// What a body without a length means.
inline constexpr Duration kUsualDigit = std::chrono::milliseconds(160);
/// Longer ones are taken for this long.
inline constexpr Duration kLongestDigit = std::chrono::seconds(10);

/// Names in any case, any spacing, lines ended in any way; digits also by the numbers of their
/// events ("10" is *, "11" is #). Nothing if it is no digit.
std::optional<rtp::Digit> read_dtmf_relay(std::string_view body);
std::optional<rtp::Digit> read_dtmf(std::string_view body);
std::string write_dtmf_relay(const rtp::Digit &digit);

}  // namespace junctor::sip
