// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/stun.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

namespace junctor::rtp::stun {

namespace {

constexpr std::size_t kAttributeHeader = 4;
constexpr std::size_t kSha1Size = 20, kSha256Size = 32, kSmallestSha256 = 16;
constexpr std::size_t kFingerprintSize = 4;
constexpr std::uint32_t kFingerprintMask = 0x5354554E;  // section 14.7
constexpr std::uint8_t kIpv4 = 1, kIpv6 = 2;
constexpr std::uint16_t kRequired = 0x8000;  // below it

constexpr Type kKnownRequired[] = {
    Type::MappedAddress,
    Type::ChangeRequest,
    Type::Username,
    Type::MessageIntegrity,
    Type::ErrorCode,
    Type::UnknownAttributes,
    Type::ChannelNumber,
    Type::Lifetime,
    Type::XorPeerAddress,
    Type::Data,
    Type::Realm,
    Type::Nonce,
    Type::XorRelayedAddress,
    Type::RequestedTransport,
    Type::MessageIntegritySha256,
    Type::PasswordAlgorithm,
    Type::Userhash,
    Type::XorMappedAddress,
    Type::Priority,
    Type::UseCandidate,
    Type::Padding,
    Type::ResponsePort,
};

constexpr std::size_t padded(std::size_t size) { return (size + 3) & ~std::size_t{3}; }

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value & 1) ? value >> 1 ^ 0xEDB88320 : value >> 1;
    table[i] = value;
  }
  return table;
}

/// The CRC-32 of ITU V.42.
std::uint32_t crc32(ByteSpan bytes) {
  static constexpr auto kTable = make_crc_table();
  std::uint32_t value = 0xFFFFFFFF;
  for (const std::byte b : bytes)
    value = kTable[(value ^ std::to_integer<std::uint32_t>(b)) & 0xFF] ^ value >> 8;
  return ~value;
}

std::uint16_t type_field(Class kind, Method method) {
  // The two bits of the class lie between those of the method (section 5).
  const auto c = static_cast<std::uint16_t>(kind);
  const auto m = static_cast<std::uint16_t>(method);
  return static_cast<std::uint16_t>((m & 0xF80) << 2 | (m & 0x070) << 1 | (m & 0x00F) |
                                    (c & 2) << 7 | (c & 1) << 4);
}

/// The HMAC of a message up to `end`, with the length in its header as if an attribute of
/// `value_size` ended it.
std::vector<std::byte> integrity_of(ByteSpan message, std::size_t end, std::size_t value_size,
                                    const EVP_MD *digest, ByteSpan key) {
  Bytes covered(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(end));
  const std::size_t length = end - kHeaderSize + kAttributeHeader + value_size;
  covered[2] = static_cast<std::byte>(length >> 8);
  covered[3] = static_cast<std::byte>(length & 0xFF);
  std::vector<std::byte> mac(EVP_MAX_MD_SIZE);
  unsigned size = 0;
  static const unsigned char kNothing = 0;  // an empty key is a key too
  HMAC(digest, key.empty() ? static_cast<const void *>(&kNothing) : key.data(),
       static_cast<int>(key.size()), reinterpret_cast<const unsigned char *>(covered.data()),
       covered.size(), reinterpret_cast<unsigned char *>(mac.data()), &size);
  mac.resize(size);
  return mac;
}

