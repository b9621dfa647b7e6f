// SPDX-License-Identifier: LGPL-2.1-or-later
// What the API does with accounts and tokens.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/api.h"
#include "store/call_json.h"

namespace junctor::api {

namespace {

using nlohmann::json;

std::string time_text(std::int64_t seconds) {
  return store::timestamp(calls::WallTime(std::chrono::seconds(seconds)));
}

Response from_error(const Error &error, const LogSink &log) {
  switch (error.fault) {
    case Fault::BadInput:
      return problem(422, error.detail);
    case Fault::Refused:
      return problem(409, error.detail);
    default:
      // It names files, which are no client's business.
      if (log) log(LogLevel::Error, "an account cannot be changed: " + error.detail);
      return problem(500, "The accounts cannot be changed for now; the server's log says why.");
  }
}

/// The account was there when it was looked for, and may have gone since.
Response from_error(const Error &error, const LogSink &log, const accounts::Book &book,
                    const std::string &account) {
  if (error.fault == Fault::BadInput && !book.snapshot()->find(account))
    return problem(404, "There is no such account.");
  return from_error(error, log);
}

/// A JSON object, or an answer that says what is wrong. No body is an empty object.
Result<json> parse_object(const std::string &body) {
  json value = body.empty() ? json::object() : json::parse(body, nullptr, false);
  if (!value.is_object()) return bad_input("The body must be a JSON object.");
  return value;
}

/// Refuses members that no reader would look at, so that a slip of the finger is noticed.
Result<void> check_members(const json &value, std::initializer_list<std::string_view> known) {
  for (const auto &[name, member] : value.items())
    if (std::find(known.begin(), known.end(), name) == known.end())
      return bad_input("The body has an unknown member '" + name.substr(0, 64) + "'.");
  return {};
}

struct TokenWish {
  accounts::Rights rights{true, true};
  std::int64_t seconds = accounts::kDefaultTokenLife;
};

Result<TokenWish> token_wish(const json &value) {
  TokenWish wish;
  if (value.contains("rights")) {
    const json &rights = value["rights"];
    wish.rights = {};
    bool right = rights.is_array() && !rights.empty();
    if (right)
      for (const auto &name : rights) {
        wish.rights.push |= name == "push";
        wish.rights.pull |= name == "pull";
        right = right && (name == "push" || name == "pull");
      }
    if (!right) return bad_input("'rights' is a list of \"push\", \"pull\" or both.");
  }
  if (value.contains("expires_in")) {
    if (!value["expires_in"].is_number_integer())
      return bad_input("'expires_in' is a number of seconds.");
    wish.seconds = value["expires_in"].get<std::int64_t>();
  }
  return wish;
}

/// Calls `add(scheme, host, prefix)` for each way to RTMP that is open; `prefix` is that of its
/// members.
template <class Add>
void for_each_rtmp(const PublicAddresses &addresses, Add &&add) {
  if (!addresses.rtmp.empty()) add("rtmp", addresses.rtmp, "");
  if (!addresses.rtmps.empty()) add("rtmps", addresses.rtmps, "rtmps_");
}

}  // namespace

PublicAddresses usable_by(const std::string &account, const accounts::Book &book,
                          PublicAddresses addresses) {
  const auto snapshot = book.snapshot();
  const accounts::Account *found = snapshot->find(account);
  if (found && found->srtp == rtp::SrtpPolicy::Require) addresses.rtmp.clear();
  return addresses;
}

json token_to_json(const accounts::Token &token, const PublicAddresses &addresses) {
  const accounts::Claims &claims = token.claims;
  json rights = json::array();
  if (claims.rights.push) rights.push_back("push");
  if (claims.rights.pull) rights.push_back("pull");
  json value = {{"token", token.text},
                {"id", claims.id},
                {"rights", rights},
                {"expires", time_text(claims.expires)}};
  for_each_rtmp(addresses,
                [&](const std::string &scheme, const std::string &host, const std::string &prefix) {
                  const std::string server =
                      scheme + "://" + host + "/" + addresses.application + "?token=" + token.text;
                  value[scheme + "_server"] = server;
                  if (claims.rights.push)
                    value[prefix + "push_url"] = server + "/" + claims.subject + "?to=CALLEE";
                  if (claims.rights.pull)
                    value[prefix + "pull_url"] = server + "/" + claims.subject;
                });
  return value;
}

void add_password_urls(json &value, const accounts::NewAccount &account,
                       const PublicAddresses &addresses) {
  // ffmpeg keeps 49 bytes of a name or password and decodes no escapes; GStreamer decodes them.
  constexpr std::size_t kLongest = 49;
  const std::string &password = account.password;
  const bool plain = std::all_of(password.begin(), password.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
  });
  if (!addresses.passwords || !plain || password.size() > kLongest ||
      account.name.size() > kLongest)
    return;
  for_each_rtmp(addresses,
                [&](const std::string &scheme, const std::string &host, const std::string &prefix) {
                  const std::string url = scheme + "://" + account.name + ":" + password + "@" +
                                          host + "/" + addresses.application + "/" + account.name;
                  value[prefix + "password_push_url"] = url + "?to=CALLEE";
                  value[prefix + "password_pull_url"] = url;
                });
}

void add_sip_urls(json &value, const std::string &account, const PublicAddresses &addresses) {
  if (!addresses.sip.empty()) value["sip"] = "sip:" + account + "@" + addresses.sip;
  if (!addresses.sips.empty())
    value["sips"] = "sip:" + account + "@" + addresses.sips + ";transport=tls";
}

