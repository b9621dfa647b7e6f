// SPDX-License-Identifier: LGPL-2.1-or-later
#include <gtest/gtest.h>

#include "../temporary_directory.h"
#include "accounts/book.h"
#include "accounts/builtin_authenticator.h"
#include "accounts/dialling.h"
#include "accounts/failures.h"
#include "accounts/networks.h"
#include "book_fixture.h"

using namespace junctor;
using namespace junctor::accounts;
using namespace std::chrono_literals;

TEST(DialRules, NumbersGoOverTheTrunksThatTakeThemForWhoMayUseThem) {
  config::Trunk home, world;
  home.name = "home";
  home.uri = "sip:home.example:5070;transport=tcp";
  home.user = "u1";
  home.password = "p1";
  home.dial = {"0*", "+49*"};
  home.accounts = {"alice"};
  home.asserted = "sip:+4930@home.example";
  home.srtp = rtp::SrtpPolicy::Require;
  world.name = "world";
  world.uri = "sip:world.example";
  world.user = "u2";
  world.from = "+4930";
  world.dial = {"*"};
  world.accounts = {"*"};
  const auto rules = DialRules::compile({{"sip:*@open.example", "", "", ""}}, {home, world});
  ASSERT_TRUE(rules) << rules.error().detail;
  Snapshot accounts;
  const auto over = [&](const char *to, const char *from) {
    return std::get<UriTarget>(*rules->resolve(to, accounts, from));
  };
  const UriTarget first = over("030123", "alice");
  EXPECT_EQ(first.uri, "sip:030123@home.example:5070;transport=tcp");
  EXPECT_EQ(first.trunk, "home");
  EXPECT_EQ(first.user, "u1");
  EXPECT_EQ(first.password, "p1");
  EXPECT_EQ(first.from_user, "u1");
  EXPECT_EQ(first.from_host, "home.example");
  EXPECT_EQ(first.asserted, "sip:+4930@home.example");
  EXPECT_EQ(first.srtp, rtp::SrtpPolicy::Require);
  // Another account has only the other trunk, which takes everything.
  EXPECT_EQ(over("030123", "bob").trunk, "world");
  EXPECT_EQ(over("+1555", "alice").from_user, "+4930");
  EXPECT_EQ(over("+1555", "alice").srtp, std::nullopt);
  EXPECT_EQ(over("sip:030123@world.example", "alice").trunk, "world");
  EXPECT_EQ(over("sip:bob@open.example", "bob").trunk, "");
  // Nobody in particular may use none.
  EXPECT_FALSE(rules->resolve("030123", accounts));
  EXPECT_FALSE(rules->resolve("sip:030123@home.example", accounts, "bob"));
  for (const char *to : {"+", "0;x", "0 1", "123456789012345678901234567890123", "0@home.example:"})
    EXPECT_FALSE(rules->resolve(to, accounts, "alice")) << to;
}

TEST(DialRules, ATrunkIsOpenToNobodyUnlessTold) {
  config::Trunk trunk;
  trunk.name = "carrier";
  trunk.uri = "sip:carrier.example";
  trunk.user = "u";
  trunk.dial = {"*"};
  const auto rules = DialRules::compile({}, {trunk});
  const auto refused = rules->resolve("110", Snapshot{}, "alice");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::Refused);
  EXPECT_NE(refused.error().detail.find("'carrier'"), std::string::npos);
  trunk.uri = "carrier example";
  EXPECT_FALSE(DialRules::compile({}, {trunk}));
}

TEST(Dialling, StarStandsForAnything) {
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("*", "abc"));
  EXPECT_TRUE(matches("a*c", "abbc"));
  EXPECT_TRUE(matches("*.example.org", "pbx.example.org"));
  EXPECT_TRUE(matches("a*b*c", "a1b2b3c"));
  EXPECT_FALSE(matches("*.example.org", "example.org"));
  EXPECT_FALSE(matches("a*c", "ab"));
  EXPECT_FALSE(matches("", "a"));
}

