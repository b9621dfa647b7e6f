// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/loop_cache.h"

#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>

#include <algorithm>
#include <mutex>

#include "calls/codec_table.h"
#include "calls/elements_of.h"
#include "calls/picture_numbers.h"
#include "common/gst/buffer_bytes.h"
#include "common/gst/refs.h"
#include "common/main_context.h"

namespace junctor::calls {

namespace {

constexpr std::size_t kKept = 64;
constexpr std::size_t kJobsAtOnce = 2;
constexpr std::size_t kQueued = 1024;
// As live video has: a player that measures the rate by the ring must not halve what follows.
constexpr int kPictureRate = 25;
constexpr int kPictureFrames = 25;
/// Longer than players take to find out what they get: ffmpeg 5 s at most, others less.
constexpr auto kLearning = std::chrono::seconds(6);
constexpr std::uint64_t kSecond = GST_SECOND;

SharedBytes own_copy(GstBuffer *buffer) { return SharedBytes::own(copy_of(buffer)); }

}  // namespace

/// One encoding run. Made and stopped on the cache's thread; on_sample() and finish() run in
/// GStreamer's threads.
class LoopCache::Job : public std::enable_shared_from_this<LoopCache::Job> {
 public:
  using Done = std::function<void(std::shared_ptr<const Loop>, const std::string &problem)>;

  Job(GMainContext *context, Wanted wanted, Done done)
      : context_(context),
        wanted_(std::move(wanted)),
        loop_(wanted_.loop),
        done_(std::move(done)) {}

  /// Ends what runs. Always called on the cache's thread before the last reference goes: that may
  /// be one held by a streaming thread, which cannot wait for itself.
  void stop() {
    if (!pipeline_) return;
    gst_element_set_state(pipeline_.get(), GST_STATE_NULL);
    const BusRef bus(gst_element_get_bus(pipeline_.get()));
    gst_bus_set_sync_handler(bus.get(), nullptr, nullptr, nullptr);
    pipeline_.reset();
  }

  void start() {
    GError *error = nullptr;
    pipeline_.reset(gst_parse_launch_full(wanted_.line.text().c_str(), nullptr,
                                          GST_PARSE_FLAG_FATAL_ERRORS, &error));
    if (!pipeline_) {
      finish(error ? error->message : "the line does not parse");
      g_clear_error(&error);
      return;
    }
    g_clear_error(&error);
    number_pictures(pipeline_.get());
    if (!wanted_.drawing.empty()) {
      const ElementRef picture(gst_bin_get_by_name(GST_BIN(pipeline_.get()), "picture"));
      if (!picture) return finish("the template has no element named picture");
      g_object_set(picture.get(), "data", wanted_.drawing.c_str(), nullptr);
    } else if (!feed()) {
      return finish("the template has no appsrc named in");
    }
    const ElementRef out(gst_bin_get_by_name(GST_BIN(pipeline_.get()), "out"));
    if (!out || !GST_IS_APP_SINK(out.get())) return finish("the template has no appsink named out");
    auto *held = new std::weak_ptr<Job>(weak_from_this());
    GstAppSinkCallbacks callbacks{};
    callbacks.new_sample = [](GstAppSink *sink, gpointer data) {
      return on_sample(sink, static_cast<std::weak_ptr<Job> *>(data)->lock());
    };
    callbacks.eos = [](GstAppSink *, gpointer data) {
      if (auto self = static_cast<std::weak_ptr<Job> *>(data)->lock()) self->finish("");
    };
    const auto release = [](gpointer data) { delete static_cast<std::weak_ptr<Job> *>(data); };
    gst_app_sink_set_callbacks(GST_APP_SINK(out.get()), &callbacks, held, release);
    const BusRef bus(gst_element_get_bus(pipeline_.get()));
    gst_bus_set_sync_handler(bus.get(), on_message, new std::weak_ptr<Job>(weak_from_this()),
                             release);
    if (gst_element_set_state(pipeline_.get(), GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE)
      finish("the pipeline does not start");
  }

 private:
  /// All of it at once: it is bounded, and kept until the pipeline takes it.
  bool feed() {
    const ElementRef in(gst_bin_get_by_name(GST_BIN(pipeline_.get()), "in"));
    if (!in || !GST_IS_APP_SRC(in.get())) return false;
    GstAppSrc *source = GST_APP_SRC(in.get());
    const CapsRef caps(gst_caps_from_string(wanted_.feed.caps.c_str()));
    gst_app_src_set_caps(source, caps.get());
    GstClockTime at = 0;
    for (const Bytes &piece : wanted_.feed.pieces) {
      GstBuffer *buffer = gst_buffer_new_memdup(piece.data(), piece.size());
      GST_BUFFER_PTS(buffer) = at;
      GST_BUFFER_DURATION(buffer) = wanted_.feed.piece_ns;
      at += wanted_.feed.piece_ns;
      gst_app_src_push_buffer(source, buffer);
    }
    gst_app_src_end_of_stream(source);
    wanted_.feed = {};
    return true;
  }

  static GstFlowReturn on_sample(GstAppSink *sink, const std::shared_ptr<Job> &self) {
    const SampleRef sample(gst_app_sink_pull_sample(sink));
    if (!sample || !self) return GST_FLOW_EOS;
    GstBuffer *buffer = gst_sample_get_buffer(sample.get());
    // What Speex streams begin with in Ogg is no packet.
    if (buffer && GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_HEADER) &&
        self->loop_.track.codec == Codec::Speex)
      return GST_FLOW_OK;
    if (!buffer || self->loop_.packets.size() >= self->wanted_.longest) return GST_FLOW_OK;
    if (self->loop_.packets.empty()) self->read_caps(gst_sample_get_caps(sample.get()));
    self->loop_.packets.push_back(
        {!GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT), own_copy(buffer)});
    return GST_FLOW_OK;
  }

