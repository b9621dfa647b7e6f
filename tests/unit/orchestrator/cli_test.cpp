// SPDX-License-Identifier: LGPL-2.1-or-later
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "../temporary_directory.h"
#include "accounts/book.h"
#include "accounts/secrets.h"
#include "cli/client.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/elements.h"
#include "common/endpoint.h"
#include "config/places.h"
#include "config/serve_lock.h"
#include "serve.h"
#include "store/call_store.h"

using namespace junctor;
using namespace junctor::cli;

namespace {

struct Ran {
  int code = 0;
  std::string out, err;
};

Ran run_line(const std::vector<std::string> &arguments, const std::string &input = "") {
  std::istringstream in(input);
  std::ostringstream out, err;
  Ran ran;
  ran.code = run(parse(arguments), {in, out, err});
  ran.out = out.str();
  ran.err = err.str();
  return ran;
}

}  // namespace

TEST(CommandLine, ServeNeedsNothing) {
  const auto line = parse({"serve"});
  EXPECT_EQ(line.verb, Verb::Serve);
  EXPECT_EQ(line.config.listen.rtmp->port, 1935);
  EXPECT_FALSE(line.config.data_dir.empty());
}

TEST(CommandLine, FlagsCountMoreThanTheFile) {
  const TemporaryDirectory dir;
  const std::string path = dir.path() + "/c.toml";
  std::ofstream(path) << "data-dir = \"/from-file\"\n[listen]\nrtmp = \"127.0.0.1:1\"\n"
                      << "sip = \"127.0.0.1:2\"\n[sip]\nallow = [\"sip:*@a\"]\n";
  const auto line = parse({"serve", "--config", path, "--rtmp", "127.0.0.1:3", "--http", "off",
                           "--rtp-ports", "30000-30009", "--allow", "sip:*@b", "--allow", "sip:*@c",
                           "--log", "warning", "--public-host", "gw"});
  ASSERT_EQ(line.verb, Verb::Serve) << line.message;
  EXPECT_EQ(line.config.data_dir, "/from-file");
  EXPECT_EQ(line.config.listen.rtmp->port, 3);
  EXPECT_EQ(line.config.listen.sip->port, 2);
  EXPECT_FALSE(line.config.listen.http);
  EXPECT_EQ(line.config.listen.rtp_high, 30009);
  ASSERT_EQ(line.config.sip.allow.size(), 3U);
  EXPECT_EQ(line.config.sip.allow[2].uri, "sip:*@c");
  EXPECT_EQ(line.config.log, LogLevel::Warning);
  EXPECT_EQ(line.config.public_host, "gw");
}

