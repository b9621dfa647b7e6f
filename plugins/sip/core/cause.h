// SPDX-License-Identifier: LGPL-2.1-or-later
// What a SIP status means for a call.
#pragma once

#include <span>
#include <string>

#include "common/end_reason.h"

namespace junctor::sip {

/// One status and the reason that an unanswered call ends with; `code` below 10 stands for the
/// whole class (4 for 4xx).
struct Cause {
  int code;
  EndReason reason;
};

/// The whole table; docs and tests print it.
std::span<const Cause> causes();

/// The reason for a final status of an INVITE. Sofia's own codes (900 and up) count as Internal,
/// but those about credentials.
EndReason reason_of(int code);

/// What a call that came to us is refused with for a reason of ours.
struct Status {
  int code;
  const char *phrase;  ///< a literal
};
Status status_of(EndReason reason);

/// `text` as a Warning header (RFC 3261 section 20.43; 399: for a person); empty if that is.
std::string warning(const std::string &host, const std::string &text);

/// "486 Busy Here", fit for a person; the phrase alone for Sofia's own codes.
std::string status_text(int status, const char *phrase);

}  // namespace junctor::sip
