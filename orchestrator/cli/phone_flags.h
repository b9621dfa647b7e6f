// SPDX-License-Identifier: LGPL-2.1-or-later
// The flags of `junctor phone`.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/command_line.h"

namespace junctor::cli {

/// Of `phone`, and of others that ask an orchestrator under TLS.
void add_trust_flags(CLI::App &command, accounts::Trust &trust);
void add_phone_flags(CLI::App &command, PhoneLine &line);

}  // namespace junctor::cli
