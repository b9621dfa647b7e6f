// SPDX-License-Identifier: LGPL-2.1-or-later
// [[regions]] of the configuration.
#pragma once

#include <toml++/toml.h>

#include <vector>

#include "common/result.h"
#include "config/config.h"

namespace junctor::config {

/// Reads all tables over `regions`; the error names the region and the key.
Result<void> read_regions(const toml::node &node, std::vector<StunRegion> &regions);

}  // namespace junctor::config
