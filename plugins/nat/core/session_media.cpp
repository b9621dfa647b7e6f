// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/session_media.h"

#include <nlohmann/json.hpp>
#include <optional>

namespace junctor::nat {

namespace {

using nlohmann::json;

constexpr std::size_t kMostName = 64;
constexpr std::uint64_t kMostClockRate = 1'000'000;

/// The objects of a list that need not be there; nothing where it is no such list.
std::optional<json> listed(const json &object, const char *name) {
  const auto found = object.find(name);
  if (found == object.end()) return json::array();
  if (!found->is_array() || found->size() > SessionMedia::kMostListed) return std::nullopt;
  for (const json &each : *found)
    if (!each.is_object()) return std::nullopt;
  return *found;
}

std::optional<std::uint64_t> number(const json &object, const char *name, std::uint64_t least,
                                    std::uint64_t most) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  const auto value = found->get<std::uint64_t>();
  return value < least || value > most ? std::nullopt : std::optional(value);
}

std::string text(const json &object, const char *name) {
  const auto found = object.find(name);
  const auto *value = found == object.end() ? nullptr : found->get_ptr<const std::string *>();
  return value && value->size() <= kMostName ? *value : "";
}

}  // namespace

Result<SessionMedia> parse_session_media(std::string_view given) {
  if (given.size() > SessionMedia::kMostBytes)
    return bad_input("media: more than " + std::to_string(SessionMedia::kMostBytes) + " bytes");
  const json object = json::parse(given, nullptr, false);
  if (!object.is_object()) return bad_input("media: no JSON object");
  const auto payloads = listed(object, "payloads"), extensions = listed(object, "extensions");
  if (!payloads || !extensions)
    return bad_input("media: payloads and extensions are lists of at most " +
                     std::to_string(SessionMedia::kMostListed) + " objects");
  SessionMedia media;
  for (const json &each : *payloads) {
    const auto type = number(each, "payload", 0, 127),
               rate = number(each, "clock_rate", 1, kMostClockRate);
    const std::string medium = text(each, "media");
    if (!type || !rate || (medium != "audio" && medium != "video"))
      return bad_input(
          "media: each of payloads has payload (0 to 127), media (audio or video) and clock_rate");
    media.payloads.push_back({static_cast<std::uint8_t>(*type),
                              medium == "audio" ? Medium::Audio : Medium::Video,
                              static_cast<std::uint32_t>(*rate), text(each, "encoding")});
  }
  for (const json &each : *extensions) {
    const auto id = number(each, "number", 1, 255);
    std::string name = text(each, "name");
    if (!id || name.empty()) return bad_input("media: each of extensions has name and number");
    media.extensions.push_back({std::move(name), static_cast<std::uint8_t>(*id)});
  }
  return media;
}

std::string to_string(const SessionMedia &media) {
  json payloads = json::array(), extensions = json::array();
  for (const auto &each : media.payloads)
    payloads.push_back({{"payload", each.payload_type},
                        {"media", to_string(each.medium)},
                        {"clock_rate", each.clock_rate},
                        {"encoding", each.encoding}});
  for (const auto &each : media.extensions)
    extensions.push_back({{"name", each.name}, {"number", each.number}});
  return json{{"payloads", payloads}, {"extensions", extensions}}.dump(
      -1, ' ', false, json::error_handler_t::replace);
}

}  // namespace junctor::nat
