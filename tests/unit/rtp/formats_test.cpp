// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/formats.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>
#include <vector>

using namespace junctor;
using namespace junctor::rtp;

TEST(Formats, FoundByRtpmapWithoutCase) {
  ASSERT_NE(find_format("pcma", 8000, 1), nullptr);
  EXPECT_EQ(find_format("pcma", 8000, 1)->codec, Codec::Pcma);
  EXPECT_EQ(find_format("h264", 90000, 1)->codec, Codec::H264);
  EXPECT_EQ(find_format("PCMA", 16000, 1), nullptr);
  EXPECT_EQ(find_format("PCMA", 8000, 2), nullptr);
  EXPECT_EQ(find_format("PCM", 8000, 1), nullptr);
}

TEST(Formats, StaticPayloadTypesAreThoseOfRfc3551) {
  ASSERT_NE(find_static_format(0), nullptr);
  EXPECT_EQ(find_static_format(0)->encoding_name, "PCMU");
  EXPECT_EQ(find_static_format(8)->encoding_name, "PCMA");
  EXPECT_EQ(find_static_format(34)->encoding_name, "H263");
  EXPECT_EQ(find_static_format(96), nullptr);
  EXPECT_EQ(find_static_format(-1), nullptr);
}

TEST(Formats, OffersUseEachPayloadTypeOnce) {
  std::set<int> used;
  for (const Format &format : formats()) {
    EXPECT_TRUE(used.insert(format.offered_payload_type).second) << format.encoding_name;
    EXPECT_EQ(find_format(format.encoding_name, format.clock_rate, format.channels), &format);
  }
  EXPECT_FALSE(used.contains(97));   // the second packetization mode of H264
  EXPECT_FALSE(used.contains(101));  // telephone-event
}

TEST(Formats, ACodecHasAPreferredOne) {
  EXPECT_EQ(find_format(Codec::Speex)->clock_rate, 16000u);
  EXPECT_EQ(find_format(Codec::Aac)->encoding_name, "MPEG4-GENERIC");
  EXPECT_EQ(find_format(Codec::H263)->encoding_name, "H263-2000");
  EXPECT_EQ(find_format(Codec::Vp8)->encoding_name, "VP8");
  EXPECT_EQ(find_format(Codec::Sorenson), nullptr);
}

TEST(Formats, VariableOnesAreFoundAtEveryRateOfAac) {
  for (const std::uint32_t rate : {96000u, 48000u, 44100u, 16000u, 7350u})
    EXPECT_EQ(find_format("mpeg4-generic", rate, 2), find_format(Codec::Aac)) << rate;
  EXPECT_EQ(find_format("mp4a-latm", 24000, 1)->codec, Codec::Aac);
  EXPECT_EQ(find_format("mp4a-latm", 90000, 1), nullptr);
  EXPECT_EQ(find_format("mpeg4-generic", 44100, 7), nullptr);
  EXPECT_EQ(find_format("mpeg4-generic", 44100, 0), nullptr);
  EXPECT_EQ(find_format("speex", 32000, 1), nullptr);
}

