// SPDX-License-Identifier: LGPL-2.1-or-later
// Where the agent's own TLS connections lead.
#pragma once

#include <sofia-sip/sip.h>

#include <cstdint>
#include <optional>
#include <string>

#include "common/endpoint.h"
#include "sip/core/uri.h"

namespace junctor::sip {

/// A host that requests of ours go to over TLS.
struct TlsTarget {
  std::string host;        ///< a name or an address
  std::uint16_t port = 0;  ///< 0: none was given; a name may then have any (RFC 3263)
  bool operator==(const TlsTarget &) const = default;

  /// Whether a connection to `peer` may be one to it. Which addresses a name has is not known here,
  /// so that it may be anywhere.
  bool may_be_at(const Endpoint &peer) const;
};

/// Nothing if it is not reached over TLS.
std::optional<TlsTarget> tls_target(const Uri &next_hop);
/// Where requests go in the dialog that this message opens or renews (RFC 3261 section 12): the
/// peer's request, or its answer to ours.
std::optional<TlsTarget> tls_target_of_dialog(const sip_t &sip);

}  // namespace junctor::sip
