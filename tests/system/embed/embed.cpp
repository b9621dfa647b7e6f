// SPDX-License-Identifier: LGPL-2.1-or-later
// A program of somebody else that makes a call with the plugin: GStreamer's API and nothing of
// Junctor's but the names of elements.
#include <gst/gst.h>

#include <cstdio>
#include <string>

namespace {

GMainLoop *loop = nullptr;

// Three times for a publisher, three times for a player: here the account "alice" may do all.
void authenticate(GstElement *, GObject *request, gpointer) {
  gchar *stage = nullptr, *user = nullptr;
  g_object_get(request, "stage", &stage, nullptr);
  g_signal_emit_by_name(request, "parameter", "user", &user);
  gboolean answered = FALSE;
  if (g_strcmp0(user, "alice") == 0) {
    std::printf("%s: accepted\n", stage);
    g_object_set(request, "account", user, nullptr);
    g_signal_emit_by_name(request, "accept", &answered);
  } else {
    std::printf("%s: refused\n", stage);
    g_signal_emit_by_name(request, "refuse", "only alice may call from here", &answered);
  }
  g_free(stage);
  g_free(user);
}

void answered(GstElement *, gpointer) { std::puts("answered"); }

void ended(GstElement *, gint code, gchar *reason, gpointer) {
  std::printf("ended: %s (%d)\n", reason, code);
}

gboolean on_message(GstBus *, GstMessage *message, gpointer) {
  if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR) {
    GError *error = nullptr;
    gst_message_parse_error(message, &error, nullptr);
    std::printf("error: %s\n", error->message);
    g_error_free(error);
  }
  if (GST_MESSAGE_TYPE(message) & (GST_MESSAGE_EOS | GST_MESSAGE_ERROR)) g_main_loop_quit(loop);
  return TRUE;
}

}  // namespace

int main(int count, char **arguments) {
  gst_init(&count, &arguments);
  if (count != 3) return std::puts("usage: embed RTMP-PORT SIP-URI"), 2;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  GstElement *pipeline = gst_parse_launch(
      "rtmpauthsrc name=in application=live sipcallsink name=out "
      "in.video ! out.video in.audio ! out.audio",
      nullptr);
  GstElement *in = gst_bin_get_by_name(GST_BIN(pipeline), "in");
  GstElement *out = gst_bin_get_by_name(GST_BIN(pipeline), "out");
  g_object_set(in, "port", static_cast<guint>(std::stoi(arguments[1])), nullptr);
  g_object_set(out, "uri", arguments[2], nullptr);
  g_signal_connect(in, "authenticate", G_CALLBACK(authenticate), nullptr);
  g_signal_connect(out, "answered", G_CALLBACK(answered), nullptr);
  g_signal_connect(out, "ended", G_CALLBACK(ended), nullptr);
  loop = g_main_loop_new(nullptr, FALSE);
  GstBus *bus = gst_element_get_bus(pipeline);
  gst_bus_add_watch(bus, on_message, nullptr);
  gst_element_set_state(pipeline, GST_STATE_PLAYING);
  g_main_loop_run(loop);
  gst_element_set_state(pipeline, GST_STATE_NULL);
}
