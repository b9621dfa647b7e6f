// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/coding_probes.h"

namespace junctor::calls {

namespace {

/// What a probe does with each buffer. Its time is that of the pipeline: encoders of pictures move
/// timestamps, by a thousand hours, and their segment with them.
struct Point {
  std::shared_ptr<Passage> leaves, enters;  ///< either may be null
  GstSegment segment{};                     ///< the latest of the pad
};

void pass(const Point &point, GstBuffer *buffer, Time now) {
  const guint64 time =
      gst_segment_to_running_time(&point.segment, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
  if (!GST_CLOCK_TIME_IS_VALID(time)) return;
  const auto pts = static_cast<std::int64_t>(time);
  if (point.leaves) point.leaves->leave(pts, now);
  if (point.enters) point.enters->enter(pts, now);
}

GstPadProbeReturn on_data(GstPad *, GstPadProbeInfo *info, gpointer data) {
  Point &point = *static_cast<Point *>(data);
  if (GST_PAD_PROBE_INFO_TYPE(info) & GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM) {
    const GstSegment *segment = nullptr;
    if (GstEvent *event = GST_PAD_PROBE_INFO_EVENT(info);
        GST_EVENT_TYPE(event) == GST_EVENT_SEGMENT)
      gst_event_parse_segment(event, &segment);
    if (segment && segment->format == GST_FORMAT_TIME) point.segment = *segment;
    return GST_PAD_PROBE_OK;
  }
  const Time now = Clock::now();
  // The macros for either do not look which of them it is.
  if (GST_PAD_PROBE_INFO_TYPE(info) & GST_PAD_PROBE_TYPE_BUFFER) {
    pass(point, GST_PAD_PROBE_INFO_BUFFER(info), now);
  } else if (GstBufferList *list = GST_PAD_PROBE_INFO_BUFFER_LIST(info);
             gst_buffer_list_length(list) > 0) {
    // One access unit or packet of a few: they go together.
    pass(point, gst_buffer_list_get(list, 0), now);
  }
  return GST_PAD_PROBE_OK;
}

void watch(GstPad *pad, Point point) {
  gst_segment_init(&point.segment, GST_FORMAT_TIME);
  gst_pad_add_probe(
      pad,
      static_cast<GstPadProbeType>(GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST |
                                   GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM),
      on_data, new Point(std::move(point)),
      [](gpointer data) { delete static_cast<Point *>(data); });
}

}  // namespace

void CodingProbes::attach(const std::vector<CodingRoute> &routes) {
  for (const CodingRoute &found : routes) {
    Route &route = routes_[index_of(found.taker)][static_cast<std::size_t>(found.medium)];
    route.decode = std::make_shared<Passage>();
    route.encode = std::make_shared<Passage>();
    watch(found.first.get(), {nullptr, route.decode});
    watch(found.decoded.get(), {route.decode, route.encode});
    watch(found.last.get(), {route.encode, nullptr});
  }
}

CodingLatency CodingProbes::figures() const {
  CodingLatency latency;
  const Time now = Clock::now();
  for (std::size_t side = 0; side < routes_.size(); ++side)
    for (std::size_t medium = 0; medium < routes_[side].size(); ++medium) {
      const Route &route = routes_[side][medium];
      if (!route.decode) continue;
      latency.to[side][medium] = {route.decode->figures(now), route.encode->figures(now)};
    }
  return latency;
}

}  // namespace junctor::calls
