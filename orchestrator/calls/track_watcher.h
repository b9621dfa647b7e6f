// SPDX-License-Identifier: LGPL-2.1-or-later
// Tells the signalling thread what a push terminal sends.
#pragma once

#include <glib.h>

#include <functional>
#include <memory>

#include "rtmp/core/server.h"

namespace junctor::calls {

/// Listens to one published stream and posts its tracks to a context, in order. Made anywhere,
/// called by the server on its reactor.
class TrackWatcher : public rtmp::PublishListener {
 public:
  /// `on_track` runs on the thread that iterates `context`, and may come after the watcher's end.
  TrackWatcher(GMainContext *context, std::function<void(const rtmp::Track &)> on_track)
      : context_(context), on_track_(std::move(on_track)) {}

  void on_publisher() override {}
  void on_track(const rtmp::Track &track) override;
  void on_frame(const rtmp::Frame &) override {}
  void on_publisher_gone(bool) override {}

 private:
  GMainContext *context_;
  std::function<void(const rtmp::Track &)> on_track_;
};

}  // namespace junctor::calls
