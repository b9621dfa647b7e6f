// SPDX-License-Identifier: LGPL-2.1-or-later
// Requests of accounts taken out of Sofia's form.
#pragma once

#include <sofia-sip/sip.h>

#include "sip/core/registrar.h"

namespace junctor::sip {

/// Of a request outside of dialogs that came from `source`: it is about the account that its digest
/// names, else that of From.
Credentials read_credentials(const sip_t &sip, const Endpoint &source);

/// Whether the credentials were made for this request (RFC 2617 section 3.2.2.5, RFC 3261 section
/// 22.4): whoever hears them on the way could else spend them on a call to somebody else. Its user
/// has to be the same, which says who is called; hosts are renamed on the way, by proxies above
/// all. Where the credentials name no user, as of some gateways, they are for any.
bool are_for_target(const Credentials &credentials, const sip_t &sip);

/// `sip` is a REGISTER that came from `source`.
RegisterRequest read_register(const sip_t &sip, const Endpoint &source);

/// By what the request came: "udp", "tcp", "tls".
std::string transport_of(const sip_t &sip);

}  // namespace junctor::sip
