// SPDX-License-Identifier: LGPL-2.1-or-later
// Names with queries, as clients put them into app and stream name.
#include <algorithm>
#include <string>

#include "common/percent.h"
#include "input.h"
#include "rtmp/core/locator.h"

using namespace junctor;
using namespace junctor::rtmp;

namespace {

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += {'%', kHex[byte >> 4], kHex[byte & 15]};
  }
  return out;
}

bool is_control(char c) {
  const auto code = static_cast<unsigned char>(c);
  return code < 0x20 || code == 0x7f;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  fuzz::require(percent_decode(text).size() <= text.size());
  fuzz::require(percent_decode(percent_encode(text)) == text);
  const std::string shown = printable(text);
  fuzz::require(shown.size() <= 128 + 3 && std::ranges::none_of(shown, is_control));

  const auto locator = parse_locator(text);
  if (!locator) return 0;
  fuzz::require(locator->name.size() <= kMaxNameBytes &&
                locator->parameters.size() <= kMaxParameters);
  fuzz::require(std::ranges::none_of(locator->name, is_control));
  // What was read can be written, and reads the same again.
  std::string written = locator->name + '?';
  for (const auto &[key, value] : locator->parameters)
    written += percent_encode(key) + '=' + percent_encode(value) + '&';
  if (written.size() > locator->name.size() + 1 + kMaxQueryBytes) return 0;
  const auto again = parse_locator(written);
  fuzz::require(again && again->name == locator->name && again->parameters == locator->parameters);
  return 0;
}
