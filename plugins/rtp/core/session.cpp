// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/session.h"

#include <sys/socket.h>

#include <atomic>

#include "common/kernel_time.h"
#include "rtp/core/session_core.h"

namespace junctor::rtp {

namespace {

/// What callers hold. The core outlives it until the reactor has let go of the sockets.
class SessionHandle final : public Session {
 public:
  explicit SessionHandle(std::shared_ptr<SessionCore> core) : core_(std::move(core)) {}
  ~SessionHandle() override { SessionHandle::close(); }

  std::uint16_t port() const override { return core_->port(); }
  std::uint32_t ssrc() const override { return core_->ssrc(); }
  std::shared_ptr<Reactor> reactor() const override { return core_->reactor(); }
  void configure(const Stream &stream, const Remote &remote) override {
    core_->reactor()->post([core = core_, stream, remote] { core->configure(stream, remote); });
  }
  void set_listener(std::weak_ptr<SessionListener> listener) override {
    core_->set_listener(std::move(listener));
  }
  void send(std::span<const OutgoingPacket> packets) override { core_->send(packets); }
  void begin_source() override { core_->begin_source(); }
  bool request_keyframe() override { return core_->request_keyframe(); }
  void send_digit(const Digit &digit) override {
    core_->reactor()->post([core = core_, digit] { core->send_digit(digit); });
  }
  void set_digits_heard(std::function<void(const Digit &)> heard) override {
    core_->reactor()->post([core = core_, heard = std::move(heard)]() mutable {
      core->set_digits_heard(std::move(heard));
    });
  }
  Stats stats() const override { return core_->stats(); }
  SessionLatency latency() const override { return core_->latency(); }
  std::optional<SenderClock> sender_clock() const override { return core_->sender_clock(); }
  void close() override {
    if (closed_.exchange(true)) return;
    if (core_->reactor()->in_thread())
      core_->shutdown();  // at once, so that nothing reaches a listener that closed it
    else
      core_->reactor()->post([core = core_] { core->shutdown(); });
  }

