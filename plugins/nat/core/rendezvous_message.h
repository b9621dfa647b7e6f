// SPDX-License-Identifier: LGPL-2.1-or-later
// What clients, nodes and the rendezvous say to each other: one JSON object a message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/result.h"
#include "nat/core/candidate.h"

namespace junctor::nat::rendezvous {

inline constexpr int kVersion = 1;
inline constexpr const char *kPath = "/api/v1/rendezvous";
inline constexpr const char *kSubprotocol = "junctor.rendezvous.1";
inline constexpr std::size_t kMostBytes = 16UL * 1024;  ///< of a message
inline constexpr std::size_t kMostObject = 8UL * 1024;  ///< of an object that nobody here reads
inline constexpr std::size_t kMostName = 64;            ///< of what is named: session, account …
inline constexpr std::size_t kMostText = 512;           ///< of a sentence
inline constexpr std::size_t kMostListed = 64;          ///< of a list
inline constexpr std::size_t kMostDepth = 16;           ///< of objects in objects

enum class Role : std::uint8_t { Client, Node };
std::string_view to_string(Role role);

/// JSON text of an object that is carried and not read: descriptions, candidates, what media there
/// will be. Empty: none.
using Object = std::string;

struct RegionTime {
  std::string name;
  double round_trip_ms = 0;
  bool operator==(const RegionTime &) const = default;
};
struct Region {
  std::string name, stun;  ///< HOST:PORT
  bool operator==(const Region &) const = default;
};
/// What a node's owner lets it do.
struct NodeOffer {
  std::string name;        ///< of the node, its own among those of all accounts
  std::string region;      ///< empty: the nearest that it has measured
  std::uint32_t legs = 0;  ///< at once
  double price = 0;        ///< of a gigabyte, in whatever all nodes here count
  bool operator==(const NodeOffer &) const = default;
};
/// One leg of a session at a node.
struct Leg {
  std::string leg;     ///< "caller", "callee"
  Object description;  ///< of the client to the node, of the node to the client
  Object media{};      ///< towards the node: what the client sends, a nat::SessionMedia
  bool operator==(const Leg &) const = default;
};

// The first words.
struct Hello {
  int version = kVersion;
  Role role = Role::Client;
  std::string agent;   ///< program and version
  std::string resume;  ///< Welcome::resume of a connection that broke; its sessions go on
  /// With `resume`: messages of the server's that came, but for its welcomes. Those behind them are
  /// said again.
  std::uint32_t got = 0;
  Object nat;  ///< a nat::Behaviour as to_json() writes it; empty: not known yet
  std::vector<RegionTime> regions;
  std::optional<NodeOffer> node;  ///< of Role::Node
  Families families{};            ///< that it has addresses of
  bool operator==(const Hello &) const = default;
};
struct Welcome {
  std::string account, connection;
  std::string resume;    ///< a secret, for Hello::resume
  bool resumed = false;  ///< the sessions of the connection before are here
  /// With `resumed`: messages of the client's that came, but for its hellos.
  std::uint32_t got = 0;
  std::vector<std::string> stun;  ///< HOST:PORT of servers that may be asked
  std::vector<Region> regions;
  bool operator==(const Welcome &) const = default;
};
/// Of whoever has measured anew, or is somewhere else now.
struct Moved {
  Object nat;
  std::vector<RegionTime> regions;
  Families families{};
  bool operator==(const Moved &) const = default;
};
/// What was wrong with the message before; nothing came of it.
struct Wrong {
  std::string session, detail;
  bool operator==(const Wrong &) const = default;
};

// A session of two clients.
struct Open {
  std::string ref;  ///< the client's own word for it
  std::string to;   ///< an account
  bool operator==(const Open &) const = default;
};
struct Session {
  std::string ref, session;
  bool operator==(const Session &) const = default;
};
struct Refused {
  std::string ref, reason, detail;  ///< an end reason, and a sentence
  bool operator==(const Refused &) const = default;
};
struct Invite {
  std::string session;
  std::string from;  ///< towards the callee
  Object offer, media;
  bool operator==(const Invite &) const = default;
};
struct Trying {
  std::string session;
  std::uint32_t ringing = 0;  ///< devices
  bool operator==(const Trying &) const = default;
};
struct Accept {
  std::string session;
  Object answer, media;
  bool operator==(const Accept &) const = default;
};
struct Decline {
  std::string session, reason;  ///< "declined" or "busy"
  bool operator==(const Decline &) const = default;
};
struct Signal {
  std::string session;
  std::string node;  ///< between a client and this node; empty: between the clients
  std::string leg;   ///< between rendezvous and node: whose
  Object data;
  bool operator==(const Signal &) const = default;
};
struct Rung {
  std::string session, rung, node, state, why;
  double ms = 0;  ///< since the rung was tried
  bool operator==(const Rung &) const = default;
};
/// What is to be expected of the direct way, by what is known of both sides' NATs.
struct Reach {
  std::string session;
  std::string direct;  ///< "probes", "prediction", "many-sockets", "none" or "unknown"
  std::string why;     ///< a part of a sentence
  bool operator==(const Reach &) const = default;
};
struct Bye {
  std::string session, reason, detail;
  bool operator==(const Bye &) const = default;
};

// Nodes and relays.
struct Need {
  std::string session, rung;  ///< "sfu": the next node; "relay": credentials
  bool operator==(const Need &) const = default;
};
struct Node {
  std::string session, node;
  std::uint32_t order = 0;  ///< 1: the best
  Object description;       ///< of the node to this client
  double round_trip_ms = 0;
  std::string why;
  bool operator==(const Node &) const = default;
};
struct NoNode {
  std::string session, why;
  bool operator==(const NoNode &) const = default;
};
/// Both clients have a channel to it.
struct NodeUp {
  std::string session, node;
  bool operator==(const NodeUp &) const = default;
};
struct NodeFailed {
  std::string session, node, why;
  bool leaving = false;  ///< it passes on what comes until there is another way
  bool operator==(const NodeFailed &) const = default;
};
struct Turn {
  std::string session;
  std::vector<std::string> urls;
  std::string username, credential;
  std::uint32_t ttl = 0;  ///< seconds
  /// Of the certificate of `turns:`, where no authority vouches for it: lower-case hex.
  std::string certificate_sha256{};
  bool operator==(const Turn &) const = default;
};
struct Serve {
  std::string session;
  std::vector<Leg> legs;
  bool operator==(const Serve &) const = default;
};
struct Serving {
  std::string session;
  std::vector<Leg> legs;
  bool operator==(const Serving &) const = default;
};
struct Refuse {
  std::string session, reason;
  bool operator==(const Refuse &) const = default;
};
struct LegState {
  std::string session, leg, state;
  double ms = 0;
  bool operator==(const LegState &) const = default;
};
struct Load {
  std::uint32_t legs = 0;      ///< in use
  double bits_per_second = 0;  ///< forwarded
  bool operator==(const Load &) const = default;
};
/// The node takes nothing new; what it has is to move.
struct Drain {
  std::string why;
  bool operator==(const Drain &) const = default;
};
struct Release {
  std::string session;
  bool operator==(const Release &) const = default;
};

using Message =
    std::variant<Hello, Welcome, Moved, Wrong, Open, Session, Refused, Invite, Trying, Accept,
                 Decline, Signal, Rung, Bye, Need, Node, NodeUp, NodeFailed, NoNode, Turn, Serve,
                 Serving, Refuse, LegState, Load, Drain, Release, Reach>;

/// Reads one message. Fails with BadInput and a sentence for who sent it: for what is not JSON, no
/// message that there is, breaks a bound, or lacks what it needs. Fields that are not known are
/// ignored: a newer program may send them.
Result<Message> read(std::string_view text);
/// As read() takes it, if all is within the bounds.
std::string write(const Message &message);
/// "hello", "no-node" …
std::string_view name_of(const Message &message);

}  // namespace junctor::nat::rendezvous
