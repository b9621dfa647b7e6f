// SPDX-License-Identifier: LGPL-2.1-or-later
// [[sip.trunks]] of the configuration.
#pragma once

#include <toml++/toml.h>

#include <vector>

#include "common/result.h"
#include "config/config.h"

namespace junctor::config {

/// Reads all tables over `trunks`; the error names the trunk and the key.
Result<void> read_trunks(const toml::node &node, std::vector<Trunk> &trunks);

}  // namespace junctor::config
