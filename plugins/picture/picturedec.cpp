// SPDX-License-Identifier: LGPL-2.1-or-later
/**
 * SECTION:element-picturedec
 *
 * Decodes pictures of H.264, H.263, Sorenson H.263 and VP8, one in each buffer, in one thread: that
 * in which they come. A picture that cannot be decoded is left out, with a warning; what is damaged
 * is given with GST_BUFFER_FLAG_CORRUPTED.
 *
 * It has libavcodec in it, as `avdec_h264` and its like have, but not GStreamer's base class of
 * decoders: pictures go on in libavcodec's own memory, which that copies, and a picture costs half
 * as much beyond its decoding. H.264 comes with its configuration record in `codec_data`, or as a
 * byte stream: no parser is needed in front where what gives it keeps the pictures apart.
 *
 * Threads: pictures, events and caps come in the streaming thread, which alone uses State, but for
 * `delay`.
 */
#include "picture/picturedec.h"

#include <gst/video/video.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <optional>
#include <span>
#include <utility>

#include "common/gst/buffer_bytes.h"
#include "common/gst/held_events.h"
#include "common/gst/queries.h"
#include "common/gst/refs.h"
#include "picture/core/decoder.h"
#include "picture/picture_formats.h"
#include "picture/raw_picture.h"

extern "C" {
#include <libavutil/avutil.h>
#include <libavutil/frame.h>
}

GST_DEBUG_CATEGORY_STATIC(junctor_picture_dec_debug);
#define GST_CAT_DEFAULT junctor_picture_dec_debug

namespace {

using junctor::answer_caps;
using junctor::answer_latency;
using junctor::BufferRef;
using junctor::Bytes;
using junctor::CapsRef;
using junctor::Codec;
using junctor::HeldEvents;
using junctor::Result;
using junctor::picture::Decoder;
using junctor::picture::FormatPair;
using junctor::picture::FrameRef;
using junctor::picture::info_of;
using junctor::picture::kFormats;
using junctor::picture::packed;
using junctor::picture::shared;
using junctor::picture::Showing;

struct State {
  CapsRef in_caps;
  std::optional<Decoder> decoder;
  HeldEvents held;
  std::optional<GstVideoInfo> out;      ///< what the caps that were given say
  bool takes_meta = false;              ///< what follows reads planes wherever they lie
  bool gap = true;                      ///< what comes out next does not follow what did
  std::atomic<GstClockTime> delay = 0;  ///< ns
};

}  // namespace

struct _JunctorPictureDec {
  GstElement parent;
  GstPad *sink, *src;
  State *state;
};

G_DEFINE_TYPE_WITH_CODE(JunctorPictureDec, junctor_picture_dec, GST_TYPE_ELEMENT,
                        GST_DEBUG_CATEGORY_INIT(junctor_picture_dec_debug, "picturedec", 0,
                                                "decoding of pictures"))
GST_ELEMENT_REGISTER_DEFINE(picturedec, "picturedec", GST_RANK_NONE, JUNCTOR_TYPE_PICTURE_DEC)

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE(
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS,
    GST_STATIC_CAPS("video/x-h264, stream-format = { avc, byte-stream }, alignment = au; "
                    "video/x-h263; video/x-flash-video; video/x-vp8"));

namespace {

CapsRef raw_caps() {
  std::array<GstVideoFormat, kFormats.size()> formats{};
  std::ranges::transform(kFormats, formats.begin(), &FormatPair::ours);
  return CapsRef(gst_video_make_raw_caps(formats.data(), formats.size()));
}

Codec codec_of(const GstStructure *structure) {
  if (gst_structure_has_name(structure, "video/x-h264")) return Codec::H264;
  if (gst_structure_has_name(structure, "video/x-h263")) return Codec::H263;
  if (gst_structure_has_name(structure, "video/x-flash-video")) return Codec::Sorenson;
  return Codec::Vp8;
}

/// Whether what follows reads planes wherever they lie.
bool takes_meta(GstPad *source, GstCaps *caps) {
  GstQuery *query = gst_query_new_allocation(caps, FALSE);
  const bool takes = gst_pad_peer_query(source, query) &&
                     gst_query_find_allocation_meta(query, GST_VIDEO_META_API_TYPE, nullptr);
  gst_query_unref(query);
  return takes;
}

/// Pictures that are held back are so for as long as they are shown: at 25 a second, if the caps
/// know no rate.
void tell_delay(JunctorPictureDec *self) {
  State &state = *self->state;
  const GstVideoInfo &info = *state.out;
  const bool known = info.fps_n > 0 && info.fps_d > 0;
  const GstClockTime each =
      gst_util_uint64_scale_int(GST_SECOND, known ? info.fps_d : 1, known ? info.fps_n : 25);
  const GstClockTime delay = each * static_cast<GstClockTime>(state.decoder->held_back());
  if (state.delay.exchange(delay) != delay)
    gst_element_post_message(GST_ELEMENT(self), gst_message_new_latency(GST_OBJECT(self)));
}

/// Agrees on caps for what comes out, where they are not those that were given.
GstFlowReturn agree(JunctorPictureDec *self, const AVFrame &frame) {
  State &state = *self->state;
  const auto info = info_of(frame, gst_caps_get_structure(state.in_caps.get(), 0));
  if (!info) {
    GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("These pictures have a form that is not known here."),
                      ("pixel format %d of libavutil", frame.format));
    return GST_FLOW_NOT_NEGOTIATED;
  }
  const bool again = gst_pad_check_reconfigure(self->src);
  if (!again && state.out && gst_video_info_is_equal(&*info, &*state.out)) return GST_FLOW_OK;
  const CapsRef caps(gst_video_info_to_caps(const_cast<GstVideoInfo *>(&*info)));
  GST_DEBUG_OBJECT(self, "%" GST_PTR_FORMAT, caps.get());
  if (!gst_pad_push_event(self->src, gst_event_new_caps(caps.get()))) {
    gst_pad_mark_reconfigure(self->src);
    return GST_PAD_IS_FLUSHING(self->src) ? GST_FLOW_FLUSHING : GST_FLOW_NOT_NEGOTIATED;
  }
  state.out = info;
  state.held.give(self->src);
  state.takes_meta = takes_meta(self->src, caps.get());
  return GST_FLOW_OK;
}

