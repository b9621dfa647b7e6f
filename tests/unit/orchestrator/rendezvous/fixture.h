// SPDX-License-Identifier: LGPL-2.1-or-later
// A rendezvous without a transport: clients are what they hear.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "rendezvous/rendezvous.h"

namespace junctor::rendezvous {

using namespace std::chrono_literals;

class RendezvousTest : public ::testing::Test {
 protected:
  struct Heard {
    std::vector<wire::Message> messages;
    unsigned short closed = 0;
    std::string why;
  };

  void make(Limits limits = {}) {
    Options options;
    options.limits = limits;
    options.stun = {"192.0.2.1:3478"};
    options.regions = {{"eu", "192.0.2.1:3478"}};
    options.is_account = [](const std::string &name) {
      return name == "alice" || name == "bob" || name == "carol";
    };
    options.new_id = [this] { return "id" + std::to_string(++ids_); };
    options.wall = [this] { return WallTime(std::chrono::hours(1)) + (now - Time{}); };
    options.log = [this](LogLevel, std::string_view text) { log += std::string(text) + "\n"; };
    adjust(options);
    rendezvous.emplace(std::move(options),
                       Door{[this](LinkId link, const std::string &text) {
                              const auto message = wire::read(text);
                              ASSERT_TRUE(message) << text << message.error().detail;
                              EXPECT_EQ(heard[link].closed, 0)
                                  << "told after it was closed: " << text;
                              heard[link].messages.push_back(*message);
                            },
                            [this](LinkId link, unsigned short code, const std::string &why) {
                              heard[link].closed = code;
                              heard[link].why = why;
                            }},
                       [this](const View &view) { changes.push_back(view); });
  }
  virtual void adjust(Options &) {}
  void SetUp() override { make(); }

  LinkId connect(const std::string &account, const std::string &token = "t") {
    const auto link = rendezvous->connected({account, token}, {"192.0.2.9", 5}, now);
    EXPECT_TRUE(link) << link.error().detail;
    return link ? *link : 0;
  }
  LinkId client(const std::string &account, const std::string &resume = "", std::size_t got = 0,
                const std::string &token = "t") {
    const LinkId link = connect(account, token);
    wire::Hello hello;
    hello.resume = resume;
    hello.got = static_cast<std::uint32_t>(got);
    say(link, hello);
    return link;
  }
  void say(LinkId link, const wire::Message &message) {
    rendezvous->received(link, wire::write(message), now);
  }
  /// The last message of a kind; fails the test if there is none.
  template <class T>
  T last(LinkId link) {
    const auto &all = heard[link].messages;
    for (auto each = all.rbegin(); each != all.rend(); ++each)
      if (const auto *found = std::get_if<T>(&*each)) return *found;
    ADD_FAILURE() << "not heard: " << wire::name_of(T{});
    return {};
  }
  /// What a client says in its hello to resume this connection.
  std::size_t got(LinkId link) { return heard[link].messages.size() - count<wire::Welcome>(link); }
  template <class T>
  std::size_t count(LinkId link) {
    std::size_t number = 0;
    for (const auto &each : heard[link].messages) number += std::holds_alternative<T>(each);
    return number;
  }
  std::string open(LinkId caller, const std::string &to) {
    say(caller, wire::Open{"r", to});
    return last<wire::Session>(caller).session;
  }
  /// A session that rings at everybody of `to`.
  std::string ring(LinkId caller, const std::string &to) {
    const std::string session = open(caller, to);
    say(caller, wire::Invite{session, "", kOffer, "{\"audio\":[\"opus\"]}"});
    return session;
  }
  std::string join(LinkId caller, LinkId callee, const std::string &to) {
    const std::string session = ring(caller, to);
    say(callee, wire::Accept{session, kAnswer, ""});
    return session;
  }
  void pass(Duration time) {
    for (const Time end = now + time; now < end;) {
      now += 1s;
      rendezvous->tick(now);
    }
  }

  inline static const wire::Object kOffer = R"({"key":"A"})", kAnswer = R"({"key":"B"})";
  Time now = Time{} + 1000s;
  std::optional<Rendezvous> rendezvous;
  std::map<LinkId, Heard> heard;
  std::vector<View> changes;
  std::string log;

 private:
  unsigned ids_ = 0;
};

}  // namespace junctor::rendezvous
