// SPDX-License-Identifier: LGPL-2.1-or-later
// The `adobe` way to log in with a name and a password.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace junctor::rtmp {

// No standard describes it; ffmpeg, librtmp and GStreamer's rtmp2 elements agree on this. A client
// with `rtmp://USER:PASSWORD@HOST/…` connects three times, and twice is refused by an _error whose
// description tells it how to come back:
//   1. a plain connect: adobe_invitation();
//   2. the application is followed by ?authmod=adobe&user=USER: adobe_challenge();
//   3. … and by &challenge=OWN&response=RESPONSE&opaque=OPAQUE: accepted, or adobe_failure().
// All here are pure functions; what a challenge is worth is for the caller to decide.

/// What a connect's parameters say of step 2 and 3. Peer's text, not trusted.
struct AdobeLogin {
  std::string user;
  std::string challenge;  ///< of the client's own making; empty at step 2
  std::string response;   ///< base64; empty at step 2
  std::string opaque;     ///< of our challenge; empty at step 2
  bool answers() const { return !response.empty(); }
};

/// Nothing if the parameters have no `authmod=adobe`.
std::optional<AdobeLogin> adobe_login(const std::map<std::string, std::string> &parameters);

/// Step 1: a password is asked for. `reason` follows, for who has none to give.
std::string adobe_invitation(std::string_view reason);

/// Step 2. `salt`, `challenge` and `opaque` of letters and digits only: some clients decode them
/// as a URL's query, some do not. ffmpeg reads 255 bytes of the whole.
std::string adobe_challenge(std::string_view user, std::string_view salt,
                            std::string_view challenge, std::string_view opaque);

/// Step 3, name or password wrong; which of them, it does not say.
std::string adobe_failure(std::string_view opaque);

/// What is kept of a password: base64(MD5(user salt password)).
std::string adobe_hash(std::string_view user, std::string_view salt, std::string_view password);

/// The right response: base64(MD5(hash opaque challenge)), of the client's challenge.
std::string adobe_response(std::string_view hash, std::string_view opaque,
                           std::string_view challenge);

}  // namespace junctor::rtmp
