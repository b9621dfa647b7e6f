// SPDX-License-Identifier: LGPL-2.1-or-later
#include "config/nearest.h"

#include <algorithm>

namespace junctor::config {

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i)
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

std::optional<std::string> nearest(std::string_view text, const std::vector<std::string> &words) {
  text = text.substr(0, 64);
  const std::string *best = nullptr;
  // Of three letters two others make another word.
  const std::size_t most = text.size() < 4 ? 1 : std::max<std::size_t>(2, text.size() / 3);
  std::size_t least = most + 1;
  for (const auto &word : words)
    if (const std::size_t far = distance(text, word); far < least) {
      least = far;
      best = &word;
    }
  if (!best) return std::nullopt;
  return *best;
}

}  // namespace junctor::config