bool same(ByteSpan a, ByteSpan b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

/// What an address is hidden with: the cookie, and for IPv6 the transaction too (section 14.2).
std::array<std::byte, 16> mask_of(const TransactionId &id) {
  std::array<std::byte, 16> mask{};
  for (std::size_t i = 0; i < 4; ++i)
    mask[i] = static_cast<std::byte>(kMagicCookie >> (24 - 8 * i) & 0xFF);
  std::copy(id.begin(), id.end(), mask.begin() + 4);
  return mask;
}

std::optional<Endpoint> read_address(ByteSpan value, const std::array<std::byte, 16> &mask) {
  ByteReader reader(value);
  reader.skip(1);
  const std::uint8_t family = reader.u8();
  const std::uint16_t port = reader.u16();
  const std::size_t size = family == kIpv4 ? 4 : family == kIpv6 ? 16 : 0;
  if (size == 0 || reader.left() != size || reader.failed()) return std::nullopt;
  const ByteSpan rest = reader.rest();
  std::array<std::byte, 16> raw{};
  for (std::size_t i = 0; i < size; ++i) raw[i] = rest[i] ^ mask[i];
  char text[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(family == kIpv4 ? AF_INET : AF_INET6, raw.data(), text, sizeof text);
  const auto hidden = static_cast<std::uint16_t>(std::to_integer<unsigned>(mask[0]) << 8 |
                                                 std::to_integer<unsigned>(mask[1]));
  return Endpoint{text, static_cast<std::uint16_t>(port ^ hidden)};
}

}  // namespace

TransactionId random_transaction_id() {
  TransactionId id;
  RAND_bytes(reinterpret_cast<unsigned char *>(id.data()), static_cast<int>(id.size()));
  return id;
}

std::optional<std::size_t> framed_length(ByteSpan stream) {
  if (!stream.empty() && (stream[0] & std::byte{0xC0}) != std::byte{0}) return std::nullopt;
  if (stream.size() < kHeaderSize) return 0;
  ByteReader reader(stream);
  reader.skip(2);
  const std::size_t length = reader.u16();
  if (length % 4 != 0 || reader.u32() != kMagicCookie || kHeaderSize + length > kMaxMessage)
    return std::nullopt;
  return stream.size() < kHeaderSize + length ? 0 : kHeaderSize + length;
}

std::optional<Message> Message::parse(ByteSpan datagram) {
  if (const auto length = framed_length(datagram);
      !length || *length != datagram.size() || !*length)
    return std::nullopt;
  Message message;
  message.bytes_ = datagram;
  ByteReader reader(datagram);
  const std::uint16_t field = reader.u16();
  message.kind_ = static_cast<Class>((field >> 7 & 2) | (field >> 4 & 1));
  message.method_ =
      static_cast<Method>((field >> 2 & 0xF80) | (field >> 1 & 0x070) | (field & 0x00F));
  reader.skip(6);
  const ByteSpan id = reader.take(message.id_.size());
  std::copy(id.begin(), id.end(), message.id_.begin());

  bool ended = false, ended_sha256 = false;  // by an integrity
  for (std::size_t count = 0; reader.left() > 0; ++count) {
    const std::size_t offset = datagram.size() - reader.left();
    const std::uint16_t number = reader.u16();
    const std::uint16_t size = reader.u16();
    const ByteSpan value = reader.take(size);
    reader.skip(padded(size) - size);
    if (reader.failed() || count == kMaxAttributes) return std::nullopt;
    const auto type = static_cast<Type>(number);
    if (type == Type::Fingerprint) {
      // It is the last one, and covers all before it.
      const std::uint32_t told = size == kFingerprintSize ? ByteReader(value).u32() : 0;
      if (size != kFingerprintSize || reader.left() > 0 ||
          told != (crc32(datagram.first(offset)) ^ kFingerprintMask))
        return std::nullopt;
    } else if (ended_sha256 || (ended && type != Type::MessageIntegritySha256)) {
      continue;
    }
    ended |= type == Type::MessageIntegrity;
    ended_sha256 |= type == Type::MessageIntegritySha256;
    if (number < kRequired && std::ranges::find(kKnownRequired, type) == std::end(kKnownRequired))
      message.unknown_required_.push_back(number);
    message.attributes_.push_back({type, value, offset});
  }
  return message;
}

const Attribute *Message::find(Type type) const {
  const auto found = std::ranges::find(attributes_, type, &Attribute::type);
  return found == attributes_.end() ? nullptr : &*found;
}

std::optional<Endpoint> Message::address(Type type) const {
  const Attribute *found = find(type);
  return found ? read_address(found->value, {}) : std::nullopt;
}

std::optional<Endpoint> Message::xor_address(Type type) const {
  const Attribute *found = find(type);
  return found ? read_address(found->value, mask_of(id_)) : std::nullopt;
}

std::optional<Endpoint> Message::mapped_address() const {
  if (auto hidden = xor_address(Type::XorMappedAddress)) return hidden;
  return address(Type::MappedAddress);
}

std::optional<std::string_view> Message::text(Type type) const {
  const Attribute *found = find(type);
  if (!found) return std::nullopt;
  return std::string_view(reinterpret_cast<const char *>(found->value.data()), found->value.size());
}

std::optional<std::uint32_t> Message::u32(Type type) const {
  const Attribute *found = find(type);
  if (!found || found->value.size() != 4) return std::nullopt;
  return ByteReader(found->value).u32();
}

std::optional<std::uint64_t> Message::u64(Type type) const {
  const Attribute *found = find(type);
  if (!found || found->value.size() != 8) return std::nullopt;
  return ByteReader(found->value).u64();
}

std::optional<std::uint16_t> Message::response_port() const {
  // Two bytes, and in RFC 5780 section 7.5 two more that are reserved but not counted by everybody.
  const Attribute *found = find(Type::ResponsePort);
  if (!found || (found->value.size() != 2 && found->value.size() != 4)) return std::nullopt;
  return ByteReader(found->value).u16();
}

std::optional<ErrorCode> Message::error() const {
  const Attribute *found = find(Type::ErrorCode);
  if (!found || found->value.size() < 4) return std::nullopt;
  const int hundreds = std::to_integer<int>(found->value[2]) & 7;
  const int rest = std::to_integer<int>(found->value[3]);
  if (hundreds < 3 || hundreds > 6 || rest > 99) return std::nullopt;
  const ByteSpan reason = found->value.subspan(4);
  return ErrorCode{hundreds * 100 + rest,
                   {reinterpret_cast<const char *>(reason.data()), reason.size()}};
}

std::vector<std::uint16_t> Message::unknown_attributes() const {
  std::vector<std::uint16_t> types;
  if (const Attribute *found = find(Type::UnknownAttributes))
    for (ByteReader reader(found->value); reader.left() >= 2;) types.push_back(reader.u16());
  return types;
}

bool Message::integrity_fits(ByteSpan key) const {
  const Attribute *found = find(Type::MessageIntegrity);
  return found && found->value.size() == kSha1Size &&
         same(found->value, integrity_of(bytes_, found->offset, kSha1Size, EVP_sha1(), key));
}

bool Message::integrity_sha256_fits(ByteSpan key) const {
  const Attribute *found = find(Type::MessageIntegritySha256);
  if (!found) return false;
  const std::size_t size = found->value.size();
  if (size < kSmallestSha256 || size > kSha256Size || size % 4 != 0) return false;
  const auto whole = integrity_of(bytes_, found->offset, size, EVP_sha256(), key);
  return whole.size() >= size && same(found->value, ByteSpan(whole).first(size));
}

Writer::Writer(Class kind, Method method, const TransactionId &id) : id_(id) {
  ByteWriter(out_).u16(type_field(kind, method)).u16(0).u32(kMagicCookie).raw(id);
}

void Writer::set_length(std::size_t more) {
  const std::size_t length = out_.size() - kHeaderSize + more;
  out_[2] = static_cast<std::byte>(length >> 8 & 0xFF);
  out_[3] = static_cast<std::byte>(length & 0xFF);
}

Writer &Writer::bytes(Type type, ByteSpan value) {
  ByteWriter(out_).u16(static_cast<std::uint16_t>(type)).u16(value.size()).raw(value);
  out_.resize(padded(out_.size()));
  set_length(0);
  return *this;
}

Writer &Writer::u32(Type type, std::uint32_t value) {
  Bytes raw;
  ByteWriter(raw).u32(value);
  return bytes(type, raw);
}

Writer &Writer::u64(Type type, std::uint64_t value) {
  Bytes raw;
  ByteWriter(raw).u64(value);
  return bytes(type, raw);
}

Writer &Writer::raw_address(Type type, const Endpoint &endpoint, bool hide) {
  std::array<std::byte, 16> raw{};
  std::uint8_t family = kIpv4;
  if (::inet_pton(AF_INET, endpoint.address.c_str(), raw.data()) != 1) {
    family = kIpv6;
    if (::inet_pton(AF_INET6, endpoint.address.c_str(), raw.data()) != 1) return *this;
  }
  const auto mask = hide ? mask_of(id_) : std::array<std::byte, 16>{};
  const std::uint32_t hidden = hide ? kMagicCookie >> 16 : 0;
  for (std::size_t i = 0; i < raw.size(); ++i) raw[i] ^= mask[i];
  Bytes value;
  ByteWriter(value).u8(0).u8(family).u16(endpoint.port ^ hidden);
  ByteWriter(value).raw(ByteSpan(raw).first(family == kIpv4 ? 4 : 16));
  return bytes(type, value);
}

Writer &Writer::address(Type type, const Endpoint &endpoint) {
  return raw_address(type, endpoint, false);
}

Writer &Writer::xor_address(Type type, const Endpoint &endpoint) {
  return raw_address(type, endpoint, true);
}

Writer &Writer::response_port(std::uint16_t port) {
  return u32(Type::ResponsePort, static_cast<std::uint32_t>(port) << 16);
}

Writer &Writer::error(int code, std::string_view reason) {
  Bytes value;
  ByteWriter(value)
      .u16(0)
      .u8(static_cast<unsigned>(code / 100))
      .u8(static_cast<unsigned>(code % 100));
  ByteWriter(value).text(reason);
  return bytes(Type::ErrorCode, value);
}

Writer &Writer::unknown_attributes(std::span<const std::uint16_t> types) {
  Bytes value;
  for (const std::uint16_t type : types) ByteWriter(value).u16(type);
  return bytes(Type::UnknownAttributes, value);
}

Writer &Writer::integrity(ByteSpan key) {
  return bytes(Type::MessageIntegrity, integrity_of(out_, out_.size(), kSha1Size, EVP_sha1(), key));
}

Writer &Writer::integrity_sha256(ByteSpan key) {
  return bytes(Type::MessageIntegritySha256,
               integrity_of(out_, out_.size(), kSha256Size, EVP_sha256(), key));
}

Writer &Writer::fingerprint() {
  set_length(kAttributeHeader + kFingerprintSize);
  return u32(Type::Fingerprint, crc32(out_) ^ kFingerprintMask);
}

std::array<std::byte, 16> long_term_key(std::string_view user, std::string_view realm,
                                        std::string_view password) {
  const std::string text =
      std::string(user) + ":" + std::string(realm) + ":" + std::string(password);
  std::array<std::byte, 16> key{};
  EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char *>(key.data()), nullptr,
             EVP_md5(), nullptr);
  return key;
}

}  // namespace junctor::rtp::stun
