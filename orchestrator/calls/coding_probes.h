// SPDX-License-Identifier: LGPL-2.1-or-later
// Watches how long a pipeline's decoders and encoders take.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "calls/coding_routes.h"
#include "calls/media_path.h"
#include "calls/passage.h"

namespace junctor::calls {

/// Probes at both ends of a pipeline's transcoding routes and behind their decoders. Routes that
/// pass through are left alone: nothing there is decoded, and probes would cost more than they
/// tell. The probes keep what they need; this may be dropped before or after the pipeline.
class CodingProbes {
 public:
  /// Of a pipeline that is not yet running.
  void attach(const std::vector<CodingRoute> &routes);
  /// After attach().
  CodingLatency figures() const;

 private:
  struct Route {
    std::shared_ptr<Passage> decode, encode;  ///< null where nothing is decoded
  };
  std::array<std::array<Route, 2>, 2> routes_;  ///< by Side that takes it, and Medium
};

}  // namespace junctor::calls
