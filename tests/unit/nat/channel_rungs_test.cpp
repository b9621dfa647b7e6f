// SPDX-License-Identifier: LGPL-2.1-or-later
// Channels over a node, and from one way to another.
#include <gmock/gmock.h>

#include <array>
#include <atomic>

#include "../own_network.h"
#include "channel_fixture.h"

namespace junctor::nat {
namespace {

using testing::HasSubstr;

/// The least that a node is: a puncher for each leg on one socket, RTP passed on as it is, RTCP
/// opened and closed. On the reactor.
class Node {
 public:
  Node(std::shared_ptr<Reactor> reactor, std::string session)
      : reactor_(std::move(reactor)), session_(leg_session(session, "n1")) {
    auto socket = bind_udp({"0.0.0.0", 0});
    EXPECT_TRUE(socket);
    socket_ = std::move(*socket);
    reactor_->invoke([this] {
      watch_ = reactor_->watch(socket_.get(), EPOLLIN, [this](std::uint32_t) { read(); });
    });
  }
  ~Node() { stop(); }
  void stop() {
    reactor_->invoke([this] {
      watch_.reset();
      timer_.reset();
      legs_.clear();
    });
  }

  /// Those whom it expected are forgotten.
  void forget() { legs_.clear(); }
  /// The offer for the client of this description, as the rendezvous would send it.
  std::string expect(const std::string &client) {
    auto signal = parse_signal(client);
    EXPECT_TRUE(signal);
    const auto &description = std::get<Description>(*signal);
    auto key = KeyPair::generate();
    auto keys = agree(*key, description.key, Side::Callee, session_);
    EXPECT_TRUE(keys);
    auto leg = std::make_unique<Leg>();
    leg->tag = random_tag();
    PuncherOptions options;
    options.probe_own = keys->probe_own;
    options.probe_peer = keys->probe_peer;
    options.own_tag = leg->tag;
    options.peer_tag = leg_tag(description.tag, session_);
    leg->puncher.emplace(options);
    leg->puncher->add_socket(0, false, Clock::now());
    for (const Candidate &each : description.candidates)
      leg->puncher->add_remote(each, Clock::now());
    leg->srtcp = *rtp::Srtp::make(keys->srtcp);
    const Description own{
        key->public_key(), leg->tag, 1, {{CandidateKind::Host, local_endpoint(socket_.get())}}};
    legs_.push_back(std::move(leg));
    step();
    return R"({"type":"node","node":"n1","description":)" + to_string(Signal(own)) + "}";
  }

  std::size_t passed_ = 0;
  std::function<void()> on_both_;

 private:
  struct Leg {
    std::string tag;
    std::optional<Puncher> puncher;
    std::unique_ptr<rtp::Srtp> srtcp;
  };
  void step() {
    std::optional<Time> next;
    for (const auto &leg : legs_) {
      for (const Outgoing &each : leg->puncher->poll(Clock::now())) send(each.to, each.bytes);
      (void)leg->puncher->take_events();
      if (const auto at = leg->puncher->next(); at && (!next || *at < *next)) next = at;
    }
    if (next) timer_ = reactor_->at(*next, [this] { step(); });
    const bool both = legs_.size() == 2 && std::ranges::all_of(legs_, [](const auto &leg) {
                        return leg->puncher->state() == Puncher::State::Up;
                      });
    if (both && on_both_) std::exchange(on_both_, nullptr)();
  }
  void send(const Endpoint &to, ByteSpan bytes) {
    const auto raw = to.to_sockaddr();
    (void)::sendto(socket_.get(), bytes.data(), bytes.size(), 0,
                   reinterpret_cast<const sockaddr *>(&*raw), sockaddr_length(*raw));
  }
  void read() {
    alignas(8) std::array<std::byte, 2048> buffer;
    sockaddr_storage raw{};
    socklen_t length = sizeof raw;
    const ssize_t got = ::recvfrom(socket_.get(), buffer.data(), buffer.size(), 0,
                                   reinterpret_cast<sockaddr *>(&raw), &length);
    if (got <= 0) return;
    const Endpoint from = Endpoint::from_sockaddr(reinterpret_cast<const sockaddr *>(&raw));
    const auto datagram = std::span(buffer).first(static_cast<std::size_t>(got));
    if (std::to_integer<unsigned>(datagram[0]) < 4) {
      for (const auto &leg : legs_)
        if (leg->puncher->received(0, from, datagram, Clock::now())) break;
      return step();
    }
    for (std::size_t i = 0; i < legs_.size(); ++i) {
      const auto &path = legs_[i]->puncher->path();
      if (!path || path->remote != from) continue;
      Leg &to = *legs_[1 - i];
      std::size_t size = datagram.size();
      if (const auto type = std::to_integer<unsigned>(datagram[1]); type >= 192 && type < 224) {
        ASSERT_EQ(legs_[i]->srtcp->unprotect_rtcp(datagram, size), rtp::Srtp::Verdict::Authentic);
        ASSERT_TRUE(to.srtcp->protect_rtcp(std::span(buffer), size));
      }
      send(to.puncher->path()->remote, ByteSpan(buffer).first(size));
      ++passed_;
    }
  }

