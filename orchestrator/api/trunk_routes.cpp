// SPDX-License-Identifier: LGPL-2.1-or-later
// What the API tells of trunks.
#include <nlohmann/json.hpp>

#include "api/api.h"

namespace junctor::api {

namespace {

using nlohmann::json;

json seconds_until(const std::optional<Time> &when, Time now) {
  if (!when) return nullptr;
  const auto left = std::chrono::ceil<std::chrono::seconds>(*when - now).count();
  return std::max<std::int64_t>(left, 0);
}

}  // namespace

void Api::list_trunks(const Request &, const Parameters &, const Reply &reply) {
  json list = json::array();
  const Time now = Clock::now();
  for (const auto &trunk : backend_.trunks ? backend_.trunks() : std::vector<sip::TrunkStatus>())
    list.push_back({{"name", trunk.name},
                    {"uri", trunk.uri},
                    {"state", std::string(to_string(trunk.state))},
                    {"sip_code", trunk.code},
                    {"detail", trunk.detail},
                    {"failures", trunk.failures},
                    {"expires_in", seconds_until(trunk.expires, now)},
                    {"retry_in", seconds_until(trunk.retry, now)}});
  reply(json_response(200, {{"trunks", list}}));
}

}  // namespace junctor::api
