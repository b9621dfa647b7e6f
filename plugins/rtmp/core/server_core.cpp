// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/server_core.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace junctor::rtmp {

namespace {

constexpr std::size_t kReceiveBytes = 64UL * 1024;
/// Others are served between two bursts of new connections.
constexpr int kAcceptsPerTurn = 64;
/// How long to wait when the system has no descriptor or memory for another connection.
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);
constexpr Duration kComplaintPause = std::chrono::seconds(1);

}  // namespace

ServerCore::ServerCore(std::shared_ptr<Reactor> reactor, ServerOptions options,
                       std::vector<UniqueFd> listeners)
    : reactor_(std::move(reactor)),
      options_(std::move(options)),
      receive_buffer_(kReceiveBytes),
      batch_(std::make_unique<Batch>()) {
  const auto add = [this](UniqueFd listener, std::shared_ptr<TlsIdentity> tls) {
    const Endpoint local = local_endpoint(listener.get());
    doors_.push_back(
        std::make_unique<Door>(Door{std::move(listener), std::move(tls), local, {}, {}}));
  };
  add(std::move(listeners[0]), options_.tls);
  for (std::size_t i = 1; i < listeners.size(); ++i)
    add(std::move(listeners[i]), options_.more_doors[i - 1].tls);
}

void ServerCore::start() {
  for (const auto &door : doors_)
    door->watch = reactor_->watch(door->listener.get(), EPOLLIN,
                                  [this, at = door.get()](std::uint32_t) { on_acceptable(*at); });
}

void ServerCore::shut() {
  if (std::exchange(shut_, true)) return;
  for (const auto &door : doors_) {
    door->watch.reset();
    door->accept_again.reset();
    door->listener.reset();
  }
  std::vector<std::shared_ptr<Connection>> all;
  for (const auto &[id, connection] : connections_) all.push_back(connection);
  for (const auto &connection : all) connection->shut();
}

std::vector<Endpoint> ServerCore::locals() const {
  std::vector<Endpoint> all;
  for (const auto &door : doors_) all.push_back(door->local);
  return all;
}

void ServerCore::on_acceptable(Door &door) {
  const auto self = shared_from_this();
  for (int i = 0; i < kAcceptsPerTurn && !shut_; ++i)
    if (!accept_one(door)) return;
}

