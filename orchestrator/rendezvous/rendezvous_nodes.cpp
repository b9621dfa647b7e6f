// SPDX-License-Identifier: LGPL-2.1-or-later
// Nodes of a rendezvous: who lends a device, and which session is brought to which.
#include <algorithm>

#include "nat/core/description.h"
#include "nat/core/ladder.h"
#include "rendezvous/rendezvous.h"

namespace junctor::rendezvous {

namespace {

constexpr std::size_t kMostSignals = 32;     // of each side, kept for nodes to come
constexpr std::size_t kMostNodeSignals = 8;  // of a node to each side, kept until that one tries it
constexpr std::size_t kMostPlacements = 32;  // of a session
/// A node that was given up still passes on what comes, until the clients have found another way.
constexpr Duration kRelease = std::chrono::seconds(10);
/// For one that did not come up. One that did is asked again at once: it may have been away for a
/// moment alone.
constexpr Duration kAskAgain = std::chrono::seconds(2);
/// In which a client's word may cross a name. None that was told that there is no node asks again
/// sooner (nat::LadderOptions::pause).
constexpr Duration kCrossing = std::chrono::milliseconds(500);

/// Keeps what one has said later behind its description, of its newest network alone: of an old one
/// nothing is worth it.
void keep(const wire::Object &data, std::size_t most, std::uint32_t generation_of_it,
          std::uint32_t &generation, std::vector<wire::Object> &kept) {
  if (kept.empty()) return;
  if (generation_of_it > generation) kept.resize(1);
  generation = std::max(generation, generation_of_it);
  if (kept.size() < most) kept.push_back(data);
}

/// The generation of candidates; nothing of what are none.
std::optional<std::uint32_t> generation_of(const wire::Object &data) {
  const auto signal = nat::parse_signal(data);
  const auto *more = signal ? std::get_if<nat::MoreCandidates>(&*signal) : nullptr;
  return more ? std::optional(more->generation) : std::nullopt;
}

/// Which one a node is of that says nothing of it: of `known` the nearest that it has measured.
std::string nearest(const std::vector<wire::RegionTime> &measured,
                    const std::vector<wire::Region> &known) {
  const wire::RegionTime *best = nullptr;
  for (const wire::RegionTime &each : measured)
    if (std::ranges::count(known, each.name, &wire::Region::name) > 0 &&
        (!best || each.round_trip_ms < best->round_trip_ms))
      best = &each;
  return best ? best->name : "";
}

}  // namespace

// --- Coming and going ----------------------------------------------------------------------------

bool Rendezvous::welcome_node(Link &link, Device &device, const wire::Hello &hello, Time now) {
  if (!options_.nodes) {
    close(link, kPolicy, "this server takes no nodes", now);
    return false;
  }
  const auto namesake = std::ranges::find_if(devices_, [&](const auto &each) {
    return each.second.offer && each.second.offer->name == hello.node->name &&
           each.second.id != device.id;
  });
  if (namesake != devices_.end()) {
    Device &other = namesake->second;
    if (other.link || other.account != device.account) {
      // The name is part of the keys of its channels.
      close(link, kPolicy, "another node is called " + hello.node->name + "; choose another --name",
            now);
      return false;
    }
    // The same device, started anew: what the one before carried is gone with it.
    give_up_all(other, "the node was started anew", now);
    forget(other, now);
  }
  device.offer = hello.node;
  device.draining.clear();
  return true;
}

void Rendezvous::lose_node(Device &node, const std::string &why, Time now) {
  for (const std::string &id : std::set<std::string>(node.serves)) {
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) continue;
    Placement *placement = placed(found->second, node);
    // What it carries goes on without a word of ours; if it is dead the clients will say so.
    if (placement && placement->state == Placement::State::Asked)
      give_up(found->second, *placement, why, now);
  }
  node.serves.clear();
}

void Rendezvous::give_up_all(Device &node, const std::string &why, Time now, bool leaving) {
  for (const std::string &id : std::set<std::string>(node.serves)) {
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) continue;
    if (Placement *placement = placed(found->second, node))
      give_up(found->second, *placement, why, now, leaving);
  }
}

