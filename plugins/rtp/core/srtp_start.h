// SPDX-License-Identifier: LGPL-2.1-or-later
// The start of libsrtp2, before a call needs it.
#pragma once

namespace junctor::rtp {

/// What libsrtp does once in a process: its ciphers' self-tests, and with NSS behind it the loading
/// of that, which together take 50 to 100 ms. Srtp::make() does it, too, but then a call waits for
/// it, and a reactor with all its calls. Any thread.
void prepare_srtp();

}  // namespace junctor::rtp
