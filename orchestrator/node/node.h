// SPDX-License-Identifier: LGPL-2.1-or-later
// An SFU node: a hub that a rendezvous gives work, within what the device's owner allows.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/log.h"
#include "common/main_context.h"
#include "common/reactor.h"
#include "common/result.h"
#include "node/hub.h"
#include "node/owner.h"
#include "rendezvous/client.h"
#include "rendezvous/surroundings.h"

namespace junctor::node {

struct NodeOptions {
  rendezvous::ClientOptions server;  ///< its `hello` is the node's affair
  nat::rendezvous::NodeOffer offer;  ///< name, region, legs, price
  Endpoint listen{"::", 0};          ///< UDP, of all clients; see HubOptions
  std::vector<Endpoint> announced;   ///< where others reach that besides
  std::vector<std::string> stun;     ///< HOST:PORT; empty: those that the rendezvous names
  OwnerLimits limits;
  std::string battery_folder = "/sys/class/power_supply";
  Duration drain_time = std::chrono::seconds(15);  ///< for calls to move, when it is to stop
  Duration idle = HubOptions{}.idle;               ///< see there
  LogSink log;                                     ///< may be unset; any thread
  /// How it reaches its rendezvous; tests replace it.
  std::function<Result<std::unique_ptr<rendezvous::Client>>(rendezvous::ClientOptions,
                                                            rendezvous::ClientEvents)>
      connect = rendezvous::Client::connect;
};

struct NodeStatus {
  std::string state;  ///< "connecting", "serving", "resting", "stopping", and why
  std::string address;
  std::string nat;
  HubStats hub;
  double bits_per_second = 0;
};

/// In the thread of the GMainContext that was its default when it was made; the relay has a thread
/// of its own.
class Node {
 public:
  /// `ended` is called once, with a sentence where that was not stop()'s doing; it must not destroy
  /// the node.
  static Result<std::unique_ptr<Node>> start(NodeOptions options,
                                             std::function<void(std::optional<std::string>)> ended);
  ~Node();
  Node(const Node &) = delete;
  Node &operator=(const Node &) = delete;

  /// Takes nothing new, lets its calls move away, and ends; at once, if it is told again.
  void stop();
  NodeStatus status() const;

 private:
  Node(NodeOptions options, std::function<void(std::optional<std::string>)> ended);
  Result<void> open_hub();
  Result<void> connect();
  nat::rendezvous::Hello hello() const;
  nat::rendezvous::Moved network() const;  ///< what is known of this machine's
  void welcomed(const nat::rendezvous::Welcome &welcome);
  void on(const nat::rendezvous::Message &message);
  void serve(const nat::rendezvous::Serve &serve);
  void release(const std::string &session);
  void surveyed(rendezvous::Surroundings found);
  void tick();
  HubStats look() const;
  void tell_load(const HubStats &stats);  ///< where it has changed
  void end_calls(const std::string &why);
  void end(std::optional<std::string> why);
  void say(LogLevel level, const std::string &text) const;
  /// Runs it here, later, if this is still there.
  std::function<void(std::function<void()>)> later();

  const NodeOptions options_;
  const std::function<void(std::optional<std::string>)> ended_;
  GMainContext *context_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::unique_ptr<ReactorThread> thread_;
  std::unique_ptr<Hub> hub_;  // of the reactor
  std::string address_;
  nat::Families families_;
  std::unique_ptr<rendezvous::Client> server_;
  bool connected_ = false;
  rendezvous::Surroundings surroundings_;
  rendezvous::Lookout lookout_;
  std::optional<std::string> resting_;  // why
  Time resting_since_{};
  std::optional<Time> stopping_;  // since
  std::optional<Time> deserted_;  // since: it stops, and no client is there
  bool over_ = false;
  HubStats last_;
  Time last_at_{};
  double bits_per_second_ = 0;
  std::optional<nat::rendezvous::Load> told_;  // over this connection
  std::string trouble_;                        // of the connection
  ContextTimer ticker_, soon_;
};

}  // namespace junctor::node
