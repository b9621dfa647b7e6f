// SPDX-License-Identifier: LGPL-2.1-or-later
// One datagram as it lies where the kernel has put it.
#pragma once

#include <netinet/in.h>

#include <cstddef>
#include <span>

namespace junctor::sfu {

struct Datagram {
  std::span<std::byte> bytes;          ///< may be written to
  const sockaddr_in6 *from = nullptr;  ///< of either family
  bool truncated = false;              ///< there was more of it
};

}  // namespace junctor::sfu
