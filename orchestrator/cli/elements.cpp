// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cli/elements.h"

#include <gst/gst.h>

#include <array>

#include "config/places.h"

extern "C" {
#include <libavutil/log.h>
}

namespace junctor::cli {

namespace {

using Names = std::string_view;

constexpr std::array<Names, 7> kOwn{"rtmpauthsrc", "rtmpplaysink", "sipcallsink", "mediawatchdog",
                                    "picturedec",  "picturefit",   "soundfit"};
constexpr std::array<Names, 4> kCore{"queue", "capsfilter", "concat", "fakesink"};
constexpr std::array<Names, 9> kBase{"audioconvert", "audioresample", "audiotestsrc",
                                     "videotestsrc", "videoconvert",  "appsink",
                                     "appsrc",       "opusenc",       "opusdec"};
constexpr std::array<Names, 18> kGood{
    "rtpbin",       "rtpopuspay", "rtpopusdepay", "v4l2src",     "imagefreeze",  "speexenc",
    "vp8dec",       "vp8enc",     "rtph264depay", "rtpspeexpay", "rtpmp4gpay",   "rtpmp4apay",
    "rtpmp4adepay", "rtpvp8pay",  "rtpvp8depay",  "rtph263pay",  "rtph263depay", "rtph263ppay"};
constexpr std::array<Names, 3> kBad{"h264parse", "voaacenc", "rsvgoverlay"};
constexpr std::array<Names, 1> kUgly{"x264enc"};
constexpr std::array<Names, 3> kLibav{"avdec_h264", "avenc_h263", "avenc_flv"};

const std::array kNeeds{
    ElementNeed{"Junctor's plugin", "the two legs of a call", kOwn,
                "run inside `meson devenv -C build`, or set GST_PLUGIN_PATH to the directory of "
                "libgstjunctor.so"},
    ElementNeed{"libgstreamer1.0-0", "the core", kCore, "apt install libgstreamer1.0-0"},
    ElementNeed{"gstreamer1.0-plugins-base", "conversion, test media, Opus", kBase,
                "apt install gstreamer1.0-plugins-base"},
    ElementNeed{"gstreamer1.0-plugins-good", "Speex, VP8, RTP", kGood,
                "apt install gstreamer1.0-plugins-good"},
    ElementNeed{"gstreamer1.0-plugins-bad", "H.264 parser, AAC encoder, ring picture", kBad,
                "apt install gstreamer1.0-plugins-bad"},
    ElementNeed{"gstreamer1.0-plugins-ugly", "H.264 encoder", kUgly,
                "apt install gstreamer1.0-plugins-ugly"},
    ElementNeed{"gstreamer1.0-libav", "H.264 decoder, H.263", kLibav,
                "apt install gstreamer1.0-libav"},
};

}  // namespace

std::span<const ElementNeed> element_needs() { return kNeeds; }

void start_gstreamer() {
  gst_init(nullptr, nullptr);
  // What libavcodec finds wrong with a peer's pictures would go to stderr, past our log.
  av_log_set_level(AV_LOG_QUIET);
  if (has_element(std::string(kOwn.front()))) return;
  const std::string built = config::program_dir() + "/../plugins";
  gst_registry_scan_path(gst_registry_get(), built.c_str());
}

bool has_element(const std::string &name) {
  GstElementFactory *factory = gst_element_factory_find(name.c_str());
  if (!factory) return false;
  gst_object_unref(factory);
  return true;
}

}  // namespace junctor::cli
