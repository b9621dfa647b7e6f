// SPDX-License-Identifier: LGPL-2.1-or-later
/**
 * SECTION:element-soundfit
 *
 * Makes of any raw sound, of G.711, AAC or Speex what follows takes: raw samples of 16 bits or
 * G.711 of a rate and of one or two channels. G.711 is a form of samples here like any other. Sound
 * that fits passes as it is. AAC comes with its `codec_data`, Speex with the header in
 * `streamheader`; a packet that cannot be decoded is left out.
 *
 * One element for what takes `avdec_aac`, `audioconvert`, `audioresample`, a capsfilter and
 * `alawenc` otherwise, with libavcodec and libswresample in it: a call's packets are short and far
 * between, so that each element costs more than what it does to the samples.
 *
 * Threads: sound, events and caps come in the streaming thread, which alone uses State, but for
 * `wanted` (under the object's lock) and `delay`.
 */
#include "sound/soundfit.h"

#include <gst/audio/audio.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "common/gst/held_events.h"
#include "common/gst/queries.h"
#include "common/gst/refs.h"
#include "sound/core/decoder.h"
#include "sound/core/law.h"
#include "sound/core/resampler.h"
#include "sound/core/sample_clock.h"
#include "sound/sound_caps.h"

extern "C" {
#include <libavutil/samplefmt.h>
}

GST_DEBUG_CATEGORY_STATIC(junctor_sound_fit_debug);
#define GST_CAT_DEFAULT junctor_sound_fit_debug

namespace {

using junctor::answer_caps;
using junctor::answer_latency;
using junctor::BufferRef;
using junctor::CapsRef;
using junctor::HeldEvents;
using junctor::Result;
using junctor::sound::coding_of;
using junctor::sound::Decoder;
using junctor::sound::decoder_of;
using junctor::sound::Form;
using junctor::sound::form_of;
using junctor::sound::Moment;
using junctor::sound::Resampler;
using junctor::sound::SampleClock;
using junctor::sound::Source;
using junctor::sound::Target;

enum Property : guint { kPropNone, kPropCaps };

struct State {
  CapsRef wanted;                       ///< any without
  std::atomic<std::int64_t> delay = 0;  ///< ns
  CapsRef in_caps;
  GstAudioInfo raw{};                ///< of what comes, where it is raw
  std::unique_ptr<Decoder> decoder;  ///< where it is coded
  std::optional<Form> coming;        ///< of coded sound only its packets tell
  Form in, out;
  bool ready = false;  ///< both forms are agreed on
  HeldEvents held;
  bool as_it_is = false;
  bool broken = false;                 ///< what comes in next does not follow what did
  bool gap = false;                    ///< what comes out next does not follow what did
  std::optional<Resampler> resampler;  ///< none if only the law is another
  std::optional<SampleClock> clock;
  std::vector<std::int16_t> expanded, fitted;
};

}  // namespace

struct _JunctorSoundFit {
  GstElement parent;
  GstPad *sink, *src;
  State *state;
};

G_DEFINE_TYPE_WITH_CODE(JunctorSoundFit, junctor_sound_fit, GST_TYPE_ELEMENT,
                        GST_DEBUG_CATEGORY_INIT(junctor_sound_fit_debug, "soundfit", 0,
                                                "rates and forms of sound"))
GST_ELEMENT_REGISTER_DEFINE(soundfit, "soundfit", GST_RANK_NONE, JUNCTOR_TYPE_SOUND_FIT)

#define JUNCTOR_SOUND_RATE "rate = [ 1000, 384000 ]"
#define JUNCTOR_SOUND_G711(channels)                                \
  "audio/x-alaw, " JUNCTOR_SOUND_RATE ", channels = [ 1, " channels \
  " ]; "                                                            \
  "audio/x-mulaw, " JUNCTOR_SOUND_RATE ", channels = [ 1, " channels " ]"
