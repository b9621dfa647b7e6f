// SPDX-License-Identifier: LGPL-2.1-or-later
// Calls of the agent against a peer that follows a script.
#include <gmock/gmock.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "agent_fixture.h"

namespace junctor::sip::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(AgentTest, CallsRingsAnswersAndHangsUp) {
  call();
  const Message invite = peer_.request("INVITE");
  EXPECT_THAT(invite.header("From"), HasSubstr("\"Alice \\\"A\\\"\" <sip:alice@127.0.0.1>"));
  EXPECT_EQ(invite.header("Call-ID"), call_->id());
  EXPECT_EQ(invite.header("Content-Type"), "application/sdp");
  EXPECT_EQ(call_->state(), CallState::Trying);

  const auto offer = sdp::parse(invite.body());
  ASSERT_TRUE(offer) << offer.error().detail;
  ASSERT_EQ(offer->media.size(), 2u);
  EXPECT_EQ(offer->media[0].kind, "audio");
  EXPECT_EQ(offer->media[1].kind, "video");
  EXPECT_EQ(offer->address, "127.0.0.1");

  peer_.reply(invite, "180 Ringing");
  ASSERT_TRUE(run_until([&] { return recorder_->count("ringing") == 1; }));
  EXPECT_EQ(call_->state(), CallState::Ringing);
  EXPECT_TRUE(call_->media().empty());

  peer_.reply(invite, "200 OK", "", phone_sdp());
  const Message ack = peer_.request("ACK");
  EXPECT_EQ(ack.start_line(), "ACK " + peer_.uri() + " SIP/2.0");
  ASSERT_TRUE(run_until([&] { return recorder_->count("answered") == 1; }));
  ASSERT_EQ(call_->media().size(), 2u);
  const Media &audio = call_->media()[0], &video = call_->media()[1];
  EXPECT_TRUE(audio.accepted);
  EXPECT_EQ(audio.format->codec, Codec::Pcma);
  EXPECT_EQ(audio.payload_type, 8);
  EXPECT_EQ(audio.direction, Direction::SendRecv);
  EXPECT_EQ(audio.session->port(), offer->media[0].port);
  EXPECT_TRUE(video.accepted);
  EXPECT_EQ(video.format->codec, Codec::H264);
  EXPECT_EQ(video.fmtp, "profile-level-id=42e01f;packetization-mode=1");
  EXPECT_EQ(agent_->find_call(call_->id()), call_);
  EXPECT_EQ(agent_->calls(), 1u);

  call_->hangup(EndReason::CallerHangup);
  const Message bye = peer_.request("BYE");
  peer_.reply(bye, "200 OK");
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::CallerHangup);
  EXPECT_EQ(recorder_->code, 0);
  EXPECT_EQ(agent_->calls(), 0u);
  EXPECT_EQ(agent_->find_call(call_->id()), nullptr);
  EXPECT_THAT(recorder_->events, ElementsAre("ringing", "answered", "ended"));
}

TEST_F(AgentTest, PeerHangsUp) {
  const Message invite = answered_call();
  peer_.send(
      peer_.in_dialog(invite, "BYE", 1, "Reason: Q.850;cause=16;text=\"Normal call clearing\"\r\n"),
      agent_->local());
  EXPECT_EQ(peer_.final_response().status(), 200);
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::CalleeHangup);
  EXPECT_EQ(recorder_->code, 0);
}

TEST_F(AgentTest, CancelsBeforeTheAnswer) {
  call();
  const Message invite = peer_.request("INVITE");
  peer_.reply(invite, "180 Ringing");
  ASSERT_TRUE(run_until([&] { return recorder_->count("ringing") == 1; }));
  call_->hangup(EndReason::CallerHangup);
  const Message cancel = peer_.request("CANCEL");
  peer_.reply(cancel, "200 OK");
  peer_.reply(invite, "487 Request Terminated");
  peer_.request("ACK");
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::CallerHangup);
  EXPECT_EQ(recorder_->count("ended"), 1);
}

