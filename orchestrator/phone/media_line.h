// SPDX-License-Identifier: LGPL-2.1-or-later
// The launch line of a phone's media.
#pragma once

#include <gst/gst.h>

#include <string>

#include "common/result.h"
#include "nat/core/session_media.h"
#include "phone/media.h"

namespace junctor::phone {

/// Payload types: what both phones offer is the same, so they are fixed (RFC 3551 section 3).
inline constexpr unsigned kPictureType = 96, kSoundType = 97;
/// What the peer has missed, once more (RFC 4588).
inline constexpr unsigned kPictureAgainType = 98, kSoundAgainType = 99;
/// Of rtprtxsend and rtprtxreceive.
inline constexpr const char *kAgainMap = "application/x-rtp-pt-map,96=(uint)98,97=(uint)99";

/// Elements that the program sets itself: `channel`, `rtp`, `picture-file` and `sound-file` where a
/// file or a device is sent, with `picture-reader` and `sound-reader` behind those of files; what
/// `rtp-out` and `rtcp-out` get is for the channel (see Bridge). What a user typed is in none of
/// the text but patterns and numbers that have been checked. `channel`'s src is left to be linked
/// with `rtp`, once that has been told what it asks for.
Result<std::string> media_line(const MediaOptions &options);

/// For the pipeline that was made of it, before it runs: recordings of browsers and some cameras
/// say neither a frame rate nor how long a picture lasts, which videorate aborts the program for.
void give_durations(GstElement *pipeline);

/// The way of what is received, to be added where its stream shows: its head is `depay`.
std::string picture_sink_line(const std::string &codec);
std::string sound_sink_line(bool saved);

/// For nodes.
nat::SessionMedia sent_by(const MediaOptions &options);

/// application/x-rtp of a payload type that this phone takes; empty for others.
std::string caps_of(unsigned payload_type, const std::string &codec);

}  // namespace junctor::phone
