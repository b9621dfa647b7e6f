// SPDX-License-Identifier: LGPL-2.1-or-later
// Escapes of URLs and URIs.
#pragma once

#include <string>
#include <string_view>

namespace junctor {

/// RFC 3986 section 2.1; a '%' that two hexadecimal digits do not follow stays as it is.
std::string percent_decode(std::string_view text);

}  // namespace junctor
