// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sip/core/dtmf_info.h"

#include <strings.h>

#include <algorithm>

#include "common/text.h"

namespace junctor::sip {

namespace {

std::optional<char> digit_of(std::string_view text) {
  if (text.size() == 1) {
    const auto event = rtp::event_of(text[0]);
    return event ? std::optional(rtp::kDigits[*event]) : std::nullopt;
  }
  const auto event = number(text);
  if (text.size() != 2 || !event || *event < 10 || *event >= rtp::kDigits.size())
    return std::nullopt;
  return rtp::kDigits[*event];
}

bool is_named(std::string_view text, std::string_view name) {
  return text.size() == name.size() && ::strncasecmp(text.data(), name.data(), name.size()) == 0;
}

}  // namespace

std::optional<rtp::Digit> read_dtmf_relay(std::string_view body) {
  std::optional<char> digit;
  Duration length = kUsualDigit;
  while (!body.empty()) {
    const auto end = std::min(body.find_first_of("\r\n"), body.size());
    const std::string_view line = body.substr(0, end);
    body.remove_prefix(std::min(end + 1, body.size()));
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = trimmed(line.substr(0, equals));
    const std::string_view value = trimmed(line.substr(equals + 1));
    if (is_named(name, "signal") && !digit) digit = digit_of(value);
    if (is_named(name, "duration"))
      if (const auto ms = number(value))
        length = std::min<Duration>(std::chrono::milliseconds(*ms), kLongestDigit);
  }
  if (!digit) return std::nullopt;
  return rtp::Digit{*digit, length};
}

std::optional<rtp::Digit> read_dtmf(std::string_view body) {
  const auto digit = digit_of(trimmed(body));
  if (!digit) return std::nullopt;
  return rtp::Digit{*digit, kUsualDigit};
}

std::string write_dtmf_relay(const rtp::Digit &digit) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(digit.length).count();
  return "Signal=" + std::string(1, digit.digit) + "\r\nDuration=" + std::to_string(ms) + "\r\n";
}

}  // namespace junctor::sip
