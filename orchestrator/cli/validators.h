// SPDX-License-Identifier: LGPL-2.1-or-later
// What more than one command checks of its words.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "accounts/book.h"
#include "nat/core/stun_host.h"

namespace junctor::cli {

/// For an option whose default is what an empty text would mean: who writes one meant another.
inline const CLI::Validator kNotEmpty(
    [](const std::string &text) { return text.empty() ? std::string("it is empty") : ""; }, "");

inline const CLI::Validator kAccountName(
    [](const std::string &text) {
      const auto valid = accounts::check_name(text);
      return valid ? std::string() : valid.error().detail;
    },
    "");

inline const CLI::Validator kStunServer(
    [](const std::string &text) {
      const auto valid = nat::StunHost::parse(text);
      return valid ? std::string() : valid.error().detail;
    },
    "");

}  // namespace junctor::cli
