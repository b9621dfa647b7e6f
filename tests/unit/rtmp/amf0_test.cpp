// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/amf0.h"

#include <gtest/gtest.h>

#include "wire.h"

using namespace junctor;
using namespace junctor::rtmp;
using namespace junctor::test;

namespace {

struct Row {
  const char *name;
  std::string bytes;
  AmfValue value;
};

AmfTypedObject typed() {
  AmfTypedObject object;
  object.class_name = "Point";
  object.set("x", 1);
  return object;
}

/// Every type that may be sent, as the AMF0 specification lays it out (sections 2.2 to 2.18).
std::vector<Row> rows() {
  return {
      {"number", "00 3f f0 00 00 00 00 00 00", 1.0},
      {"negative number", "00 c0 09 21 fb 54 44 2d 18", -3.141592653589793},
      {"true", "01 01", true},
      {"false", "01 00", false},
      {"string", "02 00 07 'connect'", "connect"},
      {"empty string", "02 00 00", ""},
      {"UTF-8 string", "02 00 03 e2 82 ac", "\xe2\x82\xac"},
      {"object", "03 00 03 'app' 02 00 04 'call' 00 04 'fpad' 01 00 00 00 09",
       AmfObject{{"app", "call"}, {"fpad", false}}},
      {"empty object", "03 00 00 09", AmfObject{}},
      {"nested object", "03 00 01 'a' 03 00 01 'b' 05 00 00 09 00 00 09",
       AmfObject{{"a", AmfObject{{"b", AmfNull{}}}}}},
      {"member with an empty name", "03 00 00 05 00 00 09", AmfObject{{"", AmfNull{}}}},
      {"null", "05", AmfNull{}},
      {"undefined", "06", AmfUndefined{}},
      {"ECMA array", "08 00 00 00 01 00 05 'width' 00 40 84 00 00 00 00 00 00 00 00 09",
       AmfEcmaArray{{"width", 640}}},
      {"strict array", "0a 00 00 00 03 05 01 01 02 00 01 'x'",
       AmfStrictArray({AmfNull{}, true, "x"})},
      {"empty strict array", "0a 00 00 00 00", AmfStrictArray{}},
      {"date", "0b 42 70 00 00 00 00 00 00 00 00", AmfDate{1099511627776.0, 0}},
      {"XML", "0f 00 00 00 04 '<a/>'", AmfXml{"<a/>"}},
      {"typed object", "10 00 05 'Point' 00 01 'x' 00 3f f0 00 00 00 00 00 00 00 00 09", typed()},
  };
}

std::string nested(int depth, std::string_view open, std::string_view inner,
                   std::string_view close) {
  std::string text;
  for (int i = 0; i < depth; ++i) text += open;
  text += inner;
  for (int i = 0; i < depth; ++i) text += close;
  return text;
}

}  // namespace

TEST(Amf0, ReadsAndWritesEveryType) {
  for (const Row &row : rows()) {
    const Bytes bytes = wire(row.bytes);
    const auto values = read_amf0(bytes);
    ASSERT_TRUE(values) << row.name << ": " << values.error().detail;
    ASSERT_EQ(values->size(), 1u) << row.name;
    EXPECT_EQ(values->front(), row.value) << row.name;
    Bytes written;
    write_amf0(row.value, written);
    EXPECT_EQ(hex(written), hex(bytes)) << row.name;
  }
}

TEST(Amf0, EveryTruncationIsAnError) {
  for (const Row &row : rows()) {
    const Bytes bytes = wire(row.bytes);
    for (std::size_t size = 1; size < bytes.size(); ++size) {
      // An ECMA array that has all it announced may lack its end.
      if (std::string(row.name) == "ECMA array" && size == bytes.size() - 3) continue;
      const auto values = read_amf0(ByteSpan(bytes).first(size));
      ASSERT_FALSE(values) << row.name << " cut to " << size << " bytes";
      EXPECT_EQ(values.error().fault, Fault::BadInput);
    }
  }
}

TEST(Amf0, ReadsAllTogether) {
  Bytes bytes;
  std::vector<AmfValue> expected;
  for (const Row &row : rows()) {
    bytes = bytes + wire(row.bytes);
    expected.push_back(row.value);
  }
  const auto values = read_amf0(bytes);
  ASSERT_TRUE(values);
  EXPECT_EQ(*values, expected);
  const auto none = read_amf0({});
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->empty());
}