GstFlowReturn give(JunctorPictureDec *self, const AVFrame &frame) {
  State &state = *self->state;
  if (const GstFlowReturn flow = agree(self, frame); flow != GST_FLOW_OK) return flow;
  tell_delay(self);
  BufferRef buffer = shared(frame, *state.out);
  if (buffer && !state.takes_meta) buffer = packed(buffer.get(), *state.out);
  if (!buffer) {
    GST_ELEMENT_ERROR(self, STREAM, DECODE, ("A decoded picture cannot be read."), (nullptr));
    return GST_FLOW_ERROR;
  }
  if (frame.pts != AV_NOPTS_VALUE) GST_BUFFER_PTS(buffer.get()) = static_cast<guint64>(frame.pts);
  if (frame.pkt_duration > 0)
    GST_BUFFER_DURATION(buffer.get()) = static_cast<guint64>(frame.pkt_duration);
  if ((frame.flags & AV_FRAME_FLAG_CORRUPT) != 0)
    GST_BUFFER_FLAG_SET(buffer.get(), GST_BUFFER_FLAG_CORRUPTED);
  if (frame.interlaced_frame != 0)
    GST_BUFFER_FLAG_SET(buffer.get(), GST_VIDEO_BUFFER_FLAG_INTERLACED);
  if (frame.interlaced_frame != 0 && frame.top_field_first != 0)
    GST_BUFFER_FLAG_SET(buffer.get(), GST_VIDEO_BUFFER_FLAG_TFF);
  if (std::exchange(state.gap, false)) GST_BUFFER_FLAG_SET(buffer.get(), GST_BUFFER_FLAG_DISCONT);
  return gst_pad_push(self->src, buffer.release());
}

GstFlowReturn give_all(JunctorPictureDec *self) {
  GstFlowReturn flow = GST_FLOW_OK;
  while (flow == GST_FLOW_OK) {
    const FrameRef frame = self->state->decoder->next();
    if (!frame) break;
    flow = give(self, *frame);
  }
  return flow;
}

/// Gives what is held back; what comes then begins anew.
void drain(JunctorPictureDec *self) {
  State &state = *self->state;
  if (!state.decoder) return;
  state.decoder->end();
  give_all(self);
  state.decoder->forget();
}

Showing showing_of(const GstBuffer *buffer) {
  Showing showing;
  if (GST_BUFFER_PTS_IS_VALID(buffer))
    showing.at = std::chrono::nanoseconds(GST_BUFFER_PTS(buffer));
  if (GST_BUFFER_DURATION_IS_VALID(buffer))
    showing.duration = std::chrono::nanoseconds(GST_BUFFER_DURATION(buffer));
  return showing;
}

GstFlowReturn decode(JunctorPictureDec *self, GstBuffer *buffer) {
  State &state = *self->state;
  if (!state.decoder) return GST_FLOW_NOT_NEGOTIATED;
  state.gap = state.gap || GST_BUFFER_IS_DISCONT(buffer);
  GstMapInfo map;
  if (!gst_buffer_map(buffer, &map, GST_MAP_READ)) return GST_FLOW_ERROR;
  const Result<void> taken =
      state.decoder->take(std::as_bytes(std::span(map.data, map.size)), showing_of(buffer));
  gst_buffer_unmap(buffer, &map);
  if (!taken) GST_WARNING_OBJECT(self, "left out: %s", taken.error().detail.c_str());
  return give_all(self);
}

GstFlowReturn chain(GstPad *, GstObject *parent, GstBuffer *buffer) {
  const BufferRef owned(buffer);
  return decode(JUNCTOR_PICTURE_DEC(parent), owned.get());
}