TEST_F(AgentTest, AnswerThatCrossesTheCancelIsByed) {
  call();
  const Message invite = peer_.request("INVITE");
  peer_.reply(invite, "180 Ringing");
  ASSERT_TRUE(run_until([&] { return recorder_->count("ringing") == 1; }));
  call_->hangup(EndReason::CallerHangup);
  const Message cancel = peer_.request("CANCEL");
  peer_.reply(invite, "200 OK", "", phone_sdp());
  peer_.request("ACK");
  const Message bye = peer_.request("BYE");
  peer_.reply(cancel, "481 Call/Transaction Does Not Exist");
  peer_.reply(bye, "200 OK");
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->count("answered"), 0);
  EXPECT_EQ(recorder_->count("ended"), 1);
}

TEST_F(AgentTest, CancelWaitsForTheFirstResponse) {
  call();
  const Message invite = peer_.request("INVITE");
  call_->hangup(EndReason::Admin);
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::Admin);
  EXPECT_FALSE(peer_.has_request("CANCEL"));  // RFC 3261 section 9.1
  peer_.reply(invite, "100 Trying");
  peer_.reply(peer_.request("CANCEL"), "200 OK");
  peer_.reply(invite, "487 Request Terminated");
  peer_.request("ACK");
  EXPECT_EQ(recorder_->count("ended"), 1);
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto &entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

TEST_F(AgentTest, ManyCallsLeaveNothingOpen) {
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 100; ++i) {
    recorder_ = std::make_shared<Recorder>();
    const Message invite = answered_call();
    if (i % 2 == 0) {
      call_->hangup(EndReason::CallerHangup);
      peer_.reply(peer_.request("BYE"), "200 OK");
    } else {
      peer_.send(peer_.in_dialog(invite, "BYE", 1), agent_->local());
      EXPECT_EQ(peer_.final_response().status(), 200);
    }
    ASSERT_TRUE(ended());
  }
  call_.reset();
  EXPECT_EQ(agent_->calls(), 0u);
  EXPECT_TRUE(run_until([&] {
    expect_alive();
    return open_descriptors() <= before;
  }));
}

TEST_F(AgentTest, DestroyedInTheMiddleOfACallItEndsIt) {
  answered_call();
  agent_.reset();
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::Shutdown);
  peer_.request("BYE");
  EXPECT_EQ(call_->state(), CallState::Ended);
  EXPECT_FALSE(call_->send_dtmf("1"));
  call_->hangup(EndReason::Admin);
  EXPECT_EQ(recorder_->count("ended"), 1);
}

TEST_F(AgentTest, NoAnswerIsCancelled) {
  InviteOptions options = invite_options();
  options.answer_timeout = std::chrono::milliseconds(50);
  call(options);
  const Message invite = peer_.request("INVITE");
  peer_.reply(invite, "180 Ringing");
  const Message cancel = peer_.request("CANCEL");
  peer_.reply(cancel, "200 OK");
  peer_.reply(invite, "487 Request Terminated");
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::NoAnswer);
  EXPECT_EQ(recorder_->code, 0);
}

struct Refusal {
  const char *status;
  EndReason reason;
  int code;
};
class RefusalTest : public AgentTest, public ::testing::WithParamInterface<Refusal> {};

TEST_P(RefusalTest, EndsWithItsReason) {
  call();
  const Message invite = peer_.request("INVITE");
  peer_.reply(invite, GetParam().status);
  peer_.request("ACK");
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, GetParam().reason) << to_string(recorder_->reason);
  EXPECT_EQ(recorder_->code, GetParam().code);
  EXPECT_THAT(recorder_->text, HasSubstr(std::string(GetParam().status).substr(0, 3)));
}

INSTANTIATE_TEST_SUITE_P(
    Statuses, RefusalTest,
    ::testing::Values(Refusal{"486 Busy Here", EndReason::Busy, 486},
                      Refusal{"600 Busy Everywhere", EndReason::Busy, 600},
                      Refusal{"603 Decline", EndReason::Declined, 603},
                      Refusal{"480 Temporarily Unavailable", EndReason::NoAnswer, 480},
                      Refusal{"404 Not Found", EndReason::Unreachable, 404},
                      Refusal{"503 Service Unavailable", EndReason::Unreachable, 503},
                      Refusal{"488 Not Acceptable Here", EndReason::NotAcceptable, 488},
                      Refusal{"403 Forbidden", EndReason::Unauthorized, 403},
                      Refusal{"699 Whatever", EndReason::Declined, 699}));

