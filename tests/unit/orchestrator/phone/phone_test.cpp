// SPDX-License-Identifier: LGPL-2.1-or-later
// The course of a phone whose rendezvous comes and goes.
#include "phone/phone.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <sstream>
#include <vector>

namespace junctor::phone {
namespace {

class FakeMedia : public Media {
 public:
  explicit FakeMedia(std::vector<std::string> &offers) : offers_(offers) {}
  void take_remote(const std::string &) override {}
  void take_offer(const std::string &offer) override { offers_.push_back(offer); }
  Result<void> save_picture(const std::string &) override { return {}; }
  MediaStats stats() override { return {}; }

 private:
  std::vector<std::string> &offers_;
};

class PhoneTest : public testing::Test {
 protected:
  struct FakeClient : rendezvous::Client {
    explicit FakeClient(PhoneTest &owner) : test(owner) {}
    void send(const wire::Message &message) override { test.said_.push_back(message); }
    void reconnect() override {}
    void set_network(const wire::Moved &) override {}
    void close(std::function<void()> done) override { done(); }
    PhoneTest &test;
  };

  void start(PhoneOptions options) {
    PhoneWorld world;
    world.connect =
        [this](rendezvous::ClientOptions,
               rendezvous::ClientEvents events) -> Result<std::unique_ptr<rendezvous::Client>> {
      rendezvous_ = std::move(events);
      return std::unique_ptr<rendezvous::Client>(std::make_unique<FakeClient>(*this));
    };
    world.media = [this](MediaOptions, MediaEvents events) -> Result<std::unique_ptr<Media>> {
      media_ = std::move(events);
      return std::unique_ptr<Media>(std::make_unique<FakeMedia>(offers_));
    };
    world.survey = [](const auto &, const auto &) { return rendezvous::Surroundings(); };
    phone_ = std::make_unique<Phone>(std::move(options), std::move(world), out_, err_,
                                     [this](int code) { ended_ = code; });
    ASSERT_TRUE(phone_->start());
    welcome(false);
  }
  void welcome(bool resumed) {
    wire::Welcome welcome;
    welcome.account = "alice";
    welcome.resumed = resumed;
    rendezvous_.welcome(welcome);
  }
  template <class Kind>
  std::size_t count() const {
    std::size_t found = 0;
    for (const wire::Message &each : said_) found += std::holds_alternative<Kind>(each);
    return found;
  }
  void wait_for_open(std::size_t times) {
    const Time end = Clock::now() + std::chrono::seconds(20);
    while (count<wire::Open>() < times && Clock::now() < end)
      g_main_context_iteration(nullptr, FALSE);
    ASSERT_EQ(count<wire::Open>(), times);
  }
  /// Bob is called, and the session has not come yet.
  void start_calling() {
    PhoneOptions options;
    options.call = "bob";
    start(std::move(options));
    wait_for_open(1);
  }
  /// A call of bob's that is up.
  void be_called() {
    rendezvous_.message(wire::Invite{"s1", "bob", "", {}});
    ASSERT_TRUE(media_.channel);
    media_.signal("{}");
    media_.channel({"up", "p2p", "", "192.0.2.1:1", "192.0.2.2:2", 20, ""});
  }

