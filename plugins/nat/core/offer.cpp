// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/offer.h"

#include <openssl/evp.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "common/text.h"

namespace junctor::nat {

namespace {

using nlohmann::json;

constexpr std::size_t kMostOfferSize = 16UL * 1024, kMostWhy = 500, kMostUrls = 8;
constexpr std::uint64_t kMostTtl = std::numeric_limits<std::uint32_t>::max();

Error wrong(const std::string &what) { return bad_input("an offer: " + what); }

const std::string *text_in(const json &object, const char *name) {
  const auto found = object.find(name);
  return found == object.end() ? nullptr : found->get_ptr<const std::string *>();
}

Result<std::string> node_in(const json &object) {
  const std::string *name = text_in(object, "node");
  const bool good = name && !name->empty() && name->size() <= kMostNodeName &&
                    std::ranges::all_of(*name, [](char c) {
                      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                             (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
                    });
  if (!good)
    return wrong("'node' is to be a name of 1 to " + std::to_string(kMostNodeName) +
                 " letters, digits, '-', '_' and '.'");
  return *name;
}

/// A sentence of somebody else's, in one line and not for ever.
std::string why_in(const json &object) {
  const std::string *why = text_in(object, "why");
  std::string text(why ? shortened(*why, kMostWhy) : "");
  for (char &each : text)
    if (static_cast<unsigned char>(each) < ' ' || each == '\x7f') each = ' ';
  return text;
}

Result<Signal> signal_in(const json &object, const char *name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_object())
    return wrong(std::string("'") + name + "' is to be an object");
  return parse_signal(found->dump());
}

Result<Offer> node_offer(const json &object) {
  auto name = node_in(object);
  if (!name) return name.error();
  auto signal = signal_in(object, "description");
  if (!signal) return signal.error();
  auto *description = std::get_if<Description>(&*signal);
  if (!description) return wrong("'description' is to be a description");
  return Offer(NodeOffer{*std::move(name), std::move(*description)});
}

Result<Offer> node_signal(const json &object) {
  auto name = node_in(object);
  if (!name) return name.error();
  auto signal = signal_in(object, "data");
  if (!signal) return signal.error();
  auto *more = std::get_if<MoreCandidates>(&*signal);
  if (!more) return wrong("'data' is to be candidates");
  return Offer(NodeSignal{*std::move(name), std::move(*more)});
}

Result<Offer> turn_offer(const json &object) {
  const std::string *user = text_in(object, "username"), *password = text_in(object, "credential");
  const auto urls = object.find("urls");
  if (!user || !password || urls == object.end() || !urls->is_array() || urls->empty() ||
      urls->size() > kMostUrls)
    return wrong("of a relay has 'urls', at most " + std::to_string(kMostUrls) +
                 ", 'username' and 'credential'");
  const std::string *pin = text_in(object, "certificate_sha256");
  TurnOffer offer;
  if (const auto ttl = object.find("ttl"); ttl != object.end()) {
    if (!ttl->is_number_unsigned() || ttl->get<std::uint64_t>() > kMostTtl)
      return wrong("'ttl' of a relay is to be a number of seconds, at most " +
                   std::to_string(kMostTtl));
    offer.lifetime = std::chrono::seconds(ttl->get<std::uint64_t>());
  }
  for (const json &each : *urls) {
    const auto *url = each.get_ptr<const std::string *>();
    if (!url) return wrong("a URL of a relay is to be a text");
    auto server = TurnServer::from_url(*url, *user, *password, pin ? *pin : "");
    if (!server) return server.error();
    offer.servers.push_back(*std::move(server));
  }
  return Offer(std::move(offer));
}

}  // namespace

Result<Offer> parse_offer(std::string_view text) {
  if (text.size() > kMostOfferSize)
    return wrong("longer than " + std::to_string(kMostOfferSize) + " bytes");
  const json object = json::parse(text, nullptr, false);
  const std::string *type = object.is_object() ? text_in(object, "type") : nullptr;
  if (!type) return wrong("is to be a JSON object with 'type'");
  if (*type == "node") return node_offer(object);
  if (*type == "node-signal") return node_signal(object);
  if (*type == "turn") return turn_offer(object);
  if (*type == "no-node") return Offer(NoNode{why_in(object)});
  if (*type == "no-turn") return Offer(NoTurn{why_in(object)});
  if (*type == "direct") {
    const auto expected = object.find("expected");
    if (expected == object.end() || !expected->is_boolean())
      return wrong("of a direct way has 'expected', true or false");
    return Offer(DirectWay{expected->get<bool>()});
  }
  if (*type != "node-up" && *type != "node-failed")
    return wrong(
        "its type is none of node, node-signal, node-up, node-failed, no-node, turn, "
        "no-turn, direct");
  auto name = node_in(object);
  if (!name) return name.error();
  if (*type == "node-up") return Offer(NodeUp{*std::move(name)});
  const auto leaving = object.find("leaving");
  if (leaving != object.end() && !leaving->is_boolean())
    return wrong("'leaving' of a node is true or false");
  return Offer(NodeFailed{*std::move(name), why_in(object),
                          leaving != object.end() && leaving->get<bool>()});
}

std::string leg_tag(std::string_view tag, std::string_view session) {
  const std::string text = std::string(tag) + " " + std::string(session);
  unsigned char digest[EVP_MAX_MD_SIZE];
  std::size_t size = 0;
  EVP_Q_digest(nullptr, "SHA256", nullptr, text.data(), text.size(), digest, &size);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string made;
  for (std::size_t i = 0; i < kTagSize / 2; ++i) {
    made += kDigits[digest[i] >> 4];
    made += kDigits[digest[i] & 15];
  }
  return made;
}

}  // namespace junctor::nat
