// SPDX-License-Identifier: LGPL-2.1-or-later
// Answers that elements of several families give alike.
#pragma once

#include <gst/gst.h>

#include "common/gst/refs.h"

namespace junctor {

/// Answers a caps query with what its filter leaves of `caps`, in the filter's order.
inline gboolean answer_caps(GstQuery *query, CapsRef caps) {
  GstCaps *filter = nullptr;
  gst_query_parse_caps(query, &filter);
  if (filter != nullptr)
    caps.reset(gst_caps_intersect_full(filter, caps.get(), GST_CAPS_INTERSECT_FIRST));
  gst_query_set_caps_result(query, caps.get());
  return TRUE;
}

/// Answers a latency query with that of what is in front of `sink`, and `own` ns more. FALSE if
/// nobody there answers.
inline gboolean answer_latency(GstQuery *query, GstPad *sink, GstClockTime own) {
  if (!gst_pad_peer_query(sink, query)) return FALSE;
  gboolean live = FALSE;
  GstClockTime least = 0, most = 0;
  gst_query_parse_latency(query, &live, &least, &most);
  gst_query_set_latency(query, live, least + own,
                        GST_CLOCK_TIME_IS_VALID(most) ? most + own : most);
  return TRUE;
}

}  // namespace junctor
