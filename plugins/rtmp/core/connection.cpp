// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/connection.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "rtmp/core/locator.h"
#include "rtmp/core/server_core.h"

namespace junctor::rtmp {

namespace {

/// What may wait to be sent to a client that goes on asking without reading the answers.
constexpr std::size_t kControlBound = 256UL * 1024;
/// A turn serves others too.
constexpr int kReadsPerTurn = 4;
/// How long, and for how many bytes, a peer that was told the end may take to close.
constexpr Duration kDrainTime = std::chrono::seconds(2);
constexpr std::size_t kDrainBytes = 4UL * 1024 * 1024;
/// What the kernel may hold unsent: more would hide from us that a player lags.
constexpr int kUnsent = 16 * 1024;

Duration milliseconds(int count) { return std::chrono::milliseconds(count); }

}  // namespace

Connection::Connection(ServerCore &core, std::unique_ptr<StreamSocket> socket, std::uint64_t id,
                       Endpoint peer, bool secure)
    : core_(core),
      socket_(std::move(socket)),
      id_(id),
      peer_(std::move(peer)),
      session_({core.limits(), id, peer_, {}, secure}, *this, core.reactor()->now()),
      progress_(core.reactor()->now()),
      pinged_(progress_) {}

Connection::~Connection() = default;

void Connection::start() {
  const auto set = [this](int level, int option, int value) {
    ::setsockopt(socket_->fd(), level, option, &value, sizeof value);
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(IPPROTO_TCP, TCP_NOTSENT_LOWAT, kUnsent);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  quick_acknowledgement();
  watch_ = core_.reactor()->watch(socket_->fd(), EPOLLIN | EPOLLRDHUP,
                                  [this](std::uint32_t events) { on_ready(events); });
  if (!watch_) {
    session_.close(internal_error("its socket cannot be watched"));
    settle();
  }
  update();
}

/// Without it, the sender's Nagle algorithm and our delayed acknowledgement wait for each other.
/// The kernel goes back to delaying them when we send something.
void Connection::quick_acknowledgement() {
  const int on = 1;
  ::setsockopt(socket_->fd(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

void Connection::on_ready(std::uint32_t events) {
  // Either may be let go of by what is called below.
  const auto core = core_.shared_from_this();
  const auto self = shared_from_this();
  if (events & EPOLLOUT) blocked_ = false;
  if ((events & EPOLLIN) || ((events & EPOLLOUT) && socket_->waits_to_write())) {
    state_ == State::Draining ? discard_input() : read_input();
  } else if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) {
    peer_gone("the client closed the connection");
  }
  flush();
}

void Connection::read_input() {
  Bytes &buffer = core_.receive_buffer();
  for (int i = 0; i < kReadsPerTurn && state_ == State::Open && session_.wants_input(); ++i) {
    const ssize_t got = socket_->receive(buffer);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) peer_gone(socket_->failure(errno));
      return;
    }
    if (got == 0) {
      peer_gone("the client closed the connection");
      return;
    }
    if (std::exchange(has_sent_, false)) quick_acknowledgement();
    progress_ = core_.reactor()->now();
    waited_ = socket_->waited().value_or(Duration::zero());
    feed(ByteSpan(buffer).first(static_cast<std::size_t>(got)));
    if (!socket_ || !socket_->may_have_more(static_cast<std::size_t>(got), buffer.size())) return;
  }
}

void Connection::feed(ByteSpan bytes) {
  const std::size_t taken = session_.receive(bytes, core_.reactor()->now());
  if (taken < bytes.size())
    held_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(taken), bytes.end());
  settle();
}

void Connection::feed_held() {
  while (state_ == State::Open && session_.wants_input() && !held_.empty()) {
    const Bytes bytes = std::move(held_);
    held_.clear();
    feed(bytes);
  }
}

/// As it comes: what it says under TLS is not looked at.
void Connection::discard_input() {
  Bytes &buffer = core_.receive_buffer();
  const ssize_t got = ::recv(socket_->fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
  if (got > 0) drained_ += static_cast<std::size_t>(got);
  if (got <= 0 || drained_ > kDrainBytes) destroy();
}

void Connection::decide(std::uint64_t check, const Verdict &verdict) {
  const auto core = core_.shared_from_this();
  const auto self = shared_from_this();
  if (state_ != State::Open) return;
  session_.decide(check, verdict, core_.reactor()->now());
  settle();
  feed_held();
  flush();
}

void Connection::on_check(std::uint64_t check, const Request &request) {
  core_.authenticate(id_, check, request);
}

void Connection::on_checked(const Request &request, const Verdict &verdict) {
  core_.checked(request, verdict);
}

void Connection::on_publish(std::uint32_t stream, const Request &request) {
  publishing_.push_back({stream, request, nullptr});
  auto publication = core_.publish(*this, stream, request);
  for (Publishing &publishing : publishing_)
    if (publishing.stream == stream) publishing.publication = std::move(publication);
}

void Connection::on_media(std::uint32_t stream, const Message &message) {
  const auto found = std::find_if(publishing_.begin(), publishing_.end(),
                                  [&](const Publishing &each) { return each.stream == stream; });
  if (found == publishing_.end() || !found->publication) return;
  // A listener may end the publisher, which empties publishing_.
  const auto publication = found->publication;
  const auto taken = publication->take(message, core_.reactor()->now(), waited_);
  if (taken) return;
  const Error &error = taken.error();
  if (publication->unruly()) {
    session_.close(error);
    return;
  }
  const Time now = core_.reactor()->now();
  if (error.fault == Fault::Refused) {
    const std::uint32_t kind = 1U << (static_cast<unsigned>(message.type) % 32);
    if ((std::exchange(refused_logged_, refused_logged_ | kind) & kind) != 0) return;
  } else if (!faults_.may(now)) {
    session_.close(bad_input("too many broken messages, the last: " + error.detail));
    return;
  } else {
    faults_.take(now);
  }
  core_.log(LogLevel::Warning, "rtmp " + peer_.to_string() +
                                   ": left out while publishing: " + printable(error.detail, 256));
}

void Connection::on_unpublish(std::uint32_t stream) {
  const auto found = std::find_if(publishing_.begin(), publishing_.end(),
                                  [&](const Publishing &each) { return each.stream == stream; });
  if (found == publishing_.end()) return;
  const Publishing ended = std::move(*found);
  publishing_.erase(found);
  core_.unpublish(*this, stream, ended.request, true);
}

void Connection::on_play(std::uint32_t stream, const Request &request) {
  auto outlet = core_.outlet(request.stream);
  progress_ = core_.reactor()->now();
  auto player = outlet->join(*this, stream, session_.h264_style());
  playing_.push_back({stream, request, outlet, std::move(player), progress_, {}, {}});
  core_.play_started(request);
}

void Connection::on_play_state(std::uint32_t stream, const PlayState &state) {
  for (Playing &playing : playing_)
    if (playing.stream == stream) playing.player->set_state(state, core_.reactor()->now());
}

void Connection::on_play_stopped(std::uint32_t stream) {
  for (std::size_t i = 0; i < playing_.size(); ++i) {
    if (playing_[i].stream != stream) continue;
    drop_player(i);
    return;
  }
}

/// The rest of a message that is sent in part goes before anything else.
void Connection::drop_player(std::size_t at) {
  const Playing ended = std::move(playing_[at]);
  playing_.erase(playing_.begin() + static_cast<std::ptrdiff_t>(at));
  if (ended.player->mid_message()) {
    const ByteSpan rest = ended.player->rest();
    Bytes front(rest.begin(), rest.end());
    front.insert(front.end(), control_.begin() + static_cast<std::ptrdiff_t>(control_at_),
                 control_.end());
    control_ = std::move(front);
    control_at_ = 0;
  }
  ended.outlet->remove(*this);
  core_.play_ended(ended.request);
}

void Connection::end_publish(std::uint32_t stream, std::string_view code,
                             std::string_view description, bool finished) {
  if (state_ != State::Open) return;
  session_.end_publish(stream, code, description);
  begin_closing(finished);
  schedule_flush();
}

void Connection::end_play(const ServerOutlet *outlet, const std::string &code,
                          const std::string &description) {
  for (Playing &playing : playing_) {
    if (playing.outlet.get() != outlet || !playing.end_code.empty()) continue;
    playing.player->end_here();
    playing.end_code = code;
    playing.end_description = description;
  }
  schedule_flush();
}

void Connection::shut() {
  const auto self = shared_from_this();
  if (state_ == State::Open) {
    for (const Publishing &publishing : publishing_)
      session_.end_publish(publishing.stream, "NetConnection.Connect.AppShutdown",
                           "The server is closing.");
    for (const Playing &playing : playing_)
      session_.end_play(playing.stream, "NetConnection.Connect.AppShutdown",
                        "The server is closing.");
    session_.close({Fault::PeerClosed, "the server is closing"});
    begin_closing(false);
    flush();
  }
  destroy();
}

void Connection::settle() {
  if (state_ == State::Open && session_.closing()) begin_closing(session_.announced_end());
}

void Connection::begin_closing(bool finished) {
  if (state_ != State::Open) return;
  const Error &reason = session_.close_reason();
  const bool fault = reason.fault == Fault::BadInput || reason.fault == Fault::Timeout;
  core_.log_end(fault ? LogLevel::Warning : LogLevel::Info, *this,
                "rtmp " + peer_.to_string() +
                    (reason.fault == Fault::Refused ? ": refused at " : ": closed at ") +
                    std::string(session_.stage()) + ": " + printable(reason.detail, 256));
  state_ = State::Draining;
  drain_until_ = core_.reactor()->now() + kDrainTime;
  take_output();
  detach(finished);
  tells_end_ = control_pending();
  held_ = {};
}

void Connection::peer_gone(std::string_view why) {
  if (state_ == State::Open) {
    const bool finished = session_.announced_end();
    session_.close({Fault::PeerClosed, std::string(why)});
    begin_closing(finished);
  }
  destroy();
}

void Connection::detach(bool finished) {
  while (!playing_.empty()) drop_player(playing_.size() - 1);
  while (!publishing_.empty()) {
    const Publishing ended = std::move(publishing_.back());
    publishing_.pop_back();
    core_.unpublish(*this, ended.stream, ended.request, finished);
  }
}

void Connection::destroy() {
  if (state_ == State::Closed) return;
  state_ = State::Closed;
  watch_.reset();
  timer_.reset();
  socket_.reset();
  core_.gone(*this);
}

void Connection::take_output() {
  if (!session_.has_output()) return;
  const Bytes said = session_.take_output();
  // What has been sent goes once it is the larger part, even if there is always a rest to send.
  if (control_at_ >= control_.size() - control_at_) {
    control_.erase(control_.begin(), control_.begin() + static_cast<std::ptrdiff_t>(control_at_));
    control_at_ = 0;
  }
  control_.insert(control_.end(), said.begin(), said.end());
}

void Connection::schedule_flush() {
  if (std::exchange(flush_due_, true)) return;
  core_.reactor()->at_end_of_turn([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->state_ == State::Closed) return;
    self->flush_due_ = false;
    self->flush();
  });
}

void Connection::flush() {
  send_all();
  update();
}

void Connection::send_all() {
  if (!check_lag(core_.reactor()->now())) return;
  while (!blocked_ && state_ != State::Closed) {
    if (send_once()) continue;
    if (blocked_ || !end_finished_players()) break;
  }
  if (state_ != State::Draining || control_pending() || socket_->has_unsent() || write_closed_)
    return;
  if (!tells_end_) return destroy();
  // Closed at once, data that the peer still sends would make the kernel throw away what it has
  // not read yet: the reason.
  write_closed_ = true;
  if (!socket_->end_sending()) destroy();
}

/// One system call; false if there is nothing to send or the socket takes no more.
bool Connection::send_once() {
  const Time now = core_.reactor()->now();
  if (!socket_->flush()) {
    blocked_ = errno == EAGAIN;
    if (!blocked_) peer_gone(socket_->failure(errno));
    return false;
  }
  take_output();
  Batch &batch = core_.batch();
  batch.clear();
  const bool control = control_pending();
  Playing *source = nullptr;
  for (Playing &playing : playing_)
    if (playing.player->mid_message()) source = &playing;
  if (control) {
    if (source) source->player->gather_rest(batch);
    batch.add(ByteSpan(control_).subspan(control_at_));
  } else if (source) {
    source->player->gather(batch, now);
  } else {
    for (Playing &playing : playing_) {
      playing.player->gather(batch, now);
      if (batch.bytes() == 0) continue;
      source = &playing;
      break;
    }
  }
  if (batch.bytes() == 0) return false;

  msghdr message{};
  message.msg_iov = const_cast<iovec *>(batch.pieces());
  message.msg_iovlen = batch.piece_count();
  const ssize_t sent = socket_->send(message);
  if (sent < 0) {
    if (errno == EINTR) return true;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
      blocked_ = true;
    } else {
      peer_gone(socket_->failure(errno));
    }
    return false;
  }
  has_sent_ = true;
  std::size_t rest = static_cast<std::size_t>(sent);
  blocked_ = rest < batch.bytes() || socket_->has_unsent();
  if (source) {
    const std::size_t before = rest;
    rest = source->player->advance(batch, rest, now, Clock::now());
    if (rest < before) source->last_sent = progress_ = now;
  }
  control_at_ += rest;
  return !blocked_;
}

