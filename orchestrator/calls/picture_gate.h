// SPDX-License-Identifier: LGPL-2.1-or-later
// Keeps from a pipeline's decoders what is too large for them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "calls/coding_routes.h"

namespace junctor::calls {

/// Once for each route, from any thread: pictures to `taker` are left out. `size` as in
/// PictureBound::too_large().
using TooLarge = std::function<void(Side taker, const std::string &size)>;

/// A PictureBound in front of every decoder of pictures, of a pipeline that is not yet running.
void bound_pictures(const std::vector<CodingRoute> &routes, const TooLarge &tell);

}  // namespace junctor::calls
