// SPDX-License-Identifier: LGPL-2.1-or-later
// Digits of a telephone as named events over RTP (RFC 4733).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <vector>

#include "common/bytes.h"
#include "common/clock.h"

namespace junctor::rtp {

/// "0123456789*#ABCD", in the order of the events 0 to 15 (RFC 4733 section 3.2).
inline constexpr std::string_view kDigits = "0123456789*#ABCD";
/// Nothing for what is no digit; letters of either case.
std::optional<std::uint8_t> event_of(char digit);

/// One key that was pressed.
struct Digit {
  char digit = '0';   ///< of kDigits
  Duration length{};  ///< how long it sounded
};

/// The payload of one packet (section 2.3).
struct TelephoneEvent {
  static constexpr std::size_t kSize = 4;
  static constexpr std::uint16_t kLongest = 0xffff;  ///< of one segment, in units of the clock

  std::uint8_t event = 0;
  bool end = false;
  std::uint8_t volume = 10;    ///< 0 to 63, below 0 dBm0
  std::uint16_t duration = 0;  ///< so far, in units of the clock

  /// Nothing if it is too short. What follows the first event of a longer one is not looked at.
  static std::optional<TelephoneEvent> parse(ByteSpan payload);
  std::array<std::byte, kSize> build() const;
};

/// A set of the events 0 to 15, a bit each.
using EventSet = std::uint16_t;
inline constexpr EventSet kAllDigits = 0xffff;
/// "0-9,11" of an a=fmtp line (section 2.4.1); all digits for an empty text, which is what a
/// description without the parameter means. What cannot be read is left out.
EventSet parse_events(std::string_view fmtp);

/// How events are carried beside the audio of one stream; a payload type below 0: not at all.
struct EventStream {
  int payload_type = -1;          ///< that we send
  int receive_payload_type = -1;  ///< that the peer sends, in our numbering
  std::uint32_t clock_rate = 8000;
  EventSet taken = kAllDigits;  ///< those that the peer knows
  bool operator==(const EventStream &) const = default;
};

/// Digits on their way to the peer, one after the other. Plain; time is an argument.
class DigitSender {
 public:
  static constexpr Duration kInterval = std::chrono::milliseconds(20);  ///< between packets
  static constexpr Duration kPause = std::chrono::milliseconds(100);    ///< between digits
  static constexpr std::size_t kMaxWaiting = 64;
  static constexpr int kEnds = 3;  ///< how often the last packet is sent (section 2.5.1.4)

  struct Packet {
    std::uint32_t timestamp = 0;
    bool marker = false;
    TelephoneEvent event;
  };

  /// False if too many wait already, or it is none.
  bool add(const Digit &digit);
  /// When step() has something to do; nothing while all is quiet. `now` if that is due.
  std::optional<Time> due(Time now) const;
  /// What is to be sent at `now`. `timestamp` is the audio's clock at `now`; `rate` is in Hz.
  std::vector<Packet> step(Time now, std::uint32_t timestamp, std::uint32_t rate);
  /// Whether audio of this timestamp falls into the time of a digit and is to be held back (section
  /// 2.6: the digit stands for it).
  bool covers(std::uint32_t timestamp, Time now) const;
  void clear();

 private:
  struct Sounding {
    std::uint8_t event;
    Time begin, end, next;
    std::uint32_t first;        ///< timestamp of the segment that is being told
    std::uint32_t units = 0;    ///< of the whole
    std::uint32_t told = 0;     ///< of them, with earlier segments
    std::uint32_t segment = 0;  ///< where the segment begins, in units from the first one
    int ends = 0;
    bool begun = false;
  };
  std::deque<Digit> waiting_;
  std::optional<Sounding> tone_;
  Time quiet_until_{};
  struct Covered {
    std::uint32_t end;  ///< timestamp
    Time until;
  };
  std::optional<Covered> covered_;  ///< by the last digit
};

/// Digits of the peer, each once. Plain; time is an argument.
class DigitReceiver {
 public:
  /// A digit whose end does not come is taken as ended then; longer than three packets.
  static constexpr Duration kSilence = std::chrono::milliseconds(200);
  /// Beyond this many in kWindow they are counted, and nobody hears of them.
  static constexpr unsigned kMost = 30;
  static constexpr Duration kWindow = std::chrono::seconds(1);

  /// One packet; `timestamp` is unwrapped, `rate` in Hz. Appends the digits that are complete by
  /// it: the one before, whose end was lost, or this one.
  void add(std::uint64_t timestamp, ByteSpan payload, std::uint32_t rate, Time now,
           std::vector<Digit> &digits);
  /// When expire() is to be called; nothing while no digit sounds.
  std::optional<Time> deadline() const;
  void expire(Time now, std::vector<Digit> &digits);
  /// Another source: its timestamps say nothing about those before. A digit that sounds is done.
  void restart(Time now, std::vector<Digit> &digits);
  std::uint64_t left_out() const { return left_out_; }

 private:
  struct Sounding {
    std::uint64_t timestamp;  ///< of the segment
    std::uint8_t event;
    std::uint64_t before = 0;  ///< units in earlier segments
    std::uint16_t duration = 0;
    std::uint32_t rate = 8000;
    Time heard{};
  };
  void finish(Time now, std::vector<Digit> &digits);

  std::optional<Sounding> tone_;
  std::optional<Sounding> last_;  ///< that was told: what repeats it is known by it
  unsigned told_ = 0;             ///< in the window
  Time window_{};
  std::uint64_t left_out_ = 0;
};

}  // namespace junctor::rtp
