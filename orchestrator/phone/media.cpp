// SPDX-License-Identifier: LGPL-2.1-or-later
#include "phone/media.h"

#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <gst/video/video.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/gst/refs.h"
#include "common/handle.h"
#include "common/main_context.h"
#include "phone/bridge.h"
#include "phone/media_file.h"
#include "phone/media_line.h"
#include "pictures/picture_gate.h"

namespace junctor::phone {

namespace {

using ErrorRef = std::unique_ptr<GError, Releaser<g_error_free>>;
using Text = std::unique_ptr<gchar, Releaser<g_free>>;

constexpr GstClockTime kEncodePatience = 2 * GST_SECOND;
constexpr GstClockTime kFinishPatience = 2 * GST_SECOND;
/// A first picture that is so long in coming is asked for again.
constexpr Duration kPicturePatience = std::chrono::milliseconds(500);

std::string text_of(const GstStructure *structure, const char *field) {
  const gchar *text = gst_structure_get_string(structure, field);
  return text ? text : "";
}

double number_of(const GstStructure *structure, const char *field) {
  double value = 0;
  gst_structure_get_double(structure, field, &value);
  return value;
}

std::uint64_t count_of(const GstStructure *structure, const char *field) {
  guint64 value = 0;
  gst_structure_get_uint64(structure, field, &value);
  return value;
}

/// "rtp.recv_rtp_src_0_SSRC_PT" → PT.
unsigned payload_type_of(GstPad *pad) {
  const Text name(gst_pad_get_name(pad));
  const std::string text = name.get();
  const auto last = text.rfind('_');
  return last == std::string::npos ? 0 : static_cast<unsigned>(std::atoi(&text[last + 1]));
}

/// How long nothing came. Noted by streaming threads, asked by the context's.
class Pauses {
 public:
  void note() {
    const std::lock_guard lock(mutex_);
    last_ = measure();
  }

  /// Since it was asked last, the one that lasts still with the rest.
  double longest_ms() {
    const std::lock_guard lock(mutex_);
    measure();
    return std::chrono::duration<double, std::milli>(std::exchange(longest_, {})).count();
  }

 private:
  Time measure() {
    const Time now = Clock::now();
    if (last_) longest_ = std::max(longest_, now - *last_);
    return now;
  }

  std::mutex mutex_;
  std::optional<Time> last_;
  Duration longest_{};
};

}  // namespace

/// Events come from streaming threads and the element's reactor; each is posted to the context,
/// where it finds the Media gone or there.
class PipelineMedia : public Media, public std::enable_shared_from_this<PipelineMedia> {
 public:
  PipelineMedia(GMainContext *context, MediaOptions options, MediaEvents events)
      : context_(context), options_(std::move(options)), events_(std::move(events)) {}

