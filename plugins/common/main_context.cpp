// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/main_context.h"

#include <algorithm>
#include <atomic>
#include <utility>

namespace junctor {

namespace {

/// A function on its way from one thread to another. GLib's lock orders the two; `handed_over` says
/// the same to thread sanitizers, which do not see into GLib.
struct Task {
  explicit Task(std::function<void()> call) : function(std::move(call)) {
    handed_over.store(true, std::memory_order_release);
  }
  std::function<void()> function;
  std::atomic<bool> handed_over = false;
};

GSource *attach(GMainContext *context, GSource *source, std::function<void()> function) {
  g_source_set_callback(
      source,
      [](gpointer data) -> gboolean {
        auto *task = static_cast<Task *>(data);
        if (task->handed_over.load(std::memory_order_acquire)) task->function();
        return G_SOURCE_REMOVE;
      },
      new Task(std::move(function)),
      [](gpointer data) {
        auto *task = static_cast<Task *>(data);
        if (task->handed_over.load(std::memory_order_acquire)) delete task;
      });
  g_source_attach(source, context);
  return source;
}

}  // namespace

void post_to(GMainContext *context, std::function<void()> function) {
  GSource *source = g_idle_source_new();
  g_source_set_priority(source, G_PRIORITY_DEFAULT);
  g_source_unref(attach(context, source, std::move(function)));
}

ContextTimer::ContextTimer(GMainContext *context, Duration delay, std::function<void()> function) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(delay).count();
  // Seven weeks are as good as never.
  const auto within = std::clamp<std::int64_t>(ms, 0, G_MAXUINT);
  source_ = attach(context, g_timeout_source_new(static_cast<guint>(within)), std::move(function));
}

ContextTimer::ContextTimer(ContextTimer &&other) noexcept
    : source_(std::exchange(other.source_, nullptr)) {}

ContextTimer &ContextTimer::operator=(ContextTimer &&other) noexcept {
  if (this != &other) {
    reset();
    source_ = std::exchange(other.source_, nullptr);
  }
  return *this;
}

void ContextTimer::reset() {
  GSource *source = std::exchange(source_, nullptr);
  if (!source) return;
  g_source_destroy(source);
  g_source_unref(source);
}

}  // namespace junctor