TEST(CommandLine, MistakesNameTheFix) {
  struct Row {
    std::vector<std::string> arguments;
    const char *part;
  };
  for (const Row &row : {
           Row{{"serv"}, "did you mean 'serve'?"},
           Row{{"serve", "--rtpm", "x"}, "did you mean '--rtmp'?"},
           Row{{"serve", "--stun", "3478"}, "--stun: '3478' is not ADDRESS:PORT"},
           Row{{"serve", "--parent=x"}, "--parent is not in this version"},
           Row{{"serve", "--turn", "on"}, "--turn: must be auto, off or URLs"},
           Row{{"serve", "--rtmp", "1935"}, "--rtmp: '1935' is not ADDRESS:PORT"},
           Row{{"serve", "--rtp-ports", "5"}, "LOW-HIGH"},
           Row{{"serve", "--log", "loud"}, "debug, info"},
           Row{{"serve", "--config", "/no/such/file"}, "/no/such/file"},
           Row{{"account", "ad"}, "did you mean 'add'?"},
           Row{{"account", "add"}, "NAME is required"},
           Row{{"account", "token", "a", "--expires", "30"}, "30d"},
           Row{{"account", "token", "a", "--expires", "99999999d"}, "at most"},
           Row{{"account", "token", "a", "--rights", "fly"}, "push,pull"},
           Row{{"call", "alice"}, "TO is required"},
           Row{{"calls", "--limit", "0"}, "--limit"},
           Row{{"calls", "--limit"}, "--limit needs a value"},
           Row{{"hangup", "1", "2"}, "one argument too many: '2'"},
           Row{{"account", "fly"}, "unknown command 'fly'"},
           Row{{"hangup"}, "ID is required"},
           Row{{"dtmf", "id"}, "DIGITS is required"},
           Row{{"nat", "--every", "0"}, "--every"},
           Row{{"serve", "--rtmp"}, "--rtmp needs a value"},
           Row{{"serve", "--rtmp", "1.1.1.1:1", "--rtmp", "1.1.1.1:2"}, "--rtmp is given twice"},
           Row{{"--data-dir", "x", "calls"}, "comes after the command: junctor calls --data-dir"},
           Row{{"node", "--url", "https://u", "--price", "nan"}, "--price: 'nan' is no price"},
           Row{{"node", "--url", "https://u", "--price", "-1"}, "--price: '-1' is no price"},
           Row{{"node", "--url", "https://u", "--price", "1e9"}, "--price: '1e9' is no price"},
           Row{{"node", "--url", "https://u", "--name", ""}, "--name: it is empty"},
           Row{{"node", "--url", "https://u", "--hours", ""}, "--hours: it is empty"},
           Row{{"node", "--url", "https://u", "--max-bytes", ""}, "--max-bytes: it is empty"},
           Row{{"node", "--url", "https://u", "--stun", ""}, "--stun: it is empty"},
           Row{{"nat", "--stun", ""}, "--stun: it is empty"},
           Row{{"nat", "--stun", "foo:bar"}, "--stun: 'foo:bar' is no STUN server; write HOST"},
           Row{{"node", "--url", "https://u", "--stun", "foo:bar"},
               "--stun: 'foo:bar' is no STUN server; write HOST"},
           Row{{"serve", "--stun", ""}, "--stun: it is empty"},
           Row{{"serve", "--turn", ""}, "--turn: it is empty"},
           Row{{"doctor", "--https", ""}, "--https: it is empty"},
           Row{{"phone", "--call", "bob", "--answer-from", "carol"}, "leave it or --call out"},
           Row{{"phone", "--call", ""}, "--call: An account name has 1 to 64 of"},
           Row{{"phone", "--call", std::string(80, 'a')}, "--call: An account name has 1 to 64 of"},
           Row{{"phone", "--call", "sip:bob@host"}, "--call: An account name has"},
           Row{{"phone", "--answer-from", "bob,No One"}, "--answer-from: An account name has"},
           Row{{"phone", "--answer", "no", "--answer-from", "bob"}, "leave one out"},
           Row{{"nat", "--sutn", "x"}, "did you mean '--stun'?"},
       }) {
    const auto line = parse(row.arguments);
    EXPECT_EQ(line.verb, Verb::Say) << row.arguments[0];
    EXPECT_EQ(line.exit_code, kWrongUsage);
    EXPECT_NE(line.message.find(row.part), std::string::npos) << line.message;
  }
}

TEST(CommandLine, PricesAndTrustAreTaken) {
  EXPECT_EQ(parse({"node", "--url", "https://u", "--price", "0.05"}).node.price, 0.05);
  using Words = std::vector<std::string>;
  for (const auto &words : {Words{"nat"}, {"calls"}, {"hangup", "x"}, {"account", "list"}}) {
    Words more = words;
    more.insert(more.end(), {"--url", "https://u", "--ca", "c.pem", "--insecure"});
    const auto line = parse(more);
    EXPECT_EQ(line.trust.ca_file, "c.pem") << words.front() << line.message;
    EXPECT_TRUE(line.trust.insecure) << words.front();
  }
  EXPECT_TRUE(parse({"phone", "--insecure"}).phone.trust.insecure);
}

TEST(CommandLine, APhoneAnswersWhomItIsTold) {
  EXPECT_TRUE(parse({"phone"}).phone.answer_from.empty());
  EXPECT_EQ(parse({"phone", "--answer-from", "alice,bob", "--once"}).phone.answer_from,
            (std::vector<std::string>{"alice", "bob"}));
  EXPECT_EQ(parse({"phone", "--answer-from", ""}).exit_code, kWrongUsage);
}

TEST(CommandLine, StunServersAreTaken) {
  for (const char *server : {"stun.example.org", "192.0.2.1:3478", "[2001:db8::1]:3478"}) {
    EXPECT_EQ(parse({"node", "--url", "https://u", "--stun", server}).verb, Verb::Node) << server;
    EXPECT_EQ(parse({"nat", "--stun", server}).verb, Verb::Nat) << server;
  }
}

