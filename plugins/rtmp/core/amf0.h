// SPDX-License-Identifier: LGPL-2.1-or-later
// AMF0 values, read and written.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "common/bytes.h"
#include "common/result.h"

namespace junctor::rtmp {

struct AmfValue;
struct AmfMember;

struct AmfNull {
  bool operator==(const AmfNull &) const = default;
};
struct AmfUndefined {
  bool operator==(const AmfUndefined &) const = default;
};

/// What objects, typed objects and ECMA arrays share: members in their order on the wire.
struct AmfMembers {
  std::vector<AmfMember> members;

  AmfMembers();
  AmfMembers(const AmfMembers &);
  AmfMembers(AmfMembers &&) noexcept;
  AmfMembers &operator=(const AmfMembers &);
  AmfMembers &operator=(AmfMembers &&) noexcept;
  ~AmfMembers();

  /// The member of this name, the last if there are several; null if none.
  const AmfValue *find(std::string_view name) const;
  /// Text, number or truth of a member; the fallback if it is missing or of another type.
  std::string string(std::string_view name, std::string_view fallback = {}) const;
  double number(std::string_view name, double fallback = 0) const;
  bool boolean(std::string_view name, bool fallback = false) const;
  /// Appends, without looking for a member of the same name.
  AmfMembers &set(std::string name, AmfValue value);
  bool operator==(const AmfMembers &) const;
};

struct AmfObject : AmfMembers {
  AmfObject() = default;
  AmfObject(std::initializer_list<AmfMember> list);
};
struct AmfEcmaArray : AmfMembers {
  AmfEcmaArray() = default;
  AmfEcmaArray(std::initializer_list<AmfMember> list);
};
struct AmfTypedObject : AmfMembers {
  std::string class_name;
  bool operator==(const AmfTypedObject &) const;
};
struct AmfStrictArray {
  std::vector<AmfValue> items;

  AmfStrictArray();
  explicit AmfStrictArray(std::vector<AmfValue> values);
  AmfStrictArray(const AmfStrictArray &);
  AmfStrictArray(AmfStrictArray &&) noexcept;
  AmfStrictArray &operator=(const AmfStrictArray &);
  AmfStrictArray &operator=(AmfStrictArray &&) noexcept;
  ~AmfStrictArray();
  bool operator==(const AmfStrictArray &) const;
};
struct AmfDate {
  double milliseconds = 0;  ///< since 1970-01-01 UTC
  std::int16_t zone = 0;    ///< reserved by the standard; should be 0
  bool operator==(const AmfDate &) const = default;
};
struct AmfXml {
  std::string text;
  bool operator==(const AmfXml &) const = default;
};

/// One value. Strings are bytes as the peer sent them: not checked to be UTF-8.
struct AmfValue {
  using Content = std::variant<AmfNull, AmfUndefined, double, bool, std::string, AmfObject,
                               AmfEcmaArray, AmfStrictArray, AmfTypedObject, AmfDate, AmfXml>;
  Content content;

  AmfValue();  ///< null
  AmfValue(bool value);
  template <class Number,
            class = std::enable_if_t<std::is_arithmetic_v<Number> && !std::is_same_v<Number, bool>>>
  AmfValue(Number value) : content(static_cast<double>(value)) {}
  AmfValue(const char *text);
  AmfValue(std::string_view text);
  AmfValue(std::string text);
  AmfValue(AmfNull value);
  AmfValue(AmfUndefined value);
  AmfValue(AmfObject value);
  AmfValue(AmfEcmaArray value);
  AmfValue(AmfStrictArray value);
  AmfValue(AmfTypedObject value);
  AmfValue(AmfDate value);
  AmfValue(AmfXml value);

  /// What it holds if it is of that type, else null.
  const double *number() const { return std::get_if<double>(&content); }
  const bool *boolean() const { return std::get_if<bool>(&content); }
  const std::string *string() const { return std::get_if<std::string>(&content); }
  /// Members of an object, ECMA array or typed object; null for anything else.
  const AmfMembers *members() const;
  bool is_null() const;  ///< null or undefined

  bool operator==(const AmfValue &) const;
};

struct AmfMember {
  std::string name;
  AmfValue value;
  bool operator==(const AmfMember &) const = default;
};

/// Bounds on what one message may cost.
struct AmfLimits {
  std::size_t depth = 16;           ///< nested objects and arrays
  std::size_t nodes = 1024;         ///< values of every type, in all
  std::size_t bytes = 64UL * 1024;  ///< of the encoded message
};

/// All values of `bytes`. Fails with BadInput on anything truncated, beyond the limits, or of a
/// type that may not be sent: reference (0x07, refused for it makes graphs of trees), movie clip,
/// record set, unsupported, and the switch to AMF3 (0x11).
Result<std::vector<AmfValue>> read_amf0(ByteSpan bytes, const AmfLimits &limits = {});

/// Appends the value. A string longer than 65,535 bytes becomes a long string; a member's name is
/// cut there. The caller bounds depth and size.
void write_amf0(const AmfValue &value, Bytes &out);

}  // namespace junctor::rtmp
