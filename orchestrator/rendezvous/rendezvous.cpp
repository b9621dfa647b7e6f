// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rendezvous/rendezvous.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/secret.h"
#include "common/text.h"
#include "nat/core/behaviour_json.h"
#include "nat/core/ladder.h"
#include "nat/core/reach.h"
#include "nat/core/session_media.h"

namespace junctor::rendezvous {

namespace {

constexpr std::size_t kMostCloseReason = 123;  // RFC 6455 section 5.5
constexpr unsigned short kTooBig = 1009;       // RFC 6455 section 7.4.1
constexpr const char *kRungStates[] = {"trying", "up", "carrying", "failed", "lost", "stopped"};

/// What is larger than a node reads is not carried there.
wire::Object for_nodes(const wire::Object &media) {
  return media.size() <= nat::SessionMedia::kMostBytes ? media : wire::Object();
}

}  // namespace

std::string_view to_string(State state) {
  switch (state) {
    case State::Opened:
      return "opened";
    case State::Ringing:
      return "ringing";
    case State::Answered:
      return "answered";
    case State::Ended:
      break;
  }
  return "ended";
}

Rendezvous::Rendezvous(Options options, Door door, std::function<void(const View &)> changed)
    : options_(std::move(options)), door_(std::move(door)), changed_(std::move(changed)) {}

// --- Connections ---------------------------------------------------------------------------------

Result<LinkId> Rendezvous::connected(const Bearer &bearer, const Endpoint &peer, Time now) {
  const std::string &account = bearer.account;
  if (links_.size() >= options_.limits.connections)
    return Error{Fault::Refused, "There are too many connections here; try again later."};
  const auto own = std::ranges::count_if(
      links_, [&](const auto &each) { return each.second.account == account; });
  if (static_cast<std::size_t>(own) >= options_.limits.connections_per_account)
    return Error{Fault::Refused, "The account " + account + " has " + std::to_string(own) +
                                     " connections already; close one."};
  const LinkId id = next_link_++;
  links_.emplace(id,
                 Link{id, account, bearer.token, peer, nullptr, now + options_.limits.hello_time,
                      Throttle(options_.limits.burst, options_.limits.message_interval)});
  return id;
}

void Rendezvous::received(LinkId id, std::string_view text, Time now) {
  const auto found = links_.find(id);
  if (found == links_.end()) return;
  Link &link = found->second;
  ++messages_;
  if (!link.throttle.may(now))
    return close(link, kPolicy, "too many messages; send fewer a second", now);
  link.throttle.take(now);
  if (text.size() > wire::kMostBytes)
    return close(link, kTooBig,
                 "a message has at most " + std::to_string(wire::kMostBytes) + " bytes", now);
  if (link.device) ++link.device->heard;
  const auto message = wire::read(text);
  if (!message) return wrong(link, "", message.error().detail, now);
  speaker_ = {link.account, now};
  dispatch(link, *message, now);
  speaker_.reset();
}

void Rendezvous::dispatch(Link &link, const wire::Message &message, Time now) {
  if (const auto *hello = std::get_if<wire::Hello>(&message)) {
    if (link.device) return wrong(link, "", "hello is said once", now);
    return on(link, *hello, now);
  }
  if (!link.device) return close(link, kPolicy, "the first message is to be hello", now);
  Device &device = *link.device;
  std::visit([&](const auto &each) { on(device, each, now); }, message);
}

void Rendezvous::on(Link &link, const wire::Hello &hello, Time now) {
  Device *device = resumed(link, hello);
  const bool again = device != nullptr;
  // What a client and what a node have a part in is not the same.
  if (again && device->role != hello.role)
    return close(link, kPolicy, "a client is not resumed as a node, nor a node as a client", now);
  // Its name is part of the keys of what it carries, and tells whose a placement is.
  if (again && device->offer && device->offer->name != hello.node->name)
    return close(link, kPolicy,
                 "the node " + device->offer->name + " is not resumed under another name", now);
  if (!again) {
    const std::string id = options_.new_id();
    device = &devices_[id];
    device->id = id;
    device->account = link.account;
    // The same for as long as it is known: a welcome with another one may never arrive, and then
    // the client could not come back.
    device->resume = options_.new_id();
  } else if (device->link) {
    // The client knows better than we whether the old one still works.
    Link &old = *device->link;
    old.device = nullptr;
    device->link = nullptr;
    close(old, kGoingAway, "resumed by another connection", now);
  }
  if (hello.role == wire::Role::Node && !welcome_node(link, *device, hello, now)) return;
  device->role = hello.role;
  device->agent = hello.agent;
  device->token = link.token;
  device->link = &link;
  link.device = device;
  learn(*device, hello);
  door_.send(link.id, wire::write(wire::Welcome{link.account, device->id, device->resume, again,
                                                device->heard, options_.stun, options_.regions}));
  // What was on its way when the connection broke, and what came since.
  for (std::size_t i = again ? hello.got - device->said_before : 0; i < device->said.size(); ++i)
    door_.send(link.id, device->said[i]);
  say(LogLevel::Info, "rendezvous " + link.peer.to_string() + ": " + link.account +
                          (again ? " is back" : " is here") +
                          (hello.agent.empty() ? "" : " (" + hello.agent + ")"));
}

Rendezvous::Device *Rendezvous::resumed(Link &link, const wire::Hello &hello) {
  if (hello.resume.empty()) return nullptr;
  for (auto &[id, device] : devices_) {
    if (device.account != link.account || !equal_secret(device.resume, hello.resume)) continue;
    // Who has missed what is no longer kept cannot go on from there: it comes as a new one.
    const bool kept =
        hello.got >= device.said_before && hello.got - device.said_before <= device.said.size();
    return kept ? &device : nullptr;
  }
  return nullptr;
}

/// What a hello, or a moved, says of the network; what it leaves out is as before.
template <class Told>
void Rendezvous::learn(Device &device, const Told &told) {
  if (!told.nat.empty())
    if (const auto behaviour =
            nat::behaviour_from_json(nlohmann::json::parse(told.nat, nullptr, false)))
      device.nat = *behaviour;
  if (!told.regions.empty()) device.regions = told.regions;
  if (told.families.known()) device.families = told.families;
}

void Rendezvous::disconnected(LinkId id, Time now) {
  const auto found = links_.find(id);
  if (found == links_.end()) return;
  Device *device = found->second.device;
  links_.erase(found);
  if (!device) return;
  device->link = nullptr;
  device->away_since = now;
  const std::string account = device->account;
  if (is_idle(*device) && !may_have_missed_end(*device, now)) forget(*device, now);
  forget_idle(account, now);
}

/// Its connection may have been dead for a while before that was noticed. It comes back, and is to
/// hear why its session is over.
bool Rendezvous::may_have_missed_end(const Device &device, Time now) const {
  return device.told_end && now - *device.told_end < options_.limits.away_time;
}

/// Of an account's that have nothing to come back for but what they were told: those that have been
/// away longest, where there are too many.
void Rendezvous::forget_idle(const std::string &account, Time now) {
  std::vector<Device *> idle;
  for (auto &[id, device] : devices_)
    if (device.account == account && !device.link && is_idle(device)) idle.push_back(&device);
  const std::size_t most = options_.limits.connections_per_account;
  if (idle.size() <= most) return;
  std::ranges::sort(idle, {}, &Device::away_since);
  idle.resize(idle.size() - most);
  for (Device *each : idle) forget(*each, now);
}

void Rendezvous::close(Link &link, unsigned short code, const std::string &reason, Time now) {
  const LinkId id = link.id;
  if (const auto left_out = log_budget_.take(address_group(link.peer.address), now);
      left_out && code == kPolicy)
    say(LogLevel::Warning,
        "rendezvous " + link.peer.to_string() + ": " + link.account + " is parted: " + reason +
            (*left_out ? " (and " + std::to_string(*left_out) + " more that were not logged)"
                       : ""));
  door_.close(id, code, std::string(shortened(reason, kMostCloseReason)));
  disconnected(id, now);
}

bool Rendezvous::may_stay_away(const Device &device, Time now) const {
  if (now - device.away_since < options_.limits.away_time || may_have_missed_end(device, now))
    return true;
  if (device.role == wire::Role::Node)
    return std::ranges::any_of(device.serves, [&](const std::string &id) {
      const auto session = sessions_.find(id);
      return session != sessions_.end() && carries(device, session->second);
    });
  // Their media goes its own way: nothing is wrong while one of both can be told of the end.
  return std::ranges::any_of(device.sessions, [&](const std::string &id) {
    const auto found = sessions_.find(id);
    if (found == sessions_.end() || found->second.view.state != State::Answered) return false;
    const Session &session = found->second;
    const auto other = devices_.find(device.id == session.caller ? session.callee : session.caller);
    return other != devices_.end() && other->second.link;
  });
}

/// Of one that is away.
void Rendezvous::forget(Device &device, Time now) {
  if (device.role == wire::Role::Node) {
    lose_node(device, "it is gone", now);
  } else {
    for (const std::string &id : std::set<std::string>(device.sessions))
      if (const auto found = sessions_.find(id); found != sessions_.end())
        leave(found->second, device, now);
  }
  devices_.erase(std::string(device.id));
}

void Rendezvous::tick(Time now) {
  std::vector<LinkId> late;
  for (const auto &[id, link] : links_)
    if (!link.device && link.hello_until <= now) late.push_back(id);
  for (const LinkId id : late)
    if (const auto found = links_.find(id); found != links_.end())
      close(found->second, kPolicy, "no hello in time", now);

  std::vector<std::string> due;
  for (const auto &[id, session] : sessions_)
    if (session.view.state != State::Answered && session.until <= now) due.push_back(id);
  for (const std::string &id : due) {
    Session &session = sessions_.at(id);
    if (session.view.state == State::Ringing)
      end(session, EndReason::NoAnswer, session.view.to + " has not answered.", nullptr, now);
    else
      end(session, EndReason::Internal, "No invite came.", nullptr, now);
  }

  tick_nodes(now);
  account_log_.tick(now);
  for (auto &[id, session] : sessions_)
    if (session.unshown) show(session, true);
  std::vector<std::string> gone;
  for (const auto &[id, device] : devices_)
    if (!device.link && !may_stay_away(device, now)) gone.push_back(id);
  for (const std::string &id : gone)
    if (const auto found = devices_.find(id); found != devices_.end()) forget(found->second, now);
}

void Rendezvous::expel(const std::string &account, const std::optional<std::string> &token,
                       const std::string &why, Time now) {
  const auto is_meant = [&](const auto &each) {
    return each.account == account && (!token || each.token == *token);
  };
  std::vector<std::string> devices;
  std::vector<LinkId> open;
  for (const auto &[id, device] : devices_)
    if (is_meant(device)) devices.push_back(id);
  for (const auto &[id, link] : links_)
    if (is_meant(link)) open.push_back(id);
  for (const std::string &id : devices) {
    const auto found = devices_.find(id);
    if (found == devices_.end()) continue;
    if (found->second.offer) {
      // What it carries goes on over another one.
      on(found->second, wire::Drain{why}, now);
      continue;
    }
    for (const std::string &each : std::set<std::string>(found->second.sessions)) {
      Session &session = sessions_.at(each);
      // It goes on ringing elsewhere.
      if (session.ringing.contains(id) && session.ringing.size() > 1)
        leave(session, found->second, now);
      else
        end(session, EndReason::Admin, why, nullptr, now);
    }
  }
  for (const LinkId id : open)
    if (const auto found = links_.find(id); found != links_.end())
      close(found->second, kPolicy, why, now);
  for (const std::string &id : devices)
    if (const auto found = devices_.find(id); found != devices_.end()) forget(found->second, now);
}

void Rendezvous::shutdown(Time now) {
  while (!sessions_.empty())
    end(sessions_.begin()->second, EndReason::Shutdown, "The server is stopping.", nullptr, now);
  while (!links_.empty()) close(links_.begin()->second, kGoingAway, "the server is stopping", now);
  devices_.clear();
}

// --- Sessions ------------------------------------------------------------------------------------

template <class Other>
void Rendezvous::on(Device &from, const Other &other, Time now) {
  wrong(from, "", "a client does not send '" + std::string(wire::name_of(other)) + "'", now);
}

void Rendezvous::on(Device &from, const wire::Moved &moved, Time) {
  learn(from, moved);
  for (const std::string &id : from.sessions)
    if (Session &session = sessions_.at(id); session.view.state == State::Answered)
      foresee(session);
}

void Rendezvous::foresee(Session &session) {
  wire::Reach told{session.view.id, "unknown", ""};
  const auto nat_of = [&](const std::string &device, const std::string &account) {
    const auto found = devices_.find(device);
    const nat::Behaviour *nat =
        found != devices_.end() && found->second.nat ? &*found->second.nat : nullptr;
    if (!nat && told.why.empty()) told.why = "the NAT of " + account + " is not known";
    return nat;
  };
  const auto *caller = nat_of(session.caller, session.view.from),
             *callee = nat_of(session.callee, session.view.to);
  if (caller && callee) {
    const nat::Reach reach = nat::reach(*caller, *callee);
    // In one network they need no NAT, whatever that would do.
    const bool near = !reach.plain && nat::same_site(*caller, *callee);
    told.direct = near ? "probes" : way(reach);
    told.why = near ? "both are behind the same NAT, perhaps in one network" : reach.reason;
  }
  View &view = session.view;
  if (view.direct == told.direct && view.direct_why == told.why) return;
  view.direct = told.direct;
  view.direct_why = told.why;
  tell_both(session, told);
  show(session, say(LogLevel::Info,
                    "channel " + view.id + ": direct way: " + told.direct + ": " + told.why));
}

void Rendezvous::on(Device &from, const wire::Open &open, Time now) {
  if (from.role == wire::Role::Node) return wrong(from, "", "a node opens no sessions", now);
  const auto refuse = [&](EndReason reason, const std::string &detail) {
    tell(from, wire::Refused{open.ref, std::string(to_string(reason)), detail});
  };
  const auto own = std::ranges::count_if(
      sessions_, [&](const auto &each) { return each.second.view.from == from.account; });
  if (sessions_.size() >= options_.limits.sessions ||
      static_cast<std::size_t>(own) >= options_.limits.sessions_per_account)
    return refuse(EndReason::Overloaded, "There are too many sessions here; try again later.");
  if (!options_.is_account(open.to))
    return refuse(EndReason::Unreachable, "There is no account '" + open.to + "'.");
  const bool there = std::ranges::any_of(devices_, [&](const auto &each) {
    return each.second.account == open.to && each.second.id != from.id && each.second.link &&
           each.second.role == wire::Role::Client;
  });
  if (!there && open.to == from.account)
    return refuse(EndReason::Unreachable,
                  "You call yourself: no other device of " + open.to + " is connected.");
  if (!there) return refuse(EndReason::Unreachable, open.to + " is not connected.");
  Session session;
  session.asking = Throttle(options_.limits.nodes_per_session, options_.limits.node_interval);
  session.view.id = options_.new_id();
  session.view.from = from.account;
  session.view.to = open.to;
  session.view.created = options_.wall();
  session.caller = from.id;
  session.until = now + options_.limits.invite_time;
  from.sessions.insert(session.view.id);
  tell(from, wire::Session{open.ref, session.view.id});
  const auto [added, fresh] = sessions_.emplace(session.view.id, std::move(session));
  changed_(added->second.view);
}

Rendezvous::Session *Rendezvous::part_of(Device &from, const std::string &id, Time now) {
  const auto found = sessions_.find(id);
  if (found != sessions_.end() && found->second.has(from.id)) return &found->second;
  // The same for one of others: there is nothing to find out. One that has just ended is no fault.
  const bool over = std::ranges::any_of(ended_, [&](const View &each) {
    return each.id == id && (each.from == from.account || each.to == from.account);
  });
  if (!over) wrong(from, id, "there is no such session", now);
  return nullptr;
}

void Rendezvous::on(Device &from, const wire::Invite &invite, Time now) {
  Session *session = part_of(from, invite.session, now);
  if (!session) return;
  if (session->caller != from.id || session->view.state != State::Opened)
    return wrong(from, invite.session, "a session is invited to once, by who has opened it", now);
  for (auto &[id, device] : devices_) {
    if (device.account != session->view.to || device.id == from.id || !device.link ||
        device.role != wire::Role::Client)
      continue;
    session->ringing.insert(id);
    device.sessions.insert(session->view.id);
    tell(device, wire::Invite{session->view.id, from.account, invite.offer, invite.media});
  }
  if (session->ringing.empty())
    return end(*session, EndReason::Unreachable, session->view.to + " is not connected.", nullptr,
               now);
  session->caller_signals = {invite.offer};
  session->caller_media = for_nodes(invite.media);
  session->view.state = State::Ringing;
  session->view.ringing = options_.wall();
  session->until = now + options_.limits.ring_time;
  tell(from, wire::Trying{session->view.id, static_cast<std::uint32_t>(session->ringing.size())});
  say(LogLevel::Info, "channel " + session->view.id + ": " + session->view.from + " calls " +
                          session->view.to + ", " + std::to_string(session->ringing.size()) +
                          (session->ringing.size() == 1 ? " device rings" : " devices ring"));
  changed_(session->view);
}

void Rendezvous::on(Device &from, const wire::Accept &accept, Time now) {
  Session *session = part_of(from, accept.session, now);
  if (!session) return;
  if (!session->ringing.contains(from.id))
    return wrong(from, accept.session, "this session does not ring here", now);
  session->ringing.erase(from.id);
  session->callee = from.id;
  for (const std::string &other : std::exchange(session->ringing, {})) {
    const auto found = devices_.find(other);
    if (found == devices_.end()) continue;
    found->second.sessions.erase(session->view.id);
    tell_end(found->second,
             wire::Bye{session->view.id, std::string(to_string(EndReason::CallerHangup)),
                       "Another device of " + from.account + " has answered."},
             now);
  }
  session->callee_signals = {accept.answer};
  session->callee_media = for_nodes(accept.media);
  session->view.state = State::Answered;
  session->view.answered = options_.wall();
  tell(session->caller, wire::Accept{session->view.id, accept.answer, accept.media});
  foresee(*session);
  if (session->caller_needs || session->callee_needs) place(*session, now);
  say(LogLevel::Info, "channel " + session->view.id + ": answered");
  changed_(session->view);
}

void Rendezvous::on(Device &from, const wire::Decline &decline, Time now) {
  Session *session = part_of(from, decline.session, now);
  if (!session) return;
  if (!session->ringing.contains(from.id))
    return wrong(from, decline.session, "this session does not ring here", now);
  // A person has declined for all; a device that is busy speaks for itself.
  if (decline.reason != to_string(EndReason::Busy))
    return end(*session, EndReason::Declined, session->view.to + " has declined.", &from, now);
  session->busy = true;
  leave(*session, from, now);
}

/// A device has no part in it any more.
void Rendezvous::leave(Session &session, Device &device, Time now) {
  const bool rang = session.ringing.erase(device.id) > 0;
  device.sessions.erase(session.view.id);
  if (device.id == session.caller || device.id == session.callee)
    return end(session, EndReason::Unreachable, "The connection of " + device.account + " is lost.",
               &device, now);
  if (!rang) return;
  if (!session.ringing.empty()) return;
  if (session.busy)
    end(session, EndReason::Busy, session.view.to + " is busy.", &device, now);
  else
    end(session, EndReason::Unreachable, session.view.to + " is not connected any more.", &device,
        now);
}

void Rendezvous::on(Device &from, const wire::Signal &signal, Time now) {
  if (from.role == wire::Role::Node) return node_says(from, signal, now);
  Session *session = part_of(from, signal.session, now);
  if (!session) return;
  tell_nodes(*session, from.id == session->caller, signal.data);
  const wire::Signal onwards{session->view.id, "", "", signal.data};
  if (from.id == session->caller) {
    if (session->view.state == State::Opened)
      return wrong(from, signal.session, "the invite comes before signals", now);
    if (!session->callee.empty()) return tell(session->callee, onwards);
    for (const std::string &device : session->ringing) tell(device, onwards);
  } else if (from.id == session->callee) {
    tell(session->caller, onwards);
  } else {
    wrong(from, signal.session, "accept comes before signals", now);
  }
}

void Rendezvous::on(Device &from, const wire::Rung &rung, Time now) {
  Session *session = part_of(from, rung.session, now);
  if (!session) return;
  const bool known =
      nat::rung_from_string(rung.rung) &&
      std::ranges::any_of(kRungStates, [&](const char *state) { return rung.state == state; });
  if (!known) return wrong(from, rung.session, "there is no such rung, or no such state", now);
  View &view = session->view;
  const bool caller = from.id == session->caller;
  view.rungs.push_back({caller ? "caller" : "callee", rung.rung, rung.node, rung.state, rung.why,
                        rung.ms, options_.wall()});
  if (view.rungs.size() > kMostRungs) view.rungs.erase(view.rungs.begin());
  std::string &carries = caller ? view.caller_rung : view.callee_rung;
  const std::string what = way_of(rung.rung, rung.node);
  if (rung.state == "carrying")
    carries = what;
  else if (carries == what && (rung.state == "lost" || rung.state == "failed"))
    carries.clear();
  if (!rung.node.empty()) node_rung(*session, caller, rung, now);
  ++rungs_[{rung.rung, rung.state}];
  show(*session,
       say(LogLevel::Info, "channel " + view.id + ": " + view.rungs.back().by + ": " + what + " " +
                               rung.state + (rung.why.empty() ? "" : ": " + rung.why)));
}

void Rendezvous::on(Device &from, const wire::Bye &bye, Time now) {
  Session *session = part_of(from, bye.session, now);
  if (!session) return;
  const bool caller = from.id == session->caller;
  if (!caller && session->callee != from.id)
    return wrong(from, bye.session, "who has not accepted declines", now);
  // Reasons like `admin` are not a client's to give.
  EndReason reason = caller ? EndReason::CallerHangup : EndReason::CalleeHangup;
  for (const EndReason said : {EndReason::Unreachable, EndReason::NotAcceptable,
                               EndReason::NoPushMedia, EndReason::Internal})
    if (bye.reason == to_string(said)) reason = said;
  end(*session, reason, bye.detail, &from, now);
}

void Rendezvous::on(Device &from, const wire::Need &need, Time now) {
  Session *session = part_of(from, need.session, now);
  if (!session) return;
  const auto rung = nat::rung_from_string(need.rung);
  if (rung == nat::Rung::Sfu) return need_node(*session, from, now);
  if (rung != nat::Rung::Relay)
    return wrong(from, need.session, "'" + need.rung + "' needs nothing from here", now);
  wire::Turn turn;
  if (options_.relay) turn = options_.relay(from.account).value_or(turn);
  turn.session = need.session;
  tell(from, turn);
}

void Rendezvous::end(Session &session, EndReason reason, const std::string &detail,
                     const Device *but, Time now) {
  release(session);
  View view = std::move(session.view);
  std::set<std::string> devices = std::move(session.ringing);
  devices.insert({session.caller, session.callee});
  sessions_.erase(view.id);
  view.state = State::Ended;
  view.reason = to_string(reason);
  view.detail = detail.empty() ? std::string(describe(reason)) : detail;
  view.ended = options_.wall();
  for (const std::string &id : devices) {
    const auto found = devices_.find(id);
    if (found == devices_.end()) continue;
    found->second.sessions.erase(view.id);
    if (&found->second != but)
      tell_end(found->second, wire::Bye{view.id, view.reason, view.detail}, now);
  }
  ++ended_by_[view.reason];
  say(LogLevel::Info, "channel " + view.id + ": ended: " + view.reason + ": " + view.detail);
  ended_.push_front(view);
  if (ended_.size() > options_.limits.keep_ended) ended_.pop_back();
  changed_(view);
}

void Rendezvous::tell_end(Device &device, const wire::Bye &bye, Time now) {
  device.told_end = now;
  tell(device, bye);
}

bool Rendezvous::hang_up(const std::string &id, Time now) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return false;
  end(found->second, EndReason::Admin, "Ended by the operator.", nullptr, now);
  return true;
}

// --- Looking -------------------------------------------------------------------------------------

std::vector<View> Rendezvous::list() const {
  std::vector<View> all;
  for (const auto &[id, session] : sessions_) all.push_back(session.view);
  std::ranges::stable_sort(all, std::ranges::greater(), &View::created);
  all.insert(all.end(), ended_.begin(), ended_.end());
  return all;
}

std::optional<View> Rendezvous::find(const std::string &id) const {
  if (const auto found = sessions_.find(id); found != sessions_.end()) return found->second.view;
  const auto over = std::ranges::find(ended_, id, &View::id);
  return over == ended_.end() ? std::nullopt : std::optional(*over);
}

Stats Rendezvous::stats() const {
  Stats stats;
  stats.connections = links_.size();
  for (const auto &[id, device] : devices_)
    ++(device.role == wire::Role::Node ? stats.nodes : stats.clients);
  stats.sessions = sessions_.size();
  stats.messages = messages_;
  stats.wrong = wrongs_;
  stats.ended = ended_by_;
  stats.rungs = rungs_;
  return stats;
}

}  // namespace junctor::rendezvous