/// By what the clients say, of whom one is there to be told when it ends.
bool Rendezvous::carries(const Device &node, const Session &session) const {
  const std::string way = way_of(std::string(to_string(nat::Rung::Sfu)), node.offer->name);
  const auto is_here = [&](const std::string &device) {
    const auto found = devices_.find(device);
    return found != devices_.end() && found->second.link;
  };
  return (session.view.caller_rung == way || session.view.callee_rung == way) &&
         (is_here(session.caller) || is_here(session.callee));
}

void Rendezvous::on(Device &from, const wire::Load &load, Time now) {
  if (!from.offer) return wrong(from, "", "only nodes say 'load'", now);
  from.load = load;
}

/// Its calls are to move; they go on over it meanwhile.
void Rendezvous::on(Device &from, const wire::Drain &drain, Time now) {
  if (!from.offer) return wrong(from, "", "only nodes say 'drain'", now);
  from.draining = drain.why.empty() ? "its owner stops it" : drain.why;
  say(LogLevel::Info, "node " + from.offer->name + " takes nothing new: " + from.draining);
  give_up_all(from, from.draining, now, true);
}

// --- Bringing sessions to nodes ------------------------------------------------------------------

nodes::Client Rendezvous::client(const std::string &device) const {
  const auto found = devices_.find(device);
  if (found == devices_.end()) return {};
  return {found->second.nat, found->second.regions, found->second.families};
}

std::vector<nodes::Node> Rendezvous::all_nodes(std::vector<const Device *> &devices) const {
  std::vector<nodes::Node> all;
  for (const auto &[id, device] : devices_) {
    if (!device.offer || !device.link) continue;
    nodes::Node node;
    node.name = device.offer->name;
    node.nat = device.nat;
    node.regions = device.regions;
    node.families = device.families;
    node.legs = device.offer->legs;
    // What it was given since it last spoke counts as well.
    node.used = std::max(device.load.legs, static_cast<std::uint32_t>(2 * device.serves.size()));
    node.price = device.offer->price;
    node.draining = !device.draining.empty();
    all.push_back(std::move(node));
    devices.push_back(&device);
  }
  return all;
}

void Rendezvous::need_node(Session &session, Device &from, Time now) {
  const bool caller = from.id == session.caller;
  for (Placement &each : session.placements) {
    if (each.state != Placement::State::Serving || (caller ? each.caller_tries : each.callee_tries))
      continue;
    // It has crossed the name of one that is on its way; or it had no use for that when it was
    // named, and has now.
    const bool stopped = std::exchange(caller ? each.caller_stopped : each.callee_stopped, false);
    if (stopped || now >= each.named + kCrossing) tell_node(session, each, caller, now);
    return;
  }
  (caller ? session.caller_needs : session.callee_needs) = true;
  if (session.view.state == State::Answered) place(session, now);
}

/// Asks the best node, unless one is being asked: of those that were not asked yet, or else of
/// those that may be once more.
void Rendezvous::place(Session &session, Time now) {
  using State = Placement::State;
  if (std::ranges::count(session.placements, State::Asked, &Placement::state) > 0) return;
  std::vector<const Device *> devices;
  const std::vector<nodes::Node> nodes = all_nodes(devices);
  const nodes::Client caller = client(session.caller), callee = client(session.callee);
  const auto choices = nodes::choose(nodes, caller, callee, options_.rule);
  const auto best = [&](bool again) {
    return std::ranges::find_if(choices, [&](const nodes::Choice &choice) {
      const Device &node = *devices[choice.index];
      const auto tried = std::ranges::find(session.placements, node.offer->name, &Placement::name);
      if (tried == session.placements.end()) return !again;
      // Two answers of one connection could not be told apart.
      const bool owes_answer = !tried->answered && tried->device == node.id;
      return again && tried->state == State::Failed && !tried->leaving && !owes_answer &&
             now >= tried->again;
    });
  };
  auto choice = best(false);
  if (choice == choices.end()) {
    if (options_.relay && options_.relay(session.view.from)) pass_over_unreached(session, now);
    choice = best(true);
  }
  std::string why = "none but those that were tried";
  if (choices.empty()) {
    why = nodes::why_none(nodes, caller, callee);
  } else if (choice != choices.end()) {
    if (session.asking.may(now) && make_room(session))
      return ask(session, devices_.at(devices[choice->index]->id), *choice, now);
    why = "too many nodes were tried";
  }
  if (std::exchange(session.caller_needs, false))
    tell(session.caller, wire::NoNode{session.view.id, why});
  if (std::exchange(session.callee_needs, false))
    tell(session.callee, wire::NoNode{session.view.id, why});
}

