// SPDX-License-Identifier: LGPL-2.1-or-later
// Name and password instead of a token: the adobe login against the accounts.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "../temporary_directory.h"
#include "accounts/book.h"
#include "accounts/builtin_authenticator.h"
#include "accounts/challenges.h"
#include "book_fixture.h"
#include "rtmp/core/adobe.h"
#include "rtmp/core/locator.h"

using namespace junctor;
using namespace junctor::accounts;
using namespace std::chrono_literals;

namespace {

constexpr char kPassword[] = "open sesame, please";

std::string content(const std::string &path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

TEST(Challenges, AreGoodForOneNameAndAShortTime) {
  Challenges challenges;
  const Time now{1000s};
  const std::string made = challenges.make("alice", now);
  EXPECT_EQ(made.size(), 56U);
  EXPECT_TRUE(challenges.check(made, "alice", now));
  EXPECT_TRUE(challenges.check(made, "alice", now + Challenges::kLife));
  EXPECT_FALSE(challenges.check(made, "bob", now));
  const auto old = challenges.check(made, "alice", now + Challenges::kLife + 1s);
  ASSERT_FALSE(old);
  EXPECT_NE(old.error().detail.find("too old"), std::string::npos);
  EXPECT_FALSE(challenges.check(made, "alice", now - 1s)) << "from the future";
  for (std::size_t i = 0; i < made.size(); ++i) {
    std::string other = made;
    other[i] = other[i] == '0' ? '1' : '0';
    EXPECT_FALSE(challenges.check(other, "alice", now)) << i;
  }
  EXPECT_FALSE(challenges.check("", "alice", now));
  EXPECT_FALSE(Challenges().check(made, "alice", now)) << "of another run";
}

TEST(Challenges, NoTwoAreTheSame) {
  const Challenges challenges;
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(challenges.make("alice", Time{1s}));
  EXPECT_EQ(seen.size(), 1000U);
}

TEST(Challenges, AreUsedUpOnceAndKeptNoLongerThanTheyLive) {
  Challenges challenges;
  Time now{1000s};
  const std::string made = challenges.make("alice", now);
  ASSERT_TRUE(challenges.use(made, "alice", now));
  const auto again = challenges.check(made, "alice", now);
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().detail.find("used before"), std::string::npos);
  const auto use = [&](const std::string &name) {
    return challenges.use(challenges.make(name, now), name, now);
  };
  for (std::size_t i = 1; i < Challenges::kMaxUsedByName; ++i) ASSERT_TRUE(use("alice"));
  const auto too_often = use("alice");
  ASSERT_FALSE(too_often);
  EXPECT_NE(too_often.error().detail.find("This account"), std::string::npos);
  EXPECT_TRUE(use("bob")) << "one account keeps no other out";
  for (std::size_t i = Challenges::kMaxUsedByName + 1; i < Challenges::kMaxUsed; ++i)
    ASSERT_TRUE(use("account-" + std::to_string(i)));
  EXPECT_EQ(challenges.used(), Challenges::kMaxUsed);
  EXPECT_FALSE(use("carol"));
  now += Challenges::kLife + 2s;
  EXPECT_TRUE(use("alice"));
  EXPECT_EQ(challenges.used(), 1U);
  EXPECT_FALSE(challenges.check(made, "alice", now)) << "forgotten, and too old";
}

class PasswordLogin : public ::testing::Test {
 protected:
  void SetUp() override {
    book_ = open_book(dir_);
    for (const char *name : {"alice", "bob"}) ASSERT_TRUE(book_->add(name, kPassword, kNow));
    rules_ = std::make_shared<DialRules>(*DialRules::compile({}));
    rebuild();
  }

  void rebuild() {
    authenticator_ = std::make_unique<BuiltinAuthenticator>(
        book_, rules_, options_,
        BuiltinAuthenticator::Seams{[] { return kNow + 1; }, [this] { return now_; },
                                    [this](Duration delay, std::function<void()> function) {
                                      delays_.push_back(delay);
                                      function();
                                    }});
  }

  rtmp::Verdict ask(const rtmp::Request &request) {
    std::optional<rtmp::Verdict> verdict;
    authenticator_->check(request, rtmp::Decision([&](rtmp::Verdict given) { verdict = given; }));
    EXPECT_TRUE(verdict);
    return verdict.value_or(rtmp::Verdict());
  }

  /// A connect with this behind the application, as clients send it.
  rtmp::Verdict connect(const std::string &query) {
    rtmp::Request request;
    request.app = "call";
    request.address = {"192.0.2.1", 4711};
    request.parameters = rtmp::parse_locator("call?" + query)->parameters;
    return ask(request);
  }

