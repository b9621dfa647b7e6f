// SPDX-License-Identifier: LGPL-2.1-or-later
// One medium of a call over RTP: sockets, sequence, reordering, RTCP.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/bytes.h"
#include "common/codec.h"
#include "common/endpoint.h"
#include "common/latency.h"
#include "common/log.h"
#include "common/reactor.h"
#include "common/result.h"
#include "rtp/core/dtmf.h"
#include "rtp/core/g711.h"
#include "rtp/core/srtp.h"

namespace junctor::rtp {

/// Hands out pairs of UDP ports (RTP even, RTCP the next) from one range, round robin from anywhere
/// in it: a port that was freed just now, by us or by a process before us, may still be sent to.
/// Any thread.
class PortRange {
 public:
  PortRange(std::uint16_t low, std::uint16_t high);

  struct Pair {
    UniqueFd rtp, rtcp;
    std::uint16_t port = 0;  ///< of RTP; RTCP is port + 1
  };
  /// Fails with Fault::Overloaded ("no free port pair in LOW-HIGH …") when all are taken.
  Result<Pair> open(const std::string &address);

 private:
  std::uint16_t low_, high_, next_;
  std::mutex mutex_;
};

/// Where the peer wants media and what it sends; from the SDP answer, again after each re-INVITE.
struct Remote {
  Endpoint rtp;
  Endpoint rtcp;        ///< equal to rtp when multiplexed (RFC 5761)
  bool send = true;     ///< false: on hold or recvonly-less; nothing is sent to the peer
  bool receive = true;  ///< false: what arrives is dropped
  /// False: the medium is switched off, by port 0. Other than on hold there are no reports either
  /// (RFC 3264 section 8.2), and none are believed.
  bool live = true;
  /// No NAT is to be seen between: media of other hosts than `rtp`'s is a stranger's, however long
  /// the named one is silent.
  bool only_there = false;
};

/// A format beside the agreed one that the peer may change to at any time, for its answer lists it
/// (RFC 3264 section 6.1). What comes in it is made the agreed one: whoever decodes was set up for
/// that and notices nothing.
struct Alternate {
  std::uint8_t payload_type = 0;  ///< in our numbering
  Conversion conversion = Conversion::None;
  bool operator==(const Alternate &) const = default;
};

/// How the medium is carried.
struct Stream {
  std::uint8_t payload_type = 0;          ///< that we send
  std::uint8_t receive_payload_type = 0;  ///< that the peer sends, in our numbering
  std::vector<Alternate> alternates;      ///< of the same clock rate
  std::uint32_t clock_rate = 8000;
  bool pli = false, fir = false, nack = false;  ///< RTCP feedback the peer knows (RFC 4585, 5104)
  EventStream events;                           ///< beside audio (RFC 4733)
  /// Nothing: plain RTP. With keys nothing leaves in clear, and nothing counts that does not
  /// authenticate, wherever it comes from.
  std::optional<SrtpKeys> srtp{};
};

/// A packet on its way to the peer. Sequence, SSRC and payload type are stamped by the session; the
/// timestamp is the payloader's, moved by an offset that keeps it rising across changes of source.
struct OutgoingPacket {
  std::uint32_t timestamp = 0;
  bool marker = false;
  bool needs_others = false;  ///< of a picture that cannot be shown without those before it
  /// Bytes between the RTP header and `payload` that need no block of their own (a fragmentation
  /// unit's two).
  std::array<std::byte, 4> prefix{};
  std::uint8_t prefix_size = 0;  ///< at most 4
  SharedBytes payload;           ///< without the RTP header
  /// When it, or the frame that it is a part of, came to whoever packs it; unset: not measured.
  Time entered{};
  /// When the content was captured; sender reports relate it to other media, so that the peer
  /// plays them in sync. Unset: the time of send().
  Time capture{};
};

/// A packet from the peer, in order.
struct IncomingPacket {
  std::uint16_t sequence = 0;
  std::uint32_t ssrc = 0;
  std::uint64_t extended_timestamp = 0;  ///< unwrapped; comparable within one source only
  std::uint8_t payload_type = 0;         ///< as agreed, whatever it came as
  bool marker = false;
  bool discontinuity = false;  ///< something before it was lost
  bool new_source = false;     ///< the first of its SSRC: timestamps start anew
  Time arrival{};
  SharedBytes packet;  ///< the whole RTP packet
  std::size_t header_size = 12;
  std::size_t payload_size = 0;  ///< without padding
};

/// Called on the reactor.
class SessionListener {
 public:
  virtual ~SessionListener() = default;
  virtual void on_packet(const IncomingPacket &packet) = 0;
  /// The peer asks for a keyframe (PLI or FIR).
  virtual void on_keyframe_request() {}
  /// RTCP BYE.
  virtual void on_bye() {}
};

/// What the peer's last sender report said: at `ntp` its media clock stood at `timestamp`. With it
/// packets of several media of one peer can be put on one time line.
struct SenderClock {
  std::uint32_t ssrc = 0;
  std::chrono::nanoseconds ntp{};  ///< since 1900, by the peer's own clock
  std::uint64_t extended_timestamp = 0;
  std::uint32_t clock_rate = 8000;
};

struct Stats {
  std::uint64_t sent_packets = 0, sent_bytes = 0;          ///< bytes: RTP packets as on the wire
  std::uint64_t received_packets = 0, received_bytes = 0;  ///< from the accepted source
  std::uint64_t dropped = 0;  ///< given to send(), not sent: no peer yet, hold, a digit in its
                              ///< place, a picture that needs what a
                              ///< hold left out, or queue full
  std::uint64_t lost = 0;     ///< given up when something after them was passed on
  std::uint64_t late = 0;     ///< those of `lost` that came after all
  std::uint64_t reordered = 0, duplicates = 0;
  std::uint64_t strangers = 0;      ///< from an address other than the peer's
  std::uint64_t wrong_payload = 0;  ///< of a payload type that was not agreed
  std::uint64_t malformed = 0;
  std::uint64_t unauthenticated = 0;  ///< RTP and RTCP that SRTP refused (RFC 3711 section 3.3)
  std::uint64_t replayed = 0;         ///< those that came before, or too late to tell
  std::uint64_t nacks_sent = 0, nacks_received = 0;
  std::uint64_t retransmitted = 0, keyframe_requests_sent = 0, keyframe_requests_received = 0;
  double reorder_wait_ms = 0;        ///< how long a gap waits now; 0: nothing is out of order
  double jitter_ms = 0;              ///< RFC 3550 A.8, of what arrives
  double round_trip_ms = 0;          ///< from the peer's last report; 0 if none
  double remote_fraction_lost = 0;   ///< 0 to 1, what the peer says it missed
  std::optional<Time> first_packet;  ///< arrival of the first one accepted
  std::optional<Time> last_packet;
};

/// How long packets of a session took, step by step.
struct SessionLatency {
  // From the peer.
  LatencyFigures receive;  ///< from the network card's driver to our reading
  LatencyFigures reorder;  ///< from there to the listener: waiting for packets in front
  LatencyFigures pass_on;  ///< in the listener, all that it does at once included
  // To the peer.
  LatencyFigures packetize;  ///< from OutgoingPacket::entered to the queue
  LatencyFigures send;       ///< from the queue to the kernel
};

/// One medium's session. Opened when the offer is made (its ports go into the SDP), configured by
/// each answer. Symmetric RTP (RFC 4961): sends from the port it receives on, and latches onto what
/// comes from the host that configure() named, or onto another host when for a moment nothing came
/// from that one.
class Session {
 public:
  struct Options {
    std::string address = "0.0.0.0";  ///< to bind
    Medium medium = Medium::Audio;
    std::string cname;
    /// How long a gap waits at first for a late packet, and at most: how long really follows what
    /// is measured (ReorderWait). Both 0 pass on at once.
    Duration reorder_start = std::chrono::milliseconds(20);
    Duration reorder_most = std::chrono::milliseconds(200);
    /// Mean time between reports (RFC 3550 section 6.2); each is randomised.
    Duration report_interval = std::chrono::seconds(5);
    /// How long after a hold a picture that stands alone is waited for, so that it is the first one
    /// sent. Some sources have one at their beginning and none later.
    Duration whole_patience = std::chrono::seconds(10);
    LogSink log;
  };
  /// Any thread.
  static Result<std::shared_ptr<Session>> open(std::shared_ptr<Reactor> reactor, PortRange &ports,
                                               Options options);
  virtual ~Session() = default;

