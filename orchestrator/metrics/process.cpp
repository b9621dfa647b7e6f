// SPDX-License-Identifier: LGPL-2.1-or-later
#include "metrics/process.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace junctor::metrics {

namespace {

// Fields of /proc/PID/stat after the name, proc(5): number 20, 22 and 24 of the whole line.
constexpr std::size_t kThreads = 17, kStart = 19, kResident = 21;

std::vector<std::string> words_of(std::ifstream file) {
  return {std::istream_iterator<std::string>(file), {}};
}

/// The second at which the machine started, since 1970.
double boot_time() {
  std::ifstream file("/proc/stat");
  std::string word;
  double time = 0;
  while (file >> word)
    if (word == "btime" && file >> time) return time;
  return 0;
}

double seconds(const timeval &time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

ProcessUsage process_usage() {
  ProcessUsage usage;
  rusage used{};
  if (::getrusage(RUSAGE_SELF, &used) == 0)
    usage.cpu_seconds = seconds(used.ru_utime) + seconds(used.ru_stime);
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) usage.max_descriptors = limit.rlim_cur;
  std::ifstream file("/proc/self/stat");
  file.ignore(4096, ')');  // the program's name may hold blanks
  const auto fields = words_of(std::move(file));
  if (fields.size() > kResident) {
    usage.threads = std::stoull(fields[kThreads]);
    usage.start_seconds =
        boot_time() + std::stod(fields[kStart]) / static_cast<double>(::sysconf(_SC_CLK_TCK));
    usage.resident_bytes =
        std::stoull(fields[kResident]) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }
  std::error_code error;
  for (std::filesystem::directory_iterator each("/proc/self/fd", error), end; !error && each != end;
       each.increment(error))
    ++usage.open_descriptors;
  if (usage.open_descriptors > 0) --usage.open_descriptors;  // the one that looked
  return usage;
}

}  // namespace junctor::metrics