static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE(
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS,
    GST_STATIC_CAPS(
        "audio/x-raw, format = { " GST_AUDIO_NE(S16) ", " GST_AUDIO_NE(F32) ", " GST_AUDIO_NE(
            S32) ", " GST_AUDIO_NE(F64) ", U8 }, "
                                        "layout = { interleaved, non-interleaved "
                                        "}, " JUNCTOR_SOUND_RATE
                                        ", channels = [ 1, 8 ]; " JUNCTOR_SOUND_G711(
                                            "2") "; audio/mpeg, mpegversion = { 2, 4 }, "
                                                 "stream-format = raw; audio/x-speex"));
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS,
                            GST_STATIC_CAPS("audio/x-raw, format = " GST_AUDIO_NE(
                                S16) ", layout = interleaved, " JUNCTOR_SOUND_RATE
                                     ", channels = [ 1, 2 ]; " JUNCTOR_SOUND_G711("2")));

namespace {

bool is_linear(const Source &source) {
  return source.format == AV_SAMPLE_FMT_S16 ||
         (source.format == AV_SAMPLE_FMT_S16P && source.channels == 1);
}

/// What may come out, the property considered.
CapsRef offered(JunctorSoundFit *self) {
  CapsRef all(gst_pad_get_pad_template_caps(self->src));
  GST_OBJECT_LOCK(self);
  if (self->state->wanted)
    all.reset(
        gst_caps_intersect_full(self->state->wanted.get(), all.get(), GST_CAPS_INTERSECT_FIRST));
  GST_OBJECT_UNLOCK(self);
  return all;
}

/// Of what follows takes what comes, or the nearest to it; null if there is nothing.
CapsRef chosen(JunctorSoundFit *self, const Source &in) {
  const CapsRef own = offered(self);
  CapsRef caps(gst_pad_peer_query_caps(self->src, own.get()));
  if (!caps || gst_caps_is_empty(caps.get())) return nullptr;
  if (CapsRef same(gst_caps_intersect(self->state->in_caps.get(), caps.get()));
      !gst_caps_is_empty(same.get()))
    return CapsRef(gst_caps_fixate(same.release()));
  caps.reset(gst_caps_make_writable(gst_caps_truncate(caps.release())));
  GstStructure *structure = gst_caps_get_structure(caps.get(), 0);
  gst_structure_fixate_field_nearest_int(structure, "rate", in.rate);
  gst_structure_fixate_field_nearest_int(structure, "channels", in.channels);
  return CapsRef(gst_caps_fixate(caps.release()));
}

GstBuffer *buffer_of(State &state, std::span<const std::int16_t> samples) {
  const std::size_t size = samples.size() * (state.out.law ? 1 : sizeof(std::int16_t));
  GstBuffer *buffer = gst_buffer_new_allocate(nullptr, size, nullptr);
  GstMapInfo map;
  if (buffer == nullptr || !gst_buffer_map(buffer, &map, GST_MAP_WRITE)) {
    gst_clear_buffer(&buffer);
    return nullptr;
  }
  if (state.out.law)
    junctor::sound::compress(*state.out.law, samples, {map.data, size});
  else
    std::ranges::copy(samples, reinterpret_cast<std::int16_t *>(map.data));
  gst_buffer_unmap(buffer, &map);
  return buffer;
}

/// Sends interleaved samples of the form that comes out, but for the law.
GstFlowReturn give(JunctorSoundFit *self, std::span<const std::int16_t> samples) {
  State &state = *self->state;
  if (samples.empty()) return GST_FLOW_OK;
  GstBuffer *buffer = buffer_of(state, samples);
  if (buffer == nullptr) return GST_FLOW_ERROR;
  const auto span =
      state.clock->give(static_cast<std::int64_t>(samples.size()) / state.out.source.channels);
  if (span.at) GST_BUFFER_PTS(buffer) = static_cast<GstClockTime>(span.at->count());
  GST_BUFFER_DURATION(buffer) = static_cast<GstClockTime>(span.length.count());
  if (std::exchange(state.gap, false)) GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DISCONT);
  return gst_pad_push(self->src, buffer);
}