TEST_F(AgentTest, RetryAfterIsNotWaitedFor) {
  call();
  const Message invite = peer_.request("INVITE");
  peer_.reply(invite, "486 Busy Here", "Retry-After: 600\r\n");
  peer_.request("ACK");
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::Busy);
  EXPECT_EQ(recorder_->code, 486);
}

TEST_F(AgentTest, ClosedPortIsUnreachable) {
  InviteOptions options = invite_options();
  {
    ScriptedPeer gone;
    options.uri = gone.uri();
  }
  call(options);
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::Unreachable);
  EXPECT_EQ(recorder_->code, 0) << "nobody has said anything";
  EXPECT_THAT(recorder_->text, HasSubstr("nothing takes calls there"));
}

TEST_F(AgentTest, FirstAnswerOfAForkWinsAndTheLateOneIsByed) {
  call();
  const Message invite = peer_.request("INVITE");
  peer_.reply(invite, "183 Session Progress", "", phone_sdp(41000, 41002), "tag-a");
  ASSERT_TRUE(run_until([&] { return recorder_->count("early") == 1; }));
  peer_.reply(invite, "200 OK", "", phone_sdp(42000, 42002), "tag-b");
  ASSERT_TRUE(run_until([&] { return recorder_->count("answered") == 1; }));
  const Message ack = peer_.request("ACK");
  EXPECT_THAT(ack.header("To"), HasSubstr("tag-b"));
  peer_.reply(invite, "200 OK", "", phone_sdp(41000, 41002), "tag-a");
  const Message bye = peer_.request("BYE");
  EXPECT_THAT(bye.header("To"), HasSubstr("tag-a"));
  peer_.reply(bye, "200 OK");
  EXPECT_EQ(call_->state(), CallState::Answered);
}

TEST_F(AgentTest, AnswersOptionsAndRefusesTheRest) {
  const std::string target = "sip:carol@" + agent_->local().to_string();
  const std::string contact = "Contact: " + peer_.contact() + "\r\n";
  struct Row {
    const char *method;
    int status;
  };
  for (const Row row :
       {Row{"OPTIONS", 200}, Row{"INVITE", 480}, Row{"MESSAGE", 405}, Row{"SUBSCRIBE", 405},
        Row{"REFER", 405}, Row{"NOTIFY", 405}, Row{"PUBLISH", 405}, Row{"REGISTER", 405},
        Row{"BYE", 481}, Row{"UPDATE", 481}, Row{"INFO", 481}, Row{"FOO", 501}}) {
    peer_.send(peer_.request_text(row.method, target, contact), agent_->local());
    const int status = peer_.final_response().status();
    if (std::string(row.method) == "FOO")
      EXPECT_TRUE(status == 501 || status == 405) << status;
    else
      EXPECT_EQ(status, row.status) << row.method;
  }
}

TEST_F(AgentTest, NamesWhomItRefusesButNotWithoutEnd) {
  const std::string target = "sip:carol@" + agent_->local().to_string();
  const std::string contact = "Contact: " + peer_.contact() + "\r\n";
  constexpr int kMany = 60;
  for (int i = 0; i < kMany; ++i) {
    peer_.send(peer_.request_text("INVITE", target, contact), agent_->local());
    EXPECT_EQ(peer_.final_response().status(), 480);
  }
  const std::string line = "sip " + peer_.local().to_string() + ": refused at INVITE: 480 ";
  EXPECT_THAT(log_, HasSubstr(line));
  int lines = 0;
  for (auto at = log_.find(line); at != log_.npos; at = log_.find(line, at + 1)) ++lines;
  EXPECT_LT(lines, kMany);
}

