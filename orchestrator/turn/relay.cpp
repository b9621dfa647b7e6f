// SPDX-License-Identifier: LGPL-2.1-or-later
#include "turn/relay.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include <csignal>
#include <cstdio>

#include "accounts/secrets.h"
#include "nat/core/stun_host.h"

namespace junctor::turn {

Result<void> check_turn_url(std::string_view url) {
  const Error wrong =
      bad_input("'" + std::string(url) +
                "' is no TURN server; write turn:HOST:PORT, with ?transport=tcp for "
                "TCP, or turns:HOST:PORT for TLS");
  std::string_view rest = url;
  if (rest.starts_with("turns:"))
    rest.remove_prefix(6);
  else if (rest.starts_with("turn:"))
    rest.remove_prefix(5);
  else
    return wrong;
  if (const auto query = rest.find('?'); query != std::string_view::npos) {
    const std::string_view parameter = rest.substr(query + 1);
    if (parameter != "transport=udp" && parameter != "transport=tcp") return wrong;
    rest = rest.substr(0, query);
  }
  if (!nat::StunHost::parse(rest)) return wrong;
  return {};
}

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
  return relay;
}

Offer Relay::offer(const std::string &account, std::int64_t now) const {
  return {options_.urls, issue(options_.secret, account, now, options_.life), options_.life,
          options_.certificate_sha256};
}

std::string Relay::description() const {
  std::string text;
  for (const std::string &url : options_.urls) text += (text.empty() ? "" : ", ") + url;
  if (child_ && !child_->running()) text += " (coturn does not run at the moment)";
  return text;
}

void Relay::renew_certificate() {
  if (child_) child_->signal(SIGUSR2);
}

}  // namespace junctor::turn
