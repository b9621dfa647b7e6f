// SPDX-License-Identifier: LGPL-2.1-or-later
#include "config/certificate.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <filesystem>

#include "accounts/secrets.h"
#include "common/handle.h"
#include "config/places.h"

namespace junctor::config {

namespace {

/// Clients on Apple's systems refuse more than 825 days.
constexpr int kDays = 398;

using CertificateRef = std::unique_ptr<X509, Releaser<X509_free>>;

CertificateRef read_certificate(const std::string &path) {
  const std::unique_ptr<std::FILE, Releaser<std::fclose>> file(std::fopen(path.c_str(), "re"));
  return CertificateRef(file ? PEM_read_X509(file.get(), nullptr, nullptr, nullptr) : nullptr);
}

/// Whether it holds for a day more at least.
bool is_valid(const CertificateRef &certificate) {
  std::time_t tomorrow = std::time(nullptr) + 24L * 60 * 60;
  return X509_cmp_time(X509_get0_notAfter(certificate.get()), &tomorrow) > 0;
}

/// Whether a client that connects to `host` finds it there.
bool names(const CertificateRef &certificate, const std::string &host) {
  return host.empty() || X509_check_ip_asc(certificate.get(), host.c_str(), 0) == 1 ||
         X509_check_host(certificate.get(), host.data(), host.size(), 0, nullptr) == 1;
}

}  // namespace

Result<TlsFiles> certificate_files(const Config &config, const std::string &public_host,
                                   const LogSink &log) {
  if (!config.tls.certificate.empty() || !config.tls.key.empty()) {
    if (config.tls.certificate.empty() || config.tls.key.empty())
      return bad_input("tls.certificate and tls.key belong together: name both, or neither");
    return TlsFiles{config.tls.certificate, config.tls.key};
  }
  const std::string host = without_brackets(public_host);
  const TlsFiles own{config.data_dir + "/tls-cert.pem", config.data_dir + "/tls-key.pem"};
  std::error_code ignored;
  const auto kept = read_certificate(own.certificate);
  const bool fits = kept && names(kept, host);
  if (!fits || !is_valid(kept) || !std::filesystem::exists(own.key, ignored)) {
    const auto made = make_self_signed(host, kDays);
    if (!made) return made.error();
    if (auto written = accounts::write_private_file(own.key, made->key); !written)
      return written.error();
    if (auto written = accounts::write_private_file(own.certificate, made->certificate); !written)
      return written.error();
    if (kept && !fits && log)
      log(LogLevel::Warning, own.certificate + " was for another host and is made anew for " +
                                 host + ": who was given the one before wants this one");
  }
  if (log)
    log(LogLevel::Warning,
        "no certificate is configured (tls.certificate and tls.key): " + own.certificate +
            ", of our own making, is shown, which no client trusts by itself: for first steps "
            "only");
  return own;
}

}  // namespace junctor::config
