// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/packetizer.h"

#include <algorithm>
#include <utility>

#include "common/avc.h"

namespace junctor::rtp {

namespace {

constexpr std::uint32_t kVideoClock = 90000;
// NAL unit types (H.264 table 7-1, RFC 6184 table 1).
constexpr std::uint8_t kIdrSlice = 5, kSps = 7, kDelimiter = 9, kStapA = 24, kFuA = 28;

std::uint8_t type_of(ByteSpan unit) { return std::to_integer<std::uint8_t>(unit[0]) & 0x1f; }

/// Types that mean something else in RTP, and the one that no stream has.
bool is_reserved(ByteSpan unit) { return type_of(unit) == 0 || type_of(unit) >= kStapA; }

constexpr std::uint32_t kAudioClock = 8000;
constexpr std::size_t kSamples = 160;  // a packet
constexpr Duration kPacketTime = std::chrono::milliseconds(20);
/// Publishers stamp sound in whole milliseconds, and not evenly: only what is farther off than this
/// is a gap.
constexpr std::int32_t kTolerance = 320;
/// Beyond this what waits for its packet to be full is of the past: a packet so late would only
/// tell the receiver of jitter that is not there.
constexpr Duration kStale = std::chrono::seconds(1);
constexpr std::int32_t kStaleSamples = kStale / std::chrono::seconds(1) * kAudioClock;

}  // namespace

std::uint32_t rtp_units(std::chrono::nanoseconds time, std::uint32_t clock_rate) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  const std::int64_t whole = time.count() / kSecond, part = time.count() % kSecond;
  return static_cast<std::uint32_t>(whole * clock_rate +
                                    (part * clock_rate + kSecond / 2) / kSecond);
}

Result<std::unique_ptr<H264Packetizer>> H264Packetizer::make(ByteSpan config) {
  const SharedBytes own = SharedBytes::copy(config);
  const auto parsed = parse_avc_config(own.view);
  if (!parsed) return parsed.error();
  std::unique_ptr<H264Packetizer> self(new H264Packetizer);
  self->nal_length_size_ = parsed->nal_length_size;
  for (const auto &sets : {parsed->sps, parsed->pps})
    for (const ByteSpan set : sets) self->sets_.push_back({own.owner, set});
  return self;
}

Result<void> H264Packetizer::add(const Frame &frame, std::vector<OutgoingPacket> &packets) {
  units_.clear();
  bool idr = false, sps = false;
  const auto walked = for_each_nal(frame.data.view, nal_length_size_, [&](ByteSpan unit) {
    if (is_reserved(unit)) return;
    idr |= type_of(unit) == kIdrSlice;
    sps |= type_of(unit) == kSps;
    units_.push_back({frame.data.owner, unit});
  });
  if (!walked) return walked.error();
  if (idr && !sps) {
    // An access unit delimiter comes first (H.264, 7.4.1.2.3).
    const auto at = units_.begin() + (type_of(units_[0].view) == kDelimiter ? 1 : 0);
    units_.insert(at, sets_.begin(), sets_.end());
  }
  const std::size_t first = packets.size();
  add_units(packets);
  units_.clear();  // lets go of the frame
  const std::uint32_t timestamp = rtp_units(frame.time, kVideoClock);
  for (std::size_t i = first; i < packets.size(); ++i) {
    packets[i].timestamp = timestamp;
    packets[i].capture = frame.capture;
  }
  if (packets.size() > first) packets.back().marker = true;
  return {};
}

void H264Packetizer::add_units(std::vector<OutgoingPacket> &packets) {
  for (std::size_t i = 0; i < units_.size();) {
    const std::size_t count = single_nal_ ? 1 : aggregate_from(i);
    if (count > 1) {
      // The head's importance is the greatest of the parts' (RFC 6184 section 5.7).
      Bytes whole(1);
      std::byte importance{0}, forbidden{0};
      for (const SharedBytes &unit : std::span(units_).subspan(i, count)) {
        importance = std::max(importance, unit.view[0] & std::byte{0x60});
        forbidden |= unit.view[0] & std::byte{0x80};
        ByteWriter(whole).u16(unit.view.size()).raw(unit.view);
      }
      whole[0] = forbidden | importance | std::byte{kStapA};
      packets.emplace_back().payload = SharedBytes::own(std::move(whole));
    } else if (single_nal_ || units_[i].view.size() <= kMaxPayload) {
      packets.emplace_back().payload = units_[i];
    } else {
      put_fragments(units_[i], packets);
    }
    i += count;
  }
}

