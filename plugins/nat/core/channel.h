// SPDX-License-Identifier: LGPL-2.1-or-later
// A UDP channel to one peer for RTP and RTCP, on a reactor: sockets, addresses, keys, the way
// through NATs, SRTP. Signalling is strings that the application carries.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/bytes.h"
#include "common/endpoint.h"
#include "common/handle.h"
#include "common/log.h"
#include "common/reactor.h"
#include "common/result.h"
#include "nat/core/agreement.h"
#include "nat/core/description.h"
#include "nat/core/gathering.h"
#include "nat/core/host_addresses.h"
#include "nat/core/ice_agent.h"
#include "nat/core/ladder.h"
#include "nat/core/offer.h"
#include "nat/core/puncher.h"
#include "nat/core/remote_end.h"
#include "nat/core/stun_host.h"
#include "nat/core/turn_server.h"
#include "rtp/core/srtp.h"

namespace junctor::nat {

struct ChannelOptions {
  Side side = Side::Caller;
  /// Names the channel for both ends: part of the keys.
  std::string session;
  /// At most Gathering::kMostServers. More than one, at different addresses, shows what the NAT
  /// does to different peers.
  std::vector<StunHost> stun_servers;
  /// For the direct way, from when the peer's description is here.
  Duration timeout = std::chrono::seconds(3);
  /// Ways that can be had. Nodes come by take_offer(), relays by that or `turn_servers`.
  std::vector<Rung> rungs{Rung::P2p};
  LadderOrder order = LadderOrder::Parallel;
  /// For nodes, before a relay carries (LadderOrder::Parallel).
  Duration head_start = LadderOptions().sfu_head_start;
  /// A way that carried is waited for so long: it is not given up while this machine has no
  /// network, and all are tried again before that is the end.
  Duration patience = kLadderPatience;
  std::vector<TurnServer> turn_servers{};
  /// Ways are looked for by RFC 8445 and not by probes of our own, so that a browser or an ICE
  /// phone can be the peer. Without `encrypt` it need not know our keys either: packets go as they
  /// are, for the application encrypts them in its own way.
  bool ice = false, encrypt = true;
  /// For a NAT that takes one port after another: the next ones are told to the peer.
  bool prediction = true;
  /// For a NAT that takes ports by chance, against one that keeps them: 256 sockets on one side,
  /// 1024 guesses within a second on the other. Both ends want it.
  bool many_sockets = false;
  LogSink log;  ///< may be unset
};

enum class ChannelState : std::uint8_t {
  New,     ///< nothing of the peer is known
  Trying,  ///< for the first time, or again without a way
  Up,
  Failed,  ///< for good
};
std::string_view to_string(ChannelState state);  ///< "new", "trying", "up", "failed"

/// What happened to the channel.
struct ChannelEvent {
  enum class Kind : std::uint8_t {
    Trying,  ///< at the beginning, and when there is no way any more
    Up,      ///< for the first time
    Moved,   ///< to another way, or back from Trying
    Failed,  ///< for good
  } kind;
  Attempt attempt{};              ///< for Up and Moved: what carries
  std::string local{}, remote{};  ///< its ends, "ADDRESS:PORT"
  Duration took{};    ///< since trying began; for Moved since the way before was doubted
  std::string why{};  ///< for Failed, Moved and a second Trying: a sentence
};
std::string_view to_string(ChannelEvent::Kind kind);  ///< "trying", "up", "moved", "failed"

/// Called on the reactor. Each may close the channel: none is called any more then.
struct ChannelEvents {
  /// For the peer, in order: to its Channel::take().
  std::function<void(std::string signal)> signal;
  std::function<void(const ChannelEvent &)> event;
  /// Authentic RTP or RTCP of the peer's, as the peer's application sent it.
  std::function<void(SharedBytes packet, bool rtcp)> received;
  /// With ice and without encrypt: a DTLS packet of the peer's (RFC 7983 section 7), as it came.
  /// Unset, or false: it is refused.
  std::function<bool(SharedBytes packet)> dtls;
  /// Behind each batch of received() and dtls().
  std::function<void()> batch_end;
  /// A node or a relay is needed, and none is known: see Channel::take_offer().
  std::function<void(Rung)> want;
  /// What has become of each way that was tried.
  std::function<void(const LadderEntry &)> rung;
  /// A string of post() was not taken: a sentence.
  std::function<void(std::string)> complaint;
};

struct ChannelStats {
  ChannelState state = ChannelState::New;
  std::string rung, node, local, remote;
  std::optional<Duration> round_trip;
  std::uint64_t packets_sent = 0, bytes_sent = 0, packets_received = 0, bytes_received = 0;
  std::uint64_t lost = 0;     ///< RTP packets of the peer's that did not come
  std::uint64_t unsent = 0;   ///< there was no way, or the system's buffer was full
  std::uint64_t refused = 0;  ///< what came and was not authentic, malformed, or came before
};

/// One end of a channel. Reactor thread, but for what says otherwise.
class Channel : public std::enable_shared_from_this<Channel> {
 public:
  /// Strings of the peer's in a minute; what comes beyond is refused.
  static constexpr unsigned kMostSignals = RemoteEnd::kMostStrings;
  /// Addresses are gathered anew so often at once, and then once an interval.
  static constexpr unsigned kGatherings = 10;
  static constexpr Duration kGatheringInterval = std::chrono::seconds(3);
  /// The largest packet that send() takes.
  static constexpr std::size_t kMostPacket = 2000;

