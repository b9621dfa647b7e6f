// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/parameters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace junctor::rtp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Format &generic() { return *find_format("mpeg4-generic", 44100, 2); }
const Format &latm() { return *find_format("MP4A-LATM", 44100, 2); }

Bytes bytes(std::initializer_list<int> values) {
  Bytes made;
  for (const int value : values) made.push_back(static_cast<std::byte>(value));
  return made;
}

TEST(AacConfig, OfAudioSpecificConfigs) {
  EXPECT_EQ(*AacConfig::from_asc(bytes({0x12, 0x10})), (AacConfig{44100, 2}));
  EXPECT_EQ(*AacConfig::from_asc(bytes({0x12, 0x08})), (AacConfig{44100, 1}));
  EXPECT_EQ(*AacConfig::from_asc(bytes({0x14, 0x08})), (AacConfig{16000, 1}));
  EXPECT_EQ(*AacConfig::from_asc(bytes({0x11, 0xb0})), (AacConfig{48000, 6}));
  // With the extension that says "no SBR", as some encoders write it.
  EXPECT_EQ(*AacConfig::from_asc(bytes({0x11, 0x90, 0x56, 0xe5, 0x00})), (AacConfig{48000, 2}));
}

TEST(AacConfig, WhatIsNoPlainLcIsNamed) {
  const auto why = [](std::initializer_list<int> asc) {
    const auto config = AacConfig::from_asc(bytes(asc));
    return config ? std::string("taken") : config.error().detail;
  };
  EXPECT_THAT(why({0x2b, 0x92, 0x08, 0x00}), HasSubstr("object type 5"));   // HE-AAC
  EXPECT_THAT(why({0xf8, 0xee, 0x20, 0x00}), HasSubstr("object type 31"));  // AAC-ELD's escape
  EXPECT_THAT(why({0x17, 0x88, 0, 0, 0}), HasSubstr("no code"));            // a rate as a number
  EXPECT_THAT(why({0x12, 0x00}), HasSubstr("no code"));  // channels described in band
  EXPECT_THAT(why({0x12, 0x14}), HasSubstr("960"));
  EXPECT_THAT(why({0x12}), HasSubstr("too short"));
  EXPECT_THAT(why({}), HasSubstr("too short"));
}

TEST(AacConfig, IsWrittenAsItIsRead) {
  EXPECT_EQ((AacConfig{44100, 2}.asc_hex()), "1210");
  EXPECT_EQ((AacConfig{16000, 1}.asc_hex()), "1408");
  // As RFC 6416 and ffmpeg have it.
  EXPECT_EQ((AacConfig{24000, 1}.latm_hex()), "400026103fc0");
  EXPECT_EQ((AacConfig{16000, 1}.latm_hex()), "400028103fc0");
  for (const std::uint32_t rate : {96000u, 48000u, 44100u, 22050u, 8000u, 7350u})
    for (const int channels : {1, 2, 3, 4, 5, 6, 8})
      for (const Format *format : {&generic(), &latm()}) {
        const AacConfig config{rate, channels};
        const auto read = AacConfig::from_fmtp(*format, config.fmtp(*format));
        ASSERT_TRUE(read) << read.error().detail;
        EXPECT_EQ(*read, config) << rate << ' ' << channels;
      }
}

TEST(AacConfig, OfTheExampleOfRfc3640) {
  const auto config = AacConfig::from_fmtp(
      generic(),
      "streamtype=5; profile-level-id=16; mode=AAC-hbr; config=11B0; sizeLength=13; "
      "indexLength=3; indexDeltaLength=3; constantDuration=1024");
  ASSERT_TRUE(config) << config.error().detail;
  EXPECT_EQ(*config, (AacConfig{48000, 6}));
}

TEST(AacConfig, OfLatmWithAndWithoutWhatFollowsTheConfiguration) {
  EXPECT_EQ(*AacConfig::from_fmtp(latm(), "cpresent=0;config=40002810"), (AacConfig{16000, 1}));
  EXPECT_EQ(
      *AacConfig::from_fmtp(latm(), "profile-level-id=15;object=2;cpresent=0;config=400026203fc0"),
      (AacConfig{24000, 2}));
}

