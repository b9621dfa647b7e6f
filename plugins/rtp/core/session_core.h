// SPDX-License-Identifier: LGPL-2.1-or-later
// The inside of a Session: all that lives on the reactor.
#pragma once

#include <map>
#include <random>

#include "common/latency.h"
#include "rtp/core/outgoing.h"
#include "rtp/core/reception.h"
#include "rtp/core/reorder.h"
#include "rtp/core/session.h"
#include "rtp/core/unwrap.h"

namespace junctor::rtp {

/// Which address media goes to and may come from. Whoever knows the port can send to it, so the
/// first packet decides nothing: the host that the peer named is believed at once, whatever its
/// port (RFC 4961); another, as of a phone behind a NAT, only after it has sent for a while in
/// which nothing came from the named one.
class Latch {
 public:
  /// How long packets of the previous source, still on their way, are not latched onto.
  static constexpr Duration kGrace = std::chrono::seconds(1);
  /// For how long, after the answer and after another host's first packet, the named host is
  /// waited for.
  static constexpr Duration kPreference = std::chrono::milliseconds(400);
  /// Packets of one SSRC, without a pause of kForget, that another host must have sent.
  static constexpr unsigned kCandidatePackets = 3;
  static constexpr Duration kForget = std::chrono::seconds(2);
  static constexpr std::size_t kMaxCandidates = 8;
  /// A source that was silent so long, and goes on from another port of its host with its SSRC: its
  /// NAT has forgotten it meanwhile, or been restarted.
  static constexpr Duration kRebound = std::chrono::seconds(1);

  enum class Verdict : std::uint8_t {
    Accepted,   ///< the peer's
    Undecided,  ///< may turn out to be the peer's
    Stranger,
  };

  /// An answer. A changed address is sent to at once and learnt anew; an unchanged one keeps what
  /// was learnt, so that a phone behind a NAT loses nothing by a hold. Nor does one that holds by
  /// an address of nowhere.
  /// `only_there`: no other host can become the peer's.
  void configure(const Endpoint &signalled, Time now, bool only_there = false);
  /// Whether a valid packet from there is the peer's; may latch onto it.
  Verdict judge(const sockaddr_storage &source, std::uint32_t ssrc, Time now);
  /// Where media comes from; null until that is known.
  const sockaddr_storage *latched() const { return latched_ ? &*latched_ : nullptr; }
  /// Where to send; nothing while neither answer nor packet has said so.
  const sockaddr_storage *destination() const { return destination_ ? &*destination_ : nullptr; }
  /// Whether the address, whatever the port, is the peer's.
  bool same_host(const sockaddr_storage &source) const;

 private:
  struct Candidate {
    sockaddr_storage address;
    std::uint32_t ssrc;
    unsigned packets;
    Time first, last;
  };
  Verdict weigh(const sockaddr_storage &source, std::uint32_t ssrc, Time now);
  void latch(const sockaddr_storage &source);
  bool is_rebound(const sockaddr_storage &source, std::uint32_t ssrc, Time now) const;
  bool qualifies(const sockaddr_storage &source, std::uint32_t ssrc, Time now);

  std::optional<Endpoint> signalled_text_;
  std::optional<sockaddr_storage> signalled_, destination_, latched_, previous_;
  Time previous_until_{}, since_{};
  Time heard_{};            // the latched source, last
  std::uint32_t ssrc_ = 0;  // of that
  bool only_there_ = false;
  bool renewed_ = false;  // an answer has come since the latched source was last heard
  std::vector<Candidate> candidates_;
};

bool same_address(const sockaddr_storage &a, const sockaddr_storage &b);
bool same_host(const sockaddr_storage &a, const sockaddr_storage &b);
/// Nothing for an address that cannot be sent to (0.0.0.0, port 0, not numeric).
std::optional<sockaddr_storage> to_destination(const Endpoint &endpoint);

/// Reactor thread, but for the two copies behind `mutex_`.
class SessionCore : public std::enable_shared_from_this<SessionCore> {
 public:
  SessionCore(std::shared_ptr<Reactor> reactor, PortRange::Pair ports, Session::Options options);

