// SPDX-License-Identifier: LGPL-2.1-or-later
// Finds a way for UDP to one peer through whatever stands between, and keeps it. Neither sockets
// nor a clock: it says what to send and when, whoever has the sockets does it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/endpoint.h"
#include "common/peer_log_budget.h"
#include "nat/core/agreement.h"
#include "nat/core/candidate.h"
#include "nat/core/exchange.h"
#include "nat/core/path_watch.h"
#include "nat/core/probe.h"
#include "rtp/core/stun.h"

namespace junctor::nat {

struct PuncherOptions {
  ProbeKey probe_own{}, probe_peer{};  ///< of ChannelKeys
  std::string own_tag, peer_tag;       ///< of the two descriptions
  /// From when there is a socket and a candidate of the peer's until it has failed.
  Duration timeout = std::chrono::seconds(3);
  /// Between two probes to the same candidate: a lost one costs no more than that.
  Duration pace = std::chrono::milliseconds(20);
  /// After `quick` the peer is probably late, not the packets lost.
  Duration quick = std::chrono::milliseconds(600), slow_pace = std::chrono::milliseconds(50);
  /// Once there is a way, a better one is looked for so much longer.
  Duration settle = std::chrono::milliseconds(400);
  /// The questions of it are probes.
  PathWatch::Options watch{};
  /// Of this one alone, at most Puncher::kMostPerSecond, besides what `budget` allows.
  unsigned most_per_second = 1000;
  /// Shared by all who send on somebody's behalf; unset: its own.
  std::shared_ptr<Throttle> budget{};
};

/// One peer's. Sends nothing but probes and ACKs: to candidates that the peer's strings named, at
/// the pace of the options and never more than kMostPerSecond; to an address that only a verified
/// probe named, until it has answered, no more bytes than came from there. What does not verify, or
/// came before, has no effect at all. One thread.
///
/// A way is good for sending when a probe of ours over it was ACKed, or, to an address that the
/// peer's strings named, when the peer says that it is up and verified packets come from there.
/// Each end chooses for itself what it sends over.
class Puncher {
 public:
  static constexpr unsigned kMostPerSecond = 1000, kBurst = 100;
  /// So many probes without any answer are followed by one a second to each candidate.
  static constexpr unsigned kMostUnanswered = 4000;
  static constexpr std::size_t kMostLinks = 1024, kMostLearned = 32, kMostSent = 8192;

  enum class State : std::uint8_t {
    Trying,
    Up,
    Repairing,  ///< was up; path() is still the old one
    /// Not in time. It goes on to try, seldom, for what stands between may change: then it is Up.
    Failed,
  };
  /// What a socket is for.
  enum class Use : std::uint8_t {
    Plain,
    /// Its next mappings were predicted for the peer, so that it sends to nothing that would take
    /// one of them in vain: to the peer's predicted ports in their order, or to where a peer is
    /// whose mapping does not depend on who it sends to. The plain ones leave predicted ports to
    /// it.
    Predicting,
    Many,  ///< one of many, each with a mapping of its own towards the peer's external address
  };
  struct Path {
    unsigned socket = 0;
    Endpoint remote;
    CandidateKind kind = CandidateKind::Host;  ///< of `remote`
    bool operator==(const Path &) const = default;
  };
  struct Event {
    enum class Kind : std::uint8_t {
      Up,      ///< for the first time, or again
      Moved,   ///< to another path
      Silent,  ///< nothing is answered any more: gather addresses anew and restart()
      Failed,
    } kind;
    Duration took{};  ///< since the beginning of this attempt
  };
  struct Counts {
    std::uint64_t probes_sent = 0, acks_received = 0, probes_received = 0, acks_sent = 0;
    std::uint64_t refused = 0;  ///< addressed to us, but not verified, or replayed
  };

  explicit Puncher(PuncherOptions options);
  /// For several that share what they may send.
  static std::shared_ptr<Throttle> make_budget();

  /// A socket to probe from: the number that Outgoing has and received() gets.
  void add_socket(unsigned number, bool v6, Time now, Use use = Use::Plain);
  /// Paths over it are forgotten, also the one in use.
  void remove_socket(unsigned number, Time now);
  /// A candidate of the peer's; one that is known already is not added again.
  void add_remote(const Candidate &candidate, Time now);
  /// The ports that the peer's NAT takes next, in their order, in place of those before.
  void set_predicted(const std::vector<Candidate> &candidates, Time now);
  /// There will be sockets of Use::Predicting: plain ones leave predicted ports alone from now on.
  void expect_predicting() { predicts_ = true; }
  /// Sends one probe each to so many ports of `address` by chance, as fast as it may: one of many
  /// sockets of the peer's may have one of them.
  void guess(const std::string &address, std::size_t count, Time now);
  /// Whether servers saw the peer at several ports of one address: its mapping depends on who it
  /// sends to.
  bool peer_changes_ports() const;
  /// In place of all before: the peer's addresses have changed. Then restart().
  void clear_remote();
  /// Tries everything anew, with the time-out anew, as our or the peer's addresses have changed.
  /// The present path goes on meanwhile.
  void restart(Time now);

