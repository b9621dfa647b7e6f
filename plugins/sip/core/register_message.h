// SPDX-License-Identifier: LGPL-2.1-or-later
// A REGISTER taken out of Sofia's form.
#pragma once

#include <sofia-sip/sip.h>

#include "sip/core/registrar.h"

namespace junctor::sip {

/// `sip` is a REGISTER that came from `source`.
RegisterRequest read_register(const sip_t &sip, const Endpoint &source);

}  // namespace junctor::sip
