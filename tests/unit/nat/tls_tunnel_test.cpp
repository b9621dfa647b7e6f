// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/tls_tunnel.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <future>
#include <thread>

#include "../temporary_directory.h"
#include "../tls_peer.h"
#include "common/tls.h"

namespace junctor::nat {
namespace {

using namespace std::chrono_literals;

std::string sha256_of_pem(const std::string &path) {
  std::FILE *file = std::fopen(path.c_str(), "re");
  X509 *certificate = PEM_read_X509(file, nullptr, nullptr, nullptr);
  std::fclose(file);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  X509_digest(certificate, EVP_sha256(), digest, &size);
  X509_free(certificate);
  std::string hex;
  for (unsigned i = 0; i < size; ++i) {
    char pair[3];
    std::snprintf(pair, sizeof pair, "%02x", digest[i]);
    hex += pair;
  }
  return hex;
}

/// Says back over TLS whatever it hears, to one client.
class Echo {
 public:
  Echo() {
    files_ = test::fresh_certificate(directory_.path());
    auto identity = TlsIdentity::load(files_, [](LogLevel, std::string_view) {});
    EXPECT_TRUE(identity);
    identity_ = *identity;
    auto socket = listen_tcp({"127.0.0.1", 0});
    EXPECT_TRUE(socket);
    socket_ = std::move(*socket);
    local_ = local_endpoint(socket_.get());
    thread_ = std::thread([this] { serve(); });
  }
  ~Echo() {
    stop_ = true;
    thread_.join();
  }
  const Endpoint &local() const { return local_; }
  std::string digest() const { return sha256_of_pem(files_.certificate); }

 private:
  bool wait(int fd) const {
    pollfd one{fd, POLLIN, 0};
    while (!stop_)
      if (::poll(&one, 1, 20) > 0) return true;
    return false;
  }
  void serve() {
    if (!wait(socket_.get())) return;
    auto connection = identity_->accept(
        UniqueFd(::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK)), Clock::now());
    std::vector<std::byte> piece(65536);
    while (wait(connection->fd())) {
      const ssize_t got = connection->receive(piece);
      if (got == 0 || (got < 0 && errno != EAGAIN)) return;
      if (got < 0) continue;
      iovec part{piece.data(), static_cast<std::size_t>(got)};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      (void)connection->send(message);
    }
  }

  TemporaryDirectory directory_;
  TlsFiles files_;
  std::shared_ptr<TlsIdentity> identity_;
  UniqueFd socket_;
  Endpoint local_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

class Tunnel : public testing::Test {
 protected:
  void open(const Endpoint &server, const std::string &digest) {
    auto tunnel = TlsTunnel::open(thread_, {server.address, server.port, digest},
                                  [this](std::string why) { failed_.set_value(std::move(why)); });
    ASSERT_TRUE(tunnel) << tunnel.error().detail;
    tunnel_ = std::move(*tunnel);
    client_ = dial();
    ASSERT_TRUE(client_);
  }
  UniqueFd dial() const {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = tunnel_->local().to_sockaddr();
    if (::connect(fd.get(), reinterpret_cast<const sockaddr *>(&*address), sizeof(sockaddr_in)) !=
        0)
      return {};
    const timeval patience{10, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
  }
  std::string why() {
    auto told = failed_.get_future();
    return told.wait_for(15s) == std::future_status::ready ? told.get() : "nothing was told";
  }

  std::shared_ptr<ContextThread> thread_ = ContextThread::start("tunnel");
  std::promise<std::string> failed_;
  std::unique_ptr<TlsTunnel> tunnel_;
  UniqueFd client_;
};

TEST_F(Tunnel, PassesBytesBothWays) {
  Echo echo;
  ASSERT_NO_FATAL_FAILURE(open(echo.local(), echo.digest()));
  const std::string sent(100'000, 'x');
  std::thread writer([&] {
    for (std::size_t at = 0; at < sent.size();) {
      const ssize_t done = ::send(client_.get(), sent.data() + at, sent.size() - at, MSG_NOSIGNAL);
      if (done <= 0) break;
      at += static_cast<std::size_t>(done);
    }
  });
  std::string heard;
  char piece[4096];
  while (heard.size() < sent.size()) {
    const ssize_t got = ::recv(client_.get(), piece, sizeof piece, 0);
    ASSERT_GT(got, 0) << "after " << heard.size();
    heard.append(piece, static_cast<std::size_t>(got));
  }
  writer.join();
  EXPECT_EQ(heard, sent);
}

TEST_F(Tunnel, TakesNoSecondConnection) {
  Echo echo;
  ASSERT_NO_FATAL_FAILURE(open(echo.local(), echo.digest()));
  ASSERT_EQ(::send(client_.get(), "x", 1, MSG_NOSIGNAL), 1);
  char got = 0;
  ASSERT_EQ(::recv(client_.get(), &got, 1, 0), 1);
  EXPECT_FALSE(dial());
}

TEST_F(Tunnel, ACertificateThatNobodyVouchesForIsRefused) {
  Echo echo;
  ASSERT_NO_FATAL_FAILURE(open(echo.local(), {}));
  EXPECT_NE(why().find("no TLS connection to " + echo.local().to_string()), std::string::npos);
  char got = 0;
  EXPECT_LE(::recv(client_.get(), &got, 1, 0), 0) << "its client is told by the end";
}

TEST_F(Tunnel, AnotherCertificateThanTheNamedOneIsRefused) {
  Echo echo;
  ASSERT_NO_FATAL_FAILURE(open(echo.local(), std::string(64, '0')));
  EXPECT_NE(why().find(echo.local().to_string()), std::string::npos);
}

TEST_F(Tunnel, SaysWhereNobodyListens) {
  Endpoint closed;
  {
    auto socket = listen_tcp({"127.0.0.1", 0});
    closed = local_endpoint(socket->get());
  }
  ASSERT_NO_FATAL_FAILURE(open(closed, {}));
  EXPECT_NE(why().find(closed.to_string()), std::string::npos);
}

TEST_F(Tunnel, MayBeClosedBeforeAnybodyCame) {
  auto tunnel = TlsTunnel::open(thread_, {"127.0.0.1", 9, {}}, [](const std::string &) {});
  ASSERT_TRUE(tunnel);
  tunnel->reset();
}

}  // namespace
}  // namespace junctor::nat
