// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/locator.h"

#include <algorithm>

#include "common/percent.h"

namespace junctor::rtmp {

namespace {

bool is_control(char c) {
  const auto code = static_cast<unsigned char>(c);
  return code < 0x20 || code == 0x7f;
}

}  // namespace

std::string_view query_of(std::string_view url) {
  const auto mark = url.find('?');
  return mark == std::string_view::npos ? std::string_view() : url.substr(mark + 1);
}

Result<Locator> parse_locator(std::string_view text) {
  Locator locator;
  std::string_view query = query_of(text);
  std::string_view name = text.substr(0, text.find('?'));
  while (name.ends_with('/')) name.remove_suffix(1);
  while (name.starts_with('/')) name.remove_prefix(1);
  if (name.size() > kMaxNameBytes)
    return bad_input("a name of " + std::to_string(name.size()) + " bytes; at most " +
                     std::to_string(kMaxNameBytes) + " are allowed");
  if (std::any_of(name.begin(), name.end(), is_control))
    return bad_input("a control character in a name");
  if (query.size() > kMaxQueryBytes)
    return bad_input("a query of " + std::to_string(query.size()) + " bytes; at most " +
                     std::to_string(kMaxQueryBytes) + " are allowed");
  locator.name = name;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    const auto equals = pair.find('=');
    std::string key = percent_decode(pair.substr(0, equals));
    if (key.empty()) continue;
    if (locator.parameters.size() >= kMaxParameters && !locator.parameters.contains(key))
      return bad_input("a query of more than " + std::to_string(kMaxParameters) + " parameters");
    locator.parameters[std::move(key)] =
        equals == std::string_view::npos ? std::string() : percent_decode(pair.substr(equals + 1));
  }
  return locator;
}

std::string printable(std::string_view text, std::size_t longest) {
  std::string line;
  for (const char c : text.substr(0, longest)) line += is_control(c) || c == '"' ? '?' : c;
  if (text.size() > longest) line += "...";
  return line;
}

}  // namespace junctor::rtmp
