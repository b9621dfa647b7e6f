// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/ice_agent.h"

#include <nice/agent.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <optional>
#include <thread>

#include "common/handle.h"
#include "nat/core/tls_tunnel.h"

namespace junctor::nat {

namespace {

using AgentRef = std::unique_ptr<NiceAgent, Releaser<g_object_unref>>;
using CandidateRef = std::unique_ptr<NiceCandidate, Releaser<nice_candidate_free>>;
using Text = std::unique_ptr<gchar, Releaser<g_free>>;

constexpr guint kComponent = 1;
/// Of what is asked of STUN and TURN servers, in ms; RFC 8489 section 6.2.1 wants 500 or more.
constexpr guint kFirstRetransmission = 500;
/// Where a relay alone is wanted, which is asked little and late, sooner: a call waits, and it
/// takes two exchanges. With one lost packet of ten, one call of three had lost one of their four.
constexpr guint kRelayRetransmission = 200;
/// Of one request, each after twice the time of the one before: with 3 by its first retransmission
/// the last goes 1.5 s after the first, with 5 by a relay's 3 s. By libnice's usual three such a
/// call got no relay one time in forty.
constexpr guint kTransmissions = 3, kRelayTransmissions = 5;
constexpr std::size_t kShortestUfrag = 4, kShortestPassword = 22, kLongest = 256;  // RFC 8839 5.4

bool is_ice_text(const std::string &text, std::size_t shortest) {
  return text.size() >= shortest && text.size() <= kLongest &&
         std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '+' || c == '/';
         });
}

Endpoint endpoint_of(const NiceCandidate &candidate) {
  gchar address[NICE_ADDRESS_STRING_LEN];
  nice_address_to_string(&candidate.addr, address);
  return {address, static_cast<std::uint16_t>(nice_address_get_port(&candidate.addr))};
}

std::string describe(const NiceCandidate &candidate) {
  static constexpr const char *kKinds[] = {"host", "external", "peer-reflexive", "relayed"};
  return endpoint_of(candidate).to_string() + " " + kKinds[candidate.type];
}

/// Names for no longer than this: the machine's own addresses do not wait for a DNS that is dead.
constexpr auto kMostLookUp = std::chrono::seconds(1);

std::optional<Endpoint> find_stun(const std::vector<StunHost> &servers) {
  for (const StunHost &each : servers)
    if (const Endpoint at{each.host, each.port}; at.to_sockaddr()) return at;
  const auto promise = std::make_shared<std::promise<std::optional<Endpoint>>>();
  auto found = promise->get_future();
  // Nobody can end a lookup; who no longer waits leaves it behind.
  std::thread([servers, promise] {
    for (const StunHost &each : servers) {
      const auto found = each.resolve_each();
      if (!found) continue;
      // libnice asks one: where NATs are, in IPv4, if it can.
      const auto four =
          std::ranges::find_if(*found, [](const Endpoint &one) { return !is_v6(one); });
      return promise->set_value(four != found->end() ? *four : found->front());
    }
    promise->set_value(std::nullopt);
  }).detach();
  return found.wait_for(kMostLookUp) == std::future_status::ready ? found.get() : std::nullopt;
}

NiceRelayType relay_type(TurnTransport transport) {
  return transport == TurnTransport::Udp ? NICE_RELAY_TYPE_TURN_UDP : NICE_RELAY_TYPE_TURN_TCP;
}

}  // namespace

/// Lives on the thread. libnice's signals hold a plain pointer to it until stop().
class IceAgent::Worker : public std::enable_shared_from_this<Worker> {
 public:
  Worker(std::shared_ptr<ContextThread> thread, IceOptions options, IceEvents events)
      : thread_(std::move(thread)), options_(std::move(options)), events_(std::move(events)) {}