TEST_F(AgentTest, RefusesWhatItCannotCall) {
  for (const char *uri :
       {"", "bob", "tel:+4930", "sip:", "sip:bob@", "sip:bob@-bad-", "sip:bob@1.2.3", "sip:b@a..b",
        "sip:bob@host:0", "sip:bob@host:99999", "sips:bob@host", "sip:bob@host;transport=tls",
        "sip:bob@host?Route=%3Csip:x%3E", "sip:bob@ho st", "sip:a@b>\r\nX: y", "sip:b:pw@host"}) {
    InviteOptions options = invite_options();
    options.uri = uri;
    const auto call = agent_->invite(options, recorder_);
    ASSERT_FALSE(call) << uri;
    EXPECT_EQ(call.error().fault, Fault::BadInput) << uri;
  }
  InviteOptions options = invite_options();
  options.codecs = {Codec::Sorenson};
  EXPECT_FALSE(agent_->invite(options, recorder_));
  options = invite_options();
  options.reactor = nullptr;
  EXPECT_FALSE(agent_->invite(options, recorder_));
  EXPECT_EQ(agent_->calls(), 0u);
}

TEST_F(AgentTest, TwoAgentsCallEachOther) {
  AgentOptions second = options();
  auto other = Agent::create(nullptr, second);
  ASSERT_TRUE(other);
  EXPECT_NE((*other)->local().port, agent_->local().port);
  InviteOptions options = invite_options();
  options.uri = "sip:carol@" + (*other)->local().to_string();
  call(options);
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->code, 480);
  (*other)->shutdown(EndReason::Shutdown, std::chrono::seconds(2));
}

TEST_F(AgentTest, ShutdownEndsCallsWithoutWaitingForSilentPeers) {
  call();
  peer_.request("INVITE");
  auto talking = std::make_shared<Recorder>();
  ScriptedPeer other;
  other.set_agent(agent_->local());
  InviteOptions options = invite_options();
  options.uri = other.uri();
  ASSERT_TRUE(agent_->invite(options, talking));
  const Message invite = other.request("INVITE");
  other.reply(invite, "200 OK", "", phone_sdp());
  ASSERT_TRUE(run_until([&] { return talking->count("answered") == 1; }));

  agent_->shutdown(EndReason::Shutdown, std::chrono::milliseconds(200));
  EXPECT_EQ(recorder_->count("ended"), 1);
  EXPECT_EQ(recorder_->reason, EndReason::Shutdown);
  EXPECT_EQ(talking->count("ended"), 1);
  EXPECT_FALSE(agent_->invite(invite_options(), recorder_));
  const std::lock_guard lock(mutex_);
  EXPECT_THAT(log_, ::testing::Not(HasSubstr("did not stop")));
}

class ListensEverywhere : public AgentTest {
  AgentOptions options() override {
    AgentOptions options = AgentTest::options();
    options.listen = {"0.0.0.0", 0};
    return options;
  }
};

TEST_F(ListensEverywhere, AndNamesTheAddressThatThePeerCanReach) {
  call();
  const Message invite = peer_.request("INVITE");
  const std::string port = std::to_string(agent_->local().port);
  EXPECT_EQ(invite.header("Contact"), "<sip:alice@127.0.0.1:" + port + ">");
  EXPECT_THAT(invite.header("From"), HasSubstr("<sip:alice@127.0.0.1>"));
  EXPECT_THAT(invite.body(), HasSubstr("c=IN IP4 127.0.0.1\r\n"));
  peer_.set_agent({"127.0.0.1", agent_->local().port});
  peer_.reply(invite, "200 OK", "", phone_sdp());
  peer_.request("ACK");
  ASSERT_TRUE(run_until([&] { return recorder_->count("answered") == 1; }));
  peer_.send(peer_.in_dialog(invite, "BYE", 1), {"127.0.0.1", agent_->local().port});
  ASSERT_TRUE(ended());
}

