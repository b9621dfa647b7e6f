// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sip/sipcall_state.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "sip/core/uri.h"

#define GST_CAT_DEFAULT category_

namespace junctor::sipcall {

namespace {

/// How long the second medium may take to say what it is, once the first one has.
constexpr Duration kSecondMedium = std::chrono::milliseconds(500);

/// The error that tells an application what kind of failure it was.
GstResourceError error_of(EndReason reason) {
  switch (reason) {
    case EndReason::Busy:
      return GST_RESOURCE_ERROR_BUSY;
    case EndReason::Unreachable:
      return GST_RESOURCE_ERROR_NOT_FOUND;
    case EndReason::Unauthorized:
    case EndReason::Declined:
      return GST_RESOURCE_ERROR_NOT_AUTHORIZED;
    case EndReason::NotAcceptable:
      return GST_RESOURCE_ERROR_SETTINGS;
    case EndReason::Overloaded:
      return GST_RESOURCE_ERROR_NO_SPACE_LEFT;
    default:
      return GST_RESOURCE_ERROR_FAILED;
  }
}

/// The reactor, and with it its thread if that is of our own, for as long as anybody holds it: a
/// call of a shared agent ends, and closes its sockets there, after the element has let go.
std::shared_ptr<Reactor> lasting(gst::ElementReactor acquired) {
  if (acquired.shared()) return acquired.reactor();
  const std::shared_ptr<gst::ElementReactor> owner(
      new gst::ElementReactor(std::move(acquired)), [](gst::ElementReactor *gone) {
        // The last to let go may be a session that closes on that very thread, which cannot wait
        // for itself.
        if (gone->reactor()->in_thread())
          std::thread([gone] { delete gone; }).detach();
        else
          delete gone;
      });
  return {owner, owner->reactor().get()};
}

bool goes_over_tls(const std::string &uri) {
  const auto parsed = sip::Uri::parse(uri);
  return parsed && parsed->carrier() == "tls";
}

/// Unless it names one itself. What is no URI is told of when it is called.
std::string with_transport(const std::string &uri, const std::string &transport) {
  const auto parsed = sip::Uri::parse(uri);
  if (transport.empty() || !parsed || parsed->secure || !parsed->transport.empty()) return uri;
  return uri + ";transport=" + transport;
}

/// Lines of a core that may outlive its element, so they only have its name.
LogSink log_of(GstElement *element, GstDebugCategory *category) {
  gchar *name = gst_object_get_name(GST_OBJECT(element));
  LogSink sink = [write = gst::log_to(category, nullptr), prefix = std::string(name) + ": "](
                     LogLevel level, std::string_view text) {
    write(level, prefix + std::string(text));
  };
  g_free(name);
  return sink;
}

}  // namespace

State::State(GstElement *element, GstDebugCategory *category)
    : element_(element), category_(category) {}

Settings State::settings() const {
  const std::lock_guard lock(mutex_);
  return settings_;
}

void State::change_settings(const std::function<void(Settings &)> &change) {
  const std::lock_guard lock(mutex_);
  change(settings_);
}

void State::unreadable_warning(const Error &error) {
  GST_ELEMENT_WARNING(
      element_, STREAM, DECODE,
      ("The callee sends packets that cannot be read: %s; such packets are dropped.",
       error.detail.c_str()),
      (nullptr));
}

void State::flow_error(GstFlowReturn flow) { GST_ELEMENT_FLOW_ERROR(element_, flow); }

void State::settings_error(const std::string &text) {
  GST_ELEMENT_ERROR(element_, RESOURCE, SETTINGS, ("%s", text.c_str()), (nullptr));
}

// ---- Life ----

bool State::open() {
  auto reactor = gst::ElementReactor::acquire(element_, "sipcallsink");
  if (!reactor) {
    GST_ELEMENT_ERROR(element_, RESOURCE, OPEN_READ_WRITE, ("%s", reactor.error().detail.c_str()),
                      (nullptr));
    return false;
  }
  reactor_ours_ = !reactor->shared();
  reactor_ = lasting(*std::move(reactor));
  if (auto agent = gst::find_shared<sip::Agent>(element_, kSipAgentContext)) {
    line_ = Line::shared(std::move(agent));
    return true;
  }
  const Settings settings = this->settings();
  sip::AgentOptions options;
  options.listen = {settings.address, static_cast<std::uint16_t>(settings.port)};
  if (settings.address != "0.0.0.0" && settings.address != "::")
    options.media_address = settings.address;
  options.log = log_of(element_, category_);
  auto tls = tls_options(settings, options);
  if (!tls) {
    settings_error(tls.error().detail);
    reactor_.reset();
    return false;
  }
  auto line = Line::start(std::move(options));
  if (!line) {
    GST_ELEMENT_ERROR(element_, RESOURCE, OPEN_READ_WRITE, ("%s", line.error().detail.c_str()),
                      (nullptr));
    reactor_.reset();
    return false;
  }
  line_ = *std::move(line);
  return true;
}

/// TLS is there where it is asked for: a certificate is made for it, and a port opened.
Result<void> State::tls_options(const Settings &settings, sip::AgentOptions &options) {
  const bool wanted = settings.transport == "tls" || !settings.tls_certificate.empty() ||
                      goes_over_tls(settings.uri) || goes_over_tls(settings.proxy);
  if (settings.tls_certificate.empty() != settings.tls_key.empty())
    return bad_input("`tls-certificate` and `tls-key` belong together: set both, or neither");
  if (!wanted) return {};
  sip::AgentTls &tls = options.tls.emplace();
  tls.listen = {settings.address, 0};
  tls.ca_file = settings.tls_ca;
  tls.verify = settings.tls_verify;
  if (settings.tls_certificate.empty()) return {};
  auto identity = TlsIdentity::load({settings.tls_certificate, settings.tls_key}, options.log);
  if (!identity) return identity.error();
  tls.identity = *identity;
  return {};
}

bool State::start() {
  latency_ = kLatency.count();
  const Settings settings = this->settings();
  std::shared_ptr<sip::Call> call;
  if (!settings.call.empty()) {
    call = line_->find_call(settings.call);
    if (!call) {
      GST_ELEMENT_ERROR(
          element_, RESOURCE, NOT_FOUND,
          ("The SIP agent has no call \"%s\".", settings.call.c_str()),
          ("property call names a call of the agent in context %s", kSipAgentContext));
      return false;
    }
  } else if (settings.uri.empty()) {
    settings_error("Nobody to call: set the property uri, for example to sip:bob@192.0.2.1.");
    return false;
  }
  if (const auto wanted = wanted_formats(); !wanted) {
    settings_error(wanted.error().detail);
    return false;
  }
  auto control = std::make_shared<Control>(line_, *this, element_);
  {
    const std::lock_guard lock(mutex_);
    for (const auto &inlet : inlets_) inlet->reset();
    control_ = control;
    sync_ = std::make_shared<rtp::LipSync>();
    group_id_ = gst_util_group_id_next();
    alive_ = true;
    playing_ = invited_ = waiting_ = eos_posted_ = false;
    eos_seqnum_ = GST_SEQNUM_INVALID;
    attached_ = call != nullptr;
    applied_.clear();
    applied_count_ = 0;
    ended_ = false;
  }
  if (call) {
    control->attach(call);
    apply(call->media_snapshot());
    gst_element_no_more_pads(element_);
  }
  return true;
}

void State::play() {
  clock_->update(element_);
  {
    const std::lock_guard lock(mutex_);
    playing_ = true;
  }
  maybe_invite(false);
}

void State::pause() {
  clock_->clear();
  const std::lock_guard lock(mutex_);
  playing_ = false;
}

void State::stop() {
  std::shared_ptr<Control> control;
  std::vector<std::shared_ptr<Outlet>> outlets, added;
  std::vector<std::shared_ptr<rtp::Session>> sessions;
  bool ours;
  {
    const std::lock_guard lock(mutex_);
    alive_ = false;
    ours = !attached_;
    control = std::exchange(control_, nullptr);
    applied_.clear();
    applied_count_ = 0;
    outlets.swap(outlets_);
    // Others are about to be added, and taken away again, by apply().
    std::ranges::copy_if(outlets, std::back_inserter(added), &Outlet::added);
    for (const auto &inlet : inlets_) sessions.push_back(inlet->session());
  }
  for (const auto &outlet : outlets) {
    sessions.push_back(outlet->session());
    outlet->disconnect();
  }
  for (const auto &outlet : added) take_away(outlet);
  for (const auto &inlet : inlets()) inlet->connect(nullptr);
  // Now, for the reactor may be one of our own and gone before the agent has hung up.
  if (ours)
    for (const auto &session : sessions)
      if (session) session->close();
  if (control) control->close();
}

void State::close() {
  line_->stop();
  line_.reset();
  // What was posted to our own has run when this returns; it lasts only for a call of a shared
  // agent.
  if (reactor_ours_) reactor_->invoke([] {});
  reactor_.reset();
}

// ---- The call ----

Result<std::vector<const rtp::Format *>> State::wanted_formats() const {
  std::vector<const rtp::Format *> wanted;
  gchar **names = g_strsplit_set(settings().codecs.c_str(), ", ", -1);
  std::string unknown;
  for (gchar **name = names; *name != nullptr; ++name) {
    if (**name == '\0') continue;
    const auto meant = rtp::find_formats(*name);
    if (meant.empty()) unknown = *name;
    for (const rtp::Format *format : meant)
      if (std::ranges::find(wanted, format) == wanted.end()) wanted.push_back(format);
  }
  g_strfreev(names);
  if (unknown.empty()) return wanted;
  std::string known, others;
  for (const rtp::Format &format : rtp::formats()) {
    if (rtp::find_format(format.codec) == &format)
      known += (known.empty() ? "" : ", ") + std::string(to_string(format.codec));
    others += (others.empty() ? "" : ", ") + rtp::name_of(format);
  }
  return bad_input("Property codecs: \"" + unknown + "\" is none of " + known + "; or of " +
                   others + ".");
}

sip::InviteOptions State::invite_options() const {
  const Settings settings = this->settings();
  sip::InviteOptions options;
  options.uri = with_transport(settings.uri, settings.transport);
  options.srtp = settings.srtp;
  // `bob`, or `"Bob B." <bob>`.
  const auto bracket = settings.from.find('<');
  options.from_user = settings.from.substr(bracket == std::string::npos ? 0 : bracket + 1);
  if (bracket != std::string::npos) {
    options.from_display = settings.from.substr(0, bracket);
    std::erase(options.from_display, '"');
    while (!options.from_display.empty() && options.from_display.back() == ' ')
      options.from_display.pop_back();
  }
  if (options.from_user.rfind("sip:", 0) == 0) options.from_user.erase(0, 4);
  options.from_user = options.from_user.substr(0, options.from_user.find_first_of("@>"));
  options.proxy = with_transport(settings.proxy, settings.transport);
  options.user = settings.user;
  options.password = settings.password;
  options.reactor = reactor_;
  options.answer_timeout = std::chrono::seconds(settings.answer_timeout);
  const auto wanted = *wanted_formats();
  for (const rtp::Format *format : wanted) options.offer.push_back({format});
  for (const auto &inlet : inlets()) {
    if (wanted.empty())
      for (const rtp::Format *format : inlet->formats()) options.offer.push_back({format});
    for (sip::Offered &offered : options.offer)
      if (medium_of(offered.format->codec) == inlet->medium())
        offered = inlet->offered(*offered.format);
    if (inlet->medium() == Medium::Video) options.h264 = inlet->h264_profile();
  }
  return options;
}

/// Whether the only pad there is hangs on one that came by itself: its element may make another,
/// which is linked, and requested here, only then.
bool State::another_pad_may_come() const {
  const auto inlets = this->inlets();
  if (inlets.size() != 1) return false;
  const PadRef pad = inlets[0]->pad();
  const PadRef peer(pad ? gst_pad_get_peer(pad.get()) : nullptr);
  GstPadTemplate *made_from = peer ? gst_pad_get_pad_template(peer.get()) : nullptr;
  const bool comes =
      made_from != nullptr && GST_PAD_TEMPLATE_PRESENCE(made_from) == GST_PAD_SOMETIMES;
  gst_clear_object(&made_from);
  return comes;
}

void State::maybe_invite(bool without_waiting) {
  std::shared_ptr<Control> control;
  const bool more = another_pad_may_come();
  bool wait = false;
  {
    const std::lock_guard lock(mutex_);
    if (!alive_ || !playing_ || invited_ || attached_) return;
    const auto known = static_cast<std::size_t>(
        std::ranges::count_if(inlets_, [](const auto &inlet) { return inlet->has_caps(); }));
    control = control_;
    wait = (known < inlets_.size() || more) && !without_waiting;
    // Nothing flows yet: nothing to call for.
    if (wait && (known == 0 || std::exchange(waiting_, true))) return;
    if (!wait) invited_ = true;
  }
  if (wait)
    control->after(kSecondMedium, [this] { maybe_invite(true); });
  else
    control->invite(invite_options());
}

void State::on_caps() { maybe_invite(false); }

void State::post_eos() {
  GstMessage *message = gst_message_new_eos(GST_OBJECT(element_));
  {
    const std::lock_guard lock(mutex_);
    if (eos_seqnum_ != GST_SEQNUM_INVALID) gst_message_set_seqnum(message, eos_seqnum_);
  }
  gst_element_post_message(element_, message);
}

void State::end(guint32 seqnum) {
  {
    const std::lock_guard lock(mutex_);
    eos_seqnum_ = seqnum;
  }
  hangup();
}

void State::on_eos(guint32 seqnum) {
  bool call = false;
  {
    const std::lock_guard lock(mutex_);
    for (const auto &inlet : inlets_)
      if (!inlet->eos) return;
    eos_seqnum_ = seqnum;
    call = invited_ && control_;
    if (!call && std::exchange(eos_posted_, true)) return;
  }
  if (call)
    hangup();
  else
    post_eos();
}

void State::hangup() {
  std::shared_ptr<Control> control;
  {
    const std::lock_guard lock(mutex_);
    control = control_;
    invited_ = true;  // none is made any more
  }
  if (control) control->hangup(EndReason::CallerHangup);
}

void State::send_dtmf(const char *digits) {
  std::shared_ptr<Control> control;
  {
    const std::lock_guard lock(mutex_);
    control = control_;
  }
  if (control && digits != nullptr) control->send_dtmf(digits);
}

std::string State::call_id() const {
  std::shared_ptr<Control> control;
  {
    const std::lock_guard lock(mutex_);
    control = control_;
  }
  return control ? control->call_id() : std::string();
}

/// Packets may now wait so long for others: sinks must reckon with it.
void State::note_wait(Duration wait) {
  if (wait.count() <= latency_) return;
  latency_ = wait.count();
  gst_element_post_message(element_, gst_message_new_latency(GST_OBJECT(element_)));
}

// ---- What others learn ----

void State::post_change(GstStructure *structure) {
  // What the peer presses is for the application alone: it may be a PIN.
  if (gst_structure_has_name(structure, kDtmfMessage))
    GST_INFO_OBJECT(element_, "%s", kDtmfMessage);
  else
    GST_INFO_OBJECT(element_, "%" GST_PTR_FORMAT, structure);
  gst_element_post_message(element_, gst_message_new_element(GST_OBJECT(element_), structure));
}

void State::emit_ringing() { g_signal_emit(element_, signals_.ringing, 0); }

void State::emit_early_media() { g_signal_emit(element_, signals_.early_media, 0); }

void State::emit_answered() {
  gst_element_no_more_pads(element_);
  g_signal_emit(element_, signals_.answered, 0);
}

void State::emit_ended(int code, EndReason reason) {
  g_signal_emit(element_, signals_.ended, 0, code, std::string(to_string(reason)).c_str());
}

void State::finish(bool failed, EndReason reason, int code, const std::string &text) {
  std::vector<std::shared_ptr<Outlet>> outlets;
  bool tell_eos = false;
  {
    const std::lock_guard lock(mutex_);
    outlets = outlets_;
    ended_ = true;
    if (!failed) tell_eos = !std::exchange(eos_posted_, true);
  }
  for (const auto &inlet : inlets()) inlet->end();
  for (const auto &outlet : outlets) outlet->finish();
  if (failed) {
    // The status line for those who know SIP, a sentence for everybody else.
    std::string sentence = text.empty() ? std::string(describe(reason)) : text;
    if (code != 0 && !text.empty()) sentence = std::string(describe(reason)) + " (" + text + ')';
    GstStructure *details = gst_structure_new("details", "reason", G_TYPE_STRING,
                                              std::string(to_string(reason)).c_str(), "code",
                                              G_TYPE_INT, code, nullptr);
    gst_element_message_full_with_details(
        element_, GST_MESSAGE_ERROR, GST_RESOURCE_ERROR, error_of(reason),
        g_strdup(sentence.c_str()),
        g_strdup_printf("reason %s, SIP status %d", std::string(to_string(reason)).c_str(), code),
        __FILE__, GST_FUNCTION, __LINE__, details);
  } else if (tell_eos) {
    post_eos();
  }
}

GstStructure *State::stats() const {
  GstStructure *all = gst_structure_new_empty("junctor-sip-call-stats");
  for (const Medium medium : {Medium::Audio, Medium::Video}) {
    std::shared_ptr<rtp::Session> session;
    std::uint64_t dropped = 0;
    {
      const std::lock_guard lock(mutex_);
      for (const auto &inlet : inlets_)
        if (inlet->medium() == medium) {
          session = inlet->session();
          dropped = inlet->dropped();
        }
      for (const auto &outlet : outlets_)
        if (!session && outlet->medium() == medium) session = outlet->session();
    }
    if (!session && dropped == 0) continue;
    const rtp::Stats stats = session ? session->stats() : rtp::Stats{};
    GstStructure *one = gst_structure_new(
        "stats", "sent-packets", G_TYPE_UINT64, stats.sent_packets, "sent-bytes", G_TYPE_UINT64,
        stats.sent_bytes, "dropped", G_TYPE_UINT64, stats.dropped + dropped, "received-packets",
        G_TYPE_UINT64, stats.received_packets, "received-bytes", G_TYPE_UINT64,
        stats.received_bytes, "lost", G_TYPE_UINT64, stats.lost, "late", G_TYPE_UINT64, stats.late,
        "reordered", G_TYPE_UINT64, stats.reordered, "reorder-wait", G_TYPE_DOUBLE,
        stats.reorder_wait_ms, "duplicates", G_TYPE_UINT64, stats.duplicates, "unauthenticated",
        G_TYPE_UINT64, stats.unauthenticated, "replayed", G_TYPE_UINT64, stats.replayed,
        "strangers", G_TYPE_UINT64, stats.strangers, "malformed", G_TYPE_UINT64, stats.malformed,
        "retransmitted", G_TYPE_UINT64, stats.retransmitted, "keyframe-requests-sent",
        G_TYPE_UINT64, stats.keyframe_requests_sent, "keyframe-requests-received", G_TYPE_UINT64,
        stats.keyframe_requests_received, "jitter", G_TYPE_DOUBLE, stats.jitter_ms, "round-trip",
        G_TYPE_DOUBLE, stats.round_trip_ms, "remote-fraction-lost", G_TYPE_DOUBLE,
        stats.remote_fraction_lost, nullptr);
    gst_structure_set(all, std::string(to_string(medium)).c_str(), GST_TYPE_STRUCTURE, one,
                      nullptr);
    gst_structure_free(one);
  }
  return all;
}

}  // namespace junctor::sipcall