/// Sends what is in the filter.
GstFlowReturn drain(JunctorSoundFit *self) {
  State &state = *self->state;
  if (!state.ready || !state.resampler) return GST_FLOW_OK;
  const auto channels = static_cast<std::size_t>(state.out.source.channels);
  state.fitted.resize(state.resampler->most_of(0) * channels);
  const auto written = state.resampler->flush(state.fitted);
  if (!written) {
    GST_ELEMENT_ERROR(self, STREAM, FAILED, ("%s", written.error().detail.c_str()), (nullptr));
    return GST_FLOW_ERROR;
  }
  return give(self, std::span(state.fitted).first(*written * channels));
}

/// What was in the filter is lost.
void forget(State &state) {
  if (state.ready && state.resampler) {
    state.fitted.resize(state.resampler->most_of(0) *
                        static_cast<std::size_t>(state.out.source.channels));
    [[maybe_unused]] const auto lost = state.resampler->flush(state.fitted);
  }
  if (state.decoder) state.decoder->forget();
  if (state.clock) state.clock->begin(std::nullopt);
  state.gap = true;
}

/// Agrees on what comes out, for what comes in. False if nothing fits.
bool negotiate(JunctorSoundFit *self) {
  State &state = *self->state;
  gst_pad_check_reconfigure(self->src);
  if (!state.coming) return false;
  const Form in = *state.coming;
  const CapsRef caps = chosen(self, in.source);
  GstAudioInfo raw;
  const auto out = caps ? form_of(caps.get(), raw) : std::nullopt;
  if (!out) {
    GST_WARNING_OBJECT(self, "nothing that follows can be made of %" GST_PTR_FORMAT,
                       state.in_caps.get());
    return false;
  }
  if (state.ready && in == state.in && *out == state.out) return true;
  if (drain(self) == GST_FLOW_ERROR) return false;
  state.ready = false;
  state.resampler.reset();
  state.delay = 0;
  const Target target{out->source.rate, out->source.channels};
  if (in.source.rate != target.rate || in.source.channels != target.channels ||
      !is_linear(in.source)) {
    auto made = Resampler::create(in.source, target);
    if (!made) {
      GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("%s", made.error().detail.c_str()), (nullptr));
      return false;
    }
    state.resampler = *std::move(made);
    state.delay = state.resampler->delay().count();
  }
  state.as_it_is = !state.resampler && !state.decoder && in == *out;
  state.clock = SampleClock(in.source.rate, target.rate);
  state.in = in;
  state.out = *out;
  state.gap = true;
  state.ready = gst_pad_push_event(self->src, gst_event_new_caps(caps.get()));
  state.held.give(self->src);
  GST_DEBUG_OBJECT(self, "%" GST_PTR_FORMAT "%s", caps.get(), state.as_it_is ? ", as it is" : "");
  return state.ready;
}

/// The samples of a buffer of G.711, in 16 bits.
std::span<const std::int16_t> expanded(State &state, GstBuffer *buffer) {
  GstMapInfo map;
  if (!gst_buffer_map(buffer, &map, GST_MAP_READ)) return {};
  state.expanded.resize(map.size);
  junctor::sound::expand(*state.in.law, {map.data, map.size}, state.expanded);
  gst_buffer_unmap(buffer, &map);
  return state.expanded;
}

GstFlowReturn resample(JunctorSoundFit *self, const std::uint8_t *const *planes,
                       std::size_t samples) {
  State &state = *self->state;
  const auto channels = static_cast<std::size_t>(state.out.source.channels);
  const std::size_t room = state.resampler->most_of(samples) * channels;
  if (state.fitted.size() < room) state.fitted.resize(room);
  const auto written = state.resampler->convert(planes, samples, state.fitted);
  if (!written) {
    GST_ELEMENT_ERROR(self, STREAM, FAILED, ("%s", written.error().detail.c_str()), (nullptr));
    return GST_FLOW_ERROR;
  }
  state.clock->take(static_cast<std::int64_t>(samples));
  return give(self, std::span(state.fitted).first(*written * channels));
}

