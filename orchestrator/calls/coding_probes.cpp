// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/coding_probes.h"

#include <optional>
#include <string_view>

#include "calls/elements_of.h"

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

/// The pad that `element` is linked to through its pad of this name; null if it is not linked.
PadRef neighbour(GstElement *element, const char *name) {
  const PadRef pad(gst_element_get_static_pad(element, name));
  return PadRef(pad ? gst_pad_get_peer(pad.get()) : nullptr);
}

/// Whose element it is, by its name ("caller", "callee_player", "caller_watchdog"); nothing for one
/// between the legs.
std::optional<Side> side_of(GstElement *element) {
  const std::string_view name(GST_OBJECT_NAME(element));
  for (const Side side : kSides)
    if (name.starts_with(to_string(side)) &&
        (name.size() == to_string(side).size() || name[to_string(side).size()] == '_'))
      return side;
  return std::nullopt;
}

}  // namespace

void CodingProbes::attach(GstElement *pipeline) {
  for_each_element(pipeline, [this](GstElement *element) {
    if (is_of_type(element, GST_ELEMENT_FACTORY_TYPE_DECODER)) attach_to(element);
  });
}

/// Routes are chains: what a decoder belongs to is told by where its own leads.
void CodingProbes::attach_to(GstElement *decoder) {
  PadRef last = neighbour(decoder, "src");
  ElementRef end;
  while (last) {
    end.reset(gst_pad_get_parent_element(last.get()));
    if (!end || side_of(end.get())) break;
    last = neighbour(end.get(), "src");
  }
  if (!last || !end || !side_of(end.get())) return;
  PadRef first(gst_element_get_static_pad(decoder, "sink"));
  for (ElementRef at(GST_ELEMENT(gst_object_ref(decoder))); at;) {
    const PadRef before = neighbour(at.get(), "sink");
    at.reset(before ? gst_pad_get_parent_element(before.get()) : nullptr);
    if (!at || side_of(at.get())) break;
    first.reset(gst_element_get_static_pad(at.get(), "sink"));
  }
  const PadRef middle(gst_element_get_static_pad(decoder, "src"));
  if (!first || !middle) return;
  const bool video = is_of_type(decoder, GST_ELEMENT_FACTORY_TYPE_MEDIA_VIDEO);
  Route &route = routes_[index_of(*side_of(end.get()))]
                        [static_cast<std::size_t>(video ? Medium::Video : Medium::Audio)];
  route.decode = std::make_shared<Passage>();
  route.encode = std::make_shared<Passage>();
  watch(first.get(), {nullptr, route.decode});
  watch(middle.get(), {route.decode, route.encode});
  watch(last.get(), {route.encode, nullptr});
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
