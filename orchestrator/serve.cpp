// SPDX-License-Identifier: LGPL-2.1-or-later
#include "serve.h"

#include <gio/gio.h>
#include <glib-unix.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "accounts/secrets.h"
#include "calls/service.h"
#include "cli/command_line.h"
#include "cli/elements.h"
#include "common/delays.h"
#include "common/main_context.h"
#include "config/certificate.h"
#include "config/checks.h"
#include "config/logging.h"
#include "config/places.h"
#include "config/serve_lock.h"
#include "metrics/metrics.h"
#include "rtp/core/srtp_start.h"
#include "serve_checks.h"
#include "serve_common.h"
#include "serve_http.h"
#include "serve_rendezvous.h"
#include "serve_stun.h"
#include "serve_turn.h"
#include "store/call_store.h"
#include "store/worker.h"
#include "wiring.h"

namespace junctor {

namespace {

using accounts::Book;
using namespace std::chrono_literals;

constexpr Duration kShutdownPatience = 5s;
constexpr Duration kAgentPatience = 3s;
/// So long what is printed at the start waits to tell whether there is a relay.
constexpr Duration kRelayPatience = 3s;
constexpr std::size_t kWorkers = 2;
constexpr std::size_t kMaxWork = 1000;

/// Owns everything that runs; members are in the order of their making, destroyed in reverse.
class Orchestrator {
 public:
  Orchestrator(const config::Config &config, std::ostream &out)
      : config_(config), out_(out), log_(config::start_log(config.log)) {}

  ~Orchestrator() {
    http_.reset();
    rendezvous_.reset();
    service_.reset();
    if (rtmp_) rtmp_->close();
    agent_.reset();
    rtmp_.reset();
    if (delays_) reactor_->reactor()->invoke([this] { delays_->clear(); });
  }

  Result<void> start() {
    raise_descriptor_limit();
    cli::start_gstreamer();
    rtp::prepare_srtp();
    if (!cli::has_element("sipcallsink"))
      return internal_error("Junctor's GStreamer plugin is not found; `junctor doctor` says more");
    if (auto done = open_data(); !done) return done;
    if (auto done = start_rtmp(); !done) return done;
    if (auto done = start_stun(); !done) return done;
    if (auto done = start_sip(); !done) return done;
    if (auto done = start_calls(); !done) return done;
    if (auto done = start_turn(); !done) return done;
    if (auto done = start_api(); !done) return done;
    warn_of_lacks();
    watch_accounts();
    prune_later();
    return {};
  }

  void run() {
    loop_.reset(g_main_loop_new(nullptr, FALSE));
    for (const int number : {SIGINT, SIGTERM})
      g_unix_signal_add(
          number,
          [](gpointer self) -> gboolean {
            static_cast<Orchestrator *>(self)->stop();
            return G_SOURCE_CONTINUE;
          },
          this);
    g_unix_signal_add(
        SIGHUP,
        [](gpointer self) -> gboolean {
          static_cast<Orchestrator *>(self)->on_hangup();
          return G_SOURCE_CONTINUE;
        },
        this);
    if (relay_) {
      banner_timer_ = ContextTimer(nullptr, kRelayPatience, [this] { print_banner(); });
      relay_->when_known([this] { print_banner(); });
    } else {
      print_banner();
    }
    g_main_loop_run(loop_.get());
  }

 private:
  void say(LogLevel level, const std::string &text) const { log_(level, text); }

  /// Of what would be found out by calls only.
  void warn_of_lacks() const {
    std::vector<config::Lack> lacks;
    if (!tls_files_) lacks = config::certificate_lacks(config_.tls);
    if (config_.accounts.webhook.empty())
      for (auto &each : config::account_lacks(config_.sip.trunks, [this](const std::string &name) {
             return book_->snapshot()->find(name) != nullptr;
           }))
        lacks.push_back(std::move(each));
    for (const config::Lack &lack : lacks) say(LogLevel::Warning, lack.what + "; fix: " + lack.fix);
  }

