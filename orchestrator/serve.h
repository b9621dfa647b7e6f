// SPDX-License-Identifier: LGPL-2.1-or-later
// The orchestrator: everything that `junctor serve` runs.
#pragma once

#include <ostream>

#include "config/config.h"

namespace junctor {

/// Runs until SIGINT or SIGTERM, then ends all calls, with records, and returns. Answers the exit
/// code: 0, or 1 when something could not be started; `err` says what and how to mend it.
int serve(const config::Config &config, std::ostream &out, std::ostream &err);

}  // namespace junctor