  /// What to send at `now`. Call it at the start, after all other calls, and at next().
  std::vector<Outgoing> poll(Time now);
  /// Whether it was a probe for us or an ACK of ours; it is also where it is refused. False: it is
  /// another's who shares the socket.
  bool received(unsigned socket, const Endpoint &from, ByteSpan datagram, Time now);
  /// Media that verified came over the present path.
  void media(Time now);
  /// Media that verified, `size` bytes, came from elsewhere.
  void media_from(unsigned socket, const Endpoint &from, std::size_t size, Time now);
  /// The peer says that its packets arrive here.
  void peer_up(Time now);
  /// When to poll() at the latest.
  std::optional<Time> next() const { return next_; }

  /// Whether packets from there are this peer's, as far as is known.
  bool knows(unsigned socket, const Endpoint &from) const;

  State state() const { return state_; }
  /// What to send over; nothing before it was up once.
  const std::optional<Path> &path() const { return path_; }
  /// Of the path, smoothed; nothing before an ACK.
  std::optional<Duration> round_trip() const;
  /// What has happened since it was asked last, in order.
  std::vector<Event> take_events();
  const Counts &counts() const { return counts_; }
  /// Why there is no path: a sentence about what was sent and what came in this attempt.
  std::string why() const;
  const std::string &own_tag() const { return options_.own_tag; }

 private:
  struct Link {
    Path path;
    bool many = false;       ///< of a socket of Use::Many
    bool learned = false;    ///< no string of the peer's named it
    Time due{};              ///< the next probe
    Time heard{};            ///< the last verified packet
    unsigned sent = 0;       ///< probes of this attempt
    unsigned confirm = 0;    ///< probes to come, so that the peer may answer more
    bool came = false;       ///< a verified packet in this attempt
    bool good = false;       ///< for sending
    std::size_t credit = 0;  ///< bytes that a learned one may be sent
    std::optional<Duration> round_trip;
  };
  struct Socket {
    unsigned number;
    bool v6;
    Use use;
  };
  struct Sent {
    Path path;
    Time when{};
  };

  Link *find(unsigned socket, const Endpoint &remote);
  Link *current() { return path_ ? find(path_->socket, path_->remote) : nullptr; }
  const Link *current() const { return const_cast<Puncher *>(this)->current(); }
  Link *learn(unsigned socket, const Endpoint &remote);
  void add_link(const Socket &socket, const Candidate &candidate, Time now);
  bool take_request(unsigned socket, const Endpoint &from, const rtp::stun::Message &message,
                    Time now);
  bool take_ack(unsigned socket, const Endpoint &from, const rtp::stun::Message &message, Time now);
  void came(Link &link, std::size_t bytes, Time now);
  void mark_good(Link &link, Time now);
  void consider(const Link &link, Time now);
  Duration pace(const Link &link, Time now) const;
  void send_probe(Link &link, Time now);
  bool wanted(const Link &link, Time now) const;
  void begin(Time now);
  void probe_links(Time now);
  void keep_alive(Time now);
  void note_next(Time when) {
    if (!next_ || when < *next_) next_ = when;
  }
  void compute_next(Time now);
  bool trying() const { return state_ == State::Trying || state_ == State::Repairing; }
  void tell(Event::Kind kind, Time now) { events_.push_back({kind, now - began_.value_or(now)}); }

  PuncherOptions options_;
  bool fits(const Socket &socket, const Candidate &candidate) const;
  void link_all(Time now);
  void send_guesses(Time now);
  bool may_send(Time now) const { return own_budget_.may(now) && budget_->may(now); }
  std::vector<Socket> sockets_;
  std::vector<Endpoint> guesses_;  ///< to come, from the end
  std::vector<Candidate> remotes_;
  std::vector<Link> links_;
  std::map<rtp::stun::TransactionId, Sent> sent_;
  std::deque<rtp::stun::TransactionId> sent_order_;
  std::vector<Outgoing> outbox_;
  std::vector<Event> events_;
  State state_ = State::Trying;
  std::optional<Path> path_;
  std::optional<Time> began_, up_since_, next_;
  bool peer_up_ = false, predicts_ = false;
  std::uint64_t number_ = 0;
  ReplayWindow window_;
  Throttle own_budget_;
  std::shared_ptr<Throttle> budget_;
  unsigned unanswered_ = 0;        ///< probes since the last verified packet
  Counts counts_, counts_before_;  ///< in all, and before this attempt

  PathWatch watch_{options_.watch};
  Time last_path_media_{};
};

std::string_view to_string(Puncher::State state);

}  // namespace junctor::nat
