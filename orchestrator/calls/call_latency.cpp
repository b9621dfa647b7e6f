// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/call_latency.h"

namespace junctor::calls {

std::vector<RouteLatency> route_latency(const std::array<LegLatency, 2> &legs,
                                        const CodingLatency &coding) {
  std::vector<RouteLatency> routes;
  for (const Side from : kSides)
    for (const Medium medium : {Medium::Audio, Medium::Video}) {
      const auto at = static_cast<std::size_t>(medium);
      const auto &giver = legs[index_of(from)].of[at];
      const auto &taker = legs[index_of(other(from))].of[at];
      const auto &steps = coding.to[index_of(other(from))][at];
      // What is not sent on goes no way.
      if (giver.receive.count == 0 || taker.send.count == 0) continue;
      RouteLatency route{std::string(from == Side::Caller ? kToCallee : kToCaller), medium, {}};
      const auto add = [&route](std::string_view name, const LatencyFigures &figures) {
        if (figures.count > 0) route.stages.push_back({name, figures});
      };
      add("receive", giver.receive);
      add("reorder", giver.reorder);
      add("decode", steps.decode);
      add("encode", steps.encode);
      // A terminal makes no packets; where nothing is decoded, chunks are made in what a phone's
      // session does with a packet at once.
      if (taker.packetize.count > 0)
        add("packetize", taker.packetize);
      else if (steps.decode.count == 0)
        add("packetize", giver.pass_on);
      add("send", taker.send);
      routes.push_back(std::move(route));
    }
  return routes;
}

}  // namespace junctor::calls