  void start();
  void configure(const Stream &stream, const Remote &remote);
  void set_listener(std::weak_ptr<SessionListener> listener);
  void send(std::span<const OutgoingPacket> packets);
  void begin_source() { timeline_.begin_source(); }
  bool request_keyframe();
  void send_digit(const Digit &digit);
  void set_digits_heard(std::function<void(const Digit &)> heard) {
    digits_heard_ = std::move(heard);
  }
  void shutdown();

  // Any thread.
  std::uint16_t port() const { return port_; }
  std::uint32_t ssrc() const { return ssrc_; }
  const std::shared_ptr<Reactor> &reactor() const { return reactor_; }
  const Session::Options &options() const { return options_; }
  Stats stats() const;
  SessionLatency latency() const;
  std::optional<SenderClock> sender_clock() const;

 private:
  // session_receive.cpp
  void on_socket(int fd, std::uint32_t events);
  void on_datagram(const SharedBytes &datagram, const sockaddr_storage &source, int fd, Time now);
  void on_rtp(SharedBytes datagram, const sockaddr_storage &source, Time now);
  /// Makes the datagram one of the agreed format. False if it is of none that was agreed.
  bool make_agreed(SharedBytes &datagram, PacketView &view) const;
  bool admit(const SharedBytes &datagram, const sockaddr_storage &source, std::uint32_t ssrc,
             Time now);
  void accept(const SharedBytes &datagram, const PacketView &view, Time now);
  void take(IncomingPacket packet, std::uint32_t timestamp);
  void replay_early();
  void adopt_source(std::uint32_t ssrc);
  void deliver();
  void arm_reorder_timer();

  // session_srtp.cpp
  /// False if the session can neither send nor receive under these keys.
  bool use_srtp(const std::optional<SrtpKeys> &keys);
  /// Decrypts a datagram in its place; false if it does not count.
  bool decrypt(std::span<std::byte> datagram, unsigned &size, int fd);
  bool decrypt(SharedBytes &datagram, int fd);
  /// False if the packet must not leave.
  bool encrypt(WirePacket &packet);

  // session_send.cpp
  void flush();
  std::size_t write_some(std::span<const WirePacket> packets, const sockaddr_storage &destination,
                         bool &blocked);
  void resend(std::span<const std::uint16_t> sequences, Time now);

  // session_dtmf.cpp
  bool is_event(const IncomingPacket &packet) const;
  /// Takes the events out of what is ready to be passed on.
  void take_events();
  void tell_digits(const std::vector<Digit> &digits);
  void arm_digit_timers();
  void send_events();

  // session_rtcp.cpp
  void on_rtcp(ByteSpan datagram, const sockaddr_storage &source, int fd, Time now);
  void on_item(const rtcp::SenderReport &report, Time now);
  void on_item(const rtcp::ReceiverReport &report, Time now);
  void on_item(const rtcp::SourceDescription &, Time) {}
  void on_item(const rtcp::Bye &bye, Time now);
  void on_item(const rtcp::Pli &pli, Time now);
  void on_item(const rtcp::Fir &fir, Time now);
  void on_item(const rtcp::Nack &nack, Time now);
  void on_blocks(const std::vector<rtcp::ReportBlock> &blocks, Time now);
  void peer_wants_keyframe(Time now);
  void tell_keyframe_request();
  void schedule_report(Duration mean);
  void send_report();
  void send_keyframe_request();
  void send_nack(Time now);
  Bytes begin_compound(Time now);
  void send_rtcp(const Bytes &compound);
  /// Where an answer wants RTCP; empty: where RTP goes.
  void name_rtcp(const Endpoint &named);

  void publish();
  void log(LogLevel level, std::string_view text) const;
  std::uint64_t ntp(Time when) const;
  double random() { return std::uniform_real_distribution<double>(0, 1)(generator_); }

  // Fixed at construction.
  std::shared_ptr<Reactor> reactor_;
  Session::Options options_;
  UniqueFd rtp_, rtcp_;
  std::uint16_t port_;
  std::mt19937 generator_;
  std::uint32_t ssrc_;
  std::chrono::nanoseconds steady_to_ntp_;

