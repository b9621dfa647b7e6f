// SPDX-License-Identifier: LGPL-2.1-or-later
// A link that closes a loop.
#pragma once

#include <gst/gst.h>

#include <memory>
#include <string>

#include "common/gst/refs.h"

namespace junctor::phone {

/// Hands what a fakesink gets to a pad of an element in the same bin, and that pad's events
/// upstream back. rtpbin and a channel feed each other: linked both ways they are a loop, in which
/// GStreamer finds no order to change states in, and complains at each change.
class Bridge {
 public:
  /// Both outlive the bridge. Of what passes `caps` is told.
  Bridge(GstElement *fakesink, GstPad *to, const char *caps);
  ~Bridge();
  Bridge(const Bridge &) = delete;
  Bridge &operator=(const Bridge &) = delete;

 private:
  static GstPadProbeReturn pass(GstPad *, GstPadProbeInfo *info, gpointer data);
  static gboolean back(GstPad *, GstObject *, GstEvent *event);
  void begin();

  const PadRef from_;  ///< the fakesink's
  const PadRef feed_;  ///< of no element
  const std::string caps_;
  gulong probe_ = 0;
  bool begun_ = false;  ///< streaming thread
};

}  // namespace junctor::phone