TEST(CommandLine, APhonesTimesAreSettings) {
  const PhoneLine usual = parse({"phone"}).phone;
  EXPECT_EQ(usual.timeout, 3000U);
  EXPECT_EQ(usual.head_start, 1000U);
  const PhoneLine told = parse({"phone", "--timeout", "800", "--head-start", "0"}).phone;
  EXPECT_EQ(told.timeout, 800U);
  EXPECT_EQ(told.head_start, 0U);
  EXPECT_EQ(parse({"phone", "--head-start", "60001"}).exit_code, kWrongUsage);
}

TEST(CommandLine, EveryCommandNamesTheOptionThatItDoesNotKnow) {
  const std::vector<std::vector<std::string>> commands = {
      {},
      {"serve"},
      {"account"},
      {"account", "add"},
      {"account", "list"},
      {"account", "remove"},
      {"account", "token"},
      {"account", "revoke"},
      {"call"},
      {"calls"},
      {"hangup"},
      {"dtmf"},
      {"trunks"},
      {"doctor"},
  };
  for (const auto &command : commands) {
    std::string name = "junctor";
    for (const auto &word : command) name += " " + word;
    for (const char *option : {"--foo", "--foo=3", "-x"}) {
      auto words = command;
      words.emplace_back(option);
      const auto ran = run_line(words);
      const std::string shown = std::string(option).substr(0, 5);
      EXPECT_EQ(ran.code, kWrongUsage) << name;
      EXPECT_EQ(ran.out, "") << name;
      EXPECT_EQ(ran.err, "junctor: unknown option '" + shown + "'\nTry: " + name + " --help\n");
    }
  }
}

TEST(CommandLine, WhatCanBeNoUrlOrNameIsAWrongUse) {
  const std::vector<std::vector<std::string>> commands = {{"account", "list"},
                                                          {"call", "alice", "bob"},
                                                          {"calls"},
                                                          {"hangup", "1"},
                                                          {"dtmf", "1", "2"},
                                                          {"trunks"},
                                                          {"answer", "1"},
                                                          {"decline", "1"},
                                                          {"channels"},
                                                          {"nodes"},
                                                          {"nat"},
                                                          {"phone"},
                                                          {"node"}};
  for (const auto &command : commands)
    for (const char *url : {"foo", "127.0.0.1:8080", "ftp://host", "http://", ""}) {
      auto words = command;
      words.insert(words.end(), {"--url", url});
      const auto ran = run_line(words);
      EXPECT_EQ(ran.code, kWrongUsage) << command.front() << " " << url << ": " << ran.err;
      EXPECT_NE(ran.err.find("is no URL of an orchestrator"), std::string::npos)
          << command.front() << " " << url << ": " << ran.err;
    }
  for (const char *command : {"add", "remove", "token", "revoke"})
    EXPECT_EQ(run_line({"account", command, "No Name"}).code, kWrongUsage) << command;
}

TEST(CommandLine, AuthoritiesThatAreNotThereAreAWrongUse) {
  using Words = std::vector<std::string>;
  for (const auto &words : {Words{"calls"}, {"nat"}, {"phone"}, {"node"}, {"account", "list"}}) {
    Words more = words;
    more.insert(more.end(), {"--url", "https://127.0.0.1:1", "--ca", "/none.pem"});
    const auto ran = run_line(more);
    EXPECT_EQ(ran.code, kWrongUsage) << words.front();
    EXPECT_NE(ran.err.find("--ca: /none.pem holds no certificates that can be read"),
              std::string::npos)
        << words.front() << ": " << ran.err;
  }
}

TEST(CommandLine, HelpAndVersion) {
  const auto version = run_line({"--version"});
  EXPECT_EQ(version.code, kDone);
  EXPECT_EQ(version.out, "junctor " JUNCTOR_VERSION "\n");
  const auto help = run_line({"--help"});
  EXPECT_EQ(help.code, kDone);
  for (const char *command :
       {"serve", "account", "call", "calls", "hangup", "dtmf", "trunks", "doctor"}) {
    EXPECT_NE(help.out.find(std::string("\n  ") + command + " "), std::string::npos) << command;
    EXPECT_EQ(run_line({command, "--help"}).code, kDone);
  }
  EXPECT_NE(help.out.find("Exit status"), std::string::npos);
  EXPECT_NE(run_line({"phone", "--help"}).out.find("The end of a file"), std::string::npos);
  const auto nothing = run_line({});
  EXPECT_EQ(nothing.code, kWrongUsage);
  EXPECT_NE(nothing.err.find("serve"), std::string::npos);
}

