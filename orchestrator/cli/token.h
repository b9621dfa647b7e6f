// SPDX-License-Identifier: LGPL-2.1-or-later
// The token of an account that a phone or a node shows to its rendezvous.
#pragma once

#include <string>

#include "common/result.h"

namespace junctor::cli {

/// Out of `file`, which only its owner may read; else `given`; else the environment variable
/// JUNCTOR_TOKEN. Otherwise a sentence that names the fix.
Result<std::string> token_of(const std::string &file, const std::string &given);

}  // namespace junctor::cli
