// SPDX-License-Identifier: LGPL-2.1-or-later
/**
 * SECTION:element-picturefit
 *
 * Makes of any raw picture an I420 one of the size, sample shape and rate that follow: scaled with
 * its aspect kept, black around it where the shapes differ, and left out where more come than
 * `max-rate`. A picture that fits passes as it is.
 *
 * One element for what takes `videorate`, `videoconvert` and `videoscale` otherwise, and libswscale
 * in it: each element costs its share for each picture, and GStreamer's scaler reads the samples of
 * a row one by one.
 *
 * Threads: pictures and caps come in the streaming thread, which alone uses State but for `most`.
 */
#include "picture/picturefit.h"

#include <algorithm>
#include <atomic>
#include <optional>

#include "common/handle.h"
#include "picture/core/fit.h"
#include "picture/core/pace.h"
#include "picture/core/scaler.h"
#include "picture/picture_formats.h"

GST_DEBUG_CATEGORY_STATIC(junctor_picture_fit_debug);
#define GST_CAT_DEFAULT junctor_picture_fit_debug

namespace {

using junctor::picture::Box;
using junctor::picture::ConstPlanes;
using junctor::picture::Extent;
using junctor::picture::FormatPair;
using junctor::picture::kFormats;
using junctor::picture::Pace;
using junctor::picture::Planes;
using junctor::picture::Scaler;
using junctor::picture::Shape;
using junctor::picture::Size;
using junctor::picture::Source;

constexpr int kMostRate = 1000;

enum Property : guint { kPropNone, kPropMaxRate };

struct State {
  std::atomic<int> most = 0;
  std::optional<Scaler> scaler;
  Pace pace;
  int paced_at = 0;  ///< the rate that `pace` was made for
};

}  // namespace

struct _JunctorPictureFit {
  GstVideoFilter parent;
  State *state;
};

G_DEFINE_TYPE_WITH_CODE(JunctorPictureFit, junctor_picture_fit, GST_TYPE_VIDEO_FILTER,
                        GST_DEBUG_CATEGORY_INIT(junctor_picture_fit_debug, "picturefit", 0,
                                                "sizes and rates of pictures"))
GST_ELEMENT_REGISTER_DEFINE(picturefit, "picturefit", GST_RANK_NONE, JUNCTOR_TYPE_PICTURE_FIT)

#define ROW(ours, theirs) #ours ", "
#define JUNCTOR_PICTURE_SIZES \
  "width = [ 1, 32767 ], height = [ 1, 32767 ], framerate = " GST_VIDEO_FPS_RANGE
static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE(
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS,
    GST_STATIC_CAPS(
        "video/x-raw, format = { " JUNCTOR_PICTURE_FORMATS(ROW) "YV12 }, " JUNCTOR_PICTURE_SIZES));
static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS,
                            GST_STATIC_CAPS("video/x-raw, format = I420, " JUNCTOR_PICTURE_SIZES));
#undef ROW

namespace {

Shape shape_of(const GstVideoInfo *info) {
  return {GST_VIDEO_INFO_WIDTH(info), GST_VIDEO_INFO_HEIGHT(info),
          std::max(1, GST_VIDEO_INFO_PAR_N(info)), std::max(1, GST_VIDEO_INFO_PAR_D(info))};
}

bool is_full_range(const GstVideoInfo *info) {
  return info->colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255 && !GST_VIDEO_INFO_IS_RGB(info);
}

/// The colours of pictures that come out: those that went in, but of limited range. Null for the
/// usual ones of their size.
gchar *colours_of(const GstStructure *in) {
  const gchar *text = gst_structure_get_string(in, "colorimetry");
  GstVideoColorimetry colours;
  if (text == nullptr || !gst_video_colorimetry_from_string(&colours, text) ||
      colours.matrix == GST_VIDEO_COLOR_MATRIX_RGB)
    return nullptr;
  colours.range = GST_VIDEO_COLOR_RANGE_16_235;
  return gst_video_colorimetry_to_string(&colours);
}

void add_from_sink(GstCaps *made, const GstStructure *structure, int most) {
  GstStructure *out = gst_structure_copy(structure);
  gst_structure_remove_fields(out, "pixel-aspect-ratio", "chroma-site", "interlace-mode",
                              "field-order", "colorimetry", nullptr);
  gst_structure_set(out, "format", G_TYPE_STRING, "I420", "width", GST_TYPE_INT_RANGE, 1, 32767,
                    "height", GST_TYPE_INT_RANGE, 1, 32767, nullptr);
  if (most > 0) gst_structure_set(out, "framerate", GST_TYPE_FRACTION, most, 1, nullptr);
  if (gchar *colours = colours_of(structure); colours != nullptr) {
    gst_structure_set(out, "colorimetry", G_TYPE_STRING, colours, nullptr);
    g_free(colours);
  }
  gst_caps_append_structure(made, out);
}

Extent extent_of(const GstStructure *structure, const char *field) {
  const GValue *value = gst_structure_get_value(structure, field);
  if (value != nullptr && G_VALUE_HOLDS_INT(value))
    return {g_value_get_int(value), g_value_get_int(value), 1};
  if (value != nullptr && GST_VALUE_HOLDS_INT_RANGE(value))
    return {gst_value_get_int_range_min(value), gst_value_get_int_range_max(value),
            gst_value_get_int_range_step(value)};
  return {1, 32767, 1};
}

}  // namespace