  void read_caps(GstCaps *caps) {
    const GstStructure *structure = gst_caps_get_structure(caps, 0);
    gst_structure_get_int(structure, "rate", &loop_.track.rate);
    gst_structure_get_int(structure, "channels", &loop_.track.channels);
    gst_structure_get_int(structure, "width", &loop_.track.width);
    gst_structure_get_int(structure, "height", &loop_.track.height);
    if (GstBuffer *config = codec_data_of(structure)) loop_.track.config = own_copy(config);
  }

  static GstBusSyncReply on_message(GstBus *, GstMessage *message, gpointer data) {
    if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
      GError *error = nullptr;
      gst_message_parse_error(message, &error, nullptr);
      if (auto self = static_cast<std::weak_ptr<Job> *>(data)->lock())
        self->finish(std::string(GST_OBJECT_NAME(message->src)) + ": " + error->message);
      g_clear_error(&error);
    }
    gst_message_unref(message);
    return GST_BUS_DROP;
  }

  /// Any thread; the first call counts.
  void finish(const std::string &problem) {
    {
      const std::lock_guard lock(mutex_);
      if (finished_) return;
      finished_ = true;
    }
    std::string text = problem;
    std::shared_ptr<const Loop> loop;
    if (text.empty() && loop_.packets.empty()) text = "nothing came out of the encoder";
    if (text.empty()) loop = std::make_shared<const Loop>(std::move(loop_));
    post_to(context_,
            [done = done_, loop = std::move(loop), text = std::move(text)] { done(loop, text); });
  }

  GMainContext *context_;
  Wanted wanted_;
  Loop loop_;
  Done done_;
  ElementRef pipeline_;
  std::mutex mutex_;
  bool finished_ = false;  // guarded by mutex_
};

LoopCache::LoopCache(GMainContext *context, const Templates &templates, LogSink log,
                     StateMedia media)
    : context_(context),
      templates_(templates),
      log_(std::move(log)),
      media_(std::move(media)),
      self_(std::make_shared<LoopCache *>(this)) {}

LoopCache::~LoopCache() {
  *self_ = nullptr;
  for (const auto &[key, job] : jobs_) job->stop();
}

void LoopCache::picture(Card card, const std::string &name, Codec codec, Ready ready) {
  Wanted wanted;
  const auto own = media_.pictures.find(card);
  const bool drawn = own == media_.pictures.end();
  if (drawn) {
    // A name of any length must not make a key of any length; what is cut off is not shown either.
    wanted.drawing = drawing(card, name);
    wanted.key = std::string(to_string(codec)) + ' ' + wanted.drawing;
  } else {
    wanted.key =
        std::string(to_string(codec)) + " picture " + std::to_string(static_cast<int>(card));
    // Not copied for nothing where the loop is kept already.
    if (!entries_.contains(wanted.key) && !waiting_.contains(wanted.key))
      wanted.feed = {"video/x-raw,format=BGRA,pixel-aspect-ratio=1/1,width=" +
                         std::to_string(kCardWidth) + ",height=" + std::to_string(kCardHeight) +
                         ",framerate=" + std::to_string(kPictureRate) + "/1",
                     {own->second},
                     kSecond / kPictureRate};
  }
  wanted.loop.track.codec = codec;
  wanted.loop.units_per_packet = 1;
  wanted.loop.units_per_second = kPictureRate;
  // What follows the others within a minute is a picture that moves.
  if (card == Card::AudioOnly || card == Card::OnHold) wanted.loop.thins_after = kLearning;
  wanted.longest = kPictureFrames;
  const CodecRow *row = find_codec_row(codec);
  if (!row) return ready(nullptr);
  Route route;
  route.to = codec;
  route.level = &h264_level(30);
  Holes holes = encoder_holes(route);
  holes["frames"] = Fragment::number(kPictureFrames);
  holes["rate"] = Fragment::number(kPictureRate);
  holes["encode"] = Fragment::ours(row->encode);
  begin(std::move(wanted),
        (drawn ? templates_.loop_picture : templates_.loop_own_picture).fill(holes),
        std::move(ready));
}

