// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/avc.h"

#include <string>

namespace junctor {

namespace {

enum NalType : std::uint8_t { kFirstSlice = 1, kIdrSlice = 5, kSps = 7, kPps = 8 };

std::uint8_t nal_type(ByteSpan nal) { return std::to_integer<std::uint8_t>(nal[0]) & 0x1f; }

constexpr std::size_t kShortestSps = 4;  // header, profile, constraints, level

/// `count` parameter sets, each behind 2 bytes of length.
Result<std::vector<ByteSpan>> parameter_sets(ByteReader &reader, int count, NalType type,
                                             std::size_t shortest, const char *name) {
  std::vector<ByteSpan> sets;
  for (int i = 0; i < count; ++i) {
    const ByteSpan set = reader.take(reader.u16());
    if (reader.failed())
      return bad_input(std::string("The AVC configuration ends inside its ") + name + ".");
    if (set.size() < shortest || nal_type(set) != type)
      return bad_input(std::string("The AVC configuration's ") + name + " is none.");
    sets.push_back(set);
  }
  if (sets.empty()) return bad_input(std::string("The AVC configuration has no ") + name + ".");
  return sets;
}

}  // namespace

Result<AvcConfig> parse_avc_config(ByteSpan record) {
  ByteReader reader(record);
  const std::uint8_t version = reader.u8();
  reader.skip(3);  // copies of the SPS's bytes, which are taken from there
  const int length_size = (reader.u8() & 3) + 1;
  const int sps_count = reader.u8() & 0x1f;
  if (reader.failed())
    return bad_input("The AVC configuration has only " + std::to_string(record.size()) + " bytes.");
  if (version != 1)
    return bad_input("The AVC configuration has version " + std::to_string(version) +
                     " instead of 1.");
  if (length_size == 3) return bad_input("The AVC configuration has NAL lengths of 3 bytes.");
  auto sps = parameter_sets(reader, sps_count, kSps, kShortestSps, "SPS");
  if (!sps) return sps.error();
  const int pps_count = reader.u8();
  if (reader.failed()) return bad_input("The AVC configuration ends before its PPS.");
  auto pps = parameter_sets(reader, pps_count, kPps, 1, "PPS");
  if (!pps) return pps.error();
  AvcConfig config;
  config.nal_length_size = length_size;
  config.sps = std::move(*sps);
  config.pps = std::move(*pps);
  ByteReader first(config.sps[0].subspan(1));
  config.profile = first.u8();
  config.constraints = first.u8();
  config.level = first.u8();
  return config;
}

Result<Bytes> build_avc_config(std::span<const ByteSpan> sps, std::span<const ByteSpan> pps) {
  if (sps.empty() || sps.size() > 31 || pps.empty() || pps.size() > 255)
    return bad_input("An AVC configuration needs 1 to 31 SPS and 1 to 255 PPS.");
  for (const ByteSpan set : sps)
    if (set.size() < kShortestSps || set.size() > 0xffff || nal_type(set) != kSps)
      return bad_input("What is given as an SPS is none.");
  for (const ByteSpan set : pps)
    if (set.empty() || set.size() > 0xffff || nal_type(set) != kPps)
      return bad_input("What is given as a PPS is none.");
  Bytes record;
  ByteWriter writer(record);
  writer.u8(1).raw(sps[0].subspan(1, 3)).u8(0xff).u8(0xe0 | sps.size());
  for (const ByteSpan set : sps) writer.u16(set.size()).raw(set);
  writer.u8(pps.size());
  for (const ByteSpan set : pps) writer.u16(set.size()).raw(set);
  // The profiles with chroma formats have 4 more bytes (14496-15, 5.3.3.1.2); readers do without,
  // and the SPS has the truth.
  return record;
}

Result<void> for_each_nal(ByteSpan access_unit, int nal_length_size,
                          const std::function<void(ByteSpan nal)> &each) {
  for (const bool calling : {false, true}) {
    ByteReader reader(access_unit);
    while (reader.left() > 0) {
      std::size_t length = 0;
      for (int i = 0; i < nal_length_size; ++i) length = length << 8 | reader.u8();
      const ByteSpan nal = reader.take(length);
      if (reader.failed())
        return bad_input("A NAL unit of " + std::to_string(length) + " bytes goes beyond its tag.");
      if (calling && !nal.empty()) each(nal);
    }
  }
  return {};
}

Result<AvcPicture> inspect_access_unit(ByteSpan access_unit, int nal_length_size) {
  AvcPicture picture;
  auto walked = for_each_nal(access_unit, nal_length_size, [&](ByteSpan nal) {
    const std::uint8_t type = nal_type(nal);
    if (type < kFirstSlice || type > kIdrSlice) return;
    picture.slices = true;
    picture.idr |= type == kIdrSlice;
    picture.reference |= (std::to_integer<std::uint8_t>(nal[0]) & 0x60) != 0;
  });
  if (!walked) return walked.error();
  return picture;
}

}  // namespace junctor
