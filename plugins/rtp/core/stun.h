// SPDX-License-Identifier: LGPL-2.1-or-later
// STUN messages (RFC 8489), with the attributes of NAT behaviour discovery (RFC 5780), ICE
// (RFC 8445) and TURN (RFC 8656).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/bytes.h"
#include "common/endpoint.h"

namespace junctor::rtp::stun {

inline constexpr std::uint16_t kDefaultPort = 3478;
inline constexpr std::uint32_t kMagicCookie = 0x2112A442;
inline constexpr std::size_t kHeaderSize = 20;
/// Bytes; longer ones are not read. RFC 5780 pads beyond what one Ethernet frame holds.
inline constexpr std::size_t kMaxMessage = 2048;
inline constexpr std::size_t kMaxAttributes = 32;  ///< of one message; others are not read

enum class Class : std::uint8_t { Request = 0, Indication = 1, Success = 2, Error = 3 };

/// A number of 12 bits; others than these can come.
enum class Method : std::uint16_t {
  Binding = 0x001,
  Allocate = 0x003,
  Refresh = 0x004,
  Send = 0x006,
  Data = 0x007,
  CreatePermission = 0x008,
  ChannelBind = 0x009,
};

/// What a reader must understand is below 0x8000 (RFC 8489 section 14).
enum class Type : std::uint16_t {
  MappedAddress = 0x0001,
  ChangeRequest = 0x0003,
  Username = 0x0006,
  MessageIntegrity = 0x0008,
  ErrorCode = 0x0009,
  UnknownAttributes = 0x000A,
  ChannelNumber = 0x000C,
  Lifetime = 0x000D,
  XorPeerAddress = 0x0012,
  Data = 0x0013,
  Realm = 0x0014,
  Nonce = 0x0015,
  XorRelayedAddress = 0x0016,
  RequestedTransport = 0x0019,
  MessageIntegritySha256 = 0x001C,
  PasswordAlgorithm = 0x001D,
  Userhash = 0x001E,
  XorMappedAddress = 0x0020,
  Priority = 0x0024,
  UseCandidate = 0x0025,
  Padding = 0x0026,
  ResponsePort = 0x0027,
  PasswordAlgorithms = 0x8002,
  AlternateDomain = 0x8003,
  Software = 0x8022,
  AlternateServer = 0x8023,
  Fingerprint = 0x8028,
  IceControlled = 0x8029,
  IceControlling = 0x802A,
  ResponseOrigin = 0x802B,
  OtherAddress = 0x802C,
};

/// Error codes of RFC 8489 section 14.8 and RFC 8445.
inline constexpr int kTryAlternate = 300, kBadRequest = 400, kUnauthenticated = 401,
                     kUnknownAttribute = 420, kStaleNonce = 438, kRoleConflict = 487,
                     kServerError = 500;

/// Bits of CHANGE-REQUEST (RFC 5780 section 7.2).
inline constexpr std::uint32_t kChangeIp = 4, kChangePort = 2;

/// 96 bits that nobody else can guess.
using TransactionId = std::array<std::byte, 12>;

/// From the system's random numbers.
TransactionId random_transaction_id();

struct Attribute {
  Type type{};
  ByteSpan value;          ///< without padding
  std::size_t offset = 0;  ///< of the attribute's header in the message
};

struct ErrorCode {
  int code = 0;  ///< 300 to 699
  std::string_view reason;
};

/// A parsed message; views point into what was parsed, which must outlive it. Not thread-safe.
class Message {
 public:
  /// Nothing for what is no message of RFC 8489 or is not exactly one: other leading bits or
  /// cookie, a length that the bytes do not have, an attribute beyond the end, more than
  /// kMaxMessage bytes or kMaxAttributes attributes. A FINGERPRINT that does not fit is none either
  /// (section 14.7). What stands behind the integrity is left out, as section 14.5 says.
  static std::optional<Message> parse(ByteSpan datagram);

