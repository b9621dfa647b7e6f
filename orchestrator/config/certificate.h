// SPDX-License-Identifier: LGPL-2.1-or-later
// The certificate that this server shows.
#pragma once

#include <memory>

#include "common/log.h"
#include "common/result.h"
#include "common/tls.h"
#include "config/config.h"

namespace junctor::config {

/// The files of the operator's certificate (tls.certificate, tls.key). Where none is configured,
/// one of our own making for `public_host` (as in URLs), kept in the data directory and made anew
/// when it has run out or is for another host; the log warns of that, and that no client trusts it.
Result<TlsFiles> certificate_files(const Config &config, const std::string &public_host,
                                   const LogSink &log);

}  // namespace junctor::config