  struct Asked {
    std::string salt, challenge, opaque;
  };
  /// Step 2, read as clients read it.
  Asked challenge(const std::string &user) {
    const auto verdict = connect("authmod=adobe&user=" + user);
    EXPECT_FALSE(verdict.accepted);
    std::smatch found;
    EXPECT_TRUE(std::regex_match(
        verdict.description, found,
        std::regex(
            R"(\[ AccessManager.Reject \] : \[ authmod=adobe \] : \?reason=needauth)"
            R"(&user=(\w+)&salt=([0-9a-f]{16})&challenge=([0-9a-f]{8})&opaque=([0-9a-f]+))")))
        << verdict.description;
    return found.empty() ? Asked() : Asked{found[2], found[3], found[4]};
  }

  static std::string answer(const std::string &user, const Asked &asked,
                            const std::string &password) {
    const std::string own = "4f5e6d7c";
    return "authmod=adobe&user=" + user + "&challenge=" + own + "&response=" +
           rtmp::adobe_response(rtmp::adobe_hash(user, asked.salt, password), asked.opaque, own) +
           "&opaque=" + asked.opaque;
  }

  rtmp::Verdict log_in(const std::string &user, const std::string &password) {
    return connect(answer(user, challenge(user), password));
  }

  rtmp::Request later(rtmp::Stage stage, rtmp::Role role, const rtmp::Verdict &login) const {
    rtmp::Request request;
    request.stage = stage;
    request.role = role;
    request.app = "call";
    request.identity = login.identity;
    request.grant = login.grant;
    if (stage == rtmp::Stage::Start) request.stream = "alice";
    return request;
  }

