// SPDX-License-Identifier: LGPL-2.1-or-later
// rtmpauthsrc and rtmpplaysink with a real server and GStreamer's RTMP clients: ports, the three
// checks, sharing.
#include <array>
#include <atomic>
#include <future>
#include <thread>

#include "../unit/temporary_directory.h"
#include "../unit/tls_peer.h"
#include "environment.h"

namespace junctor::test {
namespace {

constexpr const char *kSource =
    "rtmpauthsrc name=source address=127.0.0.1 port=0 ! fakesink name=sink async=false sync=false ";

std::string publish_line(guint port, const std::string &path) {
  return "audiotestsrc is-live=true samplesperbuffer=160 ! audio/x-raw,rate=8000,channels=1 ! "
         "alawenc ! flvmux streamable=true ! rtmp2sink name=client location=\"rtmp://127.0.0.1:" +
         std::to_string(port) + "/" + path + "\"";
}

std::string play_line(guint port, const std::string &path) {
  return "rtmp2src name=client location=\"rtmp://127.0.0.1:" + std::to_string(port) + "/" + path +
         "\" ! fakesink name=sink async=false sync=false signal-handoffs=true";
}

guint port_of(Pipeline &pipeline, const char *name) {
  return property<guint>(pipeline[name].get(), "port");
}

/// The text of the next error, which must come.
std::string wait_error(Pipeline &pipeline) {
  const MessageRef message(
      gst_bus_timed_pop_filtered(pipeline.bus(), kPatience, GST_MESSAGE_ERROR));
  if (!message) {
    ADD_FAILURE() << "no error came";
    return "";
  }
  GError *error = nullptr;
  gchar *debug = nullptr;
  gst_message_parse_error(message.get(), &error, &debug);
  std::string text = std::string(error->message) + " " + (debug != nullptr ? debug : "");
  g_clear_error(&error);
  g_free(debug);
  return text;
}

/// The next check told by the pipeline: "connect push accepted", "publish push refused".
std::string wait_check(Pipeline &pipeline) {
  const MessageRef message = pipeline.wait_element("junctor-rtmp-auth");
  if (!message) return "";
  const GstStructure *structure = gst_message_get_structure(message.get());
  gboolean accepted = FALSE;
  EXPECT_TRUE(gst_structure_get_boolean(structure, "accepted", &accepted));
  EXPECT_EQ(field(structure, "address").rfind("127.0.0.1:", 0), 0u);
  return field(structure, "stage") + (accepted ? " accepted" : " refused");
}

/// Waits until `sink` has had a buffer.
class FirstBuffer {
 public:
  explicit FirstBuffer(const ElementRef &sink) {
    const PadRef pad(gst_element_get_static_pad(sink.get(), "sink"));
    gst_pad_add_probe(
        pad.get(), GST_PAD_PROBE_TYPE_BUFFER,
        [](GstPad *, GstPadProbeInfo *, gpointer promise) {
          static_cast<std::promise<void> *>(promise)->set_value();
          return GST_PAD_PROBE_REMOVE;
        },
        &promise_, nullptr);
  }
  bool wait() {
    return promise_.get_future().wait_for(std::chrono::nanoseconds(kPatience)) ==
           std::future_status::ready;
  }