GstFlowReturn fit_law(JunctorSoundFit *self, GstBuffer *buffer) {
  State &state = *self->state;
  const auto channels = static_cast<std::size_t>(state.in.source.channels);
  const auto all = expanded(state, buffer);
  const auto samples = all.first(all.size() / channels * channels);
  if (state.resampler) {
    const auto *plane = reinterpret_cast<const std::uint8_t *>(samples.data());
    return resample(self, &plane, samples.size() / channels);
  }
  state.clock->take(static_cast<std::int64_t>(samples.size() / channels));
  return give(self, samples);
}

GstFlowReturn fit_samples(JunctorSoundFit *self, const std::uint8_t *const *planes,
                          std::size_t samples) {
  State &state = *self->state;
  if (state.resampler) return resample(self, planes, samples);
  const auto *linear = reinterpret_cast<const std::int16_t *>(planes[0]);
  state.clock->take(static_cast<std::int64_t>(samples));
  return give(self, {linear, samples * static_cast<std::size_t>(state.in.source.channels)});
}

GstFlowReturn fit_raw(JunctorSoundFit *self, GstBuffer *buffer) {
  GstAudioBuffer audio;
  if (!gst_audio_buffer_map(&audio, &self->state->raw, buffer, GST_MAP_READ)) return GST_FLOW_ERROR;
  std::array<const std::uint8_t *, 8> planes{};
  const auto count = std::min<std::size_t>(planes.size(), static_cast<std::size_t>(audio.n_planes));
  for (std::size_t plane = 0; plane < count; ++plane)
    planes[plane] = static_cast<const std::uint8_t *>(audio.planes[plane]);
  const GstFlowReturn flow = fit_samples(
      self, planes.data(), static_cast<std::size_t>(GST_AUDIO_BUFFER_N_SAMPLES(&audio)));
  gst_audio_buffer_unmap(&audio);
  return flow;
}

/// Begins anew where sound does not follow what was there.
GstFlowReturn keep_time(JunctorSoundFit *self, std::optional<Moment> at) {
  State &state = *self->state;
  if (!at) return GST_FLOW_OK;
  const bool gap = std::exchange(state.broken, false) || !state.clock->follows(*at);
  if (state.clock->begun() && !gap) return GST_FLOW_OK;
  if (state.clock->begun())
    if (const GstFlowReturn flow = drain(self); flow != GST_FLOW_OK) return flow;
  state.clock->begin(at);
  state.gap = true;
  return GST_FLOW_OK;
}

std::optional<Moment> time_of(const GstBuffer *buffer) {
  if (!GST_BUFFER_PTS_IS_VALID(buffer)) return std::nullopt;
  return Moment(static_cast<std::int64_t>(GST_BUFFER_PTS(buffer)));
}

/// False, and `flow` is what to answer, if what comes cannot be made fit.
bool is_ready(JunctorSoundFit *self, GstFlowReturn &flow) {
  State &state = *self->state;
  if (state.ready && state.coming == state.in && !gst_pad_needs_reconfigure(self->src)) return true;
  if (negotiate(self)) return true;
  gst_pad_mark_reconfigure(self->src);
  flow = GST_PAD_IS_FLUSHING(self->src) ? GST_FLOW_FLUSHING : GST_FLOW_NOT_NEGOTIATED;
  return false;
}

/// What cannot be decoded is left out: the peer may have lost a part of it.
GstFlowReturn fit_coded(JunctorSoundFit *self, GstBuffer *buffer) {
  State &state = *self->state;
  // Speex has headers in its stream as well as in its caps.
  if (GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_HEADER)) return GST_FLOW_OK;
  if (state.broken) state.decoder->forget();
  GstMapInfo map;
  if (!gst_buffer_map(buffer, &map, GST_MAP_READ)) return GST_FLOW_ERROR;
  const Result<void> taken = state.decoder->take(std::as_bytes(std::span(map.data, map.size)));
  gst_buffer_unmap(buffer, &map);
  if (!taken) {
    GST_WARNING_OBJECT(self, "%s", taken.error().detail.c_str());
    state.broken = true;
  }
  GstFlowReturn flow = GST_FLOW_OK;
  std::optional<Moment> at = time_of(buffer);
  while (const auto sound = state.decoder->next()) {
    state.coming = Form{std::nullopt, sound->form};
    if (!is_ready(self, flow)) return flow;
    flow = keep_time(self, at);
    if (flow == GST_FLOW_OK) flow = fit_samples(self, sound->planes, sound->samples);
    if (flow != GST_FLOW_OK) return flow;
    if (at) *at += Moment(std::chrono::seconds(sound->samples)) / sound->form.rate;
  }
  return flow;
}