  TemporaryDirectory dir_;
  std::shared_ptr<Book> book_;
  std::shared_ptr<DialRules> rules_;
  BuiltinAuthenticator::Options options_;
  std::unique_ptr<BuiltinAuthenticator> authenticator_;
  Time now_{1000s};
  std::vector<Duration> delays_;
};

TEST_F(PasswordLogin, APlainConnectIsAskedForOne) {
  const auto verdict = connect("");
  EXPECT_FALSE(verdict.accepted);
  EXPECT_TRUE(verdict.description.starts_with(
      "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : A token is missing."));
  EXPECT_LE(verdict.description.size(), 255U) << "ffmpeg shows no more";
  EXPECT_TRUE(verdict.reason.starts_with("A token is missing."));
}

TEST_F(PasswordLogin, TheRightPasswordPushesAndPulls) {
  const auto login = log_in("alice", kPassword);
  ASSERT_TRUE(login.accepted) << login.reason;
  EXPECT_EQ(login.identity, "alice");
  for (const auto role : {rtmp::Role::Push, rtmp::Role::Pull}) {
    EXPECT_TRUE(ask(later(rtmp::Stage::CreateStream, role, login)).accepted);
    const auto start = ask(later(rtmp::Stage::Start, role, login));
    EXPECT_TRUE(start.accepted) << start.reason;
    EXPECT_EQ(start.identity, "alice");
    auto other = later(rtmp::Stage::Start, role, login);
    other.stream = "bob";
    EXPECT_FALSE(ask(other).accepted);
  }
}

TEST_F(PasswordLogin, AWrongOneIsRefusedAndEachTimeLater) {
  for (int i = 0; i < 4; ++i) {
    const auto wrong = log_in("alice", "wrong password");
    EXPECT_FALSE(wrong.accepted);
    EXPECT_TRUE(wrong.description.starts_with(
        "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed&opaque="));
    EXPECT_EQ(wrong.reason.find("response"), std::string::npos);
  }
  EXPECT_EQ(delays_, (std::vector<Duration>{100ms, 200ms}));
  EXPECT_TRUE(log_in("alice", kPassword).accepted);
  EXPECT_EQ(delays_.size(), 2U) << "the right one is never held back";
}

TEST_F(PasswordLogin, NobodyLearnsWhichAccountsThereAre) {
  const auto first = challenge("nobody"), second = challenge("nobody");
  EXPECT_EQ(first.salt, second.salt);
  EXPECT_NE(first.opaque, second.opaque);
  EXPECT_NE(challenge("nobody2").salt, first.salt);
  const auto unknown = log_in("nobody", kPassword), wrong = log_in("alice", "wrong password");
  const auto form = [](const std::string &text) {
    return std::regex_replace(text, std::regex("opaque=\\w+"), "");
  };
  EXPECT_FALSE(unknown.accepted);
  EXPECT_EQ(form(unknown.description), form(wrong.description));
  // Nor from a restart.
  const auto reopened = open_book(dir_);
  EXPECT_EQ(reopened->adobe_salt("nobody"), first.salt);
  EXPECT_EQ(reopened->adobe_salt("alice"), challenge("alice").salt);
}

TEST_F(PasswordLogin, AnAnswerAdmitsOnce) {
  const std::string heard = answer("alice", challenge("alice"), kPassword);
  EXPECT_TRUE(connect(heard).accepted);
  const auto again = connect(heard);
  EXPECT_FALSE(again.accepted);
  EXPECT_NE(again.reason.find("used before"), std::string::npos);
  const std::string late = answer("alice", challenge("alice"), kPassword);
  now_ += Challenges::kLife + 1s;
  EXPECT_NE(connect(late).reason.find("too old"), std::string::npos);
  // One challenge is for one name, and is ours.
  EXPECT_FALSE(connect(answer("bob", challenge("alice"), kPassword)).accepted);
  const auto made_up =
      connect(answer("alice", {challenge("alice").salt, "", std::string(56, '0')}, kPassword));
  EXPECT_FALSE(made_up.accepted);
  EXPECT_EQ(made_up.description.find("000"), std::string::npos) << "it is not told back";
}

TEST_F(PasswordLogin, WhatIsNoNameIsNotToldBack) {
  for (const char *user : {"", "ALICE", "a%26salt=0", "%5B x", "\xff"}) {
    const auto verdict = connect(std::string("authmod=adobe&user=") + user);
    EXPECT_FALSE(verdict.accepted);
    EXPECT_EQ(verdict.description, rtmp::adobe_failure(""));
  }
}

TEST_F(PasswordLogin, TheGrantEndsWithTheAccount) {
  const auto login = log_in("alice", kPassword);
  ASSERT_TRUE(book_->remove("alice"));
  EXPECT_FALSE(ask(later(rtmp::Stage::CreateStream, rtmp::Role::Push, login)).accepted);
  ASSERT_TRUE(book_->add("alice", "another password", kNow));
  EXPECT_FALSE(ask(later(rtmp::Stage::Start, rtmp::Role::Push, login)).accepted);
  // The peer's own words grant nothing.
  auto forged = later(rtmp::Stage::Start, rtmp::Role::Push, {});
  forged.identity = "alice";
  forged.parameters = {{"authmod", "adobe"}, {"user", "alice"}, {"response", "x"}};
  EXPECT_FALSE(ask(forged).accepted);
}

TEST_F(PasswordLogin, HouseRulesHold) {
  options_.streams_per_account = 1;
  rebuild();
  authenticator_->stream_started("alice", rtmp::Role::Pull);
  const auto login = log_in("alice", kPassword);
  EXPECT_NE(ask(later(rtmp::Stage::CreateStream, rtmp::Role::Push, login)).reason.find("1 streams"),
            std::string::npos);
  options_.networks = *Networks::parse({"10.0.0.0/8"});
  rebuild();
  EXPECT_NE(connect("authmod=adobe&user=alice").reason.find("may not connect"), std::string::npos);
}

TEST_F(PasswordLogin, WhatIsKeptIsNotThePasswordAndIsClosedToOthers) {
  const std::string file = content(book_->path());
  EXPECT_EQ(file.find(kPassword), std::string::npos);
  const auto snapshot = book_->snapshot();
  const Account &alice = *snapshot->find("alice"), &bob = *snapshot->find("bob");
  EXPECT_EQ(alice.adobe_hash, rtmp::adobe_hash("alice", alice.adobe_salt, kPassword));
  EXPECT_NE(alice.adobe_salt, bob.adobe_salt);
  EXPECT_NE(file.find(alice.adobe_hash), std::string::npos);
  struct stat status {};
  ASSERT_EQ(::stat(book_->path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(PasswordLogin, AnAccountMadeBeforeCannotAndKeepsItsTokens) {
  std::string file = content(book_->path());
  file = std::regex_replace(file, std::regex(R"re( *"adobe_(salt|hash)": "[^"]*",\n)re"), "");
  ASSERT_EQ(file.find("adobe"), std::string::npos);
  {
    std::ofstream out(book_->path());
    out << file;
  }
  ASSERT_TRUE(book_->reload());
  EXPECT_FALSE(log_in("alice", kPassword).accepted);
  EXPECT_FALSE(log_in("alice", "").accepted);
  EXPECT_TRUE(connect("token=" + issue(*book_, "alice")).accepted);
}