  void raise_descriptor_limit() const {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
      say(LogLevel::Warning,
          std::string("cannot raise the limit of open files: ") + std::strerror(errno));
  }

  Result<void> open_data() {
    const std::string &dir = config_.data_dir;
    if (auto made = accounts::make_private_directory(dir); !made) return made;
    auto lock = config::take_serve_lock(dir);
    if (!lock) return lock.error();
    lock_ = std::move(*lock);
    // Left by a server that was killed; until this one writes its own, nobody is to go there.
    ::unlink(config::api_url_path(dir).c_str());
    auto book = Book::open(dir, config_.sip.realm);
    if (!book) return book.error();
    book_ = *book;
    trunks_ = config_.sip.trunks;
    for (config::Trunk &trunk : trunks_) {
      if (trunk.password_file.empty()) continue;
      auto password = accounts::read_secret_line(trunk.password_file);
      if (!password) return at("sip.trunks, password-file", password.error());
      trunk.password = *password;
    }
    accounts::OwnAddress own;
    if (const auto &sip = config_.listen.sip)
      own = {{config::public_host(config_, *sip), sip->address}, sip->port};
    auto rules = accounts::DialRules::compile(config_.sip.allow, trunks_, own);
    if (!rules) return rules.error();
    rules_ = std::make_shared<const accounts::DialRules>(std::move(*rules));
    auto token = accounts::load_or_make_secret(config::admin_token_path(dir),
                                               [] { return accounts::random_hex(32); });
    if (!token) return token.error();
    admin_token_ = *token;
    auto store = store::CallStore::open({config::calls_path(dir), config_.calls.keep_days, log_},
                                        std::chrono::system_clock::now());
    if (!store) return store.error();
    store_ = std::move(*store);
    workers_ = std::make_unique<store::WorkerPool>("junctor-work", kWorkers, kMaxWork);
    return {};
  }

  /// The one that is shown wherever TLS is spoken.
  Result<TlsFiles> certificate_files(const Endpoint &listen) {
    if (!tls_files_) {
      auto files = config::certificate_files(config_, config::public_host(config_, listen), log_);
      if (!files) return files.error();
      tls_files_ = *files;
    }
    return *tls_files_;
  }
  Result<std::shared_ptr<TlsIdentity>> certificate(const Endpoint &listen) {
    if (!identity_) {
      auto files = certificate_files(listen);
      if (!files) return files.error();
      auto loaded = TlsIdentity::load(*files, log_);
      if (!loaded) return loaded.error();
      identity_ = *loaded;
    }
    return identity_;
  }

  Result<void> start_rtmp() {
    auto reactor = ReactorThread::start("junctor-media");
    if (!reactor) return reactor.error();
    reactor_ = std::move(*reactor);
    if (!config_.listen.rtmp && !config_.listen.rtmps) return {};
    delays_ = std::make_shared<Delays>(reactor_->reactor());
    auto checks =
        make_checks(config_, {book_, rules_, busy_, reactor_->reactor(),
                              [delays = delays_](Duration delay, std::function<void()> function) {
                                delays->after(delay, std::move(function));
                              },
                              log_});
    if (!checks) return checks.error();
    webhook_ = std::move(checks->webhook);

    rtmp::ServerOptions server;
    if (config_.listen.rtmp) server.listen = *config_.listen.rtmp;
    if (const auto &secure = config_.listen.rtmps) {
      auto identity = certificate(*secure);
      if (!identity) return at("RTMPS (--rtmps)", identity.error());
      if (config_.listen.rtmp) {
        server.more_doors.push_back({*secure, *identity});
      } else {
        server.listen = *secure;
        server.tls = *identity;
      }
    }
    server.limits = config_.rtmp.limits;
    server.log = log_;
    server.events = terminal_events(checks->authenticator, busy_, to_calls(), log_);
    server.events.checked = [metrics = metrics_, log_it = std::move(server.events.checked)](
                                const rtmp::Request &request, const rtmp::Verdict &verdict) {
      metrics->checked(request, verdict);
      log_it(request, verdict);
    };
    auto listening = rtmp::Server::listen(reactor_->reactor(), std::move(server));
    if (!listening) return at("RTMP (--rtmp)", listening.error());
    rtmp_ = *listening;
    return {};
  }

