// SPDX-License-Identifier: LGPL-2.1-or-later
#include "accounts/authorities.h"

#include <filesystem>

namespace junctor::accounts {

Result<Authorities> read_authorities(const std::string &path) {
  // GIO takes a relative path, believes nobody, and only writes a warning.
  std::error_code failure;
  const auto absolute = std::filesystem::absolute(path, failure);
  GError *raw = nullptr;
  Authorities read(g_tls_file_database_new(failure ? path.c_str() : absolute.c_str(), &raw));
  const std::unique_ptr<GError, Releaser<g_error_free>> error(raw);
  if (!read) return bad_input(path + " holds no certificates that can be read: " + error->message);
  return read;
}

}  // namespace junctor::accounts
