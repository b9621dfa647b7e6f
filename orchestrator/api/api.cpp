// SPDX-License-Identifier: LGPL-2.1-or-later
#include "api/api.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "accounts/secrets.h"
#include "common/handle.h"

namespace junctor::api {

namespace {

constexpr std::size_t kLoggedText = 120;  // of what a client wrote

/// Splits "/api/v1/calls/17" at its slashes.
std::vector<std::string_view> segments(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    path.remove_prefix(1);
    const auto slash = std::min(path.find('/'), path.size());
    parts.push_back(path.substr(0, slash));
    path.remove_prefix(slash);
  }
  return parts;
}

bool fits(std::string_view pattern, std::string_view path, Api::Parameters &parameters) {
  const auto want = segments(pattern), have = segments(path);
  if (want.size() != have.size() || !path.starts_with('/')) return false;
  parameters.clear();
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (want[i].starts_with('{')) {
      if (have[i].empty()) return false;
      parameters.emplace_back(have[i]);
    } else if (want[i] != have[i]) {
      return false;
    }
  }
  return true;
}

std::string_view credentials(const Request &request, std::string_view scheme) {
  const std::string_view header = request.header("authorization");
  if (header.size() <= scheme.size() || header[scheme.size()] != ' ' ||
      g_ascii_strncasecmp(header.data(), scheme.data(), scheme.size()) != 0)
    return {};
  return header.substr(scheme.size() + 1);
}

}  // namespace

const std::vector<Api::Route> &Api::routes() {
  static const std::vector<Route> kRoutes = {
      {"GET", "/api/v1/health", Access::Open, &Api::health},
      {"GET", "/metrics", Access::Admin, &Api::metrics},
      {"GET", "/api/v1/accounts", Access::Admin, &Api::list_accounts},
      {"POST", "/api/v1/accounts", Access::Admin, &Api::add_account},
      {"DELETE", "/api/v1/accounts/{name}", Access::Admin, &Api::remove_account},
      {"POST", "/api/v1/accounts/{name}/tokens", Access::AdminOrOwner, &Api::issue_token},
      {"DELETE", "/api/v1/accounts/{name}/tokens", Access::AdminOrOwner, &Api::revoke_tokens},
      {"DELETE", "/api/v1/accounts/{name}/tokens/{id}", Access::AdminOrOwner, &Api::revoke_token},
      {"GET", "/api/v1/accounts/{name}/turn", Access::AdminOrOwner, &Api::show_turn},
      {"GET", "/api/v1/events", Access::Admin, &Api::events},
      {"GET", "/api/v1/calls", Access::Admin, &Api::list_calls},
      {"POST", "/api/v1/calls", Access::Admin, &Api::start_call},
      {"GET", "/api/v1/calls/{id}", Access::Admin, &Api::show_call},
      {"DELETE", "/api/v1/calls/{id}", Access::Admin, &Api::hang_up},
      {"GET", "/api/v1/nodes", Access::Admin, &Api::list_nodes},
      {"GET", "/api/v1/channels", Access::Admin, &Api::list_channels},
      {"GET", "/api/v1/channels/{id}", Access::Admin, &Api::show_channel},
      {"DELETE", "/api/v1/channels/{id}", Access::Admin, &Api::end_channel},
      {"GET", "/api/v1/regions", Access::Open, &Api::list_regions},
      {"GET", "/api/v1/trunks", Access::Admin, &Api::list_trunks},
      {"POST", "/api/v1/calls/{id}/dtmf", Access::Admin, &Api::send_dtmf},
      {"POST", "/api/v1/calls/{id}/answer", Access::Admin, &Api::answer_ringing},
      {"POST", "/api/v1/calls/{id}/decline", Access::Admin, &Api::decline_ringing},
  };
  return kRoutes;
}

Api::Api(Backend backend)
    : backend_(std::move(backend)), failures_(backend_.longest_delay), feeds_(backend_.context) {}

