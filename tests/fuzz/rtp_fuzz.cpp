// SPDX-License-Identifier: LGPL-2.1-or-later
// RTP packets, their way through the reorder buffer, and the frames of sound in them.
#include <algorithm>
#include <cstdlib>

#include "rtp/core/depacketizer.h"
#include "rtp/core/h264_depacketizer.h"
#include "rtp/core/packet.h"
#include "rtp/core/picture_depacketizer.h"
#include "rtp/core/playout_clock.h"
#include "rtp/core/reorder.h"
#include "rtp/core/unwrap.h"

using namespace junctor;
using namespace junctor::rtp;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void parse_one(ByteSpan datagram) {
  const auto view = parse_packet(datagram);
  if (!view) return;
  require(view->header_size + view->payload.size() <= datagram.size());
  const Bytes built = build_packet(view->header, view->payload);
  const auto again = parse_packet(built);
  require(again && again->header.ssrc == view->header.ssrc &&
          std::ranges::equal(again->payload, view->payload));
}

// Each four bytes are a packet: sequence, delay in ms, timestamp step. However they come, what goes
// out rises, and nothing is held beyond its bounds.
void reorder(ByteSpan script) {
  ReorderBuffer buffer(ReorderWait(std::chrono::milliseconds(20), std::chrono::milliseconds(40)));
  Unwrapper<std::uint32_t> timestamps;
  PlayoutClock clock(Medium::Video, 90000, std::make_shared<LipSync>());
  std::vector<IncomingPacket> out;
  Time now{std::chrono::seconds(1)};
  std::uint32_t timestamp = 0;
  std::size_t pushed = 0;
  ByteReader reader(script);
  while (reader.left() >= 4) {
    IncomingPacket packet;
    packet.sequence = reader.u16();
    now += std::chrono::milliseconds(reader.u8());
    timestamp += static_cast<std::uint32_t>(reader.u8()) << 20;
    packet.arrival = now;
    packet.extended_timestamp = timestamps.push(timestamp);
    buffer.push(std::move(packet), out);
    buffer.expire(now, out);
    ++pushed;
    const auto deadline = buffer.deadline();
    require(!deadline || *deadline > now);
    require(buffer.missing(100000).size() <= ReorderBuffer::kMaxDropout);
  }
  require(out.size() <= pushed);
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (i > 0 && !out[i].discontinuity)
      require(out[i].sequence == static_cast<std::uint16_t>(out[i - 1].sequence + 1));
    clock.map(out[i].extended_timestamp, out[i].arrival.time_since_epoch(), false);
  }
}

// Packets of frames: for each a byte of flags, a length, and so many bytes. No frame is empty or
// longer than it may be.
void depacketize(ByteSpan script, Depacketizer &depacketizer, std::size_t most) {
  ByteReader reader(script);
  std::vector<UnpackedFrame> frames;
  while (reader.left() >= 2) {
    const std::uint8_t flags = reader.u8();
    const ByteSpan payload = reader.take(std::min<std::size_t>(reader.u8(), reader.left()));
    IncomingPacket packet;
    Bytes bytes(packet.header_size);
    ByteWriter(bytes).raw(payload);
    packet.packet = SharedBytes::own(std::move(bytes));
    packet.payload_size = payload.size();
    packet.marker = (flags & 1) != 0;
    packet.discontinuity = (flags & 2) != 0;
    packet.new_source = (flags & 4) != 0;
    packet.extended_timestamp = flags >> 3;
    [[maybe_unused]] const auto read = depacketizer.add(packet, frames);
    for (const UnpackedFrame &frame : frames)
      require(!frame.data.view.empty() && frame.data.view.size() <= most);
    frames.clear();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const ByteSpan input = std::as_bytes(std::span(data, size));
  parse_one(input);
  reorder(input);
  constexpr std::size_t kMostAac = (1 << 13) - 1;  // what an AU header can say
  AacDepacketizer aac;
  depacketize(input, aac, kMostAac);
  H264Depacketizer h264;
  depacketize(input, h264, H264Depacketizer::kMostBytes);
  Vp8Depacketizer vp8;
  depacketize(input, vp8, PictureDepacketizer::kMostBytes);
  H263PlusDepacketizer h263;
  depacketize(input, h263, PictureDepacketizer::kMostBytes);
  return 0;
}
