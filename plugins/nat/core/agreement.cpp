// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/agreement.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <cstdio>

namespace junctor::nat {

namespace {

using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Releaser<EVP_PKEY_CTX_free>>;
using Kdf = std::unique_ptr<EVP_KDF, Releaser<EVP_KDF_free>>;
using KdfContext = std::unique_ptr<EVP_KDF_CTX, Releaser<EVP_KDF_CTX_free>>;

constexpr std::string_view kSaltPrefix = "junctor channel 1";
constexpr std::string_view kFingerprintSalt = "junctor fingerprint 1";
constexpr unsigned kFingerprintRounds = 50000;
constexpr auto kSuite = rtp::SrtpSuite::AesCm128HmacSha1_80;

unsigned char *raw(std::byte *bytes) { return reinterpret_cast<unsigned char *>(bytes); }
const unsigned char *raw(const std::byte *bytes) {
  return reinterpret_cast<const unsigned char *>(bytes);
}

OSSL_PARAM octets(const char *name, ByteSpan bytes) {
  return OSSL_PARAM_construct_octet_string(name, const_cast<std::byte *>(bytes.data()),
                                           bytes.size());
}

OSSL_PARAM digest() {
  static char name[] = "SHA256";
  return OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, name, 0);
}

bool derive(const char *kdf_name, OSSL_PARAM *parameters, std::span<std::byte> out) {
  const Kdf kdf(EVP_KDF_fetch(nullptr, kdf_name, nullptr));
  const KdfContext context(kdf ? EVP_KDF_CTX_new(kdf.get()) : nullptr);
  return context && EVP_KDF_derive(context.get(), raw(out.data()), out.size(), parameters) > 0;
}

Bytes joined(std::initializer_list<ByteSpan> parts) {
  Bytes all;
  for (const ByteSpan part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

void wipe(std::span<std::byte> bytes) { OPENSSL_cleanse(bytes.data(), bytes.size()); }

}  // namespace

Result<KeyPair> KeyPair::of(Key key) {
  KeyPair pair;
  std::size_t size = pair.public_.size();
  if (!key || EVP_PKEY_get_raw_public_key(key.get(), raw(pair.public_.data()), &size) <= 0 ||
      size != pair.public_.size())
    return internal_error("OpenSSL made no X25519 key");
  pair.key_ = std::move(key);
  return pair;
}

Result<KeyPair> KeyPair::generate() {
  return of(Key(EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519")));
}

Result<KeyPair> KeyPair::from_private(ByteSpan bytes) {
  return of(
      Key(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, raw(bytes.data()), bytes.size())));
}

Result<Bytes> KeyPair::shared_secret(const PublicKey &peer) const {
  const Key theirs(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, raw(peer.data()), peer.size()));
  const KeyContext context(EVP_PKEY_CTX_new(key_.get(), nullptr));
  Bytes secret(32);
  std::size_t size = secret.size();
  if (!theirs || !context || EVP_PKEY_derive_init(context.get()) <= 0 ||
      EVP_PKEY_derive_set_peer(context.get(), theirs.get()) <= 0 ||
      EVP_PKEY_derive(context.get(), raw(secret.data()), &size) <= 0 || size != secret.size())
    return bad_input("the peer's key is no public key of X25519");
  return secret;
}

Result<Bytes> hkdf_sha256(ByteSpan secret, ByteSpan salt, std::string_view info, std::size_t size) {
  Bytes out(size);
  OSSL_PARAM parameters[5] = {digest(), octets(OSSL_KDF_PARAM_KEY, secret)};
  std::size_t count = 2;
  // OpenSSL takes a parameter without content for one that is missing, which means the same.
  if (!salt.empty()) parameters[count++] = octets(OSSL_KDF_PARAM_SALT, salt);
  if (!info.empty()) parameters[count++] = octets(OSSL_KDF_PARAM_INFO, as_bytes(info));
  parameters[count] = OSSL_PARAM_construct_end();
  if (!derive("HKDF", parameters, out)) return internal_error("OpenSSL derived no key");
  return out;
}

ChannelKeys::~ChannelKeys() {
  wipe(probe_own);
  wipe(probe_peer);
  for (rtp::SrtpKeys *keys : {&srtp, &srtcp}) {
    wipe(keys->local.master);
    wipe(keys->remote.master);
  }
}

Result<ChannelKeys> agree(const KeyPair &own, const PublicKey &peer, Side side,
                          std::string_view session) {
  if (peer == own.public_key())
    return bad_input("the peer's key is our own: this is our own description");
  auto secret = own.shared_secret(peer);
  if (!secret) return secret.error();
  const PublicKey &caller = side == Side::Caller ? own.public_key() : peer;
  const PublicKey &callee = side == Side::Caller ? peer : own.public_key();
  std::array<std::byte, 32> salt{};
  const Bytes salted = joined({as_bytes(kSaltPrefix), as_bytes(session), caller, callee});
  if (EVP_Q_digest(nullptr, "SHA256", nullptr, salted.data(), salted.size(), raw(salt.data()),
                   nullptr) <= 0)
    return internal_error("OpenSSL has no SHA-256");

  const auto label = [](std::string_view what, Side whose) {
    return std::string(what) + (whose == Side::Caller ? " caller" : " callee");
  };
  ChannelKeys keys;
  keys.srtp.local.suite = keys.srtp.remote.suite = kSuite;
  keys.srtcp.local.suite = keys.srtcp.remote.suite = kSuite;
  std::optional<Error> failure;
  const auto derived = [&](std::string_view what, Side whose, std::size_t size) -> Bytes {
    auto key = hkdf_sha256(*secret, salt, label(what, whose), size);
    if (key) return *std::move(key);
    failure = key.error();
    return Bytes(size);
  };
  for (const Side whose : {side, other(side)}) {
    const bool ours = whose == side;
    Bytes probe = derived("probe", whose, std::tuple_size_v<ProbeKey>);
    std::ranges::copy(probe, (ours ? keys.probe_own : keys.probe_peer).begin());
    wipe(probe);
    const std::size_t master = rtp::master_size(kSuite);
    (ours ? keys.srtp.local : keys.srtp.remote).master = derived("srtp", whose, master);
    (ours ? keys.srtcp.local : keys.srtcp.remote).master = derived("srtcp", whose, master);
  }
  wipe(*secret);
  if (failure) return *failure;
  return keys;
}

std::string fingerprint(const PublicKey &caller, const PublicKey &callee) {
  std::array<std::byte, 8> out{};
  const Bytes both = joined({caller, callee});
  unsigned rounds = kFingerprintRounds;
  OSSL_PARAM parameters[] = {digest(), octets(OSSL_KDF_PARAM_PASSWORD, both),
                             octets(OSSL_KDF_PARAM_SALT, as_bytes(kFingerprintSalt)),
                             OSSL_PARAM_construct_uint(OSSL_KDF_PARAM_ITER, &rounds),
                             OSSL_PARAM_construct_end()};
  if (!derive("PBKDF2", parameters, out)) return {};
  std::string text;
  for (std::size_t i = 0; i < out.size(); i += 2) {
    char group[8];
    std::snprintf(group, sizeof group, "%s%02x%02x", i == 0 ? "" : " ",
                  std::to_integer<unsigned>(out[i]), std::to_integer<unsigned>(out[i + 1]));
    text += group;
  }
  return text;
}

}  // namespace junctor::nat
