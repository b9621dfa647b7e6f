// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cli/token.h"

#include <cstdlib>

#include "accounts/secrets.h"

namespace junctor::cli {

Result<std::string> token_of(const std::string &file, const std::string &given) {
  if (!file.empty()) {
    auto token = accounts::read_secret_line(file);
    if (!token) return bad_input("--token-file: " + token.error().detail);
    return token;
  }
  if (!given.empty()) return given;
  // Not to be seen in the list of processes.
  if (const char *token = std::getenv("JUNCTOR_TOKEN"); token && *token) return std::string(token);
  return bad_input(
      "no token: put one of `junctor account token NAME` into a file that only you may read and "
      "name it with --token-file, or into the environment variable JUNCTOR_TOKEN");
}

}  // namespace junctor::cli
