// SPDX-License-Identifier: LGPL-2.1-or-later
// HTTP itself, with libsoup's client against the server on one context.
#include <libsoup/soup.h>

#include <filesystem>
#include <thread>

#include "api_fixture.h"
#include "common/handle.h"

using namespace junctor;
using namespace junctor::api;
using namespace std::chrono_literals;
using nlohmann::json;

class ApiServerTest : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    listen({});
  }

  void listen(ServerLimits limits) {
    server_.reset();
    auto server = Server::listen({"127.0.0.1", 0}, *api_, limits);
    ASSERT_TRUE(server) << server.error().detail;
    server_ = std::move(*server);
  }

  struct Got {
    unsigned status = 0;
    std::string type, body, failure;
  };

  Got send(const char *method, const std::string &path, const std::string &body = "",
           const char *content_type = "application/json", const char *authorization = nullptr) {
    const std::string url = "http://" + server_->local().to_string() + path;
    const std::unique_ptr<SoupMessage, Releaser<g_object_unref>> message(
        soup_message_new(method, url.c_str()));
    SoupMessageHeaders *headers = soup_message_get_request_headers(message.get());
    soup_message_headers_replace(headers, "Authorization",
                                 authorization ? authorization : "Bearer admin-secret");
    if (!body.empty()) {
      const std::unique_ptr<GBytes, Releaser<g_bytes_unref>> bytes(
          g_bytes_new(body.data(), body.size()));
      soup_message_set_request_body_from_bytes(message.get(), content_type, bytes.get());
    }
    const std::unique_ptr<SoupSession, Releaser<g_object_unref>> session(soup_session_new());
    Got got;
    struct Wait {
      bool done = false;
      Got &got;
    } wait{false, got};
    soup_session_send_and_read_async(
        session.get(), message.get(), G_PRIORITY_DEFAULT, nullptr,
        [](GObject *object, GAsyncResult *result, gpointer data) {
          auto &waiting = *static_cast<Wait *>(data);
          GError *failure = nullptr;
          GBytes *bytes = soup_session_send_and_read_finish(SOUP_SESSION(object), result, &failure);
          if (bytes) {
            gsize size = 0;
            const auto *text = static_cast<const char *>(g_bytes_get_data(bytes, &size));
            if (size > 0) waiting.got.body.assign(text, size);
            g_bytes_unref(bytes);
          } else {
            waiting.got.failure = failure->message;
            g_error_free(failure);
          }
          waiting.done = true;
        },
        &wait);
    while (!wait.done) g_main_context_iteration(nullptr, TRUE);
    got.status = soup_message_get_status(message.get());
    const char *type = soup_message_headers_get_one(
        soup_message_get_response_headers(message.get()), "Content-Type");
    got.type = type ? type : "";
    return got;
  }

  /// Sends `text` and hears until the server closes; a server that never does fails the test.
  std::string talk(const std::string &text) {
    const std::unique_ptr<GSocketClient, Releaser<g_object_unref>> client(g_socket_client_new());
    const Endpoint at = server_->local();
    const std::unique_ptr<GSocketConnection, Releaser<g_object_unref>> connection(
        g_socket_client_connect_to_host(client.get(), at.address.c_str(), at.port, nullptr,
                                        nullptr));
    if (!connection) return "no connection";
    GSocket *socket = g_socket_connection_get_socket(connection.get());
    g_socket_set_blocking(socket, FALSE);
    std::string heard;
    const Time deadline = Clock::now() + 10s;
    for (std::size_t sent = 0; Clock::now() < deadline;) {
      if (sent < text.size()) {
        const gssize some =
            g_socket_send(socket, text.data() + sent, text.size() - sent, nullptr, nullptr);
        if (some > 0) sent += static_cast<std::size_t>(some);
      }
      char piece[4096];
      const gssize got = g_socket_receive(socket, piece, sizeof piece, nullptr, nullptr);
      if (got == 0) return heard;
      if (got > 0)
        heard.append(piece, static_cast<std::size_t>(got));
      else
        g_main_context_iteration(nullptr, FALSE);
    }
    ADD_FAILURE() << "not closed after: " << heard;
    return heard;
  }
};

