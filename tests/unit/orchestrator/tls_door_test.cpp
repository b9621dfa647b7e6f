// SPDX-License-Identifier: LGPL-2.1-or-later
#include "https/tls_door.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include <thread>
#include <vector>

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
        GSocket *socket = socket_of(remote);
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

TEST(TlsDoor, WhoSaysNothingHoldsNobodyUp) {
  const TemporaryDirectory directory;
  bool ready = false, late = false;
  TlsDoor::Options options;
  options.handshakes_per_address = options.handshakes;
  options.handshake_time = std::chrono::seconds(60);
  auto door = TlsDoor::open(
      {"127.0.0.1", 0}, test::fresh_certificate(directory.path()),
      [](LogLevel, std::string_view) {}, options,
      [&](GIOStream *, GSocketAddress *, GSocketAddress *) { ready = true; });
  ASSERT_TRUE(door) << door.error().detail;
  const auto address = (*door)->local().to_sockaddr();
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 150; ++i) {
    silent.emplace_back(::socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(::connect(silent.back().get(), reinterpret_cast<const sockaddr *>(&*address),
                        sockaddr_length(*address)),
              0);
    // Some have begun.
    if (i % 2 == 0) {
      ASSERT_EQ(::send(silent.back().get(), "\x16\x03\x01\x01", 1 + i % 4, MSG_NOSIGNAL),
                1 + i % 4);
    }
    while (g_main_context_iteration(nullptr, FALSE)) {
    }
  }
  std::thread client(knock, (*door)->local());
  const ContextTimer guard(nullptr, std::chrono::seconds(10), [&] { late = true; });
  while (!ready && !late) g_main_context_iteration(nullptr, TRUE);
  EXPECT_TRUE(ready);
  if (!ready) door = internal_error("closed");
  client.join();
}

TEST(TlsDoor, WhoWaitsForHisTurnGetsIn) {
  const TemporaryDirectory directory;
  int ready = 0;
  TlsDoor::Options options;
  options.threads_per_address = 1;
  auto door = TlsDoor::open(
      {"127.0.0.1", 0}, test::fresh_certificate(directory.path()),
      [](LogLevel, std::string_view) {}, options,
      [&](GIOStream *, GSocketAddress *, GSocketAddress *) { ++ready; });
  ASSERT_TRUE(door) << door.error().detail;
  std::vector<std::thread> clients;
  for (int i = 0; i < 6; ++i) clients.emplace_back(knock, (*door)->local());
  bool late = false;
  const ContextTimer guard(nullptr, std::chrono::seconds(9), [&] { late = true; });
  while (ready < 6 && !late) g_main_context_iteration(nullptr, TRUE);
  EXPECT_EQ(ready, 6);
  if (late) door = internal_error("closed");
  for (std::thread &client : clients) client.join();
}

/// Whoever is in the backlog would wake us without end, and libsoup would listen no more.
TEST(Acceptor, WithoutDescriptorsItWaitsAndGoesOn) {
  // One of its own: what others have left on the default one may close descriptors.
  const std::unique_ptr<GMainContext, Releaser<g_main_context_unref>> context(g_main_context_new());
  g_main_context_push_thread_default(context.get());
  int complaints = 0, taken = 0;
  const auto acceptor = Acceptor::open(
      {"127.0.0.1", 0}, "HTTP", [&](LogLevel, std::string_view) { ++complaints; },
      [&](const SocketRef &) { ++taken; });
  ASSERT_TRUE(acceptor) << acceptor.error().detail;
  const auto address = (*acceptor)->local().to_sockaddr();
  const UniqueFd waiting(::socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(::connect(waiting.get(), reinterpret_cast<const sockaddr *>(&*address),
                      sockaddr_length(*address)),
            0);
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  rlimit none = before;
  // Those three are open always, and others may be closed meanwhile by threads of GLib's. poll(2)
  // takes no more than so many, of which this context needs two.
  none.rlim_cur = STDERR_FILENO + 1;
  bool over = false;
  const ContextTimer guard(context.get(), std::chrono::milliseconds(350), [&] { over = true; });
  ::setrlimit(RLIMIT_NOFILE, &none);
  int turns = 0;
  for (; !over; ++turns) g_main_context_iteration(context.get(), TRUE);
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(taken, 0);
  EXPECT_GE(complaints, 1);
  EXPECT_LT(turns, 50);
  const ContextTimer patience(context.get(), std::chrono::seconds(20), [&] { over = false; });
  while (taken == 0 && over) g_main_context_iteration(context.get(), TRUE);
  EXPECT_EQ(taken, 1);
  g_main_context_pop_thread_default(context.get());
}

}  // namespace
}  // namespace junctor::https
