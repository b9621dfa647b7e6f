// SPDX-License-Identifier: LGPL-2.1-or-later
// What legs, and others, send to a router.
#include <cerrno>
#include <cstring>
#include <deque>
#include <set>
#include <string>

#include "input.h"
#include "rtp/core/demux.h"
#include "rtp/core/packet.h"
#include "sfu/core/bandwidth_estimator.h"
#include "sfu/core/congestion_feedback.h"
#include "sfu/core/router.h"

using namespace junctor;
using namespace junctor::sfu;

namespace {

// Of each step: who (three legs and a stranger), milliseconds since the step before, size, bytes.
// What leaves goes to legs only, RTP as it came, and never more than routes and credit allow.
class World {
 public:
  World() {
    for (std::uint16_t port = 1; port <= 3; ++port) {
      LegOptions options;
      options.remote = Endpoint{"10.0.0.1", port};
      options.extensions = {.transport_cc = 1,
                            .audio_level = 2,
                            .mid = 3,
                            .rid = 4,
                            .frame_marking = 5,
                            .dependency_descriptor = 6};
      options.remb = true;
      options.last_n = port % 2;
      legs_.push_back(*router_.add_leg(std::move(options), now_));
    }
    for (const LegId from : legs_)
      for (const LegId to : legs_)
        if (from != to) fuzz::require(static_cast<bool>(router_.route(from, to)));
  }

  void run(ByteSpan script) {
    ByteReader reader(script);
    while (reader.left() > 3 && datagrams_.size() < 500) {
      const auto port = static_cast<std::uint16_t>(reader.u8() % 4 + 1);
      now_ += std::chrono::milliseconds(reader.u8());
      const ByteSpan bytes = reader.take(std::min<std::size_t>(reader.u8(), reader.left()));
      datagrams_.emplace_back(bytes.begin(), bytes.end());
      if (rtp::packet_kind(bytes) == rtp::PacketKind::Rtp)
        came_.insert(std::string(reinterpret_cast<const char *>(bytes.data()), bytes.size()));
      const sockaddr_in6 from = *to_raw({"10.0.0.1", port});
      const Datagram datagram{datagrams_.back(), &from, false};
      const bool rtcp = rtp::looks_like_rtcp(bytes);
      if (port <= 3 && !rtcp) ++rtp_packets_;
      if (port <= 3 && rtcp) received_rtcp_ += bytes.size();
      router_.received({&datagram, 1}, now_);
      outbox_.flush(now_);
      if (router_.next() && *router_.next() <= now_) router_.run(now_);
      outbox_.flush(now_);
      check_amounts();
    }
    for (const LegId leg : legs_)
      fuzz::require(router_.stats(leg)->estimate.value_or(BandwidthEstimator::kLeast) >=
                    BandwidthEstimator::kLeast);
    for (const LegId leg : legs_) fuzz::require(router_.stats(leg)->sources <= Router::kMaxSources);
  }

 private:
  void check_amounts() const {
    std::uint64_t again = 0, asked = 0;
    for (const LegId leg : legs_) {
      again += router_.stats(leg)->retransmitted;
      asked += router_.stats(leg)->nacks_received;
    }
    // What came goes to two others, once; what is sent again was asked for.
    fuzz::require(again <= asked);
    fuzz::require(sent_rtp_ <= 2 * rtp_packets_ + again);
    // Reports, feedback and requests for keyframes have their times; the rest answers what came.
    const auto seconds = static_cast<std::size_t>(
        std::chrono::duration_cast<std::chrono::seconds>(now_ - kBegin).count());
    fuzz::require(sent_rtcp_ <= kMostAnswer * received_rtcp_ + 3 * kMostASecond * (seconds + 1));
  }

  int take(mmsghdr *messages, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      const msghdr &header = messages[i].msg_hdr;
      sockaddr_in6 to{};
      std::memcpy(&to, header.msg_name, header.msg_namelen);
      fuzz::require(to_endpoint(to).port <= 3);
      for (std::size_t part = 0; part < header.msg_iovlen; ++part) {
        const std::string bytes(static_cast<const char *>(header.msg_iov[part].iov_base),
                                header.msg_iov[part].iov_len);
        if (rtp::looks_like_rtcp(as_bytes(bytes))) {
          sent_rtcp_ += bytes.size();
          continue;
        }
        fuzz::require(came_.contains(bytes));
        ++sent_rtp_;
      }
    }
    return static_cast<int>(count);
  }

  static constexpr std::size_t kMostAnswer = 64;  // bytes for one that came
  /// A report, ten of feedback, and requests for keyframes of 32 sources.
  static constexpr std::size_t kMostASecond = 1500 + 10 * 1500 + 64 * 64;
  static constexpr Time kBegin{std::chrono::seconds(100)};

  Time now_ = kBegin;
  Outbox outbox_{[this](mmsghdr *messages, unsigned count) { return take(messages, count); }};
  Router router_{{3, false, {}}, outbox_};
  std::vector<LegId> legs_;
  std::deque<Bytes> datagrams_;
  std::set<std::string> came_;
  std::size_t rtp_packets_ = 0, received_rtcp_ = 0;  // from legs: packets, bytes
  std::size_t sent_rtp_ = 0, sent_rtcp_ = 0;         // packets, bytes
};

}  // namespace

// What was read can be written, and reads the same again.
void read_feedback(ByteSpan input) {
  for (const CongestionItem &item : read_congestion(input)) {
    const auto *feedback = std::get_if<TransportFeedback>(&item);
    if (!feedback) continue;
    fuzz::require(feedback->arrivals.size() <= TransportFeedback::kMostPackets);
    Bytes out;
    append(out, *feedback);
    const auto again = read_congestion(out);
    fuzz::require(again.size() == 1);
    const auto &same = std::get<TransportFeedback>(again[0]);
    fuzz::require(same.base == feedback->base && same.arrivals.size() == feedback->arrivals.size());
  }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  read_feedback(fuzz::input(data, size));
  World().run(fuzz::input(data, size));
  return 0;
}
