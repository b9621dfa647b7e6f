// SPDX-License-Identifier: LGPL-2.1-or-later
// Files that a phone sends from.
#pragma once

#include <string>

#include "common/codec.h"
#include "common/result.h"

namespace junctor::phone {

/// Whether `medium` can be taken from the file, before anybody is called: BadInput names the
/// option, the file and what it lacks. What is no regular file is left to others. Blocks, for
/// seconds at most; what nothing is found in by then is taken for damaged.
Result<void> check_media_file(const std::string &option, const std::string &path, Medium medium);

}  // namespace junctor::phone
