// SPDX-License-Identifier: LGPL-2.1-or-later
// Looks through the elements of a pipeline.
#pragma once

#include <gst/gst.h>

#include <memory>
#include <string_view>

#include "common/gst/refs.h"

namespace junctor::calls {

/// Calls `function(GstElement *)` with each element of the bin `pipeline`, which is parsed and not
/// yet running: elements of elements are left out.
template <class Function>
void for_each_element(GstElement *pipeline, Function function) {
  GstIterator *elements = gst_bin_iterate_elements(GST_BIN(pipeline));
  gst_iterator_foreach(
      elements,
      [](const GValue *value, gpointer data) {
        (*static_cast<Function *>(data))(GST_ELEMENT(g_value_get_object(value)));
      },
      &function);
  gst_iterator_free(elements);
}

/// Whether its factory says so.
inline bool is_of_type(GstElement *element, GstElementFactoryListType type) {
  GstElementFactory *factory = gst_element_get_factory(element);
  return factory != nullptr && gst_element_factory_list_is_type(factory, type);
}

/// Whether it is a `factory_name`.
inline bool is_made_by(GstElement *element, std::string_view factory_name) {
  GstElementFactory *factory = gst_element_get_factory(element);
  return factory != nullptr && GST_OBJECT_NAME(factory) == factory_name;
}

}  // namespace junctor::calls
