// SPDX-License-Identifier: LGPL-2.1-or-later
// A behaviour as JSON: what `junctor nat --json` prints, and what clients tell the rendezvous.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "common/result.h"
#include "nat/core/behaviour.h"

namespace junctor::nat {

nlohmann::json to_json(const Behaviour &behaviour);

/// What it takes to judge whom this one reaches (reach.h): UDP, addresses, mapping, filtering,
/// ports. Words that this version does not know count as unknown. BadInput for what is no such
/// object.
Result<Behaviour> behaviour_from_json(const nlohmann::json &value);

}  // namespace junctor::nat