TEST(CommandLine, TokenOptions) {
  const auto line = parse({"account", "token", "alice", "--rights", "pull", "--expires", "12h"});
  ASSERT_EQ(line.verb, Verb::AccountToken) << line.message;
  EXPECT_EQ(line.name, "alice");
  EXPECT_EQ(line.rights, (accounts::Rights{false, true}));
  EXPECT_EQ(line.seconds, 12 * 3600);
  EXPECT_EQ(parse({"account", "token", "alice"}).seconds, accounts::kDefaultTokenLife);
}

TEST(Accounts, WorkWithoutAServer) {
  const TemporaryDirectory dir;
  const auto line = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--data-dir", dir.path()});
    return words;
  };
  EXPECT_NE(run_line(line({"account", "list"})).out.find("no account yet"), std::string::npos);
  const auto added =
      run_line(line({"account", "add", "alice", "--password-stdin"}), "correct horse\n");
  ASSERT_EQ(added.code, kDone) << added.err;
  EXPECT_NE(added.out.find("password  correct horse"), std::string::npos);
  EXPECT_EQ(added.out.find("or push"), std::string::npos)
      << "a space: clients differ in reading it";
  std::smatch url;
  ASSERT_TRUE(std::regex_search(added.out, url,
                                std::regex("rtmp://[^/]+/call\\?token=([^/]+)/alice\\?to=CALLEE")));
  EXPECT_NE(added.out.find("register as sip:alice@"), std::string::npos);
  auto book = *accounts::Book::open(dir.path(), "");
  const auto claims = book->verify(url[1].str(), 0);
  ASSERT_TRUE(claims);
  EXPECT_EQ(claims->subject, "alice");
  EXPECT_TRUE(book->verify_password("alice", "correct horse"));

  const auto again = run_line(line({"account", "add", "alice"}));
  EXPECT_EQ(again.code, kFailed);
  EXPECT_NE(again.err.find("account token alice"), std::string::npos);
  EXPECT_EQ(run_line(line({"account", "add", "Alice!"})).code, kWrongUsage);
  EXPECT_EQ(run_line(line({"account", "token", "bob"})).code, kFailed);

  const std::string file = dir.path() + "/alice.token";
  const auto saved = run_line(line({"account", "token", "alice", "--save", file}));
  ASSERT_EQ(saved.code, kDone) << saved.err;
  const auto token = accounts::read_secret_line(file);
  ASSERT_TRUE(token) << token.error().detail;
  EXPECT_TRUE(book->verify(*token, 0));
  EXPECT_EQ(saved.out.find(*token), std::string::npos) << saved.out;
  EXPECT_EQ(run_line(line({"account", "token", "alice", "--save", "/none/token"})).code, kFailed);
  const auto slip = run_line(line({"account", "revoke", "alice", "--id", claims->id.substr(1)}));
  EXPECT_EQ(slip.code, kWrongUsage);
  EXPECT_NE(slip.err.find("is no token's id"), std::string::npos) << slip.err;
  EXPECT_EQ(run_line(line({"account", "revoke", "alice", "--id", claims->id})).code, kDone);
  ASSERT_TRUE(book->reload());
  EXPECT_FALSE(book->verify(url[1].str(), 0));
  // As the API writes times, and so the list of calls.
  const std::regex time("alice +[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{3}Z\n");
  const auto listed = run_line(line({"account", "list"})).out;
  EXPECT_TRUE(std::regex_search(listed, time)) << listed;
  EXPECT_EQ(run_line(line({"account", "remove", "alice"})).code, kDone);
  EXPECT_EQ(run_line(line({"account", "remove", "alice"})).code, kFailed);
}

TEST(Client, SaysHowToStartAServer) {
  const TemporaryDirectory dir;
  const auto none = run_line({"calls", "--data-dir", dir.path()});
  EXPECT_EQ(none.code, kUnreachable);
  EXPECT_NE(none.err.find("junctor serve"), std::string::npos);
  std::ofstream(dir.path() + "/admin-token") << "secret\n";
  std::filesystem::permissions(dir.path() + "/admin-token", std::filesystem::perms(0600));
  // Port 1 of loopback: nobody listens there.
  const auto dead =
      run_line({"hangup", "x", "--data-dir", dir.path(), "--url", "http://127.0.0.1:1"});
  EXPECT_EQ(dead.code, kUnreachable);
  EXPECT_NE(dead.err.find("http://127.0.0.1:1"), std::string::npos);
  EXPECT_EQ(run_line({"calls", "--data-dir", dir.path(), "--url", "nonsense"}).code, kWrongUsage);
  const auto untrusting = run_line({"calls", "--data-dir", dir.path(), "--url",
                                    "https://127.0.0.1:1", "--ca", dir.path() + "/none.pem"});
  EXPECT_EQ(untrusting.code, kWrongUsage);
  EXPECT_NE(untrusting.err.find("none.pem"), std::string::npos) << untrusting.err;
}

