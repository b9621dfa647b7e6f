// SPDX-License-Identifier: LGPL-2.1-or-later
// What Sofia must never get to see.
#pragma once

#include <sofia-sip/msg_mclass.h>

#include <cstdlib>
#include <memory>

#include "common/handle.h"

namespace junctor::sip {

using MessageClassRef = std::unique_ptr<msg_mclass_t, Releaser<std::free>>;

/// A SIP parser for nua (NUTAG_SIP_PARSER) that takes Contact and Record-Route only with sip: or
/// sips: URIs and well-formed hosts.
///
/// A dialog whose target or route has another scheme ("tel:", "*", "http:") makes Sofia 1.12.11
/// recurse until its stack ends as soon as it has to send a BYE of its own, for example when its
/// 200 is never acknowledged: anybody could end the process with one INVITE. Refusing such a
/// request later is not enough, for nua takes the target of a re-INVITE over before it asks. With
/// this parser a request with such a header is answered 400 by the transaction layer, and a
/// response is treated as if it had none. "Contact: *" passes in REGISTER, where it has a meaning.
///
/// It also keeps nua from following redirections: nua would send the request, with our credentials,
/// wherever a 302 or 305 points before anybody could forbid it. Their codes reach nua as 352 and
/// 355, which it takes for final answers; unfenced() gives them back.
///
/// Must outlive the nua that uses it, and every message of that nua.
MessageClassRef make_fenced_parser();

inline constexpr int kFencedRedirect = 50;
/// The status that the peer sent, from the one that nua reports.
constexpr int unfenced(int status) {
  return status == 302 + kFencedRedirect || status == 305 + kFencedRedirect
             ? status - kFencedRedirect
             : status;
}

}  // namespace junctor::sip
