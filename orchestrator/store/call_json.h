// SPDX-License-Identifier: LGPL-2.1-or-later
// A call as JSON, for records and the API.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "calls/service.h"

namespace junctor::store {

/// "2025-01-31T12:00:00.123Z" (RFC 3339).
std::string timestamp(calls::WallTime time);

/// `full`: with plan and launch line.
nlohmann::json to_json(const calls::View &call, bool full);

std::string plan_to_text(const std::vector<calls::PlanStep> &plan);
/// Empty for what is no plan.
std::vector<calls::PlanStep> plan_from_text(std::string_view text);

std::string counts_to_text(const calls::View &call);
void counts_from_text(std::string_view text, calls::View &call);

std::optional<calls::Direction> direction_from_string(std::string_view name);
std::optional<calls::State> state_from_string(std::string_view name);

}  // namespace junctor::store