TEST(Dialling, ReadsTheOneFormThatIsDialled) {
  struct Row {
    const char *text, *canonical;
  };
  for (const Row &row :
       {Row{"sip:bob@example.org", "sip:bob@example.org"},
        Row{"bob@Example.ORG", "sip:bob@example.org"},
        Row{"SIP:+49-30@10.0.0.1:5070", "sip:+49-30@10.0.0.1:5070"},
        Row{"sip:bob@[2001:DB8::1]:5060", "sip:bob@[2001:db8::1]:5060"},
        Row{"sip:bob@[::1]", "sip:bob@[::1]"}, Row{"sip:pbx.example.org", "sip:pbx.example.org"},
        Row{"sip:bob@a;transport=TCP", "sip:bob@a;transport=tcp"}}) {
    auto uri = SipUri::parse(row.text);
    ASSERT_TRUE(uri) << row.text;
    EXPECT_EQ(uri->to_string(), row.canonical);
  }
  for (const char *text : {"",
                           "sip:",
                           "sip:@a",
                           "sip:bob@",
                           "sip:bob@a:0",
                           "sip:bob@a:65536",
                           "sip:bob@a:5060x",
                           "sip:bob@a?Replaces=1",
                           "sip:bob@a;maddr=b",
                           "sip:bob@a;transport=tcp;lr",
                           "sips:bob@a",
                           "tel:+4930",
                           "sip:bob@a b",
                           "sip:bob@a>",
                           "sip:bob\r\n@a",
                           "sip:a@b@c",
                           "sip:bob@[::1",
                           "sip:bob@[::1]x",
                           "sip:bob%40a@b",
                           "sip:bob@1.2.3",
                           "sip:bob@a..b",
                           "sip:bob@-a",
                           "sip:bob@[1:2]",
                           "sip:bob@[192.0.2.1]",
                           "sip:bob@*"})
    EXPECT_FALSE(SipUri::parse(text)) << text;
  EXPECT_FALSE(SipUri::parse("sip:" + std::string(300, 'a') + "@b"));
}

TEST(Dialling, TlsAndEncryptionAreForTheRuleToSay) {
  EXPECT_EQ(SipUri::parse("sip:bob@a;transport=TLS")->to_string(), "sip:bob@a;transport=tls");
  auto rules = DialRules::compile({{"sip:*@a", "", "", "", rtp::SrtpPolicy::Require}});
  ASSERT_TRUE(rules);
  const auto target = rules->resolve("sip:bob@a;transport=tls", {});
  ASSERT_TRUE(target);
  EXPECT_EQ(std::get<UriTarget>(*target).srtp, rtp::SrtpPolicy::Require);
}

TEST(Dialling, OnlyAccountsWithoutARule) {
  auto rules = DialRules::compile({});
  ASSERT_TRUE(rules);
  Snapshot accounts;
  accounts.accounts["bob"].name = "bob";
  auto account = rules->resolve("bob", accounts);
  ASSERT_TRUE(account);
  EXPECT_EQ(std::get<AccountTarget>(*account).name, "bob");
  EXPECT_FALSE(rules->resolve("carol", accounts));
  EXPECT_FALSE(rules->resolve("", accounts));
  EXPECT_FALSE(rules->resolve("BOB!", accounts));
  const auto uri = rules->resolve("sip:bob@example.org", accounts);
  ASSERT_FALSE(uri);
  EXPECT_EQ(uri.error().fault, Fault::Refused);
  EXPECT_NE(uri.error().detail.find("sip.allow"), std::string::npos);
}

TEST(Dialling, AnAccountIsMeantByAnAddressHereToo) {
  auto rules = DialRules::compile({{"sip:*@192.0.2.1:*", "", "", ""}}, {},
                                  {{"Calls.Example", "192.0.2.1"}, 5070});
  ASSERT_TRUE(rules);
  Snapshot accounts;
  accounts.accounts["bob"];
  for (const char *to : {"bob@calls.example:5070", "sip:bob@CALLS.example:5070",
                         "sip:bob@192.0.2.1:5070;transport=tcp"}) {
    const auto target = rules->resolve(to, accounts);
    ASSERT_TRUE(target) << to;
    EXPECT_EQ(std::get<AccountTarget>(*target).name, "bob") << to;
  }
  EXPECT_FALSE(rules->resolve("bob@calls.example", accounts)) << "another server's port";
  EXPECT_FALSE(rules->resolve("carol@calls.example:5070", accounts)) << "no account";
  EXPECT_TRUE(std::holds_alternative<UriTarget>(*rules->resolve("bob@192.0.2.1:5071", accounts)));
  const auto usual = DialRules::compile({}, {}, {{"calls.example"}, 5060});
  EXPECT_TRUE(usual->resolve("bob@calls.example", accounts));
  EXPECT_TRUE(usual->resolve("bob@calls.example:5060", accounts));
}

