// SPDX-License-Identifier: LGPL-2.1-or-later
// Who may call us, and what becomes of the INVITE.
#include <glib.h>
#include <sofia-sip/msg_addr.h>
#include <sofia-sip/nua_tag.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/url.h>

#include <algorithm>

#include "common/handle.h"
#include "common/percent.h"
#include "sip/core/register_message.h"
#include "sip/core/stack.h"
#include "sip/core/uri.h"

namespace junctor::sip {

namespace {

constexpr std::size_t kLongestName = 128, kLongestId = 128;

/// In any script, without controls and what turns the direction of text around.
std::string printable(const std::string &text, std::size_t longest) {
  const std::unique_ptr<char, Releaser<g_free>> valid(
      g_utf8_make_valid(text.data(), static_cast<gssize>(text.size())));
  std::string out;
  for (const char *at = valid.get(); *at != '\0'; at = g_utf8_next_char(at)) {
    const std::string_view one(at, static_cast<std::size_t>(g_utf8_next_char(at) - at));
    if (out.size() + one.size() > longest) break;
    if (g_unichar_isprint(g_utf8_get_char(at))) out += one;
  }
  return out;
}

/// Whether our requests within the call go to the trunk alone. Where they go by way of the caller,
/// or to it, that could ask for the trunk's password, by a challenge that the trunk has given it.
bool leads_back(const sip_t &sip, const TrunkRegistration &trunk) {
  const char *user = sip.sip_request->rq_url->url_user;
  const auto is_there = [&](const url_t &url) {
    std::string host = url.url_host ? url.url_host : "";
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    return !url_has_param(&url, "maddr") &&
           (host == trunk.next_hop().host || trunk.brings(percent_decode(user ? user : ""), host));
  };
  for (const sip_record_route_t *each = sip.sip_record_route; each; each = each->r_next)
    if (!is_there(*each->r_url)) return false;
  return sip.sip_contact && is_there(*sip.sip_contact->m_url);
}

/// A quoted or bare display name as people write it.
std::string display_of(const sip_from_t &from) {
  std::string_view text = from.a_display ? from.a_display : "";
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
    text = text.substr(1, text.size() - 2);
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    out += text[i];
  }
  return printable(out, kLongestName);
}

std::string uri_of(const url_t &url) {
  Uri uri;
  uri.secure = url.url_type == url_sips;
  uri.user = url.url_user ? url.url_user : "";
  uri.host = url.url_host ? url.url_host : "";
  return clean_text(uri.to_string(), 2 * kLongestName);
}

bool is_plain(std::string_view id) {
  return !id.empty() && id.size() <= kLongestId &&
         std::ranges::all_of(id, [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

/// Nothing if the caller may call, and `account` is then whose password was shown; else the answer.
std::optional<RegisterReply> AgentImpl::check_caller(const sip_t &sip, const Endpoint &source,
                                                     std::string &account) {
  if (!registrar_) {
    if (options_.callers == Callers::Anyone) return std::nullopt;
    RegisterReply nobody;
    nobody.status = 403;
    nobody.phrase = "Forbidden";
    return nobody;
  }
  const Credentials shown = read_credentials(sip, source);
  if (options_.callers == Callers::Anyone && !shown.has_credentials) return std::nullopt;
  if (!are_for_target(shown, sip)) {
    RegisterReply other;
    other.status = 400;
    other.phrase = "Credentials For Another Request";
    return other;
  }
  RegisterReply reply = registrar_->authenticate(shown, "INVITE", Clock::now());
  if (reply.status != 200) return reply;
  account = shown.to_user;
  return std::nullopt;
}

const TrunkRegistration *AgentImpl::trunk_of(const std::string &user,
                                             const Endpoint &source) const {
  for (const auto &trunk : trunks_)
    if (trunk->brings(user, source.address)) return trunk.get();
  return nullptr;
}

Result<void> AgentImpl::look_for_ports(const std::string &address) {
  // To find all taken is a walk over the whole range, which strangers must not have each time.
  constexpr auto kStaysFull = std::chrono::seconds(1);
  const Time now = Clock::now();
  if (now < ports_full_until_) return ports_full_;
  const auto free = ports_.open(address);
  if (free || free.error().fault != Fault::Overloaded) return {};
  ports_full_until_ = now + kStaysFull;
  return ports_full_ = free.error();
}

CallImpl::Setup AgentImpl::prepare_incoming(const sip_t &sip, const Endpoint &source,
                                            const TrunkRegistration *trunk) {
  CallImpl::Setup setup;
  // The peer chooses it, and two may have chosen the same.
  setup.id = sip.sip_call_id->i_id;
  if (!is_plain(setup.id) || calls_.contains(setup.id) || lingering_.contains(setup.id))
    setup.id = random_id();
  setup.uri = uri_of(*sip.sip_from->a_url);
  // There are providers who ask for it in each request of ours.
  if (trunk && !trunk->password().empty() && leads_back(sip, *trunk)) {
    setup.user = trunk->user();
    setup.password = trunk->password();
    setup.realms = trunk->realms();
  }
  setup.tcp = options_.tcp;
  setup.session_expires = options_.session_expires;
  setup.min_session_expires = options_.min_session_expires;
  setup.media_address = media_address_towards(source.address);
  setup.tls = options_.tls.has_value();
  setup.transport = transport_of(sip);
  Uri next_hop;
  next_hop.secure = sip.sip_request->rq_url->url_type == url_sips;
  next_hop.host = source.address;
  next_hop.transport = setup.transport;
  const char *user = sip.sip_request->rq_url->url_user;
  setup.user_part = escape_user(percent_decode(user ? user : ""));
  setup.contact = contact_towards(next_hop, setup.user_part);
  return setup;
}

void AgentImpl::on_invite(nua_handle_t *handle, const sip_t *sip) {
  msg_t *message = nua_current_request(nua_);
  const su_sockaddr_t *address = message ? msg_addr(message) : nullptr;
  if (!sip || !sip->sip_request || !sip->sip_from || !sip->sip_call_id || !address)
    return refuse(handle, SIP_400_BAD_REQUEST);
  const char *user = sip->sip_request->rq_url->url_user;
  if (!user) return refuse(handle, SIP_404_NOT_FOUND);
  if (!incoming_ || stopping_) return refuse(handle, SIP_480_TEMPORARILY_UNAVAILABLE);
  const Endpoint source = Endpoint::from_sockaddr(&address->su_sa);

  IncomingCall incoming;
  const TrunkRegistration *trunk = trunk_of(percent_decode(user), source);
  if (trunk) {
    // Whose password is no question: the other side asks that of its own callers.
    const char *called =
        sip->sip_to && sip->sip_to->a_url->url_user ? sip->sip_to->a_url->url_user : "";
    const std::string number =
        percent_decode(trunk->status().state == TrunkState::Static ? user : called);
    incoming.trunk = trunk->status().name;
    incoming.to = trunk->account_for(number);
    if (incoming.to.empty()) {
      log(LogLevel::Warning,
          "trunk " + incoming.trunk + ": a call for " + clean_text(number) + " is for no account");
      return refuse(handle, SIP_404_NOT_FOUND);
    }
  } else if (const auto reply = check_caller(*sip, source, incoming.account)) {
    // Everybody is asked for a password first; who is no phone of ours is worth a line.
    if (reply->status != 401 || !is_registered(address_group(source.address), Clock::now()))
      log_refused(reply->status, reply->phrase);
    return answer_account(handle, *reply);
  }
  if (calls_.size() >= options_.max_calls) return refuse(handle, SIP_503_SERVICE_UNAVAILABLE);
  if (incoming.trunk.empty()) incoming.to = percent_decode(user);
  if (incoming.to.empty() || incoming.to.size() > kLongestName)
    return refuse(handle, SIP_404_NOT_FOUND);
  incoming.display = display_of(*sip->sip_from);

  auto setup = prepare_incoming(*sip, source, trunk);
  incoming.uri = setup.uri;
  const std::string id = setup.id;
  // Before it rings: who answers it then would do so for nothing.
  if (const auto free = look_for_ports(setup.media_address); !free)
    return refuse(handle, SIP_503_SERVICE_UNAVAILABLE, std::string(describe(EndReason::Overloaded)),
                  free.error().detail);
  auto call = std::make_shared<CallImpl>(*this, std::move(setup), std::weak_ptr<CallListener>());
  if (const auto refusal = call->take(handle, sip)) {
    call->detach();
    return refuse(handle, refusal->status, refusal->phrase, refusal->why);
  }
  {
    const std::lock_guard lock(mutex_);
    calls_[id] = call;
  }
  log(LogLevel::Info, "call " + id + " came from " + incoming.uri + " (" + source.to_string() +
                          (incoming.account.empty() ? "" : ", as " + incoming.account) +
                          (incoming.trunk.empty() ? "" : ", trunk " + incoming.trunk) + ") for " +
                          clean_text(incoming.to));
  incoming.call = call;
  incoming_(incoming);
}

}  // namespace junctor::sip
