// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/stun_responder.h"

#include <gtest/gtest.h>

#include <functional>

namespace junctor::nat {
namespace {

namespace stun = rtp::stun;
using namespace std::chrono_literals;
using stun::Class;
using stun::Method;
using stun::Type;
using stun::Writer;

const Endpoint kSource{"198.51.100.7", 40000};
const Doors kFour = {Endpoint{"192.0.2.1", 3478}, Endpoint{"192.0.2.1", 3479},
                     Endpoint{"192.0.2.2", 3478}, Endpoint{"192.0.2.2", 3479}};
const Doors kTwo = {Endpoint{"0.0.0.0", 3478}, Endpoint{"0.0.0.0", 3479}, {}, {}};
const Doors kOne = {Endpoint{"192.0.2.1", 3478}, {}, {}, {}};

using Add = std::function<void(Writer &)>;

Bytes request(const Add &add = {}) {
  Writer writer(Class::Request, Method::Binding, stun::random_transaction_id());
  if (add) add(writer);
  return writer.finish();
}

Add change(std::uint32_t what) {
  return [what](Writer &writer) { writer.u32(Type::ChangeRequest, what); };
}

class Responder : public testing::Test {
 protected:
  /// What the server answers at a door of concrete addresses.
  StunAnswer ask(StunResponder &responder, const Add &add = {}, unsigned door = 0) {
    sent_ = request(add);
    const Endpoint local = {door & kOtherAddress ? "192.0.2.2" : "192.0.2.1",
                            static_cast<std::uint16_t>(door & kOtherPort ? 3479 : 3478)};
    StunAnswer answer = responder.datagram(sent_, kSource, door, local, now_);
    message_.reset();
    if (answer.reply) {
      bytes_ = answer.reply->bytes;
      message_ = stun::Message::parse(bytes_);
      EXPECT_TRUE(message_);
      if (message_) {
        EXPECT_EQ(message_->id(), stun::Message::parse(sent_)->id());
      }
    }
    return answer;
  }
  int code() const { return message_ && message_->error() ? message_->error()->code : 0; }

