// SPDX-License-Identifier: LGPL-2.1-or-later
// What the element tests share.
#pragma once

#include <gst/gst.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/gst/refs.h"

#ifdef __SANITIZE_ADDRESS__
/// Whole stacks, so that the leaks of others are known by their library.
extern "C" const char *__asan_default_options() { return "fast_unwind_on_malloc=0"; }
/// GLib's block of quarks, what scanned plugins make when they are loaded, and the RTMP client's
/// regular expressions.
extern "C" const char *__lsan_default_suppressions() {
  return "leak:call_init\nleak:g_quark_from\nleak:g_intern\nleak:libfontconfig\nleak:OpenNI2\nleak:"
         "libgstrtmp2\n";
}
#endif

namespace junctor::test {

/// How long a test waits for what must happen. Only a failure waits so long.
inline constexpr GstClockTime kPatience = 20 * GST_SECOND;

/// The scanner is a process of its own, into which no sanitizer is loaded: scan in this one.
class GStreamerEnvironment : public testing::Environment {
 public:
  void SetUp() override {
    gst_registry_fork_set_enabled(FALSE);
    gst_init(nullptr, nullptr);
  }
  /// Ends the threads of tasks and clocks, and frees what leak checkers would tell of.
  void TearDown() override { gst_deinit(); }
};
inline const auto *const kEnvironment = testing::AddGlobalTestEnvironment(new GStreamerEnvironment);

/// The element, owned; fails the test if the plugin was not found.
inline ElementRef make(const char *factory, const char *name = nullptr) {
  GstElement *element = gst_element_factory_make(factory, name);
  EXPECT_NE(element, nullptr) << factory << ": is GST_PLUGIN_PATH set to the built plugin?";
  return ElementRef(element != nullptr ? GST_ELEMENT(gst_object_ref_sink(element)) : nullptr);
}

/// A pipeline of a launch line that is set to NULL at the end.
class Pipeline {
 public:
  explicit Pipeline(const std::string &line) {
    GError *error = nullptr;
    GstElement *pipeline = gst_parse_launch(line.c_str(), &error);
    EXPECT_EQ(error, nullptr) << error->message;
    g_clear_error(&error);
    if (!GST_IS_PIPELINE(pipeline)) {
      GstElement *outer = gst_pipeline_new(nullptr);
      gst_bin_add(GST_BIN(outer), pipeline);
      pipeline = outer;
    }
    pipeline_.reset(GST_ELEMENT(gst_object_ref_sink(pipeline)));
    bus_.reset(gst_element_get_bus(pipeline_.get()));
  }
  ~Pipeline() { gst_element_set_state(pipeline_.get(), GST_STATE_NULL); }

  GstElement *get() const { return pipeline_.get(); }
  GstBus *bus() const { return bus_.get(); }
  ElementRef operator[](const char *name) const {
    return ElementRef(gst_bin_get_by_name(GST_BIN(pipeline_.get()), name));
  }
  GstStateChangeReturn set_state(GstState state) {
    return gst_element_set_state(pipeline_.get(), state);
  }

  /// The next message of these types for which `wanted` holds; fails on errors that are not waited
  /// for, and if none comes.
  MessageRef wait(GstMessageType types, const std::function<bool(GstMessage *)> &wanted = nullptr) {
    for (;;) {
      MessageRef message(gst_bus_timed_pop_filtered(
          bus_.get(), kPatience, static_cast<GstMessageType>(types | GST_MESSAGE_ERROR)));
      if (!message) {
        ADD_FAILURE() << "no message of " << gst_message_type_get_name(types) << " came";
        return nullptr;
      }
      if ((GST_MESSAGE_TYPE(message.get()) & types) != 0) {
        if (!wanted || wanted(message.get())) return message;
      } else {
        GError *error = nullptr;
        gchar *debug = nullptr;
        gst_message_parse_error(message.get(), &error, &debug);
        ADD_FAILURE() << error->message << " (" << (debug != nullptr ? debug : "") << ")";
        g_clear_error(&error);
        g_free(debug);
        return nullptr;
      }
    }
  }

  /// The next element message whose structure is `name`.
  MessageRef wait_element(const char *name,
                          const std::function<bool(const GstStructure *)> &wanted = nullptr) {
    return wait(GST_MESSAGE_ELEMENT, [&](GstMessage *message) {
      const GstStructure *structure = gst_message_get_structure(message);
      return gst_structure_has_name(structure, name) && (!wanted || wanted(structure));
    });
  }

 private:
  ElementRef pipeline_;
  BusRef bus_;
};

inline std::string field(const GstStructure *structure, const char *name) {
  const char *text = gst_structure_get_string(structure, name);
  return text != nullptr ? text : "";
}

inline std::string text_of(const GstCaps *caps) {
  gchar *text = gst_caps_to_string(caps);
  std::string copy(text);
  g_free(text);
  return copy;
}

template <class T>
T property(GstElement *element, const char *name) {
  T value{};
  g_object_get(element, name, &value, nullptr);
  return value;
}

}  // namespace junctor::test
