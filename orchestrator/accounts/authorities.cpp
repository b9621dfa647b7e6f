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

Result<void> trust_by(SoupSession *session, const Trust &trust) {
  if (trust.ca_file.empty()) return {};
  const auto authorities = read_authorities(trust.ca_file);
  if (!authorities) return authorities.error();
  g_object_set(session, "tls-database", authorities->get(), nullptr);
  return {};
}

void trust_by(SoupMessage *message, const Trust &trust) {
  if (!trust.insecure) return;
  g_signal_connect(message, "accept-certificate",
                   G_CALLBACK(+[](SoupMessage *, GTlsCertificate *, GTlsCertificateFlags,
                                  gpointer) -> gboolean { return TRUE; }),
                   nullptr);
}

Error not_trusted(const std::string &url) {
  return refused("the certificate of " + url +
                 " cannot be verified. Name who vouches for it with --ca FILE.pem (for one of the "
                 "server's own making its tls-cert.pem), or take any with --insecure");
}

}  // namespace junctor::accounts