TEST(AccountCommands, MakeNoFilesWhereARunningServerHasLostItsOwn) {
  const TemporaryDirectory dir;
  const std::vector<std::string> list{"account", "list", "--data-dir", dir.path()};
  ASSERT_EQ(run_line(list).code, 0) << "makes what is not there";
  const std::string path = dir.path() + "/accounts.json";
  ASSERT_TRUE(std::filesystem::remove(path));
  {
    const auto lock = config::take_serve_lock(dir.path());
    ASSERT_TRUE(lock);
    const auto refused = run_line(list);
    EXPECT_NE(refused.code, 0);
    EXPECT_NE(refused.err.find(path + " is gone while `junctor serve` runs"), std::string::npos)
        << refused.err;
    EXPECT_FALSE(std::filesystem::exists(path));
  }
  EXPECT_EQ(run_line(list).code, 0);
  EXPECT_TRUE(std::filesystem::exists(path));
}

// The admin token goes only to the server of the data directory, or where --url says.
TEST(Client, TrustsNoAnnouncementOfAServerThatIsGone) {
  const TemporaryDirectory dir;
  ASSERT_TRUE(accounts::write_private_file(config::admin_token_path(dir.path()), "secret\n"));
  ASSERT_TRUE(
      accounts::write_private_file(config::api_url_path(dir.path()), "http://127.0.0.1:1\n"));
  const auto gone = Client::make("", dir.path());
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().fault, Fault::Unreachable);
  EXPECT_NE(gone.error().detail.find("junctor serve"), std::string::npos);
  EXPECT_EQ(run_line({"calls", "--data-dir", dir.path()}).code, kUnreachable);
  {
    const auto lock = config::take_serve_lock(dir.path());
    ASSERT_TRUE(lock);
    EXPECT_FALSE(config::take_serve_lock(dir.path())) << "one server for each directory";
    const auto running = Client::make("", dir.path());
    ASSERT_TRUE(running) << running.error().detail;
    EXPECT_EQ(running->url(), "http://127.0.0.1:1");
    std::filesystem::remove(config::api_url_path(dir.path()));
    const auto silent = Client::make("", dir.path());
    ASSERT_FALSE(silent);
    EXPECT_EQ(silent.error().fault, Fault::Unreachable);
    EXPECT_NE(silent.error().detail.find("--http"), std::string::npos);
  }
  EXPECT_FALSE(Client::make("", dir.path())) << "the lock went with its server";
  const auto told = Client::make("http://127.0.0.1:2/", dir.path());
  ASSERT_TRUE(told);
  EXPECT_EQ(told->url(), "http://127.0.0.1:2");
}

TEST(Serve, EndsWithOneWithoutTheTemplatesOfCalls) {
  const TemporaryDirectory dir;
  const char *before = std::getenv("JUNCTOR_PIPELINES");
  const std::string kept = before ? before : "";
  ASSERT_EQ(::setenv("JUNCTOR_PIPELINES", (dir.path() + "/none").c_str(), 1), 0);
  const auto line =
      parse({"serve", "--data-dir", dir.path(), "--rtmp", "127.0.0.1:0", "--sip", "127.0.0.1:0",
             "--http", "127.0.0.1:0", "--stun", "off", "--log", "error"});
  ASSERT_EQ(line.verb, Verb::Serve) << line.message;
  std::ostringstream out, err;
  EXPECT_EQ(serve(line.config, out, err), 1);
  EXPECT_NE(err.str().find(dir.path() + "/none"), std::string::npos) << err.str();
  if (before)
    ::setenv("JUNCTOR_PIPELINES", kept.c_str(), 1);
  else
    ::unsetenv("JUNCTOR_PIPELINES");
}

