// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/rtmprequest.h"

#include <atomic>
#include <mutex>
#include <string>
#include <utility>

namespace {

using junctor::rtmp::Decision;
using junctor::rtmp::Request;

enum Property : guint {
  kPropNone,
  kPropStage,
  kPropRole,
  kPropAccount,
  kPropApplication,
  kPropStream,
  kPropAddress,
  kPropConnection,
  kPropParameters,
};

struct State {
  Request request;
  Decision decision;
  std::function<void(const Decision &)> otherwise;
  std::atomic<bool> answered = false;
  std::mutex mutex;  // guards account
  std::string account;
};

}  // namespace

struct _JunctorRtmpRequest {
  GObject parent;
  State *state;
};

G_DEFINE_TYPE(JunctorRtmpRequest, junctor_rtmp_request, G_TYPE_OBJECT)

namespace {

gboolean accept_request(JunctorRtmpRequest *self, gpointer) {
  State &state = *self->state;
  if (state.answered.exchange(true)) return FALSE;
  std::string account;
  {
    const std::lock_guard lock(state.mutex);
    account = state.account;
  }
  state.decision.accept(std::move(account));
  return TRUE;
}

gboolean refuse_request(JunctorRtmpRequest *self, const gchar *reason, gpointer) {
  State &state = *self->state;
  if (state.answered.exchange(true)) return FALSE;
  state.decision.refuse(reason != nullptr && *reason != '\0' ? reason : "Refused.");
  return TRUE;
}

gchar *get_parameter(JunctorRtmpRequest *self, const gchar *name, gpointer) {
  const auto &parameters = self->state->request.parameters;
  const auto found = parameters.find(name != nullptr ? name : "");
  if (found == parameters.end()) return nullptr;
  return g_strdup(junctor::rtmp::readable(found->second).c_str());
}

GHashTable *to_table(const std::map<std::string, std::string> &parameters) {
  GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  for (const auto &[name, value] : parameters)
    g_hash_table_insert(table, g_strdup(junctor::rtmp::readable(name).c_str()),
                        g_strdup(junctor::rtmp::readable(value).c_str()));
  return table;
}

/// An action that calls `handler`, whose signature is (self, arguments…, user data).
void install_action(GObjectClass *klass, const char *name, GCallback handler, GType result,
                    guint count, GType argument = G_TYPE_NONE) {
  g_signal_new_class_handler(name, G_TYPE_FROM_CLASS(klass),
                             static_cast<GSignalFlags>(G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION),
                             handler, nullptr, nullptr, nullptr, result, count, argument);
}

}  // namespace

static void junctor_rtmp_request_get_property(GObject *object, guint id, GValue *value,
                                              GParamSpec *pspec) {
  State &state = *JUNCTOR_RTMP_REQUEST(object)->state;
  const Request &request = state.request;
  switch (id) {
    case kPropStage:
      g_value_set_string(value, junctor::rtmp::stage_name(request));
      break;
    case kPropRole:
      g_value_set_string(value, std::string(to_string(request.role)).c_str());
      break;
    case kPropAccount: {
      const std::lock_guard lock(state.mutex);
      g_value_set_string(value, state.account.c_str());
      break;
    }
    case kPropApplication:
      g_value_set_string(value, junctor::rtmp::readable(request.app).c_str());
      break;
    case kPropStream:
      g_value_set_string(value, junctor::rtmp::readable(request.stream).c_str());
      break;
    case kPropAddress:
      g_value_set_string(value, request.address.to_string().c_str());
      break;
    case kPropConnection:
      g_value_set_uint64(value, request.connection);
      break;
    case kPropParameters:
      g_value_take_boxed(value, to_table(request.parameters));
      break;
    default:
      G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
  }
}

static void junctor_rtmp_request_set_property(GObject *object, guint id, const GValue *value,
                                              GParamSpec *pspec) {
  State &state = *JUNCTOR_RTMP_REQUEST(object)->state;
  if (id == kPropAccount) {
    const char *account = g_value_get_string(value);
    const std::lock_guard lock(state.mutex);
    state.account = account != nullptr ? account : "";
    return;
  }
  G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, pspec);
}

static void junctor_rtmp_request_finalize(GObject *object) {
  State *state = JUNCTOR_RTMP_REQUEST(object)->state;
  if (!state->answered && state->otherwise) state->otherwise(state->decision);
  delete state;
  G_OBJECT_CLASS(junctor_rtmp_request_parent_class)->finalize(object);
}

static void junctor_rtmp_request_class_init(JunctorRtmpRequestClass *klass) {
  auto *object_class = G_OBJECT_CLASS(klass);
  object_class->get_property = junctor_rtmp_request_get_property;
  object_class->set_property = junctor_rtmp_request_set_property;
  object_class->finalize = junctor_rtmp_request_finalize;

  constexpr auto kReadable = static_cast<GParamFlags>(G_PARAM_READABLE | G_PARAM_STATIC_STRINGS);
  constexpr auto kBoth = static_cast<GParamFlags>(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS);
  const auto install_string = [&](Property id, const char *name, const char *blurb,
                                  GParamFlags flags) {
    g_object_class_install_property(object_class, id,
                                    g_param_spec_string(name, name, blurb, nullptr, flags));
  };
  install_string(kPropStage, "stage", "Which check: connect, createStream, publish or play",
                 kReadable);
  install_string(kPropRole, "role", "What the client wants: push, pull, or unknown so far",
                 kReadable);
  install_string(kPropAccount, "account",
                 "Whom the accepted connect was bound to; set it before accepting that", kBoth);
  install_string(kPropApplication, "application", "Application of the URL, without its query",
                 kReadable);
  install_string(kPropStream, "stream",
                 "Stream name, without its query; empty before publish, play", kReadable);
  install_string(kPropAddress, "address", "The client's ADDRESS:PORT", kReadable);
  g_object_class_install_property(
      object_class, kPropConnection,
      g_param_spec_uint64("connection", "connection",
                          "Number of the connection, the same for all its checks", 0, G_MAXUINT64,
                          0, kReadable));
  g_object_class_install_property(
      object_class, kPropParameters,
      g_param_spec_boxed("parameters", "parameters",
                         "Queries of application and stream name, decoded: strings by name",
                         G_TYPE_HASH_TABLE, kReadable));

  install_action(object_class, "accept", G_CALLBACK(accept_request), G_TYPE_BOOLEAN, 0);
  install_action(object_class, "refuse", G_CALLBACK(refuse_request), G_TYPE_BOOLEAN, 1,
                 G_TYPE_STRING);
  install_action(object_class, "parameter", G_CALLBACK(get_parameter), G_TYPE_STRING, 1,
                 G_TYPE_STRING);
}

static void junctor_rtmp_request_init(JunctorRtmpRequest *self) { self->state = new State; }

JunctorRtmpRequest *junctor_rtmp_request_new(const Request &request, Decision decision,
                                             std::function<void(const Decision &)> otherwise) {
  auto *self =
      JUNCTOR_RTMP_REQUEST(g_object_new(JUNCTOR_TYPE_RTMP_REQUEST, static_cast<char *>(nullptr)));
  self->state->request = request;
  self->state->account = request.identity;
  self->state->decision = std::move(decision);
  self->state->otherwise = std::move(otherwise);
  return self;
}

namespace junctor::rtmp {

std::string readable(const std::string &text) {
  gchar *valid = g_utf8_make_valid(text.data(), static_cast<gssize>(text.size()));
  std::string copy = valid;
  g_free(valid);
  return copy;
}

}  // namespace junctor::rtmp