 private:
  std::promise<void> promise_;
};

TEST(RtmpServer, APortOfTheSystemsChoiceIsReadBack) {
  Pipeline pipeline(kSource);
  EXPECT_EQ(port_of(pipeline, "source"), 0u);
  ASSERT_NE(pipeline.set_state(GST_STATE_READY), GST_STATE_CHANGE_FAILURE);
  EXPECT_GT(port_of(pipeline, "source"), 0u);
  pipeline.set_state(GST_STATE_NULL);
  EXPECT_EQ(port_of(pipeline, "source"), 0u);
}

TEST(RtmpServer, ATokenIsWrittenNeverRead) {
  const ElementRef source = make("rtmpauthsrc");
  const GParamSpec *token = g_object_class_find_property(G_OBJECT_GET_CLASS(source.get()), "token");
  ASSERT_NE(token, nullptr);
  EXPECT_EQ(token->flags & G_PARAM_READABLE, 0);
}

TEST(RtmpServer, ATakenPortIsAnErrorThatSaysWhatToDo) {
  Pipeline first(kSource);
  first.set_state(GST_STATE_READY);
  const std::string port = std::to_string(port_of(first, "source"));
  for (const char *element : {"rtmpauthsrc", "rtmpplaysink"}) {
    Pipeline second(std::string(element) + " address=127.0.0.1 port=" + port);
    EXPECT_EQ(second.set_state(GST_STATE_PAUSED), GST_STATE_CHANGE_FAILURE);
    const std::string text = wait_error(second);
    EXPECT_NE(text.find("127.0.0.1"), std::string::npos) << text;
    EXPECT_NE(text.find(port), std::string::npos) << text;
    EXPECT_NE(text.find("`port`"), std::string::npos) << text;
  }
}

TEST(RtmpServer, AnAddressThatIsNoneIsAnError) {
  Pipeline pipeline("rtmpauthsrc address=localhost port=0");
  EXPECT_EQ(pipeline.set_state(GST_STATE_READY), GST_STATE_CHANGE_FAILURE);
  EXPECT_NE(wait_error(pipeline).find("localhost"), std::string::npos);
}

/// `tls-certificate=… tls-key=…` of a fresh certificate in `directory`.
std::string tls_properties(const TemporaryDirectory &directory) {
  const TlsFiles files = fresh_certificate(directory.path());
  return " tls-certificate=" + files.certificate + " tls-key=" + files.key + " ";
}

TEST(RtmpServer, UnderTlsAPublisherReachesAPlayer) {
  const TemporaryDirectory directory;
  const std::string tls = tls_properties(directory);
  Pipeline server("rtmpauthsrc name=source address=127.0.0.1 port=0 stream=alice" + tls +
                  "rtmpplaysink name=sink address=127.0.0.1 port=0 stream=bob" + tls +
                  "source.audio ! sink.audio");
  ASSERT_NE(server.set_state(GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
  const guint port = port_of(server, "source");
  ASSERT_EQ(port_of(server, "sink"), port);
  const auto secure = [](std::string line) {
    line.replace(line.find("rtmp://"), 4, "rtmps");
    return line.insert(line.find(" location="), " tls-validation-flags=no-flags");
  };
  Pipeline publisher(secure(publish_line(port, "live/alice")));
  publisher.set_state(GST_STATE_PLAYING);
  Pipeline player(secure(play_line(port, "live/bob")));
  FirstBuffer first(player["sink"]);
  player.set_state(GST_STATE_PLAYING);
  EXPECT_TRUE(first.wait());
  // In clear there is nobody.
  Pipeline wrong(play_line(port, "live/bob"));
  wrong.set_state(GST_STATE_PLAYING);
  wait_error(wrong);
}

TEST(RtmpServer, CertificatesThatCannotBeUsedAreErrorsThatSayWhatToDo) {
  const TemporaryDirectory directory;
  const std::string tls = tls_properties(directory);
  const auto why = [](const std::string &line) {
    Pipeline pipeline(line);
    EXPECT_EQ(pipeline.set_state(GST_STATE_READY), GST_STATE_CHANGE_FAILURE);
    return wait_error(pipeline);
  };
  const std::string source = "rtmpauthsrc address=127.0.0.1 port=0 ";
  EXPECT_NE(why(source + "tls-certificate=/nonexistent tls-key=/nonexistent")
                .find("the certificate /nonexistent"),
            std::string::npos);
  EXPECT_NE(why(source + "tls-key=/nonexistent").find("belong together"), std::string::npos);
  EXPECT_NE(why(source + tls + "rtmpplaysink address=127.0.0.1 port=0").find("another element"),
            std::string::npos);
}

TEST(RtmpServer, ThePortIsFreeWhenNullIsReached) {
  guint port = 0;
  for (int i = 0; i < 100; ++i) {
    Pipeline pipeline(
        "rtmpauthsrc name=source address=127.0.0.1 ! fakesink rtmpplaysink name=sink "
        "address=127.0.0.1");
    g_object_set(pipeline["source"].get(), "port", port, nullptr);
    g_object_set(pipeline["sink"].get(), "port", port, nullptr);
    ASSERT_NE(pipeline.set_state(i % 2 != 0 ? GST_STATE_READY : GST_STATE_PLAYING),
              GST_STATE_CHANGE_FAILURE)
        << "cycle " << i;
    port = port_of(pipeline, "source");
    ASSERT_EQ(port_of(pipeline, "sink"), port);
    ASSERT_EQ(pipeline.set_state(GST_STATE_NULL), GST_STATE_CHANGE_SUCCESS);
  }
}

TEST(RtmpServer, TwoAddressesInOnePipelineAreTwoServers) {
  Pipeline pipeline(
      "rtmpauthsrc name=a address=127.0.0.1 port=0 rtmpauthsrc name=b "
      "address=127.0.0.2 port=0 rtmpplaysink name=c address=127.0.0.1 port=0");
  ASSERT_NE(pipeline.set_state(GST_STATE_READY), GST_STATE_CHANGE_FAILURE);
  EXPECT_NE(port_of(pipeline, "a"), port_of(pipeline, "b"));
  EXPECT_EQ(port_of(pipeline, "a"), port_of(pipeline, "c"));
}

TEST(RtmpServer, APublisherPassesThreeChecksAndIsHeard) {
  Pipeline pipeline(std::string(kSource) + "source.audio ! sink.");
  pipeline.set_state(GST_STATE_PLAYING);
  FirstBuffer first(pipeline["sink"]);
  Pipeline client(publish_line(port_of(pipeline, "source"), "live/alice"));
  client.set_state(GST_STATE_PLAYING);
  EXPECT_EQ(wait_check(pipeline), "connect accepted");
  EXPECT_EQ(wait_check(pipeline), "createStream accepted");
  EXPECT_EQ(wait_check(pipeline), "publish accepted");
  EXPECT_TRUE(first.wait());
  // deleteStream ends the streams.
  gst_element_send_event(client.get(), gst_event_new_eos());
  client.wait(GST_MESSAGE_EOS);
  client.set_state(GST_STATE_NULL);
  EXPECT_TRUE(pipeline.wait(GST_MESSAGE_EOS));
}

struct Case {
  const char *name, *properties, *path, *last_check, *error;
};

class Refused : public testing::TestWithParam<Case> {};

TEST_P(Refused, EndsTheClientWithTheReason) {
  Pipeline pipeline(std::string("rtmpauthsrc name=source address=127.0.0.1 port=0 ") +
                    GetParam().properties + " ! fakesink async=false");
  pipeline.set_state(GST_STATE_PLAYING);
  Pipeline client(publish_line(port_of(pipeline, "source"), GetParam().path));
  client.set_state(GST_STATE_PLAYING);
  const std::string text = wait_error(client);
  EXPECT_NE(text.find(GetParam().error), std::string::npos) << text;
  std::string check;
  do {
    check = wait_check(pipeline);
  } while (check.find("accepted") != std::string::npos);
  EXPECT_EQ(check, GetParam().last_check);
}

INSTANTIATE_TEST_SUITE_P(
    Publishers, Refused,
    testing::Values(
        Case{"application", "application=live", "other/alice", "connect refused",
             "There is no application"},
        Case{"no_token", "token=secret", "live/alice", "connect refused", "A token is needed"},
        Case{"wrong_token", "token=secret", "live?token=secreT/alice", "connect refused",
             "The token is not right"},
        Case{"other_token_later", "token=secret", "live?token=secret/alice?token=x",
             "publish refused", "The token is not right"},
        Case{"stream", "stream=bob", "live/alice", "publish refused", "There is no stream"},
        Case{"player_only", "stream=bob application=live", "live/alice", "publish refused",
             "There is no stream"}),
    [](const auto &info) { return std::string(info.param.name); });

TEST(RtmpServer, TheRightTokenIsLetIn) {
  Pipeline pipeline(
      "rtmpauthsrc name=source address=127.0.0.1 port=0 application=live "
      "token=secret stream=alice ! fakesink name=sink async=false");
  pipeline.set_state(GST_STATE_PLAYING);
  FirstBuffer first(pipeline["sink"]);
  Pipeline client(publish_line(port_of(pipeline, "source"), "live?token=secret/alice?to=bob"));
  client.set_state(GST_STATE_PLAYING);
  EXPECT_TRUE(first.wait());
}

TEST(RtmpServer, WithoutAStreamTheFirstNameHoldsThePlace) {
  Pipeline pipeline(kSource);
  pipeline.set_state(GST_STATE_PLAYING);
  const guint port = port_of(pipeline, "source");
  FirstBuffer first(pipeline["sink"]);
  Pipeline alice(publish_line(port, "live/alice"));
  alice.set_state(GST_STATE_PLAYING);
  ASSERT_TRUE(first.wait());
  Pipeline mallory(publish_line(port, "live/mallory"));
  mallory.set_state(GST_STATE_PLAYING);
  wait_error(mallory);
}

/// Two elements on one port, and the buffers that each has given.
class TwoSources {
 public:
  explicit TwoSources(const std::array<std::string, 2> &settings)
      : pipeline_(source(0, settings[0]) + source(1, settings[1])) {
    for (std::size_t i = 0; i < 2; ++i) {
      const PadRef pad(gst_element_get_static_pad(pipeline_[sink(i).c_str()].get(), "sink"));
      gst_pad_add_probe(
          pad.get(), GST_PAD_PROBE_TYPE_BUFFER,
          [](GstPad *, GstPadProbeInfo *, gpointer count) {
            ++*static_cast<std::atomic<int> *>(count);
            return GST_PAD_PROBE_OK;
          },
          &buffers[i], nullptr);
    }
    pipeline_.set_state(GST_STATE_PLAYING);
    port = port_of(pipeline_, "source0");
  }
  bool wait(const std::function<bool()> &done) const {
    const gint64 deadline = g_get_monotonic_time() + static_cast<gint64>(kPatience / 1000);
    while (!done() && g_get_monotonic_time() < deadline) g_usleep(1000);
    return done();
  }
  Pipeline &pipeline() { return pipeline_; }

  std::array<std::atomic<int>, 2> buffers{};
  guint port = 0;

 private:
  static std::string sink(std::size_t i) { return "sink" + std::to_string(i); }
  static std::string source(std::size_t i, const std::string &settings) {
    return "rtmpauthsrc name=source" + std::to_string(i) + " address=127.0.0.1 port=0 " + settings +
           " ! fakesink async=false sync=false name=" + sink(i) + " ";
  }
  Pipeline pipeline_;
};

TEST(RtmpServer, APublisherReachesTheElementAloneThatLetItIn) {
  for (const std::size_t its : {0U, 1U}) {  // whichever is asked first
    TwoSources two({"token=A", "token=B"});
    Pipeline client(publish_line(two.port, its == 0 ? "live?token=A/alice" : "live?token=B/alice"));
    client.set_state(GST_STATE_PLAYING);
    ASSERT_TRUE(two.wait([&] { return two.buffers[its] >= 10; }));
    EXPECT_EQ(two.buffers[1 - its], 0);
    const std::string name = "source" + std::to_string(its);
    for (int check = 0; check < 3; ++check) {
      const MessageRef message = two.pipeline().wait_element("junctor-rtmp-auth");
      ASSERT_TRUE(message);
      EXPECT_EQ(GST_MESSAGE_SRC(message.get()), GST_OBJECT(two.pipeline()[name.c_str()].get()));
    }
  }
}

TEST(RtmpServer, APlaceThatIsFreeIsNotHeldByWhomTheOtherServes) {
  TwoSources two({"", ""});
  Pipeline alice(publish_line(two.port, "live/alice"));
  alice.set_state(GST_STATE_PLAYING);
  ASSERT_TRUE(two.wait([&] { return two.buffers[0] + two.buffers[1] >= 10; }));
  EXPECT_TRUE(two.buffers[0] == 0 || two.buffers[1] == 0);
  Pipeline bob(publish_line(two.port, "live/bob"));
  bob.set_state(GST_STATE_PLAYING);
  EXPECT_TRUE(two.wait([&] { return two.buffers[0] > 0 && two.buffers[1] > 0; }));
}

/// What a test does with the requests of an element.
class Handler {
 public:
  using Answer = std::function<void(GObject *request, const std::string &stage)>;
  Handler(const ElementRef &element, Answer answer) : answer_(std::move(answer)) {
    g_signal_connect_swapped(element.get(), "authenticate",
                             G_CALLBACK(+[](Handler *self, GObject *request) {
                               gchar *stage = nullptr;
                               g_object_get(request, "stage", &stage, nullptr);
                               const std::string name = stage;
                               g_free(stage);
                               self->answer_(request, name);
                             }),
                             this);
  }

 private:
  Answer answer_;
};

void accept(GObject *request) {
  gboolean taken = FALSE;
  g_signal_emit_by_name(request, "accept", &taken);
  EXPECT_TRUE(taken);
}

std::string text_of(GObject *request, const char *name) {
  gchar *text = nullptr;
  g_object_get(request, name, &text, nullptr);
  std::string copy = text != nullptr ? text : "";
  g_free(text);
  return copy;
}

TEST(RtmpServer, AHandlerBindsTheAccountAndSeesItLater) {
  Pipeline pipeline(kSource);
  std::string seen;
  const Handler handler(pipeline["source"], [&](GObject *request, const std::string &stage) {
    gchar *token = nullptr;
    g_signal_emit_by_name(request, "parameter", "token", &token);
    seen += stage + ":" + text_of(request, "account") + ":" + (token != nullptr ? token : "") + " ";
    g_free(token);
    EXPECT_EQ(text_of(request, "application"), "live");
    if (stage == "connect") g_object_set(request, "account", "alice@example", nullptr);
    accept(request);
    gboolean again = TRUE;
    g_signal_emit_by_name(request, "refuse", "too late", &again);
    EXPECT_FALSE(again);
  });
  pipeline.set_state(GST_STATE_PLAYING);
  Pipeline client(publish_line(port_of(pipeline, "source"), "live?token=T/alice"));
  client.set_state(GST_STATE_PLAYING);
  const MessageRef message = pipeline.wait_element(
      "junctor-rtmp-auth",
      [](const GstStructure *structure) { return field(structure, "stage") == "publish"; });
  ASSERT_TRUE(message);
  EXPECT_EQ(field(gst_message_get_structure(message.get()), "account"), "alice@example");
  EXPECT_EQ(field(gst_message_get_structure(message.get()), "stream"), "alice");
  EXPECT_EQ(seen, "connect::T createStream:alice@example:T publish:alice@example:T ");
}

class RefusedAt : public testing::TestWithParam<const char *> {};

TEST_P(RefusedAt, ByAHandlerWithItsReason) {
  Pipeline pipeline(kSource);
  const Handler handler(pipeline["source"], [](GObject *request, const std::string &stage) {
    if (stage != GetParam()) return accept(request);
    gboolean taken = FALSE;
    g_signal_emit_by_name(request, "refuse", "Not on Sundays.", &taken);
    EXPECT_TRUE(taken);
  });
  pipeline.set_state(GST_STATE_PLAYING);
  Pipeline client(publish_line(port_of(pipeline, "source"), "live/alice"));
  client.set_state(GST_STATE_PLAYING);
  const std::string text = wait_error(client);
  EXPECT_NE(text.find("Not on Sundays."), std::string::npos) << text;
  const MessageRef message = pipeline.wait_element(
      "junctor-rtmp-auth",
      [](const GstStructure *structure) { return field(structure, "stage") == GetParam(); });
  ASSERT_TRUE(message);
  gboolean accepted = TRUE;
  gst_structure_get_boolean(gst_message_get_structure(message.get()), "accepted", &accepted);
  EXPECT_FALSE(accepted);
  EXPECT_EQ(field(gst_message_get_structure(message.get()), "reason"), "Not on Sundays.");
}

INSTANTIATE_TEST_SUITE_P(EachStage, RefusedAt,
                         testing::Values("connect", "createStream", "publish"));

TEST(RtmpServer, AnAnswerMayComeLaterFromAnotherThread) {
  Pipeline pipeline(kSource);
  std::vector<std::thread> threads;
  const Handler handler(pipeline["source"], [&](GObject *request, const std::string &) {
    g_object_ref(request);
    threads.emplace_back([request] {
      accept(request);
      g_object_unref(request);
    });
  });
  pipeline.set_state(GST_STATE_PLAYING);
  FirstBuffer first(pipeline["sink"]);
  Pipeline client(publish_line(port_of(pipeline, "source"), "live/alice"));
  client.set_state(GST_STATE_PLAYING);
  EXPECT_TRUE(first.wait());
  client.set_state(GST_STATE_NULL);
  pipeline.set_state(GST_STATE_NULL);
  EXPECT_EQ(threads.size(), 3u);
  for (std::thread &thread : threads) thread.join();
}

TEST(RtmpServer, WhatNoHandlerAnswersThePropertiesDecide) {
  Pipeline pipeline("rtmpauthsrc name=source address=127.0.0.1 port=0 token=secret ! fakesink");
  const Handler handler(pipeline["source"], [](GObject *, const std::string &) {});
  pipeline.set_state(GST_STATE_PLAYING);
  const guint port = port_of(pipeline, "source");
  Pipeline wrong(publish_line(port, "live/alice"));
  wrong.set_state(GST_STATE_PLAYING);
  EXPECT_NE(wait_error(wrong).find("A token is needed"), std::string::npos);
  Pipeline right(publish_line(port, "live?token=secret/alice"));
  right.set_state(GST_STATE_PLAYING);
  EXPECT_TRUE(pipeline.wait_element("junctor-rtmp-auth", [](const GstStructure *structure) {
    gboolean accepted = FALSE;
    gst_structure_get_boolean(structure, "accepted", &accepted);
    return accepted && field(structure, "stage") == "publish";
  }));
}

TEST(RtmpServer, WhatIsPublishedIsPlayedOnOnePort) {
  Pipeline pipeline(
      "rtmpauthsrc name=source address=127.0.0.1 port=0 stream=alice token=push ! sink.audio "
      "rtmpplaysink name=sink address=127.0.0.1 port=0 stream=bob token=pull");
  pipeline.set_state(GST_STATE_PLAYING);
  const guint port = port_of(pipeline, "source");
  Pipeline publisher(publish_line(port, "live?token=push/alice"));
  publisher.set_state(GST_STATE_PLAYING);
  Pipeline player(play_line(port, "live?token=pull/bob"));
  FirstBuffer first(player["sink"]);
  player.set_state(GST_STATE_PLAYING);
  EXPECT_TRUE(first.wait());
  // Each token opens its own way only.
  Pipeline wrong(play_line(port, "live?token=push/bob"));
  wrong.set_state(GST_STATE_PLAYING);
  EXPECT_NE(wait_error(wrong).find("The token is not right"), std::string::npos);

  gst_element_send_event(publisher.get(), gst_event_new_eos());
  publisher.wait(GST_MESSAGE_EOS);
  publisher.set_state(GST_STATE_NULL);
  EXPECT_TRUE(pipeline.wait(GST_MESSAGE_EOS));
  pipeline.set_state(GST_STATE_NULL);
  player.wait(static_cast<GstMessageType>(GST_MESSAGE_EOS | GST_MESSAGE_ERROR));
}

TEST(RtmpServer, PlayersOfAnotherNameAreRefused) {
  Pipeline pipeline(
      "audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! alawenc ! "
      "rtmpplaysink name=sink address=127.0.0.1 port=0 stream=bob");
  pipeline.set_state(GST_STATE_PLAYING);
  Pipeline player(play_line(port_of(pipeline, "sink"), "live/eve"));
  player.set_state(GST_STATE_PLAYING);
  EXPECT_NE(wait_error(player).find("There is no stream"), std::string::npos);
}

TEST(RtmpServer, GoesDownWithClientsInTheMiddle) {
  for (int i = 0; i < 6; ++i) {
    Pipeline pipeline(
        "rtmpauthsrc name=source address=127.0.0.1 port=0 stream=alice ! tee name=t t. ! queue ! "
        "sink.audio t. ! queue ! fakesink name=watch async=false "
        "rtmpplaysink name=sink address=127.0.0.1 port=0 stream=bob");
    FirstBuffer first(pipeline["watch"]);
    ASSERT_NE(pipeline.set_state(GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
    const guint port = port_of(pipeline, "source");
    Pipeline publisher(publish_line(port, "live/alice"));
    Pipeline player(play_line(port, "live/bob"));
    FirstBuffer played(player["sink"]);
    publisher.set_state(GST_STATE_PLAYING);
    player.set_state(GST_STATE_PLAYING);
    ASSERT_TRUE(first.wait());
    ASSERT_TRUE(played.wait());
    constexpr std::array kStates = {GST_STATE_NULL, GST_STATE_READY, GST_STATE_PAUSED};
    const GstState state = kStates[static_cast<std::size_t>(i) % kStates.size()];
    ASSERT_NE(pipeline.set_state(state), GST_STATE_CHANGE_FAILURE);
  }
}

}  // namespace
}  // namespace junctor::test