TEST(Doctor, KnowsEveryElementOfTheTemplates) {
  const char *source = std::getenv("JUNCTOR_SOURCE");
  ASSERT_NE(source, nullptr);
  std::set<std::string> known;
  for (const auto &need : element_needs())
    for (const auto name : need.elements) known.emplace(name);
  std::string text;
  for (const auto &file : std::filesystem::directory_iterator(std::string(source) + "/pipelines")) {
    if (file.path().extension() != ".launch") continue;
    std::ifstream in(file.path());
    for (std::string line; std::getline(in, line);)
      if (!line.starts_with('#')) text += "! " + line + "\n";
  }
  // The codec table's launch texts stand in string literals.
  std::ifstream table(std::string(source) + "/orchestrator/calls/codec_table.cpp");
  const std::string code((std::istreambuf_iterator<char>(table)), {});
  const std::regex literal("\"([^\"\\n]*)\"");
  for (std::sregex_iterator each(code.begin(), code.end(), literal), end; each != end; ++each)
    if (const std::string word = (*each)[1]; word.size() > 3) text += "! " + word + "\n";
  ASSERT_FALSE(text.empty());
  const std::regex element("!\\s+([a-z][a-z0-9_]{3,})(?=[\\s]|$)(?!\\.)");
  std::set<std::string> seen;
  for (std::sregex_iterator each(text.begin(), text.end(), element), end; each != end; ++each)
    seen.insert((*each)[1]);
  EXPECT_GT(seen.size(), 10U);
  for (const auto &name : seen) EXPECT_TRUE(known.contains(name)) << name;
}

TEST(Doctor, EachLineIsOkOrHasAFix) {
  const TemporaryDirectory dir;
  const auto line =
      parse({"doctor", "--data-dir", dir.path() + "/new", "--rtmp", "127.0.0.1:0", "--sip",
             "127.0.0.1:0", "--stun", "127.0.0.1:0", "--http", "198.51.100.1:1"});
  ASSERT_EQ(line.verb, Verb::Doctor) << line.message;
  std::ostringstream out;
  config::Config config = line.config;
  config.sip.trunks.emplace_back().name = "carrier";
  config.sip.trunks.back().password_file = dir.path() + "/nothing";
  config.sip.trunks.back().accounts = {"*", "nobody"};
  config.sip.media_address = "198.51.100.1";
  config.tls = {dir.path() + "/no-certificate", dir.path() + "/no-key"};
  config.media.pictures = dir.path() + "/none";
  config.media.tones = dir.path() + "/no-tones";
  config.turn.mode = config::TurnMode::Own;
  config.turn.listen = {"198.51.100.1", 2};
  config.turn.tls = Endpoint{"198.51.100.1", 3};
  config.turn.secret_file = dir.path() + "/no-secret";
  config.stun.alternate = Endpoint{"198.51.100.1", 4};
  EXPECT_EQ(doctor(config, out), kFailed) << "nobody can listen on a foreign address";
  std::istringstream lines(out.str());
  std::string text, last;
  bool wants_fix = false;
  while (std::getline(lines, text)) {
    if (wants_fix) {
      EXPECT_EQ(text.substr(0, 14), "         fix: ") << text;
    }
    wants_fix = text.starts_with("missing  ");
    last = text;
  }
  EXPECT_FALSE(wants_fix);
  EXPECT_NE(last.find("missing; see the fix"), std::string::npos);
  EXPECT_NE(out.str().find("missing  the password of the trunk carrier: "), std::string::npos);
  EXPECT_NE(out.str().find(dir.path() + "/none"), std::string::npos);
  EXPECT_NE(out.str().find(dir.path() + "/no-tones"), std::string::npos) << "each is named";
  EXPECT_NE(out.str().find(dir.path() + "/no-certificate"), std::string::npos)
      << "though no TLS listens";
  EXPECT_NE(out.str().find("missing  port 198.51.100.1:1 for http"), std::string::npos);
  EXPECT_NE(out.str().find("that address is not this machine's"), std::string::npos);
  EXPECT_EQ(out.str().find("end the program that has it"), std::string::npos);
  for (const char *what :
       {"port 198.51.100.1:2 for turn.listen", "port 198.51.100.1:3 for turn.tls",
        "port 198.51.100.1:4 for stun.alternate", "the secret of TURN: ",
        "the account nobody, which the trunk carrier names", "sip.media-address: "})
    EXPECT_NE(out.str().find("missing  " + std::string(what)), std::string::npos) << what;
  EXPECT_NE(out.str().find("turnserver, the relay"), std::string::npos);
  EXPECT_NE(out.str().find("ok       data directory " + dir.path() + "/new"), std::string::npos);
}