  std::ostringstream out_, err_;
  rendezvous::ClientEvents rendezvous_;
  MediaEvents media_;
  std::vector<wire::Message> said_;
  std::vector<std::string> offers_;
  std::optional<int> ended_;
  std::unique_ptr<Phone> phone_;
};

TEST_F(PhoneTest, AsksAgainForWhomItCallsWhereTheRendezvousForgotIt) {
  start_calling();
  welcome(false);
  EXPECT_EQ(count<wire::Open>(), 2U);
  welcome(true);
  EXPECT_EQ(count<wire::Open>(), 2U) << "nothing was forgotten";
  EXPECT_FALSE(ended_);
}

TEST_F(PhoneTest, LeavesNoSessionBehindThatItHasAskedFor) {
  start_calling();
  phone_->hang_up();
  EXPECT_FALSE(ended_) << "it is on its way";
  rendezvous_.message(wire::Session{"1", "s1"});
  EXPECT_EQ(count<wire::Bye>(), 1U);
  EXPECT_EQ(ended_, Phone::kFailed) << "no media has flown";
}

TEST_F(PhoneTest, EndsAtOnceWhereItIsToldSoAgain) {
  start_calling();
  phone_->hang_up();
  phone_->hang_up();
  EXPECT_EQ(ended_, Phone::kFailed);
}

TEST_F(PhoneTest, ThatOnlyWaitedEndsWell) {
  start({});
  phone_->hang_up();
  EXPECT_EQ(ended_, Phone::kDone);
}

TEST_F(PhoneTest, SaysNothingOfWordsThatCrossedTheEndOfTheirSession) {
  start({});
  be_called();
  rendezvous_.message(wire::Bye{"s1", "caller-hangup", "Another device of alice has answered."});
  rendezvous_.message(wire::Wrong{"s1", "there is no such session"});
  EXPECT_EQ(out_.str().find("does not understand"), std::string::npos) << out_.str();
  rendezvous_.message(wire::Wrong{"", "a message of 2 MB"});
  EXPECT_NE(out_.str().find("does not understand: a message"), std::string::npos);
}

TEST_F(PhoneTest, ThatIsRefusedGoesOnUntilItsCallEnds) {
  start({});
  be_called();
  rendezvous_.refused(refused("the token has been revoked"));
  EXPECT_FALSE(ended_);
  rendezvous_.message(wire::Bye{"s1", "caller-hangup", ""});
  EXPECT_EQ(ended_, Phone::kFailed);
}

TEST_F(PhoneTest, EndsWellWhereOneOfTheTwoHungUp) {
  for (const auto &[reason, code] : {std::pair("caller-hangup", Phone::kDone),
                                     {"callee-hangup", Phone::kDone},
                                     {"shutdown", Phone::kFailed},
                                     {"admin", Phone::kFailed},
                                     {"unreachable", Phone::kFailed}}) {
    PhoneOptions options;
    options.once = true;
    start(std::move(options));
    be_called();
    rendezvous_.message(wire::Bye{"s1", reason, ""});
    EXPECT_EQ(std::exchange(ended_, {}), code) << reason;
  }
}

TEST_F(PhoneTest, SaysNothingOfACallToWhoHasForgottenIt) {
  start({});
  be_called();
  media_.want("sfu");
  EXPECT_EQ(count<wire::Need>(), 1U);
  welcome(true);
  EXPECT_TRUE(offers_.empty());
  welcome(false);
  const std::size_t said = said_.size();
  // What was asked for before will not come.
  ASSERT_EQ(offers_.size(), 2U);
  EXPECT_NE(offers_[0].find("no-node"), std::string::npos) << offers_[0];
  EXPECT_NE(offers_[1].find("no-turn"), std::string::npos) << offers_[1];
  media_.channel({"trying", "sfu", "n7", "", "", 0, "nothing is answered any more"});
  media_.want("sfu");
  media_.want("relay");
  ASSERT_EQ(offers_.size(), 4U) << "who asks is answered at once";
  EXPECT_NE(offers_[2].find("no-node"), std::string::npos) << offers_[2];
  EXPECT_NE(offers_[3].find("no-turn"), std::string::npos) << offers_[3];
  EXPECT_NE(offers_[3].find("forgotten"), std::string::npos) << offers_[3];
  media_.signal("{}");
  media_.rung({"sfu", "n7", "lost", 0, 0, "nothing is answered any more"});
  media_.failed("nothing is left");
  EXPECT_EQ(said_.size(), said);
  // The next one it knows.
  rendezvous_.message(wire::Invite{"s2", "bob", "", {}});
  media_.signal("{}");
  EXPECT_EQ(count<wire::Accept>(), 2U);
}

TEST_F(PhoneTest, WaitsForTheNextCall) {
  start({});
  be_called();
  rendezvous_.message(wire::Bye{"s1", "caller-hangup", ""});
  EXPECT_FALSE(ended_);
}

}  // namespace
}  // namespace junctor::phone
