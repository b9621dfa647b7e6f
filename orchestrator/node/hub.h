// SPDX-License-Identifier: LGPL-2.1-or-later
// A node's channels to clients, all on the one port of its relay.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/endpoint.h"
#include "common/log.h"
#include "common/reactor.h"
#include "common/result.h"
#include "nat/core/agreement.h"
#include "nat/core/description.h"
#include "nat/core/gathering.h"
#include "nat/core/host_addresses.h"
#include "nat/core/puncher.h"
#include "rtp/core/stun.h"
#include "sfu/core/relay.h"

namespace junctor::node {

struct HubOptions {
  std::string name;          ///< of the node: part of the keys
  Endpoint listen{"::", 0};  ///< "::": IPv4 too, and that alone where there is no IPv6
  /// Numeric, of a family of `listen`; they tell what others see of the port.
  std::vector<Endpoint> stun_servers;
  /// Where others reach the port besides, e.g. the public address of a machine behind a fixed
  /// translation.
  std::vector<Endpoint> announced;
  std::size_t max_legs = 200;
  /// For one client's channel, from its description on.
  Duration timeout = std::chrono::seconds(3);
  /// A client that was there is waited for so long once it is silent: it may be without a network
  /// for a moment.
  Duration patience = std::chrono::seconds(10);
  /// A session of which no leg is up so long is over, whatever its rendezvous says: that may be
  /// gone.
  Duration idle = std::chrono::seconds(60);
  /// One whose rendezvous cannot say that it is over is so when a leg of it is not up so long while
  /// another is: whoever is left would wait for the one that has hung up.
  Duration unattended = std::chrono::seconds(5);
  LogSink log;  ///< may be unset
};

/// What one leg says of itself, both ways.
struct LegDescription {
  std::string leg;
  std::string description;  ///< nat::Description as text
  std::string media{};      ///< what the client sends: nat::SessionMedia as text; empty: unknown
};

struct LegEvent {
  std::string session, leg;
  enum class Kind : std::uint8_t { Trying, Up, Moved, Silent, Failed } kind{};
  Duration took{};
  std::string remote, why;
};
std::string_view to_string(LegEvent::Kind kind);  ///< "trying", "up" …

/// Called on the reactor. They must not destroy the hub.
struct HubEvents {
  std::function<void(const LegEvent &)> leg;
  /// For the client of a leg, in order.
  std::function<void(const std::string &session, const std::string &leg, std::string signal)>
      signal;
  /// The addresses of this machine have changed; what `signal` says of it comes before. May be
  /// unset.
  std::function<void()> moved;
  /// A session is over without release(), for want of this leg.
  std::function<void(const std::string &session, const std::string &leg, const std::string &why)>
      lapsed;
};

struct HubStats {
  std::size_t sessions = 0, legs = 0, legs_up = 0;
  std::uint64_t forwarded_bytes = 0, forwarded_packets = 0;  ///< since it was opened
  std::uint64_t retransmitted = 0;                           ///< packets that a client had missed
  std::uint64_t strangers = 0;
  std::uint64_t refused = 0;  ///< STUN that was nobody's, not verified, or came before
  std::uint64_t polls = 0;    ///< times that a leg had something to do
};

/// Reactor thread. Media of a session is passed between its legs, encrypted from end to end; a leg
/// is sent to only once its channel is authenticated, and RTCP is keyed between leg and node.
class Hub {
 public:
  static constexpr std::size_t kMostLegs = 16;      ///< of one session
  static constexpr std::size_t kMostProbes = 8192;  ///< whose answers are waited for

  static Result<std::unique_ptr<Hub>> open(std::shared_ptr<Reactor> reactor, HubOptions options,
                                           HubEvents events);
  ~Hub();
  Hub(const Hub &) = delete;
  Hub &operator=(const Hub &) = delete;

  Endpoint local() const { return relay_->local(); }
  /// Of the addresses that clients are told.
  nat::Families families() const;

  /// The node's description for each leg. All or nothing: BadInput for what is no description,
  /// Refused where there is no room.
  Result<std::vector<LegDescription>> serve(const std::string &session,
                                            const std::vector<LegDescription> &legs);
  /// What the client of a leg says later.
  Result<void> take(const std::string &session, const std::string &leg, std::string_view signal);
  void release(const std::string &session);
  /// Whether the rendezvous is reached.
  void set_attended(bool attended);
  /// It does not know any more what is served now: nobody will release that.
  void forgotten();
  /// Other ones, or again: the machine is somewhere else.
  void set_stun_servers(const std::vector<Endpoint> &servers);

  HubStats stats() const;
  std::vector<std::string> sessions() const;

 private:
  struct Leg;
  struct Session {
    std::vector<std::unique_ptr<Leg>> legs;
    std::optional<Time> forgotten;  ///< since when
  };

  Hub(std::shared_ptr<Reactor> reactor, HubOptions options, HubEvents events);
  Result<std::unique_ptr<Leg>> make_leg(const std::string &session, const LegDescription &told);
  /// What is to end a session that nobody can release.
  struct Missed {
    const Leg *leg;
    Time until;
  };
  std::optional<Missed> missed(const Session &session) const;
  bool has_family(bool v6) const { return relay_->is_dual() || nat::is_v6(local()) == v6; }
  std::vector<nat::Candidate> candidates() const;
  void add_remote(Leg &leg, nat::Candidate candidate, Time now);
  void on_stun(const Endpoint &from, ByteSpan datagram);
  Leg *owner_of(const rtp::stun::Message &message);
  void on_event(Leg &leg, const nat::Puncher::Event &event);
  void send(const std::vector<nat::Outgoing> &out, Leg *leg);
  void note_probe(const rtp::stun::TransactionId &id, const std::string &tag);
  void step();
  bool step(Leg &leg, Time now);
  void step_alone(Leg &leg, Time now);
  void arm(std::optional<Time> when);
  void offer_found();
  void addresses_changed();
  void drop(const std::string &session);
  Leg *find(const std::string &session, const std::string &leg);
  void keep_figures_of(const Leg &leg);
  void say(LogLevel level, const std::string &text) const;

  const std::shared_ptr<Reactor> reactor_;
  const HubOptions options_;
  const HubEvents events_;
  std::unique_ptr<sfu::Relay> relay_;
  std::vector<std::string> addresses_;
  std::unique_ptr<nat::AddressWatch> address_watch_;
  nat::Gathering gathering_;
  std::vector<Endpoint> external_;
  std::uint32_t generation_ = 1;
  const std::shared_ptr<Throttle> budget_ = nat::Puncher::make_budget();  // of all legs
  std::map<std::string, Session> sessions_;
  std::map<std::string, Leg *> by_tag_;                     // our tag
  std::map<rtp::stun::TransactionId, std::string> probes_;  // of ours: the tag of whose it is
  std::deque<rtp::stun::TransactionId> probe_order_;
  std::uint64_t gone_bytes_ = 0, gone_packets_ = 0, gone_retransmitted_ = 0, refused_ = 0;
  std::uint64_t polls_ = 0;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for what is posted
  bool stepping_ = false, step_again_ = false;
  std::optional<Time> unattended_;  ///< since when the rendezvous is not reached
  std::optional<Time> armed_;       // when timer_ is due
  Reactor::Timer timer_;
};

}  // namespace junctor::node
