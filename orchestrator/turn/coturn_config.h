// SPDX-License-Identifier: LGPL-2.1-or-later
// The configuration file of coturn, as serve starts it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/address_range.h"
#include "common/endpoint.h"
#include "common/result.h"

namespace junctor::turn {

struct CoturnOptions {
  std::string directory;         ///< for files of its own; a private one
  Endpoint listen;               ///< over UDP and TCP
  std::optional<Endpoint> tls;   ///< over TLS
  std::string certificate, key;  ///< PEM files; with `tls`
  std::string external;          ///< the numeric address that others see; empty: that of `listen`
  std::uint16_t low = 0, high = 0;  ///< ports of relayed addresses
  std::string secret;               ///< see issue()
  std::string realm;
  /// Numeric addresses, "LOW-HIGH" or CIDR, to which it relays though they are private.
  std::vector<std::string> allowed_peers;
  unsigned allocations_per_user = 16, allocations = 2000;
  std::uint64_t bytes_per_second = 0;  ///< of each allocation; 0: any
};

/// Whether others than this machine and its network can be there (RFC 6890).
bool is_public(const std::string &address);

/// What allowed_peers may hold, as coturn will take it. BadInput for all else.
Result<AddressRange> parse_allowed_peers(const std::string &text);

/// BadInput for a value that cannot stand in such a file.
Result<std::string> coturn_config(const CoturnOptions &options);

}  // namespace junctor::turn