/// False if there is nobody to accept, or nothing to accept with.
bool ServerCore::accept_one(Door &door) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  UniqueFd socket(::accept4(door.listener.get(), reinterpret_cast<sockaddr *>(&address), &length,
                            SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (socket) {
    take(door, std::move(socket),
         Endpoint::from_sockaddr(reinterpret_cast<const sockaddr *>(&address)));
    return true;
  }
  switch (errno) {
    case EAGAIN:
      return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      pause_accepting(door, errno);
      return false;
    default:  // an error of that one connection (accept(2)): the next may be well
      return true;
  }
}

/// The listener stays readable meanwhile: watched on, it would wake us without end.
void ServerCore::pause_accepting(Door &door, int error) {
  if (reactor_->now() >= next_complaint_) {
    next_complaint_ = reactor_->now() + kComplaintPause;
    log(LogLevel::Error, "rtmp " + door.local.to_string() + ": cannot accept for now: " +
                             std::strerror(error) + "; raise the limit of open files");
  }
  door.watch.set_events(0);
  door.accept_again =
      reactor_->after(kAcceptPause, [&watch = door.watch] { watch.set_events(EPOLLIN); });
}

void ServerCore::take(Door &door, UniqueFd fd, const Endpoint &peer) {
  if (connections_.size() >= options_.limits.connections)
    return turn_away(peer, "too many connections");
  std::size_t &of_address = per_address_[address_group(peer.address)];
  if (of_address >= options_.limits.connections_per_address)
    return turn_away(peer, "too many connections of this address");
  auto socket = door.tls ? door.tls->accept(std::move(fd), reactor_->now())
                         : std::make_unique<StreamSocket>(std::move(fd));
  if (!socket) return turn_away(peer, "TLS cannot begin: memory is short");
  ++of_address;
  const std::uint64_t id = next_id_++;
  const auto connection =
      std::make_shared<Connection>(*this, std::move(socket), id, peer, door.tls != nullptr);
  connections_.emplace(id, connection);
  connection_count_ = connections_.size();
  connection->start();
}

void ServerCore::turn_away(const Endpoint &peer, std::string_view why) {
  ++turned_away_;
  if (reactor_->now() < next_complaint_) return;
  next_complaint_ = reactor_->now() + kComplaintPause;
  log(LogLevel::Warning, "rtmp " + peer.to_string() + ": closed at accept: " + std::string(why) +
                             " (" + std::to_string(turned_away_) + " turned away so far)");
}

void ServerCore::log_end(LogLevel level, const Connection &connection, std::string text) {
  if (!connection.started()) {
    const auto left_out =
        ends_budget_.take(address_group(connection.peer().address), reactor_->now());
    if (!left_out) return;
    if (*left_out > 0) text += " (" + std::to_string(*left_out) + " others left out of the log)";
  }
  log(level, text);
}

void ServerCore::gone(Connection &connection) {
  const auto found = connections_.find(connection.id());
  if (found == connections_.end()) return;
  const auto address = per_address_.find(address_group(connection.peer().address));
  if (address != per_address_.end() && --address->second == 0) per_address_.erase(address);
  // It may be in the middle of a call of its own.
  if (retired_.empty())
    reactor_->at_end_of_turn([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->retired_.clear();
    });
  retired_.push_back(std::move(found->second));
  connections_.erase(found);
  connection_count_ = connections_.size();
}

void ServerCore::authenticate(std::uint64_t connection, std::uint64_t check,
                              const Request &request) {
  const Decision decision(
      [weak = weak_from_this(), reactor = reactor_, connection, check](Verdict verdict) {
        reactor->post([weak, connection, check, verdict = std::move(verdict)] {
          const auto self = weak.lock();
          if (!self) return;
          const auto found = self->connections_.find(connection);
          if (found == self->connections_.end()) return;
          const auto held = found->second;
          held->decide(check, verdict);
        });
      });
  if (options_.events.authenticate) {
    options_.events.authenticate(request, decision);
  } else {
    decision.accept();
  }
}

void ServerCore::checked(const Request &request, const Verdict &verdict) {
  if (!verdict.accepted) ++refused_;
  if (options_.events.checked) options_.events.checked(request, verdict);
}

ServerCore::Name &ServerCore::name_of(const std::string &name) {
  Name &entry = names_[name];
  if (!entry.publication) entry.publication = std::make_shared<Publication>(options_.limits);
  return entry;
}

void ServerCore::forget_if_unused(const std::string &name) {
  const auto found = names_.find(name);
  if (found == names_.end() || found->second.publisher) return;
  if (!found->second.publication->heard()) names_.erase(found);
}

std::shared_ptr<Publication> ServerCore::publish(Connection &connection, std::uint32_t stream,
                                                 const Request &request) {
  if (const Name &before = name_of(request.stream); before.publisher)
    before.publisher->end_publish(before.stream, "NetStream.Publish.BadName",
                                  "Another publisher has taken this name over.", false);
  // The entry may have gone with its publisher.
  Name &entry = name_of(request.stream);
  entry.publisher = &connection;
  entry.stream = stream;
  ++publisher_count_;
  auto publication = entry.publication;
  if (options_.events.publish_started) options_.events.publish_started(request);
  const auto now = names_.find(request.stream);
  if (now == names_.end() || now->second.publisher != &connection) return nullptr;
  publication->begin();
  return publication;
}

void ServerCore::unpublish(Connection &connection, std::uint32_t stream, const Request &request,
                           bool finished) {
  const auto found = names_.find(request.stream);
  if (found == names_.end() || found->second.publisher != &connection ||
      found->second.stream != stream)
    return;
  found->second.publisher = nullptr;
  --publisher_count_;
  const auto publication = found->second.publication;
  publication->end(finished);
  if (options_.events.publish_ended) options_.events.publish_ended(request, finished);
  forget_if_unused(request.stream);
}

std::shared_ptr<ServerOutlet> ServerCore::outlet(const std::string &name) {
  auto &held = outlets_[name];
  auto outlet = held.lock();
  if (outlet) return outlet;
  outlet = std::make_shared<ServerOutlet>(reactor_, options_.limits);
  held = outlet;
  if (outlets_.size() >= sweep_outlets_at_) {
    std::erase_if(outlets_, [](const auto &each) { return each.second.expired(); });
    sweep_outlets_at_ = std::max<std::size_t>(64, 2 * outlets_.size());
  }
  return outlet;
}

void ServerCore::play_started(const Request &request) {
  ++player_count_;
  if (options_.events.play_started) options_.events.play_started(request);
}

void ServerCore::play_ended(const Request &request) {
  --player_count_;
  if (options_.events.play_ended) options_.events.play_ended(request);
}

void ServerCore::listen_to(const std::string &name,
                           const std::shared_ptr<PublishListener> &listener) {
  const auto publication = name_of(name).publication;
  publication->add(listener);
}

void ServerCore::stop_listening(const std::string &name, const PublishListener *listener) {
  const auto found = names_.find(name);
  if (found == names_.end()) return;
  found->second.publication->remove(listener);
  forget_if_unused(name);
}

Server::PublishStats ServerCore::publish_stats(const std::string &name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? Server::PublishStats() : found->second.publication->stats();
}

void ServerCore::end_publisher(const std::string &name, std::uint64_t connection,
                               const std::string &code, const std::string &description) {
  const auto found = names_.find(name);
  if (found == names_.end() || !found->second.publisher) return;
  if (connection != Server::kAnyConnection && found->second.publisher->id() != connection) return;
  found->second.publisher->end_publish(found->second.stream, code, description, true);
}

Server::Stats ServerCore::stats() const {
  Server::Stats stats;
  stats.connections = connection_count_;
  stats.publishers = publisher_count_;
  stats.players = player_count_;
  stats.refused = refused_;
  return stats;
}

}  // namespace junctor::rtmp
