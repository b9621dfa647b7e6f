// SPDX-License-Identifier: LGPL-2.1-or-later
// How cores say what happened, without choosing a logger.
#pragma once

#include <functional>
#include <string_view>

namespace junctor {

enum class LogLevel { Debug, Info, Warning, Error };

/// Given to a core at construction; the element maps it to its debug category, the program to
/// spdlog. May be called from any thread. Text never holds a token, password or key.
using LogSink = std::function<void(LogLevel level, std::string_view text)>;

}  // namespace junctor
