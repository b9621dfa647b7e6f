// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/stun_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "nat/core/candidate.h"

namespace junctor::nat {

namespace stun = rtp::stun;

namespace {

/// Datagrams of one socket in one turn, so that a flood leaves time for calls.
constexpr int kDatagramsPerTurn = 128;
constexpr int kTries = 8;  // to find a number that is free for all
/// Between two lines about sources that ask too much.
constexpr Duration kBetweenWarnings = std::chrono::seconds(10);
/// Before connections are accepted again, where that failed.
constexpr Duration kAcceptPause = std::chrono::milliseconds(500);

bool is_wildcard(const Endpoint &endpoint) {
  return endpoint.address == "0.0.0.0" || endpoint.address == "::";
}

/// IPv4 as itself, also where it came in on a socket of IPv6.
Endpoint unmapped(const sockaddr *address) {
  Endpoint endpoint = Endpoint::from_sockaddr(address);
  constexpr std::string_view kMapped = "::ffff:";
  if (endpoint.address.starts_with(kMapped) && endpoint.address.find('.') != std::string::npos)
    endpoint.address.erase(0, kMapped.size());
  return endpoint;
}

/// For a socket of `family`.
std::optional<sockaddr_storage> mapped(const Endpoint &endpoint, int family) {
  auto address = endpoint.to_sockaddr();
  if (address && address->ss_family == AF_INET && family == AF_INET6)
    address = Endpoint{"::ffff:" + endpoint.address, endpoint.port}.to_sockaddr();
  if (!address || address->ss_family != family) return std::nullopt;
  return *address;
}

/// Room for the control message with the address that a datagram was sent to.
union Control {
  cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(in6_pktinfo))];
};

/// The address in the control messages of `message`, as text; empty if there is none.
std::string destination_of(msghdr &message) {
  for (cmsghdr *each = CMSG_FIRSTHDR(&message); each; each = CMSG_NXTHDR(&message, each)) {
    sockaddr_storage storage{};
    if (each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(each), sizeof info);
      reinterpret_cast<sockaddr_in &>(storage).sin_addr = info.ipi_addr;
      storage.ss_family = AF_INET;
    } else if (each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(each), sizeof info);
      reinterpret_cast<sockaddr_in6 &>(storage).sin6_addr = info.ipi6_addr;
      storage.ss_family = AF_INET6;
    } else {
      continue;
    }
    return unmapped(reinterpret_cast<const sockaddr *>(&storage)).address;
  }
  return {};
}

/// Makes `message` leave from `from`.
void set_origin(msghdr &message, Control &control, const sockaddr_storage &from) {
  const auto put = [&](int level, int type, const auto &info) {
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(sizeof info);
    cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(header), &info, sizeof info);
  };
  if (from.ss_family == AF_INET6) {
    in6_pktinfo info{};
    info.ipi6_addr = reinterpret_cast<const sockaddr_in6 &>(from).sin6_addr;
    put(IPPROTO_IPV6, IPV6_PKTINFO, info);
  } else {
    in_pktinfo info{};
    info.ipi_spec_dst = reinterpret_cast<const sockaddr_in &>(from).sin_addr;
    put(IPPROTO_IP, IP_PKTINFO, info);
  }
}

}  // namespace

struct StunServer::Connection {
  UniqueFd fd;
  Endpoint source, local;
  std::string group;
  Bytes input;
  Reactor::Watch watch;
  Reactor::Timer timer;
  std::list<Connection>::iterator self;
};

StunServer::StunServer(std::shared_ptr<Reactor> reactor, StunServerOptions options)
    : reactor_(std::move(reactor)), options_(std::move(options)) {}

StunServer::~StunServer() { close(); }

Result<std::shared_ptr<StunServer>> StunServer::listen(const std::shared_ptr<Reactor> &reactor,
                                                       StunServerOptions options) {
  // Several sockets share a number: of those that the system chooses one may be taken elsewhere.
  const bool chosen =
      options.listen.port == 0 || (options.alternate && options.alternate->port == 0);
  for (int tries = chosen ? kTries : 1;; --tries) {
    std::shared_ptr<StunServer> server(new StunServer(reactor, options));
    if (auto opened = server->open(); !opened) {
      if (tries > 1) continue;
      return opened.error();
    }
    server->reactor_->invoke([&] { server->start(); });
    return server;
  }
}

