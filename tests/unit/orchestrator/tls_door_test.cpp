// SPDX-License-Identifier: LGPL-2.1-or-later
#include "https/tls_door.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <string>
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
void knock(const Endpoint &at, const std::string &from) {
  const ObjectRef<GSocketClient> client(g_socket_client_new());
  const ObjectRef<GSocketAddress> own(g_inet_socket_address_new_from_string(from.c_str(), 0));
  g_socket_client_set_local_address(client.get(), own.get());
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

/// A door with clients that come from several addresses.
class TlsDoorCrowd : public testing::Test {
 protected:
  void open(TlsDoor::Options options) {
    auto door = TlsDoor::open(
        {"127.0.0.1", 0}, test::fresh_certificate(directory_.path()),
        [](LogLevel, std::string_view) {}, options,
        [this](GIOStream *, GSocketAddress *, GSocketAddress *remote) {
          let_in_.push_back(endpoint_of(remote).address);
        });
    ASSERT_TRUE(door) << door.error().detail;
    door_ = std::move(*door);
  }
  void TearDown() override {
    door_.reset();
    for (std::thread &client : clients_) client.join();
  }

  void knock_from(const std::string &from) { clients_.emplace_back(knock, door_->local(), from); }
  /// Begins a handshake and goes no further.
  void stop_half_way(const std::string &from) {
    const auto at = door_->local().to_sockaddr();
    const auto own = Endpoint{from, 0}.to_sockaddr();
    half_way_.emplace_back(::socket(AF_INET, SOCK_STREAM, 0));
    const int socket = half_way_.back().get();
    ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr *>(&*own), sockaddr_length(*own)), 0);
    ASSERT_EQ(::connect(socket, reinterpret_cast<const sockaddr *>(&*at), sockaddr_length(*at)), 0);
    // A whole record, of one byte.
    ASSERT_EQ(::send(socket, "\x16\x03\x01\x00\x01\x01", 6, MSG_NOSIGNAL), 6);
    while (g_main_context_iteration(nullptr, FALSE)) {
    }
  }
  std::size_t parted() const {
    return static_cast<std::size_t>(std::ranges::count_if(half_way_, [](const UniqueFd &each) {
      char byte = 0;
      return ::recv(each.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
    }));
  }
  template <class Condition>
  bool turn_until(Condition &&condition, Duration patience = std::chrono::seconds(20)) {
    bool late = false;
    const ContextTimer guard(nullptr, patience, [&] { late = true; });
    while (!condition() && !late) g_main_context_iteration(nullptr, TRUE);
    return condition();
  }

  const TemporaryDirectory directory_;
  std::unique_ptr<TlsDoor> door_;
  std::vector<std::string> let_in_;
  std::vector<std::thread> clients_;
  std::vector<UniqueFd> half_way_;
};

TEST_F(TlsDoorCrowd, AFewAddressesThatStopHalfWayDelayNobody) {
  TlsDoor::Options options;
  options.handshake_time = options.sure_time = std::chrono::seconds(60);
  open(options);
  for (const char *from : {"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"})
    for (int i = 0; i < 8; ++i) stop_half_way(from);
  for (std::size_t i = 1; i <= 4; ++i) {
    knock_from("127.0.0.9");
    ASSERT_TRUE(turn_until([&] { return let_in_.size() == i; }));
  }
  EXPECT_EQ(parted(), 0u);
}

TEST_F(TlsDoorCrowd, ManyAddressesThatStopHalfWayDelayOthersByATurn) {
  TlsDoor::Options options;
  options.handshake_time = std::chrono::seconds(60);
  options.sure_time = std::chrono::seconds(1);
  open(options);
  for (int from = 2; from < 10; ++from)
    for (int i = 0; i < 16; ++i) stop_half_way("127.0.0." + std::to_string(from));
  knock_from("127.0.0.10");
  ASSERT_TRUE(turn_until([&] { return let_in_.size() == 1; }, std::chrono::seconds(10)));
  EXPECT_GE(parted(), 1u);
}

TEST_F(TlsDoorCrowd, WhoIsSlowIsPartedForThoseWhoWaitAlone) {
  TlsDoor::Options options;
  options.handshake_time = std::chrono::seconds(60);
  options.sure_time = std::chrono::milliseconds(20);
  open(options);
  for (int from = 2; from < 10; ++from) stop_half_way("127.0.0." + std::to_string(from));
  bool over = false;
  const ContextTimer later(nullptr, 10 * options.sure_time, [&] { over = true; });
  ASSERT_TRUE(turn_until([&] { return over; }));
  EXPECT_EQ(parted(), 0u);
  knock_from("127.0.0.10");
  ASSERT_TRUE(turn_until([&] { return let_in_.size() == 1; }));
  EXPECT_EQ(parted(), 1u);
}

TEST_F(TlsDoorCrowd, OneAddressRunsNoMoreThanItMay) {
  TlsDoor::Options options;
  options.handshake_time = options.sure_time = std::chrono::seconds(60);
  open(options);
  stop_half_way("127.0.0.2");
  stop_half_way("127.0.0.2");
  knock_from("127.0.0.2");
  for (std::size_t i = 1; i <= 4; ++i) {
    knock_from("127.0.0.9");
    ASSERT_TRUE(turn_until([&] { return let_in_.size() == i; }));
  }
  EXPECT_EQ(let_in_, std::vector<std::string>(4, "127.0.0.9"));
  half_way_.pop_back();
  ASSERT_TRUE(turn_until([&] { return let_in_.size() == 5; }));
  EXPECT_EQ(let_in_.back(), "127.0.0.2");
}

TEST_F(TlsDoorCrowd, AnAddressMakesRoomForItself) {
  TlsDoor::Options options;
  options.handshake_time = std::chrono::seconds(60);
  options.sure_time = std::chrono::milliseconds(20);
  open(options);
  stop_half_way("127.0.0.3");
  stop_half_way("127.0.0.2");
  stop_half_way("127.0.0.2");
  knock_from("127.0.0.2");
  ASSERT_TRUE(turn_until([&] { return let_in_.size() == 1; }));
  EXPECT_EQ(parted(), 1u);
  half_way_.erase(half_way_.begin());
  EXPECT_EQ(parted(), 1u) << "the other address's";
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
  std::thread client(knock, (*door)->local(), "127.0.0.1");
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
  std::thread client(knock, (*door)->local(), "127.0.0.1");
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
  for (int i = 0; i < 6; ++i) clients.emplace_back(knock, (*door)->local(), "127.0.0.1");
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
