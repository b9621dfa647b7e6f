// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sfu/core/congestion_feedback.h"

#include <algorithm>
#include <array>

namespace junctor::sfu {

namespace {

constexpr std::uint8_t kTransportLayer = 205, kPayloadSpecific = 206;
constexpr unsigned kTransportWide = 15, kApplicationLayer = 15;  // FMT of each
constexpr std::uint32_t kRembName = 0x52454D42;                  // "REMB"
constexpr Quarters kReferenceStep = 256;                         // 64 ms

enum Symbol : std::uint8_t { kLost = 0, kSmall = 1, kLarge = 2 };

/// `packets` may still be told of; it is less by as many as this one claims, right or wrong.
std::optional<TransportFeedback> read_feedback(ByteReader &reader, std::size_t &packets) {
  TransportFeedback feedback;
  feedback.sender = reader.u32();
  feedback.media = reader.u32();
  feedback.base = reader.u16();
  const std::size_t count = reader.u16();
  const auto reference = static_cast<std::int32_t>(reader.u24() << 8) >> 8;  // signed
  feedback.number = reader.u8();
  if (reader.failed() || count == 0 || count > packets) return std::nullopt;
  packets -= count;
  std::vector<std::uint8_t> symbols;
  symbols.reserve(count + 14);
  while (symbols.size() < count) {
    const unsigned chunk = reader.u16();
    if (reader.failed()) return std::nullopt;
    if ((chunk & 0x8000U) == 0) {
      const std::size_t run = std::min<std::size_t>(chunk & 0x1fffU, count - symbols.size());
      if (run == 0) return std::nullopt;
      symbols.insert(symbols.end(), run, static_cast<std::uint8_t>(chunk >> 13 & 3U));
    } else if ((chunk & 0x4000U) == 0) {
      for (unsigned bit = 14; bit-- > 0;)
        symbols.push_back(static_cast<std::uint8_t>(chunk >> bit & 1U));
    } else {
      for (unsigned pair = 7; pair-- > 0;)
        symbols.push_back(static_cast<std::uint8_t>(chunk >> (2 * pair) & 3U));
    }
  }
  feedback.arrivals.reserve(count);
  Quarters at = Quarters{reference} * kReferenceStep;
  for (std::size_t i = 0; i < count; ++i) {
    if (symbols[i] == kSmall) {
      at += reader.u8();
    } else if (symbols[i] == kLarge) {
      at += static_cast<std::int16_t>(reader.u16());
    } else {
      if (symbols[i] != kLost) return std::nullopt;
      feedback.arrivals.emplace_back();
      continue;
    }
    feedback.arrivals.emplace_back(at);
  }
  if (reader.failed()) return std::nullopt;
  return feedback;
}

std::optional<Remb> read_remb(ByteReader &reader) {
  Remb remb;
  remb.sender = reader.u32();
  reader.skip(4);
  if (reader.u32() != kRembName) return std::nullopt;
  const std::size_t count = reader.u8();
  const std::uint32_t rate = reader.u24();
  const unsigned exponent = rate >> 18;
  remb.bits_per_second = std::uint64_t{rate & 0x3ffffU} << std::min(exponent, 45U);
  if (reader.failed() || reader.left() < count * 4) return std::nullopt;
  for (std::size_t i = 0; i < count; ++i) remb.ssrcs.push_back(reader.u32());
  return remb;
}

/// Sets the length of the packet that begins at `start`, and fills its last word.
void finish(Bytes &out, std::size_t start) {
  while ((out.size() - start) % 4 != 0) out.push_back(std::byte{0});
  const std::size_t words = (out.size() - start) / 4 - 1;
  out[start + 2] = static_cast<std::byte>(words >> 8);
  out[start + 3] = static_cast<std::byte>(words);
}

}  // namespace

std::vector<CongestionItem> read_congestion(ByteSpan compound, std::size_t packets) {
  std::vector<CongestionItem> items;
  ByteReader reader(compound);
  while (reader.left() >= 4) {
    const unsigned first = reader.u8();
    const std::uint8_t type = reader.u8();
    const ByteSpan body = reader.take(std::size_t{reader.u16()} * 4);
    if (reader.failed()) break;
    ByteReader inner(body);
    const unsigned format = first & 0x1fU;
    if (type == kTransportLayer && format == kTransportWide) {
      if (auto feedback = read_feedback(inner, packets)) items.emplace_back(std::move(*feedback));
    } else if (type == kPayloadSpecific && format == kApplicationLayer) {
      if (auto remb = read_remb(inner)) items.emplace_back(std::move(*remb));
    }
  }
  return items;
}

void append(Bytes &out, const TransportFeedback &feedback) {
  const std::size_t start = out.size();
  Quarters at = 0;
  const auto first =
      std::ranges::find_if(feedback.arrivals, [](const auto &each) { return each.has_value(); });
  if (first != feedback.arrivals.end())
    at = (**first >= 0 ? **first : **first - kReferenceStep + 1) / kReferenceStep * kReferenceStep;
  ByteWriter writer(out);
  writer.u8(0x80U | kTransportWide).u8(kTransportLayer).u16(0);
  writer.u32(feedback.sender).u32(feedback.media);
  writer.u16(feedback.base).u16(feedback.arrivals.size());
  writer.u24(static_cast<std::uint64_t>(at / kReferenceStep) & 0xffffffU).u8(feedback.number);
  std::vector<std::uint8_t> symbols;
  std::vector<std::int64_t> deltas;
  for (const auto &each : feedback.arrivals) {
    const std::int64_t delta = each ? *each - at : 0;
    if (!each || delta < INT16_MIN || delta > INT16_MAX) {
      symbols.push_back(kLost);
      continue;
    }
    symbols.push_back(delta >= 0 && delta <= 255 ? kSmall : kLarge);
    deltas.push_back(delta);
    at = *each;
  }
  for (std::size_t i = 0; i < symbols.size();) {
    std::size_t run = 1;
    while (i + run < symbols.size() && symbols[i + run] == symbols[i] && run < 0x1fff) ++run;
    if (run >= 7 || i + run == symbols.size()) {
      writer.u16(std::uint64_t{symbols[i]} << 13 | run);
      i += run;
      continue;
    }
    unsigned chunk = 0xC000U;
    for (unsigned k = 0; k < 7; ++k)
      if (i + k < symbols.size()) chunk |= unsigned{symbols[i + k]} << (2 * (6 - k));
    writer.u16(chunk);
    i = std::min(i + 7, symbols.size());
  }
  std::size_t next = 0;
  for (const std::uint8_t symbol : symbols) {
    if (symbol == kSmall)
      writer.u8(static_cast<std::uint64_t>(deltas[next++]));
    else if (symbol == kLarge)
      writer.u16(static_cast<std::uint16_t>(deltas[next++]));
  }
  finish(out, start);
}

void append(Bytes &out, const Remb &remb) {
  const std::size_t start = out.size();
  unsigned exponent = 0;
  while (remb.bits_per_second >> exponent > 0x3ffff) ++exponent;
  ByteWriter writer(out);
  writer.u8(0x80U | kApplicationLayer).u8(kPayloadSpecific).u16(0);
  writer.u32(remb.sender).u32(0).u32(kRembName);
  const std::size_t count = std::min<std::size_t>(remb.ssrcs.size(), 255);
  writer.u8(count).u24(std::uint64_t{exponent} << 18 | remb.bits_per_second >> exponent);
  for (std::size_t i = 0; i < count; ++i) writer.u32(remb.ssrcs[i]);
  finish(out, start);
}

}  // namespace junctor::sfu
