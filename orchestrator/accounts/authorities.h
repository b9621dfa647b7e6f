// SPDX-License-Identifier: LGPL-2.1-or-later
// Whom a client of TLS believes.
#pragma once

#include <gio/gio.h>

#include <memory>
#include <string>

#include "common/handle.h"
#include "common/result.h"

namespace junctor::accounts {

using Authorities = std::unique_ptr<GTlsDatabase, Releaser<g_object_unref>>;

/// The certificates of a PEM file, by an absolute path or one from where the program runs. The
/// error names the file.
Result<Authorities> read_authorities(const std::string &path);

}  // namespace junctor::accounts
