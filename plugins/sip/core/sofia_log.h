// SPDX-License-Identifier: LGPL-2.1-or-later
// Sofia's log, led to ours.
#pragma once

#include <memory>

#include "common/log.h"

namespace junctor::sip {

/// Sofia has one log for the whole process. While at least one of these lives, warnings of Sofia go
/// to the sink of the oldest one, a line at a time, at most 20 a second, without credentials; else
/// to nobody. Any thread.
class SofiaLog {
 public:
  explicit SofiaLog(LogSink sink);
  ~SofiaLog();
  SofiaLog(const SofiaLog &) = delete;
  SofiaLog &operator=(const SofiaLog &) = delete;

 private:
  std::shared_ptr<LogSink> sink_;
};

/// The text without what follows "Authorization:" and without digest parameters.
std::string without_secrets(std::string_view text);

}  // namespace junctor::sip
