// SPDX-License-Identifier: LGPL-2.1-or-later
// sipcallsink: its settings, how calls begin and end.
#include "sipcallsink_fixture.h"

namespace junctor::test {
namespace {

TEST_F(SipCallSink, TemplatesNameWhatIsReallyTaken) {
  const std::vector<std::string> audio{"PCMA", "PCMU", "SPEEX", "MPEG4-GENERIC", "MP4A-LATM"};
  const std::vector<std::string> video{"H264", "VP8", "H263-2000", "H263-1998", "H263"};
  for (const auto &[name, encodings] : std::map<std::string, std::vector<std::string>>{
           {"audio", audio}, {"video", video}, {"audio_src", audio}, {"video_src", video}}) {
    GstPadTemplate *found = gst_element_get_pad_template(element_, name.c_str());
    ASSERT_NE(found, nullptr) << name;
    const CapsRef caps(gst_pad_template_get_caps(found));
    std::vector<std::string> packets;
    for (guint i = 0; i < gst_caps_get_size(caps.get()); ++i)
      if (const GstStructure *one = gst_caps_get_structure(caps.get(), i);
          gst_structure_has_name(one, "application/x-rtp"))
        packets.push_back(field(one, "encoding-name"));
    EXPECT_EQ(packets, encodings) << name;
  }
}

TEST_F(SipCallSink, ReleasedSinkPadsCanBeHadAgain) {
  const PadRef first(gst_element_request_pad_simple(element_, "audio"));
  ASSERT_NE(first, nullptr);
  gst_element_release_request_pad(element_, first.get());
  const PadRef again(gst_element_request_pad_simple(element_, "audio"));
  EXPECT_NE(again, nullptr);
}

TEST_F(SipCallSink, ThePasswordCannotBeRead) {
  GParamSpec *spec = g_object_class_find_property(G_OBJECT_GET_CLASS(element_), "password");
  ASSERT_NE(spec, nullptr);
  EXPECT_EQ(spec->flags & G_PARAM_READABLE, 0);
}

TEST_F(SipCallSink, WrongSettingsAreNamed) {
  std::string text;
  g_object_set(element_, "uri", "", nullptr);
  EXPECT_EQ(gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
  EXPECT_EQ(error(&text), GST_RESOURCE_ERROR_SETTINGS);
  EXPECT_NE(text.find("uri"), std::string::npos);
  gst_element_set_state(pipeline_.get(), GST_STATE_NULL);

  g_object_set(element_, "uri", peer_.uri().c_str(), "codecs", "pcma,opus", nullptr);
  EXPECT_EQ(gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
  EXPECT_EQ(error(&text), GST_RESOURCE_ERROR_SETTINGS);
  EXPECT_NE(text.find("opus"), std::string::npos);
  gst_element_set_state(pipeline_.get(), GST_STATE_NULL);

  g_object_set(element_, "codecs", "", "call", "no-such-call", nullptr);
  EXPECT_EQ(gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
  EXPECT_EQ(error(&text), GST_RESOURCE_ERROR_NOT_FOUND);
}

TEST_F(SipCallSink, EncryptionIsForCallsOverTls) {
  int policy = -1;
  g_object_get(element_, "srtp", &policy, nullptr);
  EXPECT_EQ(policy, static_cast<int>(rtp::SrtpPolicy::Off));
  // What is preferred is left out where its keys would travel in clear.
  gst_util_set_object_arg(G_OBJECT(element_), "srtp", "prefer");
  Feeder audio(element_, "audio", kAudioCaps);
  play();
  audio.start();
  const Message invite = this->invite();
  EXPECT_NE(invite.body().find(" RTP/AVP "), std::string::npos);
  EXPECT_EQ(invite.body().find("a=crypto"), std::string::npos);
}

TEST_F(SipCallSink, RequiredEncryptionEndsAPlainCall) {
  gst_util_set_object_arg(G_OBJECT(element_), "srtp", "require");
  Feeder audio(element_, "audio", kAudioCaps);
  play();
  audio.start();
  const MessageRef ended = message(GST_MESSAGE_ELEMENT);
  EXPECT_EQ(in(ended, "state"), "ended");
  EXPECT_EQ(in(ended, "reason"), "not-acceptable");
  EXPECT_NE(in(ended, "text").find("not reached over TLS"), std::string::npos);
}

/// What a call over this proxy begins with, on the proxy's socket.
class SipCallSinkOverTls : public SipCallSink {
 protected:
  int first_byte(const std::string &scheme, const char *transport) {
    auto listener = listen_tcp({"127.0.0.1", 0});
    EXPECT_TRUE(listener);
    const std::string proxy = scheme + local_endpoint(listener->get()).to_string();
    g_object_set(element_, "proxy", proxy.c_str(), "uri", "sip:bob@192.0.2.9", nullptr);
    gst_util_set_object_arg(G_OBJECT(element_), "transport", transport);
    Feeder audio(element_, "audio", kAudioCaps);
    play();
    audio.start();
    const sip::test::Wake wake(listener->get());
    UniqueFd connection;
    std::unique_ptr<sip::test::Wake> wake_too;
    unsigned char first = 0;
    EXPECT_TRUE(run_until([&] {
      if (!connection) {
        connection =
            UniqueFd(::accept4(listener->get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (connection) wake_too = std::make_unique<sip::test::Wake>(connection.get());
      }
      return connection && ::recv(connection.get(), &first, 1, MSG_PEEK) == 1;
    }));
    return first;
  }
};

constexpr int kHandshake = 22;  // RFC 8446 section 5.1

TEST_F(SipCallSinkOverTls, TransportIsOfTheProxyToo) {
  EXPECT_EQ(first_byte("sip:", "tls"), kHandshake);
}

TEST_F(SipCallSinkOverTls, AProxyMaySayItAlone) {
  EXPECT_EQ(first_byte("sips:", "udp"), kHandshake);
}

TEST_F(SipCallSink, FilesForTlsAreChecked) {
  std::string text;
  g_object_set(element_, "tls-certificate", "/nonexistent", nullptr);
  EXPECT_EQ(gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
  EXPECT_EQ(error(&text), GST_RESOURCE_ERROR_SETTINGS);
  EXPECT_NE(text.find("belong together"), std::string::npos);
  gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
  g_object_set(element_, "tls-key", "/nonexistent", nullptr);
  EXPECT_EQ(gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
  EXPECT_EQ(error(&text), GST_RESOURCE_ERROR_SETTINGS);
  EXPECT_NE(text.find("/nonexistent cannot be used"), std::string::npos);
}

TEST_F(SipCallSink, CallsWhenItKnowsWhatUpstreamSends) {
  Feeder audio(element_, "audio", kAudioCaps), video(element_, "video", kVideoCaps);
  play();
  audio.start();
  video.start();
  const Message invite = this->invite();
  EXPECT_NE(port_in(invite.body(), "audio"), 0);
  EXPECT_NE(port_in(invite.body(), "video"), 0);
  EXPECT_NE(invite.body().find("PCMA/8000"), std::string::npos);
  EXPECT_EQ(invite.body().find("PCMU/8000"), std::string::npos);  // upstream has none
  EXPECT_NE(invite.body().find("profile-level-id=42c01e"), std::string::npos);
}

TEST_F(SipCallSink, OneMediumDoesNotWaitForTheOtherForEver) {
  Feeder audio(element_, "audio", kAudioCaps), video(element_, "video", kVideoCaps);
  play();
  audio.start();
  EXPECT_NE(port_in(invite().body(), "audio"), 0);
}

TEST_F(SipCallSink, EndOfInputHangsUp) {
  Feeder audio(element_, "audio", kAudioCaps);
  play();
  audio.start();
  const Message invite = this->invite();
  peer_.reply(invite, "200 OK", "", answer(false));
  change("answered");
  peer_.request("ACK");
  GstBus *inner = gst_bus_new();  // the pipeline makes a number of its own
  gst_element_set_bus(element_, inner);
  const guint32 seqnum = audio.end();
  peer_.reply(bye(), "200 OK");
  MessageRef eos;
  EXPECT_TRUE(run_until([&] {
    if (!eos) eos.reset(gst_bus_pop_filtered(inner, GST_MESSAGE_EOS));
    return eos != nullptr;
  }));
  EXPECT_EQ(eos ? gst_message_get_seqnum(eos.get()) : 0, seqnum);
  gst_bus_set_flushing(inner, TRUE);
  gst_object_unref(inner);
}

TEST_F(SipCallSink, EndOfInputEndsThePipeline) {
  Feeder audio(element_, "audio", kAudioCaps);
  play();
  audio.start();
  const Message invite = this->invite();
  peer_.reply(invite, "200 OK", "", answer(false));
  change("answered");
  peer_.request("ACK");
  audio.end();
  peer_.reply(bye(), "200 OK");
  EXPECT_EQ(in(change("ended"), "reason"), "caller-hangup");
  EXPECT_TRUE(message(GST_MESSAGE_EOS));
}

TEST_F(SipCallSink, ActionsHangUpAndSendDtmf) {
  Feeder audio(element_, "audio", kAudioCaps);
  play();
  audio.start();
  const Message invite = this->invite();
  peer_.reply(invite, "200 OK", "", answer(false));
  change("answered");
  peer_.request("ACK");
  g_signal_emit_by_name(element_, "dtmf", "5");
  const Message info = peer_.request("INFO");
  EXPECT_NE(info.body().find("Signal=5"), std::string::npos) << info.text;
  peer_.reply(info, "200 OK");
  // As rtpdtmfsrc has it.
  EXPECT_TRUE(gst_element_send_event(
      element_,
      gst_event_new_custom(
          GST_EVENT_CUSTOM_UPSTREAM,
          gst_structure_new("dtmf-event", "type", G_TYPE_INT, 1, "number", G_TYPE_INT, 11, "volume",
                            G_TYPE_INT, 10, "start", G_TYPE_BOOLEAN, TRUE, nullptr))));
  const Message hash = peer_.request("INFO");
  EXPECT_NE(hash.body().find("Signal=#"), std::string::npos) << hash.text;
  peer_.reply(hash, "200 OK");
  g_signal_emit_by_name(element_, "dtmf", "1x");
  EXPECT_TRUE(message(GST_MESSAGE_WARNING));
  g_signal_emit_by_name(element_, "hangup");
  peer_.reply(bye(), "200 OK");
  EXPECT_EQ(in(change("ended"), "reason"), "caller-hangup");
}

TEST_F(SipCallSink, StoppingThePipelineHangsUp) {
  Feeder audio(element_, "audio", kAudioCaps);
  play();
  audio.start();
  const Message invite = this->invite();
  peer_.reply(invite, "200 OK", "", answer(false));
  change("answered");
  peer_.request("ACK");
  gst_element_set_state(pipeline_.get(), GST_STATE_READY);
  peer_.reply(bye(), "200 OK");
  // And it can call again.
  play();
  audio.start();
  const Message second = this->invite();
  EXPECT_NE(second.header("Call-ID"), invite.header("Call-ID"));
}

struct Failure {
  const char *status;
  int code;
  const char *reason;
};
class SipCallFailure : public SipCallSink, public testing::WithParamInterface<Failure> {};

TEST_P(SipCallFailure, IsAnErrorOfItsKind) {
  std::atomic<int> signalled = 0;
  std::string reason;
  g_signal_connect_data(element_, "ended",
                        G_CALLBACK(+[](GstElement *, int code, const char *, gpointer data) {
                          *static_cast<std::atomic<int> *>(data) = code;
                        }),
                        &signalled, nullptr, static_cast<GConnectFlags>(0));
  Feeder audio(element_, "audio", kAudioCaps);
  play();
  audio.start();
  const Message invite = this->invite();
  peer_.reply(invite, GetParam().status);
  const MessageRef ended = change("ended");
  EXPECT_EQ(in(ended, "reason"), GetParam().reason);
  std::string text;
  EXPECT_EQ(error(&text), GetParam().code);
  EXPECT_FALSE(text.empty());
  EXPECT_EQ(signalled, std::stoi(GetParam().status));
}

INSTANTIATE_TEST_SUITE_P(
    Statuses, SipCallFailure,
    testing::Values(Failure{"486 Busy Here", GST_RESOURCE_ERROR_BUSY, "busy"},
                    Failure{"603 Decline", GST_RESOURCE_ERROR_NOT_AUTHORIZED, "declined"},
                    Failure{"404 Not Found", GST_RESOURCE_ERROR_NOT_FOUND, "unreachable"},
                    Failure{"488 Not Acceptable Here", GST_RESOURCE_ERROR_SETTINGS,
                            "not-acceptable"}));

// A call that the application holds: the element joins its media and leaves its life alone.
TEST_F(SipCallSink, AttachesToACallOfTheSharedAgent) {
  auto thread = ReactorThread::start("shared");
  ASSERT_TRUE(thread);
  const auto reactor = (*thread)->reactor();
  sip::AgentOptions agent_options;
  agent_options.listen = {"127.0.0.1", 0};
  agent_options.media_address = "127.0.0.1";
  auto agent = sip::Agent::create(nullptr, agent_options);
  ASSERT_TRUE(agent) << agent.error().detail;
  sip::InviteOptions options;
  options.uri = peer_.uri();
  options.reactor = reactor;
  auto call = (*agent)->invite(options, {});
  ASSERT_TRUE(call) << call.error().detail;
  const Message invite = this->invite();
  peer_.reply(invite, "200 OK", "", answer());
  peer_.request("ACK");
  ASSERT_TRUE(run_until([&] { return (*call)->state() == sip::CallState::Answered; }));

  GstContext *shared = gst::make_context(kSipAgentContext, *agent, true);
  gst_element_set_context(pipeline_.get(), shared);
  gst_context_unref(shared);
  shared = gst::make_context(kReactorContext, reactor, true);
  gst_element_set_context(pipeline_.get(), shared);
  gst_context_unref(shared);
  g_object_set(element_, "uri", "", "call", (*call)->id().c_str(), nullptr);
  Feeder audio(element_, "audio", kAudioCaps);
  play();
  ASSERT_NE(taker("audio_src"), nullptr);  // at once: the answer is known
  ASSERT_NE(taker("video_src"), nullptr);
  audio.start();
  // On the reactor itself, as a source that shares it does.
  reactor->invoke([&] { audio.push(Feeder::packet(160, {"sound"})); });
  EXPECT_EQ(payload_of(audio_.receive(false)), "sound");
  audio_.send(port_in(invite.body(), "audio"),
              rtp::build_packet({8, true, 1, 1, 5}, as_bytes("voice")));
  EXPECT_TRUE(run_until([&] { return taker("audio_src")->taken().size() == 1; }));

  // Gone without a BYE; the call and its media live on, and another element can take them over.
  gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
  EXPECT_EQ((*call)->state(), sip::CallState::Answered);
  play();
  audio.start();
  audio.push(Feeder::packet(320, {"again"}));
  EXPECT_EQ(payload_of(audio_.receive(false)), "again");
  gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
  EXPECT_FALSE(peer_.has_request("BYE"));

  // A start that fails half way leaves nothing behind.
  const PadRef sink(gst_element_get_static_pad(element_, "audio"));
  gst_pad_set_active(sink.get(), FALSE);
  gst_pad_set_activate_function(sink.get(),
                                [](GstPad *, GstObject *) -> gboolean { return FALSE; });
  EXPECT_EQ(gst_element_set_state(element_, GST_STATE_PAUSED), GST_STATE_CHANGE_FAILURE);
  EXPECT_EQ(PadRef(gst_element_get_static_pad(element_, "audio_src")), nullptr);
  gst_element_set_state(element_, GST_STATE_NULL);

  (*agent)->shutdown(EndReason::Shutdown, 0s);
  call->reset();
  agent->reset();
}

// The agent is the application's, the reactor the element's own: it serves until the call is over.
TEST_F(SipCallSink, StoppedWhileRingingItLeavesNoSocketOpen) {
  sip::AgentOptions agent_options;
  agent_options.listen = {"127.0.0.1", 0};
  agent_options.media_address = "127.0.0.1";
  auto agent = sip::Agent::create(nullptr, agent_options);
  ASSERT_TRUE(agent) << agent.error().detail;
  GstContext *shared = gst::make_context(kSipAgentContext, *agent, true);
  gst_element_set_context(pipeline_.get(), shared);
  gst_context_unref(shared);
  {
    Feeder audio(element_, "audio", kAudioCaps), video(element_, "video", kVideoCaps);
    play();
    audio.start();
    video.start();
    const Message invite = this->invite();
    const auto port = [&](const char *medium) { return port_in(invite.body(), medium); };
    const auto free = [&](std::uint16_t number) -> bool {
      return bind_udp({"127.0.0.1", number}) && bind_udp({"127.0.0.1", ++number});
    };
    peer_.reply(invite, "180 Ringing");
    change("ringing");
    EXPECT_FALSE(free(port("audio")));
    gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
    peer_.reply(peer_.request("CANCEL"), "200 OK");
    peer_.reply(invite, "487 Request Terminated");
    EXPECT_TRUE(run_until([&] { return free(port("audio")) && free(port("video")); }));
  }
  (*agent)->shutdown(EndReason::Shutdown, 0s);
  agent->reset();
}

}  // namespace
}  // namespace junctor::test