static GstCaps *junctor_picture_fit_transform_caps(GstBaseTransform *base,
                                                   GstPadDirection direction, GstCaps *caps,
                                                   GstCaps *filter) {
  GstCaps *made = nullptr;
  if (direction == GST_PAD_SINK) {
    made = gst_caps_new_empty();
    const int most = JUNCTOR_PICTURE_FIT(base)->state->most;
    for (guint i = 0; i < gst_caps_get_size(caps); ++i)
      add_from_sink(made, gst_caps_get_structure(caps, i), most);
  } else {
    made = gst_pad_get_pad_template_caps(GST_BASE_TRANSFORM_SINK_PAD(base));
  }
  if (filter != nullptr) {
    GstCaps *both = gst_caps_intersect_full(filter, made, GST_CAPS_INTERSECT_FIRST);
    gst_caps_unref(made);
    made = both;
  }
  return made;
}

static GstCaps *junctor_picture_fit_fixate_caps(GstBaseTransform *base, GstPadDirection direction,
                                                GstCaps *caps, GstCaps *other) {
  GstVideoInfo info;
  if (direction == GST_PAD_SINK && gst_video_info_from_caps(&info, caps)) {
    other = gst_caps_make_writable(gst_caps_truncate(other));
    GstStructure *out = gst_caps_get_structure(other, 0);
    const Shape picture = shape_of(&info);
    int sample_width = picture.sample_width, sample_height = picture.sample_height;
    if (gst_structure_has_field(out, "pixel-aspect-ratio")) {
      gst_structure_fixate_field_nearest_fraction(out, "pixel-aspect-ratio", sample_width,
                                                  sample_height);
      gst_structure_get_fraction(out, "pixel-aspect-ratio", &sample_width, &sample_height);
    } else if (sample_width != sample_height) {
      gst_structure_set(out, "pixel-aspect-ratio", GST_TYPE_FRACTION, sample_width, sample_height,
                        nullptr);
    }
    const Size size =
        junctor::picture::fitted(picture, extent_of(out, "width"), extent_of(out, "height"),
                                 std::max(1, sample_width), std::max(1, sample_height));
    gst_structure_fixate_field_nearest_int(out, "width", size.width);
    gst_structure_fixate_field_nearest_int(out, "height", size.height);
  }
  return GST_BASE_TRANSFORM_CLASS(junctor_picture_fit_parent_class)
      ->fixate_caps(base, direction, caps, other);
}

static gboolean junctor_picture_fit_set_info(GstVideoFilter *filter, GstCaps *, GstVideoInfo *in,
                                             GstCaps *out_caps, GstVideoInfo *out) {
  State &state = *JUNCTOR_PICTURE_FIT(filter)->state;
  const auto format = std::find_if(kFormats.begin(), kFormats.end(), [in](const FormatPair &row) {
    return row.ours == GST_VIDEO_INFO_FORMAT(in) ||
           (row.ours == GST_VIDEO_FORMAT_I420 &&
            GST_VIDEO_INFO_FORMAT(in) == GST_VIDEO_FORMAT_YV12);
  });
  if (format == kFormats.end()) return FALSE;
  const Shape from = shape_of(in), to = shape_of(out);
  const Box box = placed(from, to);
  const bool as_it_is = GST_VIDEO_INFO_FORMAT(in) == GST_VIDEO_FORMAT_I420 && !is_full_range(in) &&
                        from.width == to.width && from.height == to.height &&
                        box == Box{0, 0, to.width, to.height};
  state.scaler.reset();
  gst_base_transform_set_passthrough(GST_BASE_TRANSFORM(filter), as_it_is);
  GST_DEBUG_OBJECT(filter, "%dx%d into %dx%d+%d+%d of %" GST_PTR_FORMAT "%s", from.width,
                   from.height, box.width, box.height, box.left, box.top, out_caps,
                   as_it_is ? ", as it is" : "");
  if (as_it_is) return TRUE;
  const Source source{format->theirs, {from.width, from.height}, is_full_range(in)};
  auto scaler = Scaler::create(source, {to.width, to.height}, box);
  if (!scaler) {
    GST_ELEMENT_ERROR(filter, STREAM, FORMAT, ("%s", scaler.error().detail.c_str()), (nullptr));
    return FALSE;
  }
  state.scaler = *std::move(scaler);
  return TRUE;
}

