// SPDX-License-Identifier: LGPL-2.1-or-later
// Owners of what Sofia hands out.
#pragma once

#include <glib.h>
#include <sofia-sip/nua.h>
#include <sofia-sip/su.h>
#include <sofia-sip/su_glib.h>
#include <sofia-sip/su_wait.h>

#include <memory>
#include <utility>

#include "common/handle.h"

/// Thin owners that keep the library's words.
namespace junctor::sip {

using ContextRef = std::unique_ptr<GMainContext, Releaser<g_main_context_unref>>;

/// su_home_t on the stack: frees what was allocated from it.
class Home {
 public:
  Home() { su_home_init(home_); }
  ~Home() { su_home_deinit(home_); }
  Home(const Home &) = delete;
  Home &operator=(const Home &) = delete;
  su_home_t *get() { return home_; }

 private:
  su_home_t home_[1] = {};
};

/// A su_root_t that lives on a GMainContext: no thread of its own.
class Root {
 public:
  explicit Root(GMainContext *context) : root_(su_glib_root_create(nullptr)) {
    if (!root_) return;
    su_root_threading(root_, 0);
    g_source_attach(su_glib_root_gsource(root_), context);
  }
  ~Root() {
    if (!root_) return;
    // su_root_destroy() leaves the source on the context, which would go on asking it, and then
    // finalize it in whatever thread the context ends: GLib aborts there, for the source holds a
    // mutex locked that only the thread of its root can unlock.
    GSource *source = g_source_ref(su_glib_root_gsource(root_));
    su_root_destroy(root_);
    g_source_destroy(source);
    g_source_unref(source);
  }
  Root(const Root &) = delete;
  Root &operator=(const Root &) = delete;
  su_root_t *get() const { return root_; }

 private:
  su_root_t *root_;
};

/// A nua_handle_t, destroyed once; its magic is cleared first, so that nothing calls back.
class Handle {
 public:
  Handle() = default;
  explicit Handle(nua_handle_t *handle) : handle_(handle) {}
  Handle(Handle &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Handle &operator=(Handle &&other) noexcept {
    if (this != &other) {
      reset();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Handle() { reset(); }
  void reset() {
    nua_handle_t *handle = std::exchange(handle_, nullptr);
    if (!handle) return;
    nua_handle_bind(handle, nullptr);
    nua_handle_destroy(handle);
  }
  nua_handle_t *get() const { return handle_; }
  explicit operator bool() const { return handle_ != nullptr; }

 private:
  nua_handle_t *handle_ = nullptr;
};

}  // namespace junctor::sip
