// SPDX-License-Identifier: LGPL-2.1-or-later
// Tells that a server runs with a data directory.
#pragma once

#include <string>

#include "common/handle.h"
#include "common/result.h"

namespace junctor::config {

/// Held as long as the descriptor is open, at the latest until the process ends, however it does.
/// Fails when another server holds it.
Result<UniqueFd> take_serve_lock(const std::string &data_dir);

/// Whether a server holds the lock. Only looks: a server that starts now is not in its way.
bool serve_lock_held(const std::string &data_dir);

}  // namespace junctor::config