  Result<void> start() {
    const bool relay = options_.relay_only;
    agent_.reset(NICE_AGENT(g_object_new(
        NICE_TYPE_AGENT, "compatibility", NICE_COMPATIBILITY_RFC5245, "main-context",
        thread_->context(), "ice-trickle", TRUE, "consent-freshness", !relay,
        "stun-initial-timeout", relay ? kRelayRetransmission : kFirstRetransmission,
        "stun-max-retransmissions", relay ? kRelayTransmissions : kTransmissions, nullptr)));
    g_object_set(agent_.get(), "upnp", FALSE, "controlling-mode", options_.controlling,
                 "force-relay", options_.relay_only, nullptr);
    // libnice reaches a TURN server over TCP only where it may use TCP for candidates, too.
    const bool over_tcp = std::ranges::any_of(options_.turn, [](const TurnServer &server) {
      return server.transport != TurnTransport::Udp;
    });
    g_object_set(agent_.get(), "ice-tcp", over_tcp, nullptr);
    if (!options_.stun.empty()) {
      if (const auto stun = find_stun(options_.stun))
        g_object_set(agent_.get(), "stun-server", stun->address.c_str(), "stun-server-port",
                     static_cast<guint>(stun->port), nullptr);
      else if (events_.complaint)
        events_.complaint("no STUN server is asked: none of the names is found within a second");
    }
    for (const std::string &address : options_.addresses) {
      NiceAddress parsed;
      nice_address_init(&parsed);
      if (!nice_address_set_from_string(&parsed, address.c_str()) ||
          !nice_agent_add_local_address(agent_.get(), &parsed))
        return bad_input("'" + address + "' is no address of this machine");
    }
    stream_ = nice_agent_add_stream(agent_.get(), 1);
    if (stream_ == 0) return internal_error("libnice makes no stream");
    for (const TurnServer &server : options_.turn)
      if (auto done = add_turn(server); !done) return done;
    gchar *ufrag = nullptr, *password = nullptr;
    nice_agent_get_local_credentials(agent_.get(), stream_, &ufrag, &password);
    const Text one(ufrag), other(password);
    local_ = {ufrag, password};
    connect("new-candidate-full", G_CALLBACK(&Worker::on_candidate));
    connect("candidate-gathering-done", G_CALLBACK(&Worker::on_gathered));
    connect("component-state-changed", G_CALLBACK(&Worker::on_state));
    connect("new-selected-pair-full", G_CALLBACK(&Worker::on_pair));
    nice_agent_attach_recv(agent_.get(), stream_, kComponent, thread_->context(),
                           &Worker::on_received, this);
    if (!nice_agent_gather_candidates(agent_.get(), stream_))
      return Error{Fault::Unreachable, "this machine has no network address for ICE"};
    return {};
  }

  void stop() {
    events_ = {};
    if (!agent_) return;
    g_signal_handlers_disconnect_by_data(agent_.get(), this);
    // Somebody must read on: what nobody takes stands in the sockets, and keeps the thread awake.
    nice_agent_attach_recv(
        agent_.get(), stream_, kComponent, thread_->context(),
        [](NiceAgent *, guint, guint, guint, gchar *, gpointer) {}, nullptr);
    // Allocations are given back to their servers first. The tunnels are needed until then.
    struct Rest {
      std::shared_ptr<ContextThread> thread;
      std::vector<std::unique_ptr<TlsTunnel>> tunnels;
    };
    NiceAgent *agent = agent_.release();
    nice_agent_close_async(
        agent,
        [](GObject *closed, GAsyncResult *, gpointer rest) {
          g_object_unref(closed);
          delete static_cast<Rest *>(rest);
        },
        new Rest{thread_, std::move(tunnels_)});
  }

