// SPDX-License-Identifier: LGPL-2.1-or-later
// The webhook's client against an HTTP server in this process.
#include "accounts/webhook_client.h"

#include <gtest/gtest.h>
#include <libsoup/soup.h>
#include <sys/stat.h>

#include <fstream>
#include <future>

#include "../temporary_directory.h"
#include "accounts/secrets.h"
#include "common/handle.h"

using namespace junctor;
using namespace junctor::accounts;
using namespace std::chrono_literals;

namespace {

using ServerRef = std::unique_ptr<SoupServer, Releaser<g_object_unref>>;

/// A server whose handler is the test's, on the default context, which wait() iterates.
class WebhookClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server_.reset(soup_server_new(nullptr, nullptr));
    soup_server_add_handler(
        server_.get(), nullptr,
        [](SoupServer *, SoupServerMessage *message, const char *path, GHashTable *,
           gpointer self) {
          auto *test = static_cast<WebhookClientTest *>(self);
          ++test->requests_;
          test->handler_(message, path);
        },
        this, nullptr);
    ASSERT_TRUE(soup_server_listen_local(server_.get(), 0, SOUP_SERVER_LISTEN_IPV4_ONLY, nullptr));
    GSList *uris = soup_server_get_uris(server_.get());
    port_ = g_uri_get_port(static_cast<GUri *>(uris->data));
    g_slist_free_full(uris, reinterpret_cast<GDestroyNotify>(g_uri_unref));
    options_.url = "http://127.0.0.1:" + std::to_string(port_) + "/check?key=hidden";
    options_.timeout = 30s;
    options_.log = [this](LogLevel, std::string_view text) {
      const std::lock_guard lock(mutex_);
      log_ += std::string(text) + "\n";
    };
  }

  void start() {
    auto made = WebhookClient::create(options_);
    ASSERT_TRUE(made) << made.error().detail;
    client_ = std::move(*made);
  }

  std::future<Result<WebhookAnswer>> post(const std::string &json = "{}") {
    auto promise = std::make_shared<std::promise<Result<WebhookAnswer>>>();
    auto future = promise->get_future();
    client_->post(json, "connect of 192.0.2.1:5", [promise](Result<WebhookAnswer> answer) {
      promise->set_value(std::move(answer));
      g_main_context_wakeup(nullptr);
    });
    return future;
  }
  static Result<WebhookAnswer> wait(std::future<Result<WebhookAnswer>> future) {
    while (future.wait_for(0s) != std::future_status::ready)
      g_main_context_iteration(nullptr, TRUE);
    return future.get();
  }
  Result<WebhookAnswer> ask(const std::string &json = "{}") { return wait(post(json)); }

  static void answer(SoupServerMessage *message, unsigned status, const char *type,
                     const std::string &body) {
    soup_server_message_set_status(message, status, nullptr);
    soup_server_message_set_response(message, type, SOUP_MEMORY_COPY, body.data(), body.size());
  }

  ServerRef server_;
  int port_ = 0;
  WebhookOptions options_;
  std::unique_ptr<WebhookClient> client_;
  std::function<void(SoupServerMessage *, const std::string &path)> handler_;
  int requests_ = 0;
  std::mutex mutex_;
  std::string log_;
};

}  // namespace

TEST_F(WebhookClientTest, PostsJsonWithItsSecretAndReadsTheAnswer) {
  options_.secret = "hush";
  start();
  std::string method, type, authorization, body;
  handler_ = [&](SoupServerMessage *message, const std::string &) {
    method = soup_server_message_get_method(message);
    SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);
    type = soup_message_headers_get_one(headers, "Content-Type");
    authorization = soup_message_headers_get_one(headers, "Authorization");
    const SoupMessageBody *sent = soup_server_message_get_request_body(message);
    body.assign(sent->data, static_cast<std::size_t>(sent->length));
    answer(message, 403, "Application/Problem+JSON; charset=utf-8", R"({"detail": "no"})");
  };
  const auto got = ask(R"({"stage": "connect"})");
  ASSERT_TRUE(got) << got.error().detail;
  EXPECT_EQ(method, "POST");
  EXPECT_EQ(type, "application/json");
  EXPECT_EQ(authorization, "Bearer hush");
  EXPECT_EQ(body, R"({"stage": "connect"})");
  EXPECT_EQ(got->status, 403U);
  EXPECT_EQ(got->type, "application/problem+json");
  EXPECT_EQ(got->body, R"({"detail": "no"})");
  EXPECT_FALSE(got->cut);
  EXPECT_EQ(client_->stats().refused, 1u);
  EXPECT_EQ(client_->stats().accepted + client_->stats().failed, 0u);
}