  /// Any thread. Events come from then on, the first string before anything of the peer is known.
  static Result<std::shared_ptr<Channel>> open(std::shared_ptr<Reactor> reactor,
                                               ChannelOptions options, ChannelEvents events);
  ~Channel();
  Channel(const Channel &) = delete;
  Channel &operator=(const Channel &) = delete;

  /// A string of the peer's. Fails with BadInput for what is none, with Refused for one that comes
  /// at the wrong time: the channel is as it was before.
  Result<void> take(std::string_view signal);
  /// Any thread: take() on the reactor, later.
  void post(std::string signal);
  /// What the rendezvous says of nodes and relays: see parse_offer().
  Result<void> take_offer(std::string_view text);
  /// Any thread: take_offer() on the reactor, later.
  void post_offer(std::string text);
  /// A whole packet. One that cannot be sent is counted and dropped: media does not wait.
  void send(ByteSpan packet, bool rtcp);
  /// Any thread, also out of an event: no events any more when it has returned, nothing is sent.
  void close();

  /// Any thread.
  ChannelStats stats() const;
  /// Any thread; slow (see nat::fingerprint()). Empty before the peer's key is known.
  std::string fingerprint() const;

 private:
  struct Socket {
    UniqueFd fd;
    bool v6 = false;
    std::uint16_t port = 0;
    Puncher::Use use = Puncher::Use::Plain;
    Reactor::Watch watch{};
  };
  struct Source {
    std::uint32_t ssrc = 0;
    std::uint16_t highest = 0;
    std::uint64_t expected = 0, received = 0;
  };
  struct Queued;
  /// A node that may carry.
  struct NodeWay {
    std::string name;
    Description description;
    RemoteEnd bounds{"node " + name};
    ChannelKeys keys{};
    std::string own_tag{};
    std::unique_ptr<rtp::Srtp> srtcp{};  ///< of the hop
    std::optional<Puncher> puncher{};    ///< while it is tried or up
    bool joined = false;                 ///< it has a channel to both ends
  };
  /// libnice's way: to a relay, or to a peer that speaks ICE.
  struct IceWay {
    Attempt attempt;
    std::unique_ptr<IceAgent> agent{};  ///< on a thread of its own, which ends with it
    std::string remote_ufrag{};         ///< of the peer's agent
    std::vector<IceSignal> heard{};     ///< of the same
    std::vector<std::string> early{};   ///< candidates, until the credentials have been told
    bool found = false;                 ///< a candidate of this end's
    bool gathered = false;
    std::optional<IcePath> path{};
    PathWatch watch{PathWatch::Options()};
    Questions questions{};
    std::optional<Duration> round_trip{};
    /// Datagrams from the agent's thread.
    struct Inbox {
      static constexpr std::size_t kMostWaiting = 2048;
      std::mutex mutex{};
      std::vector<Bytes> waiting{};
      bool put(ByteSpan datagram);  ///< whether it is the first
    } inbox{};
  };

