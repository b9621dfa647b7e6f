// SPDX-License-Identifier: LGPL-2.1-or-later
// What decoders are not given.
#include "pictures/picture_bound.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "common/avc.h"
#include "common/picture_size.h"

namespace junctor::pictures {
namespace {

Bytes from_hex(std::string_view hex) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return bytes;
}

/// Parameter sets of constrained baseline as 7.3.2.1.1 has them, without VUI.
constexpr std::string_view k640x368 = "6742c01eda0280be40", k4096x2304 = "6742c01eda0040004864",
                           k2304x4096 = "6742c01eda0090008064", k4112x2304 = "6742c01eda0040404864",
                           k8704x16 = "6742c01eda00220e40", k16000x16000 = "6742c01eda003e8007d190",
                           kCroppedTo16x16 = "6742c01eda003e8007d1e001f398007ce5",
                           kOldHigh444 = "6790c01eacb4007d000fa320";

Bytes record(std::vector<std::string_view> sets) {
  std::vector<Bytes> kept;
  std::vector<ByteSpan> sps;
  for (const std::string_view set : sets) kept.push_back(from_hex(set));
  for (const Bytes &set : kept) sps.emplace_back(set);
  const Bytes picture_set = from_hex("68ce3c80");
  const std::vector<ByteSpan> pps{picture_set};
  return *build_avc_config(sps, pps);
}

/// NAL units behind 4 bytes of length each.
Bytes units(std::vector<std::string_view> nals) {
  Bytes bytes;
  ByteWriter writer(bytes);
  for (const std::string_view nal : nals) {
    const Bytes unit = from_hex(nal);
    writer.u32(static_cast<std::uint32_t>(unit.size())).raw(unit);
  }
  return bytes;
}

constexpr std::string_view kIdr = "6588840000", kSlice = "419a0000";

TEST(PictureBound, IsThatOfLevel51) {
  EXPECT_TRUE(may_be_decoded(4096, 2304));
  EXPECT_TRUE(may_be_decoded(2304, 4096));
  EXPECT_TRUE(may_be_decoded(8688, 16));
  EXPECT_FALSE(may_be_decoded(4097, 2304));
  EXPECT_FALSE(may_be_decoded(8689, 16));
  EXPECT_FALSE(may_be_decoded(16, 8689));
  EXPECT_FALSE(may_be_decoded(1 << 24, 1 << 24));
}

TEST(PictureBound, AdmitsH264ByItsConfiguration) {
  for (const std::string_view set : {k640x368, k4096x2304, k2304x4096}) {
    PictureBound bound(Codec::H264);
    EXPECT_FALSE(bound.admit(units({kIdr}))) << "not configured";
    EXPECT_TRUE(bound.configure(record({set}))) << set;
    EXPECT_TRUE(bound.admit(units({kIdr})));
    EXPECT_EQ(bound.too_large(), "");
  }
  for (const auto &[set, size] :
       {std::pair(k4112x2304, "4112x2304"), std::pair(k8704x16, "8704x16"),
        std::pair(k16000x16000, "16000x16000"), std::pair(kCroppedTo16x16, "16000x16000"),
        std::pair(kOldHigh444, "16000x16000")}) {
    PictureBound bound(Codec::H264);
    EXPECT_FALSE(bound.configure(record({set}))) << set;
    EXPECT_FALSE(bound.admit(units({kIdr})));
    EXPECT_EQ(bound.too_large(), size);
  }
}

TEST(PictureBound, LooksAtEachParameterSet) {
  PictureBound bound(Codec::H264);
  EXPECT_FALSE(bound.configure(record({k640x368, k16000x16000})));
  EXPECT_TRUE(bound.configure(record({k640x368})));
}

TEST(PictureBound, AdmitsNoParameterSetWhoseSizeCannotBeTold) {
  PictureBound bound(Codec::H264);
  EXPECT_FALSE(bound.configure(record({"6742c01e"})));
  EXPECT_FALSE(bound.configure(from_hex("01")));
  EXPECT_FALSE(bound.configure(record({"6776c01eda0280be40"}))) << "of several views";
  EXPECT_EQ(bound.too_large(), "");
}

TEST(PictureBound, FindsSizesThatChangeInBand) {
  PictureBound bound(Codec::H264);
  ASSERT_TRUE(bound.configure(record({k640x368})));
  EXPECT_TRUE(bound.admit(units({kIdr})));
  EXPECT_FALSE(bound.admit(units({k16000x16000, kIdr})));
  EXPECT_EQ(bound.too_large(), "16000x16000");
  EXPECT_FALSE(bound.admit(units({kSlice}))) << "what follows, too";
  EXPECT_FALSE(bound.admit(units({k16000x16000, k640x368, kIdr})));
  EXPECT_TRUE(bound.admit(units({k640x368, kIdr})));
  EXPECT_TRUE(bound.admit(units({kSlice})));
}

TEST(PictureBound, AdmitsNoUnitsThatAreNotWhatTheConfigurationSays) {
  PictureBound bound(Codec::H264);
  ASSERT_TRUE(bound.configure(record({k640x368})));
  // A unit of one byte, then what libav takes for start codes instead of lengths.
  Bytes disguised = from_hex(
      "0000000109"
      "00000001");
  const Bytes set = from_hex(k16000x16000);
  disguised.insert(disguised.end(), set.begin(), set.end());
  EXPECT_FALSE(bound.admit(disguised));
}

TEST(PictureBound, OfVp8GoesByKeyframes) {
  PictureBound bound(Codec::Vp8);
  const Bytes inter = from_hex("310000"), whole = from_hex(
                                              "500200"
                                              "9d012a"
                                              "8002"
                                              "6801"
                                              "00");
  const Bytes large = from_hex(
      "500200"
      "9d012a"
      "ff3f"
      "ff3f"
      "00");
  EXPECT_FALSE(bound.admit(inter)) << "nothing is known yet";
  EXPECT_TRUE(bound.admit(whole));
  EXPECT_TRUE(bound.admit(inter));
  EXPECT_FALSE(bound.admit(large));
  EXPECT_EQ(bound.too_large(), "16383x16383");
  EXPECT_FALSE(bound.admit(inter));
  EXPECT_TRUE(bound.admit(whole));
  EXPECT_FALSE(bound.admit(from_hex("5002")));
}

TEST(PictureBound, OfSorensonEachPictureTells) {
  PictureBound bound(Codec::Sorenson);
  // 17 bits of start code, version 0, temporal reference 0, size 1: two times 16 bits; type 0.
  EXPECT_TRUE(
      bound.admit(from_hex("0000800080"
                           "8000"
                           "8000"
                           "00")));
  EXPECT_FALSE(bound.admit(from_hex("00008000ffffffff8000")));
  EXPECT_NE(bound.too_large(), "");
  EXPECT_FALSE(bound.admit(from_hex("ffff"))) << "no picture";
}

TEST(PictureBound, OfATrackIsKnownBeforeItFlows) {
  rtmp::Track track;
  track.codec = Codec::H264;
  track.config = SharedBytes::copy(record({kCroppedTo16x16}));
  EXPECT_EQ(too_large_to_decode(track), "16000x16000");
  track.config = SharedBytes::copy(record({k4096x2304}));
  EXPECT_EQ(too_large_to_decode(track), "");
  track = {};
  track.codec = Codec::Vp8;
  EXPECT_EQ(too_large_to_decode(track), "") << "not told yet";
  track.width = 16383;
  track.height = 16383;
  EXPECT_EQ(too_large_to_decode(track), "16383x16383");
}

}  // namespace
}  // namespace junctor::pictures
