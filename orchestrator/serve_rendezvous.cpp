// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve_rendezvous.h"

#include "accounts/secrets.h"
#include "config/places.h"
#include "serve_common.h"

namespace junctor {

namespace {

constexpr std::size_t kIdBytes = 16;

}  // namespace

std::unique_ptr<rendezvous::Socket> make_rendezvous(
    const config::Config &config, const std::shared_ptr<accounts::Book> &book,
    const std::vector<Endpoint> &stun, const turn::Relay *relay,
    std::function<void(const rendezvous::View &)> changed, const LogSink &log) {
  rendezvous::Socket::Options options;
  rendezvous::Options &own = options.rendezvous;
  own.limits = config.rendezvous;
  for (const Endpoint &each : stun)
    own.stun.push_back(config::public_host(config, each) + ":" + std::to_string(each.port));
  for (const config::StunRegion &region : config.regions)
    own.regions.push_back({region.name, region.stun});
  own.nodes = config.nodes.accept;
  own.rule = config.nodes.rule;
  own.is_account = [book](const std::string &name) {
    return book->snapshot()->find(name) != nullptr;
  };
  own.new_id = [] { return accounts::random_hex(kIdBytes); };
  own.wall = [] { return std::chrono::system_clock::now(); };
  if (relay)
    own.relay = [relay](const std::string &account) -> std::optional<rendezvous::wire::Turn> {
      const auto offer = relay->offer(account, seconds_now());
      if (!offer) return std::nullopt;
      return rendezvous::wire::Turn{"",
                                    offer->urls,
                                    offer->credentials.username,
                                    offer->credentials.password,
                                    static_cast<std::uint32_t>(offer->life.count()),
                                    offer->certificate_sha256};
    };
  own.log = log;
  options.bearer = [book](std::string_view token) -> Result<rendezvous::Bearer> {
    auto claims = book->verify(token, seconds_now());
    if (!claims) return claims.error();
    if (!claims->rights.push || !claims->rights.pull)
      return refused("the token of " + claims->subject +
                     " has not both rights, push and pull, which a channel needs");
    return rendezvous::Bearer{claims->subject, claims->id};
  };
  options.changed = std::move(changed);
  return rendezvous::Socket::make(std::move(options));
}

}  // namespace junctor
