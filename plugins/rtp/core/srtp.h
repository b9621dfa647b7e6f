// SPDX-License-Identifier: LGPL-2.1-or-later
// SRTP and SRTCP (RFC 3711), by libsrtp2.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "common/bytes.h"
#include "common/result.h"

struct srtp_ctx_t_;

namespace junctor::rtp {

/// Whether the media of a leg is encrypted.
enum class SrtpPolicy : std::uint8_t {
  Off,      ///< plain RTP only
  Prefer,   ///< SRTP with who can, plain RTP with who cannot
  Require,  ///< SRTP, or no call
};
std::string_view to_string(SrtpPolicy policy);  ///< "off", "prefer", "require"
std::optional<SrtpPolicy> srtp_policy_from_string(std::string_view text);

/// Cipher and authentication (RFC 4568 section 6.2, RFC 6188 section 4).
enum class SrtpSuite : std::uint8_t {
  AesCm128HmacSha1_80,
  AesCm256HmacSha1_80,
  AesCm128HmacSha1_32,
};
/// All of them, in the order in which they are offered.
inline constexpr std::array kSrtpSuites{
    SrtpSuite::AesCm128HmacSha1_80, SrtpSuite::AesCm256HmacSha1_80, SrtpSuite::AesCm128HmacSha1_32};
/// The name that SDP has: "AES_CM_128_HMAC_SHA1_80".
std::string_view to_string(SrtpSuite suite);
std::optional<SrtpSuite> srtp_suite_from_string(std::string_view name);
/// Bytes of a master key with its salt behind it: 30 or 46.
std::size_t master_size(SrtpSuite suite);

/// What one side encrypts with. Never to be logged.
struct SrtpKey {
  SrtpSuite suite = SrtpSuite::AesCm128HmacSha1_80;
  Bytes master;  ///< key, then salt: master_size() bytes
  bool operator==(const SrtpKey &) const = default;

  static SrtpKey random(SrtpSuite suite);
};

/// Both directions of one medium.
struct SrtpKeys {
  SrtpKey local, remote;
  bool operator==(const SrtpKeys &) const = default;
};

/// The cryptographic contexts of one medium's session (RFC 3711 section 3.2): replay lists and
/// rollover counters of each source. Not thread-safe.
class Srtp {
 public:
  /// What protect_…() may append.
  static constexpr std::size_t kMaxTrailer = 32;
  /// How far a packet may come behind the newest one of its source.
  static constexpr unsigned kReplayWindow = 1024;
  /// SSRCs of the peer, each of which holds memory; of more the one heard longest ago is forgotten,
  /// its replay list with it.
  static constexpr std::size_t kMaxSources = 64;
  /// Keys of ours that one session may have one after the other.
  static constexpr std::size_t kMaxLocalKeys = 64;

  /// Fails with BadInput for keys of the wrong size.
  static Result<std::unique_ptr<Srtp>> make(SrtpKeys keys);
  ~Srtp();

  /// Other keys for the same session, from the next packet on. Unchanged ones keep their counters,
  /// and so does a key of ours that comes back: under one key no index is ever used twice, for that
  /// would give both texts away (section 9.1). Refused after kMaxLocalKeys.
  /// A sender that goes on with its sequence numbers under a new key may count on from where it was
  /// (RFC 3711 section 3.3.1), or begin at 0 as many phones do: both are understood.
  Result<void> renew(SrtpKeys keys);
  const SrtpKeys &keys() const { return keys_; }

  /// Encrypts the packet at the beginning of `buffer` in its place; `size` is its size, before and
  /// after. `buffer` has kMaxTrailer bytes behind it. False if the packet must not be sent: it is
  /// malformed, was sent before, or the key has served its time.
  bool protect_rtp(std::span<std::byte> buffer, std::size_t &size);
  bool protect_rtcp(std::span<std::byte> buffer, std::size_t &size);

  /// How many sources of the peer were forgotten.
  std::size_t forgotten() const { return forgotten_; }

  enum class Verdict : std::uint8_t {
    Authentic,
    Unauthentic,  ///< changed, of another key, or not encrypted at all
    Replayed,     ///< came before, or too late to tell
  };
  /// Decrypts the packet that is `buffer` in its place; `size` becomes its size. Other than for
  /// Authentic both are left as they were.
  Verdict unprotect_rtp(std::span<std::byte> buffer, std::size_t &size);
  Verdict unprotect_rtcp(std::span<std::byte> buffer, std::size_t &size);

 private:
  struct Release {
    void operator()(srtp_ctx_t_ *context) const;
  };
  using Context = std::unique_ptr<srtp_ctx_t_, Release>;

  Srtp() = default;
  /// `rollover` and `ssrc`: only for that source, whose counter begins so.
  struct Source {
    std::uint32_t ssrc, rollover;
  };
  static Result<Context> create(const SrtpKey &key, bool inbound, std::optional<Source> source);
  Result<void> set_remote(const SrtpKey &key);
  Verdict unprotect(std::span<std::byte> buffer, std::size_t &size, bool rtcp);

  SrtpKeys keys_;
  struct Sender {
    SrtpKey key;
    Context context;
  };
  Result<void> set_local(const SrtpKey &key);
  void note_source(std::uint32_t ssrc);

  std::vector<Sender> out_;  // the last one is in use
  std::vector<Context> in_;  // tried in this order; the second counts on from before a renewal
  std::vector<std::uint32_t> sources_;  // heard under the present key, the latest last
  std::size_t forgotten_ = 0;
  std::optional<std::uint32_t> heard_;  // the last source whose RTP authenticated
};

}  // namespace junctor::rtp
