// SPDX-License-Identifier: LGPL-2.1-or-later
// Two channels through a node: what clients and nodes say to each other, and their media.
#include "nat/core/channel.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "node/hub.h"
#include "rtp/core/packet.h"
#include "rtp/core/rtcp.h"

namespace junctor::node {
namespace {

using namespace std::chrono_literals;
using namespace rtp::rtcp;

class End {
 public:
  End(const std::shared_ptr<Reactor> &reactor, nat::Side side, std::string leg)
      : leg(std::move(leg)) {
    nat::ChannelOptions options;
    options.side = side;
    options.session = "s1";
    options.rungs = {nat::Rung::Sfu};
    nat::ChannelEvents events;
    events.signal = [this](const std::string &text) { signals.push_back(text); };
    events.event = [this](const nat::ChannelEvent &event) {
      up |= event.kind == nat::ChannelEvent::Kind::Up;
      failed += event.kind == nat::ChannelEvent::Kind::Failed ? event.why : "";
    };
    events.received = [this](const SharedBytes &packet, bool is_rtcp) {
      (is_rtcp ? rtcp : rtp).emplace_back(packet.view.begin(), packet.view.end());
    };
    events.want = [this](nat::Rung) { ++wanted; };
    events.complaint = [this](const std::string &text) { complaints += text; };
    channel = *nat::Channel::open(reactor, options, std::move(events));
  }
  ~End() { channel->close(); }

  void offer(const std::string &text) {
    const auto taken = channel->take_offer(text);
    EXPECT_TRUE(taken) << taken.error().detail;
  }
  template <class Item>
  std::vector<Item> items() const {
    std::vector<Item> found;
    for (const Bytes &each : rtcp) {
      const auto items = parse(each);
      EXPECT_TRUE(items);
      for (const auto &item : *items)
        if (const auto *one = std::get_if<Item>(&item)) found.push_back(*one);
    }
    return found;
  }

  const std::string leg;
  std::shared_ptr<nat::Channel> channel;
  std::vector<std::string> signals;
  std::vector<Bytes> rtp, rtcp;
  std::string complaints, failed;
  bool up = false;
  int wanted = 0;
};

Bytes media(std::uint32_t ssrc, std::uint16_t sequence) {
  return rtp::build_packet({96, false, sequence, sequence * 3000U, ssrc}, Bytes(300));
}

class NodeChannels : public ::testing::Test {
 protected:
  std::unique_ptr<Hub> open(const std::string &name) {
    HubOptions options;
    options.name = name;
    HubEvents events;
    events.leg = [this, name](const LegEvent &event) {
      if (event.kind == LegEvent::Kind::Up && ++legs_up[name] == 2)
        for (End *end : {&alice, &bob})
          end->channel->post_offer(R"({"type":"node-up","node":")" + name + R"("})");
    };
    return *Hub::open(reactor, std::move(options), std::move(events));
  }
  bool until(const std::function<bool()> &done) {
    for (int i = 0; i < 1000; ++i) {
      if (done()) return true;
      reactor->run_once(20ms);
    }
    return done();
  }
  /// As the rendezvous would.
  void serve(Hub &hub, const std::string &name) {
    const auto served =
        hub.serve("s1", {{alice.leg, alice.signals.front()}, {bob.leg, bob.signals.front()}});
    ASSERT_TRUE(served) << served.error().detail;
    alice.offer(offer(name, (*served)[0].description));
    bob.offer(offer(name, (*served)[1].description));
  }
  static std::string offer(const std::string &name, const std::string &description) {
    return R"({"type":"node","node":")" + name + R"(","description":)" + description + "}";
  }
  void come_up() {
    ASSERT_TRUE(until([&] { return !alice.signals.empty() && !bob.signals.empty(); }));
    for (const std::string &each : alice.signals) EXPECT_TRUE(bob.channel->take(each));
    for (const std::string &each : bob.signals) EXPECT_TRUE(alice.channel->take(each));
    ASSERT_TRUE(until([&] { return alice.wanted > 0 && bob.wanted > 0; }));
    serve(*hub, "n1");
    ASSERT_TRUE(until([&] { return alice.up && bob.up; })) << alice.failed << bob.failed;
    EXPECT_EQ(alice.channel->stats().node, "n1");
  }
  /// Until each has heard something new of the other.
  bool talk() {
    const std::size_t before[] = {alice.rtp.size(), bob.rtp.size()};
    return until([&] {
      alice.channel->send(media(1, sequence), false);
      bob.channel->send(media(2, sequence++), false);
      return alice.rtp.size() > before[0] && bob.rtp.size() > before[1];
    });
  }
  void send(End &from, const auto &...each) {
    Bytes compound;
    (append(compound, each), ...);
    from.channel->send(compound, true);
  }