GstFlowReturn fit(JunctorSoundFit *self, BufferRef buffer) {
  State &state = *self->state;
  if (!state.in_caps) return GST_FLOW_NOT_NEGOTIATED;
  state.broken = state.broken || GST_BUFFER_IS_DISCONT(buffer.get());
  if (state.decoder) return fit_coded(self, buffer.get());
  GstFlowReturn flow = GST_FLOW_OK;
  if (!is_ready(self, flow)) return flow;
  if (state.as_it_is) return gst_pad_push(self->src, buffer.release());
  flow = keep_time(self, time_of(buffer.get()));
  if (flow != GST_FLOW_OK) return flow;
  return state.in.law ? fit_law(self, buffer.get()) : fit_raw(self, buffer.get());
}

GstFlowReturn chain(GstPad *, GstObject *parent, GstBuffer *buffer) {
  return fit(JUNCTOR_SOUND_FIT(parent), BufferRef(buffer));
}

/// False if nothing can be made of it.
bool take_caps(JunctorSoundFit *self, GstCaps *caps) {
  State &state = *self->state;
  state.in_caps.reset(gst_caps_ref(caps));
  state.decoder.reset();
  state.coming.reset();
  const auto coding = coding_of(caps);
  if (!coding) {
    state.coming = form_of(caps, state.raw);
    return negotiate(self);
  }
  auto made = decoder_of(*coding, caps);
  if (!made) {
    state.ready = false;
    GST_ELEMENT_ERROR(self, STREAM, DECODE, ("%s", made.error().detail.c_str()), (nullptr));
    return false;
  }
  state.decoder = *std::move(made);
  return true;
}

gboolean sink_event(GstPad *pad, GstObject *parent, GstEvent *event) {
  auto *self = JUNCTOR_SOUND_FIT(parent);
  State &state = *self->state;
  switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_CAPS: {
      GstCaps *caps = nullptr;
      gst_event_parse_caps(event, &caps);
      const bool taken = take_caps(self, caps);
      gst_event_unref(event);
      return taken;
    }
    case GST_EVENT_FLUSH_STOP:
      forget(state);
      state.held.flush();
      break;
    case GST_EVENT_STREAM_START:
      state.held.clear();
      break;
    case GST_EVENT_SEGMENT:
    case GST_EVENT_EOS:
      drain(self);
      if (state.clock) state.clock->begin(std::nullopt);
      state.gap = true;
      if (GST_EVENT_TYPE(event) == GST_EVENT_EOS) state.held.give(self->src);
      break;
    default:
      break;
  }
  if (state.decoder && !state.ready && state.held.hold(event)) return TRUE;
  return gst_pad_event_default(pad, parent, event);
}

gboolean sink_query(GstPad *pad, GstObject *parent, GstQuery *query) {
  if (GST_QUERY_TYPE(query) == GST_QUERY_CAPS)
    return answer_caps(query, CapsRef(gst_pad_get_pad_template_caps(pad)));
  // What follows gets buffers of our own.
  if (GST_QUERY_TYPE(query) == GST_QUERY_ALLOCATION) return FALSE;
  return gst_pad_query_default(pad, parent, query);
}