  Result<void> open() {
    auto line = media_line(options_);
    if (!line) return line.error();
    GError *raw = nullptr;
    pipeline_.reset(gst_parse_launch(line->c_str(), &raw));
    const ErrorRef error(raw);
    if (!pipeline_ || error) {
      const std::string why = error ? error->message : "the pipeline cannot be made";
      return internal_error(why + "; junctor doctor says what is missing");
    }
    set_files();
    give_durations(pipeline_.get());
    channel_ = element("channel");
    rtp_ = element("rtp");
    g_object_set(channel_.get(), "session", options_.session.c_str(), "caller", options_.caller,
                 "stun-server", options_.stun_servers.c_str(), "turn-server",
                 options_.turn_servers.c_str(), "rungs", options_.rungs.c_str(), "timeout",
                 static_cast<guint>(options_.timeout.count()), "head-start",
                 static_cast<guint>(options_.head_start.count()), nullptr);
    gst_util_set_object_arg(G_OBJECT(channel_.get()), "ladder",
                            options_.strict ? "strict" : "parallel");
    bridge("rtp-out", PadRef(gst_element_get_static_pad(channel_.get(), "sink")),
           "application/x-rtp");
    bridge("rtcp-out", PadRef(gst_element_request_pad_simple(channel_.get(), "rtcp_sink")),
           "application/x-rtcp");
    set_if_there("prediction", options_.prediction);
    set_if_there("many-sockets", options_.many_sockets);
    connect(channel_.get(), "local-candidates", G_CALLBACK(&PipelineMedia::on_signal));
    connect(channel_.get(), "want", G_CALLBACK(&PipelineMedia::on_want));
    connect(rtp_.get(), "request-aux-receiver", G_CALLBACK(&PipelineMedia::on_aux_receiver));
    connect(rtp_.get(), "request-pt-map", G_CALLBACK(&PipelineMedia::on_map));
    connect(rtp_.get(), "pad-added", G_CALLBACK(&PipelineMedia::on_pad));
    if (const ElementRef again = element("again")) set_again_map(again.get());
    if (!gst_element_link_pads(channel_.get(), "src", rtp_.get(), "recv_rtp_sink_0"))
      return internal_error("what comes cannot be linked; junctor doctor says what is missing");
    const BusRef bus(gst_element_get_bus(pipeline_.get()));
    gst_bus_set_sync_handler(bus.get(), &PipelineMedia::on_message, this, nullptr);
    started_ = Clock::now();
    if (gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE)
      return internal_error("the media does not start: " + why());
    look_for_picture();
    return {};
  }

  /// Nothing comes afterwards.
  void close() {
    events_ = {};
    no_picture_.reset();
    if (!pipeline_) return;
    {
      const std::lock_guard lock(branches_);
      closed_ = true;
    }
    finish_sound();
    for (const auto &[object, id] : handlers_) g_signal_handler_disconnect(object, id);
    handlers_.clear();
    gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
    bridges_.clear();
    const BusRef bus(gst_element_get_bus(pipeline_.get()));
    gst_bus_set_sync_handler(bus.get(), nullptr, nullptr, nullptr);
  }

  void take_remote(const std::string &signal) override { give("set-remote-candidates", signal); }
  void take_offer(const std::string &offer) override { give("take-offer", offer); }

  Result<void> save_picture(const std::string &path) override {
    const ElementRef sink = element("pictures");
    GstSample *newest = nullptr;
    if (sink) newest = gst_app_sink_try_pull_sample(GST_APP_SINK(sink.get()), 0);
    // A still picture is the newest one for long.
    if (newest) last_.reset(newest);
    if (!last_) return refused("no picture of the peer's has come yet");
    const CapsRef png(gst_caps_new_empty_simple("image/png"));
    GError *raw = nullptr;
    const SampleRef made(gst_video_convert_sample(last_.get(), png.get(), kEncodePatience, &raw));
    const ErrorRef error(raw);
    if (!made) return internal_error(std::string("the picture cannot be saved: ") + error->message);
    GstMapInfo map;
    GstBuffer *buffer = gst_sample_get_buffer(made.get());
    if (!gst_buffer_map(buffer, &map, GST_MAP_READ)) return internal_error("an empty picture");
    const std::unique_ptr<std::FILE, Releaser<std::fclose>> file(std::fopen(path.c_str(), "wbe"));
    const bool written = file && std::fwrite(map.data, 1, map.size, file.get()) == map.size;
    gst_buffer_unmap(buffer, &map);
    if (!written) return bad_input("cannot write the picture to " + path);
    return {};
  }