  Result<void> set_remote(const IceCredentials &credentials) {
    if (!is_ice_text(credentials.ufrag, kShortestUfrag) ||
        !is_ice_text(credentials.password, kShortestPassword))
      return bad_input("the peer's ICE credentials are none: letters, digits, + and / are allowed");
    if (!nice_agent_set_remote_credentials(agent_.get(), stream_, credentials.ufrag.c_str(),
                                           credentials.password.c_str()))
      return internal_error("libnice does not take the peer's credentials");
    // Also a second time, where the peer has begun anew before anything was found.
    has_remote_ = true;
    remote_candidates_ = 0;
    give_candidates();
    return {};
  }

  Result<void> add_remote(const std::string &line) {
    if (line.size() > kLongestLine || !line.starts_with("candidate:"))
      return bad_input("that is no ICE candidate");
    if (++remote_candidates_ > kMostCandidates)
      return bad_input("the peer names more than " + std::to_string(kMostCandidates) +
                       " candidates");
    const std::string attribute = "a=" + line;
    CandidateRef candidate(
        nice_agent_parse_remote_candidate_sdp(agent_.get(), stream_, attribute.c_str()));
    // Kinds that libnice does not know are skipped (RFC 8839 section 5.1).
    if (!candidate || candidate->component_id != kComponent) return {};
    if (scope_of(endpoint_of(*candidate)) < options_.scope) return {};
    waiting_.push_back(std::move(candidate));
    give_candidates();
    return {};
  }

  void complain_of(const Result<void> &done) {
    if (!done && events_.complaint) events_.complaint(done.error().detail);
  }

  void remote_gathered() { nice_agent_peer_candidate_gathering_done(agent_.get(), stream_); }

  bool send(ByteSpan datagram) {
    return nice_agent_send(agent_.get(), stream_, kComponent, static_cast<guint>(datagram.size()),
                           reinterpret_cast<const gchar *>(datagram.data())) ==
           static_cast<gint>(datagram.size());
  }

  const std::shared_ptr<ContextThread> &thread() const { return thread_; }
  const IceCredentials &local() const { return local_; }

 private:
  void connect(const char *signal, GCallback callback) {
    g_signal_connect(agent_.get(), signal, callback, this);
  }

  Result<void> add_turn(const TurnServer &server) {
    Result<Endpoint> at = Endpoint{};
    if (server.transport == TurnTransport::Tls) {
      auto tunnel = TlsTunnel::open(thread_, {server.host, server.port, server.certificate_sha256},
                                    [weak = weak_from_this()](const std::string &why) {
                                      if (const auto self = weak.lock()) self->tunnel_why_ = why;
                                    });
      if (!tunnel) return tunnel.error();
      at = (*tunnel)->local();
      tunnels_.push_back(std::move(*tunnel));
    } else {
      at = StunHost{server.host, server.port}.resolve();
    }
    if (!at) return at.error();
    if (!nice_agent_set_relay_info(agent_.get(), stream_, kComponent, at->address.c_str(), at->port,
                                   server.user.c_str(), server.password.c_str(),
                                   relay_type(server.transport)))
      return internal_error("libnice does not take the TURN server " + server.to_string());
    return {};
  }

  /// libnice wants the credentials before the first candidate.
  void give_candidates() {
    if (!has_remote_ || waiting_.empty()) return;
    GSList *list = nullptr;
    for (const CandidateRef &each : waiting_) list = g_slist_prepend(list, each.get());
    nice_agent_set_remote_candidates(agent_.get(), stream_, kComponent, list);
    g_slist_free(list);
    waiting_.clear();
  }

  static void on_candidate(NiceAgent *agent, NiceCandidate *candidate, gpointer data) {
    auto *self = static_cast<Worker *>(data);
    if (self->options_.relay_only && candidate->type != NICE_CANDIDATE_TYPE_RELAYED) return;
    const Text line(nice_agent_generate_local_candidate_sdp(agent, candidate));
    std::string_view text = line ? line.get() : "";
    if (text.starts_with("a=")) text.remove_prefix(2);
    self->gathered_any_ = true;
    if (self->events_.candidate && !text.empty()) self->events_.candidate(std::string(text));
  }