  const std::shared_ptr<Reactor> reactor_;
  const std::string session_;
  UniqueFd socket_;
  Reactor::Watch watch_;
  Reactor::Timer timer_;
  std::vector<std::unique_ptr<Leg>> legs_;
};

/// What stands between two ends: each sees the other at an address of the wire's, and nothing
/// passes while it is cut. Its functions run on the reactor.
class Wire {
 public:
  /// Each end reaches it at `address`; unset: at the other's.
  explicit Wire(std::shared_ptr<Reactor> reactor, std::optional<std::string> address = {})
      : reactor_(std::move(reactor)), address_(std::move(address)) {
    for (std::size_t i = 0; i < 2; ++i) {
      auto socket = bind_udp({address_.value_or("0.0.0.0"), 0});
      EXPECT_TRUE(socket);
      sockets_[i] = std::move(*socket);
    }
    reactor_->invoke([this] {
      for (std::size_t i = 0; i < 2; ++i)
        watches_[i] =
            reactor_->watch(sockets_[i].get(), EPOLLIN, [this, i](std::uint32_t) { pass(i); });
    });
  }
  ~Wire() {
    reactor_->invoke([this] { watches_ = {}; });
  }
  /// A string of an end's, for the other: `socket` is where the other sends to.
  std::string rewrite(const std::string &text, std::size_t socket) const {
    auto signal = parse_signal(text);
    EXPECT_TRUE(signal);
    const auto replace = [&](std::vector<Candidate> &candidates) {
      std::erase_if(candidates, [](const Candidate &each) { return is_v6(each.endpoint); });
      for (Candidate &each : candidates)
        each.endpoint = {address_.value_or(each.endpoint.address),
                         local_endpoint(sockets_[socket].get()).port};
    };
    if (auto *description = std::get_if<Description>(&*signal)) replace(description->candidates);
    if (auto *more = std::get_if<MoreCandidates>(&*signal)) replace(more->candidates);
    return to_string(*signal);
  }
  std::atomic<bool> cut_ = false;
  std::atomic<std::size_t> unanswered_ = 2;  ///< an end that gets no answers to its test packets