TEST_F(ListensEverywhere, OnOneSocketThatSendsFromWhereThePeerIsReached) {
  std::ifstream sockets("/proc/self/net/udp");
  char port[8];
  std::snprintf(port, sizeof port, ":%04X", agent_->local().port);
  std::vector<std::string> bound;
  for (std::string line; std::getline(sockets, line);)
    if (const auto at = line.find(port); at != std::string::npos && at < 20)
      bound.push_back(line.substr(at - 8, 8));
  EXPECT_EQ(bound, std::vector<std::string>{"00000000"});
}

class ListensEverywhereOfVersion6 : public AgentTest {
  AgentOptions options() override {
    AgentOptions options = AgentTest::options();
    options.listen = {"::", 0};
    return options;
  }
};

TEST_F(ListensEverywhereOfVersion6, AndDropsWhatItCouldNotCall) {
  const std::uint16_t port = agent_->local().port;
  peer_.send(peer_.request_text("OPTIONS", "sip:[::1]:" + std::to_string(port)),
             {"127.0.0.1", port});
  EXPECT_TRUE(run_until([&] {
    const std::lock_guard lock(mutex_);
    return log_.find("127.0.0.1:" + std::to_string(peer_.local().port)) != std::string::npos &&
           log_.find("listen on 0.0.0.0 for IPv4") != std::string::npos;
  })) << log_;
}

TEST_F(AgentTest, LocalhostNeedsNoNameServer) {
  InviteOptions options = invite_options();
  options.uri = "sip:bob@localhost:" + std::to_string(peer_.local().port);
  call(options);
  const Message invite = peer_.request("INVITE");
  EXPECT_THAT(invite.body(), HasSubstr("c=IN IP4 127.0.0.1\r\n"));
}

class OnVersion6 : public AgentTest {
  AgentOptions options() override {
    AgentOptions options = AgentTest::options();
    options.listen = {"::1", 0};
    return options;
  }
};

TEST_F(OnVersion6, ClosedPortIsUnreachable) {
  InviteOptions options = invite_options();
  options.uri = "sip:bob@[::1]:9";
  call(options);
  ASSERT_TRUE(ended());
  EXPECT_EQ(recorder_->reason, EndReason::Unreachable);
}

// The way of sipcallsink: an agent whose context is iterated by a thread of its own.
TEST_F(AgentTest, AgentsLiveInSeveralThreads) {
  GMainContext *context = g_main_context_new();
  std::promise<Endpoint> where;
  std::atomic<bool> stop = false;
  std::thread thread([&] {
    g_main_context_push_thread_default(context);
    AgentOptions mine;
    mine.listen = {"127.0.0.1", 0};
    auto agent = Agent::create(context, mine);
    where.set_value(agent ? (*agent)->local() : Endpoint{});
    while (agent && !stop) g_main_context_iteration(context, TRUE);
    if (agent) (*agent)->shutdown(EndReason::Shutdown, std::chrono::seconds(2));
    agent = internal_error("gone");
    g_main_context_pop_thread_default(context);
  });
  const Endpoint there = where.get_future().get();
  for (int i = 0; i < 20; ++i) {
    recorder_ = std::make_shared<Recorder>();
    InviteOptions options = invite_options();
    options.uri = "sip:carol@" + there.to_string();
    call(options);
    EXPECT_TRUE(ended());
    EXPECT_EQ(recorder_->code, 480);
  }
  stop = true;
  g_main_context_wakeup(context);
  thread.join();
  g_main_context_unref(context);
}

TEST(AgentCreation, TellsWhyItCannotListen) {
  auto taken = bind_udp({"127.0.0.1", 0});
  ASSERT_TRUE(taken);
  AgentOptions options;
  options.listen = local_endpoint(taken->get());
  const auto agent = Agent::create(nullptr, options);
  ASSERT_FALSE(agent);
  EXPECT_THAT(agent.error().detail, HasSubstr(std::to_string(options.listen.port)));
}

class FewCalls : public AgentTest {
  AgentOptions options() override {
    AgentOptions options = AgentTest::options();
    options.max_calls = 1;
    return options;
  }
};

TEST_F(FewCalls, RefusesOneTooMany) {
  call();
  const auto second = agent_->invite(invite_options(), recorder_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().fault, Fault::Overloaded);
}

}  // namespace
}  // namespace junctor::sip::test
