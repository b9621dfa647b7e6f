// SPDX-License-Identifier: LGPL-2.1-or-later
// Objects that elements of one pipeline share through GstContexts.
#pragma once

#include <gst/gst.h>

#include <memory>
#include <mutex>
#include <string>

#include "common/log.h"
#include "common/reactor.h"
#include "common/shared_box.h"

namespace junctor::gst {

/// A context of type `name` that carries `object` in its field. Owned by the caller
/// (gst_context_unref). Bins forget those that are not persistent when they go to NULL.
template <class T>
GstContext *make_context(const char *name, std::shared_ptr<T> object, bool persistent) {
  GstContext *context = gst_context_new(name, persistent);
  GValue value = G_VALUE_INIT;
  shared_box_set<T>(&value, std::move(object));
  gst_structure_take_value(gst_context_writable_structure(context), kContextField, &value);
  return context;
}

/// What `context` carries; null if it is null, of another type or of another content.
template <class T>
std::shared_ptr<T> context_object(const GstContext *context, const char *name) {
  if (context == nullptr || !gst_context_has_context_type(context, name)) return nullptr;
  return shared_box_get<T>(
      gst_structure_get_value(gst_context_get_structure(context), kContextField));
}

/// Looks for a context of type `name`, in GStreamer's order: what was set on `element`, its
/// neighbours downstream, then upstream, then whoever handles a need-context message (the bins
/// around it, the application). Null if nobody has one. Call it from change_state with no lock
/// held: the answer to the message arrives by set_context within this call. Free the answer with
/// gst_context_unref().
GstContext *find_context(GstElement *element, const char *name);

/// find_context() and what it carries.
template <class T>
std::shared_ptr<T> find_shared(GstElement *element, const char *name) {
  GstContext *context = find_context(element, name);
  std::shared_ptr<T> object = context_object<T>(context, name);
  if (context != nullptr) gst_context_unref(context);
  return object;
}

/// Gives `context` (taken) to `element` itself and to all around it by a have-context message.
void offer_context(GstElement *element, GstContext *context);

/// Answers a GST_QUERY_CONTEXT of a neighbour from the contexts that `element` has. Call it from
/// pad query functions; false if the query is none or of a type that is not there.
bool answer_context_query(GstElement *element, GstQuery *query);

/// The reactor an element works on: the shared one of context `junctor.reactor`, else one with a
/// thread of its own, so that a blocking neighbour harms nobody else. Keep it from NULL→READY to
/// READY→NULL; destroy it on any thread but the reactor's.
class ElementReactor {
 public:
  /// `thread_name` is at most 15 characters. Fails if no thread or descriptor can be had.
  static Result<ElementReactor> acquire(GstElement *element, const std::string &thread_name);

  const std::shared_ptr<Reactor> &reactor() const { return reactor_; }
  /// True: others are served by the same thread, so nothing on it may block.
  bool shared() const { return thread_ == nullptr; }

 private:
  std::unique_ptr<ReactorThread> thread_;
  std::shared_ptr<Reactor> reactor_;
};

/// A core's log lines as lines of `category` about `object`, which is not held and must outlive the
/// sink; null for none.
LogSink log_to(GstDebugCategory *category, GstObject *object);

}  // namespace junctor::gst
