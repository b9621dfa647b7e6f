// SPDX-License-Identifier: LGPL-2.1-or-later
// `junctor phone`: a headless client.
#include "phone/phone.h"

#include <glib-unix.h>
#include <unistd.h>

#include <filesystem>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/elements.h"
#include "cli/token.h"
#include "common/handle.h"
#include "rtp/core/srtp_start.h"

namespace junctor::cli {

namespace {

Result<phone::PhoneOptions> options_of(const CommandLine &line) {
  const PhoneLine &said = line.phone;
  phone::PhoneOptions options;
  auto token = token_of(said.token_file, said.token);
  if (!token) return token.error();
  options.client.token = *token;
  options.client.url = line.url;
  if (line.url.empty()) {
    auto url = announced_url(line.config.data_dir);
    if (!url) return url.error();
    options.client.url = *url;
  }
  options.client.trust = said.trust;
  options.client.hello.agent = "junctor-phone/" JUNCTOR_VERSION;
  options.call = said.call;
  options.answer = said.answer == "auto";
  options.answer_from = said.answer_from;
  options.once = said.once;
  options.media.video = said.video;
  options.media.audio = said.audio;
  options.media.codec = said.codec;
  options.media.bitrate = said.bitrate;
  options.media.save_sound = said.save_sound;
  options.media.rungs = said.rungs;
  options.media.strict = said.ladder == "strict";
  options.media.timeout = std::chrono::milliseconds(said.timeout);
  options.media.head_start = std::chrono::milliseconds(said.head_start);
  options.media.prediction = !said.no_prediction;
  options.media.many_sockets = said.many_sockets;
  options.pictures = said.save_pictures;
  options.pictures_every = std::chrono::seconds(said.save_every);
  options.duration = std::chrono::seconds(said.duration);
  options.stats = said.stats;
  options.json = line.json;
  if (auto checked = phone::check_media(options.media); !checked) return checked.error();
  std::error_code failure;
  if (!options.pictures.empty() && !std::filesystem::is_directory(options.pictures, failure))
    return bad_input("--save-pictures: there is no directory " + options.pictures);
  if (!said.save_sound.empty()) {
    const auto directory = std::filesystem::absolute(said.save_sound).parent_path();
    if (!std::filesystem::is_directory(directory, failure))
      return bad_input("--save-sound: there is no directory " + directory.string());
    if (::access(directory.c_str(), W_OK) != 0)
      return bad_input("--save-sound: nothing can be written in " + directory.string());
  }
  return options;
}

}  // namespace

int phone(const CommandLine &line, Streams streams) {
  start_gstreamer();
  auto options = options_of(line);
  if (!options) {
    streams.err << "junctor: " << options.error().detail << std::endl;
    return options.error().fault == Fault::BadInput      ? kWrongUsage
           : options.error().fault == Fault::Unreachable ? kUnreachable
                                                         : kFailed;
  }
  const std::unique_ptr<GMainLoop, Releaser<g_main_loop_unref>> loop(
      g_main_loop_new(nullptr, FALSE));
  int code = kFailed;
  phone::PhoneWorld world;
  world.media = [](phone::MediaOptions media, phone::MediaEvents events) {
    return phone::Media::start(nullptr, std::move(media), std::move(events));
  };
  phone::Phone client(*std::move(options), std::move(world), streams.out, streams.err,
                      [&](int ended) {
                        code = ended;
                        g_main_loop_quit(loop.get());
                      });
  if (auto started = client.start(); !started) {
    streams.err << "junctor: " << started.error().detail << std::endl;
    return kWrongUsage;
  }
  rtp::prepare_srtp();  // while it connects
  std::vector<guint> sources;
  for (const int number : {SIGINT, SIGTERM})
    sources.push_back(g_unix_signal_add(
        number,
        [](gpointer data) -> gboolean {
          static_cast<phone::Phone *>(data)->hang_up();
          return G_SOURCE_CONTINUE;
        },
        &client));
  sources.push_back(g_unix_signal_add(
      SIGUSR1,
      [](gpointer data) -> gboolean {
        static_cast<phone::Phone *>(data)->save_picture();
        return G_SOURCE_CONTINUE;
      },
      &client));
  g_main_loop_run(loop.get());
  for (const guint source : sources) g_source_remove(source);
  return code;
}

}  // namespace junctor::cli
