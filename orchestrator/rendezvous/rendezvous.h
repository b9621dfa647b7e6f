// SPDX-License-Identifier: LGPL-2.1-or-later
// Where clients find each other: it carries what they say until they have a way of their own.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/end_reason.h"
#include "common/endpoint.h"
#include "common/log.h"
#include "common/peer_log_budget.h"
#include "common/result.h"
#include "nat/core/behaviour.h"
#include "nat/core/rendezvous_message.h"
#include "nodes/choice.h"
#include "rendezvous/account_log.h"
#include "rendezvous/session.h"

namespace junctor::rendezvous {

namespace wire = nat::rendezvous;

/// One connection of a client.
using LinkId = std::uint64_t;

/// Whose a connection is, and by what right.
struct Bearer {
  std::string account;
  std::string token;  ///< the id of the token that was verified
};

/// What clients may cost.
struct Limits {
  std::size_t connections = 4096, connections_per_account = 16;
  std::size_t sessions = 10000, sessions_per_account = 32;  ///< not ended
  Duration hello_time = std::chrono::seconds(5);            ///< from the connection to its hello
  Duration invite_time = std::chrono::seconds(30);          ///< from open to invite
  Duration ring_time = std::chrono::seconds(60);
  /// How long a client that has lost its connection may stay away, unless a session of its is
  /// answered: that lasts as long as the other one is there.
  Duration away_time = std::chrono::seconds(30);
  unsigned burst = 200;                                       ///< messages at once
  Duration message_interval = std::chrono::milliseconds(20);  ///< and then one each interval
  unsigned wrongs = 32;                                       ///< wrong messages of a connection
  /// Of what was said to a client, kept to say it again when its connection has broken.
  std::size_t kept_messages = 256, kept_bytes = 256UL * 1024;
  std::size_t keep_ended = 1000;   ///< sessions that are over and can be asked about
  unsigned nodes_per_session = 8;  ///< that are asked at once
  Duration node_interval = std::chrono::seconds(5);  ///< and then one each interval
  /// For a node to say that it serves, from then on the next is asked. So short that a client which
  /// waits for a name (nat::LadderOptions::naming_timeout) hears of the third.
  Duration node_time = std::chrono::milliseconds(700);
};

struct Options {
  Limits limits;
  std::vector<std::string> stun;  ///< HOST:PORT, for clients
  std::vector<wire::Region> regions;
  bool nodes = true;  ///< accounts may lend devices
  nodes::Rule rule = nodes::Rule::Nearest;
  std::function<bool(const std::string &)> is_account;
  std::function<std::string()> new_id;  ///< 128 bits that nobody guesses, as text
  std::function<WallTime()> wall;
  /// Nothing where there is no relay; may be unset.
  std::function<std::optional<wire::Turn>(const std::string &account)> relay;
  LogSink log;  ///< may be unset
};

/// A node as others see it.
struct NodeView {
  std::string name, account, agent, region;
  std::string nat;  ///< in words; empty: not known
  std::uint32_t legs = 0, used = 0;
  double price = 0, bits_per_second = 0;
  std::string draining;  ///< why it takes nothing new; empty: it does
  std::size_t sessions = 0;
  std::uint64_t served = 0;  ///< sessions since it is here
};

/// The way to the connections. A connection that is closed is not told of any more.
struct Door {
  std::function<void(LinkId, std::string text)> send;
  /// With a close code of RFC 6455 and a reason of at most 123 bytes.
  std::function<void(LinkId, unsigned short code, std::string reason)> close;
};

inline constexpr unsigned short kGoingAway = 1001, kPolicy = 1008;

struct Stats {
  std::size_t connections = 0, clients = 0, nodes = 0;
  std::size_t sessions = 0;  ///< not ended
  std::uint64_t messages = 0, wrong = 0;
  std::map<std::string, std::uint64_t> ended;                          ///< sessions, by reason
  std::map<std::pair<std::string, std::string>, std::uint64_t> rungs;  ///< by rung and state
};

/// One for all connections. Knows no transport and no clock. Signalling thread.
///
/// Who is connected twice rings twice; who accepts first has the session. A connection that breaks
/// is resumed by the secret of its welcome: what was said meanwhile comes first. A client that says
/// what cannot be is told so, and parted when it goes on; nothing of that reaches another one.
class Rendezvous {
 public:
  Rendezvous(Options options, Door door, std::function<void(const View &)> changed);

