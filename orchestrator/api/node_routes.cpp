// SPDX-License-Identifier: LGPL-2.1-or-later
// What the API tells of nodes.
#include <nlohmann/json.hpp>

#include "api/api.h"

namespace junctor::api {

void Api::list_nodes(const Request &, const Parameters &, const Reply &reply) {
  using nlohmann::json;
  const auto text = [](const std::string &value) {
    return value.empty() ? json(nullptr) : json(value);
  };
  json list = json::array();
  if (backend_.rendezvous)
    for (const auto &node : backend_.rendezvous->nodes())
      list.push_back({{"name", node.name},
                      {"account", node.account},
                      {"agent", text(node.agent)},
                      {"region", text(node.region)},
                      {"nat", text(node.nat)},
                      {"legs", node.legs},
                      {"used", node.used},
                      {"price", node.price},
                      {"bits_per_second", node.bits_per_second},
                      {"draining", text(node.draining)},
                      {"sessions", node.sessions},
                      {"served", node.served}});
  reply(json_response(200, {{"nodes", list}}));
}

}  // namespace junctor::api