void Api::handle(const Request &request, Reply answer) {
  // Workers hold copies; whoever lets go last, what the transport put into the reply is freed on
  // the signalling thread.
  const std::shared_ptr<const Reply> home(new Reply(std::move(answer)),
                                          [context = backend_.context](const Reply *last) {
                                            post_to(context, [last] { delete last; });
                                          });
  const Reply reply = [home, answered = backend_.answered](Response response) {
    if (answered) answered(response.status);
    (*home)(std::move(response));
  };
  const bool head = request.method == "HEAD";
  const std::string_view method = head ? std::string_view("GET") : request.method;
  std::string allowed;
  Parameters parameters;
  for (const Route &route : routes()) {
    if (!fits(route.pattern, request.path, parameters)) continue;
    if (route.method != method) {
      allowed += (allowed.empty() ? "" : ", ") + std::string(route.method);
      if (route.method == "GET") allowed += ", HEAD";
      continue;
    }
    const bool may = route.access == Access::Open || is_admin(request) ||
                     (route.access == Access::AdminOrOwner && is_owner(request, parameters[0]));
    if (!may) return refuse_credentials(request, reply);
    if (!request.body.empty()) {
      const std::string_view type = request.header("content-type");
      const auto end = type.find_first_of("; ");
      if (type.substr(0, end) != "application/json")
        return reply(problem(415, "Send the body as JSON, with Content-Type: application/json."));
    }
    return (this->*route.handler)(request, parameters, reply);
  }
  if (allowed.empty())
    return reply(problem(404, "There is nothing at this path. docs/api.yaml lists all paths."));
  Response response = problem(405, "This path knows the methods " + allowed + ".");
  response.headers.emplace_back("Allow", allowed);
  reply(std::move(response));
}

bool Api::is_admin(const Request &request) const {
  const std::string_view token = credentials(request, "Bearer");
  return !token.empty() && accounts::same_secret(token, backend_.admin_token);
}

bool Api::is_owner(const Request &request, const std::string &account) const {
  const std::string text(credentials(request, "Basic"));
  if (text.empty()) return false;
  gsize length = 0;
  const std::unique_ptr<guchar, Releaser<g_free>> bytes(g_base64_decode(text.c_str(), &length));
  if (!bytes) return false;
  const std::string_view pair(reinterpret_cast<const char *>(bytes.get()), length);
  const auto colon = pair.find(':');
  return colon != std::string_view::npos && pair.substr(0, colon) == account &&
         backend_.book->verify_password(account, pair.substr(colon + 1));
}

void Api::refuse_credentials(const Request &request, const Reply &reply) {
  Response response = problem(
      401,
      "Send `Authorization: Bearer TOKEN` with the content of the file admin-token in the data "
      "directory. An account asks for its own tokens with its name and password (Basic).");
  response.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"junctor\"");
  Duration delay = Duration::zero();
  if (!request.header("authorization").empty()) {
    const Time now = Clock::now();
    delay = failures_.note(request.peer, now);
    log_refused(request, now);
  }
  if (delay == Duration::zero()) return reply(std::move(response));
  const std::uint64_t key = next_held_++;
  held_[key] = ContextTimer(backend_.context, delay, [this, key, reply, response] {
    const ContextTimer own = std::move(held_[key]);
    held_.erase(key);
    reply(response);
  });
}

void Api::log_refused(const Request &request, Time now) {
  const auto left_out = refusals_.take(now);
  if (!backend_.log || !left_out) return;
  backend_.log(
      LogLevel::Warning,
      "http " + request.peer.to_string() + ": refused at " + request.method.substr(0, kLoggedText) +
          ' ' + request.path.substr(0, kLoggedText) + ": wrong credentials" +
          (*left_out ? " (and " + std::to_string(*left_out) + " more that were not logged)" : ""));
}

void Api::answer_from_worker(const Reply &reply, std::function<Response()> work) {
  GMainContext *context = backend_.context;
  const bool posted = backend_.workers->post([context, reply, work = std::move(work)] {
    post_to(context, [reply, response = work()] { reply(response); });
  });
  if (!posted) reply(problem(503, "Too much is asked at once; try again in a second."));
}

void Api::health(const Request &, const Parameters &, const Reply &reply) {
  nlohmann::json stun;
  if (const auto &at = backend_.stun) {
    stun = {{"address", at->address.to_string()}, {"alternate", nullptr}};
    if (at->alternate) stun["alternate"] = at->alternate->to_string();
  }
  reply(json_response(200, {{"status", "ok"}, {"version", JUNCTOR_VERSION}, {"stun", stun}}));
}

void Api::metrics(const Request &, const Parameters &, const Reply &reply) {
  if (!backend_.metrics) return reply(problem(503, "Nothing is measured here."));
  reply({200, {}, "text/plain; version=0.0.4; charset=utf-8", backend_.metrics()});
}

}  // namespace junctor::api