  /// Of one whose token was verified. Refused where the account has too many: a sentence.
  Result<LinkId> connected(const Bearer &bearer, const Endpoint &peer, Time now);
  void received(LinkId link, std::string_view text, Time now);
  void disconnected(LinkId link, Time now);
  /// Time has passed: call it about four times a second, unless idle().
  void tick(Time now);
  /// Nobody is here, or expected back.
  bool idle() const { return links_.empty() && devices_.empty() && sessions_.empty(); }

  /// Its connections are closed, its sessions over. With a token only what came by that.
  void expel(const std::string &account, const std::optional<std::string> &token,
             const std::string &why, Time now);
  /// All sessions end, all connections are closed.
  void shutdown(Time now);
  /// Ends one for the operator; false if there is none that runs.
  bool hang_up(const std::string &session, Time now);

  /// The newest first; those that are over after those that run.
  std::vector<View> list() const;
  std::optional<View> find(const std::string &id) const;
  /// By name.
  std::vector<NodeView> nodes() const;
  Stats stats() const;

 private:
  struct Device;
  struct Link {
    LinkId id = 0;
    std::string account, token;
    Endpoint peer;
    Device *device = nullptr;  ///< null before its hello
    Time hello_until{};
    Throttle throttle;
    unsigned wrongs = 0;
  };
  /// A client, through all its connections.
  struct Device {
    std::string id, account, agent, resume;
    std::string token;  ///< the id of the one that it came by last
    wire::Role role = wire::Role::Client;
    Link *link = nullptr;  ///< null while it is away
    Time away_since{};
    std::optional<Time> told_end;  ///< when it was told last that a session is over
    std::deque<std::string> said;  ///< to it: the newest, whether they have come or not
    std::size_t said_bytes = 0;
    std::uint32_t said_before = 0;  ///< messages to it that are no longer in `said`
    std::uint32_t heard = 0;        ///< messages of its
    std::optional<nat::Behaviour> nat;
    std::vector<wire::RegionTime> regions;
    nat::Families families;
    std::set<std::string> sessions;  ///< that it calls, is called in, or rings for

    // Of a node.
    std::optional<wire::NodeOffer> offer;
    std::set<std::string> serves;  ///< sessions of others that were brought to it
    wire::Load load;
    std::string draining;
    std::uint64_t served = 0;
  };
  /// A node that a session was brought to.
  struct Placement {
    std::string device, name;
    enum class State : std::uint8_t { Asked, Serving, Up, Failed } state = State::Asked;
    std::uint32_t order = 0;
    Time until{};            ///< while it is asked; failed: until it is released
    Time named{};            ///< when the clients were told of it
    Time again{};            ///< failed: when it may be asked again
    bool unreached = false;  ///< failed: both have tried it, in the networks that they are in
    bool leaving = false;    ///< failed: it carries until both have another way
    bool answered = false;   ///< by the node: it has said that it serves, or refused
    /// What it has told each, as long as that one may not have it: a description, then what
    /// changed.
    std::vector<wire::Object> to_caller{}, to_callee{};
    std::uint32_t caller_generation = 1, callee_generation = 1;  ///< of the addresses in those
    bool caller_up = false, callee_up = false;
    bool caller_tries = false, callee_tries = false;      ///< as it says itself
    bool caller_stopped = false, callee_stopped = false;  ///< it has the node no more
    double round_trip_ms = 0;
    std::string why;  ///< of the choice
  };
  struct Session {
    View view;
    std::string caller, callee;     ///< devices; callee: once one has accepted
    std::set<std::string> ringing;  ///< devices
    bool busy = false;              ///< one of them has said so
    Time until{};                   ///< while opened or ringing
    /// What nodes have to know of both: the description, then what changed.
    std::vector<wire::Object> caller_signals, callee_signals;
    wire::Object caller_media, callee_media;  ///< what each sends, for nodes
    std::uint32_t caller_generation = 1, callee_generation = 1;
    std::vector<Placement> placements;  ///< one for each name
    std::uint32_t asked = 0;            ///< nodes, each as often as it was
    Throttle asking{Limits{}.nodes_per_session, Limits{}.node_interval};  ///< of nodes
    bool caller_needs = false, callee_needs = false;  ///< a node, and waits for the next
    bool unshown = false;                             ///< its view has changed since show()
    bool has(const std::string &device) const {
      return device == caller || device == callee || ringing.contains(device);
    }
  };

