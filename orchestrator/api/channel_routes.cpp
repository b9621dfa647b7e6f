// SPDX-License-Identifier: LGPL-2.1-or-later
// What the API tells of channels between clients.
#include <nlohmann/json.hpp>

#include "api/api.h"
#include "store/call_json.h"

namespace junctor::api {

namespace {

using nlohmann::json;

json time_json(const std::optional<rendezvous::WallTime> &time) {
  return time ? json(store::timestamp(*time)) : json(nullptr);
}

json text_json(const std::string &text) { return text.empty() ? json(nullptr) : json(text); }

json to_json(const rendezvous::View &channel, bool full) {
  json value = {
      {"id", channel.id},
      {"from", channel.from},
      {"to", channel.to},
      {"state", to_string(channel.state)},
      {"reason", text_json(channel.reason)},
      {"detail", text_json(channel.detail)},
      {"created", store::timestamp(channel.created)},
      {"ringing", time_json(channel.ringing)},
      {"answered", time_json(channel.answered)},
      {"ended", time_json(channel.ended)},
      {"direct", text_json(channel.direct)},
      {"direct_why", text_json(channel.direct_why)},
      {"carried_by",
       {{"caller", text_json(channel.caller_rung)}, {"callee", text_json(channel.callee_rung)}}}};
  if (!full) return value;
  json ladder = json::array();
  for (const auto &each : channel.rungs)
    ladder.push_back({{"at", store::timestamp(each.at)},
                      {"by", each.by},
                      {"rung", each.rung},
                      {"node", text_json(each.node)},
                      {"state", each.state},
                      {"why", text_json(each.why)},
                      {"ms", each.ms}});
  value["ladder"] = ladder;
  return value;
}

constexpr std::size_t kMostListed = 500;

}  // namespace

void Api::list_channels(const Request &, const Parameters &, const Reply &reply) {
  json list = json::array();
  if (backend_.rendezvous)
    for (const auto &channel : backend_.rendezvous->list()) {
      if (list.size() >= kMostListed) break;
      list.push_back(to_json(channel, false));
    }
  reply(json_response(200, {{"channels", list}}));
}

void Api::show_channel(const Request &, const Parameters &parameters, const Reply &reply) {
  const auto channel =
      backend_.rendezvous ? backend_.rendezvous->find(parameters[0]) : std::nullopt;
  if (!channel) return reply(problem(404, "There is no such channel."));
  reply(json_response(200, to_json(*channel, true)));
}

void Api::end_channel(const Request &, const Parameters &parameters, const Reply &reply) {
  if (!backend_.rendezvous || !backend_.rendezvous->hang_up(parameters[0], Clock::now()))
    return reply(problem(404, "There is no such channel that runs."));
  reply({204, {}, "", ""});
}

void Api::channel_changed(const rendezvous::View &channel) {
  feeds_.tell("channel", to_json(channel, false));
}

}  // namespace junctor::api
