// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sip/core/tls_target.h"

#include <sofia-sip/sip_header.h>
#include <sofia-sip/url.h>

#include "sip/core/sofia.h"

namespace junctor::sip {

namespace {

constexpr std::uint16_t kSipsPort = 5061;

}  // namespace

bool TlsTarget::may_be_at(const Endpoint &peer) const {
  if (!is_address(host)) return port == 0 || port == peer.port;
  return host == peer.address && (port == 0 ? kSipsPort : port) == peer.port;
}

std::optional<TlsTarget> tls_target(const Uri &next_hop) {
  if (next_hop.carrier() != "tls") return std::nullopt;
  return TlsTarget{next_hop.host, next_hop.port};
}

std::optional<TlsTarget> tls_target_of_dialog(const sip_t &sip) {
  const url_t *hop = sip.sip_contact ? sip.sip_contact->m_url : nullptr;
  // A caller sees the route in reverse (section 12.1.2).
  if (const sip_record_route_t *route = sip.sip_record_route) {
    while (!sip.sip_request && route->r_next) route = route->r_next;
    hop = route->r_url;
  }
  if (!hop) return std::nullopt;
  Home home;
  const char *text = url_as_string(home.get(), hop);
  const auto uri = Uri::parse(text ? text : "");
  return uri ? tls_target(*uri) : std::nullopt;
}

}  // namespace junctor::sip
