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

Result<void> try_ports(const CoturnOptions &coturn) {
  if (auto udp = bind_udp(coturn.listen); !udp) return udp.error();
  if (auto tcp = listen_tcp(coturn.listen); !tcp) return tcp.error();
  if (!coturn.tls) return {};
  if (auto tls = listen_tcp(*coturn.tls); !tls) return tls.error();
  return {};
}

/// coturn goes on without the addresses where it cannot listen.
Result<void> check_ports(const CoturnOptions &coturn) {
  const Time end = Clock::now() + Relay::kPortPatience;
  for (;;) {
    auto tried = try_ports(coturn);
    if (tried || tried.error().fault != Fault::Refused || Clock::now() >= end) return tried;
    g_usleep(50'000);
  }
}

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
  if (!std::unique_ptr<char, Releaser<g_free>>(g_find_program_in_path(program.c_str())))
    return Error{Fault::Unreachable, "there is no program " + program};
  if (auto checked = check_ports(coturn); !checked) return checked.error();
  if (auto made = accounts::make_private_directory(coturn.directory); !made) return made.error();
  const auto text = coturn_config(coturn);
  if (!text) return text.error();
  const std::string path = coturn.directory + "/turnserver.conf";
  if (auto written = accounts::write_private_file(path, *text); !written) return written.error();

  auto relay = std::make_unique<Relay>(std::move(options));
  relay->log_ = log;
  Child::Events events;
  events.line = [log](const std::string &line) { log(LogLevel::Debug, "turn: " + line); };
  events.ended = [log, self = relay.get()](const std::string &why, Duration wait) {
    log(LogLevel::Warning,
        "turn: " + why + "; it is started again in " +
            std::to_string(std::chrono::ceil<std::chrono::milliseconds>(wait).count()) + " ms");
    self->look_.reset();
    // One that has served comes back in a moment; one that never answers does not.
    self->seen_ = self->seen_ == Seen::Answers ? Seen::NotYet : Seen::Silent;
  };
  events.started = [log, self = relay.get()] {
    log(LogLevel::Info, "turn: runs again");
    self->look();
  };
  auto child = Child::start({{program, "-c", path}}, std::move(events));
  if (!child) return child.error();
  relay->child_ = std::move(*child);
  relay->look();
  if (!relay->options_.files.certificate.empty()) {
    relay->look_at_certificate();
    relay->look_later();
  }
  return relay;
}

void Relay::look() {
  if (!options_.look_at) return;
  Look::Options options;
  options.at = *options_.look_at;
  options.patience = options_.look_patience;
  auto look = Look::start(std::move(options), [this](bool answers) {
    const std::string place = options_.look_at->to_string();
    if (answers && seen_ == Seen::Silent)
      log_(LogLevel::Info, "turn: answers at " + place + " now");
    if (!answers)
      log_(LogLevel::Error, "turn: coturn runs, but nothing answers at " + place +
                                " over UDP, so no client is sent there. Look whether turn.listen "
                                "is an address of this machine and nothing else has that port; "
                                "with --log debug coturn's own words are here");
    seen_ = answers ? Seen::Answers : Seen::Silent;
    if (answers) look_.reset();
  });
  if (!look) return log_(LogLevel::Error, "turn: nobody can look at it: " + look.error().detail);
  look_ = *std::move(look);
}

std::optional<bool> Relay::up() const {
  if (!child_) return std::nullopt;
  return child_->running() && (seen_ == Seen::Answers || !options_.look_at);
}

std::optional<Offer> Relay::offer(const std::string &account, std::int64_t now) const {
  if (seen_ == Seen::Silent) return std::nullopt;
  return Offer{options_.urls, issue(options_.secret, account, now, options_.life), options_.life,
               certificate_sha256_};
}

std::string Relay::description() const {
  std::string text;
  for (const std::string &url : options_.urls) text += (text.empty() ? "" : ", ") + url;
  if (child_ && !child_->running())
    text += " (coturn does not run at the moment)";
  else if (seen_ == Seen::Silent)
    text += " (coturn does not answer)";
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
