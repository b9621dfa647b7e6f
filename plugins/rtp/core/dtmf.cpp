// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/dtmf.h"

#include <algorithm>

#include "common/text.h"

namespace junctor::rtp {

namespace {

/// Of what repeats a digit that is over, so long after it; later ones begin anew.
constexpr Duration kMemory = std::chrono::seconds(2);
/// How much later than it was captured audio may come.
constexpr Duration kLate = std::chrono::seconds(1);
constexpr Duration kShortest = std::chrono::milliseconds(1);

std::uint32_t units_of(Duration length, std::uint32_t rate) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(length).count();
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(ms) * rate / 1000);
}

}  // namespace

std::optional<std::uint8_t> event_of(char digit) {
  if (digit >= 'a' && digit <= 'd') digit = static_cast<char>(digit - 'a' + 'A');
  const auto found = kDigits.find(digit);
  if (found == std::string_view::npos) return std::nullopt;
  return static_cast<std::uint8_t>(found);
}

std::optional<TelephoneEvent> TelephoneEvent::parse(ByteSpan payload) {
  ByteReader reader(payload);
  TelephoneEvent parsed;
  parsed.event = reader.u8();
  const std::uint8_t flags = reader.u8();
  parsed.end = flags & 0x80;
  parsed.volume = flags & 0x3f;
  parsed.duration = reader.u16();
  if (reader.failed()) return std::nullopt;
  return parsed;
}

std::array<std::byte, TelephoneEvent::kSize> TelephoneEvent::build() const {
  return {std::byte{event}, static_cast<std::byte>((end ? 0x80 : 0) | (volume & 0x3f)),
          static_cast<std::byte>(duration >> 8), static_cast<std::byte>(duration & 0xff)};
}

EventSet parse_events(std::string_view fmtp) {
  if (trimmed(fmtp).empty()) return kAllDigits;
  EventSet set = 0;
  while (!fmtp.empty()) {
    const auto comma = std::min(fmtp.find(','), fmtp.size());
    const std::string_view part = trimmed(fmtp.substr(0, comma));
    fmtp.remove_prefix(std::min(comma + 1, fmtp.size()));
    const auto dash = part.find('-');
    const auto low = number(part.substr(0, dash));
    const auto high = dash == std::string_view::npos ? low : number(part.substr(dash + 1));
    if (!low || !high) continue;
    for (unsigned event = *low; event <= std::min(*high, 15U); ++event)
      set = static_cast<EventSet>(set | 1U << event);
  }
  return set;
}

bool DigitSender::add(const Digit &digit) {
  if (waiting_.size() >= kMaxWaiting || !event_of(digit.digit)) return false;
  waiting_.push_back(digit);
  return true;
}

std::optional<Time> DigitSender::due(Time now) const {
  if (tone_) return std::max(tone_->next, now);
  if (!waiting_.empty()) return std::max(quiet_until_, now);
  return std::nullopt;
}

std::vector<DigitSender::Packet> DigitSender::step(Time now, std::uint32_t timestamp,
                                                   std::uint32_t rate) {
  std::vector<Packet> packets;
  if (!tone_ && !waiting_.empty() && now >= quiet_until_) {
    const Digit digit = waiting_.front();
    waiting_.pop_front();
    const Duration length = std::max(digit.length, kShortest);
    tone_ = Sounding{.event = *event_of(digit.digit),
                     .begin = now,
                     .end = now + length,
                     .next = now,
                     .first = timestamp,
                     .units = std::max(units_of(length, rate), 1U)};
    covered_ = Covered{timestamp + tone_->units, tone_->end + kLate};
  }
  if (!tone_ || now < tone_->next) return packets;
  Sounding &tone = *tone_;
  tone.next += kInterval;
  const auto tell = [&](std::uint32_t so_far, bool end) {
    packets.push_back({tone.first,
                       !tone.begun,
                       {.event = tone.event,
                        .end = end,
                        .duration = static_cast<std::uint16_t>(so_far - tone.segment)}});
    tone.begun = true;
  };
  if (tone.ends == 0) {
    // A packet tells of the time until the next one.
    tone.told = std::min(tone.units, units_of(tone.next - tone.begin, rate));
    // Section 2.5.1.3: a whole segment is told without an end, and the next begins where it ended.
    while (tone.told - tone.segment > TelephoneEvent::kLongest) {
      tell(tone.segment + TelephoneEvent::kLongest, false);
      tone.segment += TelephoneEvent::kLongest;
      tone.first += TelephoneEvent::kLongest;
    }
  }
  const bool over = tone.told == tone.units;
  tell(tone.told, over);
  if (over && ++tone.ends == kEnds) {
    quiet_until_ = std::max(tone.end + kPause, now + kInterval);
    tone_.reset();
  }
  return packets;
}

bool DigitSender::covers(std::uint32_t timestamp, Time now) const {
  return covered_ && now < covered_->until &&
         static_cast<std::int32_t>(timestamp - covered_->end) < 0;
}

void DigitSender::clear() {
  waiting_.clear();
  tone_.reset();
  covered_.reset();
}

void DigitReceiver::add(std::uint64_t timestamp, ByteSpan payload, std::uint32_t rate, Time now,
                        std::vector<Digit> &digits) {
  const auto packet = TelephoneEvent::parse(payload);
  if (!packet || packet->event >= kDigits.size() || rate == 0) return;
  if (tone_ && tone_->timestamp != timestamp) {
    if (timestamp < tone_->timestamp) return;  // of the one before, late
    if (tone_->event == packet->event && tone_->duration == TelephoneEvent::kLongest &&
        timestamp == tone_->timestamp + TelephoneEvent::kLongest) {
      tone_->before += TelephoneEvent::kLongest;
      tone_->timestamp = timestamp;
      tone_->duration = 0;
    } else {
      finish(now, digits);
    }
  }
  if (!tone_) {
    if (last_ && now - last_->heard < kMemory && timestamp <= last_->timestamp) {
      last_->heard = now;
      return;
    }
    tone_ = Sounding{.timestamp = timestamp, .event = packet->event, .rate = rate};
  }
  tone_->duration = std::max(tone_->duration, packet->duration);
  tone_->heard = now;
  if (packet->end) finish(now, digits);
}

std::optional<Time> DigitReceiver::deadline() const {
  return tone_ ? std::optional(tone_->heard + kSilence) : std::nullopt;
}

void DigitReceiver::expire(Time now, std::vector<Digit> &digits) {
  if (tone_ && now >= tone_->heard + kSilence) finish(now, digits);
}

void DigitReceiver::restart(Time now, std::vector<Digit> &digits) {
  if (tone_) finish(now, digits);
  last_.reset();
}

void DigitReceiver::finish(Time now, std::vector<Digit> &digits) {
  last_ = tone_;
  tone_.reset();
  if (now - window_ >= kWindow) {
    window_ = now;
    told_ = 0;
  }
  if (told_ >= kMost) {
    ++left_out_;
    return;
  }
  ++told_;
  const std::uint64_t units = last_->before + last_->duration;
  digits.push_back({kDigits[last_->event], std::chrono::milliseconds(units * 1000 / last_->rate)});
}

}  // namespace junctor::rtp