/// One that did not reach both would hardly do so now: the relay is first to have its turn.
void Rendezvous::pass_over_unreached(Session &session, Time now) {
  for (Placement &each : session.placements)
    if (each.state == Placement::State::Failed && std::exchange(each.unreached, false) &&
        now >= each.again)
      each.again = now + kAskAgain;
}

/// Forgets that one was tried where there are too many of them. False: none has failed.
bool Rendezvous::make_room(Session &session) {
  if (session.placements.size() < kMostPlacements) return true;
  const auto oldest = std::ranges::find_if(session.placements, [](const Placement &each) {
    return each.state == Placement::State::Failed && !each.leaving;
  });
  if (oldest == session.placements.end()) return false;
  release(session, *oldest);
  session.placements.erase(oldest);
  return true;
}

void Rendezvous::ask(Session &session, Device &node, const nodes::Choice &choice, Time now) {
  const std::string &id = session.view.id;
  session.asking.take(now);
  const auto before = std::erase_if(session.placements, [&](const Placement &each) {
    if (each.name != node.offer->name) return false;
    // Another one that had the name keeps nothing of it.
    if (each.device != node.id) release(session, each);
    return true;
  });
  // It drops the legs of before when it hears this, and that comes first.
  if (before > 0) tell(node, wire::Release{id});
  session.placements.push_back({.device = node.id,
                                .name = node.offer->name,
                                .order = ++session.asked,
                                .until = now + options_.limits.node_time,
                                .round_trip_ms = choice.round_trip_ms.value_or(0),
                                .why = choice.why});
  node.serves.insert(id);
  ++node.served;
  say(LogLevel::Info, "channel " + id + ": node " + node.offer->name +
                          (before > 0 ? " once more, " : ", ") + choice.why);
  tell(node, wire::Serve{id,
                         {{"caller", session.caller_signals.front(), session.caller_media},
                          {"callee", session.callee_signals.front(), session.callee_media}}});
  for (const bool of_caller : {true, false}) {
    const auto &signals = of_caller ? session.caller_signals : session.callee_signals;
    for (std::size_t i = 1; i < signals.size(); ++i)
      tell(node, wire::Signal{id, "", of_caller ? "caller" : "callee", signals[i]});
  }
}

void Rendezvous::tell_node(const Session &session, Placement &placement, bool caller, Time now) {
  const std::string &device = caller ? session.caller : session.callee, &id = session.view.id;
  const auto &said = caller ? placement.to_caller : placement.to_callee;
  placement.named = now;
  tell(device, wire::Node{id, placement.name, placement.order, said.front(),
                          placement.round_trip_ms, placement.why});
  for (std::size_t i = 1; i < said.size(); ++i)
    tell(device, wire::Signal{id, placement.name, "", said[i]});
}

void Rendezvous::tell_both(const Session &session, const wire::Message &message) {
  tell(session.caller, message);
  tell(session.callee, message);
}

Rendezvous::Placement *Rendezvous::placed(Session &session, const Device &node) {
  const auto found = std::ranges::find(session.placements, node.id, &Placement::device);
  return found == session.placements.end() || found->state == Placement::State::Failed ? nullptr
                                                                                       : &*found;
}

/// Of a node's; nothing where it has ended meanwhile.
Rendezvous::Session *Rendezvous::served_by(Device &node, const std::string &id) {
  const auto found = sessions_.find(id);
  return found != sessions_.end() && placed(found->second, node) ? &found->second : nullptr;
}

void Rendezvous::on(Device &from, const wire::Serving &serving, Time now) {
  Session *session = served_by(from, serving.session);
  if (!session) {
    answers_late(from, serving.session, true, now);
    return tell(from, wire::Release{serving.session});
  }
  Placement &placement = *placed(*session, from);
  if (placement.state != Placement::State::Asked) return;
  const auto leg = [&](const char *name) {
    return std::ranges::find(serving.legs, name, &wire::Leg::leg);
  };
  const auto caller = leg("caller"), callee = leg("callee");
  if (caller == serving.legs.end() || callee == serving.legs.end())
    return wrong(from, serving.session, "serving names the legs caller and callee", now);
  placement.state = Placement::State::Serving;
  placement.answered = true;
  session->caller_needs = session->callee_needs = false;
  placement.to_caller = {caller->description};
  placement.to_callee = {callee->description};
  tell_node(*session, placement, true, now);
  tell_node(*session, placement, false, now);
}

