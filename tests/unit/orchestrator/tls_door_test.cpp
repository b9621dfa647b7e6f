// SPDX-License-Identifier: LGPL-2.1-or-later
#include "https/tls_door.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <thread>

#include "../temporary_directory.h"
#include "../tls_peer.h"
#include "common/handle.h"
#include "common/main_context.h"

namespace junctor::https {
namespace {

template <class T>
using ObjectRef = std::unique_ptr<T, Releaser<g_object_unref>>;

/// Trusts anybody, and parts at once.
void knock(const Endpoint &at) {
  const ObjectRef<GSocketClient> client(g_socket_client_new());
  g_socket_client_set_tls(client.get(), TRUE);
  g_signal_connect(client.get(), "event",
                   G_CALLBACK(+[](GSocketClient *, GSocketClientEvent event, GSocketConnectable *,
                                  GIOStream *stream, gpointer) {
                     if (event == G_SOCKET_CLIENT_TLS_HANDSHAKING)
                       g_signal_connect(stream, "accept-certificate",
                                        G_CALLBACK(+[]() -> gboolean { return TRUE; }), nullptr);
                   }),
                   nullptr);
  const ObjectRef<GSocketConnection> connection(
      g_socket_client_connect_to_host(client.get(), at.address.c_str(), at.port, nullptr, nullptr));
  EXPECT_TRUE(connection);
}

TEST(TlsDoor, LetsEachMessageGoAtOnce) {
  const TemporaryDirectory directory;
  int immediate = -1;
  auto door = TlsDoor::open(
      {"127.0.0.1", 0}, test::fresh_certificate(directory.path()),
      [](LogLevel, std::string_view) {}, {},
      [&](GIOStream *, GSocketAddress *, GSocketAddress *remote) {
        GSocket *socket = TlsDoor::socket_of(remote);
        ASSERT_TRUE(socket);
        g_socket_get_option(socket, IPPROTO_TCP, TCP_NODELAY, &immediate, nullptr);
      });
  ASSERT_TRUE(door) << door.error().detail;
  std::thread client(knock, (*door)->local());
  bool late = false;
  const ContextTimer guard(nullptr, std::chrono::seconds(20), [&] { late = true; });
  while (immediate < 0 && !late) g_main_context_iteration(nullptr, TRUE);
  client.join();
  EXPECT_EQ(immediate, 1);
}

}  // namespace
}  // namespace junctor::https
