// SPDX-License-Identifier: LGPL-2.1-or-later
// Channels on a reactor that the test runs, on this machine's own addresses.
#include "nat/core/channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "rtp/core/packet.h"

namespace junctor::nat {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using Kind = ChannelEvent::Kind;

Bytes rtp_packet(std::uint16_t sequence) {
  rtp::Header header;
  header.payload_type = 8;
  header.sequence = sequence;
  header.ssrc = 7;
  return rtp::build_packet(header, Bytes(160, std::byte{0x55}));
}

/// One end, and what it told.
struct End {
  std::shared_ptr<Channel> channel;
  std::deque<std::string> said;
  std::vector<ChannelEvent> events;
  std::vector<Bytes> heard;
  std::vector<std::string> complaints;

  End(const std::shared_ptr<Reactor> &reactor, Side side, std::string session = "s",
      Duration timeout = 500ms) {
    ChannelOptions options;
    options.side = side;
    options.session = std::move(session);
    options.timeout = timeout;
    ChannelEvents events_;
    events_.signal = [this](const std::string &text) { said.push_back(text); };
    events_.event = [this](const ChannelEvent &event) { events.push_back(event); };
    events_.received = [this](const SharedBytes &packet, bool) {
      heard.emplace_back(packet.view.begin(), packet.view.end());
    };
    events_.complaint = [this](const std::string &text) { complaints.push_back(text); };
    auto opened = Channel::open(reactor, std::move(options), std::move(events_));
    EXPECT_TRUE(opened);
    channel = *std::move(opened);
  }
  ~End() { channel->close(); }
  bool is(ChannelState state) const { return channel->stats().state == state; }
};

class ChannelTest : public testing::Test {
 protected:
  std::shared_ptr<Reactor> reactor_ = *Reactor::create();
  End caller_{reactor_, Side::Caller}, callee_{reactor_, Side::Callee};