bool Connection::check_lag(Time now) {
  for (const Playing &playing : playing_) {
    if (!playing.player->too_late(now)) continue;
    session_.close({Fault::Timeout, "it takes too slowly: more than " +
                                        std::to_string(core_.limits().lag_part_ms) + " ms late"});
    begin_closing(false);
    destroy();
    return false;
  }
  return true;
}

/// Whether one has been told its end.
bool Connection::end_finished_players() {
  for (const Playing &playing : playing_) {
    if (playing.end_code.empty() || !playing.player->at_end()) continue;
    const std::string code = playing.end_code, description = playing.end_description;
    session_.end_play(playing.stream, code, description);
    begin_closing(false);
    return true;
  }
  return false;
}

void Connection::on_timer() {
  const auto core = core_.shared_from_this();
  const auto self = shared_from_this();
  const Time now = core_.reactor()->now();
  timer_at_ = Time::max();
  if (state_ == State::Draining && now >= drain_until_) destroy();
  if (state_ == State::Open) {
    session_.tick(now);
    settle();
  }
  if (state_ == State::Open && !playing_.empty()) tick_players(now);
  flush();
}

void Connection::tick_players(Time now) {
  const Limits &limits = core_.limits();
  if (limits.idle_ms > 0) {
    if (now >= progress_ + milliseconds(limits.idle_ms)) {
      session_.close(
          {Fault::Timeout, "no sign of life for " + std::to_string(limits.idle_ms) + " ms"});
      settle();
      return;
    }
    if (now >= std::max(progress_, pinged_) + milliseconds(limits.idle_ms) / 3) {
      pinged_ = now;
      if (!blocked_) session_.ping(now);
    }
  }
  if (limits.wait_ms <= 0) return;
  for (const Playing &playing : playing_) {
    if (now < playing.last_sent + milliseconds(limits.wait_ms)) continue;
    session_.end_play(
        playing.stream, "NetStream.Play.Failed",
        "Nothing was sent to this name for " + std::to_string(limits.wait_ms / 1000) + " s.");
    settle();
    return;
  }
}