TEST_F(ApiServerTest, AnswersNowAndFromWorkers) {
  const Got health = send("GET", "/api/v1/health");
  EXPECT_EQ(health.status, 200U);
  EXPECT_EQ(health.type, "application/json");
  EXPECT_EQ(json::parse(health.body)["status"], "ok");
  const Got made = send("POST", "/api/v1/accounts", R"({"name": "bob"})");
  EXPECT_EQ(made.status, 201U) << made.body;
  EXPECT_EQ(send("DELETE", "/api/v1/accounts/bob").status, 204U);
  EXPECT_EQ(send("GET", "/api/v1/calls?limit=0").status, 400U);
  EXPECT_EQ(send("GET", "/api/v1/calls?limit=1").status, 200U);
}

TEST_F(ApiServerTest, BytesThatAreNoTextAreNoTokensId) {
  const Got refused = send("DELETE", "/api/v1/accounts/alice/tokens/%ff");
  EXPECT_EQ(refused.status, 422U) << refused.body;
  EXPECT_EQ(send("GET", "/api/v1/health").status, 200U);
}

/// A regression leaves a socket for each.
TEST_F(ApiServerTest, AClientThatGoesLeavesNoDescriptor) {
  const auto open = [] {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
  };
  EXPECT_EQ(send("GET", "/api/v1/health").status, 200U);
  const auto deadline = Clock::now() + 10s;
  const auto before = open();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(send("GET", "/api/v1/health").status, 200U);
  while (open() > before && Clock::now() < deadline) {
    g_main_context_iteration(nullptr, FALSE);
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_LE(open(), before);
}

/// A watcher of the events, on a socket of its own.
class RawWatcher {
 public:
  explicit RawWatcher(const Endpoint &at) : client_(g_socket_client_new()) {
    connection_.reset(g_socket_client_connect_to_host(client_.get(), at.address.c_str(), at.port,
                                                      nullptr, nullptr));
    socket_ = g_socket_connection_get_socket(connection_.get());
    g_socket_set_blocking(socket_, FALSE);
    const std::string request =
        "GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin-secret\r\n\r\n";
    EXPECT_EQ(g_socket_send(socket_, request.data(), request.size(), nullptr, nullptr),
              static_cast<gssize>(request.size()));
  }
  /// Hears on; false at the end, or when nothing came for long.
  bool hear() {
    bool last = false;  // one turn of the server may take long: what it gave is looked at, too
    for (const Time deadline = Clock::now() + 10s; !last;) {
      last = Clock::now() >= deadline;
      char piece[65536];
      const gssize got = g_socket_receive(socket_, piece, sizeof piece, nullptr, nullptr);
      if (got > 0) heard.append(piece, static_cast<std::size_t>(got));
      if (got >= 0) return got > 0;
      if (!last) g_main_context_iteration(nullptr, FALSE);
    }
    ADD_FAILURE() << "nothing more after: " << heard.substr(0, 1000);
    return false;
  }
  bool hear_until(const std::string &text) {
    while (heard.find(text) == std::string::npos)
      if (!hear()) return false;
    return true;
  }
  std::string heard;

 private:
  std::unique_ptr<GSocketClient, Releaser<g_object_unref>> client_;
  std::unique_ptr<GSocketConnection, Releaser<g_object_unref>> connection_;
  GSocket *socket_ = nullptr;
};

calls::View changed_call(const std::string &detail) {
  calls::View call;
  call.id = "call-7";
  call.state = calls::State::Ringing;
  call.detail = detail;
  return call;
}

TEST_F(ApiServerTest, EventsComeOneByOneUntilTheServerEndsThem) {
  RawWatcher watcher(server_->local());
  ASSERT_TRUE(watcher.hear_until(": alive"));
  EXPECT_NE(watcher.heard.find("HTTP/1.1 200"), std::string::npos);
  EXPECT_NE(watcher.heard.find("text/event-stream"), std::string::npos);
  EXPECT_EQ(watcher.heard.find("event: call"), std::string::npos);
  api_->call_changed(changed_call("first"));
  ASSERT_TRUE(watcher.hear_until("first"));
  api_->call_changed(changed_call("second"));
  ASSERT_TRUE(watcher.hear_until("second"));
  EXPECT_EQ(send("GET", "/api/v1/health").status, 200U) << "others are served meanwhile";
  api_->close();
  while (watcher.hear()) {
  }
  EXPECT_TRUE(watcher.heard.ends_with("0\r\n\r\n")) << "a whole answer";
}

TEST_F(ApiServerTest, AWatcherWhoTakesNothingIsParted) {
  RawWatcher slow(server_->local()), quick(server_->local());
  ASSERT_TRUE(slow.hear_until(": alive"));
  ASSERT_TRUE(quick.hear_until(": alive"));
  // More than all buffers on the way hold.
  constexpr std::size_t kSize = 64UL * 1024, kCount = 512;
  for (std::size_t i = 0; i < kCount; ++i) {
    quick.heard.clear();
    api_->call_changed(changed_call(std::string(kSize, 'x') + " the end"));
    ASSERT_TRUE(quick.hear_until(" the end")) << "event " << i;
  }
  while (slow.hear()) {
  }
  EXPECT_LT(slow.heard.size(), kSize * kCount);
}

TEST_F(ApiServerTest, AWatcherIsToldOfAllCallsThatRunHoweverManyThereAre) {
  for (int i = 1000; i < 2000; ++i) {
    calls::View call = changed_call(std::string(1000, 'x'));
    call.id = "call-" + std::to_string(i);
    service_.views[call.id] = call;
  }
  RawWatcher watcher(server_->local());
  ASSERT_TRUE(watcher.hear_until("\"id\":\"call-1999\""));
  EXPECT_GT(watcher.heard.size(), 1000U * 1000);
  api_->call_changed(changed_call("and what comes then"));
  EXPECT_TRUE(watcher.hear_until("and what comes then"));
}

TEST_F(ApiServerTest, AWatcherWhoGoesLeavesNothingBehind) {
  {
    RawWatcher watcher(server_->local());
    ASSERT_TRUE(watcher.hear_until(": alive"));
  }
  for (int i = 0; i < 3; ++i) {
    api_->call_changed(changed_call("to nobody"));
    while (g_main_context_iteration(nullptr, FALSE)) {
    }
  }
  EXPECT_EQ(send("GET", "/api/v1/health").status, 200U);
}

TEST_F(ApiServerTest, ErrorsAreProblemDocuments) {
  EXPECT_EQ(send("GET", "/x").type, "application/problem+json");
  EXPECT_EQ(send("GET", "/x").status, 404U);
  EXPECT_EQ(send("PATCH", "/api/v1/health").status, 405U);
  EXPECT_EQ(send("POST", "/api/v1/calls", "x", "text/plain").status, 415U);
  EXPECT_EQ(send("GET", "/api/v1/calls", "", nullptr, "Bearer wrong").status, 401U);
  EXPECT_EQ(send("HEAD", "/api/v1/health").body, "");
}

/// As a client says it that tidies nothing up.
TEST_F(ApiServerTest, WhatTheLibraryRefusesGetsAProblemDocumentToo) {
  const std::string body(1024 * 1024, ' ');
  for (const std::string &request : {
           std::string("GET /api/v1/..%2fx HTTP/1.1\r\nHost: x\r\n\r\n"),
           std::string("GET /api/v1/calls/..%2f.. HTTP/1.1\r\nHost: x\r\n\r\n"),
           std::string("GET /..%2f%00 HTTP/1.1\r\nHost: x\r\n\r\n"),
           std::string("GET https://x/api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n"),
           "POST /..%2fx HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) +
               "\r\n\r\n" + body,
       }) {
    const std::string heard = talk(request), what = request.substr(0, 40);
    EXPECT_TRUE(heard.starts_with("HTTP/1.1 400 ")) << what << ": " << heard;
    EXPECT_NE(heard.find("\r\nContent-Type: application/problem+json\r\n"), std::string::npos)
        << what << ": " << heard;
    const json document =
        json::parse(heard.substr(std::min(heard.find("\r\n\r\n"), heard.size())), nullptr, false);
    ASSERT_TRUE(document.is_object()) << what << ": " << heard;
    EXPECT_EQ(document["status"], 400) << what;
    EXPECT_NE(document["detail"], "") << what;
  }
  const std::string nowhere = talk("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(nowhere.find("application/problem+json"), std::string::npos) << nowhere;
  EXPECT_TRUE(talk("nonsense\r\n\r\n").starts_with("HTTP/1.0 400 ")) << "no request at all";
  EXPECT_EQ(send("GET", "/api/v1/health").status, 200U);
}

TEST_F(ApiServerTest, BodyIsBounded) {
  const std::string limit(64 * 1024, ' ');
  EXPECT_EQ(send("POST", "/api/v1/accounts", limit).status, 400U);
  const Got over = send("POST", "/api/v1/accounts", limit + " ");
  // The answer may be lost with the connection, but the request is never acted on.
  if (over.failure.empty()) {
    EXPECT_EQ(over.status, 413U);
    EXPECT_EQ(over.type, "application/problem+json");
  }
  EXPECT_EQ(send("GET", "/api/v1/health").status, 200U);
}

TEST_F(ApiServerTest, TooManyConnectionsAreParted) {
  ServerLimits limits;
  limits.connections = 0;
  listen(limits);
  EXPECT_FALSE(send("GET", "/api/v1/health").failure.empty());
}

TEST_F(ApiServerTest, SilentClientIsParted) {
  ServerLimits limits;
  limits.read_time = 1ms;
  listen(limits);
  const std::unique_ptr<GSocketClient, Releaser<g_object_unref>> client(g_socket_client_new());
  const Endpoint at = server_->local();
  const std::unique_ptr<GSocketConnection, Releaser<g_object_unref>> connection(
      g_socket_client_connect_to_host(client.get(), at.address.c_str(), at.port, nullptr, nullptr));
  ASSERT_TRUE(connection);
  GSocket *socket = g_socket_connection_get_socket(connection.get());
  // End of stream, not a byte: read would say "would block" while the connection stands.
  g_socket_set_blocking(socket, FALSE);
  char byte = 0;
  gssize got = -1;
  while (got < 0) {
    g_main_context_iteration(nullptr, TRUE);
    got = g_socket_receive(socket, &byte, 1, nullptr, nullptr);
  }
  EXPECT_EQ(got, 0);
}

TEST_F(ApiServerTest, WhoSaysNothingAndGoesIsForgotten) {
  ServerLimits limits;
  limits.connections = 2;
  limits.read_time = 20ms;
  listen(limits);
  const Endpoint at = server_->local();
  for (int i = 0; i < 5; ++i) {
    const std::unique_ptr<GSocketClient, Releaser<g_object_unref>> client(g_socket_client_new());
    const std::unique_ptr<GSocketConnection, Releaser<g_object_unref>> connection(
        g_socket_client_connect_to_host(client.get(), at.address.c_str(), at.port, nullptr,
                                        nullptr));
    ASSERT_TRUE(connection);
    for (int turn = 0; turn < 20; ++turn) g_main_context_iteration(nullptr, FALSE);
    g_io_stream_close(G_IO_STREAM(connection.get()), nullptr, nullptr);
    for (int turn = 0; turn < 20; ++turn) g_main_context_iteration(nullptr, FALSE);
  }
  EXPECT_EQ(send("GET", "/api/v1/health").status, 200U);
  // Nothing is left that would act on them when their time is up.
  bool later = false;
  const ContextTimer timer(nullptr, 3 * limits.read_time, [&] { later = true; });
  while (!later) g_main_context_iteration(nullptr, TRUE);
  EXPECT_EQ(send("GET", "/api/v1/health").status, 200U);
}

TEST_F(ApiServerTest, TakenPortSaysWhich) {
  auto second = Server::listen(server_->local(), *api_);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().detail.find(server_->local().to_string()), std::string::npos);
}
