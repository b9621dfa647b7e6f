// SPDX-License-Identifier: LGPL-2.1-or-later
// Big-endian reading and writing of wire bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace junctor {

using Bytes = std::vector<std::byte>;
using ByteSpan = std::span<const std::byte>;

inline ByteSpan as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte *>(text.data()), text.size()};
}

/// Immutable bytes that many holders share without copying: a view into an owned block.
struct SharedBytes {
  std::shared_ptr<const Bytes> owner;
  ByteSpan view;

  static SharedBytes copy(ByteSpan source) { return own(Bytes(source.begin(), source.end())); }
  static SharedBytes own(Bytes &&bytes) {
    auto owner = std::make_shared<const Bytes>(std::move(bytes));
    const ByteSpan view(*owner);
    return {std::move(owner), view};
  }
  /// The same block, seen from `offset` on.
  SharedBytes from(std::size_t offset) const { return {owner, view.subspan(offset)}; }
};

/// Reads from a span it does not own. A read past the end sets failed() and yields zero or empty;
/// check failed() once after a group of reads.
class ByteReader {
 public:
  explicit ByteReader(ByteSpan bytes) : bytes_(bytes) {}

  std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t u24() { return static_cast<std::uint32_t>(number(3)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t u64() { return number(8); }
  std::uint32_t u32_little() { return __builtin_bswap32(u32()); }
  double f64() {
    const std::uint64_t bits = u64();
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  ByteSpan take(std::size_t count) {
    if (failed_ || count > bytes_.size()) {
      failed_ = true;
      return {};
    }
    const ByteSpan taken = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }
  ByteSpan rest() { return take(bytes_.size()); }
  void skip(std::size_t count) { take(count); }

  std::size_t left() const { return bytes_.size(); }
  bool failed() const { return failed_; }

 private:
  std::uint64_t number(std::size_t width) {
    std::uint64_t value = 0;
    for (const std::byte b : take(width)) value = value << 8 | std::to_integer<std::uint64_t>(b);
    return value;
  }

  ByteSpan bytes_;
  bool failed_ = false;
};

/// Appends to a Bytes it does not own.
class ByteWriter {
 public:
  explicit ByteWriter(Bytes &out) : out_(out) {}

  ByteWriter &u8(std::uint64_t value) { return number(value, 1); }
  ByteWriter &u16(std::uint64_t value) { return number(value, 2); }
  ByteWriter &u24(std::uint64_t value) { return number(value, 3); }
  ByteWriter &u32(std::uint64_t value) { return number(value, 4); }
  ByteWriter &u64(std::uint64_t value) { return number(value, 8); }
  ByteWriter &u32_little(std::uint32_t value) { return number(__builtin_bswap32(value), 4); }
  ByteWriter &f64(double value) {
    std::uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return u64(bits);
  }
  ByteWriter &raw(ByteSpan bytes) {
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  ByteWriter &text(std::string_view value) { return raw(as_bytes(value)); }

 private:
  ByteWriter &number(std::uint64_t value, int width) {
    for (int shift = (width - 1) * 8; shift >= 0; shift -= 8)
      out_.push_back(static_cast<std::byte>(value >> shift & 0xff));
    return *this;
  }

  Bytes &out_;
};

}  // namespace junctor