static GstFlowReturn junctor_picture_fit_transform_frame(GstVideoFilter *filter, GstVideoFrame *in,
                                                         GstVideoFrame *out) {
  State &state = *JUNCTOR_PICTURE_FIT(filter)->state;
  if (!state.scaler) return GST_FLOW_NOT_NEGOTIATED;
  ConstPlanes from;
  Planes to;
  for (guint plane = 0; plane < GST_VIDEO_FRAME_N_PLANES(in); ++plane) {
    from.data[plane] = static_cast<const std::uint8_t *>(GST_VIDEO_FRAME_PLANE_DATA(in, plane));
    from.stride[plane] = GST_VIDEO_FRAME_PLANE_STRIDE(in, plane);
  }
  // Planes of YV12 are those of I420 in another order.
  if (GST_VIDEO_FRAME_FORMAT(in) == GST_VIDEO_FORMAT_YV12) {
    std::swap(from.data[1], from.data[2]);
    std::swap(from.stride[1], from.stride[2]);
  }
  for (guint plane = 0; plane < GST_VIDEO_FRAME_N_PLANES(out); ++plane) {
    to.data[plane] = static_cast<std::uint8_t *>(GST_VIDEO_FRAME_PLANE_DATA(out, plane));
    to.stride[plane] = GST_VIDEO_FRAME_PLANE_STRIDE(out, plane);
  }
  state.scaler->scale(from, to);
  return GST_FLOW_OK;
}

static GstFlowReturn junctor_picture_fit_submit_input_buffer(GstBaseTransform *base,
                                                             gboolean discont, GstBuffer *buffer) {
  State &state = *JUNCTOR_PICTURE_FIT(base)->state;
  const int most = state.most;
  if (most != state.paced_at) {
    state.pace = Pace(most);
    state.paced_at = most;
  }
  if (GST_BUFFER_PTS_IS_VALID(buffer) &&
      !state.pace.takes(std::chrono::nanoseconds(GST_BUFFER_PTS(buffer)))) {
    gst_buffer_unref(buffer);
    return GST_BASE_TRANSFORM_FLOW_DROPPED;
  }
  return GST_BASE_TRANSFORM_CLASS(junctor_picture_fit_parent_class)
      ->submit_input_buffer(base, discont, buffer);
}

static gboolean junctor_picture_fit_stop(GstBaseTransform *base) {
  State &state = *JUNCTOR_PICTURE_FIT(base)->state;
  state.scaler.reset();
  state.pace.restart();
  return TRUE;
}

static void junctor_picture_fit_set_property(GObject *object, guint id, const GValue *value,
                                             GParamSpec *pspec) {
  auto *self = JUNCTOR_PICTURE_FIT(object);
  if (id != kPropMaxRate) {
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
    return;
  }
  const int most = g_value_get_int(value);
  if (self->state->most.exchange(most) != most)
    gst_base_transform_reconfigure_src(GST_BASE_TRANSFORM(self));
}

static void junctor_picture_fit_get_property(GObject *object, guint id, GValue *value,
                                             GParamSpec *pspec) {
  if (id == kPropMaxRate)
    g_value_set_int(value, JUNCTOR_PICTURE_FIT(object)->state->most);
  else
    G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
}

static void junctor_picture_fit_finalize(GObject *object) {
  delete JUNCTOR_PICTURE_FIT(object)->state;
  G_OBJECT_CLASS(junctor_picture_fit_parent_class)->finalize(object);
}

static void junctor_picture_fit_class_init(JunctorPictureFitClass *klass) {
  auto *object_class = G_OBJECT_CLASS(klass);
  auto *element_class = GST_ELEMENT_CLASS(klass);
  auto *transform_class = GST_BASE_TRANSFORM_CLASS(klass);
  auto *filter_class = GST_VIDEO_FILTER_CLASS(klass);

  object_class->set_property = junctor_picture_fit_set_property;
  object_class->get_property = junctor_picture_fit_get_property;
  object_class->finalize = junctor_picture_fit_finalize;
  transform_class->transform_caps = junctor_picture_fit_transform_caps;
  transform_class->fixate_caps = junctor_picture_fit_fixate_caps;
  transform_class->submit_input_buffer = junctor_picture_fit_submit_input_buffer;
  transform_class->stop = junctor_picture_fit_stop;
  filter_class->set_info = junctor_picture_fit_set_info;
  filter_class->transform_frame = junctor_picture_fit_transform_frame;

  g_object_class_install_property(
      object_class, kPropMaxRate,
      g_param_spec_int("max-rate", "Max rate",
                       "Pictures a second that pass at most, and the rate that their caps name; "
                       "0 for all",
                       0, kMostRate, 0,
                       static_cast<GParamFlags>(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS |
                                                GST_PARAM_MUTABLE_PLAYING)));

  gst_element_class_add_static_pad_template(element_class, &sink_template);
  gst_element_class_add_static_pad_template(element_class, &src_template);
  gst_element_class_set_static_metadata(
      element_class, "Picture fit", "Filter/Converter/Video/Scaler",
      "Scales pictures into what follows, with their aspect kept, at no more than a given rate",
      "The Junctor authors");
}

static void junctor_picture_fit_init(JunctorPictureFit *self) {
  self->state = new State;
  // Nothing behind it waits for a clock: quality of service would only cost.
  gst_base_transform_set_qos_enabled(GST_BASE_TRANSFORM(self), FALSE);
}