gboolean src_query(GstPad *pad, GstObject *parent, GstQuery *query) {
  auto *self = JUNCTOR_SOUND_FIT(parent);
  if (GST_QUERY_TYPE(query) == GST_QUERY_CAPS) return answer_caps(query, offered(self));
  if (GST_QUERY_TYPE(query) != GST_QUERY_LATENCY) return gst_pad_query_default(pad, parent, query);
  return answer_latency(query, self->sink, static_cast<GstClockTime>(self->state->delay.load()));
}

}  // namespace

static GstStateChangeReturn junctor_sound_fit_change_state(GstElement *element,
                                                           GstStateChange transition) {
  const GstStateChangeReturn result =
      GST_ELEMENT_CLASS(junctor_sound_fit_parent_class)->change_state(element, transition);
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
    State &state = *JUNCTOR_SOUND_FIT(element)->state;
    state.in_caps.reset();
    state.decoder.reset();
    state.coming.reset();
    state.held.clear();
    state.ready = false;
    state.resampler.reset();
    state.clock.reset();
    state.delay = 0;
  }
  return result;
}

static void junctor_sound_fit_set_property(GObject *object, guint id, const GValue *value,
                                           GParamSpec *pspec) {
  auto *self = JUNCTOR_SOUND_FIT(object);
  if (id != kPropCaps) {
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    return;
  }
  const GstCaps *caps = gst_value_get_caps(value);
  CapsRef wanted(caps != nullptr ? gst_caps_copy(caps) : nullptr);
  GST_OBJECT_LOCK(self);
  std::swap(self->state->wanted, wanted);
  GST_OBJECT_UNLOCK(self);
  gst_pad_mark_reconfigure(self->src);
}

static void junctor_sound_fit_get_property(GObject *object, guint id, GValue *value,
                                           GParamSpec *pspec) {
  auto *self = JUNCTOR_SOUND_FIT(object);
  if (id != kPropCaps) {
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    return;
  }
  GST_OBJECT_LOCK(self);
  gst_value_set_caps(value, self->state->wanted.get());
  GST_OBJECT_UNLOCK(self);
}

static void junctor_sound_fit_finalize(GObject *object) {
  delete JUNCTOR_SOUND_FIT(object)->state;
  G_OBJECT_CLASS(junctor_sound_fit_parent_class)->finalize(object);
}

static void junctor_sound_fit_class_init(JunctorSoundFitClass *klass) {
  auto *object_class = G_OBJECT_CLASS(klass);
  auto *element_class = GST_ELEMENT_CLASS(klass);

  object_class->set_property = junctor_sound_fit_set_property;
  object_class->get_property = junctor_sound_fit_get_property;
  object_class->finalize = junctor_sound_fit_finalize;
  element_class->change_state = junctor_sound_fit_change_state;

  g_object_class_install_property(
      object_class, kPropCaps,
      g_param_spec_boxed("caps", "Caps",
                         "What comes out; null for what follows likes best, nearest to what comes",
                         GST_TYPE_CAPS,
                         static_cast<GParamFlags>(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS |
                                                  GST_PARAM_MUTABLE_PLAYING)));

  gst_element_class_add_static_pad_template(element_class, &sink_template);
  gst_element_class_add_static_pad_template(element_class, &src_template);
  gst_element_class_set_static_metadata(
      element_class, "Sound fit", "Filter/Converter/Audio",
      "Makes sound fit what follows: AAC, Speex, G.711, sample format, rate and channels",
      "The Junctor authors");
}

static void junctor_sound_fit_init(JunctorSoundFit *self) {
  self->state = new State;
  self->sink = gst_pad_new_from_static_template(&sink_template, "sink");
  gst_pad_set_chain_function(self->sink, chain);
  gst_pad_set_event_function(self->sink, sink_event);
  gst_pad_set_query_function(self->sink, sink_query);
  GST_PAD_SET_ACCEPT_TEMPLATE(self->sink);
  GST_PAD_SET_ACCEPT_INTERSECT(self->sink);
  gst_element_add_pad(GST_ELEMENT(self), self->sink);
  self->src = gst_pad_new_from_static_template(&src_template, "src");
  gst_pad_set_query_function(self->src, src_query);
  gst_element_add_pad(GST_ELEMENT(self), self->src);
}
