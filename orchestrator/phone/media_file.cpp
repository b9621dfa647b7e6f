// SPDX-License-Identifier: LGPL-2.1-or-later
#include "phone/media_file.h"

#include <gst/base/gsttypefindhelper.h>
#include <gst/gst.h>
#include <gst/pbutils/pbutils.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "common/gst/refs.h"
#include "common/handle.h"

namespace junctor::phone {

namespace {

using DiscovererRef = std::unique_ptr<GstDiscoverer, Releaser<g_object_unref>>;
using InfoRef = std::unique_ptr<GstDiscovererInfo, Releaser<g_object_unref>>;
using ErrorRef = std::unique_ptr<GError, Releaser<g_error_free>>;
using Text = std::unique_ptr<gchar, Releaser<g_free>>;

constexpr std::size_t kHead = 256UL * 1024;  // of a file, by which its kind is known
/// decodebin loses what a demuxer says that fails at once, one time in ten, and then waits for
/// ever.
constexpr int kLooks = 2;

/// What GStreamer takes it for by its first bytes, like "image/png"; empty where it knows nothing.
std::string type_of(std::FILE *file) {
  std::vector<guint8> head(kHead);
  head.resize(std::fread(head.data(), 1, head.size(), file));
  const CapsRef found(
      head.empty() ? nullptr
                   : gst_type_find_helper_for_data(nullptr, head.data(), head.size(), nullptr));
  return found ? gst_structure_get_name(gst_caps_get_structure(found.get(), 0)) : "";
}

/// Nothing where it cannot be asked for.
InfoRef look_into(const std::string &path, GstClockTime patience, std::string &why) {
  const Text uri(gst_filename_to_uri(path.c_str(), nullptr));
  InfoRef info;
  for (int look = 0; uri && look < kLooks; ++look) {
    const DiscovererRef discoverer(gst_discoverer_new(patience, nullptr));
    if (!discoverer) return nullptr;
    GError *raw = nullptr;
    info.reset(gst_discoverer_discover_uri(discoverer.get(), uri.get(), &raw));
    const ErrorRef error(raw);
    why = error ? error->message : "";
    if (!info || gst_discoverer_info_get_result(info.get()) != GST_DISCOVERER_TIMEOUT) break;
  }
  return info;
}

/// Whether its demuxer fails before it finds any stream: its word comes straight from it here.
bool is_damaged(const std::string &path, const std::string &type) {
  const CapsRef caps(gst_caps_new_empty_simple(type.c_str()));
  GList *all =
      gst_element_factory_list_get_elements(GST_ELEMENT_FACTORY_TYPE_DEMUXER, GST_RANK_MARGINAL);
  all = g_list_sort(all, gst_plugin_feature_rank_compare_func);
  GList *fitting = gst_element_factory_list_filter(all, caps.get(), GST_PAD_SINK, FALSE);
  GstElement *demuxer =
      fitting ? gst_element_factory_create(GST_ELEMENT_FACTORY(fitting->data), nullptr) : nullptr;
  gst_plugin_feature_list_free(fitting);
  gst_plugin_feature_list_free(all);
  GstElement *file = gst_element_factory_make("filesrc", nullptr);
  if (!demuxer || !file) return false;
  g_object_set(file, "location", path.c_str(), nullptr);
  const ElementRef pipeline(gst_pipeline_new(nullptr));
  gst_bin_add_many(GST_BIN(pipeline.get()), file, demuxer, nullptr);
  bool damaged = false;
  if (gst_element_link(file, demuxer)) {
    gst_element_set_state(pipeline.get(), GST_STATE_PAUSED);
    const BusRef bus(gst_element_get_bus(pipeline.get()));
    GstMessage *failure = gst_bus_timed_pop_filtered(bus.get(), GST_SECOND, GST_MESSAGE_ERROR);
    damaged = failure && demuxer->numsrcpads == 0;
    if (failure) gst_message_unref(failure);
  }
  gst_element_set_state(pipeline.get(), GST_STATE_NULL);
  return damaged;
}

/// As decodebin looks for one.
bool can_be_decoded(GstDiscovererStreamInfo *stream) {
  const CapsRef caps(gst_discoverer_stream_info_get_caps(stream));
  if (!caps || gst_caps_is_empty(caps.get()) || gst_caps_is_any(caps.get())) return false;
  const std::string_view type = gst_structure_get_name(gst_caps_get_structure(caps.get(), 0));
  if (type == "video/x-raw" || type == "audio/x-raw") return true;
  GList *decoders =
      gst_element_factory_list_get_elements(GST_ELEMENT_FACTORY_TYPE_DECODER, GST_RANK_MARGINAL);
  GList *fitting = gst_element_factory_list_filter(decoders, caps.get(), GST_PAD_SINK,
                                                   gst_caps_is_fixed(caps.get()));
  const bool found = fitting != nullptr;
  gst_plugin_feature_list_free(fitting);
  gst_plugin_feature_list_free(decoders);
  return found;
}

/// Of one medium.
struct Streams {
  int all = 0, decoded = 0, still = 0;
};

Streams streams_of(GstDiscovererInfo *info, Medium medium) {
  GList *list = medium == Medium::Video ? gst_discoverer_info_get_video_streams(info)
                                        : gst_discoverer_info_get_audio_streams(info);
  Streams streams;
  for (const GList *each = list; each; each = each->next) {
    auto *stream = GST_DISCOVERER_STREAM_INFO(each->data);
    ++streams.all;
    if (can_be_decoded(stream)) ++streams.decoded;
    if (GST_IS_DISCOVERER_VIDEO_INFO(stream) &&
        gst_discoverer_video_info_is_image(GST_DISCOVERER_VIDEO_INFO(stream)))
      ++streams.still;
  }
  gst_discoverer_stream_info_list_free(list);
  return streams;
}

/// The decoder of `medium` that is not installed, in GStreamer's words: the fourth of the fields
/// with "|" between, of which the last says what it would decode. Empty where none is missing.
std::string missing_decoder(GstDiscovererInfo *info, Medium medium) {
  const gchar **details = gst_discoverer_info_get_missing_elements_installer_details(info);
  const std::string_view kind = medium == Medium::Video ? "|decoder-video/" : "|decoder-audio/";
  for (; details && *details; ++details) {
    const std::string_view text = *details;
    const auto end = text.find(kind);
    if (end == std::string_view::npos) continue;
    const auto begin = text.rfind('|', end - 1);
    return std::string(text.substr(begin + 1, end - begin - 1));
  }
  return "";
}

}  // namespace

Result<void> check_media_file(const std::string &option, const std::string &path, Medium medium,
                              std::chrono::seconds patience) {
  std::error_code failure;
  if (!std::filesystem::is_regular_file(path, failure)) return {};
  const auto wrong = [&](const std::string &what) {
    return bad_input(option + " " + path + ": " + what);
  };
  std::string type;
  {
    const std::unique_ptr<std::FILE, Releaser<std::fclose>> file(std::fopen(path.c_str(), "rbe"));
    if (!file) return wrong("it cannot be read");
    type = type_of(file.get());
    if (type.empty() || type.starts_with("text/"))
      return wrong("there is neither film nor sound in it that GStreamer knows");
  }
  // All its pictures would come at once, of which nobody sees more than the last.
  if (medium == Medium::Video && type == "image/gif")
    return wrong("GStreamer reads no times from a GIF; make a film of it with ffmpeg -i " + path +
                 " -pix_fmt yuv420p " + std::filesystem::path(path).stem().string() + ".mp4");
  std::string why;
  const InfoRef info =
      look_into(path, static_cast<GstClockTime>(patience.count()) * GST_SECOND, why);
  if (!info) return {};  // what is wrong will show
  const GstDiscovererResult result = gst_discoverer_info_get_result(info.get());
  const Streams streams = streams_of(info.get(), medium);
  const std::string name = medium == Medium::Video ? "picture" : "sound";
  if (const auto decoder = missing_decoder(info.get(), medium);
      !decoder.empty() && streams.decoded == 0)
    return wrong("its " + name + " needs what GStreamer does not have here: " + decoder +
                 "; install it, or name another file");
  // A picture that cannot even be decoded is no film either.
  if (medium == Medium::Video &&
      (streams.all > 0 ? streams.still == streams.all
                       : result == GST_DISCOVERER_ERROR && type.starts_with("image/")))
    return wrong("its picture is a still one; make a film of it with ffmpeg -loop 1 -i " + path +
                 " -t 60 -vf scale=640:-2 -pix_fmt yuv420p " +
                 std::filesystem::path(path).stem().string() + ".mp4");
  // A slow disk or processor is no fault of the file's.
  const bool slow = result == GST_DISCOVERER_TIMEOUT;
  if (streams.all > 0 || (slow && !is_damaged(path, type))) return {};
  if (slow || result == GST_DISCOVERER_ERROR)
    return wrong("it cannot be played, it may be damaged or cut off" +
                 (why.empty() ? "" : " (" + why + ")") + "; name another file");
  return wrong("there is no " + name + " in it; name a file that has one, or " +
               (medium == Medium::Video ? "--video test or --video off"
                                        : "--audio test, --audio mic or --audio off"));
}

}  // namespace junctor::phone
