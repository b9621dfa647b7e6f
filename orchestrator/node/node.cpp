// SPDX-License-Identifier: LGPL-2.1-or-later
#include "node/node.h"

#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "nat/core/behaviour_json.h"

namespace junctor::node {

namespace wire = nat::rendezvous;

namespace {

constexpr Duration kTick = std::chrono::seconds(1);
constexpr Duration kSoon = std::chrono::milliseconds(10);
/// A client that is silent for less may be back: its way has only changed.
constexpr Duration kDeserted = std::chrono::seconds(2);
constexpr std::size_t kMostServers = 4;  // that are asked for the port's address

int minute_of_day() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  return local.tm_hour * 60 + local.tm_min;
}

}  // namespace

Result<std::unique_ptr<Node>> Node::start(NodeOptions options,
                                          std::function<void(std::optional<std::string>)> ended) {
  std::unique_ptr<Node> node(new Node(std::move(options), std::move(ended)));
  if (auto opened = node->open_hub(); !opened) return opened.error();
  if (auto opened = node->connect(); !opened) return opened.error();
  node->tick();
  return node;
}

Node::Node(NodeOptions options, std::function<void(std::optional<std::string>)> ended)
    : options_(std::move(options)),
      ended_(std::move(ended)),
      context_(g_main_context_ref_thread_default()),
      lookout_([this](rendezvous::Surroundings found) { surveyed(std::move(found)); }),
      last_at_(Clock::now()) {}

Node::~Node() {
  alive_.reset();
  server_.reset();
  if (thread_) thread_->reactor()->invoke([this] { hub_.reset(); });
  thread_.reset();
  ticker_.reset();
  soon_.reset();
  g_main_context_unref(context_);
}

std::function<void(std::function<void()>)> Node::later() {
  return [context = context_, alive = std::weak_ptr<bool>(alive_)](std::function<void()> function) {
    post_to(context, [alive, function = std::move(function)] {
      if (!alive.expired()) function();
    });
  };
}

Result<void> Node::open_hub() {
  auto thread = ReactorThread::start("junctor-node");
  if (!thread) return thread.error();
  thread_ = std::move(*thread);
  HubOptions options;
  options.name = options_.offer.name;
  options.listen = options_.listen;
  options.announced = options_.announced;
  options.max_legs = options_.offer.legs;
  options.idle = options_.idle;
  options.log = options_.log;
  HubEvents events;
  events.leg = [this, later = later()](const LegEvent &event) {
    later([this, event] {
      const auto ms = std::chrono::duration<double, std::milli>(event.took).count();
      server_->send(
          wire::LegState{event.session, event.leg, std::string(to_string(event.kind)), ms});
    });
  };
  events.signal = [this, later = later()](const std::string &session, const std::string &leg,
                                          const std::string &signal) {
    later([=, this] { server_->send(wire::Signal{session, options_.offer.name, leg, signal}); });
  };
  events.lapsed = [this, later = later()](const std::string &session, const std::string &leg,
                                          const std::string &why) {
    say(LogLevel::Info, "session " + session + " is over: " + why);
    // A refusal would be the answer to a serve that is on its way.
    later([=, this] {
      server_->send(wire::LegState{session, leg, std::string(to_string(LegEvent::Kind::Failed))});
    });
  };
  events.moved = [this, later = later()] {
    later([this, families = hub_->families()] {
      families_ = families;
      const wire::Moved here = network();
      server_->set_network(here);
      server_->send(here);
    });
  };
  Result<void> opened;
  thread_->reactor()->invoke([&] {
    auto hub = Hub::open(thread_->reactor(), std::move(options), std::move(events));
    if (!hub) {
      opened = hub.error();
      return;
    }
    hub_ = std::move(*hub);
    address_ = hub_->local().to_string();
    families_ = hub_->families();
  });
  return opened;
}

