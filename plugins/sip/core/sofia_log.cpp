// SPDX-License-Identifier: LGPL-2.1-or-later
// Sofia's log, led to ours.
#include "sip/core/sofia_log.h"

#include <sofia-sip/su_log.h>
#include <strings.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <string>
#include <vector>

#include "common/log_budget.h"
#include "sip/core/uri.h"

extern "C" {
// Each module of Sofia has a log object; those that must not write by themselves.
extern su_log_t nua_log[], nta_log[], tport_log[], nea_log[], iptsec_log[], soa_log[], stun_log[],
    su_log_default[];
}

namespace junctor::sip {

namespace {

// Sofia's levels: 0 is what must not happen, 1 what needs somebody's attention.
constexpr unsigned kFatal = 0;
constexpr unsigned kWarnings = 1;

struct Sinks {
  std::mutex mutex;
  std::vector<std::shared_ptr<LogSink>> sinks;
  LogBudget budget;  // peers cause most of it
};

/// As global as the log that it serves; never destroyed, for Sofia may speak at exit.
Sinks &sinks() {
  static auto *const instance = new Sinks;
  return *instance;
}

std::size_t find_without_case(std::string_view text, std::string_view word) {
  const auto same = [](char a, char b) { return (a | 0x20) == (b | 0x20); };
  const auto found = std::search(text.begin(), text.end(), word.begin(), word.end(), same);
  return found == text.end() ? std::string_view::npos
                             : static_cast<std::size_t>(found - text.begin());
}

void write(void * /*stream*/, char const *format, va_list arguments) {
  std::array<char, 512> buffer{};
  const int size = std::vsnprintf(buffer.data(), buffer.size(), format, arguments);
  if (size <= 0) return;
  std::string text = without_secrets(
      {buffer.data(), std::min<std::size_t>(static_cast<std::size_t>(size), buffer.size() - 1)});
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  if (text.empty()) return;
  std::shared_ptr<LogSink> sink;
  {
    const std::lock_guard lock(sinks().mutex);
    if (sinks().sinks.empty() || !sinks().budget.take(Clock::now())) return;
    sink = sinks().sinks.front();
  }
  if (sink && *sink) (*sink)(LogLevel::Warning, "sofia: " + clean_text(text, 400));
}

void redirect() {
  for (su_log_t *log :
       {su_log_default, nua_log, nta_log, tport_log, nea_log, iptsec_log, soa_log, stun_log}) {
    su_log_redirect(log, write, nullptr);
    // The event loop greets at level 1.
    su_log_set_level(log, log == su_log_default ? kFatal : kWarnings);
  }
}

}  // namespace

std::string without_secrets(std::string_view text) {
  std::size_t cut = text.size();
  for (const std::string_view word : {"authorization", "response=", "cnonce=", "password"})
    cut = std::min(cut, find_without_case(text, word));
  if (cut == text.size()) return std::string(text);
  return std::string(text.substr(0, cut)) + "[credentials]";
}

SofiaLog::SofiaLog(LogSink sink) : sink_(std::make_shared<LogSink>(std::move(sink))) {
  static std::once_flag once;
  std::call_once(once, redirect);
  const std::lock_guard lock(sinks().mutex);
  if (sinks().sinks.empty()) sinks().budget = LogBudget();
  sinks().sinks.push_back(sink_);
}

SofiaLog::~SofiaLog() {
  const std::lock_guard lock(sinks().mutex);
  std::erase(sinks().sinks, sink_);
}

}  // namespace junctor::sip
