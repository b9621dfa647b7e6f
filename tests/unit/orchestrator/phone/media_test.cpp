// SPDX-License-Identifier: LGPL-2.1-or-later
// The media of two phones in one process, on this machine's own addresses.
#include "phone/media.h"

#include <gst/gst.h>
#include <gst/video/video.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "common/bytes.h"
#include "common/gst/refs.h"
#include "common/main_context.h"
#include "phone/media_line.h"
#include "rtp/core/packet.h"
#include "rtp/core/rtcp.h"

namespace junctor::phone {
namespace {

bool asks_for_keyframe(ByteSpan rtcp) {
  const auto items = rtp::rtcp::parse(rtcp);
  EXPECT_TRUE(items);
  return items && std::ranges::any_of(*items, [](const rtp::rtcp::Item &item) {
           return std::holds_alternative<rtp::rtcp::Pli>(item) ||
                  std::holds_alternative<rtp::rtcp::Fir>(item);
         });
}

/// Of the one NAL unit (ITU-T H.264 table 7-1) that is in a packet, or of which a part is (RFC 6184
/// sections 5.6 and 5.8). 0 in what is sent once more.
unsigned kind_in(ByteSpan rtp) {
  constexpr unsigned kPart = 28;
  const auto packet = rtp::parse_packet(rtp);
  EXPECT_TRUE(packet);
  if (!packet || packet->header.payload_type != kPictureType || packet->payload.size() < 2)
    return 0;
  const auto kind = [&packet](std::size_t at) {
    return std::to_integer<unsigned>(packet->payload[at]) & 0x1f;
  };
  return kind(0) == kPart ? kind(1) : kind(0);
}

/// The pictures that need a keyframe before them.
enum class Deltas { Lost, Sent };

/// Of the one pipeline that sends pictures, nothing gets through but the first keyframe's head, all
/// before its slices, and the deltas if they are sent, and of the one that asks for them not the
/// first requests; from the keyframe behind those on, everything. Until then no gap is seen that
/// would be asked about, except before the deltas.
class Outage {
 public:
  /// In pipelines that are made from now on.
  Outage(unsigned requests, Deltas deltas) : requests_(requests), deltas_(deltas) {
    g_type_class_ref(GST_TYPE_BIN);  // it has no signals before
    signal_ = g_signal_lookup("element-added", GST_TYPE_BIN);
    hook_ = g_signal_add_emission_hook(signal_, 0, &Outage::on_element, this, nullptr);
  }
  ~Outage() { g_signal_remove_emission_hook(signal_, hook_); }
  Outage(const Outage &) = delete;
  Outage &operator=(const Outage &) = delete;

  /// Once what is sent comes. Then there is a first keyframe.
  void begin() {
    begun_ = true;
    gst_pad_push_event(out_.get(),
                       gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, TRUE, 0));
  }
  unsigned asked() const { return asked_; }
  bool over() const { return over_; }

 private:
  static gboolean on_element(GSignalInvocationHint *, guint, const GValue *values, gpointer data) {
    auto *element = static_cast<GstElement *>(g_value_get_object(values + 1));
    const std::string_view name = GST_ELEMENT_NAME(element);
    if (name == "rtp-out")
      static_cast<Outage *>(data)->out_ = watch(element, &pass<&Outage::passes_rtp>, data);
    if (name == "rtcp-out") watch(element, &pass<&Outage::passes_rtcp>, data);
    // Each NAL unit in a packet of its own: a source that only one has come of is not believed yet.
    if (name.starts_with("rtph264pay"))
      gst_util_set_object_arg(G_OBJECT(element), "aggregate-mode", "none");
    return TRUE;
  }

  /// Called before the bridge to the channel takes it.
  static PadRef watch(GstElement *element, GstPadProbeCallback probe, gpointer data) {
    PadRef pad(gst_element_get_static_pad(element, "sink"));
    const auto type = GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST;
    gst_pad_add_probe(pad.get(), static_cast<GstPadProbeType>(type), probe, data, nullptr);
    return pad;
  }