 private:
  static bool is_answer(std::span<const std::byte> packet) {
    return packet.size() > 1 && packet[0] == std::byte{1} && packet[1] == std::byte{1};
  }
  void pass(std::size_t from) {
    std::array<std::byte, 2048> buffer;
    socklen_t length = sizeof(sockaddr_storage);
    const ssize_t got = ::recvfrom(sockets_[from].get(), buffer.data(), buffer.size(), 0,
                                   reinterpret_cast<sockaddr *>(&ends_[from].emplace()), &length);
    const std::size_t to = 1 - from;
    if (got <= 0 || cut_ || !ends_[to]) return;
    if (unanswered_ == to && is_answer(std::span(buffer).first(static_cast<std::size_t>(got))))
      return;
    (void)::sendto(sockets_[to].get(), buffer.data(), static_cast<std::size_t>(got), 0,
                   reinterpret_cast<const sockaddr *>(&*ends_[to]), sockaddr_length(*ends_[to]));
  }
  const std::shared_ptr<Reactor> reactor_;
  const std::optional<std::string> address_;
  std::array<UniqueFd, 2> sockets_;
  std::array<Reactor::Watch, 2> watches_;
  std::array<std::optional<sockaddr_storage>, 2> ends_;
};

TEST_F(Channels, ANodeCarriesWhereThereIsNoOtherWay) {
  Node node(reactor(), "s1");
  open({Rung::Sfu});
  std::string offers[2];
  reactor()->invoke([&] {
    offers[0] = node.expect(caller_->signals_.front());
    offers[1] = node.expect(callee_->signals_.front());
    node.on_both_ = [&] {
      for (End *each : {caller_.get(), callee_.get()})
        each->channel().post_offer(R"({"type":"node-up","node":"n1"})");
    };
  });
  caller_->on_want_ = [&](Rung) { caller_->channel().post_offer(offers[0]); };
  callee_->on_want_ = [&](Rung) { callee_->channel().post_offer(offers[1]); };
  join();
  for (End *each : {caller_.get(), callee_.get()}) {
    ASSERT_TRUE(each->wait_event(ChannelEvent::Kind::Up));
    const ChannelStats stats = each->channel().stats();
    EXPECT_EQ(stats.rung, "sfu");
    EXPECT_EQ(stats.node, "n1");
    EXPECT_EQ(each->wanted_, std::vector{Rung::Sfu});
  }
  ASSERT_NO_FATAL_FAILURE(talk());
  EXPECT_GE(node.passed_, 20U);
  EXPECT_EQ(caller_->complaints_ + callee_->complaints_, "");

  // It goes away without a word.
  reactor()->invoke([&] {
    for (End *each : {caller_.get(), callee_.get()})
      each->on_want_ = [each](Rung) {
        each->channel().post_offer(R"({"type":"no-node","why":"no other is online"})");
      };
  });
  node.stop();
  for (End *each : {caller_.get(), callee_.get()}) {
    ASSERT_TRUE(each->wait_event(ChannelEvent::Kind::Failed));
    EXPECT_THAT(each->events_.back().why, HasSubstr("node n1 was lost"));
    EXPECT_THAT(each->events_.back().why, HasSubstr("no other is online"));
  }
}

TEST_F(Channels, TheDirectWayTakesOverFromANode) {
  Node node(reactor(), "s1");
  open({Rung::P2p, Rung::Sfu});
  reactor()->invoke([&] {
    const std::string first = node.expect(caller_->signals_.front()),
                      second = node.expect(callee_->signals_.front());
    ASSERT_TRUE(caller_->channel().take_offer(first));
    ASSERT_TRUE(callee_->channel().take_offer(second));
  });
  join();
  for (End *each : {caller_.get(), callee_.get()}) {
    ASSERT_TRUE(each->wait_event(ChannelEvent::Kind::Up));
    EXPECT_EQ(each->channel().stats().rung, "p2p");
  }
  ASSERT_NO_FATAL_FAILURE(talk());
}

/// A direct way that can be cut, and a node, while both speak.
class Cut : public Channels {
 protected:
  void TearDown() override {
    reactor()->invoke([&] { speaking_.reset(); });
    Channels::TearDown();
  }
  void open_through_wire(const std::vector<Rung> &rungs) {
    ASSERT_NO_FATAL_FAILURE(open(rungs));
    caller_->through_ = [this](const std::string &text) { return wire_->rewrite(text, 1); };
    callee_->through_ = [this](const std::string &text) { return wire_->rewrite(text, 0); };
    for (End *each : {caller_.get(), callee_.get()})
      each->on_want_ = [this, each](Rung) {
        each->channel().post_offer(offers_[each == caller_.get() ? 0 : 1]);
      };
    name_node();
  }
  /// The node expects both, once more.
  void name_node() {
    reactor()->invoke([&] {
      node_->forget();
      offers_[0] = node_->expect(caller_->signals_.front());
      offers_[1] = node_->expect(callee_->signals_.front());
      node_->on_both_ = [&] {
        for (End *each : {caller_.get(), callee_.get()})
          each->channel().post_offer(R"({"type":"node-up","node":"n1"})");
      };
    });
  }
  void speak() {
    reactor()->invoke([&] { say(); });
  }
  void say() {
    for (End *each : {caller_.get(), callee_.get()})
      each->channel().send(rtp_packet(static_cast<std::uint16_t>(sequence_)), false);
    ++sequence_;
    speaking_ = reactor()->after(20ms, [this] { say(); });
  }
  /// Both, since a moment ago.
  void hear() {
    for (End *each : {caller_.get(), callee_.get()}) {
      std::size_t before = 0;
      each->wait([&](const End &self) {
        before = self.rtp_.size();
        return true;
      });
      EXPECT_TRUE(each->wait([&](const End &self) { return self.rtp_.size() >= before + 10; }));
    }
  }