void LoopCache::tone(Tone tone, Codec codec, Ready ready) {
  const CodecRow *row = find_codec_row(codec);
  if (!row || row->samples == 0) return ready(nullptr);
  // As live packets of the same codec.
  const int rate = row->rate, unit = row->samples;
  Wanted wanted;
  wanted.key = std::string(to_string(codec)) + " tone " + std::to_string(static_cast<int>(tone));
  wanted.loop.track.codec = codec;
  wanted.loop.track.rate = rate;
  wanted.loop.track.channels = 1;
  wanted.loop.units_per_packet = unit;
  wanted.loop.units_per_second = rate;
  Route route;
  route.to = codec;
  Holes holes = encoder_holes(route);
  holes["encode"] = Fragment::ours(row->encode);
  // Not made for nothing where the loop is kept already.
  if (!entries_.contains(wanted.key) && !waiting_.contains(wanted.key)) {
    const auto samples = samples_of(tone, rate, unit);
    const auto size = static_cast<std::size_t>(unit);
    wanted.longest = samples.size() / size;
    wanted.feed.caps =
        "audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=" + std::to_string(rate);
    wanted.feed.piece_ns = kSecond * size / static_cast<std::uint64_t>(rate);
    // More than is kept: an encoder with a delay gives its last packets late.
    for (std::size_t n = 0; n < wanted.longest + 2; ++n) {
      const auto piece = std::as_bytes(std::span(samples).subspan(n % wanted.longest * size, size));
      wanted.feed.pieces.emplace_back(piece.begin(), piece.end());
    }
  }
  begin(std::move(wanted), templates_.loop_tone.fill(holes), std::move(ready));
}

/// Whole packets of `unit` samples.
std::vector<std::int16_t> LoopCache::samples_of(Tone tone, int rate, int unit) const {
  const auto own = media_.tones.find(tone);
  if (own == media_.tones.end()) return render(cadence(*media_.country, tone), rate, unit);
  std::vector<std::int16_t> samples = own->second.at(rate);
  const auto size = static_cast<std::size_t>(unit);
  samples.resize((samples.size() + size - 1) / size * size);
  return samples;
}

void LoopCache::begin(Wanted wanted, Result<Fragment> line, Ready ready) {
  if (!line) {
    if (log_) log_(LogLevel::Error, line.error().detail);
    return ready(nullptr);
  }
  wanted.line = *std::move(line);
  want(std::move(wanted), std::move(ready));
}

void LoopCache::want(Wanted wanted, Ready ready) {
  if (const auto found = entries_.find(wanted.key); found != entries_.end()) {
    ages_.splice(ages_.begin(), ages_, found->second.age);
    return ready(found->second.loop);
  }
  auto &waiting = waiting_[wanted.key];
  waiting.push_back(std::move(ready));
  if (waiting.size() > 1) return;
  if (queue_.size() >= kQueued) return finish(wanted.key, nullptr, "too many wait to be made");
  queue_.push_back(std::move(wanted));
  start_jobs();
}

void LoopCache::start_jobs() {
  while (!queue_.empty() && jobs_.size() < kJobsAtOnce) {
    Wanted wanted = std::move(queue_.front());
    queue_.pop_front();
    const std::string key = wanted.key;
    auto job = std::make_shared<Job>(
        context_, std::move(wanted),
        [self = self_, key](const std::shared_ptr<const Loop> &loop, const std::string &problem) {
          if (*self) (*self)->finish(key, loop, problem);
        });
    jobs_[key] = job;
    job->start();
  }
}

void LoopCache::finish(const std::string &key, const std::shared_ptr<const Loop> &loop,
                       const std::string &problem) {
  if (const auto job = jobs_.find(key); job != jobs_.end()) {
    job->second->stop();
    jobs_.erase(job);
  }
  if (loop) {
    ++made_;
    ages_.push_front(key);
    entries_[key] = {loop, ages_.begin()};
    while (entries_.size() > kKept) {
      entries_.erase(ages_.back());
      ages_.pop_back();
    }
  } else if (log_) {
    log_(LogLevel::Error, "ring media cannot be made: " + problem);
  }
  const auto waiting = std::move(waiting_[key]);
  waiting_.erase(key);
  start_jobs();
  for (const Ready &ready : waiting) ready(loop);
}

}  // namespace junctor::calls