TEST(Doctor, ACertificateOfOurOwnMakingIsNotMissing) {
  const TemporaryDirectory dir;
  const auto line = parse({"doctor", "--data-dir", dir.path(), "--rtmp", "off", "--sip", "off",
                           "--stun", "off", "--http", "off", "--https", "127.0.0.1:0"});
  std::ostringstream out;
  doctor(line.config, out);
  EXPECT_NE(out.str().find("ok       a certificate for TLS, of our own making"), std::string::npos)
      << out.str();
}

TEST(Doctor, LooksAtTheDataAsTheServerWouldReadIt) {
  const TemporaryDirectory dir;
  const std::string data = dir.path() + "/data";
  const auto report = [&] {
    const auto line = parse({"doctor", "--data-dir", data, "--rtmp", "off", "--sip", "off",
                             "--stun", "off", "--http", "off"});
    std::ostringstream out;
    doctor(line.config, out);
    return out.str();
  };
  const auto files = [&] {
    std::set<std::string> names;
    for (const auto &each : std::filesystem::directory_iterator(data))
      names.insert(each.path().filename());
    return names;
  };
  const std::string fine = "ok       accounts, secrets and records in " + data;
  EXPECT_NE(report().find(fine), std::string::npos) << "nothing is there yet";
  EXPECT_TRUE(files().empty());
  {
    const auto book = accounts::Book::open(data, "");
    ASSERT_TRUE(book && (*book)->add("alice", std::nullopt, 0));
  }
  const auto write = [&](const std::string &name, const std::string &text) {
    ASSERT_TRUE(accounts::write_private_file(data + "/" + name, text));
  };
  const auto now = std::chrono::system_clock::now();
  {
    const auto store = store::CallStore::open({data + "/calls.db", 1, {}}, now);
    ASSERT_TRUE(store);
    const auto beside = files();
    EXPECT_NE(report().find(fine), std::string::npos) << "beside the server that has it open";
    EXPECT_EQ(files(), beside);
  }
  const auto before = files();
  EXPECT_NE(report().find(fine), std::string::npos);
  std::filesystem::permissions(data + "/token-key", std::filesystem::perms(0644));
  EXPECT_NE(report().find("missing  " + data + "/token-key can be read or written by others"),
            std::string::npos);
  write("token-key", "short");
  EXPECT_NE(report().find("missing  " + data + "/token-key: the key of the tokens"),
            std::string::npos);
  std::filesystem::remove(data + "/token-key");
  write("accounts.json", "{");
  EXPECT_NE(report().find("missing  " + data + "/accounts.json is damaged"), std::string::npos);
  std::filesystem::remove(data + "/accounts.json");
  write("admin-token", "");
  EXPECT_NE(report().find("missing  " + data + "/admin-token is empty"), std::string::npos);
  std::filesystem::remove(data + "/admin-token");
  write("calls.db", std::string(5000, 'x'));
  const std::string last = report();
  EXPECT_NE(last.find("missing  cannot read the database of calls " + data + "/calls.db"),
            std::string::npos)
      << last;
  EXPECT_EQ(last.find(fine), std::string::npos);
  for (const auto &name : files()) EXPECT_TRUE(before.contains(name)) << name << " was made";
}

TEST(CommandLine, EachJsonSaysWhatItIs) {
  EXPECT_NE(parse({"node", "--help"}).message.find("Print the figures as JSON"), std::string::npos);
}

TEST(Doctor, PortsOfTheServerThatRunsAreNotMissing) {
  const TemporaryDirectory dir;
  const auto taken = listen_tcp({"127.0.0.1", 0});
  ASSERT_TRUE(taken);
  const std::string port = local_endpoint(taken->get()).to_string();
  const auto report = [&] {
    const auto line = parse({"doctor", "--data-dir", dir.path(), "--rtmp", "127.0.0.1:0", "--sip",
                             "127.0.0.1:0", "--stun", "127.0.0.1:0", "--http", port});
    std::ostringstream out;
    doctor(line.config, out);
    return out.str();
  };
  EXPECT_NE(report().find("missing  port " + port), std::string::npos);
  const auto lock = config::take_serve_lock(dir.path());
  ASSERT_TRUE(lock);
  EXPECT_NE(report().find("ok       port " + port + " for http, taken while the server runs"),
            std::string::npos);
}
