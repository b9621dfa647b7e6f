// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>

#include "accounts/book.h"
#include "cli/phone_flags.h"
#include "cli/validators.h"
#include "common/text.h"
#include "config/checks.h"
#include "config/nearest.h"
#include "config/turn.h"

namespace junctor::cli {

namespace {

constexpr const char *kFooter =
    "\nExit status: 0 done, 1 failed (the message says why and what to do), 2 the command line or\n"
    "the configuration is wrong, 3 no orchestrator answers.\n"
    "Each command explains itself: junctor COMMAND --help";

/// Promised for a later version; named, so that nobody looks for a misspelling.
constexpr const char *kLater[] = {"--rtsp", "--parent", "--directory"};

/// The flags of `serve`, as text until the file under them has been read.
struct Flags {
  std::string config_file, data_dir, rtmp, rtmps, sip, sips, http, https, stun, turn, rtp_ports,
      public_host, log;
  std::vector<std::string> allow;
  std::string rights = "push,pull", life;
};

Result<void> apply(const Flags &flags, config::Config &config) {
  if (!flags.config_file.empty())
    if (auto read = config::read_file(flags.config_file, config); !read) return read.error();
  if (!flags.data_dir.empty()) config.data_dir = flags.data_dir;
  if (config.data_dir.empty()) config.data_dir = config::default_data_dir();
  if (!flags.public_host.empty()) {
    auto host = config::parse_public_host(flags.public_host);
    if (!host) return bad_input("--public-host: " + host.error().detail);
    config.public_host = *host;
  }
  const auto listen = [](const char *name, const std::string &text,
                         std::optional<Endpoint> &field) -> Result<void> {
    if (text.empty()) return {};
    auto endpoint = config::parse_listen(text);
    if (!endpoint) return bad_input(std::string(name) + ": " + endpoint.error().detail);
    field = *endpoint;
    return {};
  };
  if (auto set = listen("--rtmp", flags.rtmp, config.listen.rtmp); !set) return set.error();
  if (auto set = listen("--rtmps", flags.rtmps, config.listen.rtmps); !set) return set.error();
  if (auto set = listen("--sip", flags.sip, config.listen.sip); !set) return set.error();
  if (auto set = listen("--sips", flags.sips, config.listen.sips); !set) return set.error();
  if (auto set = listen("--http", flags.http, config.listen.http); !set) return set.error();
  if (auto set = listen("--https", flags.https, config.listen.https); !set) return set.error();
  if (auto set = listen("--stun", flags.stun, config.listen.stun); !set) return set.error();
  if (!flags.turn.empty())
    if (auto set = config::parse_turn(flags.turn, config.turn); !set)
      return bad_input("--turn: " + set.error().detail);
  if (!flags.rtp_ports.empty()) {
    auto range = config::parse_port_range(flags.rtp_ports);
    if (!range) return bad_input("--rtp-ports: " + range.error().detail);
    std::tie(config.listen.rtp_low, config.listen.rtp_high) = *range;
  }
  if (!flags.log.empty()) {
    auto level = config::parse_log_level(flags.log);
    if (!level) return bad_input("--log: " + level.error().detail);
    config.log = *level;
  }
  for (const auto &uri : flags.allow) config.sip.allow.push_back({uri, "", "", "", {}});
  return {};
}

/// "90s", "12h", "30d".
Result<std::int64_t> parse_life(const std::string &text) {
  std::int64_t number = 0;
  const char *last = text.data() + text.size();
  const auto [end, failure] = std::from_chars(text.data(), last, number);
  const std::string unit(end, last);
  const std::int64_t factor = unit == "s"   ? 1
                              : unit == "m" ? 60
                              : unit == "h" ? 3600
                              : unit == "d" ? accounts::kDay
                                            : 0;
  if (failure != std::errc() || factor == 0 || number < 1 ||
      number > accounts::kMaxTokenLife / factor)
    return bad_input("--expires: '" + text +
                     "' is no time; write a number with s, m, h or d, like 30d (at most 3660d)");
  return number * factor;
}

Result<accounts::Rights> parse_rights(const std::string &text) {
  if (text == "push") return accounts::Rights{true, false};
  if (text == "pull") return accounts::Rights{false, true};
  if (text == "push,pull" || text == "pull,push") return accounts::Rights{true, true};
  return bad_input("--rights: '" + text + "' is not push, pull or push,pull");
}

/// Of the API: found out by the first request otherwise, which tells less.
const CLI::Validator kUrl(
    [](const std::string &text) {
      GUri *uri = g_uri_parse(text.c_str(), G_URI_FLAGS_NONE, nullptr);
      const std::string scheme = uri ? g_uri_get_scheme(uri) : "";
      const char *host = uri ? g_uri_get_host(uri) : nullptr;
      const bool good = (scheme == "http" || scheme == "https") && host && *host;
      if (uri) g_uri_unref(uri);
      return good ? std::string()
                  : "'" + text +
                        "' is no URL of an orchestrator; write for example http://127.0.0.1:8080 "
                        "or https://HOST:8443";
    },
    "");

/// Whoever lends his device for less than nothing, or for what is no number, has mistyped it.
const CLI::Validator kPrice(
    [](const std::string &text) {
      const auto price = number<double>(text);
      return price && *price >= 0 && *price <= 1e6
                 ? std::string()
                 : "'" + text + "' is no price; write a number from 0 to 1000000, like 0.05";
    },
    "");

/// The app whose command was being read when something went wrong.
const CLI::App *deepest(const CLI::App *app) {
  for (;;) {
    const auto chosen = app->get_subcommands();
    if (chosen.empty()) return app;
    app = chosen.front();
  }
}

std::string explain_extra(const CLI::App &app) {
  const CLI::App *at = deepest(&app);
  const auto extras = app.remaining(true);
  const std::string word = extras.empty() ? "" : extras.front().substr(0, extras.front().find('='));
  if (at != &app && !app.remaining().empty() && word.starts_with("--") &&
      at->get_option_no_throw(word))
    return word + " comes after the command: junctor " + at->get_name() + " " + word;
  if (std::find(std::begin(kLater), std::end(kLater), word) != std::end(kLater))
    return word + " is not in this version of Junctor";
  std::vector<std::string> known;
  std::string text, prefix;
  const auto commands = at->get_subcommands({});
  if (word.starts_with('-')) {
    text = "unknown option '" + word + "'";
    prefix = "--";
    for (const CLI::Option *option : at->get_options())
      for (const auto &name : option->get_lnames()) known.push_back(name);
  } else {
    text = (commands.empty() ? "one argument too many: '" : "unknown command '") + word + "'";
    for (const CLI::App *sub : commands) known.push_back(sub->get_name());
  }
  const auto meant = config::nearest(word.substr(std::min(prefix.size(), word.size())), known);
  if (meant) text += "; did you mean '" + prefix + *meant + "'?";
  return text;
}

CommandLine say(std::string message, int exit_code) {
  CommandLine line;
  line.message = std::move(message);
  line.exit_code = exit_code;
  return line;
}

CommandLine wrong(const CLI::App &app, const std::string &what) {
  const CLI::App *at = deepest(&app);
  std::string name = "junctor";
  if (at != &app) {
    std::string path = at->get_name();
    for (const CLI::App *up = at->get_parent(); up && up != &app; up = up->get_parent())
      path.insert(0, up->get_name() + " ");
    name += " " + path;
  }
  return say("junctor: " + what + "\nTry: " + name + " --help\n", kWrongUsage);
}

}  // namespace

CommandLine parse(const std::vector<std::string> &arguments) {
  CommandLine line;
  Flags flags;
  CLI::App app(
      "Junctor joins RTMP terminals and SIP phones to video calls.\n"
      "Start here:  junctor serve            (in one terminal; no configuration needed)\n"
      "             junctor account add NAME (in another; prints the URLs to use)",
      "junctor");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.set_version_flag("--version", "junctor " JUNCTOR_VERSION, "Print the version");
  app.get_formatter()->column_width(34);

  const auto verb = [&line](CLI::App *command, Verb which) {
    command->callback([&line, which] { line.verb = which; });
  };
  const auto data_dir = [&flags](CLI::App *command) {
    command
        ->add_option("--data-dir", flags.data_dir,
                     "Directory of accounts, secrets and records (default: " +
                         config::default_data_dir() + ")")
        ->type_name("DIR");
  };
  const auto place = [&](CLI::App *command) {
    data_dir(command);
    command
        ->add_option("--url", line.url,
                     "The orchestrator's API (default: the one that runs with this data "
                     "directory)")
        ->type_name("URL")
        ->check(kUrl);
  };
  const auto client = [&](CLI::App *command) {
    place(command);
    add_trust_flags(*command, line.trust);
  };
  const auto as_json = [&line](CLI::App *command) {
    command->add_flag("--json", line.json, "Print what the API answers, as JSON");
  };
  const auto call_id = [&line](CLI::App *command) {
    command->add_option("ID", line.id, "The call, as `junctor calls` shows it")->required();
  };
  const auto serve_flags = [&](CLI::App *command) {
    command->add_option("--config", flags.config_file, "Configuration; flags count more")
        ->type_name("FILE.toml");
    data_dir(command);
    command->add_option("--rtmp", flags.rtmp, "Where terminals connect, or off (0.0.0.0:1935)")
        ->type_name("ADDRESS:PORT")
        ->check(kNotEmpty);
    command->add_option("--rtmps", flags.rtmps, "The same under TLS, or off (off)")
        ->type_name("ADDRESS:PORT")
        ->check(kNotEmpty);
    command
        ->add_option("--sip", flags.sip,
                     "Where phones register, UDP and TCP, or off (0.0.0.0:5060)")
        ->type_name("ADDRESS:PORT")
        ->check(kNotEmpty);
    command->add_option("--sips", flags.sips, "The same under TLS, or off (off)")
        ->type_name("ADDRESS:PORT")
        ->check(kNotEmpty);
    command->add_option("--http", flags.http, "Where the REST API is, or off (127.0.0.1:8080)")
        ->type_name("ADDRESS:PORT")
        ->check(kNotEmpty);
    command
        ->add_option("--https", flags.https,
                     "The same under TLS, for clients on other machines, or off (off)")
        ->type_name("ADDRESS:PORT")
        ->check(kNotEmpty);
    command
        ->add_option("--stun", flags.stun,
                     "Where clients learn their external address, UDP and TCP, or off; its next "
                     "port, UDP, shows how their NATs behave (0.0.0.0:3478)")
        ->type_name("ADDRESS:PORT")
        ->check(kNotEmpty);
    command
        ->add_option("--turn", flags.turn,
                     "The relay of last resort: auto (coturn, where it is installed), off, or "
                     "turn:HOST:PORT of one that runs (off)")
        ->type_name("auto|off|URL")
        ->check(kNotEmpty);
    command->add_option("--rtp-ports", flags.rtp_ports, "UDP ports of calls (20000-29999)")
        ->type_name("LOW-HIGH")
        ->check(kNotEmpty);
  };

  CLI::App *serve = app.add_subcommand(
      "serve",
      "Run the orchestrator: RTMP server, SIP agent and registrar, calls, REST API, STUN server");
  serve_flags(serve);
  serve->add_option("--public-host", flags.public_host, "Host in the URLs that are printed")
      ->type_name("HOST")
      ->check(kNotEmpty);
  serve
      ->add_option("--allow", flags.allow,
                   "SIP address that accounts may call besides each other, * for anything, like "
                   "'sip:*@example.org'; may be given again (the key sip.allow)")
      ->type_name("SIP-URI");
  serve->add_option("--log", flags.log, "debug, info, warning or error (info)")->type_name("LEVEL");
  verb(serve, Verb::Serve);

  CLI::App *account = app.add_subcommand(
      "account", "Add and remove accounts, and make tokens for them; a server need not run");
  account->require_subcommand(1);
  const auto account_command = [&](const char *name, const char *explanation, Verb which) {
    CLI::App *command = account->add_subcommand(name, explanation);
    client(command);
    command->add_option("--config", flags.config_file, "Configuration of the server, for the URLs")
        ->type_name("FILE.toml");
    verb(command, which);
    return command;
  };
  const auto account_name = [&line](CLI::App *command) {
    command->add_option("NAME", line.name, "1 to 64 of a-z 0-9 . _ -")
        ->required()
        ->check(kAccountName);
  };
  const auto token_options = [&](CLI::App *command) {
    command->add_option("--rights", flags.rights, "push, pull or push,pull (both)")
        ->type_name("RIGHTS");
    command->add_option("--expires", flags.life, "Life of the token: 90s, 12h, 30d (30d)")
        ->type_name("TIME");
  };
  CLI::App *add = account_command("add", "Add an account; print its password, token and URLs once",
                                  Verb::AccountAdd);
  account_name(add);
  token_options(add);
  add->add_option(
         "--srtp", line.srtp,
         "Encryption of its media: off, prefer or require; require also refuses it RTMP in "
         "clear (default: as sip.srtp says)")
      ->type_name("POLICY")
      ->check(CLI::IsMember({"off", "prefer", "require"}));
  add->add_flag("--password-stdin", line.password_from_stdin,
                "Read the password from standard input instead of making one");
  add->add_flag("--json", line.json, "Print as JSON");
  as_json(account_command("list", "List all accounts", Verb::AccountList));
  account_name(
      account_command("remove", "Remove an account; ends what it does", Verb::AccountRemove));
  CLI::App *token =
      account_command("token", "Make another token and print its URLs", Verb::AccountToken);
  account_name(token);
  token_options(token);
  as_json(token);
  token
      ->add_option("--save", line.save,
                   "Write it into a file that only its owner may read, for --token-file, and print "
                   "nothing else")
      ->type_name("FILE");
  CLI::App *revoke = account_command(
      "revoke",
      "Void all tokens of an account, and end its calls and streams; or void one token, which ends "
      "the channels and nodes that connected with it, and no call or stream",
      Verb::AccountRevoke);
  account_name(revoke);
  // One with a slip in it would be void, and the one that is meant stay good.
  const auto check_id = [](const std::string &id) -> std::string {
    if (accounts::is_token_id(id)) return "";
    return "'" + id + "' is no token's id: those have 24 of 0-9 a-f, as account token prints them";
  };
  revoke->add_option("--id", line.id, "Only the token with this id")
      ->type_name("ID")
      ->check(check_id);

  CLI::App *call =
      app.add_subcommand("call",
                         "Call TO for account FROM, and tell how it goes until it is answered or "
                         "over; Ctrl-C ends the telling, `junctor hangup` the call");
  call->add_option("FROM", line.from, "Account whose terminal pushes and pulls")->required();
  call->add_option("TO", line.to,
                   "Account, SIP address that a dialling rule allows, or number that a trunk takes")
      ->required();
  bool no_wait = false;
  call->add_flag("--no-wait", no_wait, "Print the call's id and return at once");
  client(call);
  as_json(call);
  verb(call, Verb::Call);

  CLI::App *calls = app.add_subcommand(
      "calls", "List calls, newest first; or show one with its plan and launch line");
  calls->add_option("ID", line.id, "Show this call");
  calls->add_flag("--running", line.running_only, "Only calls that run");
  calls->add_option("--limit", line.limit, "How many (20)")
      ->type_name("N")
      ->check(CLI::Range(std::size_t{1}, std::size_t{500}));
  client(calls);
  as_json(calls);
  verb(calls, Verb::Calls);

  CLI::App *hangup = app.add_subcommand("hangup", "End a call");
  call_id(hangup);
  client(hangup);
  verb(hangup, Verb::Hangup);

  CLI::App *dtmf = app.add_subcommand("dtmf", "Press keys at the phone of a call");
  call_id(dtmf);
  dtmf->add_option("DIGITS", line.digits, "Of 0-9, *, # and A-D, like '12#'")->required();
  client(dtmf);
  verb(dtmf, Verb::Dtmf);

  CLI::App *trunks =
      app.add_subcommand("trunks", "List the trunks and how their registration is doing");
  client(trunks);
  as_json(trunks);
  verb(trunks, Verb::Trunks);

  CLI::App *channels = app.add_subcommand(
      "channels",
      "List the channels between clients, newest first; or show one with the log of its ladder");
  channels->add_option("ID", line.id, "Show this channel");
  client(channels);
  as_json(channels);
  verb(channels, Verb::Channels);

  CLI::App *nodes = app.add_subcommand("nodes", "List the devices that are lent to calls");
  client(nodes);
  as_json(nodes);
  verb(nodes, Verb::Nodes);

  CLI::App *nat = app.add_subcommand(
      "nat",
      "Find out what stands between this machine and others, and the nearest STUN server. Asks "
      "those given, else the regions of the orchestrator, else its own STUN server");
  nat->add_option("--stun", line.stun,
                  "STUN server to ask; may be given again: the nearest is asked everything")
      ->type_name("HOST:PORT")
      ->check(kNotEmpty)
      ->check(kStunServer);
  nat->add_flag("--watch", line.watch, "Go on, and tell when the external address changes");
  nat->add_option("--every", line.every, "Seconds between two looks with --watch (15)")
      ->type_name("SECONDS")
      ->check(CLI::Range(1U, 3600U));
  nat->add_flag("--json", line.json, "Print as JSON, with --watch a line for each change");
  client(nat);
  verb(nat, Verb::Nat);

  CLI::App *node = app.add_subcommand(
      "node",
      "Lend this device to calls: pass media on between clients that reach it but not each other. "
      "Their media stays encrypted from end to end");
  node->add_option("--url", line.url, "The orchestrator, https://HOST:PORT")
      ->type_name("URL")
      ->check(kUrl)
      ->required();
  node->add_option("--token-file", line.node.token_file,
                   "Token of an account, in a file that only you may read; or in JUNCTOR_TOKEN")
      ->type_name("FILE");
  node->add_option("--name", line.node.name,
                   "Its own among the nodes of all accounts (the host's name)")
      ->check(kNotEmpty);
  node->add_option("--listen", line.node.listen,
                   "UDP port of all clients ([::]:0: any free one, of IPv4 and IPv6)")
      ->type_name("ADDRESS:PORT");
  node->add_option("--announce", line.node.announced,
                   "Where others reach that besides, as behind a fixed translation; may be given "
                   "again")
      ->type_name("ADDRESS:PORT");
  node->add_option("--stun", line.stun, "STUN server to ask instead of the orchestrator's")
      ->type_name("HOST:PORT")
      ->check(kNotEmpty)
      ->check(kStunServer);
  node->add_option("--region", line.node.region, "Where it is (the nearest that it measures)");
  node->add_option("--price", line.node.price, "Of a gigabyte, from 0 to 1000000 (0)")
      ->type_name("NUMBER")
      ->check(kPrice);
  node->add_option("--max-users", line.node.users, "Clients at once (100)")
      ->type_name("N")
      ->check(CLI::Range(2U, 10000U));
  node->add_option("--max-bytes", line.node.bytes,
                   "What it forwards until it stops, like 1500k, 500M or 2G (0: as much as comes)")
      ->type_name("BYTES")
      ->check(kNotEmpty);
  node->add_option("--hours", line.node.hours,
                   "When it serves, local time, like 22:00-06:30,12:00-13:00 (always)")
      ->type_name("HOURS")
      ->check(kNotEmpty);
  node->add_option("--min-battery", line.node.battery,
                   "Percent below which a device that is not charged does not serve (20)")
      ->type_name("PERCENT")
      ->check(CLI::Range(0, 100));
  node->add_option("--drain", line.node.drain,
                   "When it is to stop, its calls may take so long to move away (15)")
      ->type_name("SECONDS")
      ->check(CLI::Range(0U, 3600U));
  node->add_option("--ca", line.node.trust.ca_file, "Certificates to believe, PEM")
      ->type_name("FILE");
  node->add_flag("--insecure", line.node.trust.insecure,
                 "Believe whatever certificate the orchestrator shows: who stands between could "
                 "give this node work, and learn its token");
  node->add_option("--every", line.node.every, "Seconds between two lines of figures (10; 0: none)")
      ->type_name("SECONDS");
  node->add_flag("--json", line.json, "Print the figures as JSON, an object a line");
  verb(node, Verb::Node);
  CLI::App *phone = app.add_subcommand(
      "phone",
      "Be a client without a screen: call an account, or wait to be called, through whatever NATs "
      "there are. Ctrl-C hangs up, SIGUSR1 saves a picture");
  add_phone_flags(*phone, line.phone);
  place(phone);
  phone->add_flag(
      "--json", line.json,
      "Print each event as a line of JSON, with the time of day in \"at\", in seconds since 1970");
  verb(phone, Verb::Phone);

  CLI::App *answer = app.add_subcommand("answer", "Answer a call for a terminal that rings");
  call_id(answer);
  client(answer);
  verb(answer, Verb::Answer);

  CLI::App *decline = app.add_subcommand("decline", "Decline a call for a terminal that rings");
  call_id(decline);
  client(decline);
  verb(decline, Verb::Decline);

  CLI::App *doctor = app.add_subcommand(
      "doctor", "Check this machine: GStreamer elements, ports, data directory, fonts");
  serve_flags(doctor);
  verb(doctor, Verb::Doctor);

  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::Success &success) {
    std::ostringstream text;
    app.exit(success, text, text);
    return say(text.str(), kDone);
  } catch (const CLI::ExtrasError &) {
    return wrong(app, explain_extra(app));
  } catch (const CLI::RequiredError &failure) {
    if (const auto extras = app.remaining(true); !extras.empty())
      return wrong(app, explain_extra(app));
    const CLI::App *at = deepest(&app);
    if (!at->get_subcommands({}).empty()) return say(at->help(), kWrongUsage);
    return wrong(app, failure.what());
  } catch (const CLI::ArgumentMismatch &failure) {
    const std::string what = failure.what();
    const bool twice = what.find(" received ") != std::string::npos;
    return wrong(app,
                 what.substr(0, what.find(':')) + (twice ? " is given twice" : " needs a value"));
  } catch (const CLI::ParseError &failure) {
    return wrong(app, failure.what());
  }

  if (line.verb == Verb::Phone && !line.phone.call.empty() && !line.phone.answer_from.empty())
    return wrong(app,
                 "--answer-from is for a phone that waits to be called; leave it or --call out");
  if (line.verb == Verb::Phone && line.phone.answer == "no" && !line.phone.answer_from.empty())
    return wrong(app, "--answer no declines all calls, those of --answer-from too; leave one out");
  if (auto applied = apply(flags, line.config); !applied) return wrong(app, applied.error().detail);
  line.wait = !no_wait;
  auto rights = parse_rights(flags.rights);
  if (!rights) return wrong(app, rights.error().detail);
  line.rights = *rights;
  line.seconds = accounts::kDefaultTokenLife;
  if (!flags.life.empty()) {
    auto life = parse_life(flags.life);
    if (!life) return wrong(app, life.error().detail);
    line.seconds = *life;
  }
  return line;
}

}  // namespace junctor::cli
