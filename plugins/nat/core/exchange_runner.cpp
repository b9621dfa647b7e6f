// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/exchange_runner.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "nat/core/candidate.h"
#include "nat/core/host_addresses.h"
#include "rtp/core/stun.h"

namespace junctor::nat {

namespace stun = rtp::stun;

namespace {

constexpr int kDatagramsPerTurn = 64;

}  // namespace

Result<ExchangeSockets> ExchangeSockets::open(unsigned count, const Endpoint &towards) {
  auto address = source_address(towards);
  if (!address) return address.error();
  ExchangeSockets opened;
  const bool v6 = is_v6(towards);
  for (unsigned i = 0; i < count; ++i) {
    // Bound to no address: a machine that changes networks goes on from its new one.
    auto fd = bind_udp({v6 ? "::" : "0.0.0.0", 0});
    if (!fd) return fd.error();
    opened.local.push_back({*address, local_endpoint(fd->get()).port});
    opened.sockets.push_back(std::move(*fd));
  }
  return opened;
}

ExchangeRunner::ExchangeRunner(std::shared_ptr<Reactor> reactor, ExchangeSockets sockets,
                               Exchange &exchange, std::function<void()> progressed)
    : reactor_(std::move(reactor)),
      sockets_(std::move(sockets)),
      exchange_(exchange),
      progressed_(std::move(progressed)) {
  for (unsigned i = 0; i < sockets_.sockets.size(); ++i)
    watches_.push_back(
        reactor_->watch(sockets_.sockets[i].get(), EPOLLIN, [this, i](std::uint32_t) { read(i); }));
  timer_ = reactor_->after(Duration::zero(), [this] { step(); });
}

ExchangeRunner::~ExchangeRunner() = default;

void ExchangeRunner::step() {
  for (const Outgoing &out : exchange_.poll(Clock::now())) send(out);
  if (auto request = exchange_.take_stream()) connect(*std::move(request));
  timer_.reset();
  if (const auto next = exchange_.next()) {
    timer_ = reactor_->at(*next, [this] { step(); });
  } else {
    watches_.clear();
    stream_watch_.reset();
    stream_.reset();
  }
  progressed_();
}

void ExchangeRunner::send(const Outgoing &out) {
  const auto to = out.to.to_sockaddr();
  if (!to || out.socket >= sockets_.sockets.size()) return;
  const ssize_t sent =
      ::sendto(sockets_.sockets[out.socket].get(), out.bytes.data(), out.bytes.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr *>(&*to), sockaddr_length(*to));
  // A full queue and a packet filter of this machine are losses like others.
  if (sent < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EPERM)
    exchange_.send_failed(out, std::strerror(errno));
}

void ExchangeRunner::read(unsigned socket) {
  std::array<std::byte, stun::kMaxMessage + 1> buffer;
  for (int i = 0; i < kDatagramsPerTurn; ++i) {
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    const ssize_t got = ::recvfrom(sockets_.sockets[socket].get(), buffer.data(), buffer.size(), 0,
                                   reinterpret_cast<sockaddr *>(&from), &length);
    if (got < 0) break;
    exchange_.received(socket, Endpoint::from_sockaddr(reinterpret_cast<const sockaddr *>(&from)),
                       ByteSpan(buffer).first(static_cast<std::size_t>(got)), Clock::now());
  }
  step();
}

void ExchangeRunner::connect(Outgoing request) {
  request_ = std::move(request);
  const auto to = request_.to.to_sockaddr();
  if (!to) return fail_stream("no address");
  stream_ = UniqueFd(::socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!stream_ || (::connect(stream_.get(), reinterpret_cast<const sockaddr *>(&*to),
                             sockaddr_length(*to)) < 0 &&
                   errno != EINPROGRESS))
    return fail_stream(std::strerror(errno));
  stream_watch_ =
      reactor_->watch(stream_.get(), EPOLLOUT, [this](std::uint32_t) { write_stream(); });
}

void ExchangeRunner::write_stream() {
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(stream_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) {
    fail_stream(std::strerror(error));
    return step();
  }
  // A fresh connection takes a few dozen bytes at once.
  if (::send(stream_.get(), request_.bytes.data(), request_.bytes.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request_.bytes.size())) {
    fail_stream(std::strerror(errno));
    return step();
  }
  // A descriptor is watched once at a time.
  stream_watch_.reset();
  stream_watch_ = reactor_->watch(stream_.get(), EPOLLIN, [this](std::uint32_t) { read_stream(); });
}

void ExchangeRunner::read_stream() {
  std::array<std::byte, stun::kMaxMessage> buffer;
  const ssize_t got = ::recv(stream_.get(), buffer.data(), buffer.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got > 0) input_.insert(input_.end(), buffer.begin(), buffer.begin() + got);
  const auto size = stun::framed_length(input_);
  if (got > 0 && size && *size == 0) return;
  if (got > 0 && size)
    exchange_.stream_answered(ByteSpan(input_).first(*size), Clock::now());
  else
    exchange_.stream_failed(got > 0 ? "what answers is no STUN server" : "connection closed",
                            Clock::now());
  stream_watch_.reset();
  stream_.reset();
  step();
}

void ExchangeRunner::fail_stream(const std::string &why) {
  stream_watch_.reset();
  stream_.reset();
  exchange_.stream_failed(why, Clock::now());
}

}  // namespace junctor::nat
