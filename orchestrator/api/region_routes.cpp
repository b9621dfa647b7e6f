// SPDX-License-Identifier: LGPL-2.1-or-later
// Which STUN servers clients may measure.
#include <nlohmann/json.hpp>

#include "api/api.h"

namespace junctor::api {

void Api::list_regions(const Request &, const Parameters &, const Reply &reply) {
  nlohmann::json list = nlohmann::json::array();
  for (const config::StunRegion &region : backend_.regions)
    list.push_back({{"name", region.name}, {"stun", region.stun}});
  reply(json_response(200, {{"regions", list}}));
}

}  // namespace junctor::api