TEST(Dialling, RulesMatchPartByPart) {
  auto rules = DialRules::compile({{"sip:*@example.org", "", "", ""},
                                   {"sip:49*@*.carrier.net", "u", "p", "sip:proxy.carrier.net"},
                                   {"sip:*@127.0.0.1:5070", "", "", ""}});
  ASSERT_TRUE(rules) << rules.error().detail;
  const Snapshot none;
  for (const char *to : {"sip:bob@example.org", "bob@EXAMPLE.org", "sip:bob@example.org:5070",
                         "sip:4930@a.carrier.net", "sip:x@127.0.0.1:5070", "sip:example.org"})
    EXPECT_TRUE(rules->resolve(to, none)) << to;
  for (const char *to : {"sip:bob@evil.org", "sip:bob@example.org.evil.org",
                         "sip:4430@a.carrier.net", "sip:49@carrier.net", "sip:x@127.0.0.1",
                         "sip:x@127.0.0.1:5071", "sip:a@evil.org;x=@example.org"})
    EXPECT_FALSE(rules->resolve(to, none)) << to;
  const auto carrier = std::get<UriTarget>(*rules->resolve("sip:4930@a.carrier.net", none));
  EXPECT_EQ(carrier.uri, "sip:4930@a.carrier.net");
  EXPECT_EQ(carrier.user, "u");
  EXPECT_EQ(carrier.password, "p");
  EXPECT_EQ(carrier.proxy, "sip:proxy.carrier.net");
}

TEST(Dialling, WrongRuleNamesItself) {
  for (const char *text : {"sip:", "nonsense", "sip:example.org", "sip:*@a;transport=tcp", "*@",
                           "sip:a b@c", "sip:*@a:b"}) {
    const auto rules = DialRules::compile({{text, "", "", ""}});
    ASSERT_FALSE(rules) << text;
    EXPECT_NE(rules.error().detail.find(text), std::string::npos);
  }
}

TEST(Networks, ComparesPrefixes) {
  auto networks = Networks::parse({"10.0.0.0/8", "192.168.1.7", "2001:db8::/33"});
  ASSERT_TRUE(networks);
  for (const char *address : {"10.1.2.3", "192.168.1.7", "2001:db8::1", "::ffff:10.9.9.9"})
    EXPECT_TRUE(networks->contain({address, 1})) << address;
  for (const char *address : {"11.1.2.3", "192.168.1.8", "2001:db8:8000::1", "nonsense"})
    EXPECT_FALSE(networks->contain({address, 1})) << address;
  EXPECT_TRUE(Networks::parse({"0.0.0.0/0"})->contain({"8.8.8.8", 1}));
  EXPECT_FALSE(Networks::parse({"0.0.0.0/0"})->contain({"2001:db8::1", 1}));
  for (const char *text : {"10.0.0.0/33", "10.0.0/8", "x", "::/129", "10.0.0.0/", "10.0.0.0/8x"})
    EXPECT_FALSE(Networks::parse({text})) << text;
}

TEST(Failures, DelayGrowsToItsCeilingAndIsForgotten) {
  FailureTable table(1s);
  Time now{};
  const Endpoint guesser{"192.0.2.1", 1};
  std::vector<Duration> delays;
  for (int i = 0; i < 8; ++i) delays.push_back(table.note(guesser, now += 1s));
  EXPECT_EQ(delays, (std::vector<Duration>{0ms, 0ms, 100ms, 200ms, 400ms, 800ms, 1s, 1s}));
  EXPECT_EQ(table.note({"192.0.2.2", 1}, now), 0ms) << "another address";
  now += FailureTable::kForget + 1s;
  EXPECT_EQ(table.note(guesser, now), 0ms);
  for (int i = 0; i < 100; ++i) EXPECT_LE(table.note(guesser, now), 1s);
}

TEST(Failures, OneIpv6NetworkCountsAsOneGuesser) {
  FailureTable table(1s);
  const Time now{};
  table.note({"2001:db8::1", 1}, now);
  table.note({"2001:db8::2", 1}, now);
  EXPECT_EQ(table.note({"2001:db8::3", 1}, now), 100ms);
  EXPECT_EQ(table.note({"2001:db8:0:1::3", 1}, now), 0ms);
}