TEST_F(WebhookClientTest, RedirectsAreNotFollowed) {
  start();
  handler_ = [](SoupServerMessage *message, const std::string &path) {
    if (path == "/check")
      soup_server_message_set_redirect(message, 307, "/elsewhere");
    else
      answer(message, 200, "text/plain", "fooled");
  };
  const auto got = ask();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->status, 307U);
  EXPECT_EQ(requests_, 1);
}

TEST_F(WebhookClientTest, AChallengeIsNotAnswered) {
  start();
  handler_ = [](SoupServerMessage *message, const std::string &) {
    soup_message_headers_append(soup_server_message_get_response_headers(message),
                                "WWW-Authenticate", "Basic realm=\"x\"");
    answer(message, 401, "text/plain", "who?");
  };
  EXPECT_EQ(ask()->status, 401U);
  EXPECT_EQ(requests_, 1);
}

TEST_F(WebhookClientTest, TheBodyIsCut) {
  options_.body_bytes = 1000;
  start();
  std::size_t size = 1000;
  handler_ = [&](SoupServerMessage *message, const std::string &) {
    answer(message, 200, "text/plain", std::string(size, 'x'));
  };
  auto whole = ask();
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->body.size(), 1000U);
  EXPECT_FALSE(whole->cut);
  size = 10'000'000;
  const auto cut = ask();
  ASSERT_TRUE(cut);
  EXPECT_EQ(cut->body.size(), 1000U);
  EXPECT_TRUE(cut->cut);
  size = 10;
  EXPECT_EQ(ask()->body.size(), 10U) << "the next is well again";
}

TEST_F(WebhookClientTest, CompressedBodiesAreNotUnpacked) {
  start();
  handler_ = [](SoupServerMessage *message, const std::string &) {
    soup_message_headers_append(soup_server_message_get_response_headers(message),
                                "Content-Encoding", "gzip");
    answer(message, 200, "text/plain", "as it is");
  };
  EXPECT_EQ(ask()->body, "as it is");
}

TEST_F(WebhookClientTest, NoAnswerIsATimeout) {
  options_.timeout = 50ms;
  start();
  std::vector<SoupServerMessage *> open;
  handler_ = [&](SoupServerMessage *message, const std::string &) {
    soup_server_message_pause(message);
    open.push_back(message);
  };
  const auto got = ask();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().fault, Fault::Timeout);
  EXPECT_NE(got.error().detail.find("took too long"), std::string::npos);
  const std::lock_guard lock(mutex_);
  EXPECT_NE(log_.find("/check: connect of 192.0.2.1:5 is refused: no answer within 50 ms"),
            std::string::npos)
      << log_;
  EXPECT_EQ(log_.find("hidden"), std::string::npos) << "a query may be a secret";
}

TEST_F(WebhookClientTest, AuthoritiesThatCannotBeReadAreTold) {
  const TemporaryDirectory dir;
  options_.ca_file = dir.path() + "/nothing.pem";
  const auto made = WebhookClient::create(options_);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().detail.find("nothing.pem"), std::string::npos);
}

TEST_F(WebhookClientTest, NobodyThereIsAnError) {
  handler_ = [](SoupServerMessage *, const std::string &) {};
  server_.reset();
  start();
  const auto got = ask();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().fault, Fault::Unreachable);
  EXPECT_EQ(got.error().detail.find("127.0.0.1"), std::string::npos) << "terminals need not know";
  const std::lock_guard lock(mutex_);
  EXPECT_NE(log_.find("127.0.0.1"), std::string::npos) << log_;
}

