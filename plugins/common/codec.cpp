// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/codec.h"

#include <array>

namespace junctor {

namespace {

struct Row {
  Codec codec;
  Medium medium;
  std::string_view name;
};

constexpr std::array kRows{
    Row{Codec::Pcma, Medium::Audio, "pcma"}, Row{Codec::Pcmu, Medium::Audio, "pcmu"},
    Row{Codec::Aac, Medium::Audio, "aac"},   Row{Codec::Speex, Medium::Audio, "speex"},
    Row{Codec::H263, Medium::Video, "h263"}, Row{Codec::Sorenson, Medium::Video, "sorenson"},
    Row{Codec::H264, Medium::Video, "h264"}, Row{Codec::Vp8, Medium::Video, "vp8"},
};

const Row &row(Codec codec) {
  for (const Row &candidate : kRows)
    if (candidate.codec == codec) return candidate;
  return kRows[0];
}

}  // namespace

std::string_view to_string(Medium medium) { return medium == Medium::Audio ? "audio" : "video"; }

std::string_view to_string(Codec codec) { return row(codec).name; }

std::optional<Codec> codec_from_string(std::string_view name) {
  for (const Row &candidate : kRows)
    if (candidate.name == name) return candidate.codec;
  return std::nullopt;
}

Medium medium_of(Codec codec) { return row(codec).medium; }

}  // namespace junctor
