// SPDX-License-Identifier: LGPL-2.1-or-later
// A series of FLV tags to one reader.
#include <algorithm>

#include "common/avc.h"
#include "input.h"
#include "rtmp/core/aac.h"
#include "rtmp/core/tag.h"

using namespace junctor;
using namespace junctor::rtmp;

namespace {

bool same(ByteSpan a, ByteSpan b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

/// What was read, written in `style` and read again, is the same.
void round_trip(const Track &track, const Frame &frame, TagStyle style) {
  // A new reader wants a key frame of VP8 first.
  if (track.codec == Codec::Vp8 && !frame.key) return;
  TagReader reader(frame.medium);
  const Bytes config = config_body(track, style);
  const auto told = reader.read(SharedBytes::copy(config), 0);
  fuzz::require(static_cast<bool>(told));
  Bytes body;
  ByteWriter(body).raw(frame_prefix(track, frame, style).view()).raw(frame.data.view);
  const auto read = reader.read(SharedBytes::own(std::move(body)), frame.dts);
  fuzz::require(read && read->frame);
  fuzz::require(same(read->frame->data.view, frame.data.view));
  fuzz::require(read->frame->key == frame.key);
  if (track.codec == Codec::H264)
    fuzz::require(read->frame->composition == frame.composition &&
                  read->frame->droppable == frame.droppable);
}

}  // namespace

// A byte for the medium, then tags, each behind 2 bytes of length.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  if (size == 0) return 0;
  const ByteSpan input = fuzz::input(data, size);
  ByteReader reader(input.subspan(1));
  TagReader tags(data[0] & 1 ? Medium::Video : Medium::Audio);
  while (reader.left() > 2) {
    const std::size_t wanted = reader.u16();
    const ByteSpan body = reader.take(std::min(wanted, reader.left()));
    const auto content = tags.read(SharedBytes::copy(body), 1234);
    if (!content) continue;
    if (content->track) {
      fuzz::require(tags.track().has_value());
      if (content->track->codec == Codec::H264) {
        const auto config = parse_avc_config(content->track->config.view);
        fuzz::require(static_cast<bool>(config));
        fuzz::require(static_cast<bool>(build_avc_config(config->sps, config->pps)));
      }
      if (content->track->codec == Codec::Aac)
        fuzz::require(static_cast<bool>(parse_audio_specific_config(content->track->config.view)));
    }
    if (content->frame) {
      fuzz::require(tags.track().has_value());
      round_trip(*tags.track(), *content->frame, TagStyle::Legacy);
      round_trip(*tags.track(), *content->frame, TagStyle::Enhanced);
    }
  }
  return 0;
}
