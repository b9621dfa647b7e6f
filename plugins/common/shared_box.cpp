// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/shared_box.h"

namespace junctor {

namespace {

template <class T>
GType register_box(const char *name) {
  return g_boxed_type_register_static(
      name,
      [](gpointer box) -> gpointer {
        return new std::shared_ptr<T>(*static_cast<std::shared_ptr<T> *>(box));
      },
      [](gpointer box) { delete static_cast<std::shared_ptr<T> *>(box); });
}

}  // namespace

template <>
GType shared_box_type<Reactor>() {
  static const GType type = register_box<Reactor>("JunctorReactorBox");
  return type;
}

template <>
GType shared_box_type<rtmp::Server>() {
  static const GType type = register_box<rtmp::Server>("JunctorRtmpServerBox");
  return type;
}

template <>
GType shared_box_type<sip::Agent>() {
  static const GType type = register_box<sip::Agent>("JunctorSipAgentBox");
  return type;
}

}  // namespace junctor
