// SPDX-License-Identifier: LGPL-2.1-or-later
#include "turn/relay.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include <csignal>
#include <cstdio>

#include "accounts/secrets.h"

namespace junctor::turn {

namespace {

/// Between two looks at the certificate's files.
constexpr Duration kLookPause = std::chrono::seconds(10);

}  // namespace

Result<std::string> certificate_digest(const std::string &path) {
  const std::unique_ptr<std::FILE, Releaser<std::fclose>> file(std::fopen(path.c_str(), "re"));
  const std::unique_ptr<X509, Releaser<X509_free>> certificate(
      file ? PEM_read_X509(file.get(), nullptr, nullptr, nullptr) : nullptr);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (!certificate || X509_digest(certificate.get(), EVP_sha256(), digest, &size) != 1)
    return bad_input(path + " holds no certificate in PEM");
  std::string hex;
  for (unsigned i = 0; i < size; ++i) {
    char pair[3];
    std::snprintf(pair, sizeof pair, "%02x", digest[i]);
    hex += pair;
  }
  return hex;
}

Result<std::unique_ptr<Relay>> Relay::start(RelayOptions options, const CoturnOptions &coturn,
                                            LogSink log, const std::string &program) {
  if (auto made = accounts::make_private_directory(coturn.directory); !made) return made.error();
  const auto text = coturn_config(coturn);
  if (!text) return text.error();
  const std::string path = coturn.directory + "/turnserver.conf";
  if (auto written = accounts::write_private_file(path, *text); !written) return written.error();

  Child::Events events;
  events.line = [log](const std::string &line) { log(LogLevel::Debug, "turn: " + line); };
  events.ended = [log](const std::string &why, Duration wait) {
    log(LogLevel::Warning,
        "turn: " + why + "; it is started again in " +
            std::to_string(std::chrono::ceil<std::chrono::seconds>(wait).count()) + " s");
  };
  events.started = [log] { log(LogLevel::Info, "turn: runs again"); };
  auto child = Child::start({{program, "-c", path}}, std::move(events));
  if (!child) return child.error();
  auto relay = std::make_unique<Relay>(std::move(options));
  relay->child_ = std::move(*child);
  if (!relay->options_.files.certificate.empty()) {
    relay->look_at_certificate();
    relay->look_later();
  }
  return relay;
}

Offer Relay::offer(const std::string &account, std::int64_t now) const {
  return {options_.urls, issue(options_.secret, account, now, options_.life), options_.life,
          certificate_sha256_};
}

std::string Relay::description() const {
  std::string text;
  for (const std::string &url : options_.urls) text += (text.empty() ? "" : ", ") + url;
  if (child_ && !child_->running()) text += " (coturn does not run at the moment)";
  return text;
}

/// It may be renewed at any time.
void Relay::look_at_certificate() {
  const TlsStamp stamp = TlsStamp::of(options_.files);
  if (stamp == stamp_) return;
  const bool first = stamp_ == TlsStamp{};
  stamp_ = stamp;
  if (!first) child_->signal(SIGUSR2);  // coturn reads it anew
  if (!options_.pin) return;
  if (auto digest = certificate_digest(options_.files.certificate)) certificate_sha256_ = *digest;
}

void Relay::look_later() {
  timer_ = ContextTimer(nullptr, kLookPause, [this] {
    look_at_certificate();
    look_later();
  });
}

}  // namespace junctor::turn
