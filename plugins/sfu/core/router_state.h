// SPDX-License-Identifier: LGPL-2.1-or-later
// What a router keeps of each leg; private to its files.
#pragma once

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/peer_log_budget.h"
#include "rtp/core/reception.h"
#include "rtp/core/unwrap.h"
#include "sfu/core/arrivals.h"
#include "sfu/core/bandwidth_estimator.h"
#include "sfu/core/feedback_requests.h"
#include "sfu/core/layer_selector.h"
#include "sfu/core/loudness.h"
#include "sfu/core/packet_history.h"
#include "sfu/core/router.h"

namespace junctor::sfu {

/// One SSRC of a leg.
struct Router::Source {
  Source(std::uint32_t ssrc, std::uint32_t clock_rate, Class kind, HistoryBudget &budget)
      : ssrc(ssrc), kind(kind), reception(ssrc, clock_rate), history(&budget) {}

  std::uint32_t ssrc;
  Class kind;
  bool is_known = true;  // false: what `kind` is was guessed
  Time last{};
  rtp::Unwrapper<std::uint16_t> sequence;
  std::uint64_t first = 0, highest = 0, count = 0;  // extended sequence numbers; packets
  std::uint64_t lost_before = 0;                    // it went on with other numbers
  std::optional<std::uint16_t> far;                 // the one behind a packet far from the others
  rtp::Reception reception;
  PacketHistory history;
  KeyframeRequests keyframes;
  std::uint64_t lost() const {
    const std::uint64_t expected = count ? highest - first + 1 : 0;
    return lost_before + (expected > count ? expected - count : 0);
  }
  std::string mid, rid;              // as its packets say
  std::optional<std::size_t> group;  // of the leg's layered pictures
  // In it. kNoLayer: another one is that layer, and nobody gets this one.
  std::size_t layer = kNoLayer;
  static constexpr std::size_t kNoLayer = SIZE_MAX;
  double rate = 0;                     // bits per second, smoothed
  std::uint64_t bytes = 0;             // since `rate` was looked at
  bool by_fir = false;                 // how the last receiver asked
  std::uint8_t fir_request = 0;        // sequence number of our own
  std::unique_ptr<RepeatLimit> asked;  // made when a packet is missing
  std::string cname;
  std::optional<Time> report_passed, bye_passed;  // to its receivers
  std::optional<bool> spoken_for;                 // whether they pass; decided at the first one
};

/// What one receiver got of one source.
struct Router::Out {
  std::uint32_t packets = 0, octets = 0;  // for sender reports
  RetransmissionCredit credit;
  std::unique_ptr<RepeatLimit> repeated;  // made at its first NACK
  std::uint32_t last_sr = 0;              // middle 32 bits of its NTP time
  std::uint8_t unsettled = 0;             // reports at most that may tell of the gap
  Time last_sr_at{};
  std::uint64_t resumed_at = 0;  // packets before this one were withheld
  static constexpr std::uint8_t kUnsettled = 3;

  /// It gets the source again, from this extended number on. RTP's numbers do not stop meanwhile:
  /// what was withheld looks like loss to it.
  void resume(std::uint64_t first) {
    if (packets == 0) return;  // it begins with the first that it gets
    resumed_at = first;
    unsettled = kUnsettled;
  }
  /// Whether the losses of its report up to the packet `highest` can only be those of the path.
  bool is_of_path(std::uint32_t highest) {
    if (unsettled == 0) return true;
    // This one has the gap in it, the next begins behind it; one before may be on its way yet.
    const auto ahead = static_cast<std::int16_t>(static_cast<std::uint16_t>(highest - resumed_at));
    unsettled = ahead >= 0 ? 0 : unsettled - 1;
    return false;
  }
  /// Of the packet so many behind the source's `highest`.
  bool was_withheld(std::uint16_t behind, std::uint64_t highest) {
    if (resumed_at > highest + 1) resumed_at = 0;  // it has gone on with other numbers since
    return behind < 0x8000 && highest - behind < resumed_at;
  }
};

struct Router::Route {
  Leg *to;
  std::vector<Out> outs;                 // as the publisher's sources
  std::vector<LayerSelector> selectors;  // as the publisher's layered pictures
  bool pictures = true;                  // false: others are louder
  // Which of the publisher's last transport-wide numbers were passed on: the rest is no loss.
  std::unique_ptr<std::bitset<NumberedPackets::kPackets>> passed;
  void note(std::uint16_t number, bool was_passed) {
    if (!passed) passed = std::make_unique<std::bitset<NumberedPackets::kPackets>>();
    passed->set(number % NumberedPackets::kPackets, was_passed);
  }
};

struct Router::Leg {
  Leg(LegId id, LegOptions options) : id(id), options(std::move(options)) {}

  // What each packet needs comes first, so that it lies together.
  Source *last_source = nullptr;
  std::size_t last_index = 0;
  std::vector<Route> routes;
  std::optional<AddressKey> key;  // where it is
  Destination destination;
  LegId id;
  LegOptions options;
  std::unique_ptr<rtp::Srtp> rtcp;
  std::vector<std::unique_ptr<Source>> sources;
  std::vector<Leg *> publishers;  // who routes to it
  Time next_report{};
  double rtcp_credit = kMaxRtcpRate;
  Time rtcp_credit_at{};
  unsigned spoken_for = 0;                  // of its SSRCs, ever
  Throttle told{kMostTold, kToldInterval};  // its reports and BYEs, to each receiver
  std::optional<Duration> round_trip;
  struct Layered {  // one picture in several layers
    std::string mid;
    std::vector<Source *> layers;  // each of another RID
  };
  std::vector<Layered> layered;
  std::unique_ptr<NumberedPackets> numbered;  // with transport_cc
  Time next_feedback{}, rates_at{};
  Loudness loudness;
  std::unique_ptr<BandwidthEstimator> estimator;  // made when it says something
  LegStats stats;
  struct Sender {  // a publisher, with its route
    Leg *leg;
    Route *route;
    double loudness;
  };
  std::vector<Sender> senders;    // while the loudest are chosen, with last_n; else empty
  std::size_t pictures_from = 0;  // so many of the publishers, when last was chosen

  bool reachable() const { return key.has_value() || options.deliver; }
  /// How long to wait before the same is sent, or asked for, again.
  Duration pause() const {
    constexpr Duration kLeast = std::chrono::milliseconds(20);
    return round_trip ? std::max(*round_trip, kLeast) : std::chrono::milliseconds(50);
  }
  BandwidthEstimator &estimate() {
    if (!estimator) estimator = std::make_unique<BandwidthEstimator>();
    return *estimator;
  }
  Route *route_to(const Leg &to) {
    const auto found = std::ranges::find(routes, &to, &Route::to);
    return found == routes.end() ? nullptr : &*found;
  }
};

}  // namespace junctor::sfu
