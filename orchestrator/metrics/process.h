// SPDX-License-Identifier: LGPL-2.1-or-later
// What this process costs, as the kernel counts it.
#pragma once

#include <cstdint>

namespace junctor::metrics {

struct ProcessUsage {
  double cpu_seconds = 0;    ///< user and system, all threads, since the start
  double start_seconds = 0;  ///< since 1970
  std::uint64_t resident_bytes = 0;
  std::uint64_t threads = 0;
  std::uint64_t open_descriptors = 0, max_descriptors = 0;
};

/// From /proc and getrusage(2); what cannot be read is 0.
ProcessUsage process_usage();

}  // namespace junctor::metrics
