// SPDX-License-Identifier: LGPL-2.1-or-later
// Digits among the packets of a session.
#include <algorithm>
#include <utility>

#include "rtp/core/session_core.h"

namespace junctor::rtp {

namespace {

constexpr std::uint32_t kPacketsPerSecond = 50;  // of audio, as nearly everybody sends it

}  // namespace

void SessionCore::send_digit(const Digit &digit) {
  const auto event = event_of(digit.digit);
  const EventStream &events = stream_.events;
  if (closed_ || !configured_ || !remote_.send || events.payload_type < 0 || !event ||
      !(events.taken >> *event & 1U))
    return;
  digits_out_.add(digit);
  arm_digit_timers();
}

void SessionCore::arm_digit_timers() {
  if (const auto due = digits_out_.due(reactor_->now()))
    digit_out_timer_ = reactor_->at(*due, [this] {
      const auto self = shared_from_this();
      send_events();
    });
  else
    digit_out_timer_.reset();
  if (const auto deadline = digits_in_.deadline())
    digit_in_timer_ = reactor_->at(*deadline, [this] {
      const auto self = shared_from_this();
      std::vector<Digit> digits;
      digits_in_.expire(reactor_->now(), digits);
      arm_digit_timers();
      tell_digits(digits);
    });
  else
    digit_in_timer_.reset();
}

void SessionCore::send_events() {
  const Time now = reactor_->now();
  if (!timeline_.at(now, stream_.clock_rate)) {
    // Nothing has been said before: the time line begins here, and audio goes on from it.
    timeline_.stamp(0, now, stream_.clock_rate);
    timeline_.begin_source();
  }
  // Audio may be ahead of the clock by what it was packed of: a digit begins behind its last
  // packet.
  std::uint32_t timestamp = *timeline_.at(now, stream_.clock_rate);
  const std::uint32_t behind = *timeline_.last() + stream_.clock_rate / kPacketsPerSecond;
  if (static_cast<std::int32_t>(timestamp - behind) < 0) timestamp = behind;
  for (const DigitSender::Packet &packet : digits_out_.step(now, timestamp, stream_.clock_rate)) {
    if (latch_.destination() == nullptr) break;
    WirePacket wire;
    const auto head =
        build_header({.payload_type = static_cast<std::uint8_t>(stream_.events.payload_type),
                      .marker = packet.marker,
                      .sequence = next_sequence_++,
                      .timestamp = packet.timestamp,
                      .ssrc = ssrc_});
    const auto payload = packet.event.build();
    static_assert(kFixedHeaderSize + TelephoneEvent::kSize <= WirePacket::kMaxHead);
    std::ranges::copy(payload, std::ranges::copy(head, wire.head.begin()).out);
    wire.head_size = static_cast<std::uint8_t>(head.size() + payload.size());
    if (encrypted_ && !encrypt(wire)) {
      ++counted_.dropped;
      continue;
    }
    if (!queued_since_) queued_since_ = Clock::now();
    queue_.push_back(std::move(wire));
  }
  if (!send_blocked_ && !queue_.empty()) flush_at_end_.request(*reactor_);
  arm_digit_timers();
}

bool SessionCore::is_event(const IncomingPacket &packet) const {
  constexpr std::byte kType{0x7f};
  return stream_.events.receive_payload_type >= 0 && packet.packet.view.size() > 1 &&
         std::to_integer<int>(packet.packet.view[1] & kType) == stream_.events.receive_payload_type;
}

void SessionCore::take_events() {
  if (stream_.events.receive_payload_type < 0 || ready_.empty()) return;
  std::vector<Digit> digits;
  std::size_t kept = 0;
  for (IncomingPacket &packet : ready_) {
    if (packet.new_source) digits_in_.restart(packet.arrival, digits);
    if (is_event(packet)) {
      if (const auto view = parse_packet(packet.packet.view))
        digits_in_.add(packet.extended_timestamp, view->payload, stream_.events.clock_rate,
                       packet.arrival, digits);
      // The audio that comes next has them, for nobody else sees this packet.
      lost_by_events_ |= packet.discontinuity;
      source_by_events_ |= packet.new_source;
      continue;
    }
    packet.discontinuity |= std::exchange(lost_by_events_, false);
    packet.new_source |= std::exchange(source_by_events_, false);
    if (&ready_[kept] != &packet) ready_[kept] = std::move(packet);
    ++kept;
  }
  ready_.resize(kept);
  arm_digit_timers();
  tell_digits(digits);
}

void SessionCore::tell_digits(const std::vector<Digit> &digits) {
  for (const Digit &digit : digits)
    if (digits_heard_) digits_heard_(digit);
}

}  // namespace junctor::rtp
