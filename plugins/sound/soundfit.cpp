// SPDX-License-Identifier: LGPL-2.1-or-later
/**
 * SECTION:element-soundfit
 *
 * Makes of any raw sound, or of G.711, what follows takes: raw samples of 16 bits or G.711 of a
 * rate and of one or two channels. G.711 is a form of samples here like any other. Sound that fits
 * passes as it is.
 *
 * One element for what takes `alawdec`, `audioconvert`, `audioresample`, a capsfilter and `alawenc`
 * otherwise, and libswresample in it: a call's packets are short and far between, so that each
 * element costs more than what it does to the samples.
 *
 * Threads: sound, events and caps come in the streaming thread, which alone uses State, but for
 * `wanted` (under the object's lock) and `delay`.
 */
#include "sound/soundfit.h"

#include <gst/audio/audio.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "common/gst/refs.h"
#include "sound/core/law.h"
#include "sound/core/resampler.h"
#include "sound/core/sample_clock.h"

extern "C" {
#include <libavutil/samplefmt.h>
}

GST_DEBUG_CATEGORY_STATIC(junctor_sound_fit_debug);
#define GST_CAT_DEFAULT junctor_sound_fit_debug

namespace {

using junctor::CapsRef;
using junctor::Releaser;
using junctor::sound::Law;
using junctor::sound::Moment;
using junctor::sound::Resampler;
using junctor::sound::SampleClock;
using junctor::sound::Source;
using junctor::sound::Target;

/// What decoders give. A format more is a row more, and a word in the template.
struct FormatPair {
  GstAudioFormat ours;
  AVSampleFormat theirs;
};
constexpr std::array kFormats{
    FormatPair{GST_AUDIO_FORMAT_S16, AV_SAMPLE_FMT_S16},
    FormatPair{GST_AUDIO_FORMAT_F32, AV_SAMPLE_FMT_FLT},
    FormatPair{GST_AUDIO_FORMAT_S32, AV_SAMPLE_FMT_S32},
    FormatPair{GST_AUDIO_FORMAT_F64, AV_SAMPLE_FMT_DBL},
    FormatPair{GST_AUDIO_FORMAT_U8, AV_SAMPLE_FMT_U8},
};

/// Sound of one side, as caps say it.
struct Form {
  std::optional<Law> law;  ///< raw without
  int rate = 0, channels = 0;
  GstAudioInfo raw;  ///< if it is raw
  bool operator==(const Form &other) const {
    return law == other.law && rate == other.rate && channels == other.channels &&
           (law || gst_audio_info_is_equal(&raw, &other.raw));
  }
};

enum Property : guint { kPropNone, kPropCaps };

struct State {
  CapsRef wanted;                       ///< any without
  std::atomic<std::int64_t> delay = 0;  ///< ns
  CapsRef in_caps;
  Form in, out;
  bool ready = false;  ///< both forms are agreed on
  bool as_it_is = false;
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
                                        ", channels = [ 1, 8 ]; " JUNCTOR_SOUND_G711("2")));
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS,
                            GST_STATIC_CAPS("audio/x-raw, format = " GST_AUDIO_NE(
                                S16) ", layout = interleaved, " JUNCTOR_SOUND_RATE
                                     ", channels = [ 1, 2 ]; " JUNCTOR_SOUND_G711("2")));

