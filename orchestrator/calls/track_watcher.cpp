// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/track_watcher.h"

#include "common/main_context.h"

namespace junctor::calls {

void TrackWatcher::on_track(const rtmp::Track &track) {
  post_to(context_, [on_track = on_track_, track] { on_track(track); });
}

}  // namespace junctor::calls
