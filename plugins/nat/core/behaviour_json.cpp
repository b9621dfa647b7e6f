// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/behaviour_json.h"

#include <nlohmann/json.hpp>

namespace junctor::nat {

namespace {

using nlohmann::json;

constexpr std::size_t kMostAddresses = 16;

double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

json endpoint_json(const std::optional<Endpoint> &endpoint) {
  return endpoint ? json(endpoint->to_string()) : json(nullptr);
}

json why_json(std::string_view value, const std::string &why) {
  json out = {{"is", value}};
  if (!why.empty()) out["why_unknown"] = why;
  return out;
}

std::string text_at(const json &value, const char *key) {
  const auto found = value.find(key);
  const auto *text = found == value.end() ? nullptr : found->get_ptr<const std::string *>();
  return text ? *text : std::string();
}

/// Of {"mapping": {"is": "…"}}.
std::string is_at(const json &value, const char *key) {
  const auto found = value.find(key);
  return found == value.end() || !found->is_object() ? std::string() : text_at(*found, "is");
}

/// The value whose word this is; `otherwise` if none has it.
template <class T>
T named(const std::string &word, std::initializer_list<T> values, T otherwise) {
  for (const T each : values)
    if (to_string(each) == word) return each;
  return otherwise;
}

}  // namespace

json to_json(const Behaviour &found) {
  json ports = why_json(to_string(found.ports), found.ports_why);
  if (found.ports == PortPattern::Sequential) ports["step"] = found.port_step;
  return {
      {"udp", to_string(found.udp)},
      {"udp_why", found.udp_why},
      {"local", found.local.to_string()},
      {"external", endpoint_json(found.external)},
      {"external_addresses", found.addresses},
      {"translated", found.translated},
      {"mapping", why_json(to_string(found.mapping), found.mapping_why)},
      {"filtering", why_json(to_string(found.filtering), found.filtering_why)},
      {"ports", ports},
      {"hairpin", found.hairpin ? json(*found.hairpin) : json(nullptr)},
      {"round_trip_ms", found.round_trip ? json(milliseconds(*found.round_trip)) : json(nullptr)},
      {"took_ms", milliseconds(found.took)},
      {"summary", summary(found)},
      {"meaning", meaning(found)}};
}

Result<Behaviour> behaviour_from_json(const json &value) {
  if (!value.is_object()) return bad_input("a behaviour is a JSON object");
  Behaviour found;
  found.udp =
      named(text_at(value, "udp"), {UdpAccess::Works, UdpAccess::Blocked}, UdpAccess::NoAnswer);
  if (const auto local = Endpoint::parse(text_at(value, "local"))) found.local = *local;
  if (const auto external = Endpoint::parse(text_at(value, "external"))) found.external = *external;
  if (const auto all = value.find("external_addresses"); all != value.end() && all->is_array())
    for (const json &each : *all)
      if (const auto *text = each.get_ptr<const std::string *>();
          text && found.addresses.size() < kMostAddresses)
        found.addresses.push_back(text->substr(0, 64));
  const auto translated = value.find("translated");
  found.translated = translated != value.end() && *translated == true;
  const auto dependence = {Dependence::EndpointIndependent, Dependence::AddressDependent,
                           Dependence::AddressAndPortDependent};
  found.mapping = named(is_at(value, "mapping"), dependence, Dependence::Unknown);
  found.filtering = named(is_at(value, "filtering"), dependence, Dependence::Unknown);
  found.ports = named(is_at(value, "ports"),
                      {PortPattern::Preserving, PortPattern::Sequential, PortPattern::Random},
                      PortPattern::Unknown);
  return found;
}

}  // namespace junctor::nat
