// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/stun_server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

namespace junctor::nat {
namespace {

namespace stun = rtp::stun;
using namespace std::chrono_literals;
using stun::Class;
using stun::Method;
using stun::Type;
using stun::Writer;

constexpr int kGuardMs = 5000;

Bytes request(std::uint32_t change = 0) {
  Writer writer(Class::Request, Method::Binding, stun::random_transaction_id());
  if (change) writer.u32(Type::ChangeRequest, change);
  return writer.finish();
}

class StunServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto reactor = ReactorThread::start("stun-test");
    ASSERT_TRUE(reactor);
    thread_ = std::move(*reactor);
  }
  void TearDown() override { server_.reset(); }

  Result<void> listen(StunServerOptions options) {
    auto server = StunServer::listen(thread_->reactor(), std::move(options));
    if (!server) return server.error();
    server_ = *server;
    return {};
  }

  static Result<UniqueFd> client(const std::string &address = "127.0.0.1") {
    return bind_udp({address, 0});
  }

  static void send(int fd, ByteSpan bytes, const Endpoint &to) {
    const auto address = to.to_sockaddr();
    ASSERT_TRUE(address);
    ASSERT_EQ(::sendto(fd, bytes.data(), bytes.size(), 0,
                       reinterpret_cast<const sockaddr *>(&*address), sockaddr_length(*address)),
              static_cast<ssize_t>(bytes.size()));
  }

  /// The next datagram, and where it came from.
  std::optional<stun::Message> receive(int fd, Endpoint *from = nullptr, int guard = kGuardMs) {
    pollfd waited{fd, POLLIN, 0};
    if (::poll(&waited, 1, guard) != 1) return std::nullopt;
    sockaddr_storage source{};
    socklen_t length = sizeof source;
    received_.resize(2000);
    const ssize_t got = ::recvfrom(fd, received_.data(), received_.size(), 0,
                                   reinterpret_cast<sockaddr *>(&source), &length);
    received_.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (from) *from = Endpoint::from_sockaddr(reinterpret_cast<const sockaddr *>(&source));
    return stun::Message::parse(received_);
  }

  UniqueFd connect() {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = server_->local().to_sockaddr();
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr *>(&*address),
                        sockaddr_length(*address)),
              0);
    return fd;
  }

  std::unique_ptr<ReactorThread> thread_;
  std::shared_ptr<StunServer> server_;
  Bytes received_;
};

TEST_F(StunServerTest, AnswersFromTheAddressThatWasAsked) {
  // The kernel would choose 127.0.0.1 for an answer, whichever address of loopback was asked.
  ASSERT_TRUE(listen({{"0.0.0.0", 0}, {}, {}, {}}));
  const auto fd = client();
  ASSERT_TRUE(fd);
  const Endpoint asked{"127.0.0.9", server_->local().port};
  send(fd->get(), request(), asked);
  Endpoint from;
  const auto answer = receive(fd->get(), &from);
  ASSERT_TRUE(answer);
  EXPECT_EQ(from, asked);
  EXPECT_EQ(answer->mapped_address(), local_endpoint(fd->get()));
  EXPECT_EQ(server_->stats().answered, 1U);
}

TEST_F(StunServerTest, HasFourSocketsOfTwoAddresses) {
  ASSERT_TRUE(listen({{"127.0.0.1", 0}, Endpoint{"127.0.0.2", 0}, {}, {}}));
  const auto fd = client();
  ASSERT_TRUE(fd);
  const Doors &doors = server_->doors();
  ASSERT_TRUE(doors[3]);
  EXPECT_EQ(doors[1]->address, "127.0.0.1");
  EXPECT_EQ(doors[2], (Endpoint{"127.0.0.2", doors[0]->port}));
  EXPECT_EQ(doors[3], (Endpoint{"127.0.0.2", doors[1]->port}));
  EXPECT_EQ(server_->alternate(), doors[3]);
  for (unsigned door = 0; door < kDoors; ++door)
    for (const std::uint32_t change : {0U, 2U, 4U, 6U}) {
      send(fd->get(), request(change), *doors[door]);
      Endpoint from;
      const auto answer = receive(fd->get(), &from);
      ASSERT_TRUE(answer);
      const unsigned expected =
          door ^ (change & 4 ? kOtherAddress : 0) ^ (change & 2 ? kOtherPort : 0);
      EXPECT_EQ(from, doors[expected]) << door << " " << change;
      EXPECT_EQ(answer->address(Type::ResponseOrigin), from);
      EXPECT_EQ(answer->address(Type::OtherAddress), doors[3 - door]);
    }
}

TEST_F(StunServerTest, OneAddressWithTwoPortsKeepsTheAddressThatWasAsked) {
  ASSERT_TRUE(listen({{"0.0.0.0", 0}, Endpoint{"0.0.0.0", 0}, {}, {}}));
  const auto fd = client();
  ASSERT_TRUE(fd);
  send(fd->get(), request(stun::kChangePort), {"127.0.0.9", server_->local().port});
  Endpoint from;
  const auto answer = receive(fd->get(), &from);
  ASSERT_TRUE(answer);
  EXPECT_EQ(from, (Endpoint{"127.0.0.9", server_->alternate()->port}));
  send(fd->get(), request(stun::kChangeIp), {"127.0.0.9", server_->local().port});
  const auto refusal = receive(fd->get());
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->address(Type::OtherAddress), from);
}

