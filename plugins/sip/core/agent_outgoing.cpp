// SPDX-License-Identifier: LGPL-2.1-or-later
// What the agent begins itself: calls, whom they go to and what they need, and trunks.
#include "sip/core/challenge.h"
#include "sip/core/source_address.h"
#include "sip/core/stack.h"
#include "sip/core/target.h"
#include "sip/core/uri.h"

namespace junctor::sip {

/// Whether all of them can be reached by what is served here.
Result<void> AgentImpl::check_transports(const std::vector<Uri> &uris) const {
  for (const Uri &checked : uris) {
    const std::string carrier = checked.carrier();
    if (carrier == "tls" && !options_.tls)
      return bad_input("\"" + clean_text(checked.to_string()) +
                       "\" wants TLS, which is off here: `junctor serve` has the option --sips "
                       "for it, an element takes it from its uri, proxy and transport when it "
                       "leaves NULL");
    if (carrier != "udp" && carrier != "tls" && !(carrier == "tcp" && options_.tcp))
      return bad_input("\"" + clean_text(checked.to_string()) +
                       "\" wants a transport that is not served here; use udp" +
                       (options_.tcp ? " or tcp" : ""));
  }
  return {};
}

Result<CallImpl::Setup> AgentImpl::prepare(const InviteOptions &options) {
  auto uri = Target::parse(options.uri);
  if (!uri) return uri.error();
  Target next_hop = *uri;
  if (!options.proxy.empty()) {
    auto proxy = Target::parse(options.proxy);
    if (!proxy) return proxy.error();
    next_hop = *proxy;
  }
  if (auto served = check_transports({*uri, next_hop}); !served) return served.error();
  if (options.srtp == rtp::SrtpPolicy::Require && next_hop.carrier() != "tls")
    return Error{Fault::NotAcceptable,
                 "SRTP is required for a call to " + clean_text(uri->to_string()) +
                     ", but its keys would travel in clear: it is not reached over TLS"};
  if (auto plain = check_credentials(options.user, options.password); !plain) return plain.error();

  CallImpl::Setup setup;
  setup.id = random_id();
  setup.uri = uri->to_string();
  if (!options.proxy.empty()) setup.proxy = next_hop.to_string();
  setup.user = options.user;
  setup.password = options.password;
  setup.redirect = options.redirect;
  setup.reactor = options.reactor;
  setup.tcp = options_.tcp;
  setup.tls = options_.tls.has_value();
  setup.srtp = options.srtp;
  setup.transport = next_hop.carrier();
  setup.next_hop = next_hop;
  setup.next_name = next_hop.name;
  setup.answer_timeout = options.answer_timeout;
  setup.session_expires = options_.session_expires;
  setup.min_session_expires = options_.min_session_expires;
  const std::string own = signalling_address(local_, next_hop.host);
  setup.media_address = media_address_towards(next_hop.host);

  const std::string fallback = options.user.empty() ? "anonymous" : options.user;
  const std::string user = escape_user(options.from_user.empty() ? fallback : options.from_user);
  const std::string display = quoted(options.from_display);
  const std::string host = options.from_host.empty() ? bracketed(own) : options.from_host;
  setup.from = (display.empty() ? "" : display + ' ') + "<sip:" + user + '@' + host + '>';
  if (!options.asserted.empty()) {
    auto asserted = Uri::parse(options.asserted);
    if (!asserted) return asserted.error();
    setup.asserted = asserted->to_string();
  }
  uri->parameters.clear();
  setup.to = '<' + uri->to_string() + '>';
  setup.user_part = user;
  setup.contact = contact_towards(next_hop, user);
  return setup;
}

std::string AgentImpl::contact_towards(const Uri &next_hop, const std::string &user) const {
  const std::string carrier = next_hop.carrier();
  const Endpoint &local = carrier == "tls" ? local_tls_ : local_;
  // RFC 3261 section 8.1.1.8: sips: wants the same of us.
  return (next_hop.secure ? "<sips:" : "<sip:") + user + '@' +
         bracketed(signalling_address(local, next_hop.host)) + ':' + std::to_string(local.port) +
         (carrier == "udp" || next_hop.secure ? ">" : ";transport=" + carrier + '>');
}

std::string AgentImpl::media_address_towards(const std::string &host) const {
  return options_.media_address.empty() ? source_address_towards(host) : options_.media_address;
}

Result<std::shared_ptr<rtp::Session>> AgentImpl::open_session(std::shared_ptr<Reactor> reactor,
                                                              Medium medium,
                                                              const std::string &address,
                                                              const std::string &cname) {
  auto session = rtp::Session::open(
      std::move(reactor), ports_,
      {.address = address, .medium = medium, .cname = cname, .log = options_.log});
  if (session || session.error().fault != Fault::Overloaded) return session;
  // Which ports there are is nothing for callers.
  log(LogLevel::Warning, "call " + cname + ": " + session.error().detail);
  return overloaded(std::string(describe(EndReason::Overloaded)));
}

Result<void> AgentImpl::open_media(const InviteOptions &options, CallImpl::Setup &setup) {
  for (const Medium medium : {Medium::Audio, Medium::Video}) {
    auto formats = options.offer.empty() ? own_formats(medium, options.codecs, options.h264)
                                         : offered_formats(medium, options.offer, options.h264);
    if (formats.empty()) continue;
    auto session = open_session(options.reactor, medium, setup.media_address, setup.id);
    if (!session) {
      for (const auto &opened : setup.sessions) opened->close();
      return session.error();
    }
    setup.media.push_back({medium, (*session)->port(), std::move(formats)});
    setup.media.back().events = own_events(setup.media.back());
    setup.sessions.push_back(std::move(*session));
  }
  if (setup.media.empty())
    return bad_input("none of the codecs to offer can be carried over RTP here");
  return {};
}

Result<std::shared_ptr<Call>> AgentImpl::invite(const InviteOptions &options,
                                                std::weak_ptr<CallListener> listener) {
  if (stopping_) return refused("the SIP agent is shutting down");
  // Those that linger hold a transaction each for half a minute: they have a bound as well.
  if (calls_.size() >= options_.max_calls || lingering_.size() >= 2 * options_.max_calls)
    return overloaded("there are " + std::to_string(calls_.size()) +
                      " SIP calls already, the most that are allowed");
  if (!options.reactor) return bad_input("a SIP call needs a reactor for its media");
  auto setup = prepare(options);
  if (!setup) return setup.error();
  if (auto opened = open_media(options, *setup); !opened) return opened.error();

  const std::string id = setup->id;
  auto call = std::make_shared<CallImpl>(*this, std::move(*setup), std::move(listener));
  if (auto started = call->start(); !started) return started.error();
  const std::lock_guard lock(mutex_);
  calls_[id] = call;
  return std::shared_ptr<Call>(call);
}

Result<void> AgentImpl::add_trunk(TrunkOptions options,
                                  std::function<void(const TrunkStatus &)> changed) {
  if (stopping_) return refused("the SIP agent is shutting down");
  auto uri = Target::parse(options.uri);
  if (!uri) return uri.error();
  if (options.user.empty()) return bad_input("a trunk needs a user");
  if (auto plain = check_credentials(options.user, options.password); !plain) return plain;
  Target next_hop = *uri;
  if (!options.proxy.empty()) {
    auto proxy = Target::parse(options.proxy);
    if (!proxy) return proxy.error();
    next_hop = *proxy;
  }
  if (auto served = check_transports({*uri, next_hop}); !served) return served;
  TrunkRegistration::Setup setup;
  setup.next_hop = next_hop;
  uri->user.clear();
  setup.registrar = uri->to_string();
  if (!options.proxy.empty()) setup.proxy = next_hop.to_string();
  setup.identity = "<sip:" + escape_user(options.user) + '@' + bracketed(uri->host) + '>';
  setup.contact_user = options.name + '-' + random_id();
  if (next_hop.carrier() == "tls") setup.tls_name = next_hop.name;
  setup.options = std::move(options);
  trunks_.push_back(
      std::make_unique<TrunkRegistration>(*this, std::move(setup), std::move(changed)));
  trunks_.back()->start();
  return {};
}

std::vector<TrunkStatus> AgentImpl::trunks() const {
  std::vector<TrunkStatus> all;
  for (const auto &trunk : trunks_) all.push_back(trunk->status());
  return all;
}

}  // namespace junctor::sip
