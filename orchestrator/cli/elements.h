// SPDX-License-Identifier: LGPL-2.1-or-later
// The GStreamer elements that calls are made of.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace junctor::cli {

/// Elements that one package brings.
struct ElementNeed {
  std::string_view package;
  std::string_view what;  ///< for people
  std::span<const std::string_view> elements;
  std::string_view fix;
};

/// Every element that a template in pipelines/ or the codec table names.
std::span<const ElementNeed> element_needs();

/// Initialises GStreamer once; finds Junctor's own plugin in the build that the program runs from,
/// too. Before anything else of GStreamer, on the main thread.
void start_gstreamer();

bool has_element(const std::string &name);

}  // namespace junctor::cli
