// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/puncher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "simulated_internet.h"

namespace junctor::nat {
namespace {

using namespace std::chrono_literals;
using State = Puncher::State;
using Kind = Puncher::Event::Kind;

ProbeKey key_of(int number) {
  ProbeKey key{};
  key.fill(static_cast<std::byte>(number));
  return key;
}

/// One end: its place, its puncher, and what it was told.
struct End {
  SimulatedInternet &net;
  SimulatedInternet::Site &site;
  Puncher puncher;
  std::vector<Puncher::Event> events;
  std::optional<Time> up_at;
  std::uint64_t received = 0;
  bool deaf = false, said_up = false;

  End(SimulatedInternet &internet, const AccessKind &kind, PuncherOptions options)
      : net(internet), site(internet.add(kind)), puncher(std::move(options)) {
    site.receive = [this](unsigned socket, const Endpoint &from, const Bytes &bytes) {
      if (deaf) return;
      received += bytes.size();
      EXPECT_TRUE(puncher.received(socket, from, bytes, net.now));
    };
    puncher.add_socket(0, false, net.now);
  }
  void pump() {
    for (const Outgoing &out : puncher.poll(net.now)) net.send(site, out);
    for (const auto &event : puncher.take_events()) {
      events.push_back(event);
      if (event.kind == Kind::Up && !up_at) up_at = net.now;
    }
  }
  void knows(End &peer) {
    puncher.add_remote({CandidateKind::Host, peer.net.local(peer.site, 0)}, net.now);
    puncher.add_remote({CandidateKind::External, peer.net.external(peer.site, 0)}, net.now);
  }
  bool told(Kind kind) const {
    return std::ranges::any_of(events, [kind](const auto &each) { return each.kind == kind; });
  }
};

class Punching : public testing::Test {
 protected:
  SimulatedInternet net_;
  std::unique_ptr<End> left_, right_;