TEST(Failures, TableIsBounded) {
  FailureTable table(1s);
  Time now{};
  for (std::size_t i = 0; i < FailureTable::kMaxEntries + 1000; ++i)
    table.note({"10." + std::to_string(i >> 16) + "." + std::to_string(i >> 8 & 255) + "." +
                    std::to_string(i & 255),
                1},
               now += 1ms);
  EXPECT_EQ(table.size(), FailureTable::kMaxEntries);
}

// The three checks, through rtmp::Decision as the server asks them.
class Checks : public ::testing::Test {
 protected:
  void SetUp() override {
    book_ = open_book(dir_);
    ASSERT_TRUE(book_->add("alice", std::nullopt, kNow));
    ASSERT_TRUE(book_->add("bob", std::nullopt, kNow));
    auto rules = DialRules::compile({{"sip:*@example.org", "", "", ""}});
    ASSERT_TRUE(rules);
    rules_ = std::make_shared<DialRules>(*rules);
    now_seconds_ = kNow + 1;
    rebuild();
  }

  void rebuild() {
    authenticator_ = std::make_unique<BuiltinAuthenticator>(
        book_, rules_, options_,
        BuiltinAuthenticator::Seams{[this] { return now_seconds_; }, [this] { return now_; },
                                    [this](Duration delay, std::function<void()> function) {
                                      delayed_.emplace_back(delay, std::move(function));
                                    }});
  }

  rtmp::Request request(rtmp::Stage stage, const std::string &token,
                        rtmp::Role role = rtmp::Role::Unknown) const {
    rtmp::Request request;
    request.connection = 1;
    request.stage = stage;
    request.role = role;
    request.app = "call";
    request.address = {"192.0.2.1", 4711};
    if (stage != rtmp::Stage::Connect) request.identity = "alice";
    if (stage == rtmp::Stage::Start) request.stream = "alice";
    if (!token.empty()) request.parameters["token"] = token;
    return request;
  }

  /// Nothing while the refusal is held back.
  std::optional<rtmp::Verdict> ask(const rtmp::Request &request) {
    auto verdict = std::make_shared<std::optional<rtmp::Verdict>>();
    {
      const rtmp::Decision decision([verdict](rtmp::Verdict given) { *verdict = given; });
      authenticator_->check(request, decision);
    }
    return *verdict;
  }

  rtmp::Verdict refused(const rtmp::Request &request, const std::string &part_of_reason) {
    const auto verdict = ask(request);
    EXPECT_TRUE(verdict.has_value());
    if (!verdict) return {};
    EXPECT_FALSE(verdict->accepted);
    EXPECT_NE(verdict->reason.find(part_of_reason), std::string::npos) << verdict->reason;
    EXPECT_EQ(verdict->reason.find("eyJ"), std::string::npos) << "no token in a reason";
    return *verdict;
  }

  void accepted(const rtmp::Request &request, const std::string &identity = "alice") {
    const auto verdict = ask(request);
    ASSERT_TRUE(verdict.has_value());
    EXPECT_TRUE(verdict->accepted) << verdict->reason;
    EXPECT_EQ(verdict->identity, identity);
  }

  std::string token(Rights rights = {true, true}) const {
    return issue(*book_, "alice", rights, 3600, now_seconds_);
  }

  TemporaryDirectory dir_;
  std::shared_ptr<Book> book_;
  std::shared_ptr<DialRules> rules_;
  BuiltinAuthenticator::Options options_;
  std::unique_ptr<BuiltinAuthenticator> authenticator_;
  std::int64_t now_seconds_ = 0;
  Time now_{};
  std::vector<std::pair<Duration, std::function<void()>>> delayed_;
};

TEST_F(Checks, AllThreeAcceptPushAndPull) {
  const std::string good = token();
  accepted(request(rtmp::Stage::Connect, good));
  accepted(request(rtmp::Stage::CreateStream, good));
  accepted(request(rtmp::Stage::Start, good, rtmp::Role::Push));
  accepted(request(rtmp::Stage::Start, good, rtmp::Role::Pull));
}

TEST_F(Checks, ConnectRefusesAnUnknownApplication) {
  auto asked = request(rtmp::Stage::Connect, token());
  asked.app = "live";
  refused(asked, "rtmp://HOST/call?token=TOKEN");
}

TEST_F(Checks, ConnectRefusesAForeignNetwork) {
  options_.networks = *Networks::parse({"10.0.0.0/8"});
  rebuild();
  refused(request(rtmp::Stage::Connect, token()), "192.0.2.1 may not connect");
  auto near = request(rtmp::Stage::Connect, token());
  near.address.address = "10.1.1.1";
  accepted(near);
}

