// SPDX-License-Identifier: LGPL-2.1-or-later
// Legs, routes between them, and what becomes of each datagram; without sockets and clock.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/codec.h"
#include "common/endpoint.h"
#include "common/result.h"
#include "rtp/core/srtp.h"
#include "sfu/core/address.h"
#include "sfu/core/address_table.h"
#include "sfu/core/congestion_feedback.h"
#include "sfu/core/datagram.h"
#include "sfu/core/header_extensions.h"
#include "sfu/core/outbox.h"
#include "sfu/core/packet_history.h"

namespace junctor::sfu {

/// Of one router, never used twice; 0 is none.
using LegId = std::uint32_t;

/// What a payload type is. The static ones of RFC 3551 are known; of others, where nothing is said,
/// a source whose packets tell an audio level is sound of 48,000 Hz, else a picture of 90,000 Hz.
struct PayloadKind {
  std::uint8_t payload_type = 0;
  Medium medium = Medium::Video;
  std::uint32_t clock_rate = 90000;
};

/// One peer, or one pair of pads.
struct LegOptions {
  /// Where it is. Nothing: nothing is taken from it or sent to it until set_remote(), which is to
  /// be called once its channel is authenticated.
  std::optional<Endpoint> remote;
  /// Keys of its RTCP, which ends here on each hop. Nothing: RTCP in clear. RTP is never opened:
  /// its keys are the peers' own.
  std::optional<rtp::SrtpKeys> rtcp_keys;
  std::vector<PayloadKind> payloads;
  /// Answers NACKs of who receives from it, out of what it sent lately (PacketHistory::kAge).
  bool retransmit = true;
  /// What its packets' header extensions are. With `transport_cc` it gets feedback about the
  /// arrival of its packets each kFeedbackInterval.
  ExtensionNumbers extensions;
  /// It takes REMB: what its slowest receiver can take, or its best where it sends layers.
  bool remb = false;
  /// Pictures of so many of those who send to it, the loudest; 0: of all.
  std::size_t last_n = 0;
  /// Instead of a remote: gets what is sent to this leg. Called on the reactor; must not touch the
  /// router.
  std::function<void(ByteSpan packet, bool rtcp)> deliver;
};

struct LegStats {
  Endpoint remote;                                         ///< empty where there is none
  std::uint64_t received_packets = 0, received_bytes = 0;  ///< RTP
  std::uint64_t lost = 0;                                  ///< RTP that never came, by sequence
  std::uint64_t duplicates = 0;                            ///< came twice, passed on once
  std::uint64_t malformed = 0;        ///< no RTP or RTCP, too long, or one source too many
  std::uint64_t unauthenticated = 0;  ///< RTCP of another key, or replayed
  std::uint64_t rtcp_received = 0, rtcp_excess = 0;  ///< excess: beyond what one leg may send
  SendCounters sent;                                 ///< RTP and RTCP
  std::uint64_t retransmitted = 0;
  std::uint64_t nacks_received = 0, nacks_sent = 0;  ///< packets asked for, not messages
  std::uint64_t keyframe_requests_received = 0, keyframe_requests_sent = 0;
  std::size_t sources = 0;
  double round_trip_ms = 0;         ///< of this hop; 0 before the peer's first report
  double remote_fraction_lost = 0;  ///< 0 to 1, of what we sent, by the peer's last report
  std::optional<double> estimate;   ///< bits per second that its path carries, as far as it tells
  std::size_t pictures = 0;         ///< senders whose pictures pass to it
  std::optional<Time> last_packet;  ///< RTP or RTCP that was believed
};

struct RouterStats {
  std::size_t legs = 0, routes = 0;
  std::uint64_t strangers = 0;  ///< datagrams from addresses that no leg has
  std::uint64_t unknown = 0;    ///< neither RTP, RTCP nor STUN
  std::uint64_t oversized = 0;  ///< datagrams that were cut off
  std::size_t held_bytes = 0;   ///< of what may be asked for again
};

/// One thread. Forwards RTP byte for byte; RTCP ends here and is made anew for each hop.
class Router {
 public:
  struct Options {
    std::size_t max_legs = 1024;
    /// Addresses are those of a socket of both families.
    bool mapped = false;
    /// STUN from anywhere: its owner tells friend from foe.
    std::function<void(const sockaddr_in6 &from, ByteSpan datagram)> on_stun;
  };
  static constexpr std::size_t kMaxRoutes = 256;  ///< of one leg
  static constexpr std::size_t kMaxSources = 32;  ///< SSRCs of one leg
  /// Packets of all sources are kept for retransmission in so many bytes for each leg that may be.
  static constexpr std::size_t kHistoryALeg = PacketHistory::kMostBytes;
  static constexpr std::size_t kLeastHistory = 16 * kHistoryALeg;  ///< of a router of few legs
  static constexpr unsigned kMaxRtcpRate = 200;  ///< datagrams a second of one leg
  /// Reports and BYEs of one leg that are passed on: a burst, and then one each interval.
  static constexpr unsigned kMostTold = 2 * kMaxSources;
  static constexpr Duration kToldInterval = std::chrono::milliseconds(25);
  static constexpr Duration kReportInterval = std::chrono::seconds(1);
  static constexpr Duration kFeedbackInterval = std::chrono::milliseconds(100);
  static constexpr Duration kChoiceInterval =
      std::chrono::milliseconds(300);  ///< of layers, senders

