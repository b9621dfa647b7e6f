// SPDX-License-Identifier: LGPL-2.1-or-later
// Requests of the REST API: each is answered, once, with a document that can be read.
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "../unit/orchestrator/api_fixture.h"
#include "accounts/secrets.h"
#include "input.h"

using namespace junctor;

namespace {

/// All that lasts from one request to the next.
struct Surroundings {
  Surroundings() {
    backend.admin_token = "admin-secret";
    backend.book = *accounts::Book::open(directory.path(), "");
    // One account, with no password to be guessed at the price of its hash.
    fuzz::require(static_cast<bool>(backend.book->add("alice", "correct horse", api::kNow)));
    backend.rules = std::make_shared<accounts::DialRules>(
        *accounts::DialRules::compile({{"sip:*@example.org", "", "", ""}}));
    backend.workers = &workers;
    store = std::move(*store::CallStore::open({directory.path() + "/calls.db", 30, {}},
                                              std::chrono::system_clock::now()));
    backend.store = store.get();
    backend.service = [this] { return &service; };
    backend.max_calls = 3;
    backend.addresses = {"gw.example.org", "gw.example.org:5070", "call"};
    backend.seconds = [] { return api::kNow; };
    backend.longest_delay = std::chrono::milliseconds(1);
    accounts = backend.book->snapshot();
    file = *accounts::read_private_file(backend.book->path(), 65536);
  }
  /// Undoes what a request has done to the accounts.
  void restore() {
    workers.drain();
    if (backend.book->snapshot() == accounts) return;
    fuzz::require(static_cast<bool>(accounts::write_private_file(backend.book->path(), file)));
    fuzz::require(static_cast<bool>(backend.book->reload()));
    accounts = backend.book->snapshot();
  }
  TemporaryDirectory directory;
  store::WorkerPool workers{"fuzz", 1, 100};
  std::string file;  ///< of accounts, as every request finds it
  std::shared_ptr<const accounts::Snapshot> accounts;
  std::unique_ptr<store::CallStore> store;
  api::FakeService service;
  api::Backend backend;
};

std::string_view cut(std::string_view &rest, char end) {
  const auto place = std::min(rest.find(end), rest.size());
  const std::string_view part = rest.substr(0, place);
  rest.remove_prefix(std::min(place + 1, rest.size()));
  return part;
}

/// "METHOD /path?key=value&…", lines "name: value", an empty line, the body.
api::Request read_request(std::string_view text) {
  api::Request request;
  std::string_view line = cut(text, '\n');
  request.method = cut(line, ' ');
  request.path = cut(line, '?');
  while (!line.empty()) {
    std::string_view pair = cut(line, '&');
    const std::string key(cut(pair, '='));
    request.query[key] = pair;
  }
  request.headers["authorization"] = "Bearer admin-secret";
  request.headers["content-type"] = "application/json";
  while (!text.empty()) {
    std::string_view header = cut(text, '\n');
    if (header.empty()) break;
    const std::string name(cut(header, ':'));
    request.headers[name] = header.substr(header.starts_with(' ') ? 1 : 0);
  }
  request.body = text;
  request.peer = {"192.0.2.1", 4711};
  return request;
}

void check(const api::Response &response) {
  fuzz::require(response.status >= 200 && response.status < 600);
  fuzz::require(api::status_phrase(response.status) != "");
  for (const auto &[name, value] : response.headers)
    fuzz::require((name + value).find_first_of("\r\n") == std::string::npos);
  if (response.content_type.empty()) return;
  const auto body = nlohmann::json::parse(response.body, nullptr, false);
  fuzz::require(body.is_object());
  if (response.status >= 400) fuzz::require(body["status"] == response.status);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  static Surroundings surroundings;
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  const auto wait = api::preferred_wait(text);
  fuzz::require(!wait || (wait->count() >= 0 && wait->count() <= 120));

  const api::Request request = read_request(text);
  int answers = 0;
  {
    api::Api api(surroundings.backend);
    api.handle(request, [&](const api::Response &response) {
      ++answers;
      check(response);
    });
    surroundings.store->flush();
    while (g_main_context_iteration(nullptr, FALSE)) {
    }
    // Whoever waits for a call's outcome is told that nothing will come.
    api.close();
    while (answers == 0 && g_main_context_iteration(nullptr, TRUE)) {
    }
    fuzz::require(answers == 1);
  }
  while (g_main_context_iteration(nullptr, FALSE)) {
  }
  surroundings.restore();
  surroundings.service.views.clear();
  surroundings.service.not_started.clear();
  return 0;
}
