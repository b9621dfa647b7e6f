// SPDX-License-Identifier: LGPL-2.1-or-later
// A node between two clients, on loopback.
#include "node/hub.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>

#include "../../own_network.h"
#include "nat/core/description.h"
#include "nat/core/offer.h"
#include "nat/core/remote_end.h"
#include "rtp/core/demux.h"
#include "rtp/core/packet.h"
#include "rtp/core/rtcp.h"
#include "rtp/core/srtp.h"

namespace junctor::node {
namespace {

using namespace std::chrono_literals;

/// What a client does towards a node, without the rest of a channel.
class Client {
 public:
  Client(std::shared_ptr<Reactor> reactor, std::string name)
      : reactor_(std::move(reactor)), name(std::move(name)) {
    open_socket();
  }

  LegDescription describe() const {
    nat::Description mine{key_.public_key(), tag_, 1, {}};
    if (named) mine.candidates = {{nat::CandidateKind::Host, local_endpoint(fd_.get())}};
    return {name, nat::to_string(nat::Signal(mine))};
  }

  void punch(const std::string &channel, const std::string &description) {
    const auto parsed = nat::parse_signal(description);
    ASSERT_TRUE(parsed) << parsed.error().detail;
    const auto &theirs = std::get<nat::Description>(*parsed);
    keys = *nat::agree(key_, theirs.key, nat::Side::Caller, channel);
    nat::PuncherOptions options;
    options.probe_own = keys.probe_own;
    options.probe_peer = keys.probe_peer;
    options.own_tag = nat::leg_tag(tag_, channel);
    options.peer_tag = theirs.tag;
    puncher.emplace(std::move(options));
    const Time now = Clock::now();
    puncher->add_socket(0, false, now);
    for (const auto &each : theirs.candidates) puncher->add_remote(each, now);
    step();
  }

  /// From another port, as behind a NAT that has forgotten.
  void move() {
    watch_.reset();
    open_socket();
    puncher->restart(Clock::now());
    step();
  }

  void send(ByteSpan bytes) { send_to(puncher->path()->remote, bytes); }
  void send_to(const Endpoint &to, ByteSpan bytes) {
    const auto raw = *to.to_sockaddr();
    static_cast<void>(::sendto(fd_.get(), bytes.data(), bytes.size(), 0,
                               reinterpret_cast<const sockaddr *>(&raw), sockaddr_length(raw)));
  }
  bool up() const { return puncher && puncher->path().has_value(); }
  Endpoint local() const { return local_endpoint(fd_.get()); }

  std::optional<nat::Puncher> puncher;
  nat::ChannelKeys keys;
  std::vector<Bytes> rtp, rtcp;
  unsigned heard = 0;  // datagrams of any kind
  bool named = true;   // whether it tells where it is
  bool silent = false;

 private:
  void open_socket() {
    fd_ = *bind_udp({"127.0.0.1", 0});
    watch_ = reactor_->watch(fd_.get(), EPOLLIN, [this](std::uint32_t) { read(); });
  }
  void read() {
    Bytes bytes(2000);
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    const ssize_t size = ::recvfrom(fd_.get(), bytes.data(), bytes.size(), 0,
                                    reinterpret_cast<sockaddr *>(&from), &length);
    if (size <= 0) return;
    ++heard;
    bytes.resize(static_cast<std::size_t>(size));
    const auto kind = rtp::packet_kind(bytes);
    if (kind == rtp::PacketKind::Rtp)
      rtp.push_back(std::move(bytes));
    else if (kind == rtp::PacketKind::Rtcp)
      rtcp.push_back(std::move(bytes));
    else if (puncher && !silent) {
      puncher->received(0, Endpoint::from_sockaddr(reinterpret_cast<sockaddr *>(&from)), bytes,
                        Clock::now());
      step();
    }
  }
  void step() {
    if (silent) return;
    for (const auto &each : puncher->poll(Clock::now())) send_to(each.to, each.bytes);
    puncher->take_events();
    if (const auto next = puncher->next()) timer_ = reactor_->at(*next, [this] { step(); });
  }