TEST(AacConfig, BadParametersAreErrorsThatSayWhy) {
  const auto why = [](const Format &format, const char *fmtp) {
    const auto config = AacConfig::from_fmtp(format, fmtp);
    return config ? std::string("taken") : config.error().detail;
  };
  const std::string hbr = "mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=";
  EXPECT_THAT(why(generic(), ""), HasSubstr("mode"));
  // The low bit rate example of RFC 3640.
  EXPECT_THAT(why(generic(),
                  "streamtype=5; profile-level-id=14; mode=AAC-lbr; config=1388; sizeLength=6; "
                  "indexLength=2; indexDeltaLength=2; constantDuration=1024; maxDisplacement=5"),
              HasSubstr("AAC-hbr"));
  EXPECT_THAT(why(generic(), "mode=AAC-hbr;sizelength=12;indexlength=3;indexdeltalength=3"),
              HasSubstr("13, 3 and 3"));
  EXPECT_THAT(why(generic(), "mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3"),
              HasSubstr("no config"));
  for (const char *more :
       {"maxDisplacement=5", "CTSDeltaLength=8", "DTSDeltaLength=8", "randomAccessIndication=1",
        "streamStateIndication=1", "auxiliaryDataSizeLength=7"})
    EXPECT_THAT(why(generic(), (hbr + "1208;" + more).c_str()), HasSubstr("is not 0")) << more;
  EXPECT_THAT(why(generic(), (hbr + "1208;constantDuration=960").c_str()), HasSubstr("not 1024"));
  EXPECT_EQ(why(generic(), (hbr + "1208;maxDisplacement=0;constantDuration=1024").c_str()),
            "taken");
  EXPECT_THAT(why(generic(), (hbr + "12g0").c_str()), HasSubstr("hexadecimal"));
  EXPECT_THAT(why(generic(), (hbr + "121").c_str()), HasSubstr("hexadecimal"));
  EXPECT_THAT(why(generic(), (hbr + "-1-1").c_str()), HasSubstr("hexadecimal"));
  EXPECT_THAT(why(generic(), (hbr + std::string(2000, '1')).c_str()), HasSubstr("too long"));
  EXPECT_THAT(why(generic(), (hbr + "12").c_str()), HasSubstr("too short"));
  EXPECT_THAT(why(latm(), "config=400028103fc0"), HasSubstr("in band"));  // 1 if absent
  EXPECT_THAT(why(latm(), "cpresent=1;config=400028103fc0"), HasSubstr("in band"));
  // The CELP example of RFC 3016, which has audioMuxVersion 1.
  EXPECT_THAT(why(latm(), "profile-level-id=9;object=8;cpresent=0;config=9128B1071070"),
              HasSubstr("version 1"));
  EXPECT_THAT(why(latm(), "cpresent=0;config=41002810"), HasSubstr("several"));  // two frames
  EXPECT_THAT(why(latm(), "cpresent=0;config=4000"), HasSubstr("too short"));
}

TEST(H263Limits, SizesInTheReceiversOrder) {
  const auto limits = H263Limits::from_fmtp("CIF=4;QCIF=2;F=1;K=1");
  EXPECT_THAT(limits.sizes, ElementsAre(PictureSize{352, 288, 4}, PictureSize{176, 144, 2}));
  EXPECT_EQ(limits.kbit_per_second, 0);
  EXPECT_THAT(H263Limits::from_fmtp("qcif=1; cif=2; MaxBR=1280").sizes,
              ElementsAre(PictureSize{176, 144, 1}, PictureSize{352, 288, 2}));
  EXPECT_EQ(H263Limits::from_fmtp("QCIF=1;MAXBR=1280").kbit_per_second, 128);
  EXPECT_THAT(
      H263Limits::from_fmtp("SQCIF=1;CIF4=3;CIF16=32").sizes,
      ElementsAre(PictureSize{128, 96, 1}, PictureSize{704, 576, 3}, PictureSize{1408, 1152, 32}));
}

