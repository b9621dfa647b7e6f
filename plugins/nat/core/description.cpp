// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/description.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "rtp/core/stun.h"

namespace junctor::nat {

namespace {

using nlohmann::json;

constexpr std::array kKinds{std::pair{CandidateKind::Host, std::string_view("host")},
                            std::pair{CandidateKind::External, std::string_view("external")},
                            std::pair{CandidateKind::Predicted, std::string_view("predicted")},
                            std::pair{CandidateKind::Relayed, std::string_view("relayed")}};

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::size_t kMostIceText = 256, kMostIceCandidate = 512;

/// RFC 4648 section 5, without padding.
std::string to_base64url(ByteSpan bytes) {
  std::string text;
  unsigned held = 0, bits = 0;
  for (const std::byte each : bytes) {
    held = held << 8 | std::to_integer<unsigned>(each);
    for (bits += 8; bits >= 6; bits -= 6) text += kAlphabet[held >> (bits - 6) & 63];
  }
  if (bits > 0) text += kAlphabet[held << (6 - bits) & 63];
  return text;
}

std::optional<PublicKey> key_from_base64url(std::string_view text) {
  PublicKey key{};
  if (text.size() != (key.size() * 8 + 5) / 6) return std::nullopt;
  unsigned held = 0, bits = 0;
  std::size_t at = 0;
  for (const char each : text) {
    const auto value = kAlphabet.find(each);
    if (value == std::string_view::npos) return std::nullopt;
    held = held << 6 | static_cast<unsigned>(value);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    key[at++] = static_cast<std::byte>(held >> bits & 0xff);
  }
  // Bits behind the last byte that are not 0: another text for the same key.
  if ((held & ((1U << bits) - 1)) != 0) return std::nullopt;
  return key;
}

bool is_tag(std::string_view text) {
  return text.size() == kTagSize && std::ranges::all_of(text, [](char each) {
           return (each >= '0' && each <= '9') || (each >= 'a' && each <= 'f');
         });
}

/// Visible ASCII and spaces, as SDP wants it.
bool is_line(std::string_view text, std::size_t most) {
  return text.size() <= most &&
         std::ranges::all_of(text, [](char each) { return each >= ' ' && each <= '~'; });
}

Error wrong(const std::string &what) { return bad_input("a string of the peer: " + what); }

const std::string *text_in(const json &object, const char *name) {
  const auto found = object.find(name);
  return found == object.end() ? nullptr : found->get_ptr<const std::string *>();
}

Result<std::uint32_t> generation_in(const json &object) {
  const auto found = object.find("generation");
  if (found == object.end() || !found->is_number_unsigned() ||
      found->get<std::uint64_t>() > kMostGeneration || found->get<std::uint64_t>() == 0)
    return wrong("'generation' is to be a number from 1 to " + std::to_string(kMostGeneration));
  return found->get<std::uint32_t>();
}

Result<std::vector<Candidate>> candidates_in(const json &object) {
  std::vector<Candidate> candidates;
  const auto found = object.find("candidates");
  if (found == object.end() || !found->is_array()) return wrong("'candidates' is to be an array");
  if (found->size() > kMostCandidates)
    return wrong("more than " + std::to_string(kMostCandidates) + " candidates");
  for (const json &each : *found) {
    if (!each.is_object()) return wrong("a candidate is to be an object");
    const std::string *kind = text_in(each, "kind"), *address = text_in(each, "address");
    const auto known = kind != nullptr ? candidate_kind_from_string(*kind) : std::nullopt;
    if (address == nullptr) return wrong("a candidate without 'address'");
    const auto endpoint = Endpoint::parse(*address);
    if (!endpoint) return wrong("a candidate's address is to be IP:PORT, [v6]:PORT");
    // A kind from the future says nothing to us.
    if (!known || !is_reachable_address(*endpoint)) continue;
    // As the system writes it: that is how addresses are compared.
    const auto numeric = endpoint->to_sockaddr();
    if (!numeric) continue;
    candidates.push_back(
        {*known, Endpoint::from_sockaddr(reinterpret_cast<const sockaddr *>(&*numeric))});
  }
  return candidates;
}

Result<Signal> description_in(const json &object) {
  const auto version = object.find("version");
  if (version == object.end() || *version != kDescriptionVersion)
    return wrong("its version is not " + std::to_string(kDescriptionVersion) +
                 "; update the older of both programs");
  const std::string *key = text_in(object, "key"), *tag = text_in(object, "tag");
  Description description;
  const auto read = key != nullptr ? key_from_base64url(*key) : std::nullopt;
  if (!read) return wrong("'key' is to be 32 bytes in base64url");
  if (tag == nullptr || !is_tag(*tag))
    return wrong("'tag' is to be " + std::to_string(kTagSize) + " digits of a-f0-9");
  auto generation = generation_in(object);
  if (!generation) return generation.error();
  auto candidates = candidates_in(object);
  if (!candidates) return candidates.error();
  return Signal(Description{*read, *tag, *generation, *std::move(candidates)});
}

Result<Signal> ice_in(const json &object) {
  IceSignal ice;
  for (const auto &[name, into] : {std::pair{"ufrag", &ice.ufrag}, std::pair{"pwd", &ice.pwd}}) {
    if (!object.contains(name)) continue;
    const std::string *text = text_in(object, name);
    if (text == nullptr || !is_line(*text, kMostIceText))
      return wrong(std::string("'") + name + "' is to be a short text");
    *into = *text;
  }
  if (const auto found = object.find("candidates"); found != object.end()) {
    if (!found->is_array() || found->size() > kMostCandidates)
      return wrong("'candidates' is to be an array of at most " + std::to_string(kMostCandidates));
    for (const json &each : *found) {
      const auto *text = each.get_ptr<const std::string *>();
      if (text == nullptr || !is_line(*text, kMostIceCandidate))
        return wrong("a candidate of ICE is to be a line of SDP");
      ice.candidates.push_back(*text);
    }
  }
  if (const auto found = object.find("complete"); found != object.end()) {
    if (!found->is_boolean()) return wrong("'complete' is to be true or false");
    ice.complete = found->get<bool>();
  }
  return Signal(std::move(ice));
}

json to_json(const std::vector<Candidate> &candidates) {
  json list = json::array();
  for (const Candidate &each : candidates)
    list.push_back({{"kind", to_string(each.kind)}, {"address", each.endpoint.to_string()}});
  return list;
}

json to_json(const Description &it) {
  return {{"type", "description"},       {"version", kDescriptionVersion},
          {"key", to_base64url(it.key)}, {"tag", it.tag},
          {"generation", it.generation}, {"candidates", to_json(it.candidates)}};
}

json to_json(const MoreCandidates &it) {
  return {{"type", "candidates"},
          {"generation", it.generation},
          {"candidates", to_json(it.candidates)}};
}

json to_json(const Up &it) { return {{"type", "up"}, {"generation", it.generation}}; }

json to_json(const IceSignal &it) {
  json object{{"type", "ice"}, {"complete", it.complete}};
  if (!it.ufrag.empty()) object["ufrag"] = it.ufrag;
  if (!it.pwd.empty()) object["pwd"] = it.pwd;
  if (!it.candidates.empty()) object["candidates"] = it.candidates;
  return object;
}

}  // namespace

std::string_view to_string(CandidateKind kind) {
  for (const auto &[each, name] : kKinds)
    if (each == kind) return name;
  return {};
}

std::optional<CandidateKind> candidate_kind_from_string(std::string_view text) {
  for (const auto &[each, name] : kKinds)
    if (name == text) return each;
  return std::nullopt;
}

bool is_loopback(const Endpoint &endpoint) {
  return endpoint.address.starts_with("127.") || endpoint.address == "::1";
}

std::string to_string(const Families &families) {
  if (families.v4) return families.v6 ? "IPv4 and IPv6" : "IPv4";
  return families.v6 ? "IPv6" : "unknown";
}

Scope scope_of(const Endpoint &endpoint) {
  if (is_loopback(endpoint)) return Scope::Machine;
  if (in_addr v4{}; inet_pton(AF_INET, endpoint.address.c_str(), &v4) == 1)
    return ntohl(v4.s_addr) >> 16 == 0xa9fe ? Scope::Link : Scope::Wider;
  in6_addr v6{};
  const bool link =
      inet_pton(AF_INET6, endpoint.address.c_str(), &v6) == 1 && IN6_IS_ADDR_LINKLOCAL(&v6);
  return link ? Scope::Link : Scope::Wider;
}

bool is_private(const Endpoint &endpoint) {
  if (scope_of(endpoint) != Scope::Wider) return true;
  if (in_addr v4{}; inet_pton(AF_INET, endpoint.address.c_str(), &v4) == 1) {
    const std::uint32_t address = ntohl(v4.s_addr);
    return address >> 24 == 10 || address >> 20 == 0xac1 || address >> 16 == 0xc0a8 ||
           address >> 22 == 0x191;
  }
  in6_addr v6{};
  return inet_pton(AF_INET6, endpoint.address.c_str(), &v6) == 1 && (v6.s6_addr[0] & 0xfe) == 0xfc;
}

bool is_reachable_address(const Endpoint &endpoint) {
  if (endpoint.port == 0) return false;
  if (in_addr v4{}; inet_pton(AF_INET, endpoint.address.c_str(), &v4) == 1) {
    const std::uint32_t address = ntohl(v4.s_addr);
    return address >> 24 != 0 && address >> 28 < 0xe;  // this network; multicast and above
  }
  in6_addr v6{};
  if (inet_pton(AF_INET6, endpoint.address.c_str(), &v6) != 1) return false;
  return !IN6_IS_ADDR_UNSPECIFIED(&v6) && !IN6_IS_ADDR_MULTICAST(&v6) &&
         !IN6_IS_ADDR_LINKLOCAL(&v6) && !IN6_IS_ADDR_V4MAPPED(&v6) && !IN6_IS_ADDR_V4COMPAT(&v6);
}

Result<Signal> parse_signal(std::string_view text) {
  if (text.size() > kMostSignalSize)
    return wrong("longer than " + std::to_string(kMostSignalSize) + " bytes");
  const json object = json::parse(text, nullptr, false);
  const std::string *type = object.is_object() ? text_in(object, "type") : nullptr;
  if (type == nullptr) return wrong("is to be a JSON object with 'type'");
  if (*type == "description") return description_in(object);
  if (*type == "ice") return ice_in(object);
  if (*type != "candidates" && *type != "up")
    return wrong("its type is none of description, candidates, up, ice");
  auto generation = generation_in(object);
  if (!generation) return generation.error();
  if (*type == "up") return Signal(Up{*generation});
  auto candidates = candidates_in(object);
  if (!candidates) return candidates.error();
  return Signal(MoreCandidates{*generation, *std::move(candidates)});
}

std::string to_string(const Signal &signal) {
  return std::visit([](const auto &each) { return to_json(each).dump(); }, signal);
}

std::string random_tag() {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const auto random = rtp::stun::random_transaction_id();
  std::string tag;
  for (std::size_t i = 0; i < kTagSize / 2; ++i) {
    const auto value = std::to_integer<unsigned>(random[i]);
    tag += kDigits[value >> 4];
    tag += kDigits[value & 15];
  }
  return tag;
}

}  // namespace junctor::nat