/// When the timer has to look next.
Time Connection::due() const {
  if (state_ == State::Draining) return drain_until_;
  Time when = session_.deadline();
  if (playing_.empty()) return when;
  // A source that says nothing brings no turn in which a player that waits would begin.
  if (!blocked_)
    for (const Playing &playing : playing_)
      when = std::min(when, playing.player->hold_end().value_or(Time::max()));
  const Limits &limits = core_.limits();
  if (limits.idle_ms > 0) {
    when = std::min(when, progress_ + milliseconds(limits.idle_ms));
    when = std::min(when, std::max(progress_, pinged_) + milliseconds(limits.idle_ms) / 3);
  }
  if (limits.wait_ms > 0)
    for (const Playing &playing : playing_)
      when = std::min(when, playing.last_sent + milliseconds(limits.wait_ms));
  return when;
}

/// Brings what is waited for, descriptor and time, in line with the state.
void Connection::update() {
  if (state_ == State::Closed) return;
  take_output();  // it counts against the bound also while the socket takes nothing
  const bool reads = state_ == State::Draining ||
                     (session_.wants_input() && control_.size() - control_at_ < kControlBound);
  watch_.set_events((reads ? EPOLLIN : 0U) |
                    (blocked_ || socket_->waits_to_write() ? EPOLLOUT : 0U) | EPOLLRDHUP);
  const Time when = due();
  // A limit that has moved on is looked at when the old one ends: moving the timer at each message
  // would cost more.
  if (when >= timer_at_) return;
  timer_at_ = when;
  timer_ = core_.reactor()->at(when, [this] { on_timer(); });
}

}  // namespace junctor::rtmp