  Channel(std::shared_ptr<Reactor> reactor, ChannelOptions options, ChannelEvents events,
          KeyPair keys);
  Result<void> open_sockets();
  void start();
  void tear_down();
  void resolve_servers();

  void log(LogLevel level, const std::string &text) const;

  // What the ends say to each other.
  void signal(const Signal &what);
  std::vector<Candidate> host_candidates() const;
  void describe();
  void offer(std::vector<Candidate> candidates);
  void offer_found();
  Result<void> take_description(const Description &description);
  Result<void> take_candidates(const MoreCandidates &more);
  void add_remote(const Candidate &candidate);

  // The way.
  void begin_ladder();
  void step();
  void schedule();
  void send_all(const std::vector<Outgoing> &out);
  void on_puncher(const Attempt &attempt, Puncher &puncher, const Puncher::Event &event);
  void on_ladder(const LadderAction &action);
  void prepare(const Attempt &attempt);
  void prepare_puncher();
  void stop(const Attempt &attempt, const std::string &why);
  void carry(const Attempt &attempt);
  bool use(const Attempt &attempt);
  bool use_path(const Attempt &attempt, const Puncher &puncher);
  Puncher *puncher_of(const Attempt &attempt);
  void show(ChannelState state);
  void tell(ChannelEvent event);
  void doubt(const std::string &why);
  void heal();
  bool on_another_way(const Attempt &attempt) const;
  bool waits_for_network();
  void lose(const Attempt &attempt, const std::string &why);
  void no_way(const std::string &why);
  ChannelState state() const;
  void read_addresses();
  void look_at_addresses();
  /// Whose addresses may have changed: with those of this machine all are in doubt.
  enum class Anew : std::uint8_t { Direct, All };
  /// False where it was done too often: then the known addresses alone are tried anew.
  bool gather_anew(const std::string &why, Anew what);
  void look_for_others();

  // Nodes: channel_rungs.cpp. Relays, and peers that speak ICE: channel_ice.cpp.
  Result<void> take_node(const NodeOffer &offer);
  void node_failed(const NodeFailed &told);
  Result<void> take_node_candidates(const NodeSignal &said);
  Result<void> make_node(const NodeOffer &offer);
  void forget_node(std::string_view name);
  NodeWay *find_node(std::string_view name);
  void prepare_node(NodeWay &node);
  void node_may_be_up(NodeWay &node);
  void add_remote(NodeWay &node, const Candidate &candidate);
  std::optional<Puncher> make_puncher(const ChannelKeys &keys, const std::string &own_tag,
                                      const std::string &peer_tag, unsigned most_per_second) const;
  void prepare_relay();
  void start_ice(const Attempt &attempt);
  void ice_started(const std::shared_ptr<IceWay> &way, Result<std::unique_ptr<IceAgent>> started);
  void ice_connected(const std::shared_ptr<IceWay> &way, const IcePath &path);
  void ice_failed(const std::shared_ptr<IceWay> &way, const std::string &why);
  void ice_received(IceWay &way);
  std::optional<Time> ice_next() const;
  void watch_ice(Time now);
  void ask_over_ice(std::uint8_t subtype, std::uint32_t number);
  bool take_question(IceWay &way, ByteSpan packet);
  void ice_gathered(const std::shared_ptr<IceWay> &way);
  Result<void> take_ice(const IceSignal &signal);
  void give_ice(const IceSignal &signal);
  void begin_relay_anew();
  bool uses_ice() const;

