// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/coding_routes.h"

#include <optional>
#include <string_view>
#include <utility>

namespace junctor::calls {

namespace {

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

bool is_decoder(GstElement *element) {
  return is_of_type(element, GST_ELEMENT_FACTORY_TYPE_DECODER);
}

/// Routes are chains: what a decoder belongs to is told by where its own leads. Nothing for one
/// behind another.
std::optional<CodingRoute> route_of(GstElement *decoder) {
  PadRef last = neighbour(decoder, "src");
  ElementRef end;
  while (last) {
    end.reset(gst_pad_get_parent_element(last.get()));
    if (!end || side_of(end.get())) break;
    last = neighbour(end.get(), "src");
  }
  if (!last || !end || !side_of(end.get())) return std::nullopt;
  PadRef first(gst_element_get_static_pad(decoder, "sink"));
  for (ElementRef at(GST_ELEMENT(gst_object_ref(decoder))); at;) {
    const PadRef before = neighbour(at.get(), "sink");
    at.reset(before ? gst_pad_get_parent_element(before.get()) : nullptr);
    if (!at || side_of(at.get())) break;
    if (is_decoder(at.get())) return std::nullopt;
    first.reset(gst_element_get_static_pad(at.get(), "sink"));
  }
  PadRef decoded(gst_element_get_static_pad(decoder, "src"));
  if (!first || !decoded) return std::nullopt;
  const bool video = is_of_type(decoder, GST_ELEMENT_FACTORY_TYPE_MEDIA_VIDEO);
  return CodingRoute{*side_of(end.get()), video ? Medium::Video : Medium::Audio, std::move(first),
                     std::move(decoded), std::move(last)};
}

}  // namespace

std::vector<CodingRoute> coding_routes(GstElement *pipeline) {
  std::vector<CodingRoute> routes;
  for_each_element(pipeline, [&routes](GstElement *element) {
    // Which decodes sound itself.
    if (!is_decoder(element) && !is_made_by(element, "soundfit")) return;
    if (auto route = route_of(element)) routes.push_back(*std::move(route));
  });
  return routes;
}

}  // namespace junctor::calls
