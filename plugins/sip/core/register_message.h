// SPDX-License-Identifier: LGPL-2.1-or-later
// Requests of accounts taken out of Sofia's form.
#pragma once

#include <sofia-sip/sip.h>

#include "sip/core/registrar.h"

namespace junctor::sip {

/// Of a request outside of dialogs that came from `source`: it is about the account that its digest
/// names, else that of From.
Credentials read_credentials(const sip_t &sip, const Endpoint &source);

/// `sip` is a REGISTER that came from `source`.
RegisterRequest read_register(const sip_t &sip, const Endpoint &source);

/// By what the request came: "udp", "tcp", "tls".
std::string transport_of(const sip_t &sip);

}  // namespace junctor::sip
