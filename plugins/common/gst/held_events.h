// SPDX-License-Identifier: LGPL-2.1-or-later
// Events that wait until it is known what comes out of a decoder.
#pragma once

#include <gst/gst.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "common/gst/refs.h"

namespace junctor {

/// Of coded media only its packets tell what comes out: what caps must go before waits. Of sticky
/// events the latest of each kind; others are left out, for nothing has come yet that they could
/// follow. One thread at a time.
class HeldEvents {
 public:
  /// Takes `event` if it must wait; else it is the caller's still.
  bool hold(GstEvent *event) {
    const GstEventType type = GST_EVENT_TYPE(event);
    if (type <= GST_EVENT_CAPS || type == GST_EVENT_EOS || !is_of(event, GST_EVENT_TYPE_SERIALIZED))
      return false;
    EventRef owned(event);
    if (!is_of(event, GST_EVENT_TYPE_STICKY)) return true;
    const auto before = std::ranges::find_if(
        events_, [event](const EventRef &each) { return is_same_kind(each.get(), event); });
    if (before == events_.end())
      events_.push_back(std::move(owned));
    else
      *before = std::move(owned);
    return true;
  }
  /// To what follows `source`, whose caps are there.
  void give(GstPad *source) {
    for (EventRef &event : std::exchange(events_, {})) gst_pad_push_event(source, event.release());
  }
  /// A flush: upstream will tell a new segment, and nothing else again.
  void flush() {
    std::erase_if(events_, [](const EventRef &each) {
      return GST_EVENT_TYPE(each.get()) == GST_EVENT_SEGMENT;
    });
  }
  void clear() { events_.clear(); }

 private:
  static bool is_of(const GstEvent *event, GstEventTypeFlags flag) {
    return (gst_event_type_get_flags(GST_EVENT_TYPE(event)) & flag) != 0;
  }
  /// Whether a later one takes its place.
  static bool is_same_kind(const GstEvent *one, const GstEvent *other) {
    if (GST_EVENT_TYPE(one) != GST_EVENT_TYPE(other)) return false;
    const GstStructure *structure = gst_event_get_structure(const_cast<GstEvent *>(one));
    return !is_of(one, GST_EVENT_TYPE_STICKY_MULTI) || structure == nullptr ||
           gst_event_has_name_id(const_cast<GstEvent *>(other),
                                 gst_structure_get_name_id(structure));
  }

  std::vector<EventRef> events_;
};

}  // namespace junctor