  Result<void> start_stun() {
    auto server = open_stun(config_, reactor_->reactor(), log_);
    if (!server) return server.error();
    stun_ = *std::move(server);
    return {};
  }

  Result<void> start_turn() {
    auto relay = open_relay(
        config_, [this](const Endpoint &listen) { return certificate_files(listen); }, log_);
    if (!relay) return relay.error();
    relay_ = std::move(*relay);
    return {};
  }

  /// To the calls, on this thread.
  ToCalls to_calls() {
    return [this](std::function<void(calls::Service &)> function) {
      post_to(nullptr, [this, function = std::move(function)] {
        if (service_) function(*service_);
      });
    };
  }

  Result<void> start_sip() {
    if (!config_.listen.sip) {
      if (config_.listen.sips)
        return bad_input("--sips needs --sip: phones on UDP, TCP and TLS share one SIP stack");
      return {};
    }
    if (const std::string &media = config_.sip.media_address; !media.empty())
      if (const auto bound = bind_udp({media, 0}); !bound)
        return bad_input("sip.media-address: " + bound.error().detail +
                         "; name an address of this machine, or leave it out");
    sip::AgentOptions options;
    options.listen = *config_.listen.sip;
    options.tcp = config_.sip.tcp;
    options.media_address = config_.sip.media_address;
    options.rtp_low = config_.listen.rtp_low;
    options.rtp_high = config_.listen.rtp_high;
    options.user_agent = "Junctor/" JUNCTOR_VERSION;
    options.realm = book_->realm();
    options.callers = config_.sip.incoming;
    options.ha1 = [book = book_](const std::string &user) { return book->ha1(user); };
    options.connections = config_.sip.connections;
    options.max_calls = sip_legs(config_.calls.max);
    options.max_requests = config_.sip.requests;
    options.max_requests_per_peer = config_.sip.requests_per_address;
    if (const auto &secure = config_.listen.sips) {
      auto identity = certificate(*secure);
      if (!identity) return at("SIP over TLS (--sips)", identity.error());
      options.tls = sip::AgentTls{*secure, *identity, config_.sip.tls_ca, config_.sip.tls_verify};
      if (!config_.sip.tls_verify)
        say(LogLevel::Warning,
            "servers called over TLS may show any certificate (sip.tls-verify is false): whoever "
            "is on the way can listen; name their certificates in sip.tls-ca instead");
    }
    options.log = log_;
    options.session_expires = config_.sip.session_expires;
    auto agent = sip::Agent::create(nullptr, std::move(options));
    if (!agent) return at("SIP (--sip)", agent.error());
    agent_ = *agent;
    for (const config::Trunk &trunk : trunks_) {
      auto options = trunk_options(trunk);
      auto added =
          options ? agent_->add_trunk(*std::move(options), {}) : Result<void>(options.error());
      if (!added) return at(("the trunk " + trunk.name).c_str(), added.error());
    }
    return {};
  }

