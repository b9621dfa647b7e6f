// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/amf0.h"

#include <algorithm>

namespace junctor::rtmp {

namespace {

/// AMF0 specification, section 2.1.
enum class Marker : std::uint8_t {
  Number = 0x00,
  Boolean = 0x01,
  String = 0x02,
  Object = 0x03,
  MovieClip = 0x04,
  Null = 0x05,
  Undefined = 0x06,
  Reference = 0x07,
  EcmaArray = 0x08,
  ObjectEnd = 0x09,
  StrictArray = 0x0a,
  Date = 0x0b,
  LongString = 0x0c,
  Unsupported = 0x0d,
  RecordSet = 0x0e,
  XmlDocument = 0x0f,
  TypedObject = 0x10,
  AvmPlus = 0x11,
};

constexpr std::size_t kShortText = 0xffff;

std::string text_of(ByteSpan bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

class Decoder {
 public:
  Decoder(ByteSpan bytes, const AmfLimits &limits)
      : size_(bytes.size()), reader_(bytes), limits_(limits) {}

  Result<std::vector<AmfValue>> all() {
    if (size_ > limits_.bytes)
      return Error{Fault::Refused, "AMF0 of " + std::to_string(size_) +
                                       " bytes is beyond the limit of " +
                                       std::to_string(limits_.bytes) + "."};
    std::vector<AmfValue> values;
    while (reader_.left() > 0) {
      auto next = value(0);
      if (!next) return next.error();
      values.push_back(std::move(*next));
    }
    return values;
  }

 private:
  Error wrong(const std::string &what) const {
    return bad_input("AMF0 at byte " + std::to_string(size_ - reader_.left()) + ": " + what + ".");
  }
  Error truncated() const { return wrong("a value goes beyond the end of the message"); }

  Result<AmfValue> value(std::size_t depth) {
    if (++nodes_ > limits_.nodes)
      return Error{Fault::Refused,
                   "AMF0 with more than " + std::to_string(limits_.nodes) + " values is refused."};
    const std::uint8_t marker = reader_.u8();
    if (reader_.failed()) return truncated();
    switch (static_cast<Marker>(marker)) {
      case Marker::Number:
        return whole(AmfValue(reader_.f64()));
      case Marker::Boolean:
        return whole(AmfValue(reader_.u8() != 0));
      case Marker::String:
        return whole(AmfValue(text_of(reader_.take(reader_.u16()))));
      case Marker::LongString:
        return whole(AmfValue(text_of(reader_.take(reader_.u32()))));
      case Marker::XmlDocument:
        return whole(AmfValue(AmfXml{text_of(reader_.take(reader_.u32()))}));
      case Marker::Null:
        return AmfValue(AmfNull{});
      case Marker::Undefined:
        return AmfValue(AmfUndefined{});
      case Marker::Date: {
        AmfDate date;
        date.milliseconds = reader_.f64();
        date.zone = static_cast<std::int16_t>(reader_.u16());
        return whole(AmfValue(date));
      }
      case Marker::Object: {
        AmfObject object;
        if (auto read = members(object, depth, false); !read) return read.error();
        return AmfValue(std::move(object));
      }
      case Marker::EcmaArray: {
        // The count is a hint: encoders are known to write 0.
        const std::uint32_t announced = reader_.u32();
        AmfEcmaArray array;
        if (auto read = members(array, depth, true, announced); !read) return read.error();
        return AmfValue(std::move(array));
      }
      case Marker::TypedObject: {
        AmfTypedObject object;
        object.class_name = text_of(reader_.take(reader_.u16()));
        if (auto read = members(object, depth, false); !read) return read.error();
        return AmfValue(std::move(object));
      }
      case Marker::StrictArray:
        return strict_array(depth);
      case Marker::Reference:
        return wrong("references are refused");
      case Marker::AvmPlus:
        return wrong("AMF3 is not supported; let the client use objectEncoding 0");
      case Marker::ObjectEnd:
        return wrong("an object ends that did not begin");
      case Marker::MovieClip:
      case Marker::Unsupported:
      case Marker::RecordSet:
        break;
    }
    return wrong("type " + std::to_string(marker) + " may not be sent");
  }

  Result<AmfValue> whole(AmfValue &&value) const {
    if (reader_.failed()) return truncated();
    return std::move(value);
  }

  Result<void> deeper(std::size_t depth) const {
    if (depth < limits_.depth) return {};
    return Error{Fault::Refused,
                 "AMF0 nested deeper than " + std::to_string(limits_.depth) + " is refused."};
  }

  Result<void> members(AmfMembers &into, std::size_t depth, bool may_lack_end,
                       std::size_t announced = 0) {
    if (auto fits = deeper(depth); !fits) return fits;
    for (;;) {
      // Some encoders leave out the end marker of an ECMA array that closes the message.
      if (may_lack_end && reader_.left() == 0 && !reader_.failed() && announced > 0 &&
          into.members.size() == announced)
        return {};
      std::string name = text_of(reader_.take(reader_.u16()));
      if (reader_.failed() || reader_.left() == 0) return truncated();
      if (name.empty()) {
        ByteReader ahead = reader_;
        if (ahead.u8() == static_cast<std::uint8_t>(Marker::ObjectEnd)) {
          reader_ = ahead;
          return {};
        }
      }
      auto member = value(depth + 1);
      if (!member) return member.error();
      into.members.push_back({std::move(name), std::move(*member)});
    }
  }

  Result<AmfValue> strict_array(std::size_t depth) {
    if (auto fits = deeper(depth); !fits) return fits.error();
    const std::uint32_t count = reader_.u32();
    if (reader_.failed() || count > reader_.left()) return truncated();  // a value is >= 1 byte
    AmfStrictArray array;
    for (std::uint32_t i = 0; i < count; ++i) {
      auto item = value(depth + 1);
      if (!item) return item.error();
      array.items.push_back(std::move(*item));
    }
    return AmfValue(std::move(array));
  }

  std::size_t size_;
  ByteReader reader_;
  AmfLimits limits_;
  std::size_t nodes_ = 0;
};

class Encoder {
 public:
  explicit Encoder(Bytes &out) : writer_(out) {}

  void operator()(AmfNull) { marker(Marker::Null); }
  void operator()(AmfUndefined) { marker(Marker::Undefined); }
  void operator()(double number) {
    marker(Marker::Number);
    writer_.f64(number);
  }
  void operator()(bool truth) {
    marker(Marker::Boolean);
    writer_.u8(truth);
  }
  void operator()(const std::string &text) {
    if (text.size() <= kShortText) {
      marker(Marker::String);
      name(text);
    } else {
      marker(Marker::LongString);
      writer_.u32(text.size()).text(text);
    }
  }
  void operator()(const AmfObject &object) {
    marker(Marker::Object);
    members(object);
  }
  void operator()(const AmfEcmaArray &array) {
    marker(Marker::EcmaArray);
    writer_.u32(array.members.size());
    members(array);
  }
  void operator()(const AmfTypedObject &object) {
    marker(Marker::TypedObject);
    name(object.class_name);
    members(object);
  }
  void operator()(const AmfStrictArray &array) {
    marker(Marker::StrictArray);
    writer_.u32(array.items.size());
    for (const AmfValue &item : array.items) std::visit(*this, item.content);
  }
  void operator()(const AmfDate &date) {
    marker(Marker::Date);
    writer_.f64(date.milliseconds).u16(static_cast<std::uint16_t>(date.zone));
  }
  void operator()(const AmfXml &xml) {
    marker(Marker::XmlDocument);
    writer_.u32(xml.text.size()).text(xml.text);
  }

 private:
  void marker(Marker value) { writer_.u8(static_cast<std::uint8_t>(value)); }
  void name(std::string_view text) {
    text = text.substr(0, kShortText);
    writer_.u16(text.size()).text(text);
  }
  void members(const AmfMembers &object) {
    for (const AmfMember &member : object.members) {
      name(member.name);
      std::visit(*this, member.value.content);
    }
    writer_.u16(0);
    marker(Marker::ObjectEnd);
  }

  ByteWriter writer_;
};

}  // namespace

AmfMembers::AmfMembers() = default;
AmfMembers::AmfMembers(const AmfMembers &) = default;
AmfMembers::AmfMembers(AmfMembers &&) noexcept = default;
AmfMembers &AmfMembers::operator=(const AmfMembers &) = default;
AmfMembers &AmfMembers::operator=(AmfMembers &&) noexcept = default;
AmfMembers::~AmfMembers() = default;
bool AmfMembers::operator==(const AmfMembers &) const = default;

AmfObject::AmfObject(std::initializer_list<AmfMember> list) { members.assign(list); }
AmfEcmaArray::AmfEcmaArray(std::initializer_list<AmfMember> list) { members.assign(list); }
bool AmfTypedObject::operator==(const AmfTypedObject &) const = default;

AmfStrictArray::AmfStrictArray() = default;
AmfStrictArray::AmfStrictArray(std::vector<AmfValue> values) : items(std::move(values)) {}
AmfStrictArray::AmfStrictArray(const AmfStrictArray &) = default;
AmfStrictArray::AmfStrictArray(AmfStrictArray &&) noexcept = default;
AmfStrictArray &AmfStrictArray::operator=(const AmfStrictArray &) = default;
AmfStrictArray &AmfStrictArray::operator=(AmfStrictArray &&) noexcept = default;
AmfStrictArray::~AmfStrictArray() = default;
bool AmfStrictArray::operator==(const AmfStrictArray &) const = default;

AmfValue::AmfValue() = default;
AmfValue::AmfValue(bool value) : content(value) {}
AmfValue::AmfValue(const char *text) : content(std::string(text)) {}
AmfValue::AmfValue(std::string_view text) : content(std::string(text)) {}
AmfValue::AmfValue(std::string text) : content(std::move(text)) {}
AmfValue::AmfValue(AmfNull value) : content(value) {}
AmfValue::AmfValue(AmfUndefined value) : content(value) {}
AmfValue::AmfValue(AmfObject value) : content(std::move(value)) {}
AmfValue::AmfValue(AmfEcmaArray value) : content(std::move(value)) {}
AmfValue::AmfValue(AmfStrictArray value) : content(std::move(value)) {}
AmfValue::AmfValue(AmfTypedObject value) : content(std::move(value)) {}
AmfValue::AmfValue(AmfDate value) : content(value) {}
AmfValue::AmfValue(AmfXml value) : content(std::move(value)) {}
bool AmfValue::operator==(const AmfValue &) const = default;

const AmfMembers *AmfValue::members() const {
  if (const auto *object = std::get_if<AmfObject>(&content)) return object;
  if (const auto *array = std::get_if<AmfEcmaArray>(&content)) return array;
  return std::get_if<AmfTypedObject>(&content);
}

bool AmfValue::is_null() const {
  return std::holds_alternative<AmfNull>(content) || std::holds_alternative<AmfUndefined>(content);
}

const AmfValue *AmfMembers::find(std::string_view name) const {
  const auto found = std::find_if(members.rbegin(), members.rend(),
                                  [name](const AmfMember &member) { return member.name == name; });
  return found == members.rend() ? nullptr : &found->value;
}

std::string AmfMembers::string(std::string_view name, std::string_view fallback) const {
  const AmfValue *value = find(name);
  const std::string *text = value ? value->string() : nullptr;
  return text ? *text : std::string(fallback);
}

double AmfMembers::number(std::string_view name, double fallback) const {
  const AmfValue *value = find(name);
  const double *number = value ? value->number() : nullptr;
  return number ? *number : fallback;
}

bool AmfMembers::boolean(std::string_view name, bool fallback) const {
  const AmfValue *value = find(name);
  const bool *truth = value ? value->boolean() : nullptr;
  return truth ? *truth : fallback;
}

AmfMembers &AmfMembers::set(std::string name, AmfValue value) {
  members.push_back({std::move(name), std::move(value)});
  return *this;
}

Result<std::vector<AmfValue>> read_amf0(ByteSpan bytes, const AmfLimits &limits) {
  return Decoder(bytes, limits).all();
}

void write_amf0(const AmfValue &value, Bytes &out) { std::visit(Encoder(out), value.content); }

}  // namespace junctor::rtmp