  MediaStats stats() override {
    MediaStats stats;
    GstStructure *raw = nullptr;
    g_object_get(channel_.get(), "stats", &raw, nullptr);
    const StructureRef shown(raw);
    if (fingerprint_.empty()) {  // it is dear to make, and stays
      gchar *fingerprint = nullptr;
      g_object_get(channel_.get(), "fingerprint", &fingerprint, nullptr);
      const Text owned(fingerprint);
      fingerprint_ = fingerprint ? fingerprint : "";
    }
    stats.fingerprint = fingerprint_;
    stats.pictures = pictures_;
    stats.longest_pause_ms = packets_pause_.longest_ms();
    stats.longest_still_ms = pictures_pause_.longest_ms();
    if (!shown) return stats;
    stats.state = text_of(shown.get(), "state");
    stats.rung = text_of(shown.get(), "rung");
    stats.node = text_of(shown.get(), "node");
    stats.local = text_of(shown.get(), "local");
    stats.remote = text_of(shown.get(), "remote");
    stats.round_trip_ms = number_of(shown.get(), "round-trip-ms");
    stats.packets_sent = count_of(shown.get(), "packets-sent");
    stats.bytes_sent = count_of(shown.get(), "bytes-sent");
    stats.packets_received = count_of(shown.get(), "packets-received");
    stats.bytes_received = count_of(shown.get(), "bytes-received");
    stats.packets_lost = count_of(shown.get(), "packets-lost");
    return stats;
  }

 private:
  ElementRef element(const char *name) const {
    return ElementRef(gst_bin_get_by_name(GST_BIN(pipeline_.get()), name));
  }

  void connect(gpointer object, const char *signal, GCallback callback) {
    handlers_.emplace_back(object, g_signal_connect(object, signal, callback, this));
  }

  void bridge(const char *from, const PadRef &to, const char *caps) {
    const ElementRef sink = element(from);
    if (!sink) return;
    const PadRef pad(gst_element_get_static_pad(sink.get(), "sink"));
    gst_pad_add_probe(pad.get(), GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, &PipelineMedia::on_end, this,
                      nullptr);
    bridges_.push_back(std::make_unique<Bridge>(sink.get(), to.get(), caps));
  }

  /// Until the first one has been decoded: what asks for a keyframe where packets are missing says
  /// so once, and a request is lost as easily as they are.
  void look_for_picture() {
    if (pictures_ > 0) return;
    no_picture_ = ContextTimer(context_, kPicturePatience, [this] { look_for_picture(); });
    PadRef pad;
    {
      const std::lock_guard lock(branches_);
      if (picture_) pad.reset(gst_element_get_static_pad(picture_, "sink"));
    }
    if (!pad) return;
    gst_pad_push_event(pad.get(),
                       gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, TRUE, 0));
  }

  void set_if_there(const char *property, bool value) {
    if (g_object_class_find_property(G_OBJECT_GET_CLASS(channel_.get()), property))
      g_object_set(channel_.get(), property, value, nullptr);
  }

  void set_files() {
    if (const ElementRef file = element("picture-file"))
      g_object_set(file.get(), options_.video.starts_with("/dev/") ? "device" : "location",
                   options_.video.c_str(), nullptr);
    const ElementRef file = element("sound-file");
    if (file && g_object_class_find_property(G_OBJECT_GET_CLASS(file.get()), "location"))
      g_object_set(file.get(), "location", options_.audio.c_str(), nullptr);
  }

  void give(const char *action, const std::string &text) {
    gboolean taken = FALSE;
    g_signal_emit_by_name(channel_.get(), action, text.c_str(), &taken);
  }

  /// On the context, unless this is gone by then.
  template <class Function>
  void later(Function function) {
    post_to(context_, [weak = weak_from_this(), function = std::move(function)] {
      if (const auto self = weak.lock()) function(*self);
    });
  }

  /// Whoever is told may close this, and with it what is called here.
  template <class Member, class... Told>
  void tell(Member member, const Told &...told) {
    if (const auto function = events_.*member) function(told...);
  }

  static void on_signal(GstElement *, const gchar *text, gpointer data) {
    static_cast<PipelineMedia *>(data)->later(
        [text = std::string(text)](PipelineMedia &self) { self.tell(&MediaEvents::signal, text); });
  }

  static void on_want(GstElement *, const gchar *rung, gpointer data) {
    static_cast<PipelineMedia *>(data)->later(
        [rung = std::string(rung)](PipelineMedia &self) { self.tell(&MediaEvents::want, rung); });
  }

  static GstCaps *on_map(GstElement *, guint, guint payload_type, gpointer data) {
    const std::string caps =
        caps_of(payload_type, static_cast<PipelineMedia *>(data)->options_.codec);
    return caps.empty() ? nullptr : gst_caps_from_string(caps.c_str());
  }

