// SPDX-License-Identifier: LGPL-2.1-or-later
#include "turn/relay.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include <csignal>
#include <cstdio>
#include <utility>

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

bool is_error(const std::string &line) { return line.find("ERROR") != std::string::npos; }

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
  relay->log_ = std::move(log);
  Child::Events events;
  events.line = [self = relay.get()](const std::string &line) { self->on_line(line); };
  events.ended = [self = relay.get()](const std::string &why, Duration wait) {
    self->on_end(why, wait);
  };
  events.started = [self = relay.get()] {
    self->again_ = true;
    self->last_words_.clear();
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

void Relay::on_line(const std::string &line) {
  log_(LogLevel::Debug, "turn: " + line);
  // "12: : ERROR: …": its seconds and its realm, which say nothing here.
  const auto text = line.find_first_not_of("0123456789: \t\r");
  if (text == std::string::npos) return;
  // What it writes on its way out says less.
  if (is_error(last_words_) && !is_error(line)) return;
  last_words_ = line.substr(text, line.find_last_not_of(" \t\r") + 1 - text);
}

void Relay::on_end(const std::string &why, Duration wait) {
  const bool served = seen_ == Seen::Answers;
  std::string text = why;
  if (!last_words_.empty() && (!served || is_error(last_words_)))
    text += ", its last words: " + last_words_;
  // One that never comes up ends for the same reason each time.
  const bool known = !served && told_ == text;
  told_ = served ? "" : text;
  text += "; it is started again in " +
          std::to_string(std::chrono::ceil<std::chrono::milliseconds>(wait).count()) + " ms";
  if (!served)
    text +=
        ", and no client is sent there. Mend what it complains of: turn.listen must be an address "
        "of this machine, 0.0.0.0 needs one besides loopback, and nothing else may have that port; "
        "or take another relay with --turn URL, or none with --turn off";
  log_(known ? LogLevel::Debug : served ? LogLevel::Warning : LogLevel::Error, "turn: " + text);
  look_.reset();
  // One that has served comes back in a moment; one that never answers does not.
  see(served ? Seen::NotYet : Seen::Silent);
}

void Relay::see(Seen seen) {
  seen_ = seen;
  if (seen == Seen::NotYet) return;
  for (const auto &told : std::exchange(when_known_, {})) told();
}

void Relay::when_known(std::function<void()> told) {
  if (child_ && options_.look_at && seen_ == Seen::NotYet)
    when_known_.push_back(std::move(told));
  else
    told();
}

void Relay::look() {
  if (!options_.look_at) return;
  Look::Options options;
  options.at = *options_.look_at;
  options.patience = options_.look_patience;
  auto look = Look::start(std::move(options), [this](bool answers) {
    const std::string place = options_.look_at->to_string();
    if (answers) {
      log_(LogLevel::Info, "turn: answers at " + place + (again_ ? " again" : ""));
      again_ = false;
      told_.clear();
    } else {
      log_(LogLevel::Error, "turn: coturn runs, but nothing answers at " + place +
                                " over UDP, so no client is sent there. Look whether turn.listen "
                                "is an address of this machine and nothing else has that port; "
                                "with --log debug coturn's own words are here");
    }
    see(answers ? Seen::Answers : Seen::Silent);
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

std::string Relay::urls() const {
  std::string text;
  for (const std::string &url : options_.urls) text += (text.empty() ? "" : ", ") + url;
  return text;
}

std::string Relay::description() const {
  if (child_ && seen_ == Seen::Silent) {
    if (child_->running() || told_.empty()) return "none: coturn does not answer";
    return "none: " + told_;
  }
  if (child_ && !child_->running()) return urls() + " (coturn does not run at the moment)";
  return urls() + (child_ && seen_ == Seen::NotYet && options_.look_at ? " (not yet there)" : "");
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