  Result<void> start_calls() {
    if (!rtmp_ || !agent_) {
      say(LogLevel::Warning, "no calls: they need both RTMP and SIP");
      return {};
    }
    auto media =
        calls::load_state_media(config_.media.country, config_.media.pictures, config_.media.tones);
    if (!media) return media.error();
    calls::Options options;
    options.media = *std::move(media);
    options.farewell = config_.media.farewell;
    options.watchdog_interval = config_.watchdog.interval;
    options.watchdog_tries = config_.watchdog.tries;
    options.answer_timeout = config_.sip.answer_timeout;
    options.formats = config_.sip.formats;
    options.pipelines_dir = config::pipelines_dir();
    options.max_calls = config_.calls.max;
    options.dial = [dialler = Dialler{rules_, book_, agent_, reactor_->reactor(),
                                      config_.sip.answer_timeout, config_.sip.srtp}](
                       const std::string &from, const std::string &to) {
      return dialler.contacts(from, to);
    };
    options.srtp = [book = book_, sip = config_.sip](const sip::IncomingCall &caller) {
      return srtp_of(caller, sip, *book);
    };
    options.is_account = [book = book_](const std::string &name) {
      return book->snapshot()->find(name) != nullptr;
    };
    options.log = log_;
    calls::Events events;
    events.changed = [this](const calls::View &call) {
      note_call(*busy_, call);
      metrics_->call_changed(call);
      store_->save(call);
      if (http_) http_->api().call_changed(call);
    };
    events.heard = [this](const calls::DigitHeard &heard) {
      if (http_) http_->api().digit_heard(heard);
    };
    service_ = calls::Service::create(rtmp_, agent_, std::move(options), std::move(events));
    if (!service_)
      return internal_error("the templates of calls in " + config::pipelines_dir() +
                            " cannot be used, and the log says why; install Junctor anew, or name "
                            "their directory in the environment variable JUNCTOR_PIPELINES");
    agent_->set_incoming([this](const sip::IncomingCall &incoming) {
      if (service_)
        service_->on_incoming(incoming);
      else
        incoming.call->hangup(EndReason::Shutdown);
    });
    return {};
  }

  Result<void> start_api() {
    api::Backend backend;
    backend.admin_token = admin_token_;
    backend.book = book_;
    backend.rules = rules_;
    backend.workers = workers_.get();
    backend.store = store_.get();
    backend.service = [this] { return service_.get(); };
    backend.max_calls = config_.calls.max;
    config::Config real = config_;  // with the ports that were got
    if (real.listen.rtmp) real.listen.rtmp->port = rtmp_->local().port;
    if (real.listen.rtmps) real.listen.rtmps->port = rtmp_->locals().back().port;
    if (real.listen.sip) real.listen.sip->port = agent_->local().port;
    if (real.listen.sips) real.listen.sips->port = agent_->local_tls().port;
    backend.addresses = config::public_addresses(real);
    backend.seconds = seconds_now;
    backend.log = log_;
    backend.registrations = [this](const std::string &account) {
      std::vector<std::string> contacts;
      if (agent_)
        for (const auto &phone : agent_->registrations(account)) contacts.push_back(phone.contact);
      return contacts;
    };
    backend.regions = config_.regions;
    if (stun_) backend.stun = api::StunAddresses{stun_->local(), stun_->alternate()};
    backend.relay = relay_.get();
    backend.trunks = [this] { return agent_ ? agent_->trunks() : std::vector<sip::TrunkStatus>(); };
    backend.metrics = [this] { return metrics_->text(measure()); };
    backend.answered = [metrics = metrics_](int status) { metrics->answered(status); };
    std::vector<Endpoint> stun;
    if (stun_) stun.push_back({config_.listen.stun->address, stun_->local().port});
    if (stun_ && stun_->alternate()) stun.push_back(*stun_->alternate());
    rendezvous_ = make_rendezvous(
        config_, book_, stun, relay_.get(),
        [this](const rendezvous::View &channel) {
          if (http_) http_->api().channel_changed(channel);
        },
        log_);
    backend.rendezvous = &rendezvous_->rendezvous();
    backend.expelled = [this](const std::string &account, bool removed) {
      expel_account(account, removed);
    };
    backend.token_revoked = [this](const std::string &account, const std::string &id) {
      expel_token(account, id);
    };
    auto http = HttpSide::open(
        config_, std::move(backend),
        {.certificate = [this](const Endpoint &listen) { return certificate_files(listen); },
         .more = [this](SoupServer *server) { rendezvous_->serve(server); },
         .log = log_});
    if (!http) return http.error();
    http_ = std::move(*http);
    return {};
  }