  PuncherOptions options(bool left) {
    PuncherOptions options;
    options.timeout = timeout_;
    options.probe_own = key_of(left ? 1 : 2);
    options.probe_peer = key_of(left ? 2 : 1);
    options.own_tag = left ? "000000000000aaaa" : "000000000000bbbb";
    options.peer_tag = left ? "000000000000bbbb" : "000000000000aaaa";
    return options;
  }
  void make(const AccessKind &left, const AccessKind &right) {
    left_ = std::make_unique<End>(net_, left, options(true));
    right_ = std::make_unique<End>(net_, right, options(false));
  }
  void exchange() {
    // Both ask their server before either hears of the other, as in life.
    net_.external(left_->site, 0), net_.external(right_->site, 0);
    left_->knows(*right_);
    right_->knows(*left_);
  }
  void run(Duration time) {
    const Time end = net_.now + time;
    for (;;) {
      left_->pump();
      right_->pump();
      // One string that the application carries: who is up says so.
      for (auto [one, other] : {std::pair{&left_, &right_}, std::pair{&right_, &left_}})
        if ((*one)->up_at && signals_ && !std::exchange((*one)->said_up, true))
          (*other)->puncher.peer_up(net_.now);
      if (net_.now >= end) return;
      Time until = end;
      for (End *each : {left_.get(), right_.get()})
        if (const auto next = each->puncher.next()) until = std::min(until, *next);
      net_.step(until);
    }
  }
  bool up() const {
    return left_->puncher.state() == State::Up && right_->puncher.state() == State::Up;
  }
  bool signals_ = false;
  Duration timeout_ = 3s;
};

const AccessKind &kind(std::string_view name) {
  return *std::ranges::find(kAccessKinds, name,
                            [](const AccessKind &each) { return std::string_view(each.name); });
}

TEST_F(Punching, CountsOfThisAttemptSayWhyItFailed) {
  make(kind("symmetric"), kind("symmetric"));
  exchange();
  run(4s);
  ASSERT_EQ(left_->puncher.state(), State::Failed);
  const auto first = std::stoul(left_->puncher.why());
  for (int i = 0; i < 3; ++i) {
    left_->puncher.restart(net_.now);
    run(4s);
  }
  ASSERT_EQ(left_->puncher.state(), State::Failed);
  EXPECT_LE(std::stoul(left_->puncher.why()), first + first / 2) << left_->puncher.why();
  EXPECT_GT(left_->puncher.counts().probes_sent, 3 * first) << "those of all attempts";
}

class EveryPair : public Punching,
                  public testing::WithParamInterface<std::tuple<AccessKind, AccessKind>> {};

TEST_P(EveryPair, ComesUpExactlyWhereTheoryAllowsIt) {
  const auto &[left, right] = GetParam();
  net_.one_way = 20ms;
  make(left, right);
  exchange();
  run(4s);
  if (direct_way(left, right)) {
    EXPECT_TRUE(up()) << left_->puncher.why() << " / " << right_->puncher.why();
    // 1.5 round trips and what a lost probe costs: the first of each side may be filtered.
    for (const auto &each : {left_.get(), right_.get()})
      EXPECT_LE(each->events.front().took, 60ms + 40ms);
    EXPECT_FALSE(left_->told(Kind::Failed) || left_->told(Kind::Silent));
  } else {
    EXPECT_EQ(left_->puncher.state(), State::Failed);
    EXPECT_EQ(right_->puncher.state(), State::Failed);
    EXPECT_FALSE(left_->puncher.path());
    EXPECT_THAT(left_->puncher.why(), testing::HasSubstr("none was answered"));
  }
}
INSTANTIATE_TEST_SUITE_P(All, EveryPair,
                         testing::Combine(testing::ValuesIn(kAccessKinds),
                                          testing::ValuesIn(kAccessKinds)),
                         [](const auto &info) {
                           std::string name = std::string(std::get<0>(info.param).name) + "_" +
                                              std::get<1>(info.param).name;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST_F(Punching, ALostProbeCostsOnePace) {
  net_.one_way = 20ms;
  make(kind("open"), kind("port-restricted"));
  right_->deaf = true;
  exchange();
  run(1ms);
  EXPECT_EQ(left_->site.packets_sent, 2U) << "one to each candidate at once";
  run(40ms);
  right_->deaf = false;
  run(1s);
  ASSERT_TRUE(up());
  EXPECT_LE(left_->events.front().took, 41ms + 20ms + 40ms);
}

TEST_F(Punching, TenPercentLossCostsLittle) {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    net_ = SimulatedInternet(seed);
    net_.one_way = 40ms;
    net_.loss = 0.1;
    make(kind("port-restricted"), kind("port-restricted"));
    exchange();
    run(2s);
    ASSERT_TRUE(up()) << seed;
    EXPECT_LE(left_->events.front().took, 320ms) << seed;
  }
}

TEST_F(Punching, PrefersTheWayInsideOneNetwork) {
  net_.one_way = 10ms;
  make(kind("full-cone"), kind("full-cone"));
  right_->site.lan = left_->site.lan;
  exchange();
  run(1s);
  ASSERT_TRUE(up());
  EXPECT_EQ(left_->puncher.path()->kind, CandidateKind::Host);
  EXPECT_EQ(right_->puncher.path()->kind, CandidateKind::Host);
}

TEST_F(Punching, StopsProbingOnceUpAndKeepsTheWayOpen) {
  make(kind("port-restricted"), kind("port-restricted"));
  net_.one_way = 10ms;
  exchange();
  run(2s);
  ASSERT_TRUE(up());
  const auto before = left_->site.packets_sent;
  run(25s);
  // A probe and an ACK of the peer's each 2.5 s.
  EXPECT_NEAR(static_cast<double>(left_->site.packets_sent - before), 20, 3);
  EXPECT_NEAR(std::chrono::duration<double>(*left_->puncher.round_trip()).count(), 0.020, 0.001);
  EXPECT_FALSE(left_->told(Kind::Silent));
}

TEST_F(Punching, SilenceIsToldAndANewGenerationRepairsIt) {
  net_.one_way = 20ms;
  make(kind("port-restricted"), kind("port-restricted"));
  exchange();
  run(1s);
  ASSERT_TRUE(up());
  // Media flows both ways, then the NAT forgets.
  for (int i = 0; i < 100; ++i) {
    left_->puncher.media(net_.now);
    right_->puncher.media(net_.now);
    run(20ms);
  }
  ASSERT_FALSE(left_->told(Kind::Silent));
  left_->site.flush();
  run(480ms);
  ASSERT_TRUE(left_->told(Kind::Silent));
  EXPECT_EQ(left_->puncher.state(), State::Up);
  const auto old = *right_->puncher.path();
  left_->puncher.restart(net_.now);
  EXPECT_EQ(left_->puncher.state(), State::Repairing);
  EXPECT_TRUE(left_->puncher.path()) << "media goes on over the old one";
  right_->puncher.clear_remote();
  right_->puncher.restart(net_.now);
  right_->knows(*left_);
  run(200ms);
  ASSERT_TRUE(up());
  EXPECT_TRUE(right_->told(Kind::Moved));
  EXPECT_NE(*right_->puncher.path(), old);
}

TEST_F(Punching, WhatHasFailedIsTriedOnSeldomAndComesUpWhenItCan) {
  net_.one_way = 20ms;
  make(kind("port-restricted"), kind("port-restricted"));
  right_->site.nat.udp = false;
  exchange();
  run(4s);
  ASSERT_EQ(left_->puncher.state(), State::Failed);
  const auto before = left_->site.packets_sent;
  run(25s);
  EXPECT_NEAR(static_cast<double>(left_->site.packets_sent - before), 20, 3)
      << "two candidates, each 2.5 s";
  right_->site.nat.udp = true;
  run(6s);
  EXPECT_TRUE(up());
  EXPECT_TRUE(left_->told(Kind::Up));
}

TEST_F(Punching, PausedMediaIsNoSilence) {
  net_.one_way = 20ms;
  make(kind("port-restricted"), kind("port-restricted"));
  exchange();
  run(1s);
  for (int i = 0; i < 100; ++i, run(20ms)) left_->puncher.media(net_.now);
  run(20s);
  EXPECT_FALSE(left_->told(Kind::Silent));
  EXPECT_TRUE(up());
}

TEST_F(Punching, MediaFromElsewhereMovesThePathWithoutAString) {
  net_.one_way = 20ms;
  make(kind("full-cone"), kind("port-restricted"));
  exchange();
  run(1s);
  ASSERT_TRUE(up());
  // right's NAT forgets; its media then comes from another port.
  right_->site.flush();
  left_->site.receive = [this](unsigned socket, const Endpoint &from, const Bytes &bytes) {
    if (!left_->puncher.received(socket, from, bytes, net_.now))
      left_->puncher.media_from(socket, from, bytes.size(), net_.now);
  };
  const auto old = *left_->puncher.path();
  for (int i = 0; i < 50; ++i, run(20ms))
    net_.send(right_->site, 0, right_->puncher.path()->remote, Bytes(200, std::byte{0x80}));
  EXPECT_TRUE(left_->told(Kind::Moved));
  EXPECT_NE(*left_->puncher.path(), old);
}

TEST_F(Punching, ThePeersWordMakesAWayGoodThatItsPacketsCameOver) {
  make(kind("open"), kind("open"));
  // What left sends never arrives; right hears ACKs of its own probes.
  net_.one_way = 1ms;
  const Endpoint named{"198.51.100.7", 4000}, unnamed{"198.51.100.8", 4000};
  left_->puncher.add_remote({CandidateKind::External, named}, net_.now);
  run(5ms);
  unsigned number = 0;
  const auto comes_from = [&](const Endpoint &from) {
    net_.inject(from, net_.local(left_->site, 0),
                make_probe(rtp::stun::random_transaction_id(), left_->puncher.own_tag(), ++number,
                           true, key_of(2)));
    run(1ms);
  };
  comes_from(unnamed);
  left_->puncher.peer_up(net_.now);
  comes_from(unnamed);
  EXPECT_EQ(left_->puncher.state(), State::Trying) << "it may be anybody's";
  comes_from(named);
  EXPECT_EQ(left_->puncher.state(), State::Up);
  EXPECT_EQ(left_->puncher.path()->remote, named);
}

TEST_F(Punching, OneEndLeavesAWayThatIsQuietBeforeTheOther) {
  make(kind("open"), kind("open"));
  const Endpoint used{"198.51.100.7", 4000}, other{"198.51.100.8", 4000};
  for (End *end : {left_.get(), right_.get()}) {
    for (const Endpoint &each : {used, other})
      end->puncher.add_remote({CandidateKind::External, each}, net_.now);
    unsigned number = 0;
    const auto comes_from = [&](const Endpoint &from) {
      net_.inject(from, net_.local(end->site, 0),
                  make_probe(rtp::stun::random_transaction_id(), end->puncher.own_tag(), ++number,
                             true, key_of(end == left_.get() ? 2 : 1)));
      run(1ms);
    };
    end->puncher.peer_up(net_.now);
    comes_from(used);
    const Time quiet = net_.now;
    do {
      comes_from(other);
      run(9ms);
    } while (end->puncher.path()->remote == used && net_.now < quiet + 2s);
    EXPECT_NEAR(std::chrono::duration<double>(net_.now - quiet).count(),
                end == left_.get() ? 0.3 : 0.6, 0.03);
  }
}

TEST_F(Punching, AnAddressThatCopiesOfProbesShowGetsNoMedia) {
  make(kind("full-cone"), kind("full-cone"));
  net_.one_way = 5ms;
  signals_ = true;
  // Somebody sees each packet to left, and is faster than it with a copy from a victim's address.
  auto &victim = net_.add(kind("open"));
  std::uint64_t shown = 0, got = 0;
  victim.receive = [&](unsigned, const Endpoint &, const Bytes &bytes) { got += bytes.size(); };
  left_->site.receive = [&](unsigned socket, const Endpoint &from, const Bytes &bytes) {
    shown += bytes.size();
    for (const Endpoint &source : {net_.local(victim, 0), from})
      EXPECT_TRUE(left_->puncher.received(socket, source, bytes, net_.now));
  };
  exchange();
  run(1500ms);
  ASSERT_TRUE(up());
  // Of one that comes while the way is quiet.
  const auto probe = make_probe(rtp::stun::random_transaction_id(), left_->puncher.own_tag(), 1000,
                                true, key_of(2));
  shown += probe.size();
  net_.inject(net_.local(victim, 0), net_.external(left_->site, 0), probe);
  run(20s);
  EXPECT_GT(got, 0U) << "what a stranger gets: ACKs, and probes that it does not answer";
  EXPECT_LE(got, shown);
  ASSERT_TRUE(up());
  EXPECT_EQ(left_->puncher.path()->remote, net_.external(right_->site, 0));
  EXPECT_FALSE(left_->told(Kind::Moved));
}

TEST_F(Punching, WhatDoesNotVerifyHasNoEffectAndNoAnswer) {
  make(kind("open"), kind("port-restricted"));
  const Endpoint stranger{"198.51.100.66", 6666}, target = net_.local(left_->site, 0);
  const auto id = rtp::stun::random_transaction_id();
  const auto tag = left_->puncher.own_tag();
  run(1ms);
  const auto sent = left_->site.packets_sent;
  // Another key; our own key sent back to us; without integrity; an ACK of nothing.
  net_.inject(stranger, target, make_probe(id, tag, 1, true, key_of(9)));
  net_.inject(stranger, target, make_probe(id, tag, 1, true, key_of(1)));
  net_.inject(stranger, target,
              rtp::stun::Writer(rtp::stun::Class::Request, rtp::stun::Method::Binding, id)
                  .text(rtp::stun::Type::Username, tag)
                  .u64(kProbeNumber, 7)
                  .fingerprint()
                  .finish());
  run(100ms);
  EXPECT_EQ(left_->site.packets_sent, sent);
  EXPECT_EQ(left_->puncher.counts().refused, 3U);
  // For another tag: not ours, so that others may share the socket.
  EXPECT_FALSE(left_->puncher.received(
      0, stranger, make_probe(id, "000000000000cccc", 1, true, key_of(2)), net_.now));
  const auto request = make_probe(id, tag, 1, true, key_of(2));
  EXPECT_FALSE(left_->puncher.received(
      0, stranger, make_ack(*rtp::stun::Message::parse(request), stranger, key_of(1)), net_.now));
}

TEST_F(Punching, AReplayIsNotAnswered) {
  make(kind("open"), kind("open"));
  const Endpoint target = net_.local(left_->site, 0);
  const auto probe =
      make_probe(rtp::stun::random_transaction_id(), left_->puncher.own_tag(), 5, true, key_of(2));
  net_.inject({"198.51.100.7", 4000}, target, probe);
  run(1ms);
  const auto sent = left_->site.bytes_sent;
  EXPECT_GT(sent, 0U);
  // From the attacker's address, or to drown the victim in ACKs.
  for (int i = 0; i < 100; ++i) net_.inject({"198.51.100.66", 6666}, target, probe);
  run(100ms);
  EXPECT_EQ(left_->site.bytes_sent, sent);
  EXPECT_EQ(left_->puncher.counts().refused, 100U);
}

TEST_F(Punching, AnAckFromElsewhereIsNone) {
  make(kind("open"), kind("open"));
  left_->puncher.add_remote({CandidateKind::External, {"198.51.100.7", 4000}}, net_.now);
  const auto out = left_->puncher.poll(net_.now);
  ASSERT_EQ(out.size(), 1U);
  const auto request = rtp::stun::Message::parse(out[0].bytes);
  const auto ack = make_ack(*request, {"203.0.113.1", 1}, key_of(1));
  EXPECT_TRUE(left_->puncher.received(0, {"198.51.100.66", 4000}, ack, net_.now));
  EXPECT_NE(left_->puncher.state(), State::Up);
  EXPECT_TRUE(left_->puncher.received(0, {"198.51.100.7", 4000}, ack, net_.now));
  EXPECT_EQ(left_->puncher.state(), State::Up);
}

TEST_F(Punching, AnAddressThatNobodyNamedGetsNoMoreBytesThanItSent) {
  make(kind("open"), kind("open"));
  const Endpoint target = net_.local(left_->site, 0);
  std::uint64_t in = 0;
  for (unsigned i = 1; i <= 200; ++i) {
    const auto probe = make_probe(rtp::stun::random_transaction_id(), left_->puncher.own_tag(), i,
                                  i % 3 != 0, key_of(2));
    in += probe.size();
    net_.inject({"198.51.100.7", static_cast<std::uint16_t>(4000 + i % 5)}, target, probe);
    run(5ms);
    ASSERT_LE(left_->site.bytes_sent, in) << i;
  }
  EXPECT_GT(left_->site.bytes_sent, in / 2) << "but ACKs and probes it does get";
}

TEST_F(Punching, ManyCandidatesStayWithinTheRate) {
  make(kind("open"), kind("open"));
  for (unsigned i = 0; i < 200; ++i)
    left_->puncher.add_remote(
        {CandidateKind::External, {"198.51.100.7", static_cast<std::uint16_t>(4000 + i)}},
        net_.now);
  run(1s);
  EXPECT_LE(left_->site.packets_sent, Puncher::kMostPerSecond + Puncher::kBurst);
  EXPECT_GT(left_->site.packets_sent, Puncher::kMostPerSecond * 9 / 10);
}

/// To addresses where nobody is: what each of them sends within `time`.
std::vector<std::size_t> shout(std::vector<Puncher> &punchers, Time &now, Duration time) {
  std::vector<std::size_t> sent(punchers.size());
  for (const Time end = now + time; now < end; now += 1ms)
    for (std::size_t i = 0; i < punchers.size(); ++i) sent[i] += punchers[i].poll(now).size();
  return sent;
}

TEST_F(Punching, PunchersOfOneChannelShareARate) {
  std::vector<Puncher> punchers;
  PuncherOptions shared = options(true);
  shared.budget = Puncher::make_budget();
  for (const unsigned most : {200U, Puncher::kMostPerSecond}) {
    shared.most_per_second = most;
    punchers.emplace_back(shared);
    punchers.back().add_socket(0, false, net_.now);
    for (std::uint16_t i = 0; i < 100; ++i)
      punchers.back().add_remote({CandidateKind::External, {"198.51.100.7", i}}, net_.now);
  }
  Time now = net_.now;
  const auto sent = shout(punchers, now, 1s);
  EXPECT_LE(sent[0] + sent[1], Puncher::kMostPerSecond + Puncher::kBurst);
  EXPECT_LE(sent[0], 220U);
  EXPECT_GE(sent[0], 180U);
  EXPECT_GE(sent[1], Puncher::kMostPerSecond - 220U);
}

TEST_F(Punching, WhoNeverAnswersIsAskedSeldomHoweverOftenItIsTriedAnew) {
  std::vector<Puncher> punchers;
  punchers.emplace_back(options(true));
  Puncher &puncher = punchers.front();
  puncher.add_socket(0, false, net_.now);
  Time now = net_.now;
  const auto name_anew = [&] {
    puncher.clear_remote();
    for (std::uint16_t i = 0; i < 32; ++i)
      puncher.add_remote({CandidateKind::External, {"198.51.100.7", i}}, now);
    puncher.restart(now);
  };
  for (int i = 0; i < 5; ++i) {
    name_anew();
    shout(punchers, now, 2s);
  }
  name_anew();
  EXPECT_LE(shout(punchers, now, 2s)[0], 2 * 32U);
}

TEST_F(Punching, MediaFromElsewhereDrawsProbesAtThePaceOnly) {
  make(kind("open"), kind("open"));
  left_->puncher.add_remote({CandidateKind::External, {"198.51.100.7", 4000}}, net_.now);
  run(1s);
  const auto before = left_->site.packets_sent;
  // 500 packets a second whose sender's ACKs do not come through.
  for (int i = 0; i < 250; ++i) {
    left_->puncher.media_from(0, {"198.51.100.7", 4000}, 1200, net_.now);
    run(2ms);
  }
  EXPECT_LE(left_->site.packets_sent - before, 500 / 20 + 2);
}

/// Where the probes of a puncher go, and from which socket.
std::vector<std::pair<unsigned, std::uint16_t>> targets(const std::vector<Outgoing> &sent) {
  std::vector<std::pair<unsigned, std::uint16_t>> list;
  for (const Outgoing &each : sent) list.emplace_back(each.socket, each.to.port);
  return list;
}

Candidate candidate(CandidateKind kind, std::uint16_t port) {
  return {kind, {"198.51.100.7", port}};
}

TEST_F(Punching, PredictedPortsBelongToThePredictingSocketInTheirOrder) {
  using Use = Puncher::Use;
  const Time now = net_.now;
  Puncher puncher(options(true));
  puncher.add_socket(0, false, now);
  puncher.add_remote(candidate(CandidateKind::External, 100), now);
  puncher.add_remote(candidate(CandidateKind::External, 101), now);
  EXPECT_TRUE(puncher.peer_changes_ports());
  puncher.expect_predicting();
  puncher.set_predicted(
      {candidate(CandidateKind::Predicted, 203), candidate(CandidateKind::Predicted, 202)}, now);
  EXPECT_THAT(targets(puncher.poll(now)),
              testing::ElementsAre(std::pair(0U, 100), std::pair(0U, 101)))
      << "the plain socket leaves them alone";
  puncher.add_socket(1, false, now, Use::Predicting);
  EXPECT_THAT(targets(puncher.poll(now)),
              testing::ElementsAre(std::pair(1U, 203), std::pair(1U, 202)));
  // The next round's: the sockets and the ports of the last one are past.
  puncher.add_socket(2, false, now, Use::Predicting);
  puncher.set_predicted({candidate(CandidateKind::Predicted, 212)}, now);
  const auto sent = targets(puncher.poll(now + 20ms));
  EXPECT_THAT(sent, testing::Contains(std::pair(2U, 212)));
  for (const auto &[socket, port] : sent) {
    EXPECT_NE(socket, 1U);
    EXPECT_NE(port, 203);
  }
}

TEST_F(Punching, WithoutPredictionOfItsOwnThePlainSocketTriesPredictedPorts) {
  Puncher puncher(options(true));
  puncher.add_socket(0, false, net_.now);
  puncher.set_predicted({candidate(CandidateKind::Predicted, 203)}, net_.now);
  EXPECT_THAT(targets(puncher.poll(net_.now)), testing::ElementsAre(std::pair(0U, 203)));
}

TEST_F(Punching, APredictingSocketAsksAPeerThatKeepsItsPort) {
  Puncher puncher(options(true));
  puncher.add_remote({CandidateKind::Host, {"192.168.0.5", 98}}, net_.now);
  puncher.add_remote(candidate(CandidateKind::Host, 99), net_.now);  // behind a firewall alone
  puncher.add_remote(candidate(CandidateKind::External, 100), net_.now);
  puncher.add_socket(1, false, net_.now, Puncher::Use::Predicting);
  EXPECT_THAT(targets(puncher.poll(net_.now)),
              testing::ElementsAre(std::pair(1U, 99), std::pair(1U, 100)));
}

TEST_F(Punching, GuessesMeetOneOfManySockets) {
  // left: symmetric, many sockets; right: keeps its port and guesses. 1,024 guesses are right once
  // in 60 times not; here there are so many that it will not happen.
  timeout_ = 12s;
  make(kind("symmetric"), kind("port-restricted"));
  net_.one_way = 20ms;
  net_.external(left_->site, 0), net_.external(right_->site, 0);
  left_->knows(*right_);
  right_->knows(*left_);
  for (unsigned i = 1; i <= 256; ++i)
    left_->puncher.add_socket(i, false, net_.now, Puncher::Use::Many);
  run(300ms);
  right_->puncher.guess(left_->site.nat.address, 64512, net_.now);
  Duration took{};
  while (!up() && took < 11s) {
    run(100ms);
    took += 100ms;
  }
  EXPECT_TRUE(up()) << right_->puncher.why();
  const double seconds = std::chrono::duration<double>(took).count() + 0.3;
  EXPECT_LE(static_cast<double>(right_->site.packets_sent),
            seconds * Puncher::kMostPerSecond + 2 * Puncher::kBurst);
}

TEST_F(Punching, AGuessThatMetNeedsNoAckOfItsOwn) {
  // Neither end's address was named to the other.
  Time now = net_.now;
  Puncher guesser(options(true)), many(options(false));
  guesser.add_socket(0, false, now);
  many.add_socket(7, false, now, Puncher::Use::Many);
  guesser.guess("198.51.100.7", 1, now);
  const auto guess = guesser.poll(now);
  ASSERT_EQ(guess.size(), 1U);
  const Endpoint here{"203.0.113.9", 5000}, there = guess[0].to;
  EXPECT_TRUE(many.received(7, here, guess[0].bytes, now));
  unsigned lost = 0;
  for (const Time end = now + 200ms; now < end; now += 1ms) {
    for (const Outgoing &each : many.poll(now)) {
      const bool ack = rtp::stun::Message::parse(each.bytes)->kind() == rtp::stun::Class::Success;
      if (ack && lost++ == 0) continue;
      EXPECT_TRUE(guesser.received(0, there, each.bytes, now));
    }
    for (const Outgoing &each : guesser.poll(now))
      EXPECT_TRUE(many.received(7, here, each.bytes, now));
  }
  EXPECT_EQ(many.state(), State::Up);
  EXPECT_EQ(guesser.state(), State::Up);
}

}  // namespace
}  // namespace junctor::nat