TEST(H263Limits, CustomSizesComeLast) {
  EXPECT_THAT(
      H263Limits::from_fmtp("CUSTOM=640,480,2;CUSTOM=320,240,1;CIF=1").sizes,
      ElementsAre(PictureSize{352, 288, 1}, PictureSize{640, 480, 2}, PictureSize{320, 240, 1}));
}

TEST(H263Limits, OfALevelWhereNoSizeIsTold) {
  const auto ten = H263Limits::from_fmtp("profile=0;level=10");
  EXPECT_THAT(ten.sizes, ElementsAre(PictureSize{176, 144, 2}));
  EXPECT_EQ(ten.kbit_per_second, 64);
  const auto thirty = H263Limits::from_fmtp("PROFILE=0;LEVEL=30");
  EXPECT_EQ(thirty.sizes.front(), (PictureSize{352, 288, 1}));
  EXPECT_EQ(thirty.kbit_per_second, 384);
  EXPECT_THAT(H263Limits::from_fmtp("QCIF=1;level=70").sizes,
              ElementsAre(PictureSize{176, 144, 1}));
}

TEST(H263Limits, QcifWhereNothingIsToldOrReadable) {
  for (const char *fmtp :
       {"", "CIF=0", "CIF=33", "CIF=-1", "CIF=x", "CIF", "CUSTOM=1,2", "CUSTOM=640,480",
        "CUSTOM=640,480,0", "CUSTOM=641,480,1", "CUSTOM=4096,480,1", "CUSTOM=640,480,1,9",
        "CUSTOM=99999999999999,480,1", "level=11", "=;;=", "MAXBR=0"}) {
    const auto limits = H263Limits::from_fmtp(fmtp);
    EXPECT_THAT(limits.sizes, ElementsAre(PictureSize{176, 144, 1})) << fmtp;
    EXPECT_EQ(limits.kbit_per_second, 0) << fmtp;
  }
}

TEST(Vp8Limits, OfTheExampleOfRfc7741) {
  const auto limits = Vp8Limits::from_fmtp("max-fr=30; max-fs=3600;");
  EXPECT_EQ(limits.max_rate, 30);
  EXPECT_EQ(limits.max_macroblocks, 3600);
}

TEST(Vp8Limits, NoneWhereNothingIsToldOrReadable) {
  for (const char *fmtp : {"", "max-fr=0;max-fs=-3", "max-fr=x", "max-fr=99999999999", "max-fr"}) {
    const auto limits = Vp8Limits::from_fmtp(fmtp);
    EXPECT_EQ(limits.max_rate, 0) << fmtp;
    EXPECT_EQ(limits.max_macroblocks, 0) << fmtp;
  }
}

TEST(SpeexPreferences, OfRfc5574) {
  const auto preferences = SpeexPreferences::from_fmtp("vbr=on;cng=on;mode=\"1,any\"");
  EXPECT_TRUE(preferences.vbr);
  EXPECT_FALSE(preferences.vad);
  EXPECT_TRUE(preferences.cng);
  EXPECT_EQ(preferences.mode, 1);
  EXPECT_EQ(SpeexPreferences::from_fmtp("mode=4").mode, 4);  // unquoted, as many have it
  EXPECT_TRUE(SpeexPreferences::from_fmtp("vbr=vad").vad);
}

TEST(SpeexPreferences, AnyModeWhereNothingIsToldOrReadable) {
  for (const char *fmtp : {"", "mode=\"any\"", "mode=any", "mode=", "mode=\"", "mode=11", "mode=-1",
                           "mode=99999999999", "vbr=off"}) {
    const auto preferences = SpeexPreferences::from_fmtp(fmtp);
    EXPECT_EQ(preferences.mode, -1) << fmtp;
    EXPECT_FALSE(preferences.vbr) << fmtp;
  }
}

}  // namespace
}  // namespace junctor::rtp
