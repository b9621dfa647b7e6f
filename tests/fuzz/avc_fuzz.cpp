// SPDX-License-Identifier: LGPL-2.1-or-later
// H.264 as publishers send it: the configuration, its parameter sets, access units, and the way of
// these into RTP packets.
#include <algorithm>
#include <vector>

#include "common/avc.h"
#include "common/picture_size.h"
#include "input.h"
#include "rtp/core/formats.h"
#include "rtp/core/packetizer.h"

using namespace junctor;

namespace {

using Units = std::vector<Bytes>;

Bytes copy(ByteSpan bytes) { return {bytes.begin(), bytes.end()}; }

/// RFC 6184 from the receiver's side: the NAL units that packets carry.
Units received(const std::vector<rtp::OutgoingPacket> &packets, bool single_nal) {
  Units units;
  for (const rtp::OutgoingPacket &packet : packets) {
    Bytes payload;
    ByteWriter(payload)
        .raw(ByteSpan(packet.prefix).first(packet.prefix_size))
        .raw(packet.payload.view);
    fuzz::require(!payload.empty());
    fuzz::require(single_nal || payload.size() <= rtp::kMaxPayload);
    const auto type = std::to_integer<unsigned>(payload[0] & std::byte{0x1f});
    if (type == 24) {
      fuzz::require(!single_nal);
      ByteReader reader(ByteSpan(payload).subspan(1));
      while (reader.left() > 0) units.push_back(copy(reader.take(reader.u16())));
      fuzz::require(!reader.failed());
    } else if (type == 28) {
      fuzz::require(!single_nal && payload.size() > 2);
      if ((payload[1] & std::byte{0x80}) != std::byte{0})
        units.push_back({(payload[0] & std::byte{0xe0}) | (payload[1] & std::byte{0x1f})});
      fuzz::require(!units.empty());
      units.back().insert(units.back().end(), payload.begin() + 2, payload.end());
    } else {
      units.push_back(payload);
    }
  }
  return units;
}

bool carried(const Bytes &unit) {
  const auto type = std::to_integer<unsigned>(unit[0] & std::byte{0x1f});
  return type > 0 && type < 24;
}

void packetize(ByteSpan record, const AvcConfig &config, ByteSpan access_unit, bool single_nal) {
  auto packetizer = rtp::H264Packetizer::make(record);
  fuzz::require(static_cast<bool>(packetizer));
  (*packetizer)->set_single_nal(single_nal);
  rtp::Frame frame;
  frame.data = SharedBytes::copy(access_unit);
  std::vector<rtp::OutgoingPacket> packets;
  const bool taken = static_cast<bool>((*packetizer)->add(frame, packets));

  Units sent;
  const auto walked = for_each_nal(access_unit, config.nal_length_size,
                                   [&](ByteSpan unit) { sent.push_back(copy(unit)); });
  fuzz::require(taken == static_cast<bool>(walked));
  if (!taken) {
    fuzz::require(packets.empty());
    return;
  }
  std::erase_if(sent, [](const Bytes &unit) { return !carried(unit); });
  Units got = received(packets, single_nal);
  // Parameter sets may stand in front, but behind a delimiter, which is always the first.
  fuzz::require(got.size() >= sent.size());
  if (!sent.empty() && (sent[0][0] & std::byte{0x1f}) == std::byte{9}) {
    fuzz::require(got[0] == sent[0]);
    got.erase(got.begin());
    sent.erase(sent.begin());
  }
  fuzz::require(std::equal(sent.begin(), sent.end(), got.end() - static_cast<long>(sent.size())));
  for (std::size_t i = 0; i < packets.size(); ++i)
    fuzz::require(packets[i].marker == (i + 1 == packets.size()));
}

void look_at_size(ByteSpan sps) {
  for (const auto payload : {SpsPayload::Unescaped, SpsPayload::AsItStands}) {
    const auto size = picture_size(sps, payload);
    fuzz::require(!size ||
                  (size->width > 0 && size->height > 0 && size->coded_width >= size->width &&
                   size->coded_height >= size->height));
  }
}

}  // namespace

// A bit for the packetization mode, 2 bytes of length, a configuration of that length, then one
// access unit.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const ByteSpan input = fuzz::input(data, size);
  look_at_size(input);
  ByteReader reader(input);
  const bool single_nal = reader.u8() & 1;
  const std::size_t length = reader.u16();
  const ByteSpan record = reader.take(length);
  const ByteSpan access_unit = reader.rest();
  static_cast<void>(rtp::H264Profile::from_avcc(record));
  const auto config = parse_avc_config(record);
  if (reader.failed() || !config) return 0;
  for (const ByteSpan sps : config->sps) look_at_size(sps);

  const auto built = build_avc_config(config->sps, config->pps);
  fuzz::require(static_cast<bool>(built));
  const auto again = parse_avc_config(*built);
  fuzz::require(again && again->profile == config->profile && again->level == config->level &&
                again->sps.size() == config->sps.size() && again->pps.size() == config->pps.size());

  const bool walked = static_cast<bool>(for_each_nal(
      access_unit, config->nal_length_size, [](ByteSpan unit) { fuzz::require(!unit.empty()); }));
  fuzz::require(static_cast<bool>(inspect_access_unit(access_unit, config->nal_length_size)) ==
                walked);
  packetize(record, *config, access_unit, single_nal);
  return 0;
}