/// How many units from `first` on go into one packet.
std::size_t H264Packetizer::aggregate_from(std::size_t first) const {
  std::size_t size = 1, count = 0;
  while (first + count < units_.size()) {
    size += 2 + units_[first + count].view.size();
    if (size > kMaxPayload) break;
    ++count;
  }
  return std::max<std::size_t>(count, 1);
}

void H264Packetizer::put_fragments(const SharedBytes &unit, std::vector<OutgoingPacket> &packets) {
  constexpr std::byte kStart{0x80}, kEnd{0x40};
  const std::byte head = unit.view[0];
  SharedBytes rest = unit.from(1);
  for (bool first = true; !rest.view.empty(); first = false) {
    const std::size_t size = std::min(kMaxPayload - 2, rest.view.size());
    const bool last = size == rest.view.size();
    OutgoingPacket &packet = packets.emplace_back();
    packet.prefix[0] = (head & std::byte{0xe0}) | std::byte{kFuA};
    packet.prefix[1] =
        (head & std::byte{0x1f}) | (first ? kStart : std::byte{0}) | (last ? kEnd : std::byte{0});
    packet.prefix_size = 2;
    packet.payload = {rest.owner, rest.view.first(size)};
    rest.view = rest.view.subspan(size);
  }
}

Result<void> G711Packetizer::add(const Frame &frame, std::vector<OutgoingPacket> &packets) {
  const std::uint32_t told = rtp_units(frame.time, kAudioClock);
  const bool paused = came_ != Time{} && frame.came - came_ > kStale;
  came_ = frame.came;
  if (paused) {
    next_ += static_cast<std::uint32_t>(std::exchange(rest_, {}).size());
    begins_ = true;
  }
  const auto waiting = static_cast<std::uint32_t>(rest_.size());
  const auto off = static_cast<std::int32_t>(told - (next_ + waiting));
  if (!started_ || frame.discontinuity || off > kTolerance || off < -kTolerance) {
    // What waits belongs to the time before: a short packet. After a long gap it is let go.
    if (off > kStaleSamples) rest_.clear();
    if (started_ && !rest_.empty()) put(SharedBytes::own(std::exchange(rest_, {})), packets);
    started_ = begins_ = true;
    next_ = told;
    capture_ = frame.capture;
  } else if (paused && frame.data.view.size() < kSamples) {
    // The rest of before the pause: resamplers give theirs out when they learn of a gap.
    next_ += static_cast<std::uint32_t>(frame.data.view.size());
    return {};
  } else if (rest_.empty()) {
    capture_ = frame.capture;
  }
  SharedBytes left = frame.data;
  if (!rest_.empty()) {
    const std::size_t count = std::min(kSamples - rest_.size(), left.view.size());
    rest_.insert(rest_.end(), left.view.begin(),
                 left.view.begin() + static_cast<std::ptrdiff_t>(count));
    left.view = left.view.subspan(count);
    if (rest_.size() < kSamples) return {};
    put(SharedBytes::own(std::exchange(rest_, {})), packets);
  }
  while (left.view.size() >= kSamples) {
    put({left.owner, left.view.first(kSamples)}, packets);
    left.view = left.view.subspan(kSamples);
  }
  rest_.assign(left.view.begin(), left.view.end());
  return {};
}

void G711Packetizer::put(SharedBytes samples, std::vector<OutgoingPacket> &packets) {
  OutgoingPacket &packet = packets.emplace_back();
  packet.timestamp = next_;
  packet.capture = capture_;
  packet.marker = std::exchange(begins_, false);
  next_ += static_cast<std::uint32_t>(samples.view.size());
  if (capture_ != Time{}) capture_ += kPacketTime;
  packet.payload = std::move(samples);
}

}  // namespace junctor::rtp