TEST(Amf0, TheCountOfAnEcmaArrayIsAHint) {
  for (const char *count : {"00 00 00 00", "00 00 00 01", "ff ff ff ff"}) {
    const auto values = read_amf0(wire(std::string("08 ") + count + " 00 01 'a' 05 00 00 09"));
    ASSERT_TRUE(values) << count;
    EXPECT_EQ(values->front(), AmfValue(AmfEcmaArray{{"a", AmfNull{}}}));
  }
  const auto unended = read_amf0(wire("08 00 00 00 01 00 01 'a' 05"));
  ASSERT_TRUE(unended);
  EXPECT_EQ(unended->front(), AmfValue(AmfEcmaArray{{"a", AmfNull{}}}));
}

TEST(Amf0, LongStrings) {
  AmfLimits wide;
  wide.bytes = 1 << 20;
  for (const std::size_t size : {65535u, 65536u, 100000u}) {
    const AmfValue value(std::string(size, 'x'));
    Bytes bytes;
    write_amf0(value, bytes);
    EXPECT_EQ(bytes[0], size > 65535 ? std::byte{0x0c} : std::byte{0x02});
    const auto values = read_amf0(bytes, wide);
    ASSERT_TRUE(values);
    EXPECT_EQ(values->front(), value);
  }
}

TEST(Amf0, RefusesWhatMayNotBeSent) {
  for (const char *bytes :
       {"04", "07 00 00", "09", "0d", "0e", "11 01", "12", "ff", "03 00 01 'a' 07 00 00 00 00 09",
        "0a 00 00 00 01 11 01", "03 00 01 'a' 09"}) {
    const auto values = read_amf0(wire(bytes));
    ASSERT_FALSE(values) << bytes;
    EXPECT_EQ(values.error().fault, Fault::BadInput) << bytes;
  }
}

TEST(Amf0, BoundsDepth) {
  const struct {
    const char *open, *inner, *close;
  } kRows[] = {{"0a 00000001 ", "05", ""},
               {"03 00 01 'a' ", "05", " 00 00 09"},
               {"08 00000001 00 01 'a' ", "05", " 00 00 09"},
               {"10 00 00 00 01 'a' ", "05", " 00 00 09"}};
  for (const auto &row : kRows) {
    EXPECT_TRUE(read_amf0(wire(nested(16, row.open, row.inner, row.close)))) << row.open;
    const auto deeper = read_amf0(wire(nested(17, row.open, row.inner, row.close)));
    ASSERT_FALSE(deeper) << row.open;
    EXPECT_EQ(deeper.error().fault, Fault::Refused);
  }
  // What made another server's stack end: 100,000 arrays within each other, never closed.
  AmfLimits wide;
  wide.bytes = 1 << 20;
  EXPECT_FALSE(read_amf0(wire(nested(100000, "0a 00000001 ", "", "")), wide));
}

TEST(Amf0, BoundsNodesAndBytes) {
  std::string array = "0a 000003ff ";
  for (int i = 0; i < 1023; ++i) array += "05 ";
  EXPECT_TRUE(read_amf0(wire(array)));
  const auto more = read_amf0(wire(array + "05"));
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().fault, Fault::Refused);
  // A count that the message cannot hold is refused before anything is read for it.
  EXPECT_FALSE(read_amf0(wire("0a ffffffff 05 05 05")));
  AmfLimits tight;
  tight.bytes = 8;
  EXPECT_TRUE(read_amf0(wire("02 00 05 'abcde'"), tight));
  const auto beyond = read_amf0(wire("02 00 06 'abcdef'"), tight);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().fault, Fault::Refused);
}

TEST(Amf0, FindsMembers) {
  const AmfObject object{{"code", "old"}, {"n", 3}, {"yes", true}, {"code", "new"}};
  EXPECT_EQ(object.string("code"), "new");
  EXPECT_EQ(object.number("n"), 3);
  EXPECT_TRUE(object.boolean("yes"));
  EXPECT_EQ(object.string("n", "none"), "none");
  EXPECT_EQ(object.number("code", -1), -1);
  EXPECT_EQ(object.find("absent"), nullptr);
  EXPECT_NE(AmfValue(AmfEcmaArray{}).members(), nullptr);
  EXPECT_NE(AmfValue(typed()).members(), nullptr);
  EXPECT_EQ(AmfValue(1).members(), nullptr);
  EXPECT_TRUE(AmfValue().is_null());
  EXPECT_TRUE(AmfValue(AmfUndefined{}).is_null());
  EXPECT_FALSE(AmfValue(0).is_null());
}
