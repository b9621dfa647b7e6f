// SPDX-License-Identifier: LGPL-2.1-or-later
// Ways through NATs that give another port for each peer: predicting it, and many sockets.
#include <algorithm>
#include <utility>

#include "nat/core/channel.h"
#include "nat/core/prediction.h"

namespace junctor::nat {

namespace {

using std::chrono::milliseconds;

/// A prediction is wrong when something else takes a port meanwhile; then it is made anew.
constexpr unsigned kMostRounds = 5;
constexpr Duration kRound = milliseconds(500);
/// Plain probes have made their mappings by then: they take no more ports.
constexpr Duration kFirstRound = milliseconds(30);
constexpr Duration kPatience = milliseconds(250);
constexpr Duration kManyAfter = milliseconds(500);
constexpr std::size_t kManySockets = 256, kGuesses = 1024;
constexpr Duration kLook = milliseconds(20);

}  // namespace

/// The external ports that servers saw of a socket, in the order in which they were asked.
std::vector<Endpoint> Channel::seen(unsigned socket) const {
  std::vector<Endpoint> list;
  for (const Gathering::Found &each : gathering_.known())
    if (each.socket == socket) list.push_back(each.external);
  return list;
}

void Channel::try_tricks(Time now) {
  const bool trying = puncher_ && (puncher_->state() == Puncher::State::Trying ||
                                   puncher_->state() == Puncher::State::Repairing);
  if (!trying || !(options_.prediction || options_.many_sockets)) {
    if (tricks_since_) end_tricks(now);
    return;
  }
  if (!tricks_since_) tricks_since_ = now;
  const Duration elapsed = now - *tricks_since_;
  const bool changes = gathering_.changes_with_peer();
  const auto step = port_step(seen(0));
  if (options_.prediction && step) {
    puncher_->expect_predicting();
    // The peer's external addresses take mappings too, and come first.
    const bool knows =
        elapsed >= kPatience || std::ranges::any_of(remote_->candidates, [](const Candidate &each) {
          return !is_v6(each.endpoint) && !is_private(each.endpoint);
        });
    if (knows && !waits_for_caller() && elapsed >= kFirstRound + rounds_ * kRound) begin_round(now);
  }
  if (options_.many_sockets && !many_ && elapsed >= kManyAfter && gathering_.settled()) {
    if (changes && !step) {
      many_ = true;
      log(LogLevel::Info, "the NAT gives a random port for each peer: many sockets are tried");
      for (std::size_t i = 0; i < kManySockets; ++i)
        if (const auto made = open_extra(Puncher::Use::Many, now))
          puncher_->add_socket(*made, false, now, Puncher::Use::Many);
    } else if (!changes && puncher_->peer_changes_ports()) {
      many_ = true;
      const auto external =
          std::ranges::find(remote_->candidates, CandidateKind::External, &Candidate::kind);
      log(LogLevel::Info, "the peer's NAT gives a random port for each peer: ports are guessed");
      puncher_->guess(external->endpoint.address, kGuesses, now);
    }
  }
  tricks_next_ = now + kLook;
}

/// Where both NATs take one port after another, the caller's prediction comes first, and the callee
/// answers each with its own: only then do both know which mappings are to meet.
bool Channel::waits_for_caller() const {
  if (options_.side == Side::Caller) return false;
  std::vector<Endpoint> theirs;
  for (const Candidate &each : remote_->candidates)
    if (each.kind == CandidateKind::External && !is_v6(each.endpoint))
      theirs.push_back(each.endpoint);
  return port_step(theirs).has_value();
}

void Channel::begin_round(Time now) {
  if (rounds_ >= kMostRounds) return;
  ++rounds_;
  forget_predicting(now);
  // What the peer predicted is for the sockets of its last round.
  if (!waits_for_caller()) puncher_->set_predicted({}, now);
  predicting_ = open_extra(Puncher::Use::Predicting, now);
  sampled_ = false;
  if (predicting_) gathering_.add_socket(*predicting_, false, now);
}

/// The peer tells what its NAT will take next.
void Channel::take_predicted(const std::vector<Candidate> &predicted, Time now) {
  if (!puncher_) return;
  const bool answers = options_.prediction && waits_for_caller() && port_step(seen(0));
  // They are for the socket of the next round, not for that of the last.
  if (answers) forget_predicting(now);
  puncher_->set_predicted(predicted, now);
  if (answers && tricks_since_) begin_round(now);
}

/// The next ports of the NAT, once both samples of this round are there.
void Channel::predict(Time now) {
  if (!predicting_ || sampled_) return;
  const auto samples = seen(*predicting_);
  const auto ports = predicted_ports(samples);
  if (ports.empty()) return;
  sampled_ = true;
  MoreCandidates more{generation_, {}};
  std::string list;
  for (const std::uint16_t port : ports) {
    more.candidates.push_back({CandidateKind::Predicted, {samples.back().address, port}});
    list += " " + std::to_string(port);
  }
  log(LogLevel::Debug, "the NAT is likely to give these ports next:" + list);
  signal(more);
  if (puncher_) puncher_->add_socket(*predicting_, false, now, Puncher::Use::Predicting);
}

/// One more socket for IPv4; nothing where the system gives none.
std::optional<unsigned> Channel::open_extra(Puncher::Use use, Time) {
  auto fd = bind_udp({"0.0.0.0", 0});
  if (!fd) return std::nullopt;
  const auto number = static_cast<unsigned>(sockets_.size());
  Socket socket{.fd = *std::move(fd), .use = use};
  socket.port = local_endpoint(socket.fd.get()).port;
  socket.watch =
      reactor_->watch(socket.fd.get(), EPOLLIN, [self = weak_from_this(), number](std::uint32_t) {
        if (const auto channel = self.lock()) channel->read(number);
      });
  sockets_.push_back(std::move(socket));
  return number;
}

void Channel::close_extra(unsigned number, Time now) {
  if (puncher_ && puncher_->path() && puncher_->path()->socket == number) return;
  if (path_ && path_socket_ == number) return;
  sockets_[number].watch.reset();
  sockets_[number].fd.reset();
  gathering_.remove_socket(number);
  if (puncher_) puncher_->remove_socket(number, now);
}

void Channel::forget_predicting(Time now) {
  if (predicting_) close_extra(*std::exchange(predicting_, std::nullopt), now);
}

/// There is a way, or none will be: the rest is not needed.
void Channel::end_tricks(Time now) {
  tricks_since_.reset();
  tricks_next_.reset();
  predicting_.reset();
  rounds_ = 0;
  many_ = false;
  for (unsigned i = 0; i < sockets_.size(); ++i)
    if (sockets_[i].use != Puncher::Use::Plain && sockets_[i].fd) close_extra(i, now);
  // Numbers at the end can be used again; those before are what others know their sockets by.
  while (sockets_.back().use != Puncher::Use::Plain && !sockets_.back().fd) sockets_.pop_back();
}

}  // namespace junctor::nat
