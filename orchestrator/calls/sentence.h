// SPDX-License-Identifier: LGPL-2.1-or-later
// Words of others as sentences.
#pragma once

#include <string>

namespace junctor::calls {

/// `text` with a full stop, and a capital letter if its first word is one of lower-case letters
/// only: neither a name of ours (x264enc0, sip:…) nor a status code is changed. Empty stays empty.
std::string as_sentence(std::string text);

}  // namespace junctor::calls