  bool closed_ = false, configured_ = false;
  Stream stream_;
  Remote remote_;
  std::weak_ptr<SessionListener> listener_;
  Reactor::Watch rtp_watch_, rtcp_watch_;
  Latch latch_;
  Endpoint rtcp_named_;                               // by the answer; empty: where RTP goes
  std::optional<sockaddr_storage> rtcp_destination_;  // learnt since, if anything came
  /// Null before the first key. It stays when keys go, so that none of them ever starts anew.
  std::unique_ptr<Srtp> srtp_;
  bool encrypted_ = false;  // by srtp_, at the moment
  bool srtp_failure_told_ = false, srtp_bound_told_ = false;

  // Sending.
  std::uint16_t next_sequence_;
  OutgoingTimeline timeline_;
  std::vector<WirePacket> queue_;
  Reactor::TurnEnd flush_at_end_{[this] { flush(); }};
  bool send_blocked_ = false;
  SentHistory history_;
  std::uint32_t sent_payload_octets_ = 0;
  std::uint64_t sent_at_last_report_ = 0, sent_at_report_before_ = 0;
  int last_send_error_ = 0;
  std::optional<Time> resumed_;  // when a hold ended after which nothing has been sent yet
  bool segmentation_ = true;     // UDP_SEGMENT, until it fails

  // Receiving.
  struct Candidate {
    std::uint32_t ssrc = 0, timestamp = 0;
    IncomingPacket packet;
  };
  std::optional<std::uint32_t> source_;  // SSRC
  std::optional<Candidate> candidate_;
  bool first_of_source_ = false, source_changed_ = false;
  Unwrapper<std::uint32_t> timestamps_;
  ReorderBuffer reorder_;
  std::optional<Reception> reception_;
  std::vector<IncomingPacket> ready_;
  /// What came before the answer said how to read it.
  struct Early {
    SharedBytes datagram;
    sockaddr_storage source;
    int fd;
    Time arrival;
  };
  std::vector<Early> early_;
  std::vector<Early> undecided_;                 // RTP from who may turn out to be the peer
  bool unseen_ = false, unseen_source_ = false;  // packets, a source's first, went without listener
  Reactor::Timer reorder_timer_;

  // Digits.
  DigitSender digits_out_;
  DigitReceiver digits_in_;
  bool after_digit_ = false;                                // the next audio begins a talkspurt
  bool lost_by_events_ = false, source_by_events_ = false;  // what events told of, not audio yet
  std::function<void(const Digit &)> digits_heard_;
  Reactor::Timer digit_out_timer_, digit_in_timer_;

  // Feedback and reports.
  struct Asked {
    Time when{};
    int times = 0;
  };
  std::map<std::uint16_t, Asked> asked_;  // missing, and a NACK went out for
  Reactor::Timer report_timer_, keyframe_timer_, tell_timer_;
  bool first_report_sent_ = false;
  bool keyframe_wanted_ = false;
  std::optional<Time> last_keyframe_request_, last_told_;
  std::uint8_t fir_sequence_ = 0;
  struct PeerFir {
    std::uint32_t sender = 0;  // its SSRC
    std::uint8_t request = 0;
    bool operator==(const PeerFir &) const = default;
  };
  std::optional<PeerFir> peer_fir_;  // the last one
  Duration round_trip_{};
  struct PeerReport {
    std::uint32_t ssrc = 0, rtp_timestamp = 0;
    std::uint64_t ntp = 0;
  };
  std::optional<PeerReport> peer_report_;

  Stats counted_;
  LatencyMeter receive_latency_, reorder_latency_, pass_on_latency_, packetize_latency_,
      send_latency_;
  std::optional<Time> queued_since_;  // the oldest in queue_
  bool waited_for_listener_ = false;  // what is in ready_

  mutable std::mutex mutex_;  // guards the two below
  Stats published_;
  std::optional<SenderClock> published_clock_;
};

}  // namespace junctor::rtp