  std::shared_ptr<Reactor> reactor_;
  UniqueFd fd_;
  Reactor::Watch watch_;
  Reactor::Timer timer_;
  nat::KeyPair key_ = *nat::KeyPair::generate();
  std::string tag_ = nat::random_tag();

 public:
  const std::string name;
};

Bytes media(std::uint16_t sequence) {
  return rtp::build_packet({96, false, sequence, sequence * 3000U, 7}, Bytes(100));
}

class HubTest : public ::testing::Test {
 protected:
  void SetUp() override { open(60s); }
  void open(Duration idle, Duration timeout = 3s, Duration patience = 0s) {
    HubOptions options;
    options.name = "n7";
    options.listen = {"127.0.0.1", 0};
    options.max_legs = 6;
    options.idle = idle;
    options.timeout = timeout;
    options.patience = patience;
    options.unattended = kUnattended;
    HubEvents events;
    events.leg = [this](const LegEvent &event) {
      tell(event.session + " " + event.leg + " " + std::string(to_string(event.kind)));
    };
    events.lapsed = [this](const std::string &session, const std::string &, const std::string &) {
      tell(session + " lapsed");
    };
    hub = *Hub::open(reactor, std::move(options), std::move(events));
  }
  bool until(const std::function<bool()> &done, int turns = 400) {
    for (int i = 0; i < turns; ++i) {
      if (done()) return true;
      reactor->run_once(20ms);
    }
    return done();
  }
  void serve(const std::string &session = "s1") {
    const auto answers = hub->serve(session, {alice.describe(), bob.describe()});
    ASSERT_TRUE(answers) << answers.error().detail;
    ASSERT_EQ(answers->size(), 2U);
    alice.punch(session + "/n7", (*answers)[0].description);
    bob.punch(session + "/n7", (*answers)[1].description);
  }
  void tell(const std::string &what) {
    told.push_back(what);
    told_at[what] = Clock::now();
  }
  bool heard(const std::string &what) const { return std::ranges::count(told, what) > 0; }
  void turn_for(Duration time) {
    const Time end = Clock::now() + time;
    until([&] { return Clock::now() >= end; });
  }
  /// Says that it is where it is, which asks it anew, and then nothing.
  void go(Client &client) {
    client.silent = true;
    ASSERT_TRUE(hub->take("s1", client.name,
                          nat::to_string(nat::Signal(nat::MoreCandidates{
                              2, {{nat::CandidateKind::Host, client.local()}}}))));
  }
  void come_back(Client &client) {
    told.clear();
    client.silent = false;
    client.puncher->restart(Clock::now());
    ASSERT_TRUE(until([&] { return heard("s1 " + client.name + " up"); }));
  }
  void come_up() {
    serve();
    ASSERT_TRUE(until(
        [&] { return heard("s1 caller up") && heard("s1 callee up") && alice.up() && bob.up(); }));
  }

