// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cli/client.h"

#include <libsoup/soup.h>
#include <unistd.h>

#include <memory>

#include "accounts/secrets.h"
#include "common/handle.h"
#include "config/places.h"
#include "config/serve_lock.h"

namespace junctor::cli {

namespace {

constexpr guint kTimeoutSeconds = 30;
constexpr std::size_t kMaxFile = 4096;

template <class T>
using ObjectRef = std::unique_ptr<T, Releaser<g_object_unref>>;

}  // namespace

Result<std::string> announced_url(const std::string &data_dir) {
  if (!config::serve_lock_held(data_dir))
    return Error{Fault::Unreachable,
                 "no orchestrator runs with the data directory " + data_dir +
                     ". Start one with `junctor serve`, or name the directory of one that runs "
                     "with --data-dir, or its URL with --url."};
  const std::string path = config::api_url_path(data_dir);
  if (::access(path.c_str(), F_OK) != 0)
    return Error{Fault::Unreachable,
                 "the orchestrator with the data directory " + data_dir +
                     " has no REST API: it starts or ends just now, or runs with --http off. "
                     "Try again, or start it with --http ADDRESS:PORT."};
  auto announced = accounts::read_private_file(path, kMaxFile);
  if (!announced) return announced.error();
  return announced->substr(0, announced->find('\n'));
}

namespace {

Result<std::string> base_of(std::string url, const std::string &data_dir) {
  if (url.empty()) {
    auto announced = announced_url(data_dir);
    if (!announced) return announced;
    url = *announced;
  }
  while (url.ends_with('/')) url.pop_back();
  return url;
}

}  // namespace

Result<Client> Client::as_anybody(const std::string &url, const std::string &data_dir,
                                  accounts::Trust trust) {
  const auto base = base_of(url, data_dir);
  if (!base) return base.error();
  return Client(*base, "", std::move(trust));
}

Result<Client> Client::make(const std::string &url, const std::string &data_dir,
                            accounts::Trust trust) {
  const auto base = base_of(url, data_dir);
  if (!base) return base.error();
  const std::string path = config::admin_token_path(data_dir);
  if (::access(path.c_str(), F_OK) != 0)
    return Error{
        Fault::Unreachable,
        "there is no " + path +
            (config::serve_lock_held(data_dir)
                 ? ", though an orchestrator runs there: put it back, or start that again, "
                   "which makes another."
                 : ": no orchestrator has run with this data directory. Start one with "
                   "`junctor serve`, or name its data directory with --data-dir.")};
  auto token = accounts::read_private_file(path, kMaxFile);
  if (!token) return token.error();
  while (!token->empty() && (token->back() == '\n' || token->back() == '\r')) token->pop_back();
  return Client(*base, *token, std::move(trust));
}

Result<Answer> Client::send(const std::string &method, const std::string &path,
                            const nlohmann::json &body) const {
  const std::string address = url_ + path;
  const ObjectRef<SoupMessage> message(soup_message_new(method.c_str(), address.c_str()));
  if (!message)
    return bad_input("'" + url_ + "' is no URL; write for example http://127.0.0.1:8080");
  SoupMessageHeaders *headers = soup_message_get_request_headers(message.get());
  if (!token_.empty())
    soup_message_headers_replace(headers, "Authorization", ("Bearer " + token_).c_str());
  if (!body.is_null()) {
    const std::string text = body.dump();
    const std::unique_ptr<GBytes, Releaser<g_bytes_unref>> bytes(
        g_bytes_new(text.data(), text.size()));
    soup_message_set_request_body_from_bytes(message.get(), "application/json", bytes.get());
  }
  const ObjectRef<SoupSession> session(
      soup_session_new_with_options("timeout", kTimeoutSeconds, nullptr));
  if (auto trusted = accounts::trust_by(session.get(), trust_); !trusted) return trusted.error();
  accounts::trust_by(message.get(), trust_);
  GError *raw = nullptr;
  const std::unique_ptr<GBytes, Releaser<g_bytes_unref>> answer(
      soup_session_send_and_read(session.get(), message.get(), nullptr, &raw));
  if (!answer) {
    const std::unique_ptr<GError, Releaser<g_error_free>> failure(raw);
    if (g_error_matches(raw, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE))
      return accounts::not_trusted(url_);
    return Error{Fault::Unreachable, "no orchestrator answers at " + url_ + " (" +
                                         failure->message +
                                         "). Start one with `junctor serve`, or name it with "
                                         "--url."};
  }
  Answer result;
  result.status = static_cast<int>(soup_message_get_status(message.get()));
  gsize size = 0;
  const auto *data = static_cast<const char *>(g_bytes_get_data(answer.get(), &size));
  if (size > 0) result.body = nlohmann::json::parse(data, data + size, nullptr, false);
  if (result.status >= 200 && result.status < 300) return result;
  std::string detail = "the orchestrator at " + url_ + " answered " + std::to_string(result.status);
  if (result.body.is_object() && result.body.contains("detail") &&
      result.body["detail"].is_string())
    detail = result.body["detail"].get<std::string>();
  return refused(detail);
}

}  // namespace junctor::cli
