// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rendezvous/network_watch.h"

#include <glib-unix.h>

#include <utility>

namespace junctor::rendezvous {

NetworkWatch::NetworkWatch(std::function<void()> changed) : changed_(std::move(changed)) {
  if (changes_.fd() < 0) return;
  source_ = g_unix_fd_source_new(changes_.fd(), G_IO_IN);
  const GUnixFDSourceFunc on_input = [](gint, GIOCondition, gpointer data) -> gboolean {
    auto *self = static_cast<NetworkWatch *>(data);
    if (self->changes_.any() && !self->timer_)
      self->timer_ = ContextTimer(nullptr, nat::AddressChanges::kGather, [self] { self->look(); });
    return G_SOURCE_CONTINUE;
  };
  g_source_set_callback(source_, G_SOURCE_FUNC(on_input), this, nullptr);
  g_source_attach(source_, nullptr);
}

NetworkWatch::~NetworkWatch() {
  if (!source_) return;
  g_source_destroy(source_);
  g_source_unref(source_);
}

void NetworkWatch::look() {
  timer_.reset();
  Seen now;
  if (now == seen_) return;
  seen_ = std::move(now);
  const auto changed = changed_;  // which may destroy this
  changed();
}

}  // namespace junctor::rendezvous