namespace {

std::optional<Form> form_of(const GstCaps *caps) {
  const GstStructure *structure = gst_caps_get_structure(caps, 0);
  Form form;
  gst_audio_info_init(&form.raw);
  if (gst_structure_has_name(structure, "audio/x-raw")) {
    if (!gst_audio_info_from_caps(&form.raw, caps)) return std::nullopt;
    form.rate = GST_AUDIO_INFO_RATE(&form.raw);
    form.channels = GST_AUDIO_INFO_CHANNELS(&form.raw);
  } else {
    form.law = gst_structure_has_name(structure, "audio/x-alaw") ? Law::A : Law::U;
    gst_structure_get_int(structure, "rate", &form.rate);
    gst_structure_get_int(structure, "channels", &form.channels);
  }
  if (form.rate <= 0 || form.channels <= 0) return std::nullopt;
  return form;
}

/// For libswresample; what G.711 becomes first has 16 bits.
std::optional<Source> source_of(const Form &form) {
  Source source{AV_SAMPLE_FMT_S16, form.rate, form.channels, 0};
  if (form.law) return source;
  const auto row = std::ranges::find(kFormats, GST_AUDIO_INFO_FORMAT(&form.raw), &FormatPair::ours);
  if (row == kFormats.end()) return std::nullopt;
  const bool planar = GST_AUDIO_INFO_LAYOUT(&form.raw) == GST_AUDIO_LAYOUT_NON_INTERLEAVED;
  source.format = planar ? av_get_planar_sample_fmt(row->theirs) : row->theirs;
  // The places that both name have the same bits: those of WAVE files.
  guint64 places = 0;
  if (!GST_AUDIO_INFO_IS_UNPOSITIONED(&form.raw) &&
      gst_audio_channel_positions_to_mask(form.raw.position, form.channels, FALSE, &places))
    source.places = places & 0x3ffff;
  return source;
}

bool is_linear(const Form &form) {
  return !form.law && GST_AUDIO_INFO_FORMAT(&form.raw) == GST_AUDIO_FORMAT_S16 &&
         (form.channels == 1 || GST_AUDIO_INFO_LAYOUT(&form.raw) == GST_AUDIO_LAYOUT_INTERLEAVED);
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
CapsRef chosen(JunctorSoundFit *self, const Form &in) {
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
      state.clock->give(static_cast<std::int64_t>(samples.size()) / state.out.channels);
  if (span.at) GST_BUFFER_PTS(buffer) = static_cast<GstClockTime>(span.at->count());
  GST_BUFFER_DURATION(buffer) = static_cast<GstClockTime>(span.length.count());
  if (std::exchange(state.gap, false)) GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DISCONT);
  return gst_pad_push(self->src, buffer);
}

/// Sends what is in the filter.
GstFlowReturn drain(JunctorSoundFit *self) {
  State &state = *self->state;
  if (!state.ready || !state.resampler) return GST_FLOW_OK;
  const auto channels = static_cast<std::size_t>(state.out.channels);
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
    state.fitted.resize(state.resampler->most_of(0) * static_cast<std::size_t>(state.out.channels));
    [[maybe_unused]] const auto lost = state.resampler->flush(state.fitted);
  }
  if (state.clock) state.clock->begin(std::nullopt);
  state.gap = true;
}

/// Agrees on what comes out, for what comes in. False if nothing fits.
bool negotiate(JunctorSoundFit *self) {
  State &state = *self->state;
  gst_pad_check_reconfigure(self->src);
  const auto in = form_of(state.in_caps.get());
  if (!in) return false;
  const CapsRef caps = chosen(self, *in);
  const auto out = caps ? form_of(caps.get()) : std::nullopt;
  if (!out) {
    GST_WARNING_OBJECT(self, "nothing that follows can be made of %" GST_PTR_FORMAT,
                       state.in_caps.get());
    return false;
  }
  if (state.ready && *in == state.in && *out == state.out) return true;
  if (drain(self) == GST_FLOW_ERROR) return false;
  state.ready = false;
  state.resampler.reset();
  state.delay = 0;
  const auto source = source_of(*in);
  if (!source) return false;
  if (in->rate != out->rate || in->channels != out->channels || !(in->law || is_linear(*in))) {
    auto made = Resampler::create(*source, Target{out->rate, out->channels});
    if (!made) {
      GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("%s", made.error().detail.c_str()), (nullptr));
      return false;
    }
    state.resampler = *std::move(made);
    state.delay = state.resampler->delay().count();
  }
  state.as_it_is = !state.resampler && (in->law ? in->law == out->law : *in == *out);
  state.clock = SampleClock(in->rate, out->rate);
  state.in = *in;
  state.out = *out;
  state.gap = true;
  state.ready = gst_pad_push_event(self->src, gst_event_new_caps(caps.get()));
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
  const auto channels = static_cast<std::size_t>(state.out.channels);
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
  const auto channels = static_cast<std::size_t>(state.in.channels);
  const auto all = expanded(state, buffer);
  const auto samples = all.first(all.size() / channels * channels);
  if (state.resampler) {
    const auto *plane = reinterpret_cast<const std::uint8_t *>(samples.data());
    return resample(self, &plane, samples.size() / channels);
  }
  state.clock->take(static_cast<std::int64_t>(samples.size() / channels));
  return give(self, samples);
}

