// SPDX-License-Identifier: LGPL-2.1-or-later
// The keys of one channel: X25519 (RFC 7748), then HKDF with SHA-256 (RFC 5869), by OpenSSL.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/bytes.h"
#include "common/handle.h"
#include "common/result.h"
#include "rtp/core/srtp.h"

namespace junctor::nat {

using PublicKey = std::array<std::byte, 32>;
/// Authenticates the probes of one side.
using ProbeKey = std::array<std::byte, 32>;

/// Who made the call; the keys of the two are different ones.
enum class Side : std::uint8_t { Caller, Callee };
inline Side other(Side side) { return side == Side::Caller ? Side::Callee : Side::Caller; }

/// One end's own key, made for one channel and never kept.
class KeyPair {
 public:
  static Result<KeyPair> generate();
  /// Of the 32 bytes of a private key. For tests.
  static Result<KeyPair> from_private(ByteSpan bytes);

  const PublicKey &public_key() const { return public_; }
  /// The secret that both ends share. Fails for a public key that is none: one of small order gives
  /// everybody the same secret.
  Result<Bytes> shared_secret(const PublicKey &peer) const;

 private:
  using Key = std::unique_ptr<EVP_PKEY, Releaser<EVP_PKEY_free>>;
  static Result<KeyPair> of(Key key);
  Key key_;
  PublicKey public_{};
};

/// RFC 5869, extract and expand.
Result<Bytes> hkdf_sha256(ByteSpan secret, ByteSpan salt, std::string_view info, std::size_t size);

/// What both ends of a channel know when each has the other's public key. Wiped when destroyed;
/// never to be logged.
struct ChannelKeys {
  ProbeKey probe_own{};   ///< of the requests that this end sends, and of their answers
  ProbeKey probe_peer{};  ///< of the peer's
  rtp::SrtpKeys srtp;     ///< of the media, from end to end
  rtp::SrtpKeys srtcp;    ///< of the RTCP between these two ends

  ChannelKeys() = default;
  ChannelKeys(const ChannelKeys &) = default;
  ChannelKeys(ChannelKeys &&) = default;
  ChannelKeys &operator=(const ChannelKeys &) = default;
  ChannelKeys &operator=(ChannelKeys &&) = default;
  ~ChannelKeys();
};

/// `session` names the channel: two that differ in it share no key, whatever the public keys. Fails
/// with BadInput for a peer's key that is none, or is our own.
Result<ChannelKeys> agree(const KeyPair &own, const PublicKey &peer, Side side,
                          std::string_view session);

/// What two people compare to know that nobody stands between them: 4 groups of 4 hexadecimal
/// digits. Slow on purpose, some 30 ms: who wants two channels to show the same must try billions
/// of keys while the call is being set up.
std::string fingerprint(const PublicKey &caller, const PublicKey &callee);

}  // namespace junctor::nat
