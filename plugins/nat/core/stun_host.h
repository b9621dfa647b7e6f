// SPDX-License-Identifier: LGPL-2.1-or-later
// A STUN server as people name it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/endpoint.h"
#include "common/result.h"
#include "rtp/core/stun.h"

namespace junctor::nat {

/// A name or numeric address, and a port.
struct StunHost {
  std::string host;
  std::uint16_t port = rtp::stun::kDefaultPort;

  /// "HOST", "HOST:PORT" or "[v6]:PORT"; HOST is a DNS name or an address.
  static Result<StunHost> parse(std::string_view text);
  std::string to_string() const;
  /// Its first address. Blocks until DNS has answered: not for the signalling thread.
  Result<Endpoint> resolve() const;
  /// Its first address of each family that this machine has: a socket of one can ask no other. At
  /// least one. Blocks likewise.
  Result<std::vector<Endpoint>> resolve_each() const;
};

}  // namespace junctor::nat
