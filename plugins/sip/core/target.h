// SPDX-License-Identifier: LGPL-2.1-or-later
// A SIP URI that requests are sent to.
#pragma once

#include <string>

#include "common/result.h"
#include "sip/core/uri.h"

namespace junctor::sip {

struct Target : Uri {
  std::string name;  ///< of its host; empty for an address
  /// "localhost" becomes its address: Sofia would ask a name server for it.
  static Result<Target> parse(const std::string &text);
};

}  // namespace junctor::sip
