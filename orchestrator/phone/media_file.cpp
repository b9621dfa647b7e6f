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
/// decodebin loses what a demuxer says that fails at once, and then waits for ever.
constexpr GstClockTime kPatience = 3 * GST_SECOND;

/// What is plainly no film and no sound.
bool is_media(std::FILE *file) {
  std::vector<guint8> head(kHead);
  head.resize(std::fread(head.data(), 1, head.size(), file));
  const CapsRef found(
      head.empty() ? nullptr
                   : gst_type_find_helper_for_data(nullptr, head.data(), head.size(), nullptr));
  const std::string_view type =
      found ? gst_structure_get_name(gst_caps_get_structure(found.get(), 0)) : "";
  return !type.empty() && !type.starts_with("text/");
}

bool has(GstDiscovererInfo *info, Medium medium) {
  GList *streams = medium == Medium::Video ? gst_discoverer_info_get_video_streams(info)
                                           : gst_discoverer_info_get_audio_streams(info);
  const bool found = streams != nullptr;
  gst_discoverer_stream_info_list_free(streams);
  return found;
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

Result<void> check_media_file(const std::string &option, const std::string &path, Medium medium) {
  std::error_code failure;
  if (!std::filesystem::is_regular_file(path, failure)) return {};
  const auto wrong = [&](const std::string &what) {
    return bad_input(option + " " + path + ": " + what);
  };
  {
    const std::unique_ptr<std::FILE, Releaser<std::fclose>> file(std::fopen(path.c_str(), "rbe"));
    if (!file) return wrong("it cannot be read");
    if (!is_media(file.get()))
      return wrong("there is neither film nor sound in it that GStreamer knows");
  }
  const Text uri(gst_filename_to_uri(path.c_str(), nullptr));
  const DiscovererRef discoverer(gst_discoverer_new(kPatience, nullptr));
  if (!uri || !discoverer) return {};  // what is wrong will show
  GError *raw = nullptr;
  const InfoRef info(gst_discoverer_discover_uri(discoverer.get(), uri.get(), &raw));
  const ErrorRef error(raw);
  if (!info) return {};
  const GstDiscovererResult result = gst_discoverer_info_get_result(info.get());
  const std::string name = medium == Medium::Video ? "picture" : "sound";
  if (const auto decoder = missing_decoder(info.get(), medium); !decoder.empty())
    return wrong("its " + name + " needs what GStreamer does not have here: " + decoder +
                 "; install it, or name another file");
  if (has(info.get(), medium)) return {};
  if (result == GST_DISCOVERER_ERROR || result == GST_DISCOVERER_TIMEOUT)
    return wrong("it cannot be played, it may be damaged or cut off" +
                 (error ? " (" + std::string(error->message) + ")" : "") + "; name another file");
  return wrong("there is no " + name + " in it; name a file that has one, or " +
               (medium == Medium::Video ? "--video test or --video off"
                                        : "--audio test, --audio mic or --audio off"));
}

}  // namespace junctor::phone