/// False if nothing can be made of it.
bool take_caps(JunctorPictureDec *self, GstCaps *caps) {
  State &state = *self->state;
  if (state.decoder && gst_caps_is_equal(caps, state.in_caps.get())) return true;
  drain(self);
  state.decoder.reset();
  state.in_caps.reset(gst_caps_ref(caps));
  const GstStructure *structure = gst_caps_get_structure(caps, 0);
  const bool configured =
      g_strcmp0(gst_structure_get_string(structure, "stream-format"), "avc") == 0;
  GstBuffer *config = configured ? junctor::codec_data_of(structure) : nullptr;
  if (configured && config == nullptr) {
    GST_ELEMENT_ERROR(self, STREAM, DECODE,
                      ("the caps of H.264 have no codec_data; put h264parse in front"), (nullptr));
    return false;
  }
  auto made =
      Decoder::create(codec_of(structure), config != nullptr ? junctor::copy_of(config) : Bytes());
  if (!made) {
    GST_ELEMENT_ERROR(self, STREAM, DECODE, ("%s", made.error().detail.c_str()), (nullptr));
    return false;
  }
  state.decoder = *std::move(made);
  return true;
}

gboolean sink_event(GstPad *pad, GstObject *parent, GstEvent *event) {
  auto *self = JUNCTOR_PICTURE_DEC(parent);
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
      if (state.decoder) state.decoder->forget();
      state.gap = true;
      state.held.flush();
      break;
    case GST_EVENT_STREAM_START:
      drain(self);
      state.held.clear();
      break;
    case GST_EVENT_GAP:
    case GST_EVENT_SEGMENT:
      // What comes may lean on what came: only what is held back belongs to the segment before.
      if (state.decoder && state.decoder->held_back() > 0) drain(self);
      break;
    case GST_EVENT_EOS:
      drain(self);
      state.held.give(self->src);
      break;
    default:
      break;
  }
  if (!state.out && state.held.hold(event)) return TRUE;
  return gst_pad_event_default(pad, parent, event);
}

gboolean sink_query(GstPad *pad, GstObject *parent, GstQuery *query) {
  // What comes out has nothing of the memory or the form of what comes in.
  if (GST_QUERY_TYPE(query) == GST_QUERY_ALLOCATION) return FALSE;
  if (GST_QUERY_TYPE(query) != GST_QUERY_CAPS) return gst_pad_query_default(pad, parent, query);
  return answer_caps(query, CapsRef(gst_pad_get_pad_template_caps(pad)));
}

gboolean src_query(GstPad *pad, GstObject *parent, GstQuery *query) {
  auto *self = JUNCTOR_PICTURE_DEC(parent);
  if (GST_QUERY_TYPE(query) != GST_QUERY_LATENCY) return gst_pad_query_default(pad, parent, query);
  return answer_latency(query, self->sink, self->state->delay);
}

}  // namespace

static GstStateChangeReturn junctor_picture_dec_change_state(GstElement *element,
                                                             GstStateChange transition) {
  const GstStateChangeReturn result =
      GST_ELEMENT_CLASS(junctor_picture_dec_parent_class)->change_state(element, transition);
  if (transition == GST_STATE_CHANGE_PAUSED_TO_READY) {
    State &state = *JUNCTOR_PICTURE_DEC(element)->state;
    state.in_caps.reset();
    state.decoder.reset();
    state.held.clear();
    state.out.reset();
    state.gap = true;
    state.delay = 0;
  }
  return result;
}

static void junctor_picture_dec_finalize(GObject *object) {
  delete JUNCTOR_PICTURE_DEC(object)->state;
  G_OBJECT_CLASS(junctor_picture_dec_parent_class)->finalize(object);
}

static void junctor_picture_dec_class_init(JunctorPictureDecClass *klass) {
  auto *element_class = GST_ELEMENT_CLASS(klass);
  G_OBJECT_CLASS(klass)->finalize = junctor_picture_dec_finalize;
  element_class->change_state = junctor_picture_dec_change_state;
  gst_element_class_add_static_pad_template(element_class, &sink_template);
  gst_element_class_add_pad_template(
      element_class, gst_pad_template_new("src", GST_PAD_SRC, GST_PAD_ALWAYS, raw_caps().get()));
  gst_element_class_set_static_metadata(
      element_class, "Picture decoder", "Codec/Decoder/Video",
      "Decodes H.264, H.263, Sorenson H.263 and VP8 in the thread in which pictures come",
      "The Junctor authors");
}

static void junctor_picture_dec_init(JunctorPictureDec *self) {
  self->state = new State;
  self->sink = gst_pad_new_from_static_template(&sink_template, "sink");
  gst_pad_set_chain_function(self->sink, chain);
  gst_pad_set_event_function(self->sink, sink_event);
  gst_pad_set_query_function(self->sink, sink_query);
  GST_PAD_SET_ACCEPT_TEMPLATE(self->sink);
  GST_PAD_SET_ACCEPT_INTERSECT(self->sink);
  gst_element_add_pad(GST_ELEMENT(self), self->sink);
  self->src = gst_pad_new_from_template(
      gst_element_class_get_pad_template(GST_ELEMENT_GET_CLASS(self), "src"), "src");
  gst_pad_set_query_function(self->src, src_query);
  gst_pad_use_fixed_caps(self->src);
  gst_element_add_pad(GST_ELEMENT(self), self->src);
}