  Time now_ = Time() + 1h;
  Bytes sent_, bytes_;
  std::optional<stun::Message> message_;
};

TEST_F(Responder, TellsTheSourceItsAddressAndNoMore) {
  StunResponder responder(kOne);
  const auto answer = ask(responder);
  EXPECT_EQ(answer.outcome, StunOutcome::Answered);
  ASSERT_TRUE(answer.reply);
  EXPECT_EQ(answer.reply->to, kSource);
  EXPECT_EQ(answer.reply->from, *kOne[0]);
  EXPECT_EQ(message_->kind(), Class::Success);
  EXPECT_EQ(message_->mapped_address(), kSource);
  EXPECT_EQ(bytes_.size(), sent_.size() + 12);
}

TEST_F(Responder, TellsItsOtherAddress) {
  StunResponder responder(kFour);
  for (unsigned door = 0; door < kDoors; ++door) {
    const auto answer = ask(responder, {}, door);
    ASSERT_EQ(answer.outcome, StunOutcome::Answered);
    EXPECT_EQ(answer.reply->door, door);
    EXPECT_EQ(message_->xor_address(Type::XorMappedAddress), kSource);
    EXPECT_EQ(message_->address(Type::MappedAddress), kSource);
    EXPECT_EQ(message_->address(Type::ResponseOrigin), kFour[door]);
    EXPECT_EQ(message_->address(Type::OtherAddress), kFour[3 - door]);
    EXPECT_EQ(bytes_.size(), sent_.size() + 48);
  }
}

TEST_F(Responder, AnswersFromWhereItIsAskedTo) {
  StunResponder responder(kFour);
  struct Row {
    unsigned door, change, from;
  };
  for (unsigned door = 0; door < kDoors; ++door)
    for (const Row row : {Row{door, 0, door}, Row{door, stun::kChangePort, door ^ kOtherPort},
                          Row{door, stun::kChangeIp, door ^ kOtherAddress},
                          Row{door, stun::kChangeIp | stun::kChangePort, door ^ 3U}}) {
      const auto answer = ask(responder, change(row.change), row.door);
      ASSERT_EQ(answer.outcome, StunOutcome::Answered);
      EXPECT_EQ(answer.reply->door, row.from);
      EXPECT_EQ(answer.reply->from, kFour[row.from]);
      EXPECT_EQ(answer.reply->to, kSource);
      EXPECT_EQ(message_->address(Type::ResponseOrigin), kFour[row.from]);
      EXPECT_EQ(message_->address(Type::OtherAddress), kFour[row.door ^ 3U]);
    }
}

TEST_F(Responder, WithOneAddressItRefusesToChangeIt) {
  StunResponder responder(kTwo);
  const Endpoint second{"192.0.2.1", 3479};
  const auto answer = ask(responder, change(stun::kChangePort));
  EXPECT_EQ(answer.outcome, StunOutcome::Answered);
  EXPECT_EQ(answer.reply->from, second);
  for (const std::uint32_t what : {stun::kChangeIp, stun::kChangeIp | stun::kChangePort}) {
    EXPECT_EQ(ask(responder, change(what)).outcome, StunOutcome::Refused);
    EXPECT_EQ(code(), 420);
    EXPECT_EQ(message_->unknown_attributes(), std::vector<std::uint16_t>{3});
    EXPECT_EQ(message_->address(Type::OtherAddress), second) << "for who wants it";
  }
}

TEST_F(Responder, ASecondPortAloneMisleadsNobody) {
  StunResponder responder(kTwo);
  for (const unsigned door : {0U, kOtherPort}) {
    EXPECT_EQ(ask(responder, {}, door).outcome, StunOutcome::Answered);
    EXPECT_FALSE(message_->address(Type::OtherAddress)) << "stock clients take it for an address";
    EXPECT_EQ(bytes_.size(), sent_.size() + 12);
  }
}

TEST_F(Responder, WithOneDoorItKnowsNoTests) {
  StunResponder responder(kOne);
  for (const Add &add : {change(0), change(6), Add([](Writer &w) { w.response_port(4000); }),
                         Add([](Writer &w) { w.bytes(Type::Padding, Bytes(64)); })}) {
    EXPECT_EQ(ask(responder, add).outcome, StunOutcome::Refused);
    EXPECT_EQ(code(), 420);
  }
}

TEST_F(Responder, RefusesWhatItMustUnderstandAndDoesNot) {
  StunResponder responder(kFour);
  EXPECT_EQ(ask(responder,
                [](Writer &writer) {
                  writer.flag(static_cast<Type>(0x7001)).flag(static_cast<Type>(0xfff0));
                })
                .outcome,
            StunOutcome::Refused);
  EXPECT_EQ(code(), 420);
  EXPECT_EQ(message_->unknown_attributes(), std::vector<std::uint16_t>{0x7001});
  EXPECT_EQ(ask(responder, [](Writer &w) { w.bytes(Type::ChangeRequest, Bytes(2)); }).outcome,
            StunOutcome::Refused);
  EXPECT_EQ(code(), 400);
}

TEST_F(Responder, NeedsNoCredentialsAndKeepsTheFingerprint) {
  StunResponder responder(kOne);
  EXPECT_EQ(ask(responder,
                [](Writer &writer) {
                  writer.text(Type::Username, "evtj:h6vY")
                      .u32(Type::Priority, 1)
                      .integrity(as_bytes("password"))
                      .fingerprint();
                })
                .outcome,
            StunOutcome::Answered);
  EXPECT_TRUE(message_->has(Type::Fingerprint));
}

TEST_F(Responder, PadsWithNoMoreThanItWasAskedWith) {
  StunResponder responder(kFour);
  for (const std::size_t size : {0U, 100U, 1500U}) {
    EXPECT_EQ(ask(responder, [&](Writer &w) { w.bytes(Type::Padding, Bytes(size)); }).outcome,
              StunOutcome::Answered);
    ASSERT_TRUE(message_->has(Type::Padding));
    EXPECT_LE(message_->find(Type::Padding)->value.size(), size);
    EXPECT_LE(bytes_.size(), sent_.size() + 48);
  }
}

TEST_F(Responder, AnswersToAnotherPortOfTheSameAddressOnly) {
  StunResponder responder(kFour);
  const auto answer = ask(responder, [](Writer &w) { w.response_port(5000); });
  EXPECT_EQ(answer.outcome, StunOutcome::Answered);
  EXPECT_EQ(answer.reply->to, (Endpoint{kSource.address, 5000}));
  EXPECT_EQ(message_->mapped_address(), kSource);
  for (const std::uint16_t port : {0, 53, 1023}) {
    EXPECT_EQ(ask(responder, [&](Writer &w) { w.response_port(port); }).outcome,
              StunOutcome::Refused);
    EXPECT_EQ(code(), 400);
  }
  ask(responder, [](Writer &w) { w.response_port(5000).bytes(Type::Padding, Bytes(4)); });
  EXPECT_EQ(code(), 400);
}

TEST_F(Responder, AnswersNothingButBindingRequests) {
  StunResponder responder(kFour);
  const auto outcome = [&](ByteSpan bytes, const Endpoint &source = kSource) {
    const auto answer = responder.datagram(bytes, source, 0, *kFour[0], now_);
    EXPECT_FALSE(answer.reply);
    return answer.outcome;
  };
  EXPECT_EQ(outcome({}), StunOutcome::Dropped);
  EXPECT_EQ(outcome(as_bytes("GET / HTTP/1.1\r\n\r\n")), StunOutcome::Dropped);
  for (const Class kind : {Class::Success, Class::Error, Class::Indication})
    EXPECT_EQ(outcome(Writer(kind, Method::Binding, {}).finish()), StunOutcome::Dropped);
  EXPECT_EQ(outcome(Writer(Class::Request, Method::Allocate, {}).finish()), StunOutcome::Dropped);
  EXPECT_EQ(outcome(request(), {kSource.address, 0}), StunOutcome::Dropped);
  // An answer of another server, which would make two servers talk for ever.
  ask(responder);
  EXPECT_EQ(outcome(bytes_), StunOutcome::Dropped);
}

TEST_F(Responder, LimitsEachSource) {
  StunResponder responder(kOne, {.per_second = 10, .burst = 5, .sources = 100});
  const auto answered = [&](const std::string &address, int count) {
    int answers = 0;
    for (int i = 0; i < count; ++i)
      answers += responder.datagram(request(), {address, 1000}, 0, *kOne[0], now_).outcome ==
                 StunOutcome::Answered;
    return answers;
  };
  EXPECT_EQ(answered("198.51.100.1", 20), 5);
  EXPECT_EQ(answered("198.51.100.2", 20), 5);
  now_ += 300ms;
  EXPECT_EQ(answered("198.51.100.1", 20), 3);
  now_ += 10s;
  EXPECT_EQ(answered("198.51.100.1", 20), 5);
  // A site of IPv6 is one source.
  EXPECT_EQ(answered("2001:db8:1:2::1", 3), 3);
  EXPECT_EQ(answered("2001:db8:1:2:ffff::9", 20), 2);
  EXPECT_EQ(answered("2001:db8:1:3::1", 20), 5);
}

TEST_F(Responder, AnAnswerElsewhereCostsMore) {
  StunResponder responder(kFour, {.per_second = 1, .burst = 10, .sources = 100});
  const Add elsewhere = [](Writer &w) { w.response_port(5000); };
  EXPECT_EQ(ask(responder, elsewhere).outcome, StunOutcome::Answered);
  EXPECT_EQ(ask(responder, elsewhere).outcome, StunOutcome::Answered);
  EXPECT_EQ(ask(responder, elsewhere).outcome, StunOutcome::Limited);
  EXPECT_EQ(ask(responder).outcome, StunOutcome::Answered);
}

TEST_F(Responder, RemembersABoundedNumberOfSources) {
  StunResponder responder(kOne, {.per_second = 10, .burst = 2, .sources = 50});
  int answers = 0;
  for (int i = 0; i < 500; ++i)
    answers +=
        responder
            .datagram(request(),
                      {"10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1), 1000},
                      0, *kOne[0], now_)
            .outcome == StunOutcome::Answered;
  EXPECT_LE(responder.sources(), 51U);
  EXPECT_EQ(answers, 52);  // each of fifty once, and all the others as one
  now_ += 5s;              // all are forgotten when somebody new comes
  EXPECT_EQ(responder.datagram(request(), kSource, 0, *kOne[0], now_).outcome,
            StunOutcome::Answered);
  EXPECT_EQ(responder.sources(), 1U);
}

TEST_F(Responder, AStreamKnowsNoTests) {
  StunResponder responder(kFour);
  const Endpoint local{"192.0.2.1", 3478};
  const auto plain = responder.stream(request(), kSource, local, now_);
  EXPECT_EQ(plain.outcome, StunOutcome::Answered);
  const auto changed = responder.stream(request(change(6)), kSource, local, now_);
  EXPECT_EQ(changed.outcome, StunOutcome::Refused);
}

}  // namespace
}  // namespace junctor::nat
