// SPDX-License-Identifier: LGPL-2.1-or-later
// What stands between this machine and others, as a rendezvous wants to know it.
#pragma once

#include <glib.h>

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "common/clock.h"
#include "common/endpoint.h"
#include "common/main_context.h"
#include "nat/core/behaviour.h"
#include "nat/core/rendezvous_message.h"
#include "rendezvous/network_watch.h"

namespace junctor::rendezvous {

struct Surroundings {
  /// Of one family the nearest first, the silent ones last; those of the other, which nobody has
  /// measured, behind the first three.
  std::vector<Endpoint> stun_servers;
  std::vector<nat::rendezvous::RegionTime> regions;  ///< that answer, the nearest first
  std::optional<nat::Behaviour> nat;                 ///< nothing: there is nobody to ask
};

/// The servers that a welcome names: its regions, then its STUN servers under their own names.
std::vector<nat::rendezvous::Region> servers_of(const nat::rendezvous::Welcome &welcome);

/// Blocks for seconds: asks DNS, then the servers. Told to stop it soon returns what there is, but
/// from DNS only when that has answered.
Surroundings survey(const std::vector<nat::rendezvous::Region> &servers,
                    const std::stop_token &stop = {});

/// Surveys on a thread of its own: when it is told to, and each kAgain; what was found while this
/// machine changed its addresses, or without a network, is not told. Make, use and destroy it on
/// the thread of the GMainContext that was its default when it was made, and of the default one.
class Lookout {
 public:
  static constexpr Duration kAgain = std::chrono::hours(1);
  /// Between two surveys where this machine has the same addresses as before.
  static constexpr Duration kLeast = std::chrono::seconds(30);

  using Survey = std::function<Surroundings(const std::vector<nat::rendezvous::Region> &,
                                            const std::stop_token &)>;
  using Addresses = std::function<std::vector<std::string>()>;

  /// `found` is called on the context, `survey` on another thread: it must not use what may be gone
  /// before it ends, for who destroys this waits for it only for a moment.
  Lookout(std::function<void(Surroundings)> found, Survey survey, Addresses addresses);
  explicit Lookout(std::function<void(Surroundings)> found);
  ~Lookout();
  Lookout(const Lookout &) = delete;
  Lookout &operator=(const Lookout &) = delete;

  /// The network may be another one: asks these, now or as soon as it may.
  void look(std::vector<nat::rendezvous::Region> servers);

 private:
  void start();
  void look_at_addresses();
  void done(Surroundings found);

  const std::function<void(Surroundings)> found_;
  const Survey survey_;
  const Addresses addresses_of_;
  const std::shared_ptr<GMainContext> context_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::vector<nat::rendezvous::Region> servers_;
  std::vector<std::string> addresses_;  // at the last survey
  std::optional<Time> last_;
  bool running_ = false, again_ = false;
  bool networked_ = false;  // there was an address beyond this machine
  bool old_ = false;        // what the survey that runs will find
  std::jthread thread_;
  std::future<void> thread_ended_;
  ContextTimer timer_;
  NetworkWatch network_{[this] { look_at_addresses(); }};
};

}  // namespace junctor::rendezvous
