// SPDX-License-Identifier: LGPL-2.1-or-later
// RTMP handshake, simple and digest, both sides.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>

#include "common/bytes.h"
#include "common/result.h"

namespace junctor::rtmp {

inline constexpr std::size_t kHandshakeBlock = 1536;  ///< C1, C2, S1 and S2 (RTMP 1.0, 5.2.3)
inline constexpr std::uint8_t kHandshakeVersion = 3;

enum class HandshakeKind : std::uint8_t {
  Simple,   ///< RTMP 1.0, section 5.2: S2 echoes C1
  Digest0,  ///< Flash 9 and later: HMAC-SHA256 digest in the second half of the block
  Digest1,  ///< the same with the digest in the first half (ffmpeg, VLC)
};

/// Fills its argument with unpredictable bytes. Empty means OpenSSL's RAND_bytes.
using RandomFill = std::function<void(std::span<std::byte>)>;

/// What both sides have in common. Takes 1 + 1536 + 1536 bytes in any pieces, and holds no more
/// than that. One thread.
class Handshake {
 public:
  /// Takes what it needs of `input` and returns how much; all of it unless done() in between: what
  /// is left is the chunk stream. Appends the answer to `out` once the peer's first block is
  /// complete. Fails, for good, on any version but 3 (6 is RTMPE).
  Result<std::size_t> push(ByteSpan input, Bytes &out);
  bool done() const { return stage_ == Stage::Done; }

 protected:
  explicit Handshake(RandomFill random);
  ~Handshake() = default;

  /// The peer's first block is in block(): appends what follows it.
  virtual void answer(Bytes &out) = 0;
  /// The peer's second block is in block().
  virtual Result<void> judge_echo() const { return {}; }

  ByteSpan block() const { return block_; }
  const RandomFill random_;

 private:
  enum class Stage : std::uint8_t { Version, Block, Echo, Done, Failed };

  Error fail(Error error);

  Stage stage_ = Stage::Version;
  std::size_t filled_ = 0;  ///< bytes of the present block that have come
  std::array<std::byte, kHandshakeBlock> block_;
};

/// The server's side: S0, S1 and S2 answer C1. C2 is never judged (librtmp and Flash send what they
/// like there).
class ServerHandshake final : public Handshake {
 public:
  explicit ServerHandshake(RandomFill random = {}) : Handshake(std::move(random)) {}

  /// Which form the client chose; meaningful once S0 has been produced.
  HandshakeKind kind() const { return kind_; }

 private:
  void answer(Bytes &out) override;

  HandshakeKind kind_ = HandshakeKind::Simple;
};

/// The client's side, for clients made of this library. Any S1 is accepted; with a digest form, a
/// server that answers in the simple form is followed. With a digest form it fails if S1 has a
/// digest and S2 does not prove that C1's was read.
class ClientHandshake final : public Handshake {
 public:
  explicit ClientHandshake(HandshakeKind kind = HandshakeKind::Simple, RandomFill random = {});

  /// Appends C0 and C1. Once, first.
  void start(Bytes &out);

 private:
  void answer(Bytes &out) override;
  Result<void> judge_echo() const override;

  HandshakeKind kind_;
  bool server_has_digest_ = false;
  std::array<std::byte, 32> digest_;  ///< of C1
};

}  // namespace junctor::rtmp