Result<void> Node::connect() {
  rendezvous::ClientEvents events;
  events.welcome = [this](const wire::Welcome &welcome) { welcomed(welcome); };
  events.message = [this](const wire::Message &message) { on(message); };
  events.away = [this](const std::string &why, Duration) {
    connected_ = false;
    trouble_ = why;
    thread_->reactor()->post([this] { hub_->set_attended(false); });
    say(LogLevel::Warning, why);
  };
  // Not from within the client's own call.
  events.refused = [this, later = later()](const Error &error) {
    later([this, error] { end(error.detail); });
  };
  rendezvous::ClientOptions options = options_.server;
  options.hello = hello();
  connected_ = false;
  auto server = options_.connect(std::move(options), std::move(events));
  if (!server) return server.error();
  server_ = std::move(*server);
  return {};
}

wire::Hello Node::hello() const {
  wire::Hello hello;
  hello.role = wire::Role::Node;
  hello.agent = "junctor " JUNCTOR_VERSION;
  const wire::Moved here = network();
  hello.nat = here.nat;
  hello.regions = here.regions;
  hello.families = here.families;
  hello.node = options_.offer;
  return hello;
}

wire::Moved Node::network() const {
  const auto &nat = surroundings_.nat;
  return {nat ? nat::to_json(*nat).dump() : "", surroundings_.regions, families_};
}

void Node::welcomed(const wire::Welcome &welcome) {
  trouble_.clear();
  connected_ = true;
  say(LogLevel::Info, "connected to " + options_.server.url + " as " + welcome.account);
  told_.reset();
  thread_->reactor()->post([this, resumed = welcome.resumed] {
    if (!resumed) hub_->forgotten();
    hub_->set_attended(true);
  });
  if (resting_ || stopping_) server_->send(wire::Drain{resting_.value_or("its owner stops it")});
  // A connection that broke may have been another network's.
  wire::Welcome named = welcome;
  if (!options_.stun.empty()) named.stun = options_.stun;
  lookout_.look(rendezvous::servers_of(named));
}

void Node::surveyed(rendezvous::Surroundings found) {
  const bool news = !found.nat || !surroundings_.nat ||
                    nat::summary(*found.nat) != nat::summary(*surroundings_.nat);
  surroundings_ = std::move(found);
  const auto &nat = surroundings_.nat;
  if (news)
    say(LogLevel::Info, nat ? "this machine: " + nat::summary(*nat)
                            : "no STUN server is known: nobody is told what NAT this machine is "
                              "behind");
  auto servers = surroundings_.stun_servers;
  if (servers.size() > kMostServers) servers.resize(kMostServers);
  thread_->reactor()->post([this, servers] { hub_->set_stun_servers(servers); });
  const wire::Moved here = network();
  server_->set_network(here);
  server_->send(here);
}

void Node::on(const wire::Message &message) {
  if (const auto *work = std::get_if<wire::Serve>(&message)) {
    serve(*work);
  } else if (const auto *signal = std::get_if<wire::Signal>(&message)) {
    thread_->reactor()->post([this, signal = *signal] {
      if (auto taken = hub_->take(signal.session, signal.leg, signal.data); !taken)
        say(LogLevel::Debug, taken.error().detail);
    });
  } else if (const auto *over = std::get_if<wire::Release>(&message)) {
    release(over->session);
  } else if (const auto *bye = std::get_if<wire::Bye>(&message)) {
    release(bye->session);
  } else if (const auto *wrong = std::get_if<wire::Wrong>(&message)) {
    say(LogLevel::Warning, "the rendezvous says: " + wrong->detail);
  }
}

void Node::serve(const wire::Serve &work) {
  if (resting_ || stopping_) {
    server_->send(wire::Refuse{work.session, resting_.value_or("its owner stops it")});
    return;
  }
  std::vector<LegDescription> legs;
  for (const wire::Leg &each : work.legs) legs.push_back({each.leg, each.description, each.media});
  thread_->reactor()->post([this, later = later(), session = work.session, legs] {
    auto served = std::make_shared<Result<std::vector<LegDescription>>>(hub_->serve(session, legs));
    later([this, session, served] {
      if (!*served) {
        say(LogLevel::Info, "session " + session + " refused: " + served->error().detail);
        server_->send(wire::Refuse{session, served->error().detail});
        return;
      }
      wire::Serving answer{session, {}};
      for (const LegDescription &each : **served)
        answer.legs.push_back({each.leg, each.description});
      server_->send(answer);
    });
  });
}

