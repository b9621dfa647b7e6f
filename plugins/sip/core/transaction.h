// SPDX-License-Identifier: LGPL-2.1-or-later
// Which transaction a request is of.
#pragma once

#include <sofia-sip/sip.h>

#include <string>

namespace junctor::sip {

/// What a request of `method` has in common with all others of its transaction (RFC 3261 section
/// 17.2.3), and what Sofia compares besides: whoever differs in it opens another transaction. A
/// CANCEL is told by "INVITE" which one it takes back (section 9.1). As a digest, which has a
/// bound. Empty where the branch is not of this RFC, and may be anybody's.
std::string transaction_of(const sip_t &sip, const char *method);

}  // namespace junctor::sip