  void SetUp() override {
    Channels::SetUp();
    wire_ = std::make_unique<Wire>(reactor());
    node_ = std::make_unique<Node>(reactor(), "s1");
  }
  std::unique_ptr<Wire> wire_;
  std::unique_ptr<Node> node_;
  std::string offers_[2];
  Reactor::Timer speaking_;
};

TEST_F(Cut, ANodeThatWasLetGoCarriesAgain) {
  wire_->cut_ = true;
  ASSERT_NO_FATAL_FAILURE(open_through_wire({Rung::P2p, Rung::Sfu}));
  join();
  for (End *each : {caller_.get(), callee_.get()})
    ASSERT_TRUE(each->wait_log(LadderEntry::State::Carrying, {Rung::Sfu, "n1"}));
  wire_->cut_ = false;
  speak();
  for (End *each : {caller_.get(), callee_.get()})
    ASSERT_TRUE(each->wait_log(LadderEntry::State::Stopped, {Rung::Sfu, "n1"}));
  EXPECT_EQ(caller_->channel().stats().rung, "p2p");
  ASSERT_NO_FATAL_FAILURE(hear());

  name_node();
  const std::size_t told[] = {caller_->log_.size(), callee_->log_.size()};
  wire_->cut_ = true;
  const Time then = Clock::now();
  ASSERT_TRUE(caller_->wait_log(LadderEntry::State::Carrying, {Rung::Sfu, "n1"}, told[0]));
  ASSERT_TRUE(callee_->wait_log(LadderEntry::State::Carrying, {Rung::Sfu, "n1"}, told[1]));
  RecordProperty("ms", std::to_string((Clock::now() - then) / 1ms));
  ASSERT_NO_FATAL_FAILURE(hear());
}

TEST_F(Cut, WithoutAWayItSaysSoOnceAndThenWhenThereIsOne) {
  ASSERT_NO_FATAL_FAILURE(open_through_wire({Rung::P2p}));
  join();
  for (End *each : {caller_.get(), callee_.get()})
    ASSERT_TRUE(each->wait_event(ChannelEvent::Kind::Up));
  speak();
  ASSERT_NO_FATAL_FAILURE(hear());
  wire_->cut_ = true;
  for (End *each : {caller_.get(), callee_.get()}) {
    ASSERT_TRUE(each->wait(
        [](const End &self) { return self.events_.back().kind == ChannelEvent::Kind::Trying; }));
    EXPECT_NE(each->events_.back().why, "");
    const ChannelStats stats = each->channel().stats();
    EXPECT_EQ(stats.state, ChannelState::Trying);
    EXPECT_EQ(stats.rung + stats.remote, "");
  }
  wire_->cut_ = false;
  for (End *each : {caller_.get(), callee_.get()}) {
    ASSERT_TRUE(each->wait(
        [](const End &self) { return self.events_.back().kind == ChannelEvent::Kind::Moved; }));
    EXPECT_GT(each->events_.back().took, 0ms);
    EXPECT_EQ(each->events_.size(), 4U) << "trying, up, trying, moved";
    EXPECT_EQ(each->channel().stats().rung, "p2p");
  }
  ASSERT_NO_FATAL_FAILURE(hear());
}

/// The callee's test packets arrive, and the caller's too; the callee gets no answer.
class OneSideHasAnAnswer : public Cut {
 protected:
  void join_unanswered(bool told) {
    wire_->unanswered_ = 1;
    ASSERT_NO_FATAL_FAILURE(open_through_wire({Rung::P2p}));
    caller_->through_ = [this, told](const std::string &text) {
      const auto signal = parse_signal(text);
      if (!told && signal && std::holds_alternative<Up>(*signal)) return std::string();
      return wire_->rewrite(text, 1);
    };
    join();
    ASSERT_TRUE(caller_->wait_event(ChannelEvent::Kind::Up));
  }
};

TEST_F(OneSideHasAnAnswer, AndItsWordBringsTheOtherUp) {
  ASSERT_NO_FATAL_FAILURE(join_unanswered(true));
  ASSERT_TRUE(callee_->wait_event(ChannelEvent::Kind::Up));
  EXPECT_EQ(callee_->channel().stats().rung, "p2p");
  EXPECT_FALSE(callee_->channel().stats().round_trip) << "nothing was answered";
  speak();
  ASSERT_NO_FATAL_FAILURE(hear());
}

TEST_F(OneSideHasAnAnswer, AndWithoutItsWordTheOtherHasNoWay) {
  timeout_ = 700ms;
  ASSERT_NO_FATAL_FAILURE(join_unanswered(false));
  ASSERT_TRUE(callee_->wait_event(ChannelEvent::Kind::Failed));
  EXPECT_NE(callee_->events_.back().why.find("none was answered"), std::string::npos)
      << callee_->events_.back().why;
  EXPECT_EQ(caller_->channel().stats().state, ChannelState::Up);
}

TEST_F(Cut, WithoutANodeItSaysSoAndDropsPackets) {
  wire_->cut_ = true;
  ASSERT_NO_FATAL_FAILURE(open_through_wire({Rung::Sfu}));
  join();
  for (End *each : {caller_.get(), callee_.get()})
    ASSERT_TRUE(each->wait_event(ChannelEvent::Kind::Up));
  speak();
  ASSERT_NO_FATAL_FAILURE(hear());
  for (End *each : {caller_.get(), callee_.get()}) each->on_want_ = nullptr;
  reactor()->invoke([&] { node_->forget(); });
  for (End *each : {caller_.get(), callee_.get()})
    ASSERT_TRUE(each->wait(
        [](const End &self) { return self.events_.back().kind == ChannelEvent::Kind::Trying; }));
  const auto before = caller_->channel().stats();
  ASSERT_TRUE(caller_->wait([&](const End &self) {
    return self.events_.back().kind == ChannelEvent::Kind::Failed ||
           caller_->channel().stats().unsent > before.unsent + 5;
  }));
  EXPECT_EQ(caller_->channel().stats().packets_sent, before.packets_sent);
}

TEST_F(Channels, ANodeThatNamesOneGenerationAfterTheOtherIsRefused) {
  Node node(reactor(), "s1");
  open({Rung::Sfu});
  std::string offer;
  reactor()->invoke([&] { offer = node.expect(caller_->signals_.front()); });
  caller_->on_want_ = [&](Rung) { caller_->channel().post_offer(offer); };
  join();
  ASSERT_TRUE(caller_->wait_log(LadderEntry::State::Trying, {Rung::Sfu, "n1"}));
  for (int i = 2; i < 20; ++i)
    caller_->channel().post_offer(
        R"({"type":"node-signal","node":"n1","data":{"type":"candidates","generation":)" +
        std::to_string(i) + R"(,"candidates":[]}})");
  EXPECT_TRUE(caller_->wait([](const End &self) {
    return self.complaints_.find("node n1 changes addresses too often") != std::string::npos;
  }));
  caller_->channel().close();
}

class Password : public Cut, public testing::WithParamInterface<int> {};

TEST_P(Password, OfARelayIsAskedForAnewWhenItsTimeIsOver) {
  ASSERT_NO_FATAL_FAILURE(open_through_wire({Rung::P2p, Rung::Relay}));
  for (End *each : {caller_.get(), callee_.get()})
    each->on_want_ = [each](Rung) {
      each->channel().post_offer(
          R"({"type":"turn","urls":["turn:127.0.0.1:9"],"username":"u","credential":"p","ttl":)" +
          std::to_string(GetParam()) + "}");
    };
  join();
  speak();
  for (std::size_t round = 1; round <= 2; ++round) {
    ASSERT_TRUE(caller_->wait([&](const End &self) {
      return static_cast<std::size_t>(std::ranges::count(self.log_, LadderEntry::State::Carrying,
                                                         &LadderEntry::state)) == round;
    }));
    ASSERT_NO_FATAL_FAILURE(hear());
    wire_->cut_ = true;
    ASSERT_TRUE(caller_->wait([&](const End &self) {
      return std::ranges::count_if(self.log_, [](const LadderEntry &each) {
               return each.attempt.rung == Rung::Relay && each.state == LadderEntry::State::Trying;
             }) == static_cast<std::ptrdiff_t>(round);
    }));
    wire_->cut_ = false;
  }
  reactor()->invoke([] {});  // what was to be asked has been asked
  std::size_t asked = 0;
  caller_->wait([&](const End &self) {
    asked = self.wanted_.size();
    return true;
  });
  EXPECT_EQ(asked, GetParam() == 1 ? 2U : 1U);
}

INSTANTIATE_TEST_SUITE_P(Seconds, Password, testing::Values(1, 3600));

TEST_F(Channels, WithoutATurnServerTheRelayFailsWithTheReason) {
  open({Rung::Relay});
  for (End *each : {caller_.get(), callee_.get()})
    each->on_want_ = [each](Rung rung) {
      EXPECT_EQ(rung, Rung::Relay);
      each->channel().post_offer(R"({"type":"no-turn","why":"this server has none"})");
    };
  join();
  ASSERT_TRUE(caller_->wait_event(ChannelEvent::Kind::Failed));
  EXPECT_EQ(caller_->events_.back().why, "relay failed: this server has none");
}

TEST_F(Channels, ARelayThatNobodyNamesFailsWithTheReason) {
  open({Rung::Relay});
  join();
  ASSERT_TRUE(caller_->wait_event(ChannelEvent::Kind::Failed));
  EXPECT_EQ(caller_->events_.back().why,
            "relay failed: no answer within 5000 ms: nobody named a relay");
}

TEST_F(Channels, WhoIsOnThisMachineNeedsNoNetwork) {
  const bool made = in_own_network({"198.51.100.7"}, [this] {
    thread_ = std::move(*ReactorThread::start("channels"));
    open({Rung::P2p});
    join();
    for (End *each : {caller_.get(), callee_.get()})
      ASSERT_TRUE(each->wait_event(ChannelEvent::Kind::Up)) << each->complaints_;
    EXPECT_TRUE(caller_->events_.back().remote.starts_with("198.51.100.7:"));
    EXPECT_TRUE(set_own_address(0, ""));
    for (End *each : {caller_.get(), callee_.get()})
      EXPECT_TRUE(each->wait([](const End &self) {
        return self.events_.back().kind == ChannelEvent::Kind::Moved &&
               self.events_.back().remote.starts_with("127.0.0.1:");
      }));
    talk();
    caller_.reset();
    callee_.reset();
    thread_.reset();
  });
  if (!made) GTEST_SKIP() << "no network of one's own can be made here";
}

/// Both are on one machine, and see each other at an address that is not its own.
class WithoutANetwork : public Channels {
 protected:
  static constexpr const char *kAddress = "198.51.100.7", *kOther = "203.0.113.7";
  /// Runs `test` when both are up, and the addresses of the machine go one after the other.
  void lose_network(const std::vector<Rung> &rungs, const std::function<void()> &test) {
    const bool made = in_own_network({kAddress, kOther}, [&] {
      thread_ = std::move(*ReactorThread::start("channels"));
      wire_ = std::make_unique<Wire>(reactor(), "198.51.100.99");
      ASSERT_NO_FATAL_FAILURE(open(rungs));
      caller_->through_ = [this](const std::string &text) { return wire_->rewrite(text, 1); };
      callee_->through_ = [this](const std::string &text) { return wire_->rewrite(text, 0); };
      join();
      std::size_t said[2] = {};
      for (End *each : ends())
        ASSERT_TRUE(each->wait_event(ChannelEvent::Kind::Up)) << each->complaints_;
      for (std::size_t i = 0; i < 2; ++i) said[i] = now_of(*ends()[i]).signals;
      wire_->cut_ = true;
      EXPECT_TRUE(set_own_address(1, ""));
      for (std::size_t i = 0; i < 2; ++i)
        ASSERT_TRUE(
            ends()[i]->wait([&](const End &self) { return self.signals_.size() > said[i]; }));
      EXPECT_TRUE(set_own_address(0, ""));
      test();
      caller_.reset();
      callee_.reset();
      wire_.reset();
      thread_.reset();
    });
    if (!made) GTEST_SKIP() << "no network of one's own can be made here";
  }
  struct Now {
    std::size_t signals, lost, tried;
  };
  static Now now_of(End &end) {
    Now now{};
    end.wait([&](const End &self) {
      using State = LadderEntry::State;
      now = {
          self.signals_.size(),
          static_cast<std::size_t>(std::ranges::count(self.log_, State::Lost, &LadderEntry::state)),
          static_cast<std::size_t>(
              std::ranges::count(self.log_, State::Trying, &LadderEntry::state))};
      return true;
    });
    return now;
  }
  std::array<End *, 2> ends() const { return {caller_.get(), callee_.get()}; }
  std::unique_ptr<Wire> wire_;
};

TEST_F(WithoutANetwork, AWayWhoseRepairFailsMeanwhileIsKept) {
  timeout_ = 600ms;
  lose_network({Rung::P2p, Rung::Sfu}, [this] {
    std::this_thread::sleep_for(2 * timeout_);
    for (End *each : ends()) EXPECT_EQ(now_of(*each).lost, 0U);
    wire_->cut_ = false;
    EXPECT_TRUE(set_own_address(0, kAddress));
    for (End *each : ends())
      EXPECT_TRUE(each->wait(
          [](const End &self) { return self.events_.back().kind == ChannelEvent::Kind::Moved; }));
    talk();
  });
}

TEST_F(WithoutANetwork, TheOnlyWayIsGivenUpAfterAWhile) {
  timeout_ = 300ms;
  patience_ = 1s;
  lose_network({Rung::P2p}, [this] {
    for (End *each : ends()) {
      ASSERT_TRUE(each->wait_event(ChannelEvent::Kind::Failed));
      EXPECT_THAT(each->events_.back().why, HasSubstr("p2p was lost"));
      EXPECT_EQ(now_of(*each).tried, 2U) << "first, and once more after the patience";
    }
  });
}

}  // namespace
}  // namespace junctor::nat
