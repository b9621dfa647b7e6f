// SPDX-License-Identifier: LGPL-2.1-or-later
// What an account needs to use the relay.
#include <nlohmann/json.hpp>

#include "api/api.h"

namespace junctor::api {

void Api::show_turn(const Request &, const Parameters &parameters, const Reply &reply) {
  if (!backend_.relay)
    return reply(problem(404, "This server has no TURN relay; --turn auto starts one."));
  if (!backend_.book->snapshot()->find(parameters[0]))
    return reply(problem(404, "There is no account '" + parameters[0] + "'."));
  const auto offer = backend_.relay->offer(parameters[0], backend_.seconds());
  if (!offer)
    return reply(problem(503, "The relay does not answer; the server's log says where it should."));
  nlohmann::json body{{"urls", offer->urls},
                      {"username", offer->credentials.username},
                      {"credential", offer->credentials.password},
                      {"ttl", offer->life.count()}};
  if (!offer->certificate_sha256.empty()) body["certificate_sha256"] = offer->certificate_sha256;
  Response response = json_response(200, body);
  response.headers.emplace_back("Cache-Control", "no-store");
  reply(response);
}

}  // namespace junctor::api
