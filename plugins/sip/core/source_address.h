// SPDX-License-Identifier: LGPL-2.1-or-later
// Our own address towards a peer.
#pragma once

#include <string>

namespace junctor::sip {

/// The address that the system would send from to reach `host`: the routing table is asked, no
/// packet is sent and no name resolved. For a name it is that of the default route, for "localhost"
/// the loopback; "127.0.0.1" if there is no route at all.
std::string source_address_towards(const std::string &host);

}  // namespace junctor::sip