  static void set_again_map(GstElement *element) {
    const StructureRef map(gst_structure_from_string(kAgainMap, nullptr));
    g_object_set(element, "payload-type-map", map.get(), nullptr);
  }

  /// Between session and jitter buffer: what comes once more takes the place of what was missed.
  static GstElement *on_aux_receiver(GstElement *, guint, gpointer) {
    GstElement *again = gst_element_factory_make("rtprtxreceive", nullptr);
    if (!again) return nullptr;
    set_again_map(again);
    GstElement *bin = gst_bin_new(nullptr);
    gst_bin_add(GST_BIN(bin), again);
    for (const char *name : {"sink", "src"}) {
      const PadRef pad(gst_element_get_static_pad(again, name));
      gst_element_add_pad(bin, gst_ghost_pad_new((std::string(name) + "_0").c_str(), pad.get()));
    }
    return bin;
  }

  /// On a streaming thread: a stream of the peer's, or the same one with another SSRC.
  static void on_pad(GstElement *, GstPad *pad, gpointer data) {
    auto *self = static_cast<PipelineMedia *>(data);
    const Text name(gst_pad_get_name(pad));
    if (!std::string_view(name.get()).starts_with("recv_rtp_src_")) return;
    const unsigned type = payload_type_of(pad);
    if (type != kPictureType && type != kSoundType) return;
    const std::lock_guard lock(self->branches_);
    if (self->closed_) return;
    GstElement *&branch = type == kPictureType ? self->picture_ : self->sound_;
    if (!branch) branch = self->add_branch(type);
    if (!branch) return;
    const PadRef sink(gst_element_get_static_pad(branch, "sink"));
    if (const PadRef before{gst_pad_get_peer(sink.get())}) gst_pad_unlink(before.get(), sink.get());
    gst_pad_link(pad, sink.get());
  }

  GstElement *add_branch(unsigned type) {
    const std::string line = type == kPictureType ? picture_sink_line(options_.codec)
                                                  : sound_sink_line(!options_.save_sound.empty());
    GError *raw = nullptr;
    GstElement *branch = gst_parse_bin_from_description(line.c_str(), TRUE, &raw);
    const ErrorRef error(raw);
    if (!branch) {
      tell_over(&MediaEvents::broken, std::string("what comes cannot be shown: ") + error->message);
      return nullptr;
    }
    // All is set before the pipeline has it: where that is on its way up itself, it takes the
    // branch along at once.
    const auto part = [branch](const char *name) {
      return ElementRef(gst_bin_get_by_name(GST_BIN(branch), name));
    };
    const ElementRef sink = part(type == kPictureType ? "pictures" : "sound");
    if (type == kSoundType && !options_.save_sound.empty())
      g_object_set(sink.get(), "location", options_.save_sound.c_str(), nullptr);
    if (type == kPictureType) {
      const PadRef pad(gst_element_get_static_pad(sink.get(), "sink"));
      gst_pad_add_probe(pad.get(), GST_PAD_PROBE_TYPE_BUFFER, &PipelineMedia::on_picture, this,
                        nullptr);
      const ElementRef decoder = part("decoder");
      const PadRef coded(gst_element_get_static_pad(decoder.get(), "sink"));
      pictures::bound_pictures(coded.get(), [this](const std::string &size) {
        later([size](PipelineMedia &self) { self.tell(&MediaEvents::too_large, size); });
      });
    }
    const PadRef head(gst_element_get_static_pad(branch, "sink"));
    gst_pad_add_probe(head.get(), GST_PAD_PROBE_TYPE_BUFFER, &PipelineMedia::on_packet, this,
                      nullptr);
    gst_bin_add(GST_BIN(pipeline_.get()), branch);
    if (gst_element_sync_state_with_parent(branch)) return branch;
    // Left below PAUSED it would be taken up there when the pipeline goes down, fail once more, and
    // the pipeline would stay where it is.
    gst_element_set_locked_state(branch, TRUE);
    gst_element_set_state(branch, GST_STATE_NULL);
    gst_bin_remove(GST_BIN(pipeline_.get()), branch);
    return nullptr;
  }