  Class kind() const { return kind_; }
  Method method() const { return method_; }
  const TransactionId &id() const { return id_; }
  ByteSpan bytes() const { return bytes_; }

  const std::vector<Attribute> &attributes() const { return attributes_; }
  /// The first of its type: later ones do not count (section 14).
  const Attribute *find(Type type) const;
  bool has(Type type) const { return find(type) != nullptr; }
  /// Types below 0x8000 that are not in Type, in their order, for error 420.
  const std::vector<std::uint16_t> &unknown_required() const { return unknown_required_; }

  /// An attribute like MAPPED-ADDRESS; nothing where it is missing or malformed.
  std::optional<Endpoint> address(Type type) const;
  /// One like XOR-MAPPED-ADDRESS.
  std::optional<Endpoint> xor_address(Type type) const;
  /// What the server saw: XOR-MAPPED-ADDRESS, else MAPPED-ADDRESS.
  std::optional<Endpoint> mapped_address() const;
  std::optional<std::string_view> text(Type type) const;
  std::optional<std::uint32_t> u32(Type type) const;
  std::optional<std::uint64_t> u64(Type type) const;
  std::optional<std::uint16_t> response_port() const;
  std::optional<ErrorCode> error() const;
  std::vector<std::uint16_t> unknown_attributes() const;  ///< of UNKNOWN-ATTRIBUTES

  /// Whether MESSAGE-INTEGRITY is there and fits `key`: the password itself as short-term
  /// credential, long_term_key() as long-term one. Compares in constant time.
  bool integrity_fits(ByteSpan key) const;
  /// The same of MESSAGE-INTEGRITY-SHA256, which may be truncated to 16 bytes or more.
  bool integrity_sha256_fits(ByteSpan key) const;

 private:
  Message() = default;

  Class kind_ = Class::Request;
  Method method_ = Method::Binding;
  TransactionId id_{};
  ByteSpan bytes_;
  std::vector<Attribute> attributes_;
  std::vector<std::uint16_t> unknown_required_;
};

/// Writes one message: attributes in the order of the calls, the integrity after all others, the
/// fingerprint last.
class Writer {
 public:
  Writer(Class kind, Method method, const TransactionId &id);
  /// An answer to `request`: its method and its transaction.
  Writer(Class kind, const Message &request) : Writer(kind, request.method(), request.id()) {}

  Writer &bytes(Type type, ByteSpan value);
  Writer &text(Type type, std::string_view value) { return bytes(type, as_bytes(value)); }
  Writer &u32(Type type, std::uint32_t value);
  Writer &u64(Type type, std::uint64_t value);
  Writer &flag(Type type) { return bytes(type, {}); }
  /// `endpoint` is numeric; one that is not is left out.
  Writer &address(Type type, const Endpoint &endpoint);
  Writer &xor_address(Type type, const Endpoint &endpoint);
  Writer &response_port(std::uint16_t port);
  Writer &error(int code, std::string_view reason);
  Writer &unknown_attributes(std::span<const std::uint16_t> types);

  Writer &integrity(ByteSpan key);
  Writer &integrity_sha256(ByteSpan key);
  Writer &fingerprint();

  std::size_t size() const { return out_.size(); }
  Bytes finish() { return std::move(out_); }

 private:
  /// Sets the header's length to what is there and `more` bytes.
  void set_length(std::size_t more);
  Writer &raw_address(Type type, const Endpoint &endpoint, bool hide);

  TransactionId id_;
  Bytes out_;
};

/// MD5 of "user:realm:password" (RFC 8489 section 18.5.1.1). All three as SASLprep leaves them.
std::array<std::byte, 16> long_term_key(std::string_view user, std::string_view realm,
                                        std::string_view password);

/// The length of the message that a stream begins with (RFC 8489 section 6.2.2), once its header is
/// there. Nothing for what is no message or a longer one than kMaxMessage; 0 where more is needed.
std::optional<std::size_t> framed_length(ByteSpan stream);

}  // namespace junctor::rtp::stun
