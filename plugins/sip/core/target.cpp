// SPDX-License-Identifier: LGPL-2.1-or-later
// A SIP URI that requests are sent to.
#include "sip/core/target.h"

#include <utility>

namespace junctor::sip {

Result<Target> Target::parse(const std::string &text) {
  auto uri = Uri::parse(text);
  if (!uri) return uri.error();
  Target target{*std::move(uri), {}};
  if (!is_address(target.host)) target.name = target.host;
  if (target.name == "localhost") target.host = "127.0.0.1";
  return target;
}

}  // namespace junctor::sip