  template <bool (Outage::*passes)(ByteSpan)>
  static GstPadProbeReturn pass(GstPad *, GstPadProbeInfo *info, gpointer data) {
    const auto one = [data](GstBuffer *buffer) {
      GstMapInfo map;
      if (!gst_buffer_map(buffer, &map, GST_MAP_READ)) return false;
      const bool passed =
          (static_cast<Outage *>(data)->*passes)(std::as_bytes(std::span(map.data, map.size)));
      gst_buffer_unmap(buffer, &map);
      return passed;
    };
    bool passed = true;
    if (GST_PAD_PROBE_INFO_TYPE(info) & GST_PAD_PROBE_TYPE_BUFFER_LIST) {
      GstBufferList *list = GST_PAD_PROBE_INFO_BUFFER_LIST(info);
      for (guint i = 0; i < gst_buffer_list_length(list); ++i)
        passed &= one(gst_buffer_list_get(list, i));
    } else {
      passed = one(GST_PAD_PROBE_INFO_BUFFER(info));
    }
    return passed ? GST_PAD_PROBE_OK : GST_PAD_PROBE_DROP;
  }

  bool passes_rtp(ByteSpan rtp) {
    constexpr unsigned kDeltaSlice = 1, kKeySlice = 5, kParameters = 7, kDelimiter = 9;
    if (over_) return true;
    const unsigned kind = kind_in(rtp);
    if (kind == kParameters) over_ = asked_ > requests_;
    if (kind == kParameters && begun_ && first_ == First::Awaited) first_ = First::Head;
    if (kind == kKeySlice && first_ == First::Head) first_ = First::Slices;
    if (over_ || first_ == First::Head) return true;
    return first_ == First::Slices && deltas_ == Deltas::Sent &&
           (kind == kDeltaSlice || kind == kDelimiter);
  }
  bool passes_rtcp(ByteSpan rtcp) { return !asks_for_keyframe(rtcp) || ++asked_ > requests_; }

  const unsigned requests_;
  const Deltas deltas_;
  std::atomic<unsigned> asked_ = 0;
  std::atomic<bool> begun_ = false, over_ = false;
  enum class First { Awaited, Head, Slices } first_ = First::Awaited;  // on the thread that sends
  PadRef out_;
  guint signal_ = 0;
  gulong hook_ = 0;
};

class MediaTest : public testing::Test {
 protected:
  static constexpr std::chrono::seconds kPatience{30};

  static void SetUpTestSuite() { gst_init(nullptr, nullptr); }

  /// One end of a call; what it says comes to `peer`, which is there before the context runs.
  std::unique_ptr<Media> start(bool caller, const char *video, std::unique_ptr<Media> &peer) {
    MediaOptions options;
    options.session = "s1";
    options.caller = caller;
    options.rungs = "p2p";
    options.timeout = kPatience;
    options.video = video;
    options.audio = "off";
    MediaEvents events;
    events.signal = [&peer](const std::string &signal) { peer->take_remote(signal); };
    events.channel = [this](const ChannelNews &news) { up_ += news.state == "up"; };
    events.first_picture = [this](std::chrono::milliseconds) { seen_ = true; };
    events.failed = events.broken = [](const std::string &why) { ADD_FAILURE() << why; };
    auto media = Media::start(nullptr, std::move(options), std::move(events));
    EXPECT_TRUE(media) << media.error().detail;
    return media ? std::move(*media) : nullptr;
  }
  template <class Check>
  bool until(Check check) {
    bool late = false;
    const ContextTimer limit(nullptr, kPatience, [&late] { late = true; });
    while (!check() && !late) g_main_context_iteration(nullptr, TRUE);
    return check();
  }

  /// It is one from behind the outage.
  void see_first_picture(Deltas deltas) {
    Outage outage(3, deltas);
    std::unique_ptr<Media> shows, sends;
    shows = start(true, "off", sends);
    sends = start(false, "test", shows);
    ASSERT_TRUE(shows && sends);
    ASSERT_TRUE(until([this] { return up_ == 2; }));
    outage.begin();
    EXPECT_TRUE(until([this] { return seen_; })) << "it has asked " << outage.asked() << " times";
    EXPECT_TRUE(outage.over()) << "it has asked " << outage.asked() << " times";
  }

 private:
  unsigned up_ = 0;  // how many of them
  bool seen_ = false;
};

TEST_F(MediaTest, AsksForItsFirstPictureUntilItComes) { see_first_picture(Deltas::Lost); }

TEST_F(MediaTest, WhatIsDecodedWithoutItsKeyframeIsNoFirstPicture) {
  see_first_picture(Deltas::Sent);
}

}  // namespace
}  // namespace junctor::phone
