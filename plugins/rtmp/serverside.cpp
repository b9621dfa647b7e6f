// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/serverside.h"

#include <utility>

#include "common/secret.h"
#include "rtmp/rtmprequest.h"

namespace junctor::rtmp {

namespace {

constexpr auto kWriteOnly =
    static_cast<GParamFlags>(G_PARAM_WRITABLE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY);

Verdict refusal_of(std::string reason, Refusal refusal = Refusal::Denied) {
  Verdict verdict;
  verdict.refusal = refusal;
  verdict.reason = std::move(reason);
  return verdict;
}

void answer(const Decision &decision, const Verdict &verdict) {
  if (verdict.accepted)
    decision.accept(verdict.identity);
  else
    decision.refuse(verdict.reason, verdict.refusal);
}

std::string text_of(const GValue *value) {
  const char *text = g_value_get_string(value);
  return text != nullptr ? text : "";
}

void set_text(GValue *value, const std::string &text) {
  g_value_set_string(value, text.empty() ? nullptr : text.c_str());
}

/// The doors of the pipeline around `element`; made and offered to all if there are none. Or the
/// server that somebody has put in their place.
std::pair<std::shared_ptr<Server>, std::shared_ptr<Doors>> look_around(GstElement *element) {
  GstContext *context = gst::find_context(element, kRtmpServerContext);
  auto server = gst::context_object<Server>(context, kRtmpServerContext);
  std::shared_ptr<Doors> doors;
  if (context != nullptr) {
    doors = shared_box_get<Doors>(
        gst_structure_get_value(gst_context_get_structure(context), kDoorsField));
    gst_context_unref(context);
  }
  if (server || doors) return {server, doors};

  doors = std::make_shared<Doors>();
  context = gst_context_new(kRtmpServerContext, FALSE);
  GValue value = G_VALUE_INIT;
  shared_box_set(&value, doors);
  gst_structure_take_value(gst_context_writable_structure(context), kDoorsField, &value);
  gst::offer_context(element, context);
  return {nullptr, doors};
}

void install_server_properties(GObjectClass *klass, Role role) {
  const bool push = role == Role::Push;
  const ServerSettings defaults;
  const auto install_string = [klass](ServerProperty id, const char *name, const char *nick,
                                      const char *blurb, const char *initial, GParamFlags flags) {
    g_object_class_install_property(klass, id,
                                    g_param_spec_string(name, nick, blurb, initial, flags));
  };
  install_string(kPropAddress, "address", "Address",
                 "Numeric IPv4 or IPv6 address to listen on; not used with a shared server",
                 defaults.address.c_str(), kSettable);
  g_object_class_install_property(
      klass, kPropPort,
      g_param_spec_uint("port", "Port",
                        "TCP port to listen on, 0 for any free one; from READY on it reads as the "
                        "port that was got. Not used with a shared server",
                        0, 65535, defaults.port, kSettable));
  install_string(kPropApplication, "application", "Application",
                 "Application that a client's URL must name, rtmp://HOST/APPLICATION/STREAM; "
                 "null for any",
                 nullptr, kSettable);
  install_string(kPropStream, "stream", "Stream",
                 push ? "Name that a publisher must give its stream; null for that of the first "
                        "who comes, for as long as it stays. Needed with a shared server"
                      : "Name that players must ask for; null for `stream`",
                 nullptr, kSettable);
  install_string(kPropToken, "token", "Token",
                 "Secret that a client must show behind the application, "
                 "rtmp://HOST/APPLICATION?token=TOKEN/STREAM; null for none",
                 nullptr, kWriteOnly);
  g_object_class_install_property(
      klass, kPropStartTimeout,
      g_param_spec_uint("start-timeout", "Start timeout",
                        "Milliseconds that a connected client may take until it publishes or "
                        "plays, 0 for no limit. Of the element that opens the port",
                        0, G_MAXINT, static_cast<guint>(defaults.limits.start_ms), kSettable));
  g_object_class_install_property(
      klass, kPropIdleTimeout,
      g_param_spec_uint("idle-timeout", "Idle timeout",
                        "Milliseconds that a publisher may send nothing, or a player take nothing, "
                        "until it is disconnected; 0 for no limit. Of the element that opens the "
                        "port",
                        0, G_MAXINT, static_cast<guint>(defaults.limits.idle_ms), kSettable));
  g_object_class_install_property(
      klass, kPropMaxConnections,
      g_param_spec_uint("max-connections", "Maximum of connections",
                        "How many clients may be connected at once, whatever they do. Of the "
                        "element that opens the port",
                        1, G_MAXINT, static_cast<guint>(defaults.limits.connections), kSettable));
  install_string(kPropTlsCertificate, "tls-certificate", "TLS certificate",
                 "PEM file of the certificate, then of those between it and the root: clients come "
                 "by rtmps:// then, and not in clear. It may be renewed at any time; null for no "
                 "TLS. Not used with a shared server",
                 nullptr, kSettable);
  install_string(kPropTlsKey, "tls-key", "TLS key",
                 "PEM file of the certificate's key, without a passphrase", nullptr, kSettable);
}

}  // namespace

bool set_server_property(ServerSettings &settings, guint id, const GValue *value) {
  switch (id) {
    case kPropAddress:
      settings.address = text_of(value);
      return true;
    case kPropPort:
      settings.port = g_value_get_uint(value);
      return true;
    case kPropApplication:
      settings.application = text_of(value);
      return true;
    case kPropStream:
      settings.stream = text_of(value);
      return true;
    case kPropToken:
      settings.token = text_of(value);
      return true;
    case kPropStartTimeout:
      settings.limits.start_ms = static_cast<int>(g_value_get_uint(value));
      return true;
    case kPropIdleTimeout:
      settings.limits.idle_ms = static_cast<int>(g_value_get_uint(value));
      return true;
    case kPropMaxConnections:
      settings.limits.connections = g_value_get_uint(value);
      return true;
    case kPropTlsCertificate:
      settings.tls.certificate = text_of(value);
      return true;
    case kPropTlsKey:
      settings.tls.key = text_of(value);
      return true;
    default:
      return false;
  }
}

bool get_server_property(const ServerSettings &settings, std::uint16_t bound, guint id,
                         GValue *value) {
  switch (id) {
    case kPropAddress:
      set_text(value, settings.address);
      return true;
    case kPropPort:
      g_value_set_uint(value, bound != 0 ? bound : settings.port);
      return true;
    case kPropApplication:
      set_text(value, settings.application);
      return true;
    case kPropStream:
      set_text(value, settings.stream);
      return true;
    case kPropStartTimeout:
      g_value_set_uint(value, static_cast<guint>(settings.limits.start_ms));
      return true;
    case kPropIdleTimeout:
      g_value_set_uint(value, static_cast<guint>(settings.limits.idle_ms));
      return true;
    case kPropMaxConnections:
      g_value_set_uint(value, static_cast<guint>(settings.limits.connections));
      return true;
    case kPropTlsCertificate:
      set_text(value, settings.tls.certificate);
      return true;
    case kPropTlsKey:
      set_text(value, settings.tls.key);
      return true;
    default:
      return false;
  }
}

guint set_up_class(GstElementClass *klass, const ElementLooks &looks) {
  auto *object_class = G_OBJECT_CLASS(klass);
  install_server_properties(object_class, looks.role);
  g_object_class_install_property(
      object_class, looks.stats_property,
      g_param_spec_boxed("stats", "Statistics", looks.stats_blurb, GST_TYPE_STRUCTURE,
                         static_cast<GParamFlags>(G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)));
  gst_element_class_add_static_pad_template(klass, looks.audio);
  gst_element_class_add_static_pad_template(klass, looks.video);
  gst_element_class_set_static_metadata(klass, looks.name, looks.kind, looks.description,
                                        "The Junctor authors");
  return g_signal_new("authenticate", G_TYPE_FROM_CLASS(klass), G_SIGNAL_RUN_LAST, 0, nullptr,
                      nullptr, nullptr, G_TYPE_NONE, 1, JUNCTOR_TYPE_RTMP_REQUEST);
}

Verdict judge(const ServerSettings &settings, const Request &request) {
  if (!settings.application.empty() && request.app != settings.application)
    return refusal_of("There is no application \"" + request.app + "\" here.");
  if (!settings.token.empty()) {
    const auto shown = request.parameters.find("token");
    if (shown == request.parameters.end())
      return refusal_of(
          "A token is needed: write it behind the application, "
          "rtmp://HOST/APPLICATION?token=TOKEN/STREAM.");
    if (!equal_secret(shown->second, settings.token)) return refusal_of("The token is not right.");
  }
  if (request.stage == Stage::Start && !settings.stream.empty() &&
      request.stream != settings.stream)
    return refusal_of("There is no stream \"" + request.stream + "\" here.",
                      Refusal::UnknownStream);
  Verdict verdict;
  verdict.accepted = true;
  verdict.identity = request.identity;
  return verdict;
}

ElementKeeper::ElementKeeper(GstElement *element, guint authenticate, Role role,
                             ServerSettings settings)
    : authenticate_(authenticate), role_(role), settings_(std::move(settings)) {
  g_weak_ref_init(&element_, element);
}

ElementKeeper::~ElementKeeper() { g_weak_ref_clear(&element_); }

bool ElementKeeper::concerns(const Request &request) const {
  if (request.role != Role::Unknown && request.role != role_) return false;
  if (!settings_.application.empty() && request.app != settings_.application) return false;
  return request.stage != Stage::Start || settings_.stream.empty() ||
         request.stream == settings_.stream;
}

std::optional<Verdict> ElementKeeper::refusal(const Request &request) const {
  if (request.stage != Stage::Start) return std::nullopt;
  const std::lock_guard lock(mutex_);
  if (!shut_.empty()) return refusal_of(shut_);
  if (!claimed_.empty() && request.stream != claimed_)
    return refusal_of("Another stream is being published here.", Refusal::NameTaken);
  return std::nullopt;
}

void ElementKeeper::decide(const Request &request, Decision decision) {
  if (const auto refused = refusal(request)) return answer(decision, *refused);
  auto *element = static_cast<GstElement *>(g_weak_ref_get(&element_));
  if (element == nullptr) return decision.refuse("The stream has ended.");
  if (g_signal_has_handler_pending(element, authenticate_, 0, FALSE)) {
    JunctorRtmpRequest *asked = junctor_rtmp_request_new(
        request, std::move(decision), [settings = settings_, request](const Decision &unanswered) {
          answer(unanswered, judge(settings, request));
        });
    g_signal_emit(element, authenticate_, 0, asked);
    g_object_unref(asked);
  } else {
    answer(decision, judge(settings_, request));
  }
  gst_object_unref(element);
}

void ElementKeeper::checked(const Request &request, const Verdict &verdict) {
  auto *element = static_cast<GstElement *>(g_weak_ref_get(&element_));
  if (element == nullptr) return;
  const std::string &account = verdict.identity.empty() ? request.identity : verdict.identity;
  GstStructure *structure = gst_structure_new(
      "junctor-rtmp-auth", "stage", G_TYPE_STRING, stage_name(request), "role", G_TYPE_STRING,
      std::string(to_string(request.role)).c_str(), "account", G_TYPE_STRING,
      readable(account).c_str(), "application", G_TYPE_STRING, readable(request.app).c_str(),
      "stream", G_TYPE_STRING, readable(request.stream).c_str(), "address", G_TYPE_STRING,
      request.address.to_string().c_str(), "connection", G_TYPE_UINT64,
      static_cast<guint64>(request.connection), "accepted", G_TYPE_BOOLEAN,
      static_cast<gboolean>(verdict.accepted), "reason", G_TYPE_STRING,
      readable(verdict.reason).c_str(), nullptr);
  gst_element_post_message(element, gst_message_new_element(GST_OBJECT(element), structure));
  gst_object_unref(element);
}

void ElementKeeper::shut(std::string reason) {
  const std::lock_guard lock(mutex_);
  shut_ = std::move(reason);
}

void ElementKeeper::claim(std::string stream) {
  const std::lock_guard lock(mutex_);
  claimed_ = std::move(stream);
}

Result<ServerUse> ServerUse::begin(GstElement *element, const ServerSettings &settings,
                                   std::shared_ptr<Doorkeeper> keeper, GstDebugCategory *category) {
  ServerUse use;
  auto [server, doors] = look_around(element);
  if (server) {
    use.server_ = std::move(server);
    return use;
  }
  if (settings.tls.certificate.empty() != settings.tls.key.empty())
    return bad_input("`tls-certificate` and `tls-key` belong together: set both, or neither");
  const Endpoint listen{settings.address, static_cast<std::uint16_t>(settings.port)};
  auto door = doors->open(listen, [&]() -> Result<std::shared_ptr<Door>> {
    auto reactor = gst::ElementReactor::acquire(element, "junctor-rtmp");
    if (!reactor) return reactor.error();
    return Door::open(std::move(*reactor),
                      {listen, settings.tls, settings.limits, gst::log_to(category, nullptr)});
  });
  if (!door) return door.error();
  if ((*door)->tls() != settings.tls)
    return bad_input(
        "another element has this address and port with another `tls-certificate` or "
        "`tls-key`: set the same, or another `port`");
  use.door_ = std::move(*door);
  use.server_ = use.door_->server();
  use.keeper_ = std::move(keeper);
  use.door_->join(use.keeper_);
  return use;
}

ServerUse ServerUse::begin_or_tell(GstElement *element, const ServerSettings &settings,
                                   std::shared_ptr<Doorkeeper> keeper, GstDebugCategory *category,
                                   GstResourceError code) {
  auto use = begin(element, settings, std::move(keeper), category);
  if (use) return std::move(*use);
  gst_element_message_full(
      element, GST_MESSAGE_ERROR, GST_RESOURCE_ERROR, code,
      g_strdup_printf("No RTMP server on %s port %u: %s. If another program has the port, stop it, "
                      "or set `port` or `address`.",
                      settings.address.c_str(), settings.port, use.error().detail.c_str()),
      nullptr, __FILE__, GST_FUNCTION, __LINE__);
  return {};
}

ServerUse &ServerUse::operator=(ServerUse &&other) noexcept {
  if (this != &other) {
    end();
    door_ = std::move(other.door_);
    keeper_ = std::move(other.keeper_);
    server_ = std::move(other.server_);
  }
  return *this;
}

void ServerUse::end() {
  if (door_) door_->leave(keeper_.get());
  keeper_.reset();
  server_.reset();
  door_.reset();
}

}  // namespace junctor::rtmp
