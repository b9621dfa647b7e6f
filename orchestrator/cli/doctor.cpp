// SPDX-License-Identifier: LGPL-2.1-or-later
#include <gst/gst.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "accounts/book.h"
#include "accounts/secrets.h"
#include "accounts/webhook_client.h"
#include "calls/state_media.h"
#include "cli/commands.h"
#include "cli/elements.h"
#include "common/endpoint.h"
#include "common/handle.h"
#include "config/checks.h"
#include "config/places.h"
#include "config/serve_lock.h"
#include "config/stun.h"
#include "serve_turn.h"
#include "store/call_store.h"

namespace junctor::cli {

namespace {

/// One line for each thing looked at.
class Report {
 public:
  explicit Report(std::ostream &out) : out_(out) {}
  void ok(const std::string &what) { out_ << "ok       " << what << "\n"; }
  void missing(const std::string &what, const std::string &fix) {
    out_ << "missing  " << what << "\n         fix: " << fix << "\n";
    ++missing_;
  }
  int missing_count() const { return missing_; }

 private:
  std::ostream &out_;
  int missing_ = 0;
};

void check_elements(Report &report) {
  for (const ElementNeed &need : element_needs()) {
    std::string absent;
    for (const std::string_view name : need.elements)
      if (!has_element(std::string(name))) absent.append(" ").append(name);
    const std::string what =
        "GStreamer elements of " + std::string(need.package) + " (" + std::string(need.what) + ")";
    if (absent.empty())
      report.ok(what);
    else
      report.missing(what + ": no" + absent, std::string(need.fix));
  }
}

/// `setting`: the flag or the key that has it. `served`: a server runs with this configuration's
/// data, which has its ports while it does.
void check_port(Report &report, const std::string &setting, const std::optional<Endpoint> &endpoint,
                bool udp, bool served) {
  if (!endpoint) return;
  std::string failure;
  if (auto tcp = listen_tcp(*endpoint); !tcp) failure = tcp.error().detail;
  if (udp && failure.empty())
    if (auto datagram = bind_udp(*endpoint); !datagram) failure = datagram.error().detail;
  const auto is = [&](int number) {
    return failure.find(std::strerror(number)) != std::string::npos;
  };
  const bool is_flag = setting.starts_with("--");
  const std::string what =
      "port " + endpoint->to_string() + " for " + setting.substr(is_flag ? 2 : 0);
  if (failure.empty())
    report.ok(what);
  else if (served && is(EADDRINUSE))
    report.ok(what + ", taken while the server runs");
  else
    report.missing(
        what + ": " + failure,
        std::string(is(EADDRINUSE)      ? "end the program that has it, or choose another"
                    : is(EADDRNOTAVAIL) ? "that address is not this machine's: choose "
                                          "one that it has, or 0.0.0.0 for all,"
                    : is(EACCES)        ? "choose a port from 1024 on, which need not be root's,"
                                        : "choose another") +
            " with " + setting + (is_flag ? " " : " = ") + "ADDRESS:PORT");
}

/// Our own coturn; whether another's runs is not for us to say.
void check_turn(Report &report, const config::Config &config, bool served) {
  const config::Turn &turn = config.turn;
  if (turn.mode != config::TurnMode::Own) return;
  if (served) {
    const Endpoint at = own_relay_seen_from_here(config);
    if (own_relay_answers(at))
      report.ok("the relay of --turn auto answers at " + at.to_string());
    else
      report.missing("the relay of --turn auto: nothing answers at " + at.to_string(),
                     "the server's log says why (turn: …); see turn.listen in the manual");
    return;
  }
  if (std::unique_ptr<char, Releaser<g_free>>(g_find_program_in_path("turnserver")))
    report.ok("turnserver, the relay of --turn auto");
  else
    report.missing("turnserver, the relay of --turn auto", "apt install coturn");
  check_port(report, "turn.listen", turn.listen, true, served);
  check_port(report, "turn.tls-listen", turn.tls, false, served);
}

void check_certificate(Report &report, const config::Config &config) {
  if (config.tls.certificate.empty() && config.tls.key.empty()) {
    if (config.listen.rtmps || config.listen.sips || config.listen.https)
      report.ok(
          "a certificate for TLS, of our own making: clients must be given it (tls-cert.pem of the "
          "data directory); another is named in tls.certificate and tls.key");
    return;
  }
  const auto lacks = config::certificate_lacks(config.tls);
  if (lacks.empty()) report.ok("certificate " + config.tls.certificate);
  for (const config::Lack &lack : lacks) report.missing(lack.what, lack.fix);
}

/// A webhook decides who its accounts are.
void check_trunk_accounts(Report &report, const config::Config &config) {
  if (config.sip.trunks.empty() || !config.accounts.webhook.empty()) return;
  std::error_code failure;
  std::shared_ptr<const accounts::Snapshot> known = std::make_shared<accounts::Snapshot>();
  if (std::filesystem::exists(config.data_dir + "/accounts.json", failure)) {
    auto book = accounts::Book::look(config.data_dir);
    if (!book) return;  // check_data() has told
    known = std::make_shared<accounts::Snapshot>(std::move(*book));
  }
  const auto lacks = config::account_lacks(
      config.sip.trunks, [&](const std::string &name) { return known->find(name) != nullptr; });
  if (lacks.empty()) report.ok("accounts that trunks name");
  for (const config::Lack &lack : lacks) report.missing(lack.what, lack.fix);
}

void check_stun(Report &report, const config::Config &config) {
  if (const auto good = config::check_stun(config); !good)
    report.missing(good.error().detail, "change the configuration; serve does not start with it");
}

void check_media_address(Report &report, const std::string &address) {
  if (address.empty()) return;
  if (const auto bound = bind_udp({address, 0}); bound)
    report.ok("sip.media-address " + address);
  else
    report.missing("sip.media-address: " + bound.error().detail,
                   "name an address of this machine, or leave it out");
}

/// Files of secrets that the configuration names.
void check_secrets(Report &report, const config::Config &config) {
  const auto look = [&](const std::string &what, const std::string &path, const auto &read) {
    if (path.empty()) return;
    if (const auto secret = read(path))
      report.ok(what + " in " + path);
    else
      report.missing(what + ": " + secret.error().detail, "write it there, or name another file");
  };
  look("the webhook's secret", config.accounts.webhook_secret_file, accounts::read_webhook_secret);
  look("the secret of TURN", config.turn.secret_file, accounts::read_secret_line);
  for (const config::Trunk &trunk : config.sip.trunks)
    look("the password of the trunk " + trunk.name, trunk.password_file,
         accounts::read_secret_line);
}

void check_media(Report &report, const config::Media &media) {
  if (media.pictures.empty() && media.tones.empty()) return;
  const auto problems = calls::state_media_problems(media.country, media.pictures, media.tones);
  if (problems.empty()) report.ok("pictures and tones of the operator's own");
  for (const std::string &problem : problems)
    report.missing(problem, "see media.pictures and media.tones in the manual");
}

void check_data_dir(Report &report, const std::string &dir) {
  const std::string what = "data directory " + dir;
  const auto made = accounts::make_private_directory(dir);
  if (made && ::access(dir.c_str(), W_OK | X_OK) == 0)
    report.ok(what);
  else
    report.missing(what + " cannot be written",
                   "choose another with --data-dir DIR, or give it to this user");
}

/// The files of the data directory, as the server would read them when it starts.
void check_data(Report &report, const config::Config &config) {
  const int before = report.missing_count();
  const auto look = [&](const auto &read) {
    if (!read) report.missing(read.error().detail, "see the data directory in the manual");
  };
  const std::string &dir = config.data_dir;
  look(accounts::Book::look(dir));
  std::error_code failure;
  const bool relay = config.turn.mode == config::TurnMode::Own;
  for (const std::string &path : {config::admin_token_path(dir), dir + "/turn-secret"})
    if (std::filesystem::exists(path, failure) && (relay || !path.ends_with("/turn-secret")))
      look(accounts::read_secret(path));
  look(store::CallStore::look(config::calls_path(dir)));
  if (report.missing_count() == before) report.ok("accounts, secrets and records in " + dir);
}

void check_fonts(Report &report) {
  std::error_code failure;
  for (const char *root : {"/usr/share/fonts", "/usr/local/share/fonts"})
    for (auto file = std::filesystem::recursive_directory_iterator(
             root, std::filesystem::directory_options::skip_permission_denied, failure);
         !failure && file != std::filesystem::recursive_directory_iterator();
         file.increment(failure)) {
      const auto type = file->path().extension();
      if (type == ".ttf" || type == ".otf" || type == ".ttc")
        return report.ok("a font for the texts in ring pictures (" + file->path().string() + ")");
    }
  report.missing("a font for the texts in ring pictures", "apt install fonts-dejavu-core");
}

void check_descriptors(Report &report) {
  rlimit limit{};
  constexpr rlim_t kWanted = 4096;
  const bool enough = ::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max >= kWanted;
  const std::string what = "open files allowed: " + std::to_string(limit.rlim_max);
  if (enough)
    report.ok(what);
  else
    report.missing(what + ", a call needs about 12", "ulimit -Hn 65536, or LimitNOFILE of systemd");
}

void check_templates(Report &report) {
  const std::string dir = config::pipelines_dir();
  std::error_code failure;
  if (std::filesystem::exists(dir + "/call.launch", failure))
    report.ok("pipeline templates in " + dir);
  else
    report.missing("pipeline templates in " + dir,
                   "set JUNCTOR_PIPELINES to the directory that holds call.launch");
}

}  // namespace

int doctor(const config::Config &config, std::ostream &out) {
  Report report(out);
  start_gstreamer();
  check_elements(report);
  check_templates(report);
  check_fonts(report);
  const bool served = config::serve_lock_held(config.data_dir);
  check_port(report, "--rtmp", config.listen.rtmp, false, served);
  check_port(report, "--rtmps", config.listen.rtmps, false, served);
  check_port(report, "--sip", config.listen.sip, true, served);
  check_port(report, "--sips", config.listen.sips, false, served);
  check_certificate(report, config);
  check_media_address(report, config.sip.media_address);
  check_port(report, "--http", config.listen.http, false, served);
  check_port(report, "--https", config.listen.https, false, served);
  check_port(report, "--stun", config.listen.stun, true, served);
  check_port(report, "stun.alternate", config::stun_alternate(config), true, served);
  check_stun(report, config);
  check_turn(report, config, served);
  check_secrets(report, config);
  check_media(report, config.media);
  check_data_dir(report, config.data_dir);
  check_data(report, config);
  check_trunk_accounts(report, config);
  check_descriptors(report);
  if (report.missing_count() == 0) {
    out << "All is there. Start with: junctor serve\n";
    return kDone;
  }
  out << report.missing_count() << " missing; see the fix below each.\n";
  return kFailed;
}

}  // namespace junctor::cli