Result<void> StunServer::open() {
  const bool address = options_.alternate && options_.alternate->address != options_.listen.address;
  if (address && (is_wildcard(options_.listen) || is_wildcard(*options_.alternate)))
    return bad_input(options_.alternate->to_string() + " beside " + options_.listen.to_string() +
                     ": with two addresses both must be named, like 198.51.100.1:3478 and "
                     "198.51.100.2:3479");
  if (auto opened = open_door(0, options_.listen); !opened) return opened;
  auto listener = listen_tcp(*doors_[0]);
  if (!listener) return listener.error();
  listener_ = std::move(*listener);
  if (const auto &other = options_.alternate) {
    const std::uint16_t first = doors_[0]->port;
    if (other->port == first)
      return bad_input(other->to_string() + " has the port of the first address, " +
                       options_.listen.to_string() + "; choose another port for it");
    if (auto opened = open_door(kOtherPort, {options_.listen.address, other->port}); !opened)
      return opened;
    const std::uint16_t second = doors_[kOtherPort]->port;
    if (address)
      for (const auto &[door, port] :
           {std::pair(kOtherAddress, first), std::pair(kOtherAddress | kOtherPort, second)})
        if (auto opened = open_door(door, {other->address, port}); !opened) return opened;
  }
  responder_ = std::make_unique<StunResponder>(doors_, options_.limits);
  return {};
}

Result<void> StunServer::open_door(unsigned door, const Endpoint &endpoint) {
  auto fd = bind_udp(endpoint);
  if (!fd) return fd.error();
  doors_[door] = local_endpoint(fd->get());
  const int on = 1;
  // A machine of several addresses must answer from the one that was asked.
  if (is_v6(*doors_[door]))
    ::setsockopt(fd->get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
  else
    ::setsockopt(fd->get(), IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
  sockets_[door] = std::move(*fd);
  return {};
}

void StunServer::start() {
  for (unsigned door = 0; door < kDoors; ++door)
    if (sockets_[door])
      watches_[door] = reactor_->watch(sockets_[door].get(), EPOLLIN,
                                       [this, door](std::uint32_t) { read(door); });
  accepting_ = reactor_->watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept(); });
}

void StunServer::close() {
  reactor_->invoke([this] {
    for (auto &watch : watches_) watch.reset();
    accepting_.reset();
    pause_.reset();
    connections_.clear();
    per_source_.clear();
    for (auto &socket : sockets_) socket.reset();
    listener_.reset();
  });
}

std::optional<Endpoint> StunServer::alternate() const {
  const auto &far = doors_[kOtherAddress | kOtherPort];
  return far ? far : doors_[kOtherPort];
}

StunServer::Stats StunServer::stats() const {
  const auto count = [this](StunOutcome outcome) {
    return counts_[static_cast<std::size_t>(outcome)].load(std::memory_order_relaxed);
  };
  return {count(StunOutcome::Answered), count(StunOutcome::Refused), count(StunOutcome::Limited),
          count(StunOutcome::Dropped)};
}