  std::shared_ptr<Reactor> reactor = *Reactor::create();
  std::map<std::string, int> legs_up;
  std::uint16_t sequence = 1;
  End alice{reactor, nat::Side::Caller, "caller"}, bob{reactor, nat::Side::Callee, "callee"};
  std::unique_ptr<Hub> hub = open("n1");
};

TEST_F(NodeChannels, MediaPassesAsTheEndsSentIt) {
  ASSERT_NO_FATAL_FAILURE(come_up());
  ASSERT_TRUE(talk());
  EXPECT_EQ(rtp::parse_packet(bob.rtp.front())->header.ssrc, 1U);
  EXPECT_EQ(bob.rtp.front().size(), media(1, 1).size());
  EXPECT_GE(hub->stats().forwarded_packets, 2U);
  EXPECT_EQ(alice.complaints + bob.complaints, "");
}

TEST_F(NodeChannels, ReportsAndRequestsPassHopByHop) {
  ASSERT_NO_FATAL_FAILURE(come_up());
  ASSERT_TRUE(talk());
  send(alice, SenderReport{1, 0x0123456789ABCDEF, 777, 1, 300, {}},
       SourceDescription{1, "alice@example"});
  ASSERT_TRUE(until([&] { return !bob.items<SenderReport>().empty(); }));
  EXPECT_EQ(bob.items<SenderReport>()[0].ntp, 0x0123456789ABCDEFU);
  send(bob, ReceiverReport{2, {}}, Pli{2, 1});
  ASSERT_TRUE(until([&] { return !alice.items<Pli>().empty(); }));
  EXPECT_EQ(alice.items<Pli>()[0].media, 1U);
  // What bob missed comes from the node: alice is not asked.
  const auto lost = rtp::parse_packet(bob.rtp.back())->header.sequence;
  send(bob, ReceiverReport{2, {}}, Nack{2, 1, {lost}});
  ASSERT_TRUE(until([&] { return hub->stats().retransmitted == 1; }));
  EXPECT_TRUE(alice.items<Nack>().empty());
}

TEST_F(NodeChannels, AnotherNodeTakesOver) {
  ASSERT_NO_FATAL_FAILURE(come_up());
  ASSERT_TRUE(talk());
  auto second = open("n2");
  const int before[] = {alice.wanted, bob.wanted};
  for (End *end : {&alice, &bob})
    end->offer(R"({"type":"node-failed","node":"n1","why":"its owner stops it"})");
  ASSERT_TRUE(until([&] { return alice.wanted > before[0] && bob.wanted > before[1]; }));
  serve(*second, "n2");
  ASSERT_TRUE(until([&] {
    talk();
    return alice.channel->stats().node == "n2" && bob.channel->stats().node == "n2";
  })) << alice.failed;
  hub->release("s1");
  EXPECT_TRUE(talk());
  EXPECT_GT(second->stats().forwarded_packets, 0U);
}

TEST_F(NodeChannels, ANodeThatLeavesCarriesUntilAnotherDoes) {
  ASSERT_NO_FATAL_FAILURE(come_up());
  ASSERT_TRUE(talk());
  auto second = open("n2");
  const int before[] = {alice.wanted, bob.wanted};
  for (End *end : {&alice, &bob})
    end->offer(R"({"type":"node-failed","node":"n1","why":"its owner stops it","leaving":true})");
  ASSERT_TRUE(until([&] { return alice.wanted > before[0] && bob.wanted > before[1]; }));
  EXPECT_EQ(alice.channel->stats().node, "n1");
  EXPECT_TRUE(talk()) << "the old way is cut before there is another";
  serve(*second, "n2");
  ASSERT_TRUE(until([&] {
    talk();
    return alice.channel->stats().node == "n2" && bob.channel->stats().node == "n2";
  })) << alice.failed;
  EXPECT_EQ(alice.channel->stats().unsent + bob.channel->stats().unsent, 0U);
}

}  // namespace
}  // namespace junctor::node
