// SPDX-License-Identifier: LGPL-2.1-or-later
// What the connections of one server share.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/handle.h"
#include "common/peer_log_budget.h"
#include "common/reactor.h"
#include "rtmp/core/connection.h"
#include "rtmp/core/outlet.h"
#include "rtmp/core/publication.h"
#include "rtmp/core/server.h"

namespace junctor::rtmp {

/// An outlet on a reactor: the ring, and the connections that read it. What is written in a turn
/// is sent at its end.
class ServerOutlet final : public Outlet, public std::enable_shared_from_this<ServerOutlet> {
 public:
  ServerOutlet(std::shared_ptr<Reactor> reactor, const Limits &limits);

  void begin_source() override { ring_->begin_source(); }
  void set_track(const Track &track) override { ring_->set_track(track); }
  void write(const Frame &frame) override;
  void set_keyframe_wanted(std::function<void()> callback) override;
  void end(const std::string &code, const std::string &description) override;
  Stats stats() const override { return ring_->stats(Clock::now()); }

  /// A player for `connection`, which is told to flush whenever something comes, until remove().
  std::unique_ptr<Player> join(Connection &connection, std::uint32_t stream, TagStyle h264);
  void remove(Connection &connection);

 private:
  void schedule_flush();
  void flush();

  std::shared_ptr<Reactor> reactor_;
  std::shared_ptr<OutletRing> ring_;
  std::function<void()> keyframe_wanted_;
  std::vector<Connection *> connections_;  ///< null where one has gone during flush() or end()
  int walking_ = 0;
  bool flush_due_ = false;
};

/// The server behind Server. Reactor thread, where nothing else is said.
class ServerCore final : public std::enable_shared_from_this<ServerCore> {
 public:
  /// `listeners`: that of `options.listen`, then one for each of `options.more_doors`.
  ServerCore(std::shared_ptr<Reactor> reactor, ServerOptions options,
             std::vector<UniqueFd> listeners);

  void start();
  void shut();

  const std::shared_ptr<Reactor> &reactor() const { return reactor_; }
  const Limits &limits() const { return options_.limits; }
  const ServerEvents &events() const { return options_.events; }
  std::vector<Endpoint> locals() const;
  void log(LogLevel level, std::string_view text) const {
    if (options_.log) options_.log(level, text);
  }

  // For connections.
  Bytes &receive_buffer() { return receive_buffer_; }
  Batch &batch() { return *batch_; }
  void authenticate(std::uint64_t connection, std::uint64_t check, const Request &request);
  void checked(const Request &request, const Verdict &verdict);
  /// The publication of the name, now this connection's; null if somebody ended it at once.
  std::shared_ptr<Publication> publish(Connection &connection, std::uint32_t stream,
                                       const Request &request);
  void unpublish(Connection &connection, std::uint32_t stream, const Request &request,
                 bool finished);
  std::shared_ptr<ServerOutlet> outlet(const std::string &name);
  void play_started(const Request &request);
  void play_ended(const Request &request);
  /// For the line that tells how a connection ended. At most so many are written of those that
  /// never published nor played.
  void log_end(LogLevel level, const Connection &connection, std::string text);
  /// The connection has closed itself.
  void gone(Connection &connection);

  // For Server.
  void listen_to(const std::string &name, const std::shared_ptr<PublishListener> &listener);
  void stop_listening(const std::string &name, const PublishListener *listener);
  Server::PublishStats publish_stats(const std::string &name) const;
  void end_publisher(const std::string &name, std::uint64_t connection, const std::string &code,
                     const std::string &description);
  Server::Stats stats() const;  ///< any thread

 private:
  struct Name {
    std::shared_ptr<Publication> publication;
    Connection *publisher = nullptr;
    std::uint32_t stream = 0;
  };

  /// One port.
  struct Door {
    UniqueFd listener;
    std::shared_ptr<TlsIdentity> tls;
    Endpoint local;
    Reactor::Watch watch;
    Reactor::Timer accept_again;
  };

  void on_acceptable(Door &door);
  bool accept_one(Door &door);
  void take(Door &door, UniqueFd fd, const Endpoint &peer);
  void pause_accepting(Door &door, int error);
  void turn_away(const Endpoint &peer, std::string_view why);
  Name &name_of(const std::string &name);
  void forget_if_unused(const std::string &name);

  std::shared_ptr<Reactor> reactor_;
  ServerOptions options_;
  std::vector<std::unique_ptr<Door>> doors_;  ///< the same from making to the end
  Time next_complaint_{};  ///< at most one log line a second about clients that are turned away
  std::uint64_t turned_away_ = 0;
  PeerLogBudget ends_budget_;

  std::uint64_t next_id_ = 1;
  std::unordered_map<std::uint64_t, std::shared_ptr<Connection>> connections_;
  std::unordered_map<std::string, std::size_t> per_address_;
  std::vector<std::shared_ptr<Connection>> retired_;  ///< until the end of the turn
  std::unordered_map<std::string, Name> names_;
  std::unordered_map<std::string, std::weak_ptr<ServerOutlet>> outlets_;
  std::size_t sweep_outlets_at_ = 64;

  Bytes receive_buffer_;
  std::unique_ptr<Batch> batch_;
  bool shut_ = false;
  std::atomic<std::size_t> connection_count_ = 0, publisher_count_ = 0, player_count_ = 0;
  std::atomic<std::uint64_t> refused_ = 0;
};

}  // namespace junctor::rtmp