  std::shared_ptr<Reactor> reactor = *Reactor::create();
  std::unique_ptr<Hub> hub;
  std::vector<std::string> told;
  std::map<std::string, Time> told_at;  // at last
  static constexpr Duration kUnattended = 200ms;
  Client alice{reactor, "caller"}, bob{reactor, "callee"}, eve{reactor, "eve"};
};

TEST_F(HubTest, TwoClientsHearEachOther) {
  come_up();
  alice.send(media(1));
  bob.send(media(2));
  ASSERT_TRUE(until([&] { return !bob.rtp.empty() && !alice.rtp.empty(); }));
  EXPECT_EQ(bob.rtp[0], media(1));
  EXPECT_EQ(alice.rtp[0], media(2));
  EXPECT_EQ(hub->stats().legs_up, 2U);
  EXPECT_GE(hub->stats().forwarded_packets, 2U);  // reports, too, when they are due
}

TEST_F(HubTest, NobodyIsSentToBeforeItsChannelIsUp) {
  const auto answers = hub->serve("s1", {alice.describe(), bob.describe()});
  ASSERT_TRUE(answers);
  alice.punch("s1/n7", (*answers)[0].description);
  ASSERT_TRUE(until([&] { return heard("s1 caller up"); }));
  // Bob's address is known by name only; Eve has none at all.
  alice.send(media(1));
  eve.send_to(hub->local(), media(2));
  bob.send_to(hub->local(), media(3));
  ASSERT_TRUE(until([&] { return hub->stats().strangers == 2; }));
  EXPECT_TRUE(alice.rtp.empty());
  EXPECT_TRUE(bob.rtp.empty());
}

TEST_F(HubTest, AClientThatNamesNoAddressIsFoundByItsProbes) {
  bob.named = false;
  come_up();
  alice.send(media(1));
  EXPECT_TRUE(until([&] { return !bob.rtp.empty(); }));
}

TEST(Hub, KnocksNeitherAtItsOwnDoorsNorAtItsNeighbours) {
  const std::string loopback = "127.0.0.1", link = "169.254.7.1", wider = "10.7.0.1";
  const bool made = in_own_network({link, wider}, [&] {
    const auto reactor = *Reactor::create();
    HubOptions options;
    options.name = "n7";
    options.listen = {"0.0.0.0", 0};
    const auto hub = *Hub::open(reactor, std::move(options), {});
    Doors doors({loopback, link, wider});
    nat::Description named{nat::KeyPair::generate()->public_key(), nat::random_tag(), 1, {}};
    const nat::Description silent{nat::KeyPair::generate()->public_key(), nat::random_tag(), 1, {}};
    for (const Endpoint &each : doors.endpoints())
      named.candidates.push_back({nat::CandidateKind::Host, each});
    ASSERT_TRUE(hub->serve("s1", {{"caller", nat::to_string(nat::Signal(named))},
                                  {"callee", nat::to_string(nat::Signal(silent))}}));
    for (int turn = 0; turn < 500 && !doors.listen(); ++turn) reactor->run_once(10ms);
    EXPECT_EQ(doors.knocked(), std::vector<std::string>{wider});
    EXPECT_EQ(hub->families(), (nat::Families{true, false}));
  });
  if (!made) GTEST_SKIP() << "no network of one's own can be made here";
}

TEST_F(HubTest, RtcpIsKeyedBetweenLegAndNode) {
  come_up();
  alice.send(media(1));
  ASSERT_TRUE(until([&] { return !alice.rtcp.empty(); }));  // its report
  auto srtcp = *rtp::Srtp::make(alice.keys.srtcp);
  Bytes report = alice.rtcp[0];
  std::size_t size = report.size();
  ASSERT_EQ(srtcp->unprotect_rtcp(report, size), rtp::Srtp::Verdict::Authentic);
  report.resize(size);
  const auto items = rtp::rtcp::parse(report);
  ASSERT_TRUE(items);
  const auto *reception = std::get_if<rtp::rtcp::ReceiverReport>(&items->front());
  ASSERT_NE(reception, nullptr);
  ASSERT_EQ(reception->blocks.size(), 1U);
  EXPECT_EQ(reception->blocks[0].ssrc, 7U);
}

TEST_F(HubTest, AClientThatMovesIsFollowed) {
  come_up();
  const Endpoint before = bob.local();
  bob.move();
  ASSERT_TRUE(hub->take("s1", "callee",
                        nat::to_string(nat::Signal(
                            nat::MoreCandidates{2, {{nat::CandidateKind::Host, bob.local()}}}))));
  ASSERT_TRUE(until([&] { return heard("s1 callee moved"); })) << told.back();
  EXPECT_FALSE(before == bob.local());
  // What comes before the new path is chosen is lost.
  std::uint16_t sequence = 5;
  EXPECT_TRUE(until([&] {
    alice.send(media(sequence++));
    return !bob.rtp.empty();
  }));
}

TEST_F(HubTest, SessionsDoNotMeet) {
  come_up();
  Client carol{reactor, "caller"}, dave{reactor, "callee"};
  const auto answers = hub->serve("s2", {carol.describe(), dave.describe()});
  ASSERT_TRUE(answers);
  carol.punch("s2/n7", (*answers)[0].description);
  dave.punch("s2/n7", (*answers)[1].description);
  ASSERT_TRUE(until([&] { return carol.up() && dave.up() && heard("s2 callee up"); }));
  carol.send(media(9));
  ASSERT_TRUE(until([&] { return !dave.rtp.empty(); }));
  EXPECT_TRUE(bob.rtp.empty());
  EXPECT_TRUE(alice.rtp.empty());
  hub->release("s1");
  EXPECT_EQ(hub->sessions(), std::vector<std::string>{"s2"});
  alice.send(media(10));
  ASSERT_TRUE(until([&] { return hub->stats().strangers == 1; }));
  EXPECT_TRUE(bob.rtp.empty());
}

TEST_F(HubTest, RefusesWhatItCannotServe) {
  EXPECT_FALSE(hub->serve("s1", {alice.describe()}));
  EXPECT_FALSE(hub->serve("s1", {alice.describe(), alice.describe()}));
  EXPECT_FALSE(hub->serve("s1", {alice.describe(), {"callee", "{}"}}));
  EXPECT_FALSE(hub->serve("s1", {alice.describe(), {"callee", R"({"type":"up","generation":1})"}}));
  EXPECT_EQ(hub->stats().legs, 0U);
  for (const char *session : {"s1", "s2", "s3"})
    EXPECT_TRUE(hub->serve(session, {alice.describe(), bob.describe()}));
  const auto again = hub->serve("s1", {alice.describe(), bob.describe()});
  ASSERT_FALSE(again);
  const auto full = hub->serve("s4", {alice.describe(), bob.describe()});
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().fault, Fault::Refused);
  EXPECT_EQ(hub->stats().sessions, 3U);
  EXPECT_FALSE(hub->take("s1", "nobody", "{}"));
  EXPECT_FALSE(hub->take("s1", "caller", alice.describe().description));
  EXPECT_FALSE(hub->take("s1", "caller", "nonsense"));
  const std::string more = nat::to_string(nat::Signal(nat::MoreCandidates{1, {}}));
  bool taken = true;
  for (unsigned i = 0; i <= nat::RemoteEnd::kMostStrings && taken; ++i)
    taken = static_cast<bool>(hub->take("s2", "caller", more));
  EXPECT_FALSE(taken);
}

TEST_F(HubTest, WhoChangesAddressesAllTheTimeIsNotFollowed) {
  serve();
  const auto more = [](std::uint32_t generation) {
    return nat::to_string(nat::Signal(
        nat::MoreCandidates{generation, {{nat::CandidateKind::Host, {"192.0.2.1", 9}}}}));
  };
  unsigned taken = 0;
  for (std::uint32_t generation = 2; generation < 40; ++generation)
    taken += static_cast<bool>(hub->take("s1", "caller", more(generation)));
  EXPECT_LE(taken, nat::RemoteEnd::kGenerations + 1);
  EXPECT_GE(taken, 2U);
}

TEST_F(HubTest, WhatIsRefusedMakesNoWork) {
  alice.named = bob.named = false;
  std::string tag;
  for (const char *session : {"s1", "s2", "s3"}) {
    const auto answers = hub->serve(session, {alice.describe(), bob.describe()});
    ASSERT_TRUE(answers) << answers.error().detail;
    tag = std::get<nat::Description>(*nat::parse_signal((*answers)[0].description)).tag;
  }
  until([] { return false; }, 2);
  const auto before = hub->stats().polls;
  // The tag is no secret, the key is.
  constexpr unsigned kForged = 50;
  for (unsigned i = 1; i <= kForged; ++i)
    eve.send_to(hub->local(),
                nat::make_probe(rtp::stun::random_transaction_id(), tag, i, true, nat::ProbeKey{}));
  ASSERT_TRUE(until([&] { return hub->stats().refused == kForged; }));
  EXPECT_EQ(hub->stats().polls, before);
}

TEST_F(HubTest, WhatComesForOneLegIsNoWorkForOthers) {
  alice.named = bob.named = false;
  alice.silent = true;
  std::vector<LegDescription> answers;
  for (const char *session : {"s3", "s2", "s1"})
    answers = *hub->serve(session, {alice.describe(), bob.describe()});
  until([] { return false; }, 2);
  const auto before = hub->stats().polls;
  alice.punch("s1/n7", answers[0].description);
  const std::string tag =
      std::get<nat::Description>(*nat::parse_signal(answers[0].description)).tag;
  constexpr unsigned kProbes = 20;
  for (unsigned i = 1; i <= kProbes; ++i)
    alice.send_to(hub->local(), nat::make_probe(rtp::stun::random_transaction_id(), tag, i, true,
                                                alice.keys.probe_own));
  ASSERT_TRUE(until([&] { return alice.heard >= kProbes; }));
  // She answers nothing, so nothing is due of itself.
  EXPECT_EQ(hub->stats().polls - before, kProbes);
}

TEST_F(HubTest, WhoHasGoneIsSentNothingAnyMore) {
  open(60s, 300ms);
  come_up();
  bob.silent = true;
  ASSERT_TRUE(until([&] { return heard("s1 callee failed"); }));
  until([] { return false; }, 5);  // what was on its way to him
  const unsigned before = bob.heard;
  for (std::uint16_t i = 0; i < 20; ++i) alice.send(media(i));
  EXPECT_FALSE(until([&] { return bob.heard > before; }, 20));
}

TEST_F(HubTest, WhoIsSilentForAMomentIsWaitedFor) {
  open(60s, 100ms, 60s);
  come_up();
  bob.silent = true;
  ASSERT_TRUE(until([&] { return heard("s1 callee silent"); }));
  EXPECT_FALSE(until([&] { return heard("s1 callee failed"); }, 20)) << "several times 100 ms";
  const unsigned before = bob.heard;
  EXPECT_TRUE(until([&] { return bob.heard > before; })) << "it is asked for";
  told.clear();
  bob.silent = false;
  bob.puncher->restart(Clock::now());
  ASSERT_TRUE(until([&] { return heard("s1 callee up"); }));
  alice.send(media(1));
  EXPECT_TRUE(until([&] { return !bob.rtp.empty(); }));
}

TEST_F(HubTest, WhoIsSilentWhileItsAddressesChangeIsWaitedForToo) {
  open(60s, 100ms, 60s);
  come_up();
  ASSERT_NO_FATAL_FAILURE(go(bob));
  turn_for(500ms);
  EXPECT_FALSE(heard("s1 callee failed")) << "several times 100 ms";
  EXPECT_EQ(std::ranges::count(told, "s1 callee silent"), 1);
  EXPECT_EQ(hub->stats().legs_up, 1U);
  ASSERT_NO_FATAL_FAILURE(come_back(bob));
  alice.send(media(1));
  EXPECT_TRUE(until([&] { return !bob.rtp.empty(); }));
}

TEST_F(HubTest, WhoHasLongBeenAwayHasItsTimeFromWhenNobodyCanSayThatItIsOver) {
  for (const bool forgotten : {false, true}) {
    told.clear();
    bob.silent = false;
    open(60s, 100ms);
    come_up();
    ASSERT_NO_FATAL_FAILURE(go(bob));
    ASSERT_TRUE(until([&] { return heard("s1 callee failed"); }));
    turn_for(2 * kUnattended);
    const Time then = Clock::now();
    if (forgotten)
      hub->forgotten();
    else
      hub->set_attended(false);
    ASSERT_TRUE(until([&] { return heard("s1 lapsed"); }));
    EXPECT_GE(told_at["s1 lapsed"] - then, kUnattended);
  }
}

TEST_F(HubTest, WhereOneOfTwoComesBackTheOtherHasItsTimeFromThen) {
  open(60s, 100ms);
  come_up();
  ASSERT_NO_FATAL_FAILURE(go(alice));
  ASSERT_NO_FATAL_FAILURE(go(bob));
  ASSERT_TRUE(until([&] { return heard("s1 caller failed") && heard("s1 callee failed"); }));
  hub->set_attended(false);
  turn_for(2 * kUnattended);
  EXPECT_FALSE(heard("s1 lapsed")) << "nobody waits";
  ASSERT_NO_FATAL_FAILURE(come_back(alice));
  ASSERT_TRUE(until([&] { return heard("s1 lapsed"); }));
  const Duration waited = told_at["s1 lapsed"] - told_at["s1 caller up"];
  EXPECT_GE(waited, kUnattended);
  EXPECT_LT(waited, kUnattended + 2s) << "not with the next question to one of them";
}

TEST(Hub, WithoutANetworkNobodyIsToldOfOtherAddresses) {
  const bool made = in_own_network({"198.51.100.7"}, [&] {
    const auto reactor = *Reactor::create();
    HubOptions options;
    options.name = "n7";
    options.listen = {"0.0.0.0", 0};
    unsigned moved = 0;
    HubEvents events;
    events.moved = [&] { ++moved; };
    const auto hub = *Hub::open(reactor, std::move(options), std::move(events));
    const auto turn = [&](unsigned until) {
      for (int i = 0; i < 20 && moved < until; ++i) reactor->run_once(10ms);
    };
    EXPECT_TRUE(set_own_address(0, ""));
    turn(1);
    EXPECT_TRUE(set_own_address(0, "198.51.100.7"));
    turn(1);
    EXPECT_EQ(moved, 0U) << "gone, and back";
    EXPECT_TRUE(set_own_address(0, ""));
    turn(1);
    EXPECT_TRUE(set_own_address(0, "203.0.113.7"));
    for (int i = 0; i < 500 && moved == 0; ++i) reactor->run_once(10ms);
    EXPECT_EQ(moved, 1U);
  });
  if (!made) GTEST_SKIP() << "no network of one's own can be made here";
}

TEST_F(HubTest, WhereNobodyCanSayThatItIsOverItIsWithTheFirstLegThatGoes) {
  open(60s, 300ms);
  come_up();
  bob.silent = true;
  ASSERT_TRUE(until([&] { return heard("s1 callee failed"); }));
  EXPECT_FALSE(until([&] { return heard("s1 lapsed"); }, 20)) << "he may come back";
  hub->set_attended(false);
  ASSERT_TRUE(until([&] { return heard("s1 lapsed"); }));
  EXPECT_EQ(hub->stats().sessions, 0U);
}

TEST_F(HubTest, WhatItsRendezvousHasForgottenGoesOnWhileBothAreThere) {
  open(60s, 300ms);
  come_up();
  hub->forgotten();
  EXPECT_FALSE(until([&] { return heard("s1 lapsed"); }, 20));
  alice.send(media(1));
  ASSERT_TRUE(until([&] { return !bob.rtp.empty(); }));
  ASSERT_TRUE(hub->serve("s2", {alice.describe(), bob.describe()}));
  bob.silent = true;
  ASSERT_TRUE(until([&] { return heard("s1 lapsed"); }));
  EXPECT_EQ(hub->sessions(), std::vector<std::string>{"s2"}) << "that one it knows";
}

TEST_F(HubTest, WhoNeverComesFailsInTimeAndTheSessionLapses) {
  open(600ms, 200ms);
  ASSERT_TRUE(hub->serve("s1", {alice.describe(), bob.describe()}));
  ASSERT_TRUE(until([&] { return heard("s1 caller failed") && heard("s1 callee failed"); }));
  ASSERT_TRUE(until([&] { return heard("s1 lapsed"); }));
  EXPECT_EQ(hub->stats().legs, 0U);
}

}  // namespace
}  // namespace junctor::node