TEST_F(Checks, EachStageRefusesWithoutAToken) {
  for (const auto stage : {rtmp::Stage::Connect, rtmp::Stage::CreateStream, rtmp::Stage::Start})
    refused(request(stage, "", rtmp::Role::Push), "A token is missing");
}

TEST_F(Checks, CreateStreamRefusesWhatExpiredOrWasRevokedSinceConnect) {
  const std::string good = token();
  accepted(request(rtmp::Stage::Connect, good));
  ASSERT_TRUE(book_->revoke_all("alice", now_seconds_));
  refused(request(rtmp::Stage::CreateStream, good), "revoked");
  const std::string next = token();
  accepted(request(rtmp::Stage::Connect, next));
  now_seconds_ += 3600;
  refused(request(rtmp::Stage::CreateStream, next), "expired");
}

TEST_F(Checks, CreateStreamRefusesMoreStreamsThanAllowed) {
  options_.streams_per_account = 2;
  rebuild();
  const std::string good = token();
  authenticator_->stream_started("alice", rtmp::Role::Pull);
  accepted(request(rtmp::Stage::CreateStream, good));
  authenticator_->stream_started("alice", rtmp::Role::Pull);
  refused(request(rtmp::Stage::CreateStream, good), "2 streams");
  refused(request(rtmp::Stage::Start, good, rtmp::Role::Pull), "2 streams");
  accepted(request(rtmp::Stage::Connect, good));
  authenticator_->stream_ended("alice", rtmp::Role::Pull);
  accepted(request(rtmp::Stage::CreateStream, good));
  authenticator_->stream_ended("nobody", rtmp::Role::Push);
}

TEST_F(Checks, WhoPublishesAgainTakesThePlaceOfThePublishBefore) {
  options_.streams_per_account = 2;
  rebuild();
  const std::string good = token();
  authenticator_->stream_started("alice", rtmp::Role::Push);
  authenticator_->stream_started("alice", rtmp::Role::Pull);
  for (const auto role : {rtmp::Role::Unknown, rtmp::Role::Push})
    accepted(request(rtmp::Stage::CreateStream, good, role));
  accepted(request(rtmp::Stage::Start, good, rtmp::Role::Push));
  refused(request(rtmp::Stage::CreateStream, good, rtmp::Role::Pull), "2 streams");
  refused(request(rtmp::Stage::Start, good, rtmp::Role::Pull), "2 streams");
  authenticator_->stream_started("alice", rtmp::Role::Pull);
  refused(request(rtmp::Stage::Start, good, rtmp::Role::Push), "3 streams");
}

TEST_F(Checks, StartRefusesWithoutTheRight) {
  refused(request(rtmp::Stage::Start, token({false, true}), rtmp::Role::Push), "only pull");
  refused(request(rtmp::Stage::Start, token({true, false}), rtmp::Role::Pull), "only push");
  accepted(request(rtmp::Stage::Start, token({false, true}), rtmp::Role::Pull));
}

TEST_F(Checks, StartRefusesAnotherStream) {
  const std::string good = token();
  auto push = request(rtmp::Stage::Start, good, rtmp::Role::Push);
  push.stream = "bob";
  EXPECT_EQ(refused(push, "'alice' only").refusal, rtmp::Refusal::Denied);
  auto pull = request(rtmp::Stage::Start, good, rtmp::Role::Pull);
  pull.stream = "bob";
  EXPECT_EQ(refused(pull, "'alice' only").refusal, rtmp::Refusal::Denied);
  pull.stream = "nobody";
  EXPECT_EQ(refused(pull, "no stream of this name").refusal, rtmp::Refusal::UnknownStream);
}

TEST_F(Checks, StartAsksTheDiallingRules) {
  const std::string good = token();
  auto push = request(rtmp::Stage::Start, good, rtmp::Role::Push);
  for (const char *to : {"bob", "sip:x@example.org"}) {
    push.parameters["to"] = to;
    accepted(push);
  }
  push.parameters["to"] = "";
  refused(push, "'to' names nobody");
  push.parameters["to"] = "carol";
  refused(push, "no account 'carol'");
  push.parameters["to"] = "sip:x@example.net";
  refused(push, "not allowed");
}

