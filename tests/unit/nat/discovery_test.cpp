// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/discovery.h"

#include <gtest/gtest.h>

#include "simulated_network.h"

namespace junctor::nat {
namespace {

using namespace std::chrono_literals;

const Endpoint kServer{"192.0.2.1", 3478};
const Doors kFour = {kServer, Endpoint{"192.0.2.1", 3479}, Endpoint{"192.0.2.2", 3478},
                     Endpoint{"192.0.2.2", 3479}};
const Doors kTwo = {kServer, Endpoint{"192.0.2.1", 3479}, {}, {}};
const Doors kOne = {kServer, {}, {}, {}};

constexpr Dependence kAll[] = {Dependence::EndpointIndependent, Dependence::AddressDependent,
                               Dependence::AddressAndPortDependent};

struct Run {
  Behaviour behaviour;
  Duration took;
};

Run discover(SimulatedNetwork &network, std::vector<Endpoint> servers = {kServer}) {
  Discovery discovery(
      {.servers = std::move(servers), .local = network.locals(Discovery::kSockets)});
  const Duration took = network.run(discovery);
  EXPECT_TRUE(discovery.done());
  return {discovery.behaviour(), took};
}

TEST(Discovery, NamesEveryKindOfNat) {
  for (const Dependence mapping : kAll)
    for (const Dependence filtering : kAll)
      for (const PortPattern ports :
           {PortPattern::Random, PortPattern::Sequential, PortPattern::Preserving})
        for (const bool hairpin : {false, true}) {
          // One port for two mappings would be none.
          if (ports == PortPattern::Preserving && mapping != Dependence::EndpointIndependent)
            continue;
          SimulatedNetwork network;
          network.nat = {.mapping = mapping,
                         .filtering = filtering,
                         .ports = ports,
                         .step = 2,
                         .hairpin = hairpin};
          network.add_server(kFour, 20ms);
          const auto [found, took] = discover(network);
          SCOPED_TRACE(summary(found) + " " + std::string(to_string(ports)));
          EXPECT_EQ(found.udp, UdpAccess::Works);
          EXPECT_TRUE(found.translated);
          EXPECT_EQ(found.mapping, mapping) << found.mapping_why;
          EXPECT_EQ(found.filtering, filtering) << found.filtering_why;
          EXPECT_EQ(found.ports, ports);
          EXPECT_EQ(found.port_step, ports == PortPattern::Sequential ? 2 : 0);
          EXPECT_EQ(found.addresses, std::vector<std::string>{"203.0.113.5"});
          EXPECT_EQ(found.round_trip, 40ms);
          // Mappings that depend on the destination lead a hairpin elsewhere.
          if (mapping == Dependence::EndpointIndependent) {
            EXPECT_EQ(found.hairpin, hairpin);
          }
          const bool answered = filtering == Dependence::EndpointIndependent && hairpin;
          if (answered && mapping == Dependence::EndpointIndependent)
            EXPECT_LE(took, 3 * 40ms);
          else
            EXPECT_LE(took, 3 * 40ms + 450ms);
        }
}

TEST(Discovery, KnowsAPublicAddressAndAFirewall) {
  for (const Dependence filtering : kAll) {
    SimulatedNetwork network;
    network.nat = {.translates = false, .filtering = filtering};
    network.add_server(kFour, 5ms);
    const auto [found, took] = discover(network);
    EXPECT_FALSE(found.translated);
    EXPECT_EQ(found.mapping, Dependence::EndpointIndependent);
    EXPECT_EQ(found.filtering, filtering);
    EXPECT_EQ(found.ports, PortPattern::Unknown);
    EXPECT_FALSE(found.hairpin);
    EXPECT_EQ(summary(found).find("firewall") == std::string::npos,
              filtering == Dependence::EndpointIndependent);
  }
}

TEST(Discovery, TellsNoFirewallOfWhichNothingIsKnown) {
  Behaviour found;
  found.udp = UdpAccess::Works;
  EXPECT_EQ(summary(found),
            "on an address that nothing translates (whether a firewall is in front is not known)");
}

TEST(Discovery, IsRightUnderLoss) {
  int wrong = 0, all = 0;
  for (unsigned seed = 0; seed < 40; ++seed)
    for (const Dependence mapping : kAll)
      for (const Dependence filtering : kAll) {
        SimulatedNetwork network(seed);
        network.loss = 0.1;
        network.nat = {.mapping = mapping,
                       .filtering = filtering,
                       .ports = PortPattern::Sequential,
                       .hairpin = true};
        network.add_server(kFour, 40ms);
        const auto [found, took] = discover(network);
        ++all;
        wrong += found.mapping != mapping || found.filtering != filtering;
        EXPECT_LE(took, 1500ms);
      }
  // Six requests of a test are lost one time in twenty thousand; there are some five tests in each.
  EXPECT_LE(wrong, 1) << "of " << all;
}

TEST(Discovery, WithOneAddressItSaysWhatItCannotKnow) {
  for (const Dependence mapping : kAll)
    for (const Dependence filtering : kAll) {
      SimulatedNetwork network;
      network.nat = {.mapping = mapping, .filtering = filtering};
      network.add_server(kTwo, 10ms);
      const auto [found, took] = discover(network);
      const bool worst = mapping == Dependence::AddressAndPortDependent;
      EXPECT_EQ(found.mapping, worst ? mapping : Dependence::Unknown);
      EXPECT_EQ(found.mapping_why.empty(), worst);
      const bool tight = filtering == Dependence::AddressAndPortDependent;
      EXPECT_EQ(found.filtering, tight ? filtering : Dependence::Unknown);
      EXPECT_EQ(found.filtering_why.empty(), tight) << found.filtering_why;
    }
}

TEST(Discovery, WithOneAddressItKnowsThatNothingIsTranslated) {
  for (const Dependence filtering : kAll) {
    SimulatedNetwork network;
    network.nat = {.translates = false, .filtering = filtering};
    network.add_server(kTwo, 10ms);
    EXPECT_EQ(discover(network).behaviour.mapping, Dependence::EndpointIndependent);
  }
}

TEST(Discovery, NamesASecondPortThatIsClosed) {
  for (const Dependence filtering : kAll) {
    SimulatedNetwork network;
    network.nat.filtering = filtering;
    network.add_server(kTwo, 10ms);
    network.close_door(kOtherPort);
    const auto [found, took] = discover(network);
    EXPECT_EQ(found.mapping, Dependence::Unknown);
    EXPECT_NE(found.mapping_why.find("second port 3479 does not answer"), std::string::npos);
    EXPECT_EQ(found.filtering, Dependence::Unknown);
    EXPECT_NE(found.filtering_why.find("second port 3479 does not answer"), std::string::npos);
  }
}

TEST(Discovery, AServerBehindItsProvidersNatIsAskedAtOneAddress) {
  // It tells its own addresses, not those by which it is asked.
  const Doors inside = {Endpoint{"10.9.9.8", 3478}, Endpoint{"10.9.9.8", 3479},
                        Endpoint{"10.9.9.9", 3478}, Endpoint{"10.9.9.9", 3479}};
  SimulatedNetwork network;
  network.nat.mapping = network.nat.filtering = Dependence::AddressAndPortDependent;
  network.add_server(kFour, 10ms, inside);
  const auto [found, took] = discover(network);
  EXPECT_EQ(found.mapping, Dependence::AddressAndPortDependent);
  EXPECT_EQ(found.filtering, Dependence::AddressAndPortDependent);
  EXPECT_FALSE(network.asked.contains("10.9.9.9"));
  network.reboot();
  network.nat.mapping = Dependence::EndpointIndependent;
  EXPECT_NE(discover(network).behaviour.mapping_why.find("one address"), std::string::npos);
}

TEST(Discovery, WithOneDoorItKnowsTheAddressAlone) {
  SimulatedNetwork network;
  network.add_server(kOne, 10ms);
  const auto [found, took] = discover(network);
  EXPECT_EQ(found.external->address, "203.0.113.5");
  EXPECT_EQ(found.mapping, Dependence::Unknown);
  EXPECT_NE(found.mapping_why.find("neither"), std::string::npos);
  EXPECT_EQ(found.filtering, Dependence::Unknown);
  EXPECT_NE(found.filtering_why.find("neither"), std::string::npos);
  EXPECT_EQ(found.hairpin, true);
}

TEST(Discovery, OtherServersShowWhatTheMappingDependsOn) {
  const Endpoint second{"198.51.100.1", 3478};
  for (const Dependence mapping : kAll) {
    SimulatedNetwork network;
    network.nat.mapping = mapping;
    network.add_server(kTwo, 10ms);
    network.add_server({second, {}, {}, {}}, 30ms);
    EXPECT_EQ(discover(network, {kServer, second}).behaviour.mapping, mapping);
  }
}

TEST(Discovery, SilenceOfADoorThatIsClosedIsNoFilter) {
  SimulatedNetwork network;
  network.nat = {.mapping = Dependence::EndpointIndependent,
                 .filtering = Dependence::EndpointIndependent};
  network.add_server(kFour, 10ms);
  network.close_door(kOtherAddress);
  network.close_door(kOtherAddress | kOtherPort);
  const auto [found, took] = discover(network);
  EXPECT_EQ(found.mapping, Dependence::Unknown);
  EXPECT_NE(found.mapping_why.find("192.0.2.2 does not answer"), std::string::npos);
  EXPECT_EQ(found.filtering, Dependence::Unknown);
  EXPECT_NE(found.filtering_why, "");
}

TEST(Discovery, TellsBlockedUdpFromNoNetwork) {
  const auto blocked = [](const std::function<void(Discovery &, Time)> &tcp) {
    SimulatedNetwork network;
    network.nat.udp = false;
    network.add_server(kFour, 10ms);
    Discovery discovery({.servers = {kServer}, .local = network.locals(Discovery::kSockets)});
    network.run(discovery, 600ms);
    const auto wanted = discovery.take_stream();
    EXPECT_TRUE(wanted && wanted->to == kServer);
    EXPECT_FALSE(discovery.take_stream()) << "one connection";
    tcp(discovery, network.now);
    const Duration rest = network.run(discovery);
    EXPECT_LE(rest, 1200ms);
    return discovery.behaviour();
  };
  const auto request = rtp::stun::Writer(rtp::stun::Class::Request, rtp::stun::Method::Binding,
                                         rtp::stun::random_transaction_id())
                           .finish();
  const auto with_tcp = blocked([&](Discovery &discovery, Time now) {
    StunResponder responder(kOne);
    discovery.stream_answered(
        responder.stream(request, {"203.0.113.5", 4711}, kServer, now).reply->bytes, now);
  });
  EXPECT_EQ(with_tcp.udp, UdpAccess::Blocked);
  EXPECT_EQ(with_tcp.addresses, std::vector<std::string>{"203.0.113.5"});
  EXPECT_NE(meaning(with_tcp).find("relay"), std::string::npos);
  const auto without = blocked(
      [](Discovery &discovery, Time now) { discovery.stream_failed("connection refused", now); });
  EXPECT_EQ(without.udp, UdpAccess::NoAnswer);
  EXPECT_NE(without.udp_why.find("connection refused"), std::string::npos);
}

TEST(Discovery, WaitsForASlowNetwork) {
  SimulatedNetwork network;
  network.nat.filtering = Dependence::AddressAndPortDependent;
  network.add_server(kFour, 350ms);
  const auto [found, took] = discover(network);
  EXPECT_EQ(found.mapping, Dependence::EndpointIndependent);
  EXPECT_EQ(found.filtering, Dependence::AddressAndPortDependent);
  EXPECT_EQ(found.round_trip, 700ms);
  EXPECT_LE(took, 3s);
}

TEST(Discovery, BelievesNobodyElse) {
  SimulatedNetwork network;
  Discovery discovery({.servers = {kServer}, .local = network.locals(Discovery::kSockets)});
  const auto sent = discovery.poll(network.now);
  ASSERT_EQ(sent.size(), Discovery::kSockets + 2);
  const auto request = rtp::stun::Message::parse(sent[0].bytes);
  const auto answer = [&](const rtp::stun::TransactionId &id) {
    return rtp::stun::Writer(rtp::stun::Class::Success, rtp::stun::Method::Binding, id)
        .xor_address(rtp::stun::Type::XorMappedAddress, {"6.6.6.6", 6})
        .finish();
  };
  discovery.received(0, kServer, answer(rtp::stun::random_transaction_id()), network.now);
  discovery.received(0, {"198.51.100.66", 3478}, answer(request->id()), network.now);
  discovery.received(3, kServer, answer(request->id()), network.now);
  discovery.received(0, kServer, as_bytes("hello"), network.now);
  EXPECT_FALSE(discovery.behaviour().external);
  discovery.received(0, kServer, answer(request->id()), network.now);
  EXPECT_TRUE(discovery.behaviour().external);
}

TEST(Discovery, SeesASequenceThroughTheTrafficOfOthers) {
  for (const int step : {1, 2, -1, 256}) {
    SimulatedNetwork network;
    network.nat = {.mapping = Dependence::AddressAndPortDependent,
                   .filtering = Dependence::AddressAndPortDependent,
                   .ports = PortPattern::Sequential,
                   .step = step};
    network.add_server(kFour, 10ms);
    const auto found = discover(network).behaviour;
    EXPECT_EQ(found.ports, PortPattern::Sequential);
    EXPECT_EQ(found.port_step, step);
    EXPECT_NE(meaning(found).find("foretold"), std::string::npos);
  }
  int sequential = 0;
  for (unsigned seed = 0; seed < 200; ++seed) {
    SimulatedNetwork network(seed);
    network.nat.ports = PortPattern::Random;
    network.add_server(kFour, 1ms);
    sequential += discover(network).behaviour.ports == PortPattern::Sequential;
  }
  EXPECT_EQ(sequential, 0);
}

TEST(Discovery, AsksWithinBounds) {
  SimulatedNetwork network;
  network.nat.udp = false;
  const auto [found, took] = discover(network);
  EXPECT_EQ(found.udp, UdpAccess::NoAnswer);
  EXPECT_EQ(took, 3s);
  EXPECT_LE(network.requests, 200U);
}

}  // namespace
}  // namespace junctor::nat
