// SPDX-License-Identifier: LGPL-2.1-or-later
// What the parts of `junctor serve` have in common.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "common/result.h"

namespace junctor {

/// Since 1970, as tokens and credentials count.
inline std::int64_t seconds_now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

/// An error, with which part of the orchestrator, or which setting, it stopped.
inline Error at(const char *what, const Error &error) {
  return {error.fault, std::string(what) + ": " + error.detail};
}

}  // namespace junctor
