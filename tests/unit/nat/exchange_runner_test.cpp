// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/exchange_runner.h"

#include <gtest/gtest.h>

#include "nat/core/discovery.h"
#include "nat/core/stun_server.h"

namespace junctor::nat {
namespace {

using namespace std::chrono_literals;

/// Wants a connection, and keeps what comes over it.
class OverTcp : public Exchange {
 public:
  explicit OverTcp(Endpoint to) : to_(std::move(to)) {}
  unsigned sockets() const override { return 0; }
  std::vector<Outgoing> poll(Time now) override {
    if (!end_) end_ = now + 10s;
    return {};
  }
  void received(unsigned, const Endpoint &, ByteSpan, Time) override {}
  std::optional<Outgoing> take_stream() override {
    if (std::exchange(taken_, true)) return std::nullopt;
    return Outgoing{
        0, to_,
        rtp::stun::Writer(rtp::stun::Class::Request, rtp::stun::Method::Binding, {}).finish()};
  }
  void stream_answered(ByteSpan message, Time) override {
    answer = Bytes(message.begin(), message.end());
    over_ = true;
  }
  void stream_failed(const std::string &why, Time) override {
    failure = why;
    over_ = true;
  }
  std::optional<Time> next() const override {
    return over_ ? std::nullopt : std::optional(end_.value_or(Time()));
  }

  Bytes answer;
  std::string failure;

 private:
  Endpoint to_;
  std::optional<Time> end_;
  bool taken_ = false, over_ = false;
};

class Runner : public testing::Test {
 protected:
  void SetUp() override {
    auto thread = ReactorThread::start("stun-test");
    ASSERT_TRUE(thread);
    thread_ = std::move(*thread);
    auto server = StunServer::listen(thread_->reactor(),
                                     {{"127.0.0.1", 0}, Endpoint{"127.0.0.2", 0}, {}, {}});
    ASSERT_TRUE(server);
    server_ = *server;
  }
  void TearDown() override { server_.reset(); }

  void run(Exchange &exchange, ExchangeSockets sockets) {
    auto reactor = Reactor::create();
    ASSERT_TRUE(reactor);
    const ExchangeRunner runner(*reactor, std::move(sockets), exchange, [&] {
      if (exchange.done()) (*reactor)->stop();
    });
    (*reactor)->run();
  }

  std::unique_ptr<ReactorThread> thread_;
  std::shared_ptr<StunServer> server_;
};

TEST_F(Runner, DiscoversLoopback) {
  auto sockets = ExchangeSockets::open(Discovery::kSockets, server_->local());
  ASSERT_TRUE(sockets);
  EXPECT_EQ(sockets->local[0].address, "127.0.0.1");
  Discovery discovery({.servers = {server_->local()}, .local = sockets->local});
  run(discovery, *std::move(sockets));
  const Behaviour found = discovery.behaviour();
  EXPECT_EQ(found.udp, UdpAccess::Works);
  EXPECT_FALSE(found.translated);
  EXPECT_EQ(found.external, found.local);
  EXPECT_EQ(found.filtering, Dependence::EndpointIndependent);
}

TEST_F(Runner, AsksOverTcp) {
  OverTcp exchange(server_->local());
  run(exchange, {});
  const auto answer = rtp::stun::Message::parse(exchange.answer);
  ASSERT_TRUE(answer) << exchange.failure;
  EXPECT_EQ(answer->mapped_address()->address, "127.0.0.1");
}

TEST_F(Runner, SaysWhyTcpFailed) {
  const Endpoint gone = server_->local();
  server_->close();
  OverTcp exchange(gone);
  run(exchange, {});
  EXPECT_EQ(exchange.failure, "Connection refused");
}

}  // namespace
}  // namespace junctor::nat