GstFlowReturn fit_raw(JunctorSoundFit *self, GstBuffer *buffer) {
  State &state = *self->state;
  GstAudioBuffer audio;
  if (!gst_audio_buffer_map(&audio, &state.in.raw, buffer, GST_MAP_READ)) return GST_FLOW_ERROR;
  GstFlowReturn flow = GST_FLOW_OK;
  const auto samples = static_cast<std::size_t>(GST_AUDIO_BUFFER_N_SAMPLES(&audio));
  std::array<const std::uint8_t *, 8> planes{};
  const auto count = std::min<std::size_t>(planes.size(), static_cast<std::size_t>(audio.n_planes));
  for (std::size_t plane = 0; plane < count; ++plane)
    planes[plane] = static_cast<const std::uint8_t *>(audio.planes[plane]);
  if (state.resampler) {
    flow = resample(self, planes.data(), samples);
  } else {
    const auto *linear = reinterpret_cast<const std::int16_t *>(planes[0]);
    state.clock->take(static_cast<std::int64_t>(samples));
    flow = give(self, {linear, samples * static_cast<std::size_t>(state.in.channels)});
  }
  gst_audio_buffer_unmap(&audio);
  return flow;
}

/// Begins anew where sound does not follow what was there.
GstFlowReturn keep_time(JunctorSoundFit *self, GstBuffer *buffer) {
  State &state = *self->state;
  if (!GST_BUFFER_PTS_IS_VALID(buffer)) return GST_FLOW_OK;
  const Moment at(static_cast<std::int64_t>(GST_BUFFER_PTS(buffer)));
  const bool gap = GST_BUFFER_IS_DISCONT(buffer) || !state.clock->follows(at);
  if (state.clock->begun() && !gap) return GST_FLOW_OK;
  if (state.clock->begun())
    if (const GstFlowReturn flow = drain(self); flow != GST_FLOW_OK) return flow;
  state.clock->begin(at);
  state.gap = true;
  return GST_FLOW_OK;
}

GstFlowReturn chain(GstPad *, GstObject *parent, GstBuffer *buffer) {
  auto *self = JUNCTOR_SOUND_FIT(parent);
  State &state = *self->state;
  if (state.in_caps && (!state.ready || gst_pad_needs_reconfigure(self->src)) && !negotiate(self)) {
    gst_pad_mark_reconfigure(self->src);
    gst_buffer_unref(buffer);
    return GST_PAD_IS_FLUSHING(self->src) ? GST_FLOW_FLUSHING : GST_FLOW_NOT_NEGOTIATED;
  }
  if (!state.ready) {
    gst_buffer_unref(buffer);
    return GST_FLOW_NOT_NEGOTIATED;
  }
  if (state.as_it_is) return gst_pad_push(self->src, buffer);
  GstFlowReturn flow = keep_time(self, buffer);
  if (flow == GST_FLOW_OK) flow = state.in.law ? fit_law(self, buffer) : fit_raw(self, buffer);
  gst_buffer_unref(buffer);
  return flow;
}

gboolean sink_event(GstPad *pad, GstObject *parent, GstEvent *event) {
  auto *self = JUNCTOR_SOUND_FIT(parent);
  State &state = *self->state;
  switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_CAPS: {
      GstCaps *caps = nullptr;
      gst_event_parse_caps(event, &caps);
      state.in_caps.reset(gst_caps_ref(caps));
      gst_event_unref(event);
      return negotiate(self);
    }
    case GST_EVENT_FLUSH_STOP:
      forget(state);
      break;
    case GST_EVENT_SEGMENT:
    case GST_EVENT_EOS:
      drain(self);
      if (state.clock) state.clock->begin(std::nullopt);
      state.gap = true;
      break;
    default:
      break;
  }
  return gst_pad_event_default(pad, parent, event);
}

gboolean answer_caps(GstQuery *query, CapsRef caps) {
  GstCaps *filter = nullptr;
  gst_query_parse_caps(query, &filter);
  if (filter != nullptr)
    caps.reset(gst_caps_intersect_full(filter, caps.get(), GST_CAPS_INTERSECT_FIRST));
  gst_query_set_caps_result(query, caps.get());
  return TRUE;
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
  if (!gst_pad_peer_query(self->sink, query)) return FALSE;
  gboolean live = FALSE;
  GstClockTime least = 0, most = 0;
  gst_query_parse_latency(query, &live, &least, &most);
  const auto own = static_cast<GstClockTime>(self->state->delay.load());
  gst_query_set_latency(query, live, least + own,
                        GST_CLOCK_TIME_IS_VALID(most) ? most + own : most);
  return TRUE;
}

}  // namespace

static GstStateChangeReturn junctor_sound_fit_change_state(GstElement *element,
                                                           GstStateChange transition) {
  const GstStateChangeReturn result =
      GST_ELEMENT_CLASS(junctor_sound_fit_parent_class)->change_state(element, transition);
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
    State &state = *JUNCTOR_SOUND_FIT(element)->state;
    state.in_caps.reset();
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
      "Makes sound fit what follows: sample format, G.711, rate and channels",
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
