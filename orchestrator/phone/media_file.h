// SPDX-License-Identifier: LGPL-2.1-or-later
// Files that a phone sends from.
#pragma once

#include <chrono>
#include <string>

#include "common/codec.h"
#include "common/result.h"

namespace junctor::phone {

/// Whether `medium` can be taken from the file, before anybody is called: BadInput names the
/// option, the file and what it lacks. What is no regular file is left to others. Blocks, usually
/// for less than a second: twice `patience` and a second at most, then nothing is said against the
/// file.
Result<void> check_media_file(const std::string &option, const std::string &path, Medium medium,
                              std::chrono::seconds patience = std::chrono::seconds(3));

}  // namespace junctor::phone
