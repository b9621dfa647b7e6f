// SPDX-License-Identifier: LGPL-2.1-or-later
#include "config/logging.h"

#include <spdlog/async.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

namespace junctor::config {

namespace {

constexpr std::string_view kMask = "***";

/// Replaces what follows each `name` up to one of `ends`.
void mask_after(std::string &text, std::string_view name, std::string_view ends) {
  for (std::size_t at = text.find(name); at != std::string::npos; at = text.find(name, at)) {
    at += name.size();
    const std::size_t end = std::min(text.find_first_of(ends, at), text.size());
    if (end > at) text.replace(at, end - at, kMask);
  }
}

/// Of scheme://name:password@host, where no name of a host or port can be meant.
void mask_url_passwords(std::string &text) {
  for (std::size_t at = text.find("://"); at != std::string::npos; at = text.find("://", at)) {
    at += 3;
    const std::size_t end = std::min(text.find_first_of("/ \"'?,)", at), text.size());
    const std::size_t host = std::string_view(text).substr(0, end).rfind('@');
    const std::size_t colon = text.find(':', at);
    if (host != std::string::npos && host > at && colon < host)
      text.replace(colon + 1, host - colon - 1, kMask);
  }
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return spdlog::level::debug;
    case LogLevel::Info:
      return spdlog::level::info;
    case LogLevel::Warning:
      return spdlog::level::warn;
    case LogLevel::Error:
      break;
  }
  return spdlog::level::err;
}

}  // namespace

std::string redact(std::string_view text) {
  std::string clean(text);
  for (char &c : clean)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  mask_url_passwords(clean);
  for (const std::string_view name :
       {"token=", "token%3D", "password=", "response=", "Bearer ", "Basic "})
    mask_after(clean, name, "&/ \"'?;,)");
  // A token without its name: every JSON Web Token begins with {" in base64.
  mask_after(clean, "eyJ", "&/ \"'?;,)");
  return clean;
}

LogSink start_log(LogLevel level) {
  constexpr std::size_t kLines = 8192;
  spdlog::init_thread_pool(kLines, 1);
  auto logger = spdlog::create_async_nb<spdlog::sinks::stderr_color_sink_mt>("junctor");
  logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %^%-7l%$ %v");
  logger->set_level(to_spdlog(level));
  logger->flush_on(spdlog::level::info);
  return [logger](LogLevel of, std::string_view text) {
    if (logger->should_log(to_spdlog(of))) logger->log(to_spdlog(of), redact(text));
  };
}

void finish_log() { spdlog::shutdown(); }

}  // namespace junctor::config
