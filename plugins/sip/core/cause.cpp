// SPDX-License-Identifier: LGPL-2.1-or-later
// What a SIP status means for a call.
#include "sip/core/cause.h"

#include <array>

#include "sip/core/uri.h"

namespace junctor::sip {

namespace {

constexpr std::array kCauses{
    Cause{301, EndReason::Unreachable},  // moved, and not to be followed
    Cause{302, EndReason::Unreachable},
    Cause{305, EndReason::Unreachable},
    Cause{380, EndReason::Unreachable},
    Cause{400, EndReason::Internal},  // our request was at fault
    Cause{401, EndReason::Unauthorized},
    Cause{402, EndReason::Unauthorized},
    Cause{403, EndReason::Unauthorized},
    Cause{404, EndReason::Unreachable},
    Cause{405, EndReason::NotAcceptable},
    Cause{406, EndReason::NotAcceptable},
    Cause{407, EndReason::Unauthorized},
    Cause{408, EndReason::Unreachable},  // nothing answered at all; ringing ends by our own timer
    Cause{410, EndReason::Unreachable},
    Cause{413, EndReason::NotAcceptable},
    Cause{415, EndReason::NotAcceptable},
    Cause{416, EndReason::NotAcceptable},
    Cause{420, EndReason::NotAcceptable},
    Cause{421, EndReason::NotAcceptable},
    Cause{430, EndReason::Unreachable},  // flow failed (RFC 5626)
    Cause{433, EndReason::Declined},     // anonymity disallowed
    Cause{480, EndReason::NoAnswer},
    Cause{481, EndReason::Unreachable},
    Cause{482, EndReason::Unreachable},
    Cause{483, EndReason::Unreachable},
    Cause{484, EndReason::Unreachable},
    Cause{485, EndReason::Unreachable},
    Cause{486, EndReason::Busy},
    Cause{487, EndReason::NoAnswer},  // terminated, but not by us
    Cause{488, EndReason::NotAcceptable},
    Cause{491, EndReason::Unreachable},
    Cause{493, EndReason::NotAcceptable},
    Cause{494, EndReason::NotAcceptable},
    Cause{500, EndReason::Unreachable},
    Cause{501, EndReason::NotAcceptable},
    Cause{502, EndReason::Unreachable},
    Cause{503, EndReason::Unreachable},
    Cause{504, EndReason::Unreachable},
    Cause{505, EndReason::NotAcceptable},
    Cause{513, EndReason::NotAcceptable},
    Cause{600, EndReason::Busy},
    Cause{603, EndReason::Declined},
    Cause{604, EndReason::Unreachable},
    Cause{606, EndReason::NotAcceptable},
    Cause{607, EndReason::Declined},      // unwanted (RFC 8197)
    Cause{608, EndReason::Declined},      // rejected (RFC 8688)
    Cause{904, EndReason::Unauthorized},  // Sofia: no credentials that match the challenge
    Cause{3, EndReason::Unreachable},
    Cause{4, EndReason::Unreachable},
    Cause{5, EndReason::Unreachable},
    Cause{6, EndReason::Declined},
};

}  // namespace

std::span<const Cause> causes() { return kCauses; }

EndReason reason_of(int code) {
  for (const Cause &cause : kCauses)
    if (cause.code == code) return cause.reason;
  for (const Cause &cause : kCauses)
    if (cause.code == code / 100) return cause.reason;
  return EndReason::Internal;
}

Status status_of(EndReason reason) {
  switch (reason) {
    case EndReason::Busy:
      return {486, "Busy Here"};
    case EndReason::Declined:
    case EndReason::CalleeHangup:
    case EndReason::Admin:
      return {603, "Decline"};
    case EndReason::NotAcceptable:
      return {488, "Not Acceptable Here"};
    case EndReason::Unauthorized:
      return {403, "Forbidden"};
    case EndReason::Overloaded:
    case EndReason::Shutdown:
      return {503, "Service Unavailable"};
    case EndReason::Internal:
      return {500, "Server Internal Error"};
    case EndReason::CallerHangup:
    case EndReason::NoAnswer:
    case EndReason::NoPushMedia:
    case EndReason::Unreachable:
      return {480, "Temporarily Unavailable"};
  }
  return {480, "Temporarily Unavailable"};
}

std::string warning(const std::string &host, const std::string &text) {
  const std::string words = quoted(clean_text(text, 200));
  return words.empty() ? "" : "399 " + bracketed(host) + ' ' + words;
}

std::string status_text(int status, const char *phrase) {
  std::string text = clean_text(phrase ? phrase : "");
  return status >= 900 ? text : std::to_string(status) + (text.empty() ? "" : ' ' + text);
}

}  // namespace junctor::sip