  void on(Link &link, const wire::Hello &hello, Time now);
  void on(Device &from, const wire::Moved &moved, Time now);
  void on(Device &from, const wire::Open &open, Time now);
  void on(Device &from, const wire::Invite &invite, Time now);
  void on(Device &from, const wire::Accept &accept, Time now);
  void on(Device &from, const wire::Decline &decline, Time now);
  void on(Device &from, const wire::Signal &signal, Time now);
  void on(Device &from, const wire::Rung &rung, Time now);
  void on(Device &from, const wire::Bye &bye, Time now);
  void on(Device &from, const wire::Need &need, Time now);
  void on(Device &from, const wire::Serving &serving, Time now);
  void on(Device &from, const wire::Refuse &refuse, Time now);
  void on(Device &from, const wire::LegState &leg, Time now);
  void on(Device &from, const wire::Load &load, Time now);
  void on(Device &from, const wire::Drain &drain, Time now);
  template <class Other>
  void on(Device &from, const Other &other, Time now);

  // Nodes: rendezvous_nodes.cpp.
  bool welcome_node(Link &link, Device &device, const wire::Hello &hello, Time now);
  void need_node(Session &session, Device &from, Time now);
  void place(Session &session, Time now);
  void ask(Session &session, Device &node, const nodes::Choice &choice, Time now);
  static void pass_over_unreached(Session &session, Time now);
  bool make_room(Session &session);
  void tell_node(const Session &session, Placement &placement, bool caller, Time now);
  void answers_late(const Device &node, const std::string &session, bool serves, Time now);
  void give_up(Session &session, Placement &placement, const std::string &why, Time now,
               bool leaving = false);
  void fail(Session &session, Placement &placement, const std::string &why, Time now);
  void let_go(Session &session, const std::string &device);
  void release(const Session &session, const Placement &placement);
  void release(Session &session);
  void lose_node(Device &node, const std::string &why, Time now);
  void give_up_all(Device &node, const std::string &why, Time now, bool leaving = false);
  bool carries(const Device &node, const Session &session) const;
  void tick_nodes(Time now);
  void node_says(Device &node, const wire::Signal &signal, Time now);
  void tell_nodes(Session &session, bool caller, const wire::Object &data);
  void tell_both(const Session &session, const wire::Message &message);
  void node_rung(Session &session, bool caller, const wire::Rung &rung, Time now);
  Placement *placed(Session &session, const Device &node);
  Session *served_by(Device &node, const std::string &id);
  nodes::Client client(const std::string &device) const;
  std::vector<nodes::Node> all_nodes(std::vector<const Device *> &devices) const;

  void dispatch(Link &link, const wire::Message &message, Time now);
  Device *resumed(Link &link, const wire::Hello &hello);
  static bool is_idle(const Device &device) {
    return device.sessions.empty() && device.serves.empty();
  }
  /// Tells both what to expect, if that is news.
  void foresee(Session &session);
  template <class Told>
  void learn(Device &device, const Told &told);

  // Telling: rendezvous_telling.cpp.
  void tell(Device &device, const wire::Message &message);
  void tell(const std::string &device, const wire::Message &message);
  void wrong(Link &link, const std::string &session, const std::string &detail, Time now);
  void wrong(Device &from, const std::string &session, const std::string &detail, Time now);
  bool say(LogLevel level, const std::string &text);
  void show(Session &session, bool at_once);

  /// Nothing, and the sender is told, if it has no part in one that runs.
  Session *part_of(Device &from, const std::string &session, Time now);
  void end(Session &session, EndReason reason, const std::string &detail, const Device *but,
           Time now);
  void tell_end(Device &device, const wire::Bye &bye, Time now);
  void leave(Session &session, Device &device, Time now);
  void close(Link &link, unsigned short code, const std::string &reason, Time now);
  void forget(Device &device, Time now);
  void forget_idle(const std::string &account, Time now);
  bool may_have_missed_end(const Device &device, Time now) const;
  bool may_stay_away(const Device &device, Time now) const;

  const Options options_;
  const Door door_;
  const std::function<void(const View &)> changed_;
  LinkId next_link_ = 1;
  std::map<LinkId, Link> links_;
  std::map<std::string, Device> devices_;
  std::map<std::string, Session> sessions_;  ///< that run
  std::deque<View> ended_;                   ///< the newest first
  PeerLogBudget log_budget_;
  AccountLog account_log_;
  struct Speaker {
    std::string account;
    Time now{};
  };
  std::optional<Speaker> speaker_;  ///< whose message is being handled
  std::uint64_t messages_ = 0, wrongs_ = 0;
  std::map<std::string, std::uint64_t> ended_by_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> rungs_;
};

}  // namespace junctor::rendezvous
