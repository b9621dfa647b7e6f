// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/rtcp.h"

#include <algorithm>

namespace junctor::rtp::rtcp {

namespace {

enum PacketType : std::uint8_t {
  kSenderReport = 200,
  kReceiverReport = 201,
  kSourceDescription = 202,
  kBye = 203,
  kTransportFeedback = 205,
  kPayloadFeedback = 206,
};
constexpr unsigned kGenericNack = 1;  // of kTransportFeedback
constexpr unsigned kPli = 1;          // of kPayloadFeedback
constexpr unsigned kFir = 4;
constexpr std::uint8_t kCname = 1;
constexpr std::size_t kMaxCount = 31;
constexpr std::size_t kMaxText = 255;

ReportBlock read_block(ByteReader &reader) {
  ReportBlock block;
  block.ssrc = reader.u32();
  block.fraction_lost = reader.u8();
  const std::uint32_t lost = reader.u24();
  block.cumulative_lost = static_cast<std::int32_t>(lost << 8) >> 8;  // sign-extends 24 bits
  block.highest_sequence = reader.u32();
  block.jitter = reader.u32();
  block.last_sr = reader.u32();
  block.delay_since_last_sr = reader.u32();
  return block;
}

std::vector<ReportBlock> read_blocks(ByteReader &reader, unsigned count) {
  std::vector<ReportBlock> blocks;
  for (unsigned i = 0; i < count && !reader.failed(); ++i) blocks.push_back(read_block(reader));
  return blocks;
}

std::string text_of(ByteSpan bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

// RFC 3550 section 6.5: chunks of an SSRC and items, ended by a zero and padded to a word.
bool read_descriptions(ByteReader &reader, unsigned count, std::vector<Item> &items) {
  for (unsigned i = 0; i < count; ++i) {
    SourceDescription description;
    const std::size_t start = reader.left();
    description.ssrc = reader.u32();
    for (;;) {
      const std::uint8_t type = reader.u8();
      if (reader.failed()) return false;
      if (type == 0) break;
      const ByteSpan text = reader.take(reader.u8());
      if (reader.failed()) return false;
      if (type == kCname) description.cname = text_of(text);
    }
    const std::size_t used = start - reader.left();
    reader.skip((4 - used % 4) % 4);
    if (reader.failed()) return false;
    items.emplace_back(std::move(description));
  }
  return true;
}

bool read_body(std::uint8_t type, unsigned count, ByteSpan body, std::vector<Item> &items) {
  ByteReader reader(body);
  switch (type) {
    case kSenderReport: {
      SenderReport report;
      report.ssrc = reader.u32();
      report.ntp = reader.u64();
      report.rtp_timestamp = reader.u32();
      report.packets = reader.u32();
      report.octets = reader.u32();
      report.blocks = read_blocks(reader, count);
      if (reader.failed()) return false;
      items.emplace_back(std::move(report));
      return true;
    }
    case kReceiverReport: {
      ReceiverReport report;
      report.ssrc = reader.u32();
      report.blocks = read_blocks(reader, count);
      if (reader.failed()) return false;
      items.emplace_back(std::move(report));
      return true;
    }
    case kSourceDescription:
      return read_descriptions(reader, count, items);
    case kBye: {
      Bye bye;
      for (unsigned i = 0; i < count; ++i) bye.ssrcs.push_back(reader.u32());
      if (reader.failed()) return false;
      if (reader.left() > 0) bye.reason = text_of(reader.take(reader.u8()));
      if (reader.failed()) return false;
      items.emplace_back(std::move(bye));
      return true;
    }
    case kTransportFeedback:
    case kPayloadFeedback: {
      const std::uint32_t sender = reader.u32();
      const std::uint32_t media = reader.u32();
      if (reader.failed()) return false;
      if (type == kTransportFeedback && count == kGenericNack) {
        Nack nack{sender, media, {}};
        while (reader.left() >= 4) {
          const std::uint16_t first = reader.u16();
          const std::uint16_t following = reader.u16();
          nack.lost.push_back(first);
          for (unsigned bit = 0; bit < 16; ++bit)
            if (following >> bit & 1U)
              nack.lost.push_back(static_cast<std::uint16_t>(first + bit + 1));
        }
        items.emplace_back(std::move(nack));
      } else if (type == kPayloadFeedback && count == kPli) {
        items.emplace_back(Pli{sender, media});
      } else if (type == kPayloadFeedback && count == kFir) {
        // The media is named in each entry; the head's field is zero.
        while (reader.left() >= 8) {
          const std::uint32_t target = reader.u32();
          const std::uint8_t request = reader.u8();
          reader.skip(3);
          items.emplace_back(Fir{sender, target, request});
        }
      }
      return true;
    }
    default:
      return true;
  }
}

// Writes the head, and its length when it goes out of scope.
class PacketScope {
 public:
  PacketScope(Bytes &out, PacketType type, std::size_t count) : out_(out), start_(out.size()) {
    ByteWriter(out_).u8(0x80U | count).u8(type).u16(0);
  }
  PacketScope(const PacketScope &) = delete;
  PacketScope &operator=(const PacketScope &) = delete;
  ~PacketScope() {
    const std::size_t words = (out_.size() - start_) / 4 - 1;
    out_[start_ + 2] = static_cast<std::byte>(words >> 8);
    out_[start_ + 3] = static_cast<std::byte>(words);
  }

 private:
  Bytes &out_;
  std::size_t start_;
};

void write_blocks(ByteWriter &writer, const std::vector<ReportBlock> &blocks) {
  for (std::size_t i = 0; i < std::min(blocks.size(), kMaxCount); ++i) {
    const ReportBlock &block = blocks[i];
    const std::int32_t lost = std::clamp(block.cumulative_lost, -0x800000, 0x7fffff);
    writer.u32(block.ssrc)
        .u8(block.fraction_lost)
        .u24(static_cast<std::uint32_t>(lost))
        .u32(block.highest_sequence)
        .u32(block.jitter)
        .u32(block.last_sr)
        .u32(block.delay_since_last_sr);
  }
}

}  // namespace

Result<std::vector<Item>> parse(ByteSpan datagram) {
  std::vector<Item> items;
  ByteReader reader(datagram);
  if (datagram.empty()) return bad_input("RTCP: empty datagram");
  while (reader.left() > 0) {
    const std::uint8_t first = reader.u8();
    const std::uint8_t type = reader.u8();
    const std::size_t length = std::size_t{reader.u16()} * 4;
    ByteSpan body = reader.take(length);
    if (reader.failed()) return bad_input("RTCP: packet longer than its datagram");
    if (first >> 6 != 2) return bad_input("RTCP: version is not 2");
    if (type < 192 || type > 223) return bad_input("RTCP: not an RTCP packet type");
    if (first & 0x20) {
      // Only the last packet of a compound may be padded.
      if (reader.left() > 0 || body.empty()) return bad_input("RTCP: padding in the middle");
      const auto padding = std::to_integer<std::size_t>(body.back());
      if (padding == 0 || padding > body.size()) return bad_input("RTCP: padding too long");
      body = body.first(body.size() - padding);
    }
    if (!read_body(type, first & 0x1fU, body, items))
      return bad_input("RTCP: packet of type " + std::to_string(type) + " ends too early");
  }
  return items;
}

void append(Bytes &out, const SenderReport &report) {
  const PacketScope scope(out, kSenderReport, std::min(report.blocks.size(), kMaxCount));
  ByteWriter writer(out);
  writer.u32(report.ssrc).u64(report.ntp).u32(report.rtp_timestamp);
  writer.u32(report.packets).u32(report.octets);
  write_blocks(writer, report.blocks);
}

void append(Bytes &out, const ReceiverReport &report) {
  const PacketScope scope(out, kReceiverReport, std::min(report.blocks.size(), kMaxCount));
  ByteWriter writer(out);
  writer.u32(report.ssrc);
  write_blocks(writer, report.blocks);
}

void append(Bytes &out, const SourceDescription &description) {
  const PacketScope scope(out, kSourceDescription, 1);
  ByteWriter writer(out);
  const std::string_view cname = std::string_view(description.cname).substr(0, kMaxText);
  writer.u32(description.ssrc).u8(kCname).u8(cname.size()).text(cname);
  // At least one zero ends the chunk; more fill the word.
  for (std::size_t end = 4 - (2 + cname.size()) % 4; end > 0; --end) writer.u8(0);
}

void append(Bytes &out, const Bye &bye) {
  const std::size_t count = std::min(bye.ssrcs.size(), kMaxCount);
  const PacketScope scope(out, kBye, count);
  ByteWriter writer(out);
  for (std::size_t i = 0; i < count; ++i) writer.u32(bye.ssrcs[i]);
  if (bye.reason.empty()) return;
  const std::string_view reason = std::string_view(bye.reason).substr(0, kMaxText);
  writer.u8(reason.size()).text(reason);
  for (std::size_t fill = (4 - (1 + reason.size()) % 4) % 4; fill > 0; --fill) writer.u8(0);
}

void append(Bytes &out, const Pli &pli) {
  const PacketScope scope(out, kPayloadFeedback, kPli);
  ByteWriter(out).u32(pli.sender).u32(pli.media);
}

void append(Bytes &out, const Fir &fir) {
  const PacketScope scope(out, kPayloadFeedback, kFir);
  ByteWriter(out).u32(fir.sender).u32(0).u32(fir.media).u8(fir.request).u24(0);
}

void append(Bytes &out, const Nack &nack) {
  const PacketScope scope(out, kTransportFeedback, kGenericNack);
  ByteWriter writer(out);
  writer.u32(nack.sender).u32(nack.media);
  for (std::size_t i = 0; i < nack.lost.size();) {
    const std::uint16_t first = nack.lost[i++];
    std::uint16_t following = 0;
    for (; i < nack.lost.size(); ++i) {
      const auto distance = static_cast<std::uint16_t>(nack.lost[i] - first);
      if (distance == 0 || distance > 16) break;
      following = static_cast<std::uint16_t>(following | 1U << (distance - 1));
    }
    writer.u16(first).u16(following);
  }
}

}  // namespace junctor::rtp::rtcp