  static GstPadProbeReturn on_packet(GstPad *, GstPadProbeInfo *, gpointer data) {
    static_cast<PipelineMedia *>(data)->packets_pause_.note();
    return GST_PAD_PROBE_OK;
  }

  static GstPadProbeReturn on_picture(GstPad *, GstPadProbeInfo *info, gpointer data) {
    auto *self = static_cast<PipelineMedia *>(data);
    // What is decoded without its keyframe is grey, and if it were the first picture nobody would
    // ask for that keyframe again.
    if (self->pictures_ == 0 &&
        GST_BUFFER_FLAG_IS_SET(GST_PAD_PROBE_INFO_BUFFER(info), GST_BUFFER_FLAG_CORRUPTED))
      return GST_PAD_PROBE_DROP;
    self->pictures_pause_.note();
    if (self->pictures_++ > 0) return GST_PAD_PROBE_OK;
    const auto after =
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - self->started_);
    self->later([after](PipelineMedia &media) { media.tell(&MediaEvents::first_picture, after); });
    return GST_PAD_PROBE_OK;
  }

  static GstBusSyncReply on_message(GstBus *, GstMessage *message, gpointer data) {
    static_cast<PipelineMedia *>(data)->take_message(message);
    gst_message_unref(message);
    return GST_BUS_DROP;
  }

  /// Everything that was to be sent has been.
  static GstPadProbeReturn on_end(GstPad *, GstPadProbeInfo *info, gpointer data) {
    if (GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) == GST_EVENT_EOS)
      static_cast<PipelineMedia *>(data)->later([](PipelineMedia &self) {
        if (self.events_.ended) std::exchange(self.events_.ended, nullptr)();
      });
    return GST_PAD_PROBE_OK;
  }

  /// "--video FILE: " where the element is of what that option names, else nothing.
  std::string option_of(GstObject *source) const {
    struct Row {
      const char *element, *option;
      const std::string &value;
    };
    for (const Row &row : {Row{"picture-file", "--video", options_.video},
                           Row{"picture-reader", "--video", options_.video},
                           Row{"sound-file", "--audio", options_.audio},
                           Row{"sound-reader", "--audio", options_.audio},
                           Row{"sound", "--save-sound", options_.save_sound}}) {
      const ElementRef named = element(row.element);
      if (named && (source == GST_OBJECT(named.get()) ||
                    gst_object_has_as_ancestor(source, GST_OBJECT(named.get()))))
        return std::string(row.option) + " " + row.value + ": ";
    }
    return "";
  }

  void take_message(GstMessage *message) {
    switch (GST_MESSAGE_TYPE(message)) {
      case GST_MESSAGE_ERROR: {
        GError *raw = nullptr;
        gst_message_parse_error(message, &raw, nullptr);
        const ErrorRef error(raw);
        const std::string said = option_of(GST_MESSAGE_SRC(message)) + error->message;
        {
          const std::lock_guard lock(mutex_);
          why_ = said;
        }
        const bool way = GST_MESSAGE_SRC(message) == GST_OBJECT(channel_.get());
        return tell_over(way ? &MediaEvents::failed : &MediaEvents::broken, said);
      }
      case GST_MESSAGE_ELEMENT:
        break;
      default:
        return;
    }
    const GstStructure *told = gst_message_get_structure(message);
    if (gst_structure_has_name(told, "junctor-channel")) {
      later([news = ChannelNews{text_of(told, "state"), text_of(told, "rung"),
                                text_of(told, "node"), text_of(told, "local"),
                                text_of(told, "remote"), number_of(told, "time-ms"),
                                text_of(told, "why")}](PipelineMedia &self) {
        self.tell(&MediaEvents::channel, news);
      });
    } else if (gst_structure_has_name(told, "junctor-rung")) {
      later([news = RungNews{text_of(told, "rung"), text_of(told, "node"), text_of(told, "state"),
                             number_of(told, "at-ms"), number_of(told, "took-ms"),
                             text_of(told, "why")}](PipelineMedia &self) {
        self.tell(&MediaEvents::rung, news);
      });
    }
  }

  std::string why() const {
    const std::lock_guard lock(mutex_);
    return why_;
  }

  /// What failed first is told; the rest follows from it.
  void tell_over(std::function<void(std::string)> MediaEvents::*member, const std::string &why) {
    later([member, why](PipelineMedia &self) {
      const auto told = std::exchange(self.events_, {}).*member;
      if (told) told(why);
    });
  }

  /// A WAV file's head is written at the end.
  void finish_sound() {
    if (!sound_ || options_.save_sound.empty()) return;
    const ElementRef sink = element("sound");
    std::atomic<bool> done = false;
    const PadRef pad(gst_element_get_static_pad(sink.get(), "sink"));
    const gulong probe = gst_pad_add_probe(
        pad.get(), GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM,
        [](GstPad *, GstPadProbeInfo *info, gpointer flag) {
          if (GST_EVENT_TYPE(GST_PAD_PROBE_INFO_EVENT(info)) == GST_EVENT_EOS)
            *static_cast<std::atomic<bool> *>(flag) = true;
          return GST_PAD_PROBE_OK;
        },
        &done, nullptr);
    const PadRef head(gst_element_get_static_pad(sound_, "sink"));
    if (const PadRef before{gst_pad_get_peer(head.get())}) gst_pad_unlink(before.get(), head.get());
    gst_pad_send_event(head.get(), gst_event_new_eos());
    const Time end = Clock::now() + std::chrono::nanoseconds(kFinishPatience);
    while (!done && Clock::now() < end) g_usleep(2000);
    gst_pad_remove_probe(pad.get(), probe);
  }

  GMainContext *const context_;
  const MediaOptions options_;
  MediaEvents events_;
  ElementRef pipeline_, channel_, rtp_;
  std::vector<std::unique_ptr<Bridge>> bridges_;
  std::vector<std::pair<gpointer, gulong>> handlers_;
  ContextTimer no_picture_;
  std::mutex branches_;  // held while one is made
  bool closed_ = false;
  GstElement *picture_ = nullptr, *sound_ = nullptr;  // owned by the pipeline
  SampleRef last_;
  Time started_{};
  std::string fingerprint_;
  mutable std::mutex mutex_;
  std::string why_;  // of the last error; by any thread
  std::atomic<std::uint64_t> pictures_ = 0;
  Pauses packets_pause_, pictures_pause_;
};

