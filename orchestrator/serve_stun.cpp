// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve_stun.h"

#include "config/stun.h"
#include "serve_common.h"

namespace junctor {

Result<std::shared_ptr<nat::StunServer>> open_stun(const config::Config &config,
                                                   const std::shared_ptr<Reactor> &reactor,
                                                   const LogSink &log) {
  if (auto good = config::check_stun(config); !good) return good.error();
  if (!config.listen.stun) return std::shared_ptr<nat::StunServer>();
  nat::StunServerOptions options;
  options.listen = *config.listen.stun;
  options.alternate = config::stun_alternate(config);
  options.limits.per_second = config.stun.requests_per_second;
  options.limits.burst = 4 * config.stun.requests_per_second;
  options.log = log;
  auto server = nat::StunServer::listen(reactor, options);
  if (!server && options.alternate && !config.stun.alternate) {
    const std::string why = server.error().detail;
    options.alternate.reset();
    server = nat::StunServer::listen(reactor, std::move(options));
    if (server)
      log(LogLevel::Warning,
          "stun: no second port: " + why +
              "; how clients' NATs behave cannot be told, and their calls find their way later. "
              "Name a port that is free in stun.alternate of the configuration");
  }
  if (!server) return at("STUN (--stun, stun.alternate)", server.error());
  log(LogLevel::Info, "stun: answers on " + describe(**server));
  return server;
}

std::string describe(const nat::StunServer &server) {
  const auto alternate = server.alternate();
  return server.local().to_string() + " UDP and TCP" +
         (alternate ? ", tests of NAT behaviour with " + alternate->to_string()
                    : "; no second port, so NATs' behaviour cannot be told (see stun.alternate)");
}

}  // namespace junctor
