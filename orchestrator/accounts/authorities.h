// SPDX-License-Identifier: LGPL-2.1-or-later
// Whom a client of TLS believes.
#pragma once

#include <libsoup/soup.h>

#include <memory>
#include <string>

#include "common/handle.h"
#include "common/result.h"

namespace junctor::accounts {

using Authorities = std::unique_ptr<GTlsDatabase, Releaser<g_object_unref>>;

/// The certificates of a PEM file, by an absolute path or one from where the program runs. The
/// error names the file.
Result<Authorities> read_authorities(const std::string &path);

/// What a client of an orchestrator was told about the orchestrator's certificate.
struct Trust {
  std::string ca_file;    ///< PEM of who is believed about it; empty: the system's authorities
  bool insecure = false;  ///< whatever certificate it shows: others may listen and change
};

/// For all messages of the session. The error names the file.
Result<void> trust_by(SoupSession *session, const Trust &trust);
/// For one that is not sent yet.
void trust_by(SoupMessage *message, const Trust &trust);
/// Of an orchestrator whose certificate was not believed: what to do, by the flags of the program.
Error not_trusted(const std::string &url);

}  // namespace junctor::accounts
