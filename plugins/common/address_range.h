// SPDX-License-Identifier: LGPL-2.1-or-later
// Ranges of addresses, as people write them.
#pragma once

#include <string>

#include "common/result.h"

namespace junctor {

/// The bytes of an address, 4 or 16; nothing for what is none.
std::string address_bytes(const std::string &address);
/// The other way round.
std::string address_text(const std::string &bytes);

/// Of one family, both ends included, each as address_bytes().
struct AddressRange {
  std::string low, high;
};

/// An address, CIDR (RFC 4632) or LOW-HIGH. BadInput for what is none, or ends before it begins.
Result<AddressRange> parse_address_range(const std::string &text);

}  // namespace junctor
