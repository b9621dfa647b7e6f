// SPDX-License-Identifier: LGPL-2.1-or-later
// C++ objects inside GValues and GstContexts.
#pragma once

#include <glib-object.h>

#include <memory>

namespace junctor {

class Reactor;
namespace rtmp {
class Server;
}
namespace sip {
class Agent;
}

/// GBoxed types that hold a std::shared_ptr, so that a GstStructure can carry it with its count.
/// The context of each name has one field, "object", of the type beside it:
inline constexpr const char *kReactorContext = "junctor.reactor";         // Reactor
inline constexpr const char *kRtmpServerContext = "junctor.rtmp-server";  // rtmp::Server
inline constexpr const char *kSipAgentContext = "junctor.sip-agent";      // sip::Agent
inline constexpr const char *kContextField = "object";

template <class T>
GType shared_box_type();
template <>
GType shared_box_type<Reactor>();
template <>
GType shared_box_type<rtmp::Server>();
template <>
GType shared_box_type<sip::Agent>();

/// Puts `object` into a fresh GValue of its boxed type; unset it with g_value_unset().
template <class T>
void shared_box_set(GValue *value, std::shared_ptr<T> object) {
  g_value_init(value, shared_box_type<T>());
  g_value_take_boxed(value, new std::shared_ptr<T>(std::move(object)));
}

/// What `value` holds; null if it is of another type.
template <class T>
std::shared_ptr<T> shared_box_get(const GValue *value) {
  if (value == nullptr || !G_VALUE_HOLDS(value, shared_box_type<T>())) return nullptr;
  const auto *held = static_cast<const std::shared_ptr<T> *>(g_value_get_boxed(value));
  return held ? *held : nullptr;
}

}  // namespace junctor
