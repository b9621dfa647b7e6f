// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/sentence.h"

#include <algorithm>
#include <string_view>

namespace junctor::calls {

namespace {

constexpr std::string_view kBlank = " \t\r\n";

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

}  // namespace

std::string as_sentence(std::string text) {
  text.erase(text.find_last_not_of(kBlank) + 1);
  text.erase(0, text.find_first_not_of(kBlank));
  if (text.empty()) return text;
  const auto word_end = std::min(text.find_first_of(" ,;"), text.size());
  if (std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(word_end), is_lower))
    text.front() = static_cast<char>(text.front() - 'a' + 'A');
  if (std::string_view(".!?").find(text.back()) == std::string_view::npos) text += '.';
  return text;
}

}  // namespace junctor::calls
