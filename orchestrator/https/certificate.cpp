// SPDX-License-Identifier: LGPL-2.1-or-later
#include "https/certificate.h"

namespace junctor::https {

namespace {
constexpr Duration kLookPause = std::chrono::seconds(1);
}

Result<std::unique_ptr<Certificate>> Certificate::load(TlsFiles files, LogSink log) {
  if (!g_tls_backend_supports_tls(g_tls_backend_get_default()))
    return bad_input("GLib knows no TLS on this machine: apt install glib-networking");
  std::unique_ptr<Certificate> self(new Certificate(std::move(files), std::move(log)));
  self->stamp_ = TlsStamp::of(self->files_);
  auto certificate = read(self->files_);
  if (!certificate) return certificate.error();
  self->certificate_ = std::move(*certificate);
  self->look_later();
  return self;
}

Result<Certificate::Ref> Certificate::read(const TlsFiles &files) {
  // GIO takes a certificate and the key of another one without a word; OpenSSL does not.
  if (auto checked = TlsIdentity::load(files, nullptr); !checked) return checked.error();
  GError *raw = nullptr;
  Ref certificate(
      g_tls_certificate_new_from_files(files.certificate.c_str(), files.key.c_str(), &raw));
  if (certificate) return certificate;
  const std::unique_ptr<GError, Releaser<g_error_free>> failure(raw);
  return bad_input("the certificate " + files.certificate + " with the key " + files.key +
                   " cannot be used for HTTPS: " + failure->message);
}

void Certificate::look_later() {
  timer_ = ContextTimer(nullptr, kLookPause, [this] { look(); });
}

void Certificate::look() {
  const TlsStamp now = TlsStamp::of(files_);
  if (now != stamp_) {
    stamp_ = now;
    auto certificate = read(files_);
    if (certificate) {
      certificate_ = std::move(*certificate);
      if (log_)
        log_(LogLevel::Info,
             "the renewed certificate " + files_.certificate + " is in use for HTTPS");
    } else if (log_) {
      log_(LogLevel::Error, certificate.error().detail + "; the old one stays in use for HTTPS");
    }
  }
  look_later();
}

}  // namespace junctor::https
