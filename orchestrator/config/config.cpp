// SPDX-License-Identifier: LGPL-2.1-or-later
#include "config/config.h"

#include <sys/stat.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <sstream>
#include <tuple>

#include "accounts/networks.h"
#include "accounts/webhook_client.h"
#include "calls/tones.h"
#include "config/checks.h"
#include "config/nearest.h"
#include "config/regions.h"
#include "config/stun.h"
#include "config/trunks.h"
#include "config/turn.h"
#include "rtp/core/formats.h"
#include "turn/coturn_config.h"

namespace junctor::config {

namespace {

using Reader = std::function<Result<void>(const toml::node &, Config &)>;

struct Key {
  const char *name;
  const char *explanation;
  Reader read;
};

template <class Field>
Reader integer(Field &&field, std::int64_t low, std::int64_t high) {
  return [=](const toml::node &node, Config &config) -> Result<void> {
    const auto value = node.is_integer() ? node.value<std::int64_t>() : std::nullopt;
    if (!value || *value < low || *value > high)
      return bad_input("must be a whole number from " + std::to_string(low) + " to " +
                       std::to_string(high));
    auto &target = field(config);
    target = std::remove_reference_t<decltype(target)>(*value);
    return {};
  };
}

/// Whole seconds into a Duration.
template <class Field>
Reader seconds(Field &&field, std::int64_t low, std::int64_t high) {
  return [=](const toml::node &node, Config &config) -> Result<void> {
    std::int64_t value = 0;
    const Reader read = integer(
        [&](Config &) -> auto & { return value; }, low, high);
    if (auto done = read(node, config); !done) return done;
    field(config) = std::chrono::seconds(value);
    return {};
  };
}

template <class Field>
Reader text(Field &&field) {
  return [=](const toml::node &node, Config &config) -> Result<void> {
    const auto value = node.is_string() ? node.value<std::string>() : std::nullopt;
    if (!value) return bad_input("must be a text in \"quotes\"");
    field(config) = *value;
    return {};
  };
}

using CheckTexts = std::function<Result<void>(const std::vector<std::string> &)>;

/// `check` judges them all; none: whatever they are.
template <class Field>
Reader texts(Field &&field, const CheckTexts &check = {}) {
  return [=](const toml::node &node, Config &config) -> Result<void> {
    const auto *array = node.as_array();
    std::vector<std::string> values;
    if (array)
      for (const auto &item : *array)
        if (const auto value = item.is_string() ? item.value<std::string>() : std::nullopt)
          values.push_back(*value);
    if (!array || values.size() != array->size())
      return bad_input("must be a list of texts, like [\"one\", \"two\"]");
    if (check)
      if (auto good = check(values); !good) return good.error();
    field(config) = std::move(values);
    return {};
  };
}

/// A text that `parse` turns into the value of the field.
template <class Field, class Parse>
Reader parsed(Field &&field, Parse &&parse) {
  return [=](const toml::node &node, Config &config) -> Result<void> {
    const auto value = node.is_string() ? node.value<std::string>() : std::nullopt;
    if (!value) return bad_input("must be a text in \"quotes\"");
    auto result = parse(*value);
    if (!result) return result.error();
    field(config) = *result;
    return {};
  };
}

Result<Identity> parse_identity(std::string_view text) {
  if (text == "at-connect") return Identity::AtConnect;
  if (text == "at-publish") return Identity::AtPublish;
  return bad_input("must be \"at-connect\" or \"at-publish\"");
}

Result<sip::Callers> parse_callers(std::string_view text) {
  if (text == "accounts") return sip::Callers::Accounts;
  if (text == "anyone") return sip::Callers::Anyone;
  return bad_input("must be \"accounts\" or \"anyone\"");
}

Result<std::string> parse_webhook(const std::string &url) {
  if (url.empty()) return url;
  if (auto valid = accounts::check_webhook_url(url); !valid) return valid.error();
  return url;
}

Result<void> read_boolean(const toml::node &node, bool &field) {
  if (!node.is_boolean()) return bad_input("must be true or false");
  field = *node.value<bool>();
  return {};
}

Result<void> read_allow(const toml::node &node, Config &config) {
  const Error wrong = bad_input(
      "must be a list of addresses, like [\"sip:*@example.org\"]; one that needs more is "
      "{ uri = \"sip:*@example.org\", user = \"u\", password = \"p\", proxy = \"sip:host\", "
      "srtp = \"require\" }");
  const auto *array = node.as_array();
  if (!array) return wrong;
  std::vector<Allow> rules;
  for (const auto &item : *array) {
    Allow rule;
    if (const auto *table = item.as_table()) {
      for (const auto &[key, value] : *table) {
        std::string *field = key == "uri"        ? &rule.uri
                             : key == "user"     ? &rule.user
                             : key == "password" ? &rule.password
                             : key == "proxy"    ? &rule.proxy
                                                 : nullptr;
        if (key == "srtp" && value.is_string()) {
          auto policy = parse_srtp(*value.value<std::string>());
          if (!policy) return bad_input("srtp " + policy.error().detail);
          rule.srtp = *policy;
          continue;
        }
        if (!field || !value.is_string()) return wrong;
        *field = *value.value<std::string>();
      }
    } else if (item.is_string()) {
      rule.uri = *item.value<std::string>();
    }
    if (rule.uri.empty()) return wrong;
    rules.push_back(std::move(rule));
  }
  config.sip.allow = std::move(rules);
  return {};
}

Result<void> read_alternate(const toml::node &node, Stun &stun) {
  const auto value = node.is_string() ? node.value<std::string>() : std::nullopt;
  if (!value) return bad_input("must be a text in \"quotes\"");
  return parse_alternate(*value, stun);
}

Result<void> read_session_expires(const toml::node &node, std::chrono::seconds &field) {
  const auto value = node.is_integer() ? node.value<std::int64_t>() : std::nullopt;
  // Shorter ones are not allowed by RFC 4028 section 4.
  if (!value || (*value != 0 && (*value < 90 || *value > 86400)))
    return bad_input("must be 0, or a whole number from 90 to 86400");
  field = std::chrono::seconds(*value);
  return {};
}

Result<void> check_networks(const std::vector<std::string> &names) {
  const auto networks = accounts::Networks::parse(names);
  return networks ? Result<void>() : Result<void>(networks.error());
}

Result<std::string> parse_country(const std::string &country) {
  if (calls::find_tone_row(country)) return country;
  std::string known;
  for (const calls::ToneRow &row : calls::tone_rows())
    known += (known.empty() ? "" : ", ") + std::string(row.country);
  return bad_input("there are no tones of '" + country + "'; there are those of " + known);
}

Result<void> check_allowed_peers(const std::vector<std::string> &texts) {
  for (const std::string &each : texts)
    if (const auto range = turn::parse_allowed_peers(each); !range) return range.error();
  return {};
}

Result<void> check_formats(const std::vector<std::string> &names) {
  for (const std::string &name : names) {
    if (!rtp::find_formats(name).empty()) continue;
    std::string known;
    for (const rtp::Format &format : rtp::formats())
      known += (known.empty() ? "" : ", ") + rtp::name_of(format);
    return bad_input("there is no format '" + name + "'; there are " + known +
                     ", and the codecs that they carry, like h264");
  }
  return {};
}

Result<void> read_ports(const toml::node &node, std::uint16_t &low, std::uint16_t &high) {
  const auto value = node.is_string() ? node.value<std::string>() : std::nullopt;
  auto range = parse_port_range(value.value_or(""));
  if (!range) return range.error();
  std::tie(low, high) = *range;
  return {};
}

Result<void> read_turn(const toml::node &node, Turn &turn) {
  const auto value = node.is_string() ? node.value<std::string>() : std::nullopt;
  return parse_turn(value.value_or(""), turn);
}

const std::vector<Key> &table() {
  constexpr auto kMaxMs = std::int64_t{3600} * 1000;
  constexpr auto kMaxBytes = std::int64_t{1} << 30;
  // clang-format off
  static const std::vector<Key> kKeys = {
      {"data-dir", "directory of accounts, secrets and records",
       text([](Config &c) -> auto & { return c.data_dir; })},
      {"public-host", "host name or address in ready-made URLs; without: this machine's address",
       parsed([](Config &c) -> auto & { return c.public_host; }, parse_public_host)},
      {"log", "debug, info, warning or error",
       parsed([](Config &c) -> auto & { return c.log; }, parse_log_level)},
      {"listen.rtmp", "ADDRESS:PORT of RTMP, or off",
       parsed([](Config &c) -> auto & { return c.listen.rtmp; }, parse_listen)},
      {"listen.rtmps", "ADDRESS:PORT of RTMP under TLS, or off",
       parsed([](Config &c) -> auto & { return c.listen.rtmps; }, parse_listen)},
      {"listen.sip", "ADDRESS:PORT of SIP over UDP and TCP, or off",
       parsed([](Config &c) -> auto & { return c.listen.sip; }, parse_listen)},
      {"listen.sips", "ADDRESS:PORT of SIP over TLS, or off",
       parsed([](Config &c) -> auto & { return c.listen.sips; }, parse_listen)},
      {"listen.http", "ADDRESS:PORT of the REST API, or off",
       parsed([](Config &c) -> auto & { return c.listen.http; }, parse_listen)},
      {"listen.https", "ADDRESS:PORT of the same under TLS, for clients elsewhere, or off",
       parsed([](Config &c) -> auto & { return c.listen.https; }, parse_listen)},
      {"listen.stun", "ADDRESS:PORT of STUN over UDP and TCP, or off",
       parsed([](Config &c) -> auto & { return c.listen.stun; }, parse_listen)},
      {"listen.rtp-ports", "LOW-HIGH, the UDP ports of calls",
       [](const toml::node &n, Config &c) { return read_ports(n, c.listen.rtp_low, c.listen.rtp_high); }},
      {"tls.certificate", "PEM file of the certificate and those between it and the root; it may be renewed while this runs",
       text([](Config &c) -> auto & { return c.tls.certificate; })},
      {"tls.key", "PEM file of its key, without a passphrase",
       text([](Config &c) -> auto & { return c.tls.key; })},
      {"rtmp.identity", "at-connect, or at-publish to accept a token in the stream name only",
       parsed([](Config &c) -> auto & { return c.rtmp.identity; }, parse_identity)},
      {"rtmp.applications", "application names that exist",
       texts([](Config &c) -> auto & { return c.rtmp.applications; }, check_applications)},
      {"rtmp.networks", "networks that may connect; empty: all",
       texts([](Config &c) -> auto & { return c.rtmp.networks; }, check_networks)},
      {"rtmp.streams-per-account", "streams of one account at once, pushed and pulled",
       integer([](Config &c) -> auto & { return c.rtmp.streams_per_account; }, 1, 10000)},
      {"rtmp.connections", "connections at once",
       integer([](Config &c) -> auto & { return c.rtmp.limits.connections; }, 1, 1000000)},
      {"rtmp.connections-per-address", "connections at once from one address",
       integer([](Config &c) -> auto & { return c.rtmp.limits.connections_per_address; }, 1, 1000000)},
      {"rtmp.handshake-ms", "time from accept to the end of connect; 0: no limit",
       integer([](Config &c) -> auto & { return c.rtmp.limits.handshake_ms; }, 0, kMaxMs)},
      {"rtmp.start-ms", "time from connect to publish or play; 0: no limit",
       integer([](Config &c) -> auto & { return c.rtmp.limits.start_ms; }, 0, kMaxMs)},
      {"rtmp.verdict-ms", "time for the answer to a check",
       integer([](Config &c) -> auto & { return c.rtmp.limits.verdict_ms; }, 100, kMaxMs)},
      {"rtmp.idle-ms", "time without any data; 0: no limit",
       integer([](Config &c) -> auto & { return c.rtmp.limits.idle_ms; }, 0, kMaxMs)},
      {"rtmp.wait-ms", "time that a player waits for a call; 0: no limit",
       integer([](Config &c) -> auto & { return c.rtmp.limits.wait_ms; }, 0, 24 * kMaxMs)},
      {"rtmp.command-bytes", "largest command",
       integer([](Config &c) -> auto & { return c.rtmp.limits.command_bytes; }, 1024, kMaxBytes)},
      {"rtmp.media-bytes", "largest picture or sound message",
       integer([](Config &c) -> auto & { return c.rtmp.limits.media_bytes; }, 1024, kMaxBytes)},
      {"rtmp.connection-bytes", "all unfinished messages of one connection",
       integer([](Config &c) -> auto & { return c.rtmp.limits.connection_bytes; }, 1024, kMaxBytes)},
      {"rtmp.lag-skip-ms", "a player so far behind skips pictures that no other needs",
       integer([](Config &c) -> auto & { return c.rtmp.limits.lag_skip_ms; }, 1, kMaxMs)},
      {"rtmp.lag-jump-ms", "a player so far behind jumps to the newest keyframe",
       integer([](Config &c) -> auto & { return c.rtmp.limits.lag_jump_ms; }, 1, kMaxMs)},
      {"rtmp.lag-part-ms", "a player so far behind is parted",
       integer([](Config &c) -> auto & { return c.rtmp.limits.lag_part_ms; }, 1, kMaxMs)},
      {"accounts.webhook", "URL that is asked at each check of a terminal; empty: the accounts here decide",
       parsed([](Config &c) -> auto & { return c.accounts.webhook; }, parse_webhook)},
      {"accounts.webhook-timeout-ms", "time for its answer, less than rtmp.verdict-ms; then refused",
       integer([](Config &c) -> auto & { return c.accounts.webhook_timeout; }, 50, kMaxMs)},
      {"accounts.webhook-secret-file", "file of mode 0600 with what it is shown as a bearer token",
       text([](Config &c) -> auto & { return c.accounts.webhook_secret_file; })},
      {"accounts.webhook-ca-file", "PEM file of the authorities of its certificate; empty: the system's",
       text([](Config &c) -> auto & { return c.accounts.webhook_ca_file; })},
      {"accounts.webhook-requests", "checks that wait for its answer at once; more are refused",
       integer([](Config &c) -> auto & { return c.accounts.webhook_requests; }, 1, 10000)},
      {"sip.tcp", "true: SIP over TCP as well",
       [](const toml::node &n, Config &c) { return read_boolean(n, c.sip.tcp); }},
      {"sip.incoming", "who may call terminals from a phone: accounts, by their password, or anyone",
       parsed([](Config &c) -> auto & { return c.sip.incoming; }, parse_callers)},
      {"sip.realm", "realm of digest authentication; accounts made under another one cannot register",
       text([](Config &c) -> auto & { return c.sip.realm; })},
      {"sip.media-address", "address of this machine in SDP; empty: the one towards the peer",
       parsed([](Config &c) -> auto & { return c.sip.media_address; }, parse_media_address)},
      {"sip.srtp", "encryption of phones' media: off, prefer (over TLS, with who can) or require; accounts, rules and trunks may say otherwise",
       parsed([](Config &c) -> auto & { return c.sip.srtp; }, parse_srtp)},
      {"sip.tls-ca", "PEM file of who is believed about servers called over TLS; empty: the system's authorities",
       text([](Config &c) -> auto & { return c.sip.tls_ca; })},
      {"sip.tls-verify", "false: servers called over TLS are believed whatever certificate they show",
       [](const toml::node &n, Config &c) { return read_boolean(n, c.sip.tls_verify); }},
      {"sip.answer-timeout-s", "seconds until an unanswered call ends with no-answer",
       integer([](Config &c) -> auto & { return c.sip.answer_timeout; }, 1, 3600)},
      {"sip.connections", "TCP connections at once",
       integer([](Config &c) -> auto & { return c.sip.connections.in_all; }, 1, 1000000)},
      {"sip.connections-per-address", "TCP connections at once from one address",
       integer([](Config &c) -> auto & { return c.sip.connections.per_peer; }, 1, 1000000)},
      {"sip.requests", "requests outside of calls that are open at once",
       integer([](Config &c) -> auto & { return c.sip.requests; }, 1, 1000000)},
      {"sip.requests-per-address", "requests outside of calls that are open at once, of one address",
       integer([](Config &c) -> auto & { return c.sip.requests_per_address; }, 1, 1000000)},
      {"sip.formats", "codecs or formats that calls offer to phones; empty: all",
       texts([](Config &c) -> auto & { return c.sip.formats; }, check_formats)},
      {"sip.allow", "SIP addresses that accounts may call besides each other", read_allow},
      {"sip.session-expires-s", "seconds after which a call that nobody refreshes is over (RFC 4028); 0: not asked for",
       [](const toml::node &n, Config &c) { return read_session_expires(n, c.sip.session_expires); }},
      {"sip.trunks", "other SIP servers that calls go to and come from", [](const toml::node &n, Config &c) { return read_trunks(n, c.sip.trunks); }},
      {"stun.alternate", "ADDRESS:PORT of the second address and port of STUN, which show how NATs behave; auto: the next port, if it is free; off: none",
       [](const toml::node &n, Config &c) { return read_alternate(n, c.stun); }},
      {"stun.requests-per-second", "STUN requests of one address that are answered; four times as many at once",
       integer([](Config &c) -> auto & { return c.stun.requests_per_second; }, 1, 1000000)},
      {"turn.server", "auto: coturn as a child of this, where it is installed; off; or URLs of one that runs, like turn:HOST:PORT",
       [](const toml::node &n, Config &c) { return read_turn(n, c.turn); }},
      {"turn.secret-file", "file with the static-auth-secret of a TURN server that is not ours",
       text([](Config &c) -> auto & { return c.turn.secret_file; })},
      {"turn.lifetime-s", "seconds that credentials of TURN are good for",
       integer([](Config &c) -> auto & { return c.turn.lifetime; }, 60, 604800)},
      {"turn.listen", "ADDRESS:PORT of our coturn, UDP and TCP",
       parsed([](Config &c) -> auto & { return c.turn.listen; }, parse_turn_listen)},
      {"turn.tls-listen", "ADDRESS:PORT of it under TLS, or off; the address is that of turn.listen",
       parsed([](Config &c) -> auto & { return c.turn.tls; }, parse_listen)},
      {"turn.ports", "LOW-HIGH, the UDP ports of relayed addresses",
       [](const toml::node &n, Config &c) { return read_ports(n, c.turn.low, c.turn.high); }},
      {"turn.allowed-peers", "private addresses, CIDR or LOW-HIGH, that it relays to all the same",
       texts([](Config &c) -> auto & { return c.turn.allowed_peers; }, check_allowed_peers)},
      {"turn.bytes-per-second", "of each allocation; 0: any",
       integer([](Config &c) -> auto & { return c.turn.bytes_per_second; }, 0, kMaxBytes)},
      {"nodes.accept", "whether accounts may lend devices, by junctor node",
       [](const toml::node &n, Config &c) { return read_boolean(n, c.nodes.accept); }},
      {"nodes.rule", "which node a session is brought to: nearest, least-loaded or cheapest",
       parsed([](Config &c) -> auto & { return c.nodes.rule; }, nodes::rule_from_string)},
      {"regions", "STUN servers of several places, of which clients take the nearest", [](const toml::node &n, Config &c) { return read_regions(n, c.regions); }},
      {"rendezvous.connections", "connections of clients at once",
       integer([](Config &c) -> auto & { return c.rendezvous.connections; }, 1, 1000000)},
      {"rendezvous.connections-per-account", "of one account",
       integer([](Config &c) -> auto & { return c.rendezvous.connections_per_account; }, 1, 10000)},
      {"rendezvous.sessions", "sessions of two clients at once",
       integer([](Config &c) -> auto & { return c.rendezvous.sessions; }, 1, 1000000)},
      {"rendezvous.sessions-per-account", "that one account has begun",
       integer([](Config &c) -> auto & { return c.rendezvous.sessions_per_account; }, 1, 10000)},
      {"rendezvous.ring-s", "seconds until a session that nobody accepts ends with no-answer",
       seconds([](Config &c) -> auto & { return c.rendezvous.ring_time; }, 1, 3600)},
      {"watchdog.interval-ms", "milliseconds between two looks for the publisher's media (M)",
       integer([](Config &c) -> auto & { return c.watchdog.interval; }, 1, kMaxMs)},
      {"watchdog.tries", "looks without media until the call ends (N)",
       integer([](Config &c) -> auto & { return c.watchdog.tries; }, 1, 100000)},
      {"media.country", "country whose ring tone and other tones of calls are heard, as in ISO 3166",
       parsed([](Config &c) -> auto & { return c.media.country; }, parse_country)},
      {"media.pictures", "directory of your own pictures of calls' states; empty: none",
       text([](Config &c) -> auto & { return c.media.pictures; })},
      {"media.tones", "directory of your own tones of calls' states; empty: none",
       text([](Config &c) -> auto & { return c.media.tones; })},
      {"media.farewell-ms", "how long players are shown why a call did not come about; 0: they part at once",
       integer([](Config &c) -> auto & { return c.media.farewell; }, 0, 60000)},
      {"calls.max", "calls at once",
       integer([](Config &c) -> auto & { return c.calls.max; }, 1, 1000000)},
      {"calls.keep-days", "days that records of ended calls are kept",
       integer([](Config &c) -> auto & { return c.calls.keep_days; }, 1, 36500)},
  };
  // clang-format on
  return kKeys;
}

std::vector<std::string> names() {
  std::vector<std::string> list;
  for (const Key &key : table()) list.emplace_back(key.name);
  return list;
}

Error at_line(const std::string &name, const toml::source_region &source, const std::string &what) {
  return bad_input(name + " line " + std::to_string(source.begin.line) + ": " + what);
}

Result<void> read_table(const toml::table &tree, const std::string &prefix, const std::string &name,
                        Config &config) {
  for (const auto &[key, node] : tree) {
    const std::string full = prefix + std::string(key.str());
    const auto known = std::find_if(table().begin(), table().end(),
                                    [&](const Key &entry) { return full == entry.name; });
    if (known != table().end()) {
      if (auto read = known->read(node, config); !read)
        return at_line(name, node.source(), full + ": " + read.error().detail);
      continue;
    }
    const auto section = full + ".";
    const bool is_section = std::any_of(table().begin(), table().end(), [&](const Key &entry) {
      return std::string_view(entry.name).starts_with(section);
    });
    if (is_section && node.is_table()) {
      if (auto read = read_table(*node.as_table(), section, name, config); !read)
        return read.error();
      continue;
    }
    // The first key of a wrong section says more than the section's name.
    std::string wrong = full;
    if (const auto *child = node.as_table(); child && !child->empty())
      wrong += "." + std::string(child->begin()->first.str());
    std::string what = "unknown key '" + wrong + "'";
    if (const auto meant = nearest(wrong, names())) what += "; did you mean '" + *meant + "'?";
    return at_line(name, key.source(), what);
  }
  return {};
}

}  // namespace

Result<rtp::SrtpPolicy> parse_srtp(std::string_view text) {
  if (const auto policy = rtp::srtp_policy_from_string(text)) return *policy;
  return bad_input("must be \"off\", \"prefer\" or \"require\"");
}

Result<void> read_text(std::string_view text, const std::string &name, Config &config) {
  try {
    const toml::table tree = toml::parse(text, std::string_view(name));
    return read_table(tree, "", name, config);
  } catch (const toml::parse_error &failure) {
    return at_line(name, failure.source(), std::string(failure.description()));
  }
}

Result<void> read_file(const std::string &path, Config &config) {
  constexpr std::size_t kLimit = 1 << 20;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  if (file) content << file.rdbuf();
  if (!file || content.str().size() > kLimit || std::filesystem::is_directory(path))
    return bad_input("cannot read the configuration file " + path +
                     "; name a TOML file of at most 1 MiB, or leave --config out");
  if (auto read = read_text(content.str(), path, config); !read) return read.error();
  const auto secret = [](const auto &entry) { return !entry.password.empty(); };
  const bool secrets = std::ranges::any_of(config.sip.allow, secret) ||
                       std::ranges::any_of(config.sip.trunks, secret);
  struct stat status {};
  if (secrets && ::stat(path.c_str(), &status) == 0 && (status.st_mode & 077) != 0)
    return refused(path + " holds a password and can be read by others; close it with: chmod 600 " +
                   path);
  return {};
}

std::vector<std::pair<std::string, std::string>> keys() {
  std::vector<std::pair<std::string, std::string>> list;
  for (const Key &key : table()) list.emplace_back(key.name, key.explanation);
  return list;
}

Result<std::pair<std::uint16_t, std::uint16_t>> parse_port_range(std::string_view text) {
  std::uint16_t low = 0, high = 0;
  const char *last = text.data() + text.size();
  const auto first = std::from_chars(text.data(), last, low);
  const bool dash = first.ec == std::errc() && first.ptr != last && *first.ptr == '-';
  const auto second = dash ? std::from_chars(first.ptr + 1, last, high) : first;
  if (!dash || second.ec != std::errc() || second.ptr != last || low < 1024 || high <= low)
    return bad_input(
        "'" + std::string(text) +
        "' is no range of ports; write LOW-HIGH from 1024 on, for example 20000-29999");
  if (high - low < 3)
    return bad_input("'" + std::string(text) + "' has no room for a call: each takes four ports");
  return std::pair(low, high);
}

Result<std::optional<Endpoint>> parse_listen(std::string_view text) {
  if (text == "off") return std::optional<Endpoint>();
  auto endpoint = Endpoint::parse(text);
  if (!endpoint) return bad_input(endpoint.error().detail + ", or `off`");
  return std::optional<Endpoint>(*endpoint);
}

std::string_view to_string(LogLevel level) {
  switch (level) {
    case LogLevel::Debug:
      return "debug";
    case LogLevel::Info:
      return "info";
    case LogLevel::Warning:
      return "warning";
    case LogLevel::Error:
      break;
  }
  return "error";
}

Result<LogLevel> parse_log_level(std::string_view text) {
  for (const LogLevel level : {LogLevel::Debug, LogLevel::Info, LogLevel::Warning, LogLevel::Error})
    if (text == to_string(level)) return level;
  return bad_input("'" + std::string(text) + "' is no level; write debug, info, warning or error");
}

std::string default_data_dir() {
  const auto variable = [](const char *name) {
    const char *value = std::getenv(name);
    return std::string(value ? value : "");
  };
  if (auto dir = variable("JUNCTOR_DATA_DIR"); !dir.empty()) return dir;
  if (::geteuid() == 0) return "/var/lib/junctor";
  if (const auto dir = variable("XDG_DATA_HOME"); !dir.empty()) return dir + "/junctor";
  return variable("HOME") + "/.local/share/junctor";
}

}  // namespace junctor::config
