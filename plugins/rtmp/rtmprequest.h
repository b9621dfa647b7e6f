// SPDX-License-Identifier: LGPL-2.1-or-later
// What an RTMP client asks for, as the `authenticate` signal hands it out.
#pragma once

#include <glib-object.h>

#include <functional>
#include <string>

#include "rtmp/core/server.h"

G_BEGIN_DECLS

/// Properties: `stage` (connect, createStream, publish, play), `role` (unknown, push, pull),
/// `account` (settable before accept(): what an accepted connect binds), `application`, `stream`,
/// `address`, `connection` (a number), `parameters` (GHashTable of strings). Action signals, so
/// that every language reaches them by name: `accept()`, `refuse(reason)`, both boolean: false if
/// it was answered before; `parameter(name)`: a string or null. Any thread. Keep a reference to
/// answer later; let go of unanswered, the element's own properties decide.
#define JUNCTOR_TYPE_RTMP_REQUEST (junctor_rtmp_request_get_type())
G_DECLARE_FINAL_TYPE(JunctorRtmpRequest, junctor_rtmp_request, JUNCTOR, RTMP_REQUEST, GObject)

G_END_DECLS

/// A request whose answer goes to `decision`; `otherwise` decides if nobody does. It runs in the
/// thread that lets go of the request last.
JunctorRtmpRequest *junctor_rtmp_request_new(
    const junctor::rtmp::Request &request, junctor::rtmp::Decision decision,
    std::function<void(const junctor::rtmp::Decision &)> otherwise);

namespace junctor::rtmp {
/// Text of a peer as GLib wants it: what is no UTF-8 is replaced.
std::string readable(const std::string &text);
}  // namespace junctor::rtmp