void Api::list_accounts(const Request &, const Parameters &, const Reply &reply) {
  json list = json::array();
  const auto snapshot = backend_.book->snapshot();
  for (const auto &[name, account] : snapshot->accounts) {
    json phones = json::array();
    if (backend_.registrations)
      for (const auto &contact : backend_.registrations(name)) phones.push_back(contact);
    json one = {{"name", name}, {"created", time_text(account.created)}, {"registered", phones}};
    if (account.srtp) one["srtp"] = std::string(to_string(*account.srtp));
    list.push_back(std::move(one));
  }
  reply(json_response(200, {{"accounts", list}}));
}

void Api::add_account(const Request &request, const Parameters &, const Reply &reply) {
  auto body = parse_object(request.body);
  if (!body) return reply(problem(400, body.error().detail));
  if (auto known = check_members(*body, {"name", "password", "srtp", "rights", "expires_in"});
      !known)
    return reply(problem(422, known.error().detail));
  if (!body->contains("name") || !(*body)["name"].is_string())
    return reply(problem(422, "'name' is missing: the name of the new account."));
  if (body->contains("password") && !(*body)["password"].is_string())
    return reply(problem(422, "'password' is a text; leave it out, and one is made."));
  const auto wish = token_wish(*body);
  if (!wish) return reply(problem(422, wish.error().detail));
  std::optional<rtp::SrtpPolicy> srtp;
  if (body->contains("srtp")) {
    const json &policy = (*body)["srtp"];
    srtp = rtp::srtp_policy_from_string(policy.is_string() ? policy.get<std::string>() : "");
    if (!srtp) return reply(problem(422, "'srtp' is \"off\", \"prefer\" or \"require\"."));
  }
  const std::string name = (*body)["name"];
  std::optional<std::string> password;
  if (body->contains("password")) password = (*body)["password"].get<std::string>();
  answer_from_worker(reply,
                     [book = backend_.book, log = backend_.log, all = backend_.addresses, name,
                      password, srtp, wish = *wish, now = backend_.seconds()]() -> Response {
                       auto made = book->add(name, password, now, srtp);
                       if (!made) return from_error(made.error(), log);
                       auto token = book->issue(name, wish.rights, wish.seconds, now);
                       if (!token) {
                         (void)book->remove(name);
                         return from_error(token.error(), log);
                       }
                       const PublicAddresses addresses = usable_by(name, *book, all);
                       json value = token_to_json(*token, addresses);
                       value["name"] = name;
                       value["password"] = made->password;
                       value["realm"] = book->realm();
                       add_password_urls(value, *made, addresses);
                       add_sip_urls(value, name, addresses);
                       Response response = json_response(201, value);
                       response.headers.emplace_back("Location", "/api/v1/accounts/" + name);
                       response.headers.emplace_back("Cache-Control", "no-store");
                       return response;
                     });
}

void Api::remove_account(const Request &, const Parameters &parameters, const Reply &reply) {
  const std::string &name = parameters[0];
  if (!backend_.book->snapshot()->find(name))
    return reply(problem(404, "There is no such account."));
  const auto expelled = backend_.expelled;
  const Reply then = [expelled, name, reply](Response response) {
    if (response.status == 204 && expelled) expelled(name, true);
    reply(std::move(response));
  };
  answer_from_worker(then, [book = backend_.book, log = backend_.log, name]() -> Response {
    if (auto removed = book->remove(name); !removed)
      return from_error(removed.error(), log, *book, name);
    return {204, {}, "", ""};
  });
}

void Api::issue_token(const Request &request, const Parameters &parameters, const Reply &reply) {
  auto body = parse_object(request.body);
  if (!body) return reply(problem(400, body.error().detail));
  if (auto known = check_members(*body, {"rights", "expires_in"}); !known)
    return reply(problem(422, known.error().detail));
  const auto wish = token_wish(*body);
  if (!wish) return reply(problem(422, wish.error().detail));
  if (!backend_.book->snapshot()->find(parameters[0]))
    return reply(problem(404, "There is no such account."));
  const auto token =
      backend_.book->issue(parameters[0], wish->rights, wish->seconds, backend_.seconds());
  if (!token) return reply(from_error(token.error(), backend_.log));
  const PublicAddresses addresses = usable_by(parameters[0], *backend_.book, backend_.addresses);
  Response response = json_response(201, token_to_json(*token, addresses));
  response.headers.emplace_back("Cache-Control", "no-store");
  reply(std::move(response));
}

void Api::revoke_tokens(const Request &, const Parameters &parameters, const Reply &reply) {
  const std::string &name = parameters[0];
  if (!backend_.book->snapshot()->find(name))
    return reply(problem(404, "There is no such account."));
  const auto expelled = backend_.expelled;
  const Reply then = [expelled, name, reply](Response response) {
    if (response.status == 204 && expelled) expelled(name, false);
    reply(std::move(response));
  };
  answer_from_worker(
      then,
      [book = backend_.book, log = backend_.log, name, now = backend_.seconds()]() -> Response {
        if (auto revoked = book->revoke_all(name, now); !revoked)
          return from_error(revoked.error(), log, *book, name);
        return {204, {}, "", ""};
      });
}

void Api::revoke_token(const Request &, const Parameters &parameters, const Reply &reply) {
  const std::string &name = parameters[0], &id = parameters[1];
  if (!backend_.book->snapshot()->find(name))
    return reply(problem(404, "There is no such account."));
  const auto token_revoked = backend_.token_revoked;
  const Reply then = [token_revoked, name, id, reply](Response response) {
    if (response.status == 204 && token_revoked) token_revoked(name, id);
    reply(std::move(response));
  };
  answer_from_worker(
      then,
      [book = backend_.book, log = backend_.log, name, id, now = backend_.seconds()]() -> Response {
        if (auto revoked = book->revoke(name, id, now); !revoked)
          return from_error(revoked.error(), log, *book, name);
        return {204, {}, "", ""};
      });
}

}  // namespace junctor::api