TEST_F(Checks, StartRefusesACalleeWhereNobodyCanBeCalled) {
  options_.calls = false;
  rebuild();
  auto push = request(rtmp::Stage::Start, token(), rtmp::Role::Push);
  accepted(push);
  push.parameters["to"] = "bob";
  refused(push, "without SIP");
}

TEST_F(Checks, StartRefusesAnotherCalleeThanThatOfTheCall) {
  const auto busy = std::make_shared<BusyTable>();
  options_.busy = busy;
  rebuild();
  auto push = request(rtmp::Stage::Start, token(), rtmp::Role::Push);
  push.parameters["to"] = "bob";
  accepted(push);
  // That publish has not begun yet, and its call even less: another one would take its place.
  auto second = push;
  second.connection = 2;
  second.parameters["to"] = "sip:x@example.org";
  refused(second, "alice is in a call with bob already");
  now_ += BusyTable::kStartPatience + 1ms;
  busy->call_began("alice", "1", "sip:x@example.org");
  refused(push, "alice is in a call with sip:x@example.org already");
  push.parameters["to"] = "sip:x@example.org";
  accepted(push);
  push.parameters.erase("to");
  accepted(push);
  now_ += BusyTable::kStartPatience + 1ms;
  busy->call_ended("alice", "1");
  push.parameters["to"] = "bob";
  accepted(push);
}

TEST_F(Checks, StartRefusesWhatCannotBePlayed) {
  options_.may_play = [](const std::map<std::string, std::string> &parameters) -> Result<void> {
    if (parameters.contains("audio")) return bad_input("no such sound");
    return {};
  };
  rebuild();
  auto pull = request(rtmp::Stage::Start, token(), rtmp::Role::Pull);
  accepted(pull);
  pull.parameters["audio"] = "opus";
  EXPECT_EQ(refused(pull, "no such sound").refusal, rtmp::Refusal::Denied);
  pull.stream = "nobody";
  refused(pull, "no stream of this name");
  auto push = request(rtmp::Stage::Start, token(), rtmp::Role::Push);
  push.parameters["audio"] = "opus";
  accepted(push);
}

TEST_F(Checks, AnotherAccountsTokenLaterIsRefused) {
  const std::string bobs = issue(*book_, "bob", {true, true}, 3600, now_seconds_);
  refused(request(rtmp::Stage::CreateStream, bobs), "another account");
  refused(request(rtmp::Stage::Start, bobs, rtmp::Role::Push), "another account");
}

TEST_F(Checks, RemovedAccountIsRefusedAtOnce) {
  const std::string good = token();
  ASSERT_TRUE(book_->remove("alice"));
  refused(request(rtmp::Stage::Start, good, rtmp::Role::Push), "no longer there");
}

TEST_F(Checks, LateIdentityOnlyWhereAllowed) {
  options_.late_identity = true;
  rebuild();
  accepted(request(rtmp::Stage::Connect, ""), "");
  auto create = request(rtmp::Stage::CreateStream, "");
  create.identity.clear();
  accepted(create, "");
  auto start = request(rtmp::Stage::Start, "", rtmp::Role::Push);
  start.identity.clear();
  refused(start, "A token is missing");
  start.parameters["token"] = token();
  accepted(start);
  refused(request(rtmp::Stage::Connect, "wrong"), "not one of this server's");
}

TEST_F(Checks, GuessingIsHeldBackAndRightOnesAreNot) {
  for (int i = 0; i < 2; ++i) refused(request(rtmp::Stage::Connect, "guess"), "not one of");
  EXPECT_FALSE(ask(request(rtmp::Stage::Connect, "guess")));
  EXPECT_FALSE(ask(request(rtmp::Stage::Connect, "guess")));
  ASSERT_EQ(delayed_.size(), 2U);
  EXPECT_EQ(delayed_[0].first, 100ms);
  EXPECT_EQ(delayed_[1].first, 200ms);
  accepted(request(rtmp::Stage::Connect, token()));
  // Who only forgot the token is told so at once.
  refused(request(rtmp::Stage::Connect, ""), "A token is missing");
  auto verdict = std::make_shared<std::optional<rtmp::Verdict>>();
  authenticator_->check(request(rtmp::Stage::Connect, "guess"),
                        rtmp::Decision([verdict](rtmp::Verdict given) { *verdict = given; }));
  ASSERT_EQ(delayed_.size(), 3U);
  delayed_[2].second();
  ASSERT_TRUE(verdict->has_value());
  EXPECT_FALSE((*verdict)->accepted);
}