/// One that was given up meanwhile: it is there after all.
void Rendezvous::answers_late(const Device &node, const std::string &id, bool serves, Time now) {
  const auto session = sessions_.find(id);
  if (session == sessions_.end()) return;
  auto &placements = session->second.placements;
  const auto found = std::ranges::find(placements, node.id, &Placement::device);
  if (found == placements.end() || std::exchange(found->answered, true)) return;
  if (serves) found->again = now;
}

void Rendezvous::on(Device &from, const wire::Refuse &refuse, Time now) {
  Session *session = served_by(from, refuse.session);
  if (!session) return answers_late(from, refuse.session, false, now);
  Placement &placement = *placed(*session, from);
  placement.answered = true;
  give_up(*session, placement,
          refuse.reason.empty() ? "it refuses" : "it refuses: " + refuse.reason, now);
}

void Rendezvous::on(Device &from, const wire::LegState &leg, Time now) {
  Session *session = served_by(from, leg.session);
  if (!session || (leg.leg != "caller" && leg.leg != "callee")) return;
  Placement &placement = *placed(*session, from);
  // Before it has answered it speaks of the legs that it had before.
  if (placement.state == Placement::State::Asked) return;
  bool &up = leg.leg == "caller" ? placement.caller_up : placement.callee_up;
  const std::string &who = leg.leg == "caller" ? session->view.from : session->view.to;
  if (leg.state == "up" || leg.state == "moved") {
    up = true;
  } else if (leg.state == "failed") {
    // One that had its way already has not tried it: that says nothing of the node.
    const bool tried = leg.leg == "caller" ? placement.caller_tries : placement.callee_tries;
    fail(*session, placement, who + " and the node do not reach each other", now);
    if (!tried) let_go(*session, from.id);
    return;
  }
  if (!placement.caller_up || !placement.callee_up || placement.state != Placement::State::Serving)
    return;
  placement.state = Placement::State::Up;
  placement.to_caller.clear();
  placement.to_callee.clear();
  tell_both(*session, wire::NodeUp{session->view.id, placement.name});
}

void Rendezvous::give_up(Session &session, Placement &placement, const std::string &why, Time now,
                         bool leaving) {
  const bool was_told = placement.state != Placement::State::Asked;
  const bool was_up = placement.state == Placement::State::Up;
  placement.state = Placement::State::Failed;
  placement.until = now + kRelease;
  // Its owner knows how long they may take.
  placement.leaving = leaving && was_up;
  placement.again = was_up ? now : now + kAskAgain;
  placement.to_caller.clear();
  placement.to_callee.clear();
  say(LogLevel::Info, "channel " + session.view.id + ": node " + placement.name + ": " + why);
  if (was_told)
    tell_both(session, wire::NodeFailed{session.view.id, placement.name, why, leaving});
  else if (session.caller_needs || session.callee_needs)
    place(session, now);
}

/// By what a client or the node says of the way between them, after it was named.
void Rendezvous::fail(Session &session, Placement &placement, const std::string &why, Time now) {
  const bool in_vain = placement.state == Placement::State::Serving && placement.caller_tries &&
                       placement.callee_tries;
  give_up(session, placement, why, now);
  placement.unreached = in_vain;
}

/// What a client says of a node.
void Rendezvous::node_rung(Session &session, bool caller, const wire::Rung &rung, Time now) {
  const auto found = std::ranges::find(session.placements, rung.node, &Placement::name);
  // Before it was named they speak of the placement before, which they have not heard the end of.
  if (found == session.placements.end() || found->state == Placement::State::Asked) return;
  const bool was_given_up = found->state == Placement::State::Failed;
  const bool lost = rung.state == "failed" || rung.state == "lost";
  bool &tries = caller ? found->caller_tries : found->callee_tries;
  // Not of this placement: of the one before, which both may have lost at about the same moment.
  if (lost && !tries) return;
  if (lost || rung.state == "stopped") {
    (caller ? found->caller_stopped : found->callee_stopped) = true;
    const bool by_both = found->caller_stopped && found->callee_stopped;
    if (by_both && was_given_up) {
      found->leaving = false;
      release(session, *found);
    } else if (by_both && !lost) {
      let_go(session, found->device);
    } else if (lost && !was_given_up) {
      fail(session, *found, rung.why.empty() ? "a client has lost it" : rung.why, now);
    }
  } else if (rung.state == "trying") {  // with which they begin; the rest may be of the one before
    tries = true;
    (caller ? found->caller_stopped : found->callee_stopped) = false;
  }
}

