// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sfu/core/relay.h"

#include <sys/epoll.h>

namespace junctor::sfu {

static_assert(BatchSocket::kBatch <= Router::kBatch);

namespace {

/// Then others of the reactor have their turn; what is left is read in the next one.
constexpr std::size_t kBatchesATurn = 16;

}  // namespace

Result<std::unique_ptr<Relay>> Relay::listen(std::shared_ptr<Reactor> reactor,
                                             const Endpoint &endpoint, Options options) {
  auto socket = BatchSocket::bind(endpoint);
  if (!socket) return socket.error();
  std::unique_ptr<Relay> relay(new Relay(std::move(reactor), std::move(*socket), options));
  if (!relay->watch_) return internal_error("relay: the event loop takes no more sockets");
  return relay;
}

Relay::Relay(std::shared_ptr<Reactor> reactor, std::unique_ptr<BatchSocket> socket,
             const Options &options)
    : reactor_(std::move(reactor)),
      socket_(std::move(socket)),
      outbox_([this](mmsghdr *messages, unsigned count) { return socket_->send(messages, count); }),
      router_({options.max_legs, socket_->is_dual(),
               [this](const sockaddr_in6 &from, ByteSpan datagram) {
                 if (on_stun_) on_stun_(to_endpoint(from), datagram);
               }},
              outbox_) {
  outbox_.use_segments(options.segments);
  watch_ = reactor_->watch(socket_->fd(), EPOLLIN, [this](std::uint32_t events) { ready(events); });
}

Relay::~Relay() = default;

void Relay::ready(std::uint32_t events) {
  const Time now = reactor_->now();
  if (events & EPOLLOUT) outbox_.writable(now);
  if (events & EPOLLIN) ++turns_;
  for (std::size_t i = 0; i < kBatchesATurn; ++i) {
    const auto datagrams = socket_->receive();
    router_.received(datagrams, now);
    // The slots are read into again: what was gathered out of them leaves first.
    outbox_.flush(now);
    if (datagrams.size() < BatchSocket::kBatch) break;
  }
  finish(now);
}

void Relay::finish(Time now) {
  outbox_.flush(now);
  watch_.set_events(outbox_.blocked() ? EPOLLIN | EPOLLOUT : EPOLLIN);
  arm();
}

void Relay::arm() {
  const auto next = router_.next();
  // A timer that rings early finds nothing to do and is set again: cheaper than one anew each turn.
  if (!next || (armed_ && *armed_ <= *next)) return;
  armed_ = next;
  timer_ = reactor_->at(*next, [this] {
    armed_.reset();
    const Time now = reactor_->now();
    router_.run(now);
    finish(now);
  });
}

Result<LegId> Relay::add_leg(LegOptions options) {
  auto leg = router_.add_leg(std::move(options), Clock::now());
  arm();
  return leg;
}

Result<void> Relay::set_remote(LegId leg, const Endpoint &remote) {
  return router_.set_remote(leg, remote);
}

void Relay::request_keyframes(LegId receiver) {
  const Time now = Clock::now();
  router_.request_keyframes(receiver, now);
  finish(now);
}

bool Relay::send(const Endpoint &to, ByteSpan bytes) {
  const auto raw = to_raw(to, socket_->is_dual());
  return raw && socket_->send_one(*raw, bytes);
}

void Relay::inject(LegId leg, std::span<std::byte> packet) {
  inject(leg, std::span<const std::span<std::byte>>(&packet, 1));
}

void Relay::inject(LegId leg, std::span<const std::span<std::byte>> packets) {
  const Time now = Clock::now();
  for (const auto &packet : packets) router_.inject(leg, packet, now);
  finish(now);
}

RelayStats Relay::stats() const {
  RelayStats stats;
  static_cast<RouterStats &>(stats) = router_.stats();
  stats.turns = turns_;
  stats.send_calls = outbox_.calls();
  stats.sent_messages = outbox_.messages();
  return stats;
}

}  // namespace junctor::sfu