TEST_F(StunServerTest, ServesIpv6AndIpv4OnOneSocket) {
  ASSERT_TRUE(listen({{"::", 0}, {}, {}, {}}));
  for (const char *address : {"127.0.0.1", "::1"}) {
    const auto fd = client(address);
    ASSERT_TRUE(fd);
    send(fd->get(), request(), {address, server_->local().port});
    const auto answer = receive(fd->get());
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->mapped_address(), local_endpoint(fd->get()));
  }
}

TEST_F(StunServerTest, RefusesAlternatesThatCannotBe) {
  const auto why = [this](const Endpoint &first, const Endpoint &other) {
    const auto listening = listen({first, other, {}, {}});
    return listening ? std::string() : listening.error().detail;
  };
  EXPECT_NE(why({"0.0.0.0", 0}, {"127.0.0.2", 0}).find("both must be named"), std::string::npos);
  ASSERT_TRUE(listen({{"127.0.0.1", 0}, {}, {}, {}}));
  const Endpoint taken = server_->local();
  EXPECT_NE(why(taken, {}).find(taken.to_string()), std::string::npos);
  server_->close();
  EXPECT_NE(why(taken, taken).find("another port"), std::string::npos);
}

TEST_F(StunServerTest, CountsWhatItDropsAndLimits) {
  std::vector<std::string> lines;  // on the reactor, read after close()
  ASSERT_TRUE(listen({{"127.0.0.1", 0},
                      {},
                      {.per_second = 1, .burst = 2, .sources = 10},
                      [&](LogLevel, std::string_view text) { lines.emplace_back(text); }}));
  const auto fd = client();
  ASSERT_TRUE(fd);
  send(fd->get(), as_bytes("hello"), server_->local());
  send(fd->get(), Bytes(2600), server_->local());
  send(fd->get(), request(7), server_->local());
  for (int i = 0; i < 4; ++i) send(fd->get(), request(), server_->local());
  EXPECT_TRUE(receive(fd->get()));
  EXPECT_TRUE(receive(fd->get()));
  // All were read before what is sent last.
  const auto other = client("127.0.0.5");
  ASSERT_TRUE(other);
  send(other->get(), request(), server_->local());
  EXPECT_TRUE(receive(other->get()));
  EXPECT_FALSE(receive(fd->get(), nullptr, 0));
  const auto stats = server_->stats();
  EXPECT_EQ(stats.answered, 2U);
  EXPECT_EQ(stats.refused, 1U);
  EXPECT_EQ(stats.limited, 3U);
  EXPECT_EQ(stats.dropped, 2U);
  server_->close();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NE(lines[0].find("stun 127.0.0.1"), std::string::npos);
}

TEST_F(StunServerTest, AnswersOverTcpPieceByPiece) {
  ASSERT_TRUE(listen({{"127.0.0.1", 0}, {}, {}, {}}));
  const UniqueFd fd = connect();
  const Bytes first = request(), second = request();
  Bytes both = first;
  both.insert(both.end(), second.begin(), second.end());
  for (std::size_t at = 0; at < both.size(); at += 7) {
    const std::size_t size = std::min<std::size_t>(7, both.size() - at);
    ASSERT_EQ(::send(fd.get(), both.data() + at, size, 0), static_cast<ssize_t>(size));
  }
  Bytes stream;
  while (stream.size() < 64) {
    pollfd waited{fd.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&waited, 1, kGuardMs), 1);
    std::byte piece[256];
    const ssize_t got = ::recv(fd.get(), piece, sizeof piece, 0);
    ASSERT_GT(got, 0);
    stream.insert(stream.end(), piece, piece + got);
  }
  for (const Bytes &sent : {first, second}) {
    const auto length = stun::framed_length(stream);
    ASSERT_TRUE(length && *length > 0);
    const auto answer = stun::Message::parse(ByteSpan(stream).first(*length));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->id(), stun::Message::parse(sent)->id());
    EXPECT_EQ(answer->mapped_address(), local_endpoint(fd.get()));
    stream.erase(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(*length));
  }
}

TEST_F(StunServerTest, ClosesConnectionsThatAreNoStunAndTooManyOfOneSource) {
  ASSERT_TRUE(listen({{"127.0.0.1", 0}, {}, {}, {}}));
  const auto closed = [](int fd) {
    pollfd waited{fd, POLLIN, 0};
    std::byte byte;
    return ::poll(&waited, 1, kGuardMs) == 1 && ::recv(fd, &byte, 1, 0) <= 0;
  };
  const UniqueFd stranger = connect();
  ASSERT_EQ(::send(stranger.get(), "GET / HTTP/1.1\r\n", 16, 0), 16);
  EXPECT_TRUE(closed(stranger.get()));
  std::vector<UniqueFd> many;
  for (std::size_t i = 0; i < StunServer::kConnectionsPerSource; ++i) many.push_back(connect());
  const UniqueFd extra = connect();
  EXPECT_TRUE(closed(extra.get()));
  // One that leaves makes room.
  many.pop_back();
  const Bytes asked = request();
  for (int i = 0; i < 100; ++i) {
    const UniqueFd next = connect();
    ::send(next.get(), asked.data(), asked.size(), MSG_NOSIGNAL);
    pollfd waited{next.get(), POLLIN, 0};
    std::byte byte;
    if (::poll(&waited, 1, kGuardMs) == 1 && ::recv(next.get(), &byte, 1, 0) == 1) return;
  }
  FAIL() << "no room was made";
}

}  // namespace
}  // namespace junctor::nat
