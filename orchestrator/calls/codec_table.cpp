// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/codec_table.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace junctor::calls {

namespace {

// libav's encoders of the H.263 family keep no bit rate as GStreamer 1.22 drives them: it gives
// them a clock of nanoseconds, by which they find each picture far too large, and so they quantize
// as coarsely as they may. How coarsely that is makes the rate, then: at these bounds a lively
// picture has about what is asked for.
#define JUNCTOR_ENCODE_H263                                            \
  "video/x-raw,format=I420,width=${h263_width},height=${h263_height}," \
  "pixel-aspect-ratio=12/11 ! avenc_h263 bitrate=${kbit}000 qmax=${h263_quantizer} gop-size=60"

// One encoder thread at most. AAC at 44.1 kHz: its own delay is 40 ms there and three times that at
// 16 kHz. FLV has Speex at 16 kHz alone.
constexpr std::array kRows{
    CodecRow{Codec::Pcma, "PCMA", "", "audio/x-alaw,rate=8000,channels=1", 0.1, 0.1, 8000, 160},
    CodecRow{Codec::Pcmu, "PCMU", "", "audio/x-mulaw,rate=8000,channels=1", 0.1, 0.1, 8000, 160},
    CodecRow{Codec::Aac, "AAC", "",
             "audio/x-raw,rate=44100,channels=1 ! voaacenc bitrate=64000 ! "
             "audio/mpeg,mpegversion=4,stream-format=raw",
             0.2, 0.8, 44100, 1024},
    CodecRow{Codec::Speex, "Speex", "",
             "audio/x-raw,rate=16000,channels=1 ! speexenc quality=${speex_quality}", 0.1, 0.7,
             16000, 320},
    CodecRow{Codec::H264, "H.264", "picturedec",
             "video/x-raw,format=I420,width=[16,${max_width},2],height=[16,${max_height},2],"
             "pixel-aspect-ratio=1/1 ! x264enc tune=zerolatency speed-preset=ultrafast threads=1 "
             "key-int-max=60 bitrate=${kbit} ${slices} ! "
             "video/x-h264,profile=constrained-baseline,level=(string)${level},stream-format=avc,"
             "alignment=au",
             1.3, 2.9, 0, 0},
    CodecRow{Codec::H263, "H.263", "picturedec", JUNCTOR_ENCODE_H263, 0.6, 1.9, 0, 0},
    CodecRow{Codec::Sorenson, "Sorenson H.263", "picturedec",
             "video/x-raw,format=I420,width=[16,${max_width},2],height=[16,${max_height},2],"
             "pixel-aspect-ratio=1/1 ! avenc_flv bitrate=${kbit}000 qmax=6 gop-size=60",
             1.1, 2.2, 0, 0},
    CodecRow{Codec::Vp8, "VP8", "picturedec",
             "video/x-raw,format=I420,width=[16,${max_width},2],height=[16,${max_height},2],"
             "pixel-aspect-ratio=1/1 ! vp8enc deadline=1 cpu-used=8 threads=1 end-usage=cbr "
             "target-bitrate=${kbit}000 keyframe-max-dist=60",
             2.3, 8.7, 0, 0},
};

constexpr std::string_view kEncodeAac =
    "audio/x-raw,rate=${aac_rate},channels=${aac_channels} ! voaacenc bitrate=64000 ! "
    "audio/mpeg,mpegversion=4,stream-format=raw";

/// RFC 2190 splits a picture only where a group of blocks has a header: each gets one.
constexpr std::string_view kEncodeH263WithHeaders = JUNCTOR_ENCODE_H263 " ps=1";

constexpr std::array kFormats{
    FormatRow{Codec::Pcma, "PCMA", 8000, "", "", ""},
    FormatRow{Codec::Pcmu, "PCMU", 8000, "", "", ""},
    FormatRow{Codec::H264, "H264", 90000, "", "", ""},
    FormatRow{Codec::Speex, "SPEEX", 16000, "rtpspeexpay", "", ""},
    FormatRow{Codec::Speex, "SPEEX", 8000, "rtpspeexpay", "",
              "audio/x-raw,rate=8000,channels=1 ! speexenc quality=${speex_quality}"},
    FormatRow{Codec::Aac, "MPEG4-GENERIC", 0, "rtpmp4gpay", "", kEncodeAac},
    FormatRow{Codec::Aac, "MP4A-LATM", 0, "rtpmp4apay", "rtpmp4adepay", kEncodeAac},
    FormatRow{Codec::Vp8, "VP8", 90000, "rtpvp8pay picture-id-mode=15-bit", "", ""},
    FormatRow{Codec::H263, "H263-2000", 90000, "rtph263ppay", "", ""},
    FormatRow{Codec::H263, "H263-1998", 90000, "rtph263ppay", "", ""},
    FormatRow{Codec::H263, "H263", 90000, "rtph263pay", "rtph263depay", kEncodeH263WithHeaders},
};
#undef JUNCTOR_ENCODE_H263

constexpr std::array kH263Sizes{
    H263Size{"sub-QCIF", 128, 96, 100},  H263Size{"QCIF", 176, 144, 200},
    H263Size{"CIF", 352, 288, 600},      H263Size{"4CIF", 704, 576, 1500},
    H263Size{"16CIF", 1408, 1152, 4000},
};

constexpr std::array kLevels{
    H264Level{10, "1", 176, 144, 60, 15},      H264Level{11, "1.1", 176, 144, 150, 30},
    H264Level{12, "1.2", 320, 240, 350, 20},   H264Level{13, "1.3", 352, 288, 600, 30},
    H264Level{20, "2", 352, 288, 600, 30},     H264Level{21, "2.1", 480, 384, 800, 27},
    H264Level{22, "2.2", 480, 384, 1000, 28},  H264Level{30, "3", 720, 576, 1200, 25},
    H264Level{31, "3.1", 1280, 720, 1800, 30}, H264Level{32, "3.2", 1280, 1024, 2500, 30},
    H264Level{40, "4", 1920, 1088, 4000, 30},
};

}  // namespace

