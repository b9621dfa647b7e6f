// SPDX-License-Identifier: LGPL-2.1-or-later
// An agent on the default context, a peer and a listener that remembers.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/reactor.h"
#include "scripted_peer.h"
#include "sip/core/agent.h"

namespace junctor::sip::test {

struct Recorder : CallListener {
  void on_ringing(Call &) override { events.push_back("ringing"); }
  void on_early_media(Call &) override { events.push_back("early"); }
  void on_answered(Call &) override { events.push_back("answered"); }
  void on_media_changed(Call &) override { events.push_back("changed"); }
  void on_keyframe_request(Call &) override { events.push_back("keyframe"); }
  void on_dtmf(Call &, const Dtmf &dtmf) override {
    events.push_back(std::string("dtmf ") + dtmf.digit);
    dtmfs.push_back(dtmf);
  }
  void on_ended(Call &, EndReason why, int status, const std::string &what) override {
    events.push_back("ended");
    reason = why;
    code = status;
    text = what;
  }
  int count(const std::string &event) const {
    return static_cast<int>(std::count(events.begin(), events.end(), event));
  }

  std::vector<std::string> events;
  std::vector<Dtmf> dtmfs;
  EndReason reason = EndReason::Internal;
  int code = -1;
  std::string text;
};

/// What an answering phone with both media says.
inline std::string phone_sdp(std::uint16_t audio = 40000, std::uint16_t video = 40002,
                             const std::string &extra = "",
                             const std::string &address = "127.0.0.1", int version = 1) {
  return "v=0\r\no=bob 1 " + std::to_string(version) + " IN IP4 " + address +
         "\r\ns=phone\r\nc=IN IP4 " + address + "\r\nt=0 0\r\n" + extra + "m=audio " +
         std::to_string(audio) + " RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\nm=video " +
         std::to_string(video) +
         " RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 "
         "profile-level-id=42e01f;packetization-mode=1\r\na=rtcp-fb:* nack pli\r\n";
}

class AgentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto reactor = ReactorThread::start("test-media");
    ASSERT_TRUE(reactor);
    reactor_ = std::move(*reactor);
    start_agent();
  }
  void TearDown() override {
    if (agent_) agent_->shutdown(EndReason::Shutdown, std::chrono::milliseconds(50));
    agent_.reset();
  }

  virtual AgentOptions options() {
    AgentOptions options;
    options.listen = {"127.0.0.1", 0};
    options.log = [this](LogLevel, std::string_view text) {
      const std::lock_guard lock(mutex_);
      log_ += std::string(text) + '\n';
    };
    return options;
  }
  void start_agent() {
    auto agent = Agent::create(nullptr, options());
    ASSERT_TRUE(agent) << agent.error().detail;
    agent_ = *agent;
    peer_.set_agent(agent_->local());
  }
  InviteOptions invite_options() {
    InviteOptions options;
    options.uri = peer_.uri();
    options.from_user = "alice";
    options.from_display = "Alice \"A\"";
    options.reactor = reactor_->reactor();
    return options;
  }
  void call() { call(invite_options()); }
  void call(const InviteOptions &options) {
    auto call = agent_->invite(options, recorder_);
    ASSERT_TRUE(call) << call.error().detail;
    call_ = *call;
  }
  /// Calls and answers; returns the INVITE.
  Message answered_call(const std::string &sdp = phone_sdp()) {
    call();
    const Message invite = peer_.request("INVITE");
    peer_.reply(invite, "200 OK", "", sdp);
    EXPECT_TRUE(run_until([&] { return recorder_->count("answered") == 1; }));
    peer_.request("ACK");
    return invite;
  }
  bool ended() {
    return run_until([&] { return recorder_->count("ended") > 0; });
  }
  /// Whether the agent still answers; the point of many a hostile test.
  void expect_alive() {
    const Message options{peer_.request_text("OPTIONS", "sip:" + agent_->local().to_string())};
    peer_.send(options.text, agent_->local());
    const auto answer = peer_.receive([&](const Message &m) {
      return m.status() >= 200 && m.header("Call-ID") == options.header("Call-ID");
    });
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status(), 200);
  }

  std::mutex mutex_;
  std::string log_;
  std::unique_ptr<ReactorThread> reactor_;
  ScriptedPeer peer_;
  std::shared_ptr<Agent> agent_;
  std::shared_ptr<Recorder> recorder_ = std::make_shared<Recorder>();
  std::shared_ptr<Call> call_;
};

}  // namespace junctor::sip::test