void StunServer::read(unsigned door) {
  std::array<std::byte, stun::kMaxMessage + 1> buffer;
  for (int i = 0; i < kDatagramsPerTurn; ++i) {
    sockaddr_storage from{};
    Control control{};
    iovec piece{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    const ssize_t got = ::recvmsg(sockets_[door].get(), &message, 0);
    if (got < 0) return;
    const Endpoint source = unmapped(reinterpret_cast<const sockaddr *>(&from));
    Endpoint local = *doors_[door];
    if (is_wildcard(local))
      if (auto address = destination_of(message); !address.empty()) local.address = address;
    const StunAnswer answer =
        responder_->datagram(ByteSpan(buffer).first(static_cast<std::size_t>(got)), source, door,
                             local, reactor_->now());
    note(answer.outcome, source);
    if (answer.reply) send(*answer.reply);
  }
}

void StunServer::send(const StunReply &reply) {
  const int family = is_v6(*doors_[reply.door]) ? AF_INET6 : AF_INET;
  auto to = mapped(reply.to, family);
  const auto from = mapped(reply.from, family);
  if (!to || !from) return;
  Control control{};
  iovec piece{const_cast<std::byte *>(reply.bytes.data()), reply.bytes.size()};
  msghdr message{};
  message.msg_name = &*to;
  message.msg_namelen = sockaddr_length(*to);
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (is_wildcard(*doors_[reply.door])) set_origin(message, control, *from);
  // One that cannot be sent is lost like any other datagram; the client asks again.
  [[maybe_unused]] const auto sent = ::sendmsg(sockets_[reply.door].get(), &message, MSG_NOSIGNAL);
}

void StunServer::accept() {
  for (;;) {
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    UniqueFd fd(::accept4(listener_.get(), reinterpret_cast<sockaddr *>(&from), &length,
                          SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      // Out of descriptors: what waits would wake the reactor for ever.
      if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        accepting_.set_events(0);
        pause_ = reactor_->after(kAcceptPause, [this] { accepting_.set_events(EPOLLIN); });
      }
      return;
    }
    const Endpoint source = unmapped(reinterpret_cast<const sockaddr *>(&from));
    const std::string group = address_group(source.address);
    std::size_t &count = per_source_[group];
    if (connections_.size() >= kConnections || count >= kConnectionsPerSource) {
      if (count == 0) per_source_.erase(group);
      note(StunOutcome::Limited, source);
      continue;
    }
    ++count;
    connections_.emplace_front();
    Connection &made = connections_.front();
    made.self = connections_.begin();
    made.fd = std::move(fd);
    made.source = source;
    sockaddr_storage at{};
    length = sizeof at;
    ::getsockname(made.fd.get(), reinterpret_cast<sockaddr *>(&at), &length);
    made.local = unmapped(reinterpret_cast<const sockaddr *>(&at));
    made.group = group;
    made.watch =
        reactor_->watch(made.fd.get(), EPOLLIN, [this, &made](std::uint32_t) { serve(made); });
    made.timer = reactor_->after(kPatience, [this, &made] { drop(made); });
  }
}

void StunServer::serve(Connection &connection) {
  std::array<std::byte, stun::kMaxMessage> buffer;
  const ssize_t got = ::recv(connection.fd.get(), buffer.data(), buffer.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return drop(connection);
  Bytes &input = connection.input;
  input.insert(input.end(), buffer.begin(), buffer.begin() + got);
  for (;;) {
    const auto length = stun::framed_length(input);
    if (!length) {
      note(StunOutcome::Dropped, connection.source);
      return drop(connection);
    }
    if (*length == 0) return;
    const StunAnswer answer = responder_->stream(ByteSpan(input).first(*length), connection.source,
                                                 connection.local, reactor_->now());
    note(answer.outcome, connection.source);
    input.erase(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(*length));
    if (answer.outcome == StunOutcome::Limited) return drop(connection);
    if (!answer.reply) continue;
    const Bytes &bytes = answer.reply->bytes;
    // Who does not read a hundred bytes does not want them.
    if (::send(connection.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(bytes.size()))
      return drop(connection);
    connection.timer = reactor_->after(kPatience, [this, &connection] { drop(connection); });
  }
}

void StunServer::drop(Connection &connection) {
  const auto count = per_source_.find(connection.group);
  if (--count->second == 0) per_source_.erase(count);
  connections_.erase(connection.self);
}

void StunServer::note(StunOutcome outcome, const Endpoint &source) {
  counts_[static_cast<std::size_t>(outcome)].fetch_add(1, std::memory_order_relaxed);
  if (outcome != StunOutcome::Limited || !options_.log) return;
  const Time now = reactor_->now();
  if (warned_ != Time() && now - warned_ < kBetweenWarnings) return;
  warned_ = now;
  options_.log(LogLevel::Warning, "stun " + source.address +
                                      ": asks more than one source may (stun.requests-per-second); "
                                      "what is too much is not answered");
}

}  // namespace junctor::nat