namespace {

/// What the owner has: closes before the rest of it may go on another thread.
class OwnedMedia : public Media {
 public:
  explicit OwnedMedia(std::shared_ptr<PipelineMedia> media) : media_(std::move(media)) {}
  ~OwnedMedia() override { media_->close(); }
  void take_remote(const std::string &signal) override { media_->take_remote(signal); }
  void take_offer(const std::string &offer) override { media_->take_offer(offer); }
  Result<void> save_picture(const std::string &path) override { return media_->save_picture(path); }
  MediaStats stats() override { return media_->stats(); }

 private:
  std::shared_ptr<PipelineMedia> media_;
};

}  // namespace

Result<std::unique_ptr<Media>> Media::start(GMainContext *context, MediaOptions options,
                                            MediaEvents events) {
  auto media = std::make_shared<PipelineMedia>(context, std::move(options), std::move(events));
  auto owned = std::make_unique<OwnedMedia>(media);
  if (auto opened = media->open(); !opened) return opened.error();
  return std::unique_ptr<Media>(std::move(owned));
}

Result<void> check_media(const MediaOptions &options) {
  if (const auto line = media_line(options); !line) return line.error();
  if (auto checked = check_media_file("--video", options.video, Medium::Video); !checked)
    return checked;
  return check_media_file("--audio", options.audio, Medium::Audio);
}

}  // namespace junctor::phone
