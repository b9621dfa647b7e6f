// SPDX-License-Identifier: LGPL-2.1-or-later
#include "config/trunks.h"

#include <algorithm>

#include "accounts/book.h"
#include "accounts/dialling.h"
#include "accounts/networks.h"
#include "config/name.h"
#include "config/nearest.h"
#include "sip/core/uri.h"

namespace junctor::config {

namespace {

Result<void> read_text(const toml::node &node, std::string &field) {
  if (!node.is_string()) return bad_input("must be a text in \"quotes\"");
  field = *node.value<std::string>();
  return {};
}

Result<void> read_list(const toml::node &node, std::vector<std::string> &field) {
  const Error wrong = bad_input("must be a list of texts, like [\"one\", \"two\"]");
  const auto *array = node.as_array();
  if (!array) return wrong;
  field.clear();
  for (const auto &item : *array) {
    if (!item.is_string()) return wrong;
    field.push_back(*item.value<std::string>());
  }
  return {};
}

Result<void> read_numbers(const toml::node &node, std::map<std::string, std::string> &field) {
  const Error wrong =
      bad_input("must be numbers and their accounts, like { \"4930123\" = \"alice\" }");
  const auto *table = node.as_table();
  if (!table) return wrong;
  for (const auto &[number, account] : *table) {
    if (!account.is_string()) return wrong;
    field[std::string(number.str())] = *account.value<std::string>();
  }
  return {};
}

Result<void> read_expires(const toml::node &node, std::chrono::seconds &field) {
  const auto value = node.is_integer() ? node.value<std::int64_t>() : std::nullopt;
  if (!value || *value < 60 || *value > 86400)
    return bad_input("must be a whole number from 60 to 86400");
  field = std::chrono::seconds(*value);
  return {};
}

Result<void> read_register(const toml::node &node, bool &field) {
  if (!node.is_boolean()) return bad_input("must be true or false");
  field = *node.value<bool>();
  return {};
}

Result<void> read_srtp(const toml::node &node, std::optional<rtp::SrtpPolicy> &field) {
  auto policy = parse_srtp(node.value<std::string>().value_or(""));
  if (!policy) return policy.error();
  field = *policy;
  return {};
}

struct Key {
  const char *name;
  Result<void> (*read)(const toml::node &, Trunk &);
};

constexpr Key kKeys[] = {
    {"name", [](const toml::node &n, Trunk &t) { return read_text(n, t.name); }},
    {"uri", [](const toml::node &n, Trunk &t) { return read_text(n, t.uri); }},
    {"user", [](const toml::node &n, Trunk &t) { return read_text(n, t.user); }},
    {"password", [](const toml::node &n, Trunk &t) { return read_text(n, t.password); }},
    {"password-file", [](const toml::node &n, Trunk &t) { return read_text(n, t.password_file); }},
    {"proxy", [](const toml::node &n, Trunk &t) { return read_text(n, t.proxy); }},
    {"register", [](const toml::node &n, Trunk &t) { return read_register(n, t.registers); }},
    {"expires-s", [](const toml::node &n, Trunk &t) { return read_expires(n, t.expires); }},
    {"dial", [](const toml::node &n, Trunk &t) { return read_list(n, t.dial); }},
    {"accounts", [](const toml::node &n, Trunk &t) { return read_list(n, t.accounts); }},
    {"from", [](const toml::node &n, Trunk &t) { return read_text(n, t.from); }},
    {"asserted", [](const toml::node &n, Trunk &t) { return read_text(n, t.asserted); }},
    {"account", [](const toml::node &n, Trunk &t) { return read_text(n, t.account); }},
    {"numbers", [](const toml::node &n, Trunk &t) { return read_numbers(n, t.numbers); }},
    {"networks", [](const toml::node &n, Trunk &t) { return read_list(n, t.networks); }},
    {"srtp", [](const toml::node &n, Trunk &t) { return read_srtp(n, t.srtp); }},
};

bool is_dial_pattern(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789*") == std::string_view::npos;
}

/// What names others: accounts, numbers and addresses.
Result<void> check_names(const Trunk &trunk) {
  if (!accounts::SipUri::parse(trunk.uri))
    return bad_input("uri: '" + trunk.uri +
                     "' is not of the form sip:HOST[:PORT][;transport=udp|tcp|tls]");
  for (const auto &[key, uri] : {std::pair{"proxy", &trunk.proxy}, {"asserted", &trunk.asserted}}) {
    if (uri->empty()) continue;
    if (const auto parsed = sip::Uri::parse(*uri); !parsed)
      return bad_input(std::string(key) + ": " + parsed.error().detail);
  }
  for (const std::string &pattern : trunk.dial)
    if (!is_dial_pattern(pattern))
      return bad_input("dial: '" + pattern +
                       "' is no number; it has digits, + in front, and * for anything");
  for (const std::string &account : trunk.accounts)
    if (account != "*")
      if (const auto name = accounts::check_name(account); !name)
        return bad_input("accounts: '" + account + "': " + name.error().detail);
  if (!trunk.account.empty())
    if (const auto name = accounts::check_name(trunk.account); !name)
      return bad_input("account: '" + trunk.account + "': " + name.error().detail);
  for (const auto &[number, account] : trunk.numbers) {
    if (number.empty()) return bad_input("numbers: one of them is empty");
    if (const auto name = accounts::check_name(account); !name)
      return bad_input("numbers: '" + account + "': " + name.error().detail);
  }
  return {};
}

Result<void> check(const Trunk &trunk) {
  if (!is_name(trunk.name))
    return bad_input("a trunk has a `name` of 1 to 32 letters, digits, '-', '_' and '.'");
  const auto wrong = [&](const std::string &what) {
    return bad_input("trunk '" + trunk.name + "': " + what);
  };
  if (trunk.uri.empty() || trunk.user.empty())
    return wrong("it needs `uri`, like \"sip:carrier.example\", and `user`");
  if (!trunk.password.empty() && !trunk.password_file.empty())
    return wrong("it has both `password` and `password-file`");
  if (const auto good = check_names(trunk); !good) return wrong(good.error().detail);
  if (const auto networks = accounts::Networks::parse(trunk.networks); !networks)
    return wrong("networks: " + networks.error().detail);
  if (!trunk.registers && trunk.networks.empty() &&
      (!trunk.account.empty() || !trunk.numbers.empty()))
    return wrong("without `register`, calls from it are known by `networks`, and there are none");
  return {};
}

Result<Trunk> read_one(const toml::table &table) {
  Trunk trunk;
  for (const auto &[name, node] : table) {
    const auto known = std::ranges::find_if(
        kKeys, [&name = name](const Key &key) { return name.str() == std::string_view(key.name); });
    if (known == std::end(kKeys)) {
      std::vector<std::string> names;
      for (const Key &key : kKeys) names.emplace_back(key.name);
      std::string what = "unknown key '" + std::string(name.str()) + "'";
      if (const auto meant = nearest(std::string(name.str()), names))
        what += "; did you mean '" + *meant + "'?";
      return bad_input(what);
    }
    if (auto read = known->read(node, trunk); !read)
      return bad_input(std::string(name.str()) + ": " + read.error().detail);
  }
  if (auto good = check(trunk); !good) return good.error();
  return trunk;
}

}  // namespace

Result<void> read_trunks(const toml::node &node, std::vector<Trunk> &trunks) {
  const auto *array = node.as_array();
  if (!array) return bad_input("write each trunk as a table of its own, under [[sip.trunks]]");
  trunks.clear();
  for (const auto &item : *array) {
    const auto *table = item.as_table();
    if (!table) return bad_input("write each trunk as a table of its own, under [[sip.trunks]]");
    auto trunk = read_one(*table);
    if (!trunk) return trunk.error();
    if (std::ranges::find(trunks, trunk->name, &Trunk::name) != trunks.end())
      return bad_input("two trunks have the name '" + trunk->name + "'");
    trunks.push_back(*std::move(trunk));
  }
  return {};
}

}  // namespace junctor::config
