// SPDX-License-Identifier: LGPL-2.1-or-later
// Keys of SRTP in offers and answers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "rtp/core/srtp.h"
#include "sip/core/sdp.h"

/// Security descriptions (RFC 4568). What decides depends on arguments alone. MKIs, several keys in
/// one line, key derivation rates and unencrypted or unauthenticated variants are not served: lines
/// that have them are passed over, as section 7.1.2 wants.
namespace junctor::sip {

/// One key of ours, for one suite.
struct OwnCrypto {
  unsigned tag = 0;
  rtp::SrtpKey key;
  bool used = false;  ///< something has been encrypted with it
};

/// What one medium of ours does about SRTP.
struct OwnSrtp {
  rtp::SrtpPolicy policy = rtp::SrtpPolicy::Off;
  std::vector<OwnCrypto> keys;  ///< empty with Off, else one for each suite
  /// Whether offers have them: worth something only where signalling is encrypted itself (section
  /// 8.3). An answer has a key whenever it is asked for one: it gives nothing away that the offer
  /// has not, and is never worse than plain RTP.
  bool offered = false;
};
/// With new random keys. `secure`: signalling is encrypted.
OwnSrtp own_srtp(rtp::SrtpPolicy policy, bool secure);

/// A key that was in use and no longer is gives way to a new one, before it is told again: the peer
/// begins anew with it then, and whatever counters it has kept do no harm (RFC 3711 section 9.1).
/// `in_use`: null if plain RTP or nothing is.
void renew_used_keys(OwnSrtp &own, const rtp::SrtpKey *in_use);

/// For another offer while that key is in use: it comes first, under its tag, and is offered
/// whether signalling is encrypted or not, for it is known already. Others only where they were.
void keep_key(OwnSrtp &own, const rtp::SrtpKey &in_use, unsigned tag);

/// "RTP/SAVP", "RTP/SAVPF".
bool is_secure_profile(std::string_view protocol);
bool is_plain_profile(std::string_view protocol);  ///< "RTP/AVP", "RTP/AVPF"

/// The key of a line; the error says why the line cannot be used, and nothing of the key.
Result<rtp::SrtpKey> read_crypto(const sdp::Crypto &crypto);
sdp::Crypto write_crypto(unsigned tag, const rtp::SrtpKey &key);

/// The profile and the lines of our offer. With `Prefer` the profile stays RTP/AVP, which phones
/// without SRTP take; those with it look at the keys (RFC 5939 would do it by the book, but they
/// don't know that).
void offer_srtp(const OwnSrtp &own, sdp::MediaLine &line);

/// What an answer to that means: keys, or nothing for plain RTP; an error if the medium cannot be
/// accepted, with a clause for people.
struct TaggedKeys {
  unsigned tag = 0;
  rtp::SrtpKeys keys;
};
Result<std::optional<TaggedKeys>> read_srtp_answer(const OwnSrtp &own,
                                                   const sdp::MediaLine &answer);

/// Our answer to the line of an offer: the first of its keys that can be used.
struct SrtpAnswer {
  std::optional<rtp::SrtpKeys> keys;  ///< nothing: plain RTP
  std::vector<sdp::Crypto> lines;     ///< of the answer: one, or none
};
Result<SrtpAnswer> answer_srtp(const OwnSrtp &own, const sdp::MediaLine &offer);

}  // namespace junctor::sip
