// SPDX-License-Identifier: LGPL-2.1-or-later
// Requests of accounts taken out of Sofia's form.
#include "sip/core/register_message.h"

#include <sofia-sip/su_alloc.h>
#include <sofia-sip/url.h>
#include <strings.h>

#include <charconv>
#include <string_view>

#include "common/percent.h"
#include "sip/core/sofia.h"
#include "sip/core/uri.h"

namespace junctor::sip {

namespace {

constexpr std::size_t kMaxParameters = 32;

std::string text_of(const char *text) { return text ? text : ""; }

std::string unquoted(std::string_view value) {
  if (value.size() < 2 || value.front() != '"' || value.back() != '"') return std::string(value);
  value = value.substr(1, value.size() - 2);
  std::string out;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '\\' && i + 1 < value.size()) ++i;
    out += value[i];
  }
  return out;
}

std::map<std::string, std::string> parameters_of(const msg_auth_t &header) {
  std::map<std::string, std::string> out;
  for (auto parameter = header.au_params; parameter && *parameter; ++parameter) {
    if (out.size() == kMaxParameters) break;
    const std::string_view text = *parameter;
    const auto mark = text.find('=');
    if (mark == std::string_view::npos) continue;
    std::string name(text.substr(0, mark));
    while (!name.empty() && name.back() == ' ') name.pop_back();
    for (char &c : name)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    std::string_view value = text.substr(mark + 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    // The first of two wins nothing: a doubled parameter is kept as it came first.
    out.emplace(std::move(name), unquoted(value));
  }
  return out;
}

std::optional<std::uint32_t> seconds(const char *text) {
  if (!text) return std::nullopt;
  const std::string_view digits = text;
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  // RFC 3261 section 20.10: a malformed one counts as 3600.
  if (error != std::errc() || end != digits.data() + digits.size()) return 3600;
  return value;
}

void read_digest(const msg_auth_t *header, Credentials &request) {
  for (; header; header = header->au_next) {
    if (!header->au_scheme || ::strcasecmp(header->au_scheme, "Digest") != 0) continue;
    request.has_credentials = true;
    request.credentials = parameters_of(*header);
    return;
  }
}

}  // namespace

Credentials read_credentials(const sip_t &sip, const Endpoint &source) {
  Credentials request;
  request.source = source;
  read_digest(sip.sip_authorization, request);
  if (!request.has_credentials) read_digest(sip.sip_proxy_authorization, request);
  if (const auto user = request.credentials.find("username"); user != request.credentials.end())
    request.to_user = user->second;
  else if (sip.sip_from && sip.sip_from->a_url->url_user)
    request.to_user = percent_decode(sip.sip_from->a_url->url_user);
  return request;
}

bool are_for_target(const Credentials &credentials, const sip_t &sip) {
  const auto uri = credentials.credentials.find("uri");
  if (uri == credentials.credentials.end()) return true;  // of no use to the digest either
  Home home;
  const url_t *meant = url_make(home.get(), uri->second.c_str());
  if (!meant) return false;
  const char *called = sip.sip_request->rq_url->url_user;
  return !meant->url_user ||
         percent_decode(meant->url_user) == percent_decode(called ? called : "");
}

std::string transport_of(const sip_t &sip) {
  // Sofia refuses a Via that names another transport than the one it came by.
  const char *protocol = sip.sip_via ? sip.sip_via->v_protocol : nullptr;
  if (protocol && ::strcasecmp(protocol, "SIP/2.0/TCP") == 0) return "tcp";
  if (protocol && ::strcasecmp(protocol, "SIP/2.0/TLS") == 0) return "tls";
  return "udp";
}

RegisterRequest read_register(const sip_t &sip, const Endpoint &source) {
  RegisterRequest request;
  request.source = source;
  if (sip.sip_to && sip.sip_to->a_url->url_user)
    request.to_user = percent_decode(sip.sip_to->a_url->url_user);
  if (sip.sip_call_id) request.call_id = text_of(sip.sip_call_id->i_id);
  if (sip.sip_cseq) request.cseq = sip.sip_cseq->cs_seq;
  if (sip.sip_expires) request.expires = static_cast<std::uint32_t>(sip.sip_expires->ex_delta);
  if (sip.sip_user_agent) request.user_agent = text_of(sip.sip_user_agent->g_string);
  request.transport = transport_of(sip);
  Home home;
  for (const sip_contact_t *contact = sip.sip_contact; contact; contact = contact->m_next) {
    if (contact->m_url->url_type == url_any) {
      request.star = true;
      continue;
    }
    request.contacts.push_back(
        {text_of(url_as_string(home.get(), contact->m_url)), seconds(contact->m_expires)});
  }
  read_digest(sip.sip_authorization, request);
  return request;
}

}  // namespace junctor::sip