TEST_F(WebhookClientTest, MoreAtOnceThanAllowedFailAtOnce) {
  options_.requests = 2;
  start();
  std::vector<SoupServerMessage *> open;
  handler_ = [&](SoupServerMessage *message, const std::string &) {
    soup_server_message_pause(message);
    open.push_back(message);
  };
  auto first = post(), second = post();
  while (open.size() < 2) g_main_context_iteration(nullptr, TRUE);
  const auto third = ask();
  ASSERT_FALSE(third);
  EXPECT_EQ(client_->stats().waiting, 2u);
  EXPECT_NE(third.error().detail.find("Too many"), std::string::npos);
  for (SoupServerMessage *message : open) {
    answer(message, 204, nullptr, "");
    soup_server_message_unpause(message);
  }
  EXPECT_TRUE(wait(std::move(first)));
  EXPECT_TRUE(wait(std::move(second)));
  handler_ = [](SoupServerMessage *message, const std::string &) {
    answer(message, 204, nullptr, "");
  };
  EXPECT_TRUE(ask()) << "there is room again";
  const auto stats = client_->stats();
  EXPECT_EQ(stats.accepted, 3u);
  EXPECT_EQ(stats.failed, 1u);
  EXPECT_EQ(stats.waiting, 0u);
}

TEST_F(WebhookClientTest, WhatIsOpenAtItsEndIsDropped) {
  start();
  bool there = false;
  handler_ = [&](SoupServerMessage *message, const std::string &) {
    soup_server_message_pause(message);
    there = true;
  };
  auto open = post();
  while (!there) g_main_context_iteration(nullptr, TRUE);
  client_.reset();
  EXPECT_THROW((void)open.get(), std::future_error) << "its promise was let go of, not kept";
}

TEST(WebhookUrl, IsHttpAndHoldsNoPassword) {
  for (const char *url : {"http://127.0.0.1:8000/check", "https://example.org",
                          "HTTPS://e.org/?a=b", "http://[::1]:80/x"})
    EXPECT_TRUE(check_webhook_url(url)) << url;
  for (const char *url : {"", "example.org/check", "ftp://example.org", "http://", "http:///x",
                          "http://user:pw@example.org/", "http://exa mple/"})
    EXPECT_FALSE(check_webhook_url(url)) << url;
  EXPECT_TRUE(travels_in_clear("http://10.0.0.1/"));
  for (const char *url :
       {"https://10.0.0.1/", "http://127.0.0.1/", "http://localhost:1/", "http://[::1]/"})
    EXPECT_FALSE(travels_in_clear(url)) << url;
}

TEST(WebhookSecret, IsOneLineOfAPrivateFile) {
  const TemporaryDirectory dir;
  const std::string path = dir.path() + "/secret";
  const auto write = [&](const std::string &text, unsigned mode) {
    std::ofstream(path) << text;
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
  };
  write("abc+/=~\n", 0600);
  EXPECT_EQ(*read_webhook_secret(path), "abc+/=~");
  write("abc\n", 0644);
  const auto open = read_webhook_secret(path);
  ASSERT_FALSE(open);
  EXPECT_NE(open.error().detail.find("chmod 600"), std::string::npos);
  for (const char *text : {"", "\n", "a b", "a\r\nX: y", "\xc3\xa4"}) {
    write(text, 0600);
    EXPECT_FALSE(read_webhook_secret(path)) << text;
  }
  EXPECT_FALSE(read_webhook_secret(dir.path() + "/nothing"));
  // A trunk's password is no header.
  write("gr\xc3\xbc\xc3\x9f dich, Welt\r\n", 0600);
  EXPECT_EQ(*read_secret_line(path), "gr\xc3\xbc\xc3\x9f dich, Welt");
  for (const char *text : {"", "\n", "a\nb", "a\tb"}) {
    write(text, 0600);
    EXPECT_FALSE(read_secret_line(path)) << text;
  }
}
