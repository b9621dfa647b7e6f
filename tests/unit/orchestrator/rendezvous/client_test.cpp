// SPDX-License-Identifier: LGPL-2.1-or-later
// A connection to a rendezvous on a machine whose network changes.
#include "rendezvous/client.h"

#include <gtest/gtest.h>
#include <libsoup/soup.h>

#include <thread>

#include "../../own_network.h"
#include "common/handle.h"

namespace junctor::rendezvous {
namespace {

namespace wire = nat::rendezvous;
using namespace std::chrono_literals;

constexpr const char *kServer = "203.0.113.7";

/// Welcomes whoever says hello. On the default context.
class Server {
 public:
  Server() : server_(soup_server_new(nullptr, nullptr)) {
    const char *protocols[] = {wire::kSubprotocol, nullptr};
    soup_server_add_websocket_handler(
        server_.get(), wire::kPath, nullptr, const_cast<char **>(protocols),
        [](SoupServer *, SoupServerMessage *, const char *, SoupWebsocketConnection *connection,
           gpointer self) {
          static_cast<Server *>(self)->connections_.emplace_back(
              SOUP_WEBSOCKET_CONNECTION(g_object_ref(connection)));
          g_signal_connect(connection, "message",
                           G_CALLBACK(+[](SoupWebsocketConnection *from, gint, GBytes *, gpointer) {
                             wire::Welcome welcome;
                             welcome.account = "alice";
                             welcome.connection = "c1";
                             welcome.resume = "r1";
                             soup_websocket_connection_send_text(from,
                                                                 wire::write(welcome).c_str());
                           }),
                           nullptr);
        },
        this, nullptr);
    soup_server_listen_all(server_.get(), 0, SOUP_SERVER_LISTEN_IPV4_ONLY, nullptr);
    GSList *uris = soup_server_get_uris(server_.get());
    if (uris) port_ = g_uri_get_port(static_cast<GUri *>(uris->data));
    g_slist_free_full(uris, reinterpret_cast<GDestroyNotify>(g_uri_unref));
  }
  std::string url() const { return "http://" + std::string(kServer) + ":" + std::to_string(port_); }

 private:
  std::vector<std::unique_ptr<SoupWebsocketConnection, Releaser<g_object_unref>>> connections_;
  std::unique_ptr<SoupServer, Releaser<g_object_unref>> server_;
  int port_ = 0;
};

bool until(const std::function<bool()> &done, Duration most = 10s) {
  const Time end = Clock::now() + most;
  while (!done() && Clock::now() < end)
    if (!g_main_context_iteration(nullptr, FALSE)) std::this_thread::sleep_for(1ms);
  return done();
}

TEST(Client, OfManyChangesOfItsNetworkTheLastOneCounts) {
  const bool made = in_own_network({kServer}, [] {
    const Server server;
    int welcomes = 0, aways = 0;
    ClientOptions options;
    options.url = server.url();
    options.token = "t";
    options.trust.insecure = true;
    // Of itself it finds out nothing.
    options.first_wait = options.longest_wait = options.ping = 600s;
    const auto client = Client::connect(
        std::move(options), {.welcome = [&](const wire::Welcome &) { ++welcomes; },
                             .message = [](const wire::Message &) {},
                             .away = [&](const std::string &, Duration) { ++aways; },
                             .refused = [](const Error &error) { ADD_FAILURE() << error.detail; }});
    ASSERT_TRUE(client) << client.error().detail;
    ASSERT_TRUE(until([&] { return welcomes == 1; }));
    // Five times it is sought at once, the last time with success.
    EXPECT_TRUE(set_own_address(0, ""));
    ASSERT_TRUE(until([&] { return aways == 1; }));
    for (const char *other : {"198.51.100.7", "", "198.51.100.7"}) {
      const int before = aways;
      EXPECT_TRUE(set_own_address(1, other));
      ASSERT_TRUE(until([&] { return aways == before + 1; }));
    }
    EXPECT_TRUE(set_own_address(0, kServer));
    ASSERT_TRUE(until([&] { return welcomes == 2; }));
    // The sixth change cuts what the fifth has made, and is the last.
    const int before = aways;
    EXPECT_TRUE(set_own_address(0, ""));
    EXPECT_TRUE(until([&] { return aways > before; }));
  });
  if (!made) GTEST_SKIP() << "no network of one's own can be made here";
}

}  // namespace
}  // namespace junctor::rendezvous