  static void on_gathered(NiceAgent *, guint, gpointer data) {
    auto *self = static_cast<Worker *>(data);
    if (self->options_.relay_only && !self->gathered_any_)
      return self->fail(self->tunnel_why_.empty()
                            ? "no TURN server gave a relayed address: it does not answer, or "
                              "refuses user and password"
                            : self->tunnel_why_);
    if (self->events_.gathered) self->events_.gathered();
  }

  static void on_state(NiceAgent *, guint, guint, guint state, gpointer data) {
    auto *self = static_cast<Worker *>(data);
    if (state == NICE_COMPONENT_STATE_FAILED)
      self->fail(self->told_ ? "ICE has lost its path" : "ICE finds no path to the peer");
    else if (state == NICE_COMPONENT_STATE_CONNECTED || state == NICE_COMPONENT_STATE_READY)
      self->tell_connected();
  }

  static void on_pair(NiceAgent *, guint, guint, NiceCandidate *, NiceCandidate *, gpointer data) {
    auto *self = static_cast<Worker *>(data);
    if (self->told_) self->tell_path();
  }

  void tell_connected() {
    if (std::exchange(told_, true)) return;
    tell_path();
  }

  void tell_path() {
    NiceCandidate *local = nullptr, *remote = nullptr;
    if (!nice_agent_get_selected_pair(agent_.get(), stream_, kComponent, &local, &remote)) return;
    if (events_.connected)
      events_.connected(
          {describe(*local), describe(*remote), local->type == NICE_CANDIDATE_TYPE_RELAYED});
  }

  void fail(const std::string &why) {
    if (events_.failed) events_.failed(why);
  }

  static void on_received(NiceAgent *, guint, guint, guint size, gchar *bytes, gpointer data) {
    const auto *self = static_cast<Worker *>(data);
    if (self->events_.received)
      self->events_.received({reinterpret_cast<const std::byte *>(bytes), size});
  }

  const std::shared_ptr<ContextThread> thread_;
  const IceOptions options_;
  IceEvents events_;
  AgentRef agent_;
  guint stream_ = 0;
  IceCredentials local_;
  std::vector<std::unique_ptr<TlsTunnel>> tunnels_;
  std::vector<CandidateRef> waiting_;  // until the peer's credentials are there
  std::size_t remote_candidates_ = 0;
  bool has_remote_ = false, gathered_any_ = false, told_ = false;
  std::string tunnel_why_;
};

Result<std::unique_ptr<IceAgent>> IceAgent::start(const std::shared_ptr<ContextThread> &thread,
                                                  IceOptions options, IceEvents events) {
  auto worker = std::make_shared<Worker>(thread, std::move(options), std::move(events));
  Result<void> started;
  thread->invoke([&] {
    started = worker->start();
    if (!started) worker->stop();
  });
  if (!started) return started.error();
  return std::unique_ptr<IceAgent>(new IceAgent(std::move(worker)));
}

IceAgent::~IceAgent() {
  auto thread = worker_->thread();
  ContextThread::post(std::move(thread), [worker = std::move(worker_)] { worker->stop(); });
}

const IceCredentials &IceAgent::local() const { return worker_->local(); }

void IceAgent::set_remote(const IceCredentials &credentials) {
  ContextThread::post(worker_->thread(), [worker = worker_, credentials] {
    worker->complain_of(worker->set_remote(credentials));
  });
}

void IceAgent::add_remote_candidate(const std::string &line) {
  ContextThread::post(worker_->thread(),
                      [worker = worker_, line] { worker->complain_of(worker->add_remote(line)); });
}

void IceAgent::remote_gathered() {
  ContextThread::post(worker_->thread(), [worker = worker_] { worker->remote_gathered(); });
}

bool IceAgent::send(ByteSpan datagram) { return worker_->send(datagram); }

}  // namespace junctor::nat