  metrics::Sample measure() const {
    metrics::Sample sample;
    if (service_) sample.calls = service_->list();
    if (rtmp_) sample.rtmp = rtmp_->stats();
    if (stun_) sample.stun = stun_->stats();
    if (webhook_) sample.webhook = webhook_->stats();
    if (relay_) sample.turn_runs = relay_->up();
    sample.rendezvous = rendezvous_->rendezvous().stats();
    const auto accounts = book_->snapshot();
    sample.accounts = accounts->accounts.size();
    if (agent_)
      for (const auto &trunk : agent_->trunks())
        ++sample.trunks[std::string(to_string(trunk.state))];
    if (agent_)
      for (const auto &[name, account] : accounts->accounts)
        sample.phones += agent_->registrations(name).size();
    return sample;
  }

  void expel_account(const std::string &account, bool removed) {
    say(LogLevel::Info, "account " + account + (removed ? ": removed" : ": its tokens revoked") +
                            "; its calls and streams end");
    expel(account, removed, agent_.get(), service_.get(), rtmp_);
    rendezvous_->rendezvous().expel(account, {}, "The account was removed, or its tokens revoked.",
                                    Clock::now());
  }

  /// What RTMP terminals began with it goes on: they are asked for one at each start only.
  void expel_token(const std::string &account, const std::string &id) {
    say(LogLevel::Info, "account " + account +
                            ": one of its tokens revoked; channels that were "
                            "opened with it end");
    rendezvous_->rendezvous().expel(account, id, "The token was revoked.", Clock::now());
  }

  /// Notices what `junctor account` does to the files while this runs.
  void watch_accounts() {
    const std::unique_ptr<GFile, Releaser<g_object_unref>> file(
        g_file_new_for_path(book_->path().c_str()));
    monitor_.reset(g_file_monitor_file(file.get(), G_FILE_MONITOR_WATCH_MOVES, nullptr, nullptr));
    if (!monitor_) {
      say(LogLevel::Warning, "changes of " + book_->path() + " by others will not be noticed");
      return;
    }
    g_signal_connect(
        monitor_.get(), "changed",
        G_CALLBACK(+[](GFileMonitor *, GFile *, GFile *, GFileMonitorEvent event, gpointer self) {
          if (event != G_FILE_MONITOR_EVENT_ATTRIBUTE_CHANGED)
            static_cast<Orchestrator *>(self)->reload_accounts();
        }),
        this);
    // What has changed since they were read, before anybody watched.
    reload_accounts();
  }

  /// What service managers send for "reload". Accounts and certificates are noticed without it.
  void on_hangup() {
    say(LogLevel::Info, "SIGHUP: accounts are read again; a changed configuration needs a restart");
    reload_accounts();
  }

  void reload_accounts() {
    const bool posted = workers_->post([this] {
      auto loaded = book_->reload();
      if (!loaded) {
        say(LogLevel::Error, loaded.error().detail + "; the accounts stay as they were");
        return;
      }
      for (const accounts::Voided &each : book_->take_voided())
        post_to(nullptr, [this, each] {
          if (each.token.empty())
            expel_account(each.account, each.removed);
          else
            expel_token(each.account, each.token);
        });
    });
    if (!posted) say(LogLevel::Warning, "too busy to read the changed accounts");
  }

  void prune_later() {
    prune_timer_ = ContextTimer(nullptr, 24h, [this] {
      store_->prune(std::chrono::system_clock::now());
      prune_later();
    });
  }

  /// Once.
  void print_banner() {
    if (std::exchange(banner_printed_, true) || stopping_) return;
    banner_timer_.reset();
    out_ << "Junctor " JUNCTOR_VERSION " runs. Data: " << config_.data_dir << "\n";
    if (config_.listen.rtmp) out_ << "  RTMP  " << rtmp_->local().to_string() << "\n";
    if (config_.listen.rtmps) out_ << "  RTMPS " << rtmp_->locals().back().to_string() << "\n";
    if (agent_)
      out_ << "  SIP   " << agent_->local().to_string()
           << (config_.sip.tcp ? " UDP and TCP" : " UDP") << ", RTP " << config_.listen.rtp_low
           << "-" << config_.listen.rtp_high << "\n";
    if (config_.listen.sips) out_ << "  SIPS  " << agent_->local_tls().to_string() << "\n";
    if (stun_) out_ << "  STUN  " << describe(*stun_) << "\n";
    if (relay_) out_ << "  TURN  " << relay_->description() << "\n";
    http_->print(out_);
    const bool usual = config_.data_dir == config::default_data_dir();
    const std::string dir = usual ? "" : " --data-dir " + config_.data_dir;
    out_ << "Next, in another terminal:\n"
         << "  junctor account add alice" << dir << "    prints the URLs to push and pull\n"
         << "  junctor account add bob" << dir << "      prints how his phone registers\n"
         << "  then push to the URL with ?to=bob, and pull; `junctor calls" << dir
         << "` shows the call\n"
         << "Ctrl-C ends all calls and stops." << std::endl;
  }

