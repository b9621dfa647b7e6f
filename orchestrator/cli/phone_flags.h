// SPDX-License-Identifier: LGPL-2.1-or-later
// The flags of `junctor phone`.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/command_line.h"

namespace junctor::cli {

void add_phone_flags(CLI::App &command, PhoneLine &line);

}  // namespace junctor::cli