  // Ways through NATs that give another port for each peer.
  std::vector<Endpoint> seen(unsigned socket) const;
  void try_tricks(Time now);
  bool waits_for_caller() const;
  void begin_round(Time now);
  void take_predicted(const std::vector<Candidate> &predicted, Time now);
  void predict(Time now);
  std::optional<unsigned> open_extra(Puncher::Use use, Time now);
  void close_extra(unsigned number, Time now);
  void forget_predicting(Time now);
  void end_tricks(Time now);

  // Packets.
  void read(unsigned socket);
  bool on_media(unsigned socket, const sockaddr_storage &from, std::span<std::byte> buffer,
                std::size_t wire_size, bool rtcp);
  std::optional<std::size_t> open(std::span<std::byte> datagram, bool rtcp);
  void count_received(std::size_t wire_size);
  void deliver(ByteSpan packet, std::size_t wire_size, bool rtcp);
  rtp::Srtp *sending_context(bool rtcp);
  void count_rtp(ByteSpan packet);
  void flush();

  const std::shared_ptr<Reactor> reactor_;
  const ChannelOptions options_;
  std::shared_ptr<ChannelEvents> events_;  ///< closing puts none in their place
  const KeyPair own_key_;
  const std::string own_tag_;

  std::vector<Socket> sockets_;
  std::vector<std::string> addresses_;
  std::string preferred_;       ///< the address that the machine sends from by default
  Scope scope_ = Scope::Wider;  ///< of the addresses; narrower ones of the peer's are not tried
  bool networked_ = false;      ///< there was an address beyond this machine
  /// Since when there is none; `addresses_` are those before.
  std::optional<Time> offline_since_;
  std::unique_ptr<AddressWatch> address_watch_;
  Gathering gathering_;
  Throttle gatherings_{kGatherings, kGatheringInterval};
  std::uint32_t generation_ = 1;
  std::vector<Candidate> offered_;

  std::optional<Description> remote_;
  RemoteEnd remote_bounds_{"the peer"};
  const std::shared_ptr<Throttle> probes_ = Puncher::make_budget();  ///< of all punchers
  std::optional<ChannelKeys> keys_;
  std::unique_ptr<rtp::Srtp> srtp_, srtcp_;
  std::optional<Puncher> puncher_;
  std::optional<Ladder> ladder_;
  std::vector<std::unique_ptr<NodeWay>> nodes_;
  std::shared_ptr<IceWay> ice_;
  std::vector<IceSignal> ice_waiting_;  ///< until there is an agent; of one agent of the peer's
  Time ice_waiting_since_{};
  std::vector<TurnServer> turn_servers_;
  bool direct_expected_ = true;
  std::optional<Time> turn_until_;  ///< nothing: for ever
  std::optional<Attempt> relay_wanted_;
  std::optional<Time> trying_since_, doubted_, repair_until_;
  std::string doubt_;
  bool said_up_ = false, was_up_ = false, stepping_ = false, step_again_ = false, closed_ = false;
  Reactor::Timer timer_;
  std::optional<Time> timer_at_;

  std::optional<Time> tricks_since_, tricks_next_;
  std::optional<unsigned> predicting_;  ///< the number of the socket
  unsigned rounds_ = 0;
  bool sampled_ = false, many_ = false;

  unsigned path_socket_ = 0;
  std::optional<sockaddr_storage> path_;
  Attempt path_of_;           ///< whose it is
  std::string path_address_;  ///< of this machine
  std::unique_ptr<Queued> queued_;
  std::vector<Source> sources_;

  mutable std::mutex mutex_;  // guards what follows
  ChannelStats shown_;
  std::optional<PublicKey> remote_key_;
  struct Counted {
    std::atomic<std::uint64_t> packets_sent = 0, bytes_sent = 0, packets_received = 0,
                               bytes_received = 0, lost = 0, unsent = 0, refused = 0;
  } counted_;
};

}  // namespace junctor::nat