  void stop() {
    if (stopping_) {
      say(LogLevel::Warning, "told twice to stop: not waiting any longer");
      return g_main_loop_quit(loop_.get());
    }
    stopping_ = true;
    say(LogLevel::Info, "stopping: calls are ended and recorded");
    if (!service_) return say_goodbye();
    guard_ = ContextTimer(nullptr, kShutdownPatience, [this] {
      say(LogLevel::Error, "some calls did not end in time");
      finish();
    });
    service_->shutdown([this] { say_goodbye(); });
  }

  void say_goodbye() {
    rendezvous_->stop([this] { finish(); });
  }

  void finish() {
    if (std::exchange(finished_, true)) return;
    guard_.reset();
    http_->api().close();
    if (agent_) agent_->shutdown(EndReason::Shutdown, kAgentPatience);
    if (rtmp_) rtmp_->close();
    if (stun_) stun_->close();
    store_->flush();
    g_main_loop_quit(loop_.get());
  }

  const config::Config config_;
  std::vector<config::Trunk> trunks_;  ///< with their passwords
  std::ostream &out_;
  const LogSink log_;
  UniqueFd lock_;
  std::shared_ptr<Book> book_;
  std::shared_ptr<const accounts::DialRules> rules_;
  std::optional<TlsFiles> tls_files_;
  std::shared_ptr<TlsIdentity> identity_;
  const std::shared_ptr<accounts::BusyTable> busy_ = std::make_shared<accounts::BusyTable>();
  const std::shared_ptr<metrics::Metrics> metrics_ = std::make_shared<metrics::Metrics>();
  std::string admin_token_;
  std::unique_ptr<store::CallStore> store_;
  std::unique_ptr<ReactorThread> reactor_;
  std::shared_ptr<Delays> delays_;
  std::unique_ptr<accounts::WebhookClient> webhook_;  // outlives the server, which asks it
  std::shared_ptr<rtmp::Server> rtmp_;
  std::shared_ptr<nat::StunServer> stun_;
  std::unique_ptr<turn::Relay> relay_;
  std::shared_ptr<sip::Agent> agent_;
  std::shared_ptr<calls::Service> service_;
  std::unique_ptr<rendezvous::Socket> rendezvous_;
  std::unique_ptr<HttpSide> http_;
  std::unique_ptr<store::WorkerPool> workers_;  // its work uses what is above
  std::unique_ptr<GFileMonitor, Releaser<g_object_unref>> monitor_;
  std::unique_ptr<GMainLoop, Releaser<g_main_loop_unref>> loop_;
  ContextTimer guard_, prune_timer_, banner_timer_;
  bool banner_printed_ = false;
  bool stopping_ = false, finished_ = false;
};

}  // namespace

int serve(const config::Config &config, std::ostream &out, std::ostream &err) {
  std::signal(SIGPIPE, SIG_IGN);
  int code = 0;
  {
    Orchestrator orchestrator(config, out);
    if (const auto started = orchestrator.start(); !started) {
      err << "junctor: " << started.error().detail << std::endl;
      code = started.error().fault == Fault::BadInput ? cli::kWrongUsage : cli::kFailed;
    } else {
      orchestrator.run();
    }
  }
  config::finish_log();
  return code;
}

}  // namespace junctor
