// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/gst/context.h"

#include <utility>

namespace junctor::gst {

namespace {

/// Asks the peers of all pads of one direction.
bool query_neighbours(GstElement *element, GstPadDirection direction, GstQuery *query) {
  struct Search {
    GstQuery *query;
    bool found = false;
  } search{query};
  const GstElementForeachPadFunc ask = [](GstElement *, GstPad *pad, gpointer data) -> gboolean {
    auto *search = static_cast<Search *>(data);
    search->found = gst_pad_peer_query(pad, search->query);
    return !search->found;  // false ends the walk
  };
  if (direction == GST_PAD_SRC)
    gst_element_foreach_src_pad(element, ask, &search);
  else
    gst_element_foreach_sink_pad(element, ask, &search);
  return search.found;
}

}  // namespace

GstContext *find_context(GstElement *element, const char *name) {
  if (GstContext *own = gst_element_get_context(element, name)) return own;

  GstQuery *query = gst_query_new_context(name);
  GstContext *context = nullptr;
  if (query_neighbours(element, GST_PAD_SRC, query) ||
      query_neighbours(element, GST_PAD_SINK, query)) {
    gst_query_parse_context(query, &context);
    if (context != nullptr) {
      gst_context_ref(context);
      gst_element_set_context(element, context);
    }
  }
  gst_query_unref(query);
  if (context != nullptr) return context;

  gst_element_post_message(element, gst_message_new_need_context(GST_OBJECT(element), name));
  return gst_element_get_context(element, name);
}

void offer_context(GstElement *element, GstContext *context) {
  gst_element_set_context(element, context);
  gst_element_post_message(element, gst_message_new_have_context(GST_OBJECT(element), context));
}

bool answer_context_query(GstElement *element, GstQuery *query) {
  if (GST_QUERY_TYPE(query) != GST_QUERY_CONTEXT) return false;
  const char *name = nullptr;
  if (!gst_query_parse_context_type(query, &name)) return false;
  GstContext *context = gst_element_get_context(element, name);
  if (context == nullptr) return false;
  gst_query_set_context(query, context);
  gst_context_unref(context);
  return true;
}

Result<ElementReactor> ElementReactor::acquire(GstElement *element,
                                               const std::string &thread_name) {
  ElementReactor self;
  self.reactor_ = find_shared<Reactor>(element, kReactorContext);
  if (self.reactor_) return self;
  auto thread = ReactorThread::start(thread_name);
  if (!thread) return thread.error();
  self.thread_ = std::move(*thread);
  self.reactor_ = self.thread_->reactor();
  return self;
}

LogSink log_to(GstDebugCategory *category, GstObject *object) {
  return [category, object](LogLevel level, std::string_view text) {
    const GstDebugLevel shown = level == LogLevel::Error     ? GST_LEVEL_ERROR
                                : level == LogLevel::Warning ? GST_LEVEL_WARNING
                                : level == LogLevel::Info    ? GST_LEVEL_INFO
                                                             : GST_LEVEL_DEBUG;
    if (shown > gst_debug_category_get_threshold(category)) return;
    gst_debug_log(category, shown, "core", "", 0, G_OBJECT(object), "%.*s",
                  static_cast<int>(text.size()), text.data());
  };
}

}  // namespace junctor::gst