  template <class Check>
  bool until(Check check, bool pass = true) {
    const Time end = Clock::now() + 20s;
    while (!check()) {
      if (Clock::now() > end) return false;
      reactor_->run_once(5ms);
      if (pass) this->pass();
    }
    return true;
  }
  /// Strings of each to the other.
  void pass() {
    for (auto [one, other] : {std::pair{&caller_, &callee_}, std::pair{&callee_, &caller_}})
      for (; !one->said.empty(); one->said.pop_front()) {
        const auto taken = other->channel->take(one->said.front());
        EXPECT_TRUE(taken) << taken.error().detail;
      }
  }
  void join() {
    ASSERT_TRUE(
        until([this] { return caller_.is(ChannelState::Up) && callee_.is(ChannelState::Up); }));
  }
};

TEST_F(ChannelTest, CarriesAndCounts) {
  caller_.channel->send(rtp_packet(1), false);
  EXPECT_EQ(caller_.channel->stats().unsent, 1U) << "there is no way yet";
  join();
  for (const std::uint16_t sequence : {10, 11, 13, 14})
    caller_.channel->send(rtp_packet(sequence), false);
  caller_.channel->send(Bytes(Channel::kMostPacket + 1), false);
  caller_.channel->send(as_bytes("no packet"), false);
  ASSERT_TRUE(until([this] { return callee_.heard.size() >= 4; }));
  EXPECT_EQ(callee_.heard[2], rtp_packet(13));
  const auto sent = caller_.channel->stats(), got = callee_.channel->stats();
  EXPECT_EQ(sent.packets_sent, 4U);
  EXPECT_EQ(sent.unsent, 3U);
  EXPECT_EQ(got.packets_received, 4U);
  EXPECT_EQ(got.lost, 1U) << "12";
  EXPECT_EQ(got.bytes_received, sent.bytes_sent);
  EXPECT_GT(sent.bytes_sent, 4 * rtp_packet(1).size()) << "SRTP has a tag";
  EXPECT_EQ(got.rung, "p2p");
  EXPECT_EQ(got.local, sent.remote);
  EXPECT_EQ(got.remote, sent.local);
}

TEST_F(ChannelTest, AskerAndAskedTellTheSameStory) {
  join();
  for (const End *end : {&caller_, &callee_}) {
    ASSERT_GE(end->events.size(), 2U);
    EXPECT_EQ(end->events[0].kind, Kind::Trying);
    EXPECT_EQ(end->events[1].kind, Kind::Up);
  }
  EXPECT_EQ(caller_.channel->fingerprint(), callee_.channel->fingerprint());
}

TEST_F(ChannelTest, TakesStringsInOrderAndOfOnePeerOnly) {
  ASSERT_TRUE(until([this] { return !caller_.said.empty() && !callee_.said.empty(); }, false));
  const std::string description = callee_.said.front();
  EXPECT_THAT(caller_.channel->take(R"({"type":"up","generation":1})").error().detail,
              HasSubstr("first string"));
  EXPECT_TRUE(caller_.channel->take(description));
  EXPECT_TRUE(caller_.channel->take(description)) << "again says nothing new";
  EXPECT_THAT(caller_.channel->take(caller_.said.front()).error().detail,
              HasSubstr("another description"));
  EXPECT_TRUE(caller_.is(ChannelState::Trying));
  EXPECT_FALSE(caller_.channel->take("{"));
  pass();
  join();
}

TEST_F(ChannelTest, TakesSoManyStringsAMinute) {
  ASSERT_TRUE(until([this] { return !callee_.said.empty(); }, false));
  const std::string text = callee_.said.front();
  for (unsigned i = 0; i < Channel::kMostSignals; ++i) EXPECT_TRUE(caller_.channel->take(text));
  EXPECT_THAT(caller_.channel->take(text).error().detail, HasSubstr("within a minute"));
}

TEST_F(ChannelTest, APeerWithoutAWordTooManyFailsInTime) {
  ASSERT_TRUE(until([this] { return !callee_.said.empty(); }, false));
  EXPECT_TRUE(caller_.channel->take(callee_.said.front()));
  ASSERT_TRUE(until([this] { return caller_.is(ChannelState::Failed); }, false));
  EXPECT_EQ(caller_.events.back().kind, Kind::Failed);
  EXPECT_THAT(caller_.events.back().why, HasSubstr("none was answered"));
  EXPECT_EQ(caller_.channel->stats().rung, "");
}

TEST_F(ChannelTest, ANewGenerationReplacesAddressesWithoutABreak) {
  join();
  const auto said_before = caller_.events.size();
  // The peer names no address any more, then those that it has; packets go on meanwhile.
  EXPECT_TRUE(caller_.channel->take(R"({"type":"candidates","generation":7,"candidates":[]})"));
  caller_.channel->send(rtp_packet(1), false);
  ASSERT_TRUE(until([this] { return !callee_.heard.empty(); }));
  ASSERT_TRUE(until([this] { return caller_.channel->stats().round_trip.has_value(); }));
  EXPECT_TRUE(caller_.channel->take(R"({"type":"candidates","generation":6,"candidates":[]})"))
      << "one that is late is left alone";
  for (int i = 0; i < 20; ++i) reactor_->run_once(5ms);
  EXPECT_TRUE(caller_.is(ChannelState::Up));
  EXPECT_EQ(caller_.events.size(), said_before);
}

/// Which event closes the channel, out of itself.
enum class Closer : std::uint8_t { Signal, Trying, Up, Received, Rung, Want, Complaint };
class ClosedByItsEvents : public ChannelTest, public testing::WithParamInterface<Closer> {};

TEST_P(ClosedByItsEvents, NothingIsToldAnyMore) {
  // Captures in place, and such that would be gone with the function that has them.
  struct Told {
    std::shared_ptr<Channel> channel;
    unsigned after = 0;
    void by(Closer which) {
      after += !channel;
      if (which == GetParam() && channel) std::exchange(channel, nullptr)->close();
    }
  } told;
  ChannelOptions options;
  options.side = Side::Caller;
  options.session = "s";
  options.timeout = 500ms;
  if (GetParam() == Closer::Want) options.rungs = {Rung::Sfu};
  ChannelEvents events;
  End &callee = callee_;
  events.signal = [&told, &callee](const std::string &text) {
    told.by(Closer::Signal);
    callee.channel->post(text);
  };
  events.event = [&told](const ChannelEvent &event) {
    told.by(event.kind == Kind::Trying ? Closer::Trying : Closer::Up);
  };
  events.received = [&told](const SharedBytes &, bool) { told.by(Closer::Received); };
  events.rung = [&told](const LadderEntry &) { told.by(Closer::Rung); };
  events.want = [&told](Rung) { told.by(Closer::Want); };
  events.complaint = [&told](const std::string &) { told.by(Closer::Complaint); };
  told.channel = *Channel::open(reactor_, std::move(options), std::move(events));
  const std::weak_ptr<Channel> watched = told.channel;
  ASSERT_TRUE(until(
      [&] {
        for (; !callee_.said.empty(); callee_.said.pop_front())
          if (told.channel) told.channel->post(callee_.said.front());
        if (GetParam() == Closer::Complaint && told.channel) told.channel->post("{");
        callee_.channel->send(rtp_packet(1), false);
        return !told.channel;
      },
      false));
  for (int i = 0; i < 10; ++i) reactor_->run_once(2ms);
  EXPECT_EQ(told.after, 0U);
  EXPECT_TRUE(watched.expired());
}

INSTANTIATE_TEST_SUITE_P(Each, ClosedByItsEvents,
                         testing::Values(Closer::Signal, Closer::Trying, Closer::Up,
                                         Closer::Received, Closer::Rung, Closer::Want,
                                         Closer::Complaint));

TEST_F(ChannelTest, ClosedItIsSilent) {
  join();
  callee_.channel->close();
  const auto events = callee_.events.size();
  caller_.channel->send(rtp_packet(1), false);
  for (int i = 0; i < 10; ++i) reactor_->run_once(5ms);
  EXPECT_TRUE(callee_.heard.empty());
  EXPECT_EQ(callee_.events.size(), events);
  EXPECT_THAT(callee_.channel->take("{}").error().detail, HasSubstr("closed"));
  callee_.channel->post("{}");
  for (int i = 0; i < 3; ++i) reactor_->run_once(1ms);
  EXPECT_TRUE(callee_.complaints.empty());
}

}  // namespace
}  // namespace junctor::nat