  virtual std::uint16_t port() const = 0;  ///< local RTP port; any thread
  virtual std::uint32_t ssrc() const = 0;  ///< any thread
  virtual std::shared_ptr<Reactor> reactor() const = 0;

  /// Any thread; takes effect on the reactor, in order.
  virtual void configure(const Stream &stream, const Remote &remote) = 0;
  /// Reactor thread. Held weakly; null parts. One at a time. While there is none, what arrives
  /// waits at most half a second, so that a pipeline made for the answer misses no first keyframe.
  virtual void set_listener(std::weak_ptr<SessionListener> listener) = 0;
  /// Reactor thread. Queues; all that this turn of the reactor queued leaves in one system call.
  virtual void send(std::span<const OutgoingPacket> packets) = 0;
  /// Reactor thread. What is sent next comes from another source: keep its timestamps rising.
  virtual void begin_source() = 0;
  /// Reactor thread. Asks the peer for a keyframe, PLI before FIR, at most one each 500 ms.
  /// False if the peer knows neither (the caller may then use SIP INFO).
  virtual bool request_keyframe() = 0;
  /// Any thread. A digit for the peer, after those that wait: as an event if Stream::events have
  /// it, else it is dropped. Audio is held back while it sounds.
  virtual void send_digit(const Digit &digit) = 0;
  /// Any thread. `heard` is called on the reactor with each digit of the peer, whether or not there
  /// is a listener; not after close().
  virtual void set_digits_heard(std::function<void(const Digit &)> heard) = 0;
  /// Any thread.
  virtual Stats stats() const = 0;
  /// Any thread. Of the last seconds.
  virtual SessionLatency latency() const = 0;
  /// Any thread. Nothing before the first sender report of the current source.
  virtual std::optional<SenderClock> sender_clock() const = 0;
  /// Any thread. Sends RTCP BYE and closes the sockets; further calls do nothing. Dropping the last
  /// reference does the same. The reactor must still turn afterwards: it lets go of the sockets.
  virtual void close() = 0;
};

}  // namespace junctor::rtp