std::span<const CodecRow> codec_rows() { return kRows; }

const CodecRow *find_codec_row(Codec codec) {
  for (const CodecRow &row : kRows)
    if (row.codec == codec) return &row;
  return nullptr;
}

std::string_view spoken(Codec codec) {
  const CodecRow *row = find_codec_row(codec);
  return row ? row->spoken : to_string(codec);
}

std::span<const FormatRow> format_rows() { return kFormats; }

const FormatRow *find_format_row(const rtp::Format &format) {
  for (const FormatRow &row : format_rows())
    if (row.codec == format.codec && row.encoding_name == format.encoding_name &&
        (row.clock_rate == 0 || row.clock_rate == format.clock_rate))
      return &row;
  return nullptr;
}

bool is_as_in_rtmp(const FormatRow &format) {
  return format.codec != Codec::Speex ||
         static_cast<int>(format.clock_rate) == find_codec_row(Codec::Speex)->rate;
}

std::span<const H263Size> h263_sizes() { return kH263Sizes; }

const H263Size &usual_h263_size() { return kH263Sizes[2]; }

int h263_quantizer(const H263Size &size, int kbit_per_second) {
  constexpr int kLargest = 31;
  if (kbit_per_second <= 0 || kbit_per_second >= size.kbit_per_second) return kUsualH263Quantizer;
  // Twice the step takes half the bits, nearly.
  const int needed =
      (kUsualH263Quantizer * size.kbit_per_second + kbit_per_second - 1) / kbit_per_second;
  return std::min(needed, kLargest);
}

int speex_quality(const rtp::SpeexPreferences &preferences, std::uint32_t clock_rate) {
  if (preferences.mode < 0) return kUsualSpeexQuality;
  // Above 8 kHz modes are counted as qualities are (RFC 5574 section 3.3).
  if (clock_rate != 8000) return std::min(preferences.mode, 10);
  // By mode, from 1 to 8: those of 2.15, 5.95, 8, 11, 15, 18.2, 24.6 and 3.95 kbit/s.
  constexpr std::array kQualities{0, 2, 4, 6, 8, 9, 10, 1};
  const auto place = static_cast<std::size_t>(std::clamp(preferences.mode, 1, 8)) - 1;
  return kQualities[place];
}

Vp8Bounds vp8_bounds(const rtp::Vp8Limits &limits) {
  constexpr int kBlock = 16, kMostRate = 30;
  const H264Level &usual = h264_level(31);
  Vp8Bounds bounds{usual.max_width, usual.max_height, usual.kbit_per_second, kMostRate};
  if (limits.max_rate > 0) bounds.max_rate = std::min(limits.max_rate, kMostRate);
  const int usual_blocks = usual.max_width / kBlock * (usual.max_height / kBlock);
  if (limits.max_macroblocks <= 0 || limits.max_macroblocks >= usual_blocks) return bounds;
  // 4 by 3, as nearly as whole macroblocks go: wider and narrower pictures fit into it too.
  const int high =
      std::max(1, static_cast<int>(std::sqrt(static_cast<double>(limits.max_macroblocks) * 3 / 4)));
  const int wide = std::max(1, limits.max_macroblocks / high);
  bounds.max_width = std::min(wide * kBlock, usual.max_width);
  bounds.max_height = std::min(high * kBlock, usual.max_height);
  bounds.kbit_per_second =
      std::max(kLeastPictureKbit, usual.kbit_per_second * limits.max_macroblocks / usual_blocks);
  return bounds;
}

const H264Level &h264_level(std::uint8_t level_idc) {
  const H264Level *best = &kLevels.front();
  for (const H264Level &level : kLevels)
    if (level.level_idc <= level_idc) best = &level;
  return *best;
}

const H264Level &h264_level(const rtp::H264Profile &receiver) {
  constexpr std::uint8_t kSet3 = 0x10;
  const bool baseline_main_or_extended =
      receiver.profile_idc == 66 || receiver.profile_idc == 77 || receiver.profile_idc == 88;
  const bool level_1b =
      receiver.level_idc == 11 && (receiver.constraints & kSet3) != 0 && baseline_main_or_extended;
  return h264_level(level_1b ? std::uint8_t{10} : receiver.level_idc);
}

}  // namespace junctor::calls
