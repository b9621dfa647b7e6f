// SPDX-License-Identifier: LGPL-2.1-or-later
// The program's log.
#pragma once

#include <string>
#include <string_view>

#include "common/log.h"

namespace junctor::config {

/// `text` with every token and password in it replaced by `***`, and line ends and other control
/// characters by spaces.
std::string redact(std::string_view text);

/// Writes to standard error from a thread of its own, so that a slow terminal stops nobody; when
/// it lags far behind, old lines are lost. Any thread. Call finish_log() before the program ends.
LogSink start_log(LogLevel level);
void finish_log();

}  // namespace junctor::config
