// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/codec_table.h"

#include <array>

namespace junctor::calls {

namespace {

// One encoder thread at most. AAC at 44.1 kHz: its own delay is 40 ms there and three times that at
// 16 kHz.
constexpr std::array kRows{
    CodecRow{Codec::Pcma, "alawdec", "audio/x-raw,rate=8000,channels=1 ! alawenc", "",
             "rtppcmadepay"},
    CodecRow{Codec::Pcmu, "mulawdec", "audio/x-raw,rate=8000,channels=1 ! mulawenc", "",
             "rtppcmudepay"},
    CodecRow{Codec::Aac, "aacparse ! avdec_aac",
             "audio/x-raw,rate=44100,channels=1 ! voaacenc bitrate=64000 ! "
             "audio/mpeg,mpegversion=4,stream-format=raw ! aacparse",
             std::nullopt, ""},
    CodecRow{Codec::H264, "h264parse ! avdec_h264 max-threads=1",
             "video/x-raw,format=I420,width=[16,${max_width},2],height=[16,${max_height},2],"
             "pixel-aspect-ratio=1/1 ! x264enc tune=zerolatency speed-preset=ultrafast threads=1 "
             "key-int-max=60 bitrate=${kbit} ${slices} ! "
             "video/x-h264,profile=constrained-baseline,level=(string)${level},stream-format=avc,"
             "alignment=au",
             "", "rtph264depay ! video/x-h264,stream-format=avc,alignment=au"},
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

const H264Level &h264_level(std::uint8_t level_idc) {
  const H264Level *best = &kLevels.front();
  for (const H264Level &level : kLevels)
    if (level.level_idc <= level_idc) best = &level;
  return *best;
}

}  // namespace junctor::calls
