// SPDX-License-Identifier: LGPL-2.1-or-later
// What operators watch: counts and times for Prometheus.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "accounts/webhook_client.h"
#include "calls/service.h"
#include "nat/core/stun_server.h"
#include "rendezvous/rendezvous.h"
#include "rtmp/core/server.h"

namespace prometheus {
class Registry;
}

namespace junctor::metrics {

/// What others count, as it is at the moment of asking.
struct Sample {
  std::vector<calls::View> calls;               ///< that run
  std::optional<rtmp::Server::Stats> rtmp;      ///< nothing where RTMP is off
  std::optional<nat::StunServer::Stats> stun;   ///< nothing where it is off
  std::optional<rendezvous::Stats> rendezvous;  ///< nothing where there is none
  std::optional<bool> turn_runs;                ///< and answers: our own relay; nothing without one
  std::optional<accounts::WebhookClient::Stats> webhook;  ///< nothing where none is asked
  std::size_t accounts = 0, phones = 0;                   ///< phones that are registered
  std::map<std::string, std::size_t> trunks;              ///< by sip::TrunkState
};

/// Counts what happens, and tells it. No series has a label whose values peers choose.
class Metrics {
 public:
  Metrics();
  ~Metrics();

  /// Each change of a call; signalling thread.
  void call_changed(const calls::View &call);
  /// Each decided check of an RTMP terminal; any thread.
  void checked(const rtmp::Request &request, const rtmp::Verdict &verdict);
  /// Each answer of the HTTP side; any thread.
  void answered(int status);

  /// All of it in Prometheus's text format 0.0.4. Signalling thread.
  std::string text(const Sample &sample) const;

 private:
  struct Families;
  /// Packets of calls that are over.
  struct Packets {
    std::uint64_t sent = 0, received = 0, lost = 0;
    void add(const calls::View::MediaCount &count);
  };

  std::shared_ptr<prometheus::Registry> registry_;
  std::unique_ptr<Families> families_;
  Packets audio_, video_;
  std::uint64_t surplus_sound_ = 0;  ///< of calls that are over
  std::set<std::string> answered_;   ///< ids of calls whose answer has been counted
};

}  // namespace junctor::metrics
