// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cli/commands.h"

#include <chrono>
#include <functional>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "accounts/authorities.h"
#include "accounts/book.h"
#include "accounts/secrets.h"
#include "api/api.h"
#include "cli/client.h"
#include "common/text.h"
#include "config/places.h"
#include "config/serve_lock.h"
#include "store/call_json.h"

namespace junctor::cli {

namespace {

using nlohmann::json;

int fail(const Streams &streams, const Error &error) {
  streams.err << "junctor: " << error.detail << "\n";
  return error.fault == Fault::Unreachable ? kUnreachable : kFailed;
}

std::string text_of(const json &value, const char *name) {
  const auto found = value.find(name);
  if (found == value.end() || found->is_null()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

/// Columns as wide as their content.
void print_table(std::ostream &out, const std::vector<std::vector<std::string>> &rows) {
  std::vector<std::size_t> widths;
  for (const auto &row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths.resize(std::max(widths.size(), row.size()));
      widths[i] = std::max(widths[i], row[i].size());
    }
  for (const auto &row : rows) {
    std::ostringstream line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line << std::left << std::setw(static_cast<int>(widths[i]) + 2) << row[i];
    std::string text = line.str();
    text.erase(text.find_last_not_of(' ') + 1);
    out << text << "\n";
  }
}

void print_token(std::ostream &out, const json &token) {
  out << "token     " << text_of(token, "token") << "\n"
      << "token id  " << text_of(token, "id") << ", expires " << text_of(token, "expires") << "\n";
  if (const auto url = text_of(token, "push_url"); !url.empty())
    out << "push      " << url << "\n"
        << "          CALLEE is an account or an allowed SIP address. In OBS: the server is the\n"
        << "          part up to the token, the stream key is NAME?to=CALLEE.\n";
  if (const auto url = text_of(token, "pull_url"); !url.empty()) out << "pull      " << url << "\n";
  for (const char *what : {"push", "pull"})
    if (const auto url = text_of(token, ("rtmps_" + std::string(what) + "_url").c_str());
        !url.empty())
      out << what << " TLS  " << url << "\n";
}

/// What an account command asks, either of a running server or of the files.
struct AccountWork {
  std::string method, path;
  json body;
  std::function<Result<json>(accounts::Book &, std::int64_t now)> offline;
};

Result<json> ask_accounts(const CommandLine &line, const AccountWork &work) {
  const std::string &data_dir = line.config.data_dir;
  const auto client = Client::make(line.url, data_dir, line.trust);
  const auto answer =
      client ? client->send(work.method, work.path, work.body) : Result<Answer>(client.error());
  if (answer) return answer->body;
  // Without an API the files do: a server that runs notices.
  if (!line.url.empty() || answer.error().fault != Fault::Unreachable) return answer.error();
  if (auto there = accounts::Book::check_not_moved(data_dir);
      !there && config::serve_lock_held(data_dir))
    return there.error();
  auto book = accounts::Book::open(data_dir, line.config.sip.realm);
  if (!book) return book.error();
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return work.offline(**book, std::chrono::duration_cast<std::chrono::seconds>(now).count());
}

json rights_json(accounts::Rights rights) {
  json list = json::array();
  if (rights.push) list.push_back("push");
  if (rights.pull) list.push_back("pull");
  return list;
}

int account_add(const CommandLine &line, const Streams &streams) {
  if (auto valid = accounts::check_name(line.name); !valid) return fail(streams, valid.error());
  std::optional<std::string> password;
  if (line.password_from_stdin) {
    password.emplace();
    std::getline(streams.in, *password);
  }
  AccountWork work{"POST", "/api/v1/accounts", {}, {}};
  work.body = {
      {"name", line.name}, {"rights", rights_json(line.rights)}, {"expires_in", line.seconds}};
  if (password) work.body["password"] = *password;
  if (!line.srtp.empty()) work.body["srtp"] = line.srtp;
  work.offline = [&](accounts::Book &book, std::int64_t now) -> Result<json> {
    auto made = book.add(line.name, password, now, rtp::srtp_policy_from_string(line.srtp));
    if (!made) return made.error();
    auto token = book.issue(line.name, line.rights, line.seconds, now);
    if (!token) return token.error();
    const auto addresses = api::usable_by(line.name, book, config::public_addresses(line.config));
    json value = api::token_to_json(*token, addresses);
    value["name"] = line.name;
    value["password"] = made->password;
    value["realm"] = book.realm();
    api::add_password_urls(value, *made, addresses);
    api::add_sip_urls(value, line.name, addresses);
    return value;
  };
  const auto added = ask_accounts(line, work);
  if (!added) return fail(streams, added.error());
  if (line.json) {
    streams.out << added->dump(2) << "\n";
    return kDone;
  }
  streams.out << "Account " << line.name
              << " is made. Its password and token are shown this once:\n\n"
              << "password  " << text_of(*added, "password") << "\n";
  print_token(streams.out, *added);
  bool with_password = false;
  for (const char *name : {"password_push_url", "password_pull_url", "rtmps_password_push_url",
                           "rtmps_password_pull_url"})
    if (const auto url = text_of(*added, name); !url.empty()) {
      with_password = true;
      streams.out << (std::string_view(name).find("push") != std::string_view::npos ? "or push   "
                                                                                    : "or pull   ")
                  << url << "\n";
    }
  if (with_password)
    streams.out << "          with the password: good until the account is removed\n";
  if (line.srtp == "require" && !added->contains("rtmps_server"))
    streams.out
        << "Its terminals come by RTMPS only, which is off; serve with --rtmps ADDRESS:PORT.\n";
  if (const auto sip = text_of(*added, "sip"); !sip.empty())
    streams.out << "SIP       register as " << sip << ", user " << line.name
                << ", the password above, realm " << text_of(*added, "realm") << "\n";
  if (const auto sips = text_of(*added, "sips"); !sips.empty())
    streams.out << "SIP TLS   register at " << sips << ", user and password the same\n";
  return kDone;
}

int account_list(const CommandLine &line, const Streams &streams) {
  AccountWork work{"GET", "/api/v1/accounts", {}, {}};
  work.offline = [](accounts::Book &book, std::int64_t) -> Result<json> {
    json list = json::array();
    for (const auto &[name, account] : book.snapshot()->accounts)
      list.push_back(
          {{"name", name},
           {"created", store::timestamp(calls::WallTime(std::chrono::seconds(account.created)))}});
    return json{{"accounts", list}};
  };
  const auto answer = ask_accounts(line, work);
  if (!answer) return fail(streams, answer.error());
  if (line.json) {
    streams.out << answer->dump(2) << "\n";
    return kDone;
  }
  const json list = answer->value("accounts", json::array());
  if (list.empty()) {
    streams.out << "There is no account yet. Add one: junctor account add NAME\n";
    return kDone;
  }
  std::vector<std::vector<std::string>> rows = {{"NAME", "CREATED", "REGISTERED PHONES"}};
  for (const auto &account : list) {
    std::string phones;
    for (const auto &phone : account.value("registered", json::array()))
      phones += (phones.empty() ? "" : " ") + phone.get<std::string>();
    rows.push_back({text_of(account, "name"), text_of(account, "created"), phones});
  }
  print_table(streams.out, rows);
  return kDone;
}

int account_remove(const CommandLine &line, const Streams &streams) {
  AccountWork work{"DELETE", "/api/v1/accounts/" + line.name, {}, {}};
  if (auto valid = accounts::check_name(line.name); !valid) return fail(streams, valid.error());
  work.offline = [&](accounts::Book &book, std::int64_t) -> Result<json> {
    if (auto removed = book.remove(line.name); !removed) return removed.error();
    return json();
  };
  if (const auto done = ask_accounts(line, work); !done) return fail(streams, done.error());
  streams.out << "Account " << line.name << " is removed.\n";
  return kDone;
}

int account_token(const CommandLine &line, const Streams &streams) {
  if (auto valid = accounts::check_name(line.name); !valid) return fail(streams, valid.error());
  AccountWork work{"POST", "/api/v1/accounts/" + line.name + "/tokens", {}, {}};
  work.body = {{"rights", rights_json(line.rights)}, {"expires_in", line.seconds}};
  work.offline = [&](accounts::Book &book, std::int64_t now) -> Result<json> {
    auto token = book.issue(line.name, line.rights, line.seconds, now);
    if (!token) return token.error();
    return api::token_to_json(
        *token, api::usable_by(line.name, book, config::public_addresses(line.config)));
  };
  const auto token = ask_accounts(line, work);
  if (!token) return fail(streams, token.error());
  if (!line.save.empty()) {
    if (auto saved = accounts::write_private_file(line.save, text_of(*token, "token") + "\n");
        !saved)
      return fail(streams, saved.error());
    streams.out << "token id  " << text_of(*token, "id") << ", saved in " << line.save << "\n";
  } else if (line.json) {
    streams.out << token->dump(2) << "\n";
  } else {
    print_token(streams.out, *token);
  }
  return kDone;
}

int account_revoke(const CommandLine &line, const Streams &streams) {
  if (auto valid = accounts::check_name(line.name); !valid) return fail(streams, valid.error());
  AccountWork work{"DELETE", "/api/v1/accounts/" + line.name + "/tokens", {}, {}};
  if (!line.id.empty()) work.path += "/" + line.id;
  work.offline = [&](accounts::Book &book, std::int64_t now) -> Result<json> {
    auto revoked =
        line.id.empty() ? book.revoke_all(line.name, now) : book.revoke(line.name, line.id, now);
    if (!revoked) return revoked.error();
    return json();
  };
  if (const auto done = ask_accounts(line, work); !done) return fail(streams, done.error());
  if (line.id.empty())
    streams.out << "All tokens of " << line.name << " are void. Make a new one: junctor account "
                << "token " << line.name << "\n";
  else
    streams.out << "The token " << line.id << " is void.\n";
  return kDone;
}

std::string outcome(const json &call) {
  std::string text = text_of(call, "state");
  if (const auto reason = text_of(call, "reason"); !reason.empty()) text += " " + reason;
  if (const auto detail = text_of(call, "detail"); !detail.empty()) text += ": " + detail;
  return text;
}

int call(const CommandLine &line, const Streams &streams) {
  using namespace std::chrono_literals;
  auto client = Client::make(line.url, line.config.data_dir, line.trust);
  if (!client) return fail(streams, client.error());
  auto made = client->send("POST", "/api/v1/calls", {{"from", line.from}, {"to", line.to}});
  if (!made) return fail(streams, made.error());
  json now = made->body;
  const std::string id = text_of(now, "id");
  if (!line.wait) {
    streams.out << (line.json ? now.dump(2) : id) << "\n";
    return kDone;
  }
  std::string told;
  if (!line.json) streams.out << "call " << id << "\n";
  for (;;) {
    const std::string state = text_of(now, "state");
    if (!line.json && state != told) streams.out << outcome(now) << std::endl;
    told = state;
    if (state == "answered" || state == "ended") {
      if (line.json) streams.out << now.dump(2) << "\n";
      return state == "answered" ? kDone : kFailed;
    }
    std::this_thread::sleep_for(200ms);
    auto next = client->send("GET", "/api/v1/calls/" + id);
    if (!next && next.error().fault == Fault::Unreachable)
      return fail(streams, {Fault::Unreachable,
                            "the orchestrator at " + client->url() +
                                " does not answer any more, and a call ends with it; once it runs "
                                "again, `junctor calls " +
                                id + "` says how"});
    if (!next) return fail(streams, next.error());
    now = next->body;
  }
}

/// What protects a leg, for people: "none" might as well mean that there are no media.
std::string in_words(std::string protection) {
  static constexpr std::string_view kNone = "none";
  for (auto at = protection.find(kNone); at != std::string::npos; at = protection.find(kNone, at))
    protection.replace(at, kNone.size(), "clear");
  return protection;
}

void print_call(std::ostream &out, const json &call) {
  struct Row {
    const char *name, *label;
  };
  for (const Row &row :
       {Row{"id", "id"}, Row{"from", "from"}, Row{"to", "to"}, Row{"uri", "uri"},
        Row{"redirected_to", "moved to"}, Row{"created", "created"}, Row{"ringing", "ringing"},
        Row{"answered", "answered"}, Row{"ended", "ended"}})
    if (const auto text = text_of(call, row.name); !text.empty())
      out << std::left << std::setw(10) << row.label << text << "\n";
  out << std::setw(10) << "state" << outcome(call) << "\n";
  if (const auto holds = call.find("on_hold"); holds != call.end() && !holds->empty()) {
    out << std::setw(10) << "on hold";
    for (const json &side : *holds)
      out << (&side == &holds->front() ? "by the " : " and the ") << side.get<std::string>();
    out << "\n";
  }
  if (const auto digits = text_of(call, "digits"); !digits.empty())
    out << std::setw(10) << "digits" << digits << "\n";
  if (const auto code = text_of(call, "sip_code"); !code.empty() && code != "0")
    out << std::setw(10) << "SIP code" << code << "\n";
  if (const auto security = call.find("security"); security != call.end())
    for (const char *side : {"caller", "callee"})
      if (const auto leg = security->find(side); leg != security->end() && leg->is_object())
        if (const auto signalling = text_of(*leg, "signalling"); !signalling.empty()) {
          const auto media = text_of(*leg, "media");
          out << std::setw(10) << side << "signalling " << in_words(signalling) << ", media "
              << (media.empty() ? "not agreed on yet" : in_words(media)) << "\n";
        }
  for (const char *medium : {"audio", "video"})
    if (const auto count = call.find(medium); count != call.end() && count->is_object())
      out << std::setw(10) << medium << "sent " << text_of(*count, "sent_packets") << ", received "
          << text_of(*count, "received_packets") << ", lost " << text_of(*count, "lost")
          << " packets\n";
  if (const auto plan = call.find("plan"); plan != call.end() && !plan->empty()) {
    out << "plan\n";
    for (const auto &step : *plan) {
      out << "  " << text_of(step, "direction") << " " << text_of(step, "medium") << ": "
          << text_of(step, "from") << " -> " << text_of(step, "to") << ", "
          << text_of(step, "reason");
      if (const double cost = step.value("cpu_percent", 0.0); cost > 0)
        out << " About " << cost << " % of a core.";
      out << "\n";
    }
  }
  if (const auto latency = call.find("latency"); latency != call.end() && !latency->empty()) {
    out << "latency in the last seconds: median, 99th percentile, most, in ms\n";
    for (const auto &route : *latency) {
      out << "  " << text_of(route, "direction") << " " << text_of(route, "medium") << ":";
      const json stages = route.value("stages", json::object());
      const char *comma = " ";
      for (const std::string_view name : calls::kStages) {
        const auto stage = stages.find(name);
        if (stage == stages.end()) continue;
        const auto ms = [&stage](const char *which) {
          std::ostringstream text;
          text << std::fixed << std::setprecision(2) << stage->value(which, 0.0);
          return text.str();
        };
        out << std::exchange(comma, "; ") << name << " " << ms("median_ms") << ", " << ms("p99_ms")
            << ", " << ms("most_ms");
      }
      out << "\n";
    }
  }
  if (const auto launch = text_of(call, "launch"); !launch.empty())
    out << "launch line\n" << launch << "\n";
}

int calls(const CommandLine &line, const Streams &streams) {
  auto client = Client::make(line.url, line.config.data_dir, line.trust);
  if (!client) return fail(streams, client.error());
  std::string path = "/api/v1/calls";
  if (!line.id.empty())
    path += "/" + line.id;
  else
    path += "?limit=" + std::to_string(line.limit) + (line.running_only ? "&state=running" : "");
  auto answer = client->send("GET", path);
  if (!answer) return fail(streams, answer.error());
  if (line.json) {
    streams.out << answer->body.dump(2) << "\n";
    return kDone;
  }
  if (!line.id.empty()) {
    print_call(streams.out, answer->body);
    return kDone;
  }
  std::vector<std::vector<std::string>> rows = {
      {"ID", "FROM", "TO", "STATE", "REASON", "CREATED", "ENDED"}};
  for (const auto &each : answer->body.value("calls", json::array()))
    rows.push_back({text_of(each, "id"), text_of(each, "from"), text_of(each, "to"),
                    text_of(each, "state"), text_of(each, "reason"), text_of(each, "created"),
                    text_of(each, "ended")});
  if (rows.size() == 1)
    streams.out << (line.running_only ? "No call runs.\n" : "There has been no call yet.\n");
  else
    print_table(streams.out, rows);
  return kDone;
}

/// Does something to the call; `what` it has become then.
int change_call(const CommandLine &line, const Streams &streams, const char *method,
                const std::string &action, const char *what) {
  auto client = Client::make(line.url, line.config.data_dir, line.trust);
  if (!client) return fail(streams, client.error());
  auto answer = client->send(method, "/api/v1/calls/" + line.id + action);
  if (!answer) return fail(streams, answer.error());
  streams.out << "Call " << line.id << " is " << what << ".\n";
  return kDone;
}

int dtmf(const CommandLine &line, const Streams &streams) {
  auto client = Client::make(line.url, line.config.data_dir, line.trust);
  if (!client) return fail(streams, client.error());
  auto answer =
      client->send("POST", "/api/v1/calls/" + line.id + "/dtmf", {{"digits", line.digits}});
  if (!answer) return fail(streams, answer.error());
  streams.out << "The digits are on their way to call " << line.id << ".\n";
  return kDone;
}

int trunks(const CommandLine &line, const Streams &streams) {
  auto client = Client::make(line.url, line.config.data_dir, line.trust);
  if (!client) return fail(streams, client.error());
  auto answer = client->send("GET", "/api/v1/trunks");
  if (!answer) return fail(streams, answer.error());
  if (line.json) {
    streams.out << answer->body.dump(2) << "\n";
    return kDone;
  }
  const json list = answer->body.value("trunks", json::array());
  if (list.empty()) {
    streams.out << "There is no trunk. The configuration names them: [[sip.trunks]]\n";
    return kDone;
  }
  std::vector<std::vector<std::string>> rows = {{"NAME", "STATE", "URI", "DETAIL"}};
  for (const auto &each : list) {
    std::string detail = text_of(each, "detail");
    if (const auto retry = text_of(each, "retry_in"); !retry.empty())
      detail += "; tried again in " + retry + " s";
    if (const auto expires = text_of(each, "expires_in"); !expires.empty())
      detail = "for " + expires + " s";
    rows.push_back({text_of(each, "name"), text_of(each, "state"), text_of(each, "uri"), detail});
  }
  print_table(streams.out, rows);
  return kDone;
}

constexpr std::size_t kWidestState = 64;  // in bytes

/// For a column: all of a long sentence is shown with its channel alone.
std::string cut(const std::string &text) {
  if (text.size() <= kWidestState) return text;
  std::size_t end = kWidestState - 3;
  // Before a character of UTF-8 that would not fit.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end) + "...";
}

/// "p2p", or "p2p and relay" where the two directions differ.
std::string carried_by(const json &channel) {
  const json rungs = channel.value("carried_by", json::object());
  std::string caller = text_of(rungs, "caller"), callee = text_of(rungs, "callee");
  if (caller == callee || callee.empty()) return caller;
  return caller.empty() ? callee : caller + " and " + callee;
}

void print_channel(std::ostream &out, const json &channel) {
  for (const char *name : {"id", "from", "to", "created", "ringing", "answered", "ended"})
    if (const auto text = text_of(channel, name); !text.empty())
      out << std::left << std::setw(10) << name << text << "\n";
  out << std::setw(10) << "state" << outcome(channel) << "\n";
  if (const auto direct = text_of(channel, "direct"); !direct.empty())
    out << std::setw(10) << "direct" << direct << ": " << text_of(channel, "direct_why") << "\n";
  if (const auto rungs = carried_by(channel); !rungs.empty())
    out << std::setw(10) << "media by" << rungs << "\n";
  const json ladder = channel.value("ladder", json::array());
  if (!ladder.empty()) out << "ladder\n";
  for (const json &each : ladder) {
    out << "  " << text_of(each, "at") << " " << text_of(each, "by") << ": "
        << text_of(each, "rung");
    if (const auto node = text_of(each, "node"); !node.empty()) out << " " << node;
    out << " " << text_of(each, "state");
    if (const double ms = each.value("ms", 0.0); ms > 0) out << " after " << brief(ms) << " ms";
    if (const auto why = text_of(each, "why"); !why.empty()) out << ": " << why;
    out << "\n";
  }
}

int nodes(const CommandLine &line, const Streams &streams) {
  const auto client = Client::make(line.url, line.config.data_dir, line.trust);
  if (!client) return fail(streams, client.error());
  const auto answer = client->send("GET", "/api/v1/nodes");
  if (!answer) return fail(streams, answer.error());
  if (line.json) {
    streams.out << answer->body.dump(2) << "\n";
    return kDone;
  }
  const json list = answer->body.value("nodes", json::array());
  if (list.empty()) streams.out << "No device is lent; `junctor node` lends one.\n";
  for (const json &node : list) {
    const auto text = [&](const char *field) {
      return node[field].is_string() ? node[field].get<std::string>() : std::string();
    };
    streams.out << text("name") << "  of " << text("account") << "  " << node["used"] << "/"
                << node["legs"] << " legs  "
                << (text("nat").empty() ? "NAT not known" : text("nat"))
                << (text("region").empty() ? "" : "  in " + text("region"))
                << (text("draining").empty() ? "" : "  takes nothing new: " + text("draining"))
                << "\n";
  }
  return kDone;
}

int channels(const CommandLine &line, const Streams &streams) {
  auto client = Client::make(line.url, line.config.data_dir, line.trust);
  if (!client) return fail(streams, client.error());
  const std::string path = "/api/v1/channels";
  auto answer = client->send("GET", line.id.empty() ? path : path + "/" + line.id);
  if (!answer) return fail(streams, answer.error());
  if (line.json) {
    streams.out << answer->body.dump(2) << "\n";
    return kDone;
  }
  if (!line.id.empty()) {
    print_channel(streams.out, answer->body);
    return kDone;
  }
  const json list = answer->body.value("channels", json::array());
  if (list.empty()) {
    streams.out << "There is no channel. One begins with: junctor phone --call NAME\n";
    return kDone;
  }
  std::vector<std::vector<std::string>> rows = {
      {"ID", "FROM", "TO", "CREATED", "STATE", "MEDIA BY"}};
  for (const auto &each : list)
    rows.push_back({text_of(each, "id"), text_of(each, "from"), text_of(each, "to"),
                    text_of(each, "created"), cut(outcome(each)), carried_by(each)});
  print_table(streams.out, rows);
  return kDone;
}

/// The flag --ca of whatever command: found out when something is sent otherwise, as a failure.
Result<void> check_authorities(const CommandLine &line) {
  for (const accounts::Trust *trust : {&line.trust, &line.phone.trust, &line.node.trust})
    if (!trust->ca_file.empty())
      if (const auto read = accounts::read_authorities(trust->ca_file); !read)
        return bad_input("--ca: " + read.error().detail);
  return {};
}

}  // namespace

int run(const CommandLine &line, Streams streams) {
  if (const auto good = check_authorities(line); !good) {
    streams.err << "junctor: " << good.error().detail << "\n";
    return kWrongUsage;
  }
  switch (line.verb) {
    case Verb::Say:
      (line.exit_code == kDone ? streams.out : streams.err) << line.message;
      return line.exit_code;
    case Verb::AccountAdd:
      return account_add(line, streams);
    case Verb::AccountList:
      return account_list(line, streams);
    case Verb::AccountRemove:
      return account_remove(line, streams);
    case Verb::AccountToken:
      return account_token(line, streams);
    case Verb::AccountRevoke:
      return account_revoke(line, streams);
    case Verb::Call:
      return call(line, streams);
    case Verb::Calls:
      return calls(line, streams);
    case Verb::Hangup:
      return change_call(line, streams, "DELETE", "", "ended");
    case Verb::Trunks:
      return trunks(line, streams);
    case Verb::Channels:
      return channels(line, streams);
    case Verb::Nodes:
      return nodes(line, streams);
    case Verb::Nat:
      return nat(line, streams);
    case Verb::Node:
      return node(line, streams);
    case Verb::Phone:
      return phone(line, streams);
    case Verb::Dtmf:
      return dtmf(line, streams);
    case Verb::Answer:
      return change_call(line, streams, "POST", "/answer", "answered");
    case Verb::Decline:
      return change_call(line, streams, "POST", "/decline", "declined");
    case Verb::Doctor:
      return doctor(line.config, streams.out);
    case Verb::Serve:
      break;
  }
  return kFailed;
}

}  // namespace junctor::cli
