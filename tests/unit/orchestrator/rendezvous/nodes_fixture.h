// SPDX-License-Identifier: LGPL-2.1-or-later
// A rendezvous with nodes, and two clients that may need one.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "fixture.h"
#include "nat/core/behaviour_json.h"

namespace junctor::rendezvous {

class Nodes : public RendezvousTest {
 protected:
  void adjust(Options &options) override {
    options.rule = rule;
    options.nodes = accept;
    options.regions = {{"eu", "192.0.2.1:3478"}, {"us", "192.0.2.2:3478"}};
    options.relay = [this](const std::string &) {
      return relay ? std::optional(wire::Turn{}) : std::nullopt;
    };
  }

  static wire::Object behind(nat::Dependence dependence) {
    nat::Behaviour behaviour;
    behaviour.udp = nat::UdpAccess::Works;
    behaviour.translated = true;
    behaviour.mapping = behaviour.filtering = dependence;
    behaviour.ports = nat::PortPattern::Random;
    return nat::to_json(behaviour).dump();
  }
  LinkId node(const std::string &name, double round_trip_ms = 10, wire::Object nat = "",
              const std::string &resume = "", std::size_t got = 0) {
    const LinkId link = connect("carol");
    wire::Hello hello;
    hello.role = wire::Role::Node;
    hello.resume = resume;
    hello.got = static_cast<std::uint32_t>(got);
    hello.nat = std::move(nat);
    hello.regions = {{"eu", round_trip_ms}};
    hello.node = wire::NodeOffer{name, "eu", 10, 0};
    say(link, hello);
    return link;
  }
  LinkId somebody(const std::string &account, wire::Object nat = "") {
    const LinkId link = connect(account);
    wire::Hello hello;
    hello.nat = std::move(nat);
    hello.regions = {{"eu", 5}};
    say(link, hello);
    return link;
  }
  /// Alice and Bob in an answered session.
  void call() {
    alice = somebody("alice");
    bob = somebody("bob");
    session = join(alice, bob, "bob");
  }
  void need(LinkId link) { say(link, wire::Need{session, "sfu"}); }
  void serve(LinkId at) {
    say(at, wire::Serving{session, {{"caller", R"({"n":1})"}, {"callee", R"({"n":2})"}}});
  }
  void legs_up(LinkId at) {
    say(at, wire::LegState{session, "caller", "up", 3});
    say(at, wire::LegState{session, "callee", "up", 4});
  }
  void says(LinkId link, const std::string &node, const std::string &state,
            const std::string &why = "") {
    say(link, wire::Rung{session, "sfu", node, state, why, 1});
  }
  void both_say(const std::string &node, const std::string &state, const std::string &why = "") {
    for (const LinkId each : {alice, bob}) says(each, node, state, why);
  }
  /// It is there for both, who have said so.
  void comes_up(LinkId at, const std::string &name) {
    serve(at);
    both_say(name, "trying");
    legs_up(at);
  }
  /// It is not there for either, who have said so.
  void stays_down(LinkId at, const std::string &name) {
    serve(at);
    both_say(name, "trying");
    both_say(name, "failed", "no answer");
  }
  void call_over(LinkId at, const std::string &name = "a") {
    call();
    need(alice);
    comes_up(at, name);
  }
  /// It carried, alice has lost it, and it is asked once more.
  void asked_again_over(LinkId at) {
    call_over(at);
    says(alice, "a", "lost");
    need(alice);
  }
  void has(LinkId link, nat::Families families) { say(link, wire::Moved{"", {}, families}); }
  NodeView view(const std::string &name) {
    for (const NodeView &each : rendezvous->nodes())
      if (each.name == name) return each;
    ADD_FAILURE() << "no node " << name;
    return {};
  }

  nodes::Rule rule = nodes::Rule::Nearest;
  bool accept = true;
  bool relay = false;  ///< is there
  LinkId alice = 0, bob = 0;
  std::string session;
};

}  // namespace junctor::rendezvous