/// Nobody needs it now; it may be asked again.
void Rendezvous::let_go(Session &session, const std::string &device) {
  if (const auto node = devices_.find(device); node != devices_.end()) {
    tell(node->second, wire::Release{session.view.id});
    node->second.serves.erase(session.view.id);
  }
  std::erase_if(session.placements,
                [device](const Placement &each) { return each.device == device; });
}

/// The session is brought there no more; the placement tells that it was.
void Rendezvous::release(const Session &session, const Placement &placement) {
  const auto node = devices_.find(placement.device);
  if (node != devices_.end() && node->second.serves.erase(session.view.id) > 0)
    tell(node->second, wire::Release{session.view.id});
}

void Rendezvous::release(Session &session) {
  for (const Placement &placement : session.placements) release(session, placement);
  session.placements.clear();
}

void Rendezvous::tick_nodes(Time now) {
  for (auto &[id, session] : sessions_)
    for (std::size_t i = 0; i < session.placements.size(); ++i) {
      Placement &placement = session.placements[i];
      if (placement.until > now || placement.leaving) continue;
      if (placement.state == Placement::State::Asked)
        give_up(session, placement, "it does not answer", now);
      else if (placement.state == Placement::State::Failed)
        release(session, placement);
    }
}

// --- What clients and nodes say to each other ----------------------------------------------------

/// Candidates of a client are for its nodes as well.
void Rendezvous::tell_nodes(Session &session, bool caller, const wire::Object &data) {
  const auto generation = generation_of(data);
  if (!generation) return;
  auto &kept = caller ? session.caller_signals : session.callee_signals;
  if (kept.empty()) return;
  auto &newest = caller ? session.caller_generation : session.callee_generation;
  if (*generation > newest)
    for (Placement &each : session.placements) each.unreached = false;
  keep(data, kMostSignals, *generation, newest, kept);
  for (const Placement &placement : session.placements)
    if (placement.state != Placement::State::Failed)
      tell(placement.device, wire::Signal{session.view.id, "", caller ? "caller" : "callee", data});
}

void Rendezvous::node_says(Device &node, const wire::Signal &signal, Time now) {
  Session *session = served_by(node, signal.session);
  if (!session) return;
  if (signal.leg != "caller" && signal.leg != "callee")
    return wrong(node, signal.session, "a node's signal names its leg", now);
  const bool caller = signal.leg == "caller";
  Placement &placement = *placed(*session, node);
  keep(signal.data, kMostNodeSignals, generation_of(signal.data).value_or(0),
       caller ? placement.caller_generation : placement.callee_generation,
       caller ? placement.to_caller : placement.to_callee);
  tell(caller ? session->caller : session->callee,
       wire::Signal{signal.session, node.offer->name, "", signal.data});
}

std::vector<NodeView> Rendezvous::nodes() const {
  std::vector<NodeView> all;
  for (const auto &[id, device] : devices_) {
    if (!device.offer) continue;
    NodeView view;
    view.name = device.offer->name;
    view.account = device.account;
    view.agent = device.agent;
    view.region = device.offer->region.empty() ? nearest(device.regions, options_.regions)
                                               : device.offer->region;
    if (device.nat) view.nat = nat::summary(*device.nat);
    view.legs = device.offer->legs;
    view.used = device.load.legs;
    view.price = device.offer->price;
    view.bits_per_second = device.load.bits_per_second;
    view.draining = device.link ? device.draining : "its connection is lost";
    view.sessions = device.serves.size();
    view.served = device.served;
    all.push_back(std::move(view));
  }
  std::ranges::sort(all, {}, &NodeView::name);
  return all;
}

}  // namespace junctor::rendezvous