/// It is soon said that there is room again: the next call may be waiting for it.
void Node::release(const std::string &session) {
  thread_->reactor()->post([this, session] { hub_->release(session); });
  // Many may end at once.
  if (!soon_)
    soon_ = ContextTimer(context_, kSoon, [this] {
      soon_.reset();
      tell_load(look());
    });
}

HubStats Node::look() const {
  HubStats stats;
  thread_->reactor()->invoke([&] { stats = hub_->stats(); });
  return stats;
}

void Node::tell_load(const HubStats &stats) {
  const wire::Load load{static_cast<std::uint32_t>(stats.legs), std::round(bits_per_second_)};
  if (over_ || !connected_ || load == told_) return;
  server_->send(load);
  told_ = load;
}

void Node::tick() {
  if (over_) return;
  ticker_ = ContextTimer(context_, kTick, [this] { tick(); });
  const HubStats stats = look();
  const Time now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - last_at_).count();
  if (seconds > 0.5) {
    bits_per_second_ =
        static_cast<double>(stats.forwarded_bytes - last_.forwarded_bytes) * 8 / seconds;
    last_ = stats;
    last_at_ = now;
  }
  const Usage usage{stats.forwarded_bytes, minute_of_day(), read_battery(options_.battery_folder)};
  auto reason = reason_to_rest(options_.limits, usage);
  if (reason && !resting_ && !stopping_) {
    say(LogLevel::Warning, "rests: " + *reason);
    server_->send(wire::Drain{*reason});
  } else if (!reason && resting_) {
    // A connection that drains takes nothing any more; another one does.
    say(LogLevel::Info, "serves again");
    if (auto opened = connect(); !opened) return end(opened.error().detail);
  }
  if (reason && !resting_) resting_since_ = now;
  resting_ = std::move(reason);
  if (resting_ && stats.sessions > 0 &&
      ends_calls(options_.limits, usage, now - resting_since_, options_.drain_time))
    end_calls(*resting_);
  if (rests_for_good(options_.limits, usage) && !stopping_) stopping_ = now;
  if (!stopping_ || stats.legs_up > 0)
    deserted_.reset();
  else if (!deserted_)
    deserted_ = now;
  // Sessions are released later than their clients have moved, and where the rendezvous is away not
  // at all.
  if (stopping_ && (stats.sessions == 0 || now - *stopping_ >= options_.drain_time ||
                    (deserted_ && now - *deserted_ >= kDeserted)))
    return end(resting_);
  tell_load(stats);
}

/// Those that did not move away: their rendezvous may know nothing of them any more.
void Node::end_calls(const std::string &why) {
  std::vector<std::string> sessions;
  thread_->reactor()->invoke([&] {
    sessions = hub_->sessions();
    for (const std::string &each : sessions) hub_->release(each);
  });
  say(LogLevel::Warning,
      "ends what did not move away (" + std::to_string(sessions.size()) + "): " + why);
  for (const std::string &each : sessions) server_->send(wire::Refuse{each, why});
}

void Node::stop() {
  if (over_) return;
  if (stopping_) return end({});
  stopping_ = Clock::now();
  say(LogLevel::Info, "stops; its calls are to move");
  server_->send(wire::Drain{"its owner stops it"});
  if (last_.sessions == 0) tick();
}

void Node::end(std::optional<std::string> why) {
  if (std::exchange(over_, true)) return;
  ticker_.reset();
  soon_.reset();
  server_->close([this, why = std::move(why)] { ended_(why); });
}

NodeStatus Node::status() const {
  NodeStatus status;
  if (stopping_)
    status.state = "stopping";
  else if (resting_)
    status.state = "resting: " + *resting_;
  else if (connected_)
    status.state = "serving";
  else
    status.state = "connecting" + (trouble_.empty() ? "" : ": " + trouble_);
  status.address = address_;
  if (surroundings_.nat) status.nat = nat::summary(*surroundings_.nat);
  status.hub = last_;
  status.bits_per_second = bits_per_second_;
  return status;
}

void Node::say(LogLevel level, const std::string &text) const {
  if (options_.log) options_.log(level, text);
}

}  // namespace junctor::node
