// SPDX-License-Identifier: LGPL-2.1-or-later
// The media of `junctor phone`: sources, codecs, RTP, and the channel through NATs.
#pragma once

#include <glib.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace junctor::phone {

/// What is sent and what is done with what comes.
struct MediaOptions {
  std::string session;  ///< of the rendezvous
  bool caller = false;
  std::string stun_servers, turn_servers;  ///< as stunpunch's properties
  std::string rungs = "p2p,sfu,relay";
  bool strict = false;  ///< one rung after the other
  std::chrono::milliseconds timeout{3000}, head_start{1000};
  bool prediction = false, many_sockets = false;

  /// "test", "test:PATTERN" of videotestsrc, "off", "/dev/videoN", or a file.
  std::string video = "test";
  /// "test", "test:HERTZ", "off", "mic", or a file.
  std::string audio = "test";
  std::string codec = "h264";  ///< of the picture: h264 or vp8
  unsigned bitrate = 600;      ///< of the picture, kbit/s
  std::string save_sound;      ///< a WAV file of what is heard; empty: none
};

/// Which way media goes, from now on.
struct ChannelNews {
  std::string state;  ///< trying, up, moved, failed
  std::string rung, node, local, remote;
  double ms = 0;
  std::string why;
};
/// What has become of one way.
struct RungNews {
  std::string rung, node, state;
  double at_ms = 0, took_ms = 0;
  std::string why;
};

/// Called on the context. They may destroy the Media.
struct MediaEvents {
  std::function<void(std::string)> signal;  ///< for the peer's take_remote()
  std::function<void(std::string)> want;    ///< "sfu" or "relay": answer by take_offer()
  std::function<void(const ChannelNews &)> channel;
  std::function<void(const RungNews &)> rung;
  std::function<void(std::chrono::milliseconds)> first_picture;  ///< since the start
  /// The peer's pictures, of a size as in "16000x16000", are left out.
  std::function<void(const std::string &size)> too_large;
  std::function<void(std::string why)> failed;  ///< no way is left; nothing comes afterwards
  /// A source, a codec or a file of this end has failed; nothing comes afterwards.
  std::function<void(std::string why)> broken;
  std::function<void()> ended;  ///< a file has been sent to its end
};

struct MediaStats {
  std::string state, rung, node, local, remote, fingerprint;
  double round_trip_ms = 0;  ///< 0: unknown
  std::uint64_t packets_sent = 0, bytes_sent = 0, packets_received = 0, bytes_received = 0,
                packets_lost = 0;
  std::uint64_t pictures = 0;  ///< that were decoded
  /// Between two packets, or behind the last of them, since it was asked last.
  double longest_pause_ms = 0;
  double longest_still_ms = 0;  ///< between two pictures, likewise
};

/// One call's pipeline. On the thread that iterates its context.
class Media {
 public:
  /// `context`: where events come; null: the default one. BadInput names the option that cannot be.
  static Result<std::unique_ptr<Media>> start(GMainContext *context, MediaOptions options,
                                              MediaEvents events);
  virtual ~Media() = default;

  virtual void take_remote(const std::string &signal) = 0;
  /// See stunpunch's `take-offer`.
  virtual void take_offer(const std::string &offer) = 0;
  /// The newest picture of the peer's as PNG. Refused where none has come yet.
  virtual Result<void> save_picture(const std::string &path) = 0;
  virtual MediaStats stats() = 0;
};

/// Whether these can be: Media::start() without starting. For the command line.
Result<void> check_media(const MediaOptions &options);

}  // namespace junctor::phone