TEST(Formats, FoundByNamesForPeople) {
  const auto names = [](std::string_view name) {
    std::vector<std::string> found;
    for (const Format *format : find_formats(name)) found.push_back(name_of(*format));
    return found;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(names("speex"), (Names{"SPEEX/16000", "SPEEX/8000"}));
  EXPECT_EQ(names("Speex/8000"), (Names{"SPEEX/8000"}));
  EXPECT_EQ(names("h263"), (Names{"H263-2000/90000", "H263-1998/90000", "H263/90000"}));
  EXPECT_EQ(names("H263/90000"), (Names{"H263/90000"}));
  EXPECT_EQ(names("h263-1998"), (Names{"H263-1998/90000"}));
  EXPECT_EQ(names("aac"), (Names{"MPEG4-GENERIC", "MP4A-LATM"}));
  EXPECT_EQ(names("mp4a-latm"), (Names{"MP4A-LATM"}));
  EXPECT_EQ(names("pcma"), (Names{"PCMA/8000"}));
  EXPECT_EQ(names("opus"), Names{});
  EXPECT_EQ(names("sorenson"), Names{});
  EXPECT_EQ(names(""), Names{});
}

TEST(Fmtp, KeysAreLoweredValuesKept) {
  const auto parameters = parse_fmtp(
      " Profile-Level-ID=42E01f ; packetization-mode=1;sprop-parameter-sets=Z0I=,aM4=;x");
  EXPECT_EQ(parameters.at("profile-level-id"), "42E01f");
  EXPECT_EQ(parameters.at("packetization-mode"), "1");
  EXPECT_EQ(parameters.at("sprop-parameter-sets"), "Z0I=,aM4=");
  EXPECT_EQ(parameters.at("x"), "");
  EXPECT_EQ(parameters.size(), 4U);
  EXPECT_TRUE(parse_fmtp(";; ;=1;").empty());
}

TEST(H264Profile, FromFmtp) {
  const auto profile = H264Profile::from_fmtp("profile-level-id=4D0028;packetization-mode=1");
  EXPECT_EQ(profile.profile_idc, 77);
  EXPECT_EQ(profile.constraints, 0);
  EXPECT_EQ(profile.level_idc, 40);
  EXPECT_EQ(profile.packetization_mode, 1);
  EXPECT_EQ(profile.profile_level_id(), "4d0028");
  EXPECT_EQ(H264Profile::from_fmtp("").packetization_mode, 0);
  EXPECT_EQ(H264Profile::from_fmtp("profile-level-id=42e0").profile_level_id(), "42e01f");
  EXPECT_EQ(H264Profile::from_fmtp("profile-level-id=+2e01f").profile_level_id(), "42e01f");
}

TEST(H264Profile, FromTheSpsOfAvcc) {
  // The header says high, the SPS constrained baseline.
  constexpr unsigned char kConfig[] = {1,    0x64, 0,    0x28, 0xff, 0xe1, 0,    5,    0x67, 0x42,
                                       0xe0, 0x1e, 0xda, 1,    0,    4,    0x68, 0xce, 0x3c, 0x80};
  const auto config = std::as_bytes(std::span(kConfig));
  const auto profile = H264Profile::from_avcc(config);
  ASSERT_TRUE(profile);
  EXPECT_EQ(profile->profile_level_id(), "42e01e");
  for (std::size_t size = 0; size < config.size(); ++size)
    EXPECT_FALSE(H264Profile::from_avcc(config.first(size))) << size;
  EXPECT_FALSE(H264Profile::from_avcc(config.subspan(1)));
}

namespace {
struct Pair {
  const char *receiver, *sent;
  bool fits;
};
class CanReceive : public testing::TestWithParam<Pair> {};
}  // namespace

TEST_P(CanReceive, ByProfileAndLevel) {
  const auto receiver = H264Profile::from_profile_level_id(GetParam().receiver);
  const auto sent = H264Profile::from_profile_level_id(GetParam().sent);
  ASSERT_TRUE(receiver && sent);
  EXPECT_EQ(can_receive(*receiver, *sent), GetParam().fits)
      << GetParam().receiver << " receiving " << GetParam().sent;
}

INSTANTIATE_TEST_SUITE_P(
    Rfc6184, CanReceive,
    testing::Values(Pair{"42e01f", "42e01f", true}, Pair{"42e01f", "42c01f", true},
                    Pair{"42e01f", "42e01e", true}, Pair{"42e01e", "42e01f", false},
                    Pair{"42001f", "42e01f", true},     // baseline decodes constrained baseline
                    Pair{"42e01f", "42001f", false},    // but not the other way
                    Pair{"4d001f", "42c01f", true},     // main decodes constrained baseline
                    Pair{"4d001f", "42001f", false},    // not baseline, which may have FMO
                    Pair{"4de01f", "42c01f", true},     // 4D with set 0 is constrained baseline
                    Pair{"4de01f", "4d001f", false},    //
                    Pair{"42e01f", "4d801f", true},     // the same profile by another name
                    Pair{"64001f", "4d001f", true},     // high decodes main
                    Pair{"4d001f", "64001f", false},    //
                    Pair{"64001f", "640c1f", true},     // and constrained high
                    Pair{"42e01f", "64001f", false},    //
                    Pair{"580029", "42001f", true},     // extended decodes baseline
                    Pair{"42f00b", "42e00a", true},     // 1b above 1
                    Pair{"42f00b", "42e00b", false},    // 1b below 1.1
                    Pair{"42e00b", "42f00b", true},     //
                    Pair{"ffe01f", "ffe01f", false}));  // unknown is never promised
