// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/coding_probes.h"

namespace junctor::calls {

namespace {

/// What a probe does with each buffer.
struct Point {
  std::shared_ptr<Passage> leaves, enters;  ///< either may be null
};

void pass(const Point &point, GstBuffer *buffer, Time now) {
  if (!GST_BUFFER_PTS_IS_VALID(buffer)) return;
  const auto pts = static_cast<std::int64_t>(GST_BUFFER_PTS(buffer));
  if (point.leaves) point.leaves->leave(pts, now);
  if (point.enters) point.enters->enter(pts, now);
}

GstPadProbeReturn on_data(GstPad *, GstPadProbeInfo *info, gpointer data) {
  const Point &point = *static_cast<Point *>(data);
  const Time now = Clock::now();
  if (GstBuffer *buffer = GST_PAD_PROBE_INFO_BUFFER(info)) {
    pass(point, buffer, now);
  } else if (GstBufferList *list = GST_PAD_PROBE_INFO_BUFFER_LIST(info)) {
    // One access unit or packet of a few: they go together.
    if (gst_buffer_list_length(list) > 0) pass(point, gst_buffer_list_get(list, 0), now);
  }
  return GST_PAD_PROBE_OK;
}

void watch(GstPad *pad, Point point) {
  gst_pad_add_probe(
      pad, static_cast<GstPadProbeType>(GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST),
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
