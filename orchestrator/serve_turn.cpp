// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve_turn.h"

#include "accounts/secrets.h"
#include "config/places.h"
#include "turn/look.h"

namespace junctor {

namespace {

Error at(const char *what, const Error &error) {
  return {error.fault, std::string(what) + ": " + error.detail};
}

Result<std::unique_ptr<turn::Relay>> other_relay(const config::Turn &turn) {
  if (turn.secret_file.empty())
    return bad_input(
        "turn.server: a TURN server that is not ours needs turn.secret-file, the file with the "
        "static-auth-secret of its configuration");
  auto secret = accounts::read_secret_line(turn.secret_file);
  if (!secret) return at("turn.secret-file", secret.error());
  turn::RelayOptions options;
  options.urls = turn.urls;
  options.secret = *secret;
  options.life = turn.lifetime;
  return std::make_unique<turn::Relay>(std::move(options));
}

}  // namespace

Endpoint own_relay_seen_from_here(const config::Config &config) {
  const Endpoint &listen = config.turn.listen;
  if (listen.address != "0.0.0.0" && listen.address != "::") return listen;
  const std::string host = config::without_brackets(config::public_host(config, listen));
  if (bind_udp({host, 0})) return {host, listen.port};
  config::Config inside = config;
  inside.public_host.clear();
  return {config::without_brackets(config::public_host(inside, listen)), listen.port};
}

bool own_relay_answers(const Endpoint &at) {
  return turn::answers(at, std::chrono::seconds(2));  // one that runs answers at once
}

Result<std::unique_ptr<turn::Relay>> open_relay(
    const config::Config &config,
    const std::function<Result<TlsFiles>(const Endpoint &)> &certificate, const LogSink &log) {
  const config::Turn &turn = config.turn;
  if (turn.mode == config::TurnMode::Off) return std::unique_ptr<turn::Relay>();
  if (turn.mode == config::TurnMode::Other) return other_relay(turn);

  auto secret = accounts::load_or_make_secret(config.data_dir + "/turn-secret",
                                              [] { return accounts::random_hex(32); });
  if (!secret) return secret.error();
  const std::string host = config::without_brackets(config::public_host(config, turn.listen));
  turn::CoturnOptions coturn;
  coturn.directory = config.data_dir + "/turn";
  coturn.listen = turn.listen;
  coturn.tls = turn.tls;
  coturn.low = turn.low;
  coturn.high = turn.high;
  coturn.secret = *secret;
  coturn.realm = config.sip.realm.empty() ? "junctor" : config.sip.realm;
  coturn.allowed_peers = turn.allowed_peers;
  coturn.bytes_per_second = turn.bytes_per_second;
  const bool numeric = static_cast<bool>(Endpoint{host, 1}.to_sockaddr());
  // Behind a router of its own the relay must name the address that the router has.
  if (numeric && !config.public_host.empty() && host != turn.listen.address) coturn.external = host;
  // Two clients that both need the relay meet at its own address.
  if (numeric && !turn::is_public(host)) coturn.allowed_peers.push_back(host);

  turn::RelayOptions options;
  options.secret = *secret;
  options.life = turn.lifetime;
  options.look_at = own_relay_seen_from_here(config);
  const std::string plain = "turn:" + Endpoint{host, turn.listen.port}.to_string();
  options.urls = {plain + "?transport=udp", plain + "?transport=tcp"};
  if (turn.tls) {
    auto files = certificate(*turn.tls);
    if (!files) return at("TURN over TLS (turn.tls-listen)", files.error());
    coturn.certificate = files->certificate;
    coturn.key = files->key;
    options.files = *files;
    options.pin = config.tls.certificate.empty();  // nobody else vouches for our own making
    options.urls.push_back("turns:" + Endpoint{host, turn.tls->port}.to_string() +
                           "?transport=tcp");
  }
  auto relay = turn::Relay::start(std::move(options), coturn, log);
  if (relay) {
    return relay;
  }
  if (relay.error().fault != Fault::Unreachable) return at("TURN (--turn auto)", relay.error());
  log(LogLevel::Warning,
      "turn: " + relay.error().detail + "; there is no relay (apt install coturn, or --turn off)");
  return std::unique_ptr<turn::Relay>();
}

}  // namespace junctor