 private:
  std::shared_ptr<SessionCore> core_;
  std::atomic<bool> closed_ = false;
};

// Seconds between the NTP and the Unix epoch.
constexpr std::chrono::seconds kNtpToUnix(2'208'988'800);

}  // namespace

Result<std::shared_ptr<Session>> Session::open(std::shared_ptr<Reactor> reactor, PortRange &ports,
                                               Options options) {
  auto pair = ports.open(options.address);
  if (!pair) return pair.error();
  // Room for a large keyframe's packets; the system may grant less.
  constexpr int kBuffer = 1 << 20;
  for (const int option : {SO_RCVBUF, SO_SNDBUF})
    ::setsockopt(pair->rtp.get(), SOL_SOCKET, option, &kBuffer, sizeof kBuffer);
  // For latencies: without it they are not measured from the arrival on.
  ask_for_kernel_times(pair->rtp.get());
  auto core =
      std::make_shared<SessionCore>(std::move(reactor), *std::move(pair), std::move(options));
  core->reactor()->post([core] { core->start(); });
  return std::shared_ptr<Session>(std::make_shared<SessionHandle>(std::move(core)));
}

SessionCore::SessionCore(std::shared_ptr<Reactor> reactor, PortRange::Pair ports,
                         Session::Options options)
    : reactor_(std::move(reactor)),
      options_(std::move(options)),
      rtp_(std::move(ports.rtp)),
      rtcp_(std::move(ports.rtcp)),
      port_(ports.port),
      generator_(std::random_device{}()),
      ssrc_(static_cast<std::uint32_t>(generator_())),
      steady_to_ntp_(std::chrono::system_clock::now().time_since_epoch() -
                     Clock::now().time_since_epoch() + kNtpToUnix),
      next_sequence_(static_cast<std::uint16_t>(generator_())),
      timeline_(static_cast<std::uint32_t>(generator_())),
      reorder_(ReorderWait(options_.reorder_start, options_.reorder_most)) {}

void SessionCore::start() {
  if (closed_) return;
  rtp_watch_ = reactor_->watch(rtp_.get(), EPOLLIN,
                               [this](std::uint32_t events) { on_socket(rtp_.get(), events); });
  rtcp_watch_ = reactor_->watch(rtcp_.get(), EPOLLIN,
                                [this](std::uint32_t events) { on_socket(rtcp_.get(), events); });
}

void SessionCore::configure(const Stream &stream, const Remote &remote) {
  if (closed_) return;
  if (stream.clock_rate == 0) {
    log(LogLevel::Error, "RTP: a clock rate of 0 cannot be configured");
    return;
  }
  const bool another_clock = configured_ && stream.clock_rate != stream_.clock_rate;
  const bool held = configured_ && !remote_.send;
  stream_ = stream;
  remote_ = remote;
  if (!remote.live) remote_.send = remote_.receive = false;
  if (!use_srtp(stream.srtp)) remote_.send = remote_.receive = false;
  if (held && remote_.send) resumed_ = reactor_->now();
  if (!stream_.nack) history_.clear();
  reorder_.wait().set_repair(stream_.nack, round_trip_);
  if (another_clock || stream_.events.payload_type < 0 || !remote_.send) digits_out_.clear();
  if (another_clock) {
    timeline_.begin_source();
    source_.reset();
    candidate_.reset();
  }
  latch_.configure(remote.rtp, reactor_->now(), remote.only_there);
  name_rtcp(remote.rtcp != remote.rtp ? remote.rtcp : Endpoint());
  if (!configured_) {
    configured_ = true;
    // Half the interval for the first one (RFC 3550 section 6.2); what is sent brings it forward.
    schedule_report(options_.report_interval / 2);
    replay_early();
  }
}

/// An unchanged address keeps what was learnt, and so does the old way to say hold, as for RTP.
void SessionCore::name_rtcp(const Endpoint &named) {
  const auto destination = to_destination(named);
  if (named == rtcp_named_ || (!destination && named != Endpoint())) return;
  rtcp_named_ = named;
  rtcp_destination_ = destination;
}

void SessionCore::shutdown() {
  if (closed_) return;
  if (configured_ && (counted_.sent_packets > 0 || first_report_sent_)) {
    Bytes compound = begin_compound(reactor_->now());
    rtcp::append(compound, rtcp::Bye{{ssrc_}, {}});
    send_rtcp(compound);
  }
  closed_ = true;
  rtp_watch_.reset();
  rtcp_watch_.reset();
  reorder_timer_.reset();
  report_timer_.reset();
  keyframe_timer_.reset();
  tell_timer_.reset();
  digit_out_timer_.reset();
  digit_in_timer_.reset();
  digits_heard_ = nullptr;
  flush_at_end_.cancel();
  rtp_.reset();
  rtcp_.reset();
  queue_.clear();
  early_.clear();
  undecided_.clear();
  ready_.clear();
  history_.clear();
  listener_.reset();
  publish();
}

Stats SessionCore::stats() const {
  const std::lock_guard lock(mutex_);
  return published_;
}

SessionLatency SessionCore::latency() const {
  const Time now = Clock::now();
  return {receive_latency_.figures(now), reorder_latency_.figures(now),
          pass_on_latency_.figures(now), packetize_latency_.figures(now),
          send_latency_.figures(now)};
}

std::optional<SenderClock> SessionCore::sender_clock() const {
  const std::lock_guard lock(mutex_);
  return published_clock_;
}

void SessionCore::publish() {
  const ReorderBuffer::Counters &order = reorder_.counters();
  counted_.lost = order.lost;
  counted_.late = order.late;
  counted_.reordered = order.reordered;
  counted_.duplicates = order.duplicates;
  if (reorder_.started())
    counted_.reorder_wait_ms =
        std::chrono::duration<double, std::milli>(reorder_.wait().at(reactor_->now())).count();
  if (reception_) counted_.jitter_ms = reception_->jitter_ms();
  std::optional<SenderClock> clock;
  if (peer_report_ && source_ == peer_report_->ssrc && timestamps_.started())
    clock = SenderClock{peer_report_->ssrc, ntp_to_nanoseconds(peer_report_->ntp),
                        timestamps_.peek(peer_report_->rtp_timestamp), stream_.clock_rate};
  const std::lock_guard lock(mutex_);
  published_ = counted_;
  published_clock_ = clock;
}

void SessionCore::log(LogLevel level, std::string_view text) const {
  if (options_.log) options_.log(level, text);
}

std::uint64_t SessionCore::ntp(Time when) const {
  return nanoseconds_to_ntp(when.time_since_epoch() + steady_to_ntp_);
}

}  // namespace junctor::rtp
