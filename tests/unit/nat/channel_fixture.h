// SPDX-License-Identifier: LGPL-2.1-or-later
// Two channels on a reactor that runs, each the other's peer.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "nat/core/channel.h"

namespace junctor::nat {

using namespace std::chrono_literals;

/// One end and what it told; strings go to the other end at once.
class End {
 public:
  End(const std::shared_ptr<Reactor> &reactor, ChannelOptions options) {
    ChannelEvents events;
    events.signal = [this](const std::string &text) {
      note([&] {
        signals_.push_back(text);
        if (other_) give(text);
      });
    };
    events.event = [this](const ChannelEvent &event) { note([&] { events_.push_back(event); }); };
    events.received = [this](const SharedBytes &packet, bool rtcp) {
      const ByteSpan bytes = packet.view;
      note([&] { (rtcp ? rtcp_ : rtp_).emplace_back(bytes.begin(), bytes.end()); });
    };
    events.dtls = [this](const SharedBytes &packet) {
      const ByteSpan bytes = packet.view;
      note([&] { dtls_.emplace_back(bytes.begin(), bytes.end()); });
      return takes_dtls_;
    };
    events.want = [this](Rung rung) {
      note([&] { wanted_.push_back(rung); });
      if (on_want_) on_want_(rung);
    };
    events.rung = [this](const LadderEntry &entry) { note([&] { log_.push_back(entry); }); };
    events.complaint = [this](const std::string &text) { note([&] { complaints_ += text; }); };
    auto channel = Channel::open(reactor, std::move(options), std::move(events));
    EXPECT_TRUE(channel) << channel.error().detail;
    channel_ = *channel;
  }
  ~End() { channel_->close(); }

  Channel &channel() { return *channel_; }
  void join(End &other) {
    note([&] {
      other_ = &other;
      for (const std::string &each : signals_) give(each);
    });
  }
  template <class Check>
  bool wait(Check check) {
    std::unique_lock lock(mutex_);
    return news_.wait_for(lock, 30s, [&] { return check(*this); });
  }
  bool wait_log(LadderEntry::State state, const Attempt &attempt, std::size_t from = 0) {
    return wait([&](const End &self) {
      return self.log_.size() > from &&
             std::any_of(self.log_.begin() + static_cast<std::ptrdiff_t>(from), self.log_.end(),
                         [&](const LadderEntry &each) {
                           return each.state == state && each.attempt == attempt;
                         });
    });
  }
  bool wait_event(ChannelEvent::Kind kind) {
    return wait([kind](const End &self) {
      return std::ranges::count(self.events_, kind, &ChannelEvent::kind) > 0;
    });
  }

  std::vector<std::string> signals_;
  std::vector<ChannelEvent> events_;
  std::vector<LadderEntry> log_;
  std::vector<Bytes> rtp_, rtcp_, dtls_;
  bool takes_dtls_ = true;
  std::vector<Rung> wanted_;
  std::string complaints_;
  std::function<void(Rung)> on_want_;
  std::function<std::string(const std::string &)> through_;  ///< what is empty is withheld

 private:
  template <class Change>
  void note(Change change) {
    const std::lock_guard lock(mutex_);
    change();
    news_.notify_all();
  }
  /// Under the lock: the other end is to get each string once, in order.
  void give(const std::string &text) {
    const std::string given = through_ ? through_(text) : text;
    if (!given.empty()) other_->channel().post(given);
  }
  std::mutex mutex_;
  std::condition_variable news_;
  End *other_ = nullptr;
  std::shared_ptr<Channel> channel_;
};

inline Bytes rtp_packet(std::uint16_t sequence) {
  Bytes packet(172, std::byte{0x55});
  packet[0] = std::byte{0x80};
  packet[1] = std::byte{0x00};
  packet[2] = static_cast<std::byte>(sequence >> 8);
  packet[3] = static_cast<std::byte>(sequence & 0xff);
  return packet;
}

/// An empty receiver report (RFC 3550 section 6.4.2).
inline Bytes rtcp_packet() {
  return {std::byte{0x80}, std::byte{201}, std::byte{0}, std::byte{1},
          std::byte{1},    std::byte{2},   std::byte{3}, std::byte{4}};
}

class Channels : public testing::Test {
 protected:
  void SetUp() override {
    auto thread = ReactorThread::start("channels");
    ASSERT_TRUE(thread);
    thread_ = std::move(*thread);
  }
  /// Neither says anything to one that is gone.
  void TearDown() override {
    for (End *each : {caller_.get(), callee_.get()})
      if (each) each->channel().close();
  }
  ChannelOptions options(Side side, std::vector<Rung> rungs) const {
    ChannelOptions made;
    made.side = side;
    made.session = "s1";
    made.rungs = std::move(rungs);
    made.timeout = timeout_;
    made.patience = patience_;
    return made;
  }
  void open(const std::vector<Rung> &rungs) {
    caller_ = std::make_unique<End>(reactor(), options(Side::Caller, rungs));
    callee_ = std::make_unique<End>(reactor(), options(Side::Callee, rungs));
    for (End *each : {caller_.get(), callee_.get()})
      ASSERT_TRUE(each->wait([](const End &self) { return !self.signals_.empty(); }));
  }
  void join() {
    caller_->join(*callee_);
    callee_->join(*caller_);
  }
  /// Both get packets of each other.
  void talk() {
    for (std::uint16_t i = 0; i < 5; ++i)
      for (End *each : {caller_.get(), callee_.get()})
        reactor()->invoke([&] {
          each->channel().send(rtp_packet(static_cast<std::uint16_t>(sequence_++)), false);
          each->channel().send(rtcp_packet(), true);
        });
    for (End *each : {caller_.get(), callee_.get()})
      ASSERT_TRUE(each->wait([](const End &self) {
        return self.rtp_.size() >= 5 && self.rtcp_.size() >= 5;
      })) << each->rtp_.size()
          << " " << each->rtcp_.size();
    EXPECT_EQ(caller_->rtcp_.front(), rtcp_packet());
  }
  const std::shared_ptr<Reactor> &reactor() const { return thread_->reactor(); }

  std::unique_ptr<ReactorThread> thread_;
  std::unique_ptr<End> caller_, callee_;
  int sequence_ = 0;
  Duration timeout_ = ChannelOptions().timeout, patience_ = ChannelOptions().patience;
};

}  // namespace junctor::nat
