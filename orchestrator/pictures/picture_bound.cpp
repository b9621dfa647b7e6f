// SPDX-License-Identifier: LGPL-2.1-or-later
#include "pictures/picture_bound.h"

#include <algorithm>
#include <array>

#include "common/avc.h"
#include "common/picture_size.h"
#include "rtmp/core/picture.h"

namespace junctor::pictures {

namespace {

constexpr std::size_t kShortestSps = 4;  // header, profile, constraints, level

bool is_sps(ByteSpan nal) { return (std::to_integer<unsigned>(nal[0]) & 0x1f) == 7; }

/// Profiles of several views, whose parameter sets decoders read in another way than they are
/// written.
bool is_multiview(ByteSpan sps) {
  constexpr std::array<unsigned, 5> kProfiles = {118, 128, 134, 135, 139};
  return std::ranges::find(kProfiles, std::to_integer<unsigned>(sps[1])) != kProfiles.end();
}

std::string written(int width, int height) {
  return std::to_string(width) + "x" + std::to_string(height);
}

}  // namespace

bool PictureBound::fits(int width, int height) {
  if (may_be_decoded(width, height)) return true;
  too_large_ = written(width, height);
  return false;
}

bool PictureBound::fits(ByteSpan sps) {
  if (sps.size() < kShortestSps || is_multiview(sps)) return false;
  const auto size = picture_size(sps);
  if (!size || !fits(size->coded_width, size->coded_height)) return false;
  // What libav makes of a set in which it finds nothing is read in another way once more.
  const auto other = picture_size(sps, SpsPayload::AsItStands);
  return !other || fits(other->coded_width, other->coded_height);
}

bool PictureBound::configure(ByteSpan record) {
  const auto config = parse_avc_config(record);
  open_ = config && std::ranges::all_of(config->sps, [this](ByteSpan sps) { return fits(sps); });
  nal_length_size_ = config ? config->nal_length_size : 0;
  return open_;
}

bool PictureBound::admit(ByteSpan picture) {
  if (codec_ != Codec::H264) {
    const auto told = rtmp::parse_picture(codec_, picture);
    // H.263 has no size that would be too large; of others nothing is decoded that is not known.
    if (!told) return codec_ == Codec::H263;
    if (told->width > 0 || told->height > 0) open_ = fits(told->width, told->height);
    return open_;
  }
  if (nal_length_size_ == 0) return false;
  bool told = false, all_fit = true;
  const auto walked = for_each_nal(picture, nal_length_size_, [&](ByteSpan nal) {
    if (!is_sps(nal)) return;
    told = true;
    all_fit = all_fit && fits(nal);
  });
  if (!walked) return false;
  if (told) open_ = all_fit;
  return open_;
}

std::string too_large_to_decode(const rtmp::Track &track) {
  if (medium_of(track.codec) != Medium::Video) return "";
  if (track.codec == Codec::H264) {
    const auto config = parse_avc_config(track.config.view);
    if (!config) return "";
    for (const ByteSpan sps : config->sps)
      if (const auto size = picture_size(sps);
          size && !may_be_decoded(size->coded_width, size->coded_height))
        return written(size->coded_width, size->coded_height);
    return "";
  }
  return may_be_decoded(track.width, track.height) ? "" : written(track.width, track.height);
}

}  // namespace junctor::pictures
