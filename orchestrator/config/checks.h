// SPDX-License-Identifier: LGPL-2.1-or-later
// Values that would be found out to be wrong by calls only.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace junctor::config {

/// A name or an address, as it stands in URLs: an IPv6 address comes back in brackets.
Result<std::string> parse_public_host(std::string_view text);
/// A numeric address that a peer can send to, or nothing.
Result<std::string> parse_media_address(std::string_view text);
/// Names of RTMP applications.
Result<void> check_applications(const std::vector<std::string> &names);

/// What a configuration speaks of and this machine does not have, though a server runs without.
struct Lack {
  std::string what, fix;
};
/// The certificate's files, whether TLS listens or not.
std::vector<Lack> certificate_lacks(const Tls &tls);
/// The accounts that trunks name.
std::vector<Lack> account_lacks(const std::vector<Trunk> &trunks,
                                const std::function<bool(const std::string &)> &exists);

}  // namespace junctor::config