  Router(Options options, Outbox &outbox);
  ~Router();

  /// Refused where there are too many legs, or where another one is at that address.
  Result<LegId> add_leg(LegOptions options, Time now);
  /// Where the leg is from now on.
  Result<void> set_remote(LegId leg, const Endpoint &remote);
  /// It is nowhere: nothing is taken from it or sent to it until the next set_remote().
  void clear_remote(LegId leg);
  /// What `from` sends goes to `to`. BadInput for legs that are not there or are one, Refused for
  /// too many. Doing it again changes nothing.
  Result<void> route(LegId from, LegId to);
  void unroute(LegId from, LegId to);
  void remove_leg(LegId leg);

  static constexpr std::size_t kBatch = 64;
  /// What a socket gave, at most kBatch. Until the outbox is flushed its bytes must stay.
  void received(std::span<const Datagram> datagrams, Time now);
  /// What a leg without address sends: RTP or RTCP. Until the outbox is flushed its bytes must
  /// stay.
  void inject(LegId leg, std::span<std::byte> packet, Time now);

  /// Asks for a keyframe of every picture that this leg receives, as its PLI would.
  void request_keyframes(LegId receiver, Time now);

  /// What is due by now: reports, requests that waited.
  void run(Time now);
  /// When to call run() at the latest.
  std::optional<Time> next() const;

  std::optional<LegStats> stats(LegId leg) const;
  RouterStats stats() const;

 private:
  struct Source;
  struct Out;
  struct Route;
  struct Leg;

  Leg *find(LegId id) const;
  /// Has what this packet of the leg needs brought into the processor's cache.
  static void expect(const Leg &leg, ByteSpan packet);
  void from_leg(Leg &leg, std::span<std::byte> datagram, Time now);
  void on_rtp(Leg &leg, ByteSpan packet, Time now);
  /// Extends the number; notices where the source went on with others.
  static std::uint64_t extend(Source &source, std::uint16_t sequence);
  Source *source_of(Leg &leg, std::uint32_t ssrc, std::uint8_t payload_type, Time now);

  // router_choice.cpp
  struct Seen {  // in a packet's extension
    bool key = false;
    std::optional<std::uint16_t> number;
  };
  Seen read_extension(Leg &leg, Source &source, ByteSpan packet, std::size_t at, Time now);
  static bool passes(Route &route, Out &out, const Source &source, bool key);
  static std::size_t group_of(Leg &leg, const std::string &mid);
  static void place_layers(Leg &leg, Time now);
  static void forget_layer(Leg &leg, const Source &source);
  void choose(Time now);
  void choose_pictures(Time now);
  void choose_layers(Leg &leg, Time now);
  void on_congestion(Leg &leg, ByteSpan compound, Time now);
  void send_feedback(Leg &leg, Time now);
  std::optional<Remb> remb_for(const Leg &publisher, Time now) const;

  // router_rtcp.cpp
  void on_rtcp(Leg &leg, std::span<std::byte> datagram, Time now);
  struct ItemReader;
  void send_rtcp(Leg &to, Bytes compound, Time now);
  void report(Leg &leg, Time now);
  void want_keyframe(Leg &publisher, Source &source, bool by_fir, Time now);
  void ask_for_keyframe(Leg &publisher, Source &source, Time now);
  void ask_for_packets(Leg &publisher, Source &source, std::vector<std::uint16_t> sequences,
                       Time now);

  Options options_;
  Outbox &outbox_;
  std::uint32_t ssrc_;  // of our own in RTCP
  LegId last_id_ = 0;
  HistoryBudget history_budget_;  // outlives the sources
  std::unordered_map<LegId, std::unique_ptr<Leg>> legs_;
  AddressTable<Leg> by_address_;
  std::uint64_t strangers_ = 0, unknown_ = 0, oversized_ = 0;
  bool changed_ = false;  // a leg has moved or gone
  std::optional<Time> next_report_, next_keyframe_, next_feedback_, next_choice_;
};

}  // namespace junctor::sfu
