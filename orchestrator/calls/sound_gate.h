// SPDX-License-Identifier: LGPL-2.1-or-later
// Keeps a pipeline's transcoders of sound to what can be heard.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "calls/coding_routes.h"
#include "calls/sound_budget.h"

namespace junctor::calls {

/// A SoundBudget for each direction that transcodes sound. The probes keep what they need; this may
/// be dropped before or after the pipeline.
class SoundGate {
 public:
  /// Of a pipeline that is not yet running; before other probes, which are not to see what is left
  /// out.
  void attach(const std::vector<CodingRoute> &routes);
  /// Packets so far, of both directions.
  std::uint64_t left_out() const;

 private:
  std::array<std::shared_ptr<SoundBudget>, 2> budgets_;  ///< by Side that takes it; may be null
};

}  // namespace junctor::calls
