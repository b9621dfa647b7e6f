// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/handshake.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

namespace junctor::rtmp {

namespace {

using Digest = std::array<std::byte, 32>;

// The two well-known keys of the digest handshake: a text, and the same 32 bytes after each. The
// text alone signs block 1, the whole key signs block 2.
constexpr std::string_view kServerText = "Genuine Adobe Flash Media Server 001";
constexpr std::string_view kClientText = "Genuine Adobe Flash Player 001";
constexpr std::string_view kKeyTail(
    "\xf0\xee\xc2\x4a\x80\x68\xbe\xe8\x2e\x00\xd0\xd1\x02\x9e\x7e\x57"
    "\x6e\xec\x5d\x2d\x29\x80\x6f\xab\x93\xb8\xe6\x36\xcf\xeb\x31\xae",
    32);

// A block of the digest form: time, version, then a half with the key and one with the digest, each
// of 764 bytes; a half's digest lies at an offset told by the half's first 4 bytes.
constexpr std::size_t kVersionAt = 4;
constexpr std::size_t kFirstHalf = 8;
constexpr std::size_t kSecondHalf = kFirstHalf + 764;
constexpr std::size_t kDigestPositions = 764 - 4 - sizeof(Digest);
constexpr std::size_t kProofAt = kHandshakeBlock - sizeof(Digest);

// Non-zero versions make peers look for a digest; ffmpeg wants a second byte of 3 or more.
constexpr std::array<std::byte, 4> kServerVersion{std::byte{4}, std::byte{5}, std::byte{0},
                                                  std::byte{1}};
constexpr std::array<std::byte, 4> kClientVersion{std::byte{9}, std::byte{0}, std::byte{124},
                                                  std::byte{2}};

Digest hmac(ByteSpan key, ByteSpan data) {
  Digest digest;
  unsigned int size = digest.size();
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char *>(data.data()), data.size(),
       reinterpret_cast<unsigned char *>(digest.data()), &size);
  return digest;
}

std::string full_key(std::string_view text) { return std::string(text) + std::string(kKeyTail); }

bool same(ByteSpan a, ByteSpan b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::size_t digest_position(ByteSpan block, HandshakeKind kind) {
  const std::size_t half = kind == HandshakeKind::Digest1 ? kFirstHalf : kSecondHalf;
  std::size_t sum = 0;
  for (const std::byte b : block.subspan(half, 4)) sum += std::to_integer<std::size_t>(b);
  return half + 4 + sum % kDigestPositions;
}

/// The digest of a block: over all of it but the place of the digest itself.
Digest digest_of(ByteSpan block, std::size_t position, std::string_view text) {
  std::array<std::byte, kHandshakeBlock - sizeof(Digest)> rest;
  const auto middle = std::copy_n(block.begin(), position, rest.begin());
  const ByteSpan after = block.subspan(position + sizeof(Digest));
  std::copy(after.begin(), after.end(), middle);
  return hmac(as_bytes(text), rest);
}

struct Found {
  HandshakeKind kind;
  Digest digest;
};

std::optional<Found> find_digest(ByteSpan block, std::string_view text) {
  for (const HandshakeKind kind : {HandshakeKind::Digest1, HandshakeKind::Digest0}) {
    const std::size_t position = digest_position(block, kind);
    const Digest digest = digest_of(block, position, text);
    if (same(block.subspan(position, digest.size()), digest)) return Found{kind, digest};
  }
  return std::nullopt;
}

/// What the end of block 2 must hold to prove that the other side's digest was read.
Digest proof(ByteSpan block, std::string_view text, const Digest &peer_digest) {
  const Digest key = hmac(as_bytes(full_key(text)), peer_digest);
  return hmac(key, block.first(kProofAt));
}

using Block = std::span<std::byte, kHandshakeBlock>;

/// Turns a block of random bytes into block 1 of the digest form.
Digest sign(Block block, HandshakeKind kind, ByteSpan version, std::string_view text) {
  std::fill_n(block.begin(), kVersionAt, std::byte{0});
  std::copy(version.begin(), version.end(), block.begin() + kVersionAt);
  const std::size_t position = digest_position(block, kind);
  const Digest digest = digest_of(block, position, text);
  std::copy(digest.begin(), digest.end(), block.subspan(position).begin());
  return digest;
}

Block append_block(Bytes &out) {
  out.resize(out.size() + kHandshakeBlock);
  return Block(out.data() + out.size() - kHandshakeBlock, kHandshakeBlock);
}

bool has_version(ByteSpan block) {
  const ByteSpan version = block.subspan(kVersionAt, 4);
  return std::any_of(version.begin(), version.end(), [](std::byte b) { return b != std::byte{0}; });
}

RandomFill or_system(RandomFill random) {
  if (random) return random;
  return [](std::span<std::byte> bytes) {
    // Nothing rests on these bytes being secret, so a failure needs no more than this.
    if (RAND_bytes(reinterpret_cast<unsigned char *>(bytes.data()),
                   static_cast<int>(bytes.size())) != 1)
      std::fill(bytes.begin(), bytes.end(), std::byte{0});
  };
}

bool is_blank(std::uint8_t byte) { return byte == '\t' || byte == '\r' || byte == '\n'; }

Error wrong_version(std::uint8_t version) {
  if (version == 6 || version == 8)
    return bad_input("The peer speaks RTMPE (version " + std::to_string(version) +
                     " of the handshake), which is not supported; use rtmp:// or rtmps://.");
  if (version >= 32 || version == 22 || is_blank(version))
    return bad_input("The peer does not speak RTMP: its first byte is " + std::to_string(version) +
                     " instead of 3 (text, HTTP and TLS look so); check URL and port.");
  return bad_input("The peer's handshake has version " + std::to_string(version) +
                   " instead of 3; check that the client speaks plain RTMP.");
}

Error failed_before() {
  return bad_input("The handshake has failed before; close the connection.");
}

/// Fills `block` up to its end; true once it is full.
bool fill(std::span<std::byte> block, std::size_t &filled, ByteSpan &input) {
  const std::size_t count = std::min(block.size() - filled, input.size());
  std::copy_n(input.begin(), count, block.subspan(filled).begin());
  input = input.subspan(count);
  filled += count;
  return filled == block.size();
}

}  // namespace

Handshake::Handshake(RandomFill random) : random_(or_system(std::move(random))) {}

Error Handshake::fail(Error error) {
  stage_ = Stage::Failed;
  return error;
}

Result<std::size_t> Handshake::push(ByteSpan input, Bytes &out) {
  const std::size_t size = input.size();
  if (stage_ == Stage::Failed) return failed_before();
  if (stage_ == Stage::Version && !input.empty()) {
    const auto version = std::to_integer<std::uint8_t>(input[0]);
    if (version != kHandshakeVersion) return fail(wrong_version(version));
    input = input.subspan(1);
    stage_ = Stage::Block;
  }
  if (stage_ == Stage::Block && fill(block_, filled_, input)) {
    answer(out);
    filled_ = 0;
    stage_ = Stage::Echo;
  }
  if (stage_ == Stage::Echo && fill(block_, filled_, input)) {
    if (auto judged = judge_echo(); !judged) return fail(judged.error());
    stage_ = Stage::Done;
  }
  return size - input.size();
}

void ServerHandshake::answer(Bytes &out) {
  out.push_back(std::byte{kHandshakeVersion});
  const Block s1 = append_block(out);
  random_(s1);
  const auto found = has_version(block()) ? find_digest(block(), kClientText) : std::nullopt;
  if (!found) {
    kind_ = HandshakeKind::Simple;
    std::fill_n(s1.begin(), 8, std::byte{0});
    out.insert(out.end(), block().begin(), block().end());
    return;
  }
  kind_ = found->kind;
  sign(s1, kind_, kServerVersion, kServerText);
  const Block s2 = append_block(out);
  random_(s2);
  const Digest end = proof(s2, kServerText, found->digest);
  std::copy(end.begin(), end.end(), s2.begin() + kProofAt);
}

ClientHandshake::ClientHandshake(HandshakeKind kind, RandomFill random)
    : Handshake(std::move(random)), kind_(kind) {}

void ClientHandshake::start(Bytes &out) {
  out.push_back(std::byte{kHandshakeVersion});
  const Block c1 = append_block(out);
  random_(c1);
  if (kind_ == HandshakeKind::Simple)
    std::fill_n(c1.begin(), 8, std::byte{0});
  else
    digest_ = sign(c1, kind_, kClientVersion, kClientText);
}

Result<void> ClientHandshake::judge_echo() const {
  if (server_has_digest_ && !same(block().subspan(kProofAt), proof(block(), kServerText, digest_)))
    return bad_input("The server's S2 does not prove that it read the digest of C1.");
  return {};
}

void ClientHandshake::answer(Bytes &out) {
  std::optional<Found> found;
  if (kind_ != HandshakeKind::Simple) found = find_digest(block(), kServerText);
  server_has_digest_ = found.has_value();
  if (!found) {
    out.insert(out.end(), block().begin(), block().end());
    return;
  }
  const Block c2 = append_block(out);
  random_(c2);
  const Digest end = proof(c2, kClientText, found->digest);
  std::copy(end.begin(), end.end(), c2.begin() + kProofAt);
}

}  // namespace junctor::rtmp
