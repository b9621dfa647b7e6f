// SPDX-License-Identifier: LGPL-2.1-or-later
// A server's TLS against OpenSSL's client.
#include "common/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <cerrno>

#include "../temporary_directory.h"
#include "../tls_peer.h"

namespace junctor {
namespace {

using namespace std::chrono_literals;
using test::fresh_certificate;
using test::TlsPeer;
using testing::HasSubstr;
using testing::Not;

Bytes text(const std::string &what) {
  const ByteSpan bytes = as_bytes(what);
  return {bytes.begin(), bytes.end()};
}

class Tls : public testing::Test {
 protected:
  void SetUp() override {
    files_ = fresh_certificate(directory_.path());
    auto loaded = TlsIdentity::load(
        files_, [this](LogLevel, std::string_view line) { logged_.emplace_back(line); });
    ASSERT_TRUE(loaded) << loaded.error().detail;
    identity_ = *loaded;
    connect();
  }
  /// A pair of sockets: TLS at the server's end, bare at ours.
  void connect(Time now = Time(1s)) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    ours_ = UniqueFd(ends[0]);
    server_ = identity_->accept(UniqueFd(ends[1]), now);
    ASSERT_NE(server_, nullptr);
    peer_ = std::make_unique<TlsPeer>();
    heard_.clear();
    wire(peer_->say({}));
  }
  /// What the client says by itself is passed over.
  void connect_in_clear() {
    connect();
    Bytes ignored(4096);
    while (::recv(server_->fd(), ignored.data(), ignored.size(), 0) > 0) {
    }
  }
  void wire(const Bytes &bytes) {
    EXPECT_EQ(::send(ours_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  /// What the server has received until nothing more comes; its last result is in `result_`.
  Bytes receive() {
    Bytes all, piece(65536);
    while ((result_ = server_->receive(piece)) > 0)
      all.insert(all.end(), piece.begin(), piece.begin() + result_);
    error_ = errno;
    return all;
  }
  /// Lets the client hear what is on the wire.
  void hear() {
    Bytes piece(65536);
    for (ssize_t got = 0; (got = ::recv(ours_.get(), piece.data(), piece.size(), 0)) > 0;)
      wire(peer_->hear(ByteSpan(piece).first(static_cast<std::size_t>(got)), heard_));
  }
  void shake_hands() {
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(receive(), Bytes());
      EXPECT_EQ(error_, EAGAIN);
      hear();
    }
    ASSERT_TRUE(SSL_is_init_finished(peer_->ssl()));
  }
  ssize_t send(const std::vector<Bytes> &parts) {
    std::vector<iovec> pieces;
    for (const Bytes &part : parts)
      pieces.push_back({const_cast<std::byte *>(part.data()), part.size()});
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = pieces.size();
    return server_->send(message);
  }

  TemporaryDirectory directory_;
  TlsFiles files_;
  std::vector<std::string> logged_;
  std::shared_ptr<TlsIdentity> identity_;
  UniqueFd ours_;
  std::unique_ptr<StreamSocket> server_;
  std::unique_ptr<TlsPeer> peer_;
  Bytes heard_;
  ssize_t result_ = 0;
  int error_ = 0;
};

TEST_F(Tls, CarriesBothWays) {
  shake_hands();
  EXPECT_EQ(std::string(SSL_get_version(peer_->ssl())), "TLSv1.3");
  wire(peer_->say(text("hello")));
  EXPECT_EQ(receive(), text("hello"));
  EXPECT_EQ(send({text("good "), Bytes(), text("day")}), 8);
  EXPECT_FALSE(server_->has_unsent());
  hear();
  EXPECT_EQ(heard_, text("good day"));
}

TEST_F(Tls, WhatTheSocketDoesNotTakeIsSentLaterInOrder) {
  shake_hands();
  const int small = 4096;
  ::setsockopt(server_->fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  Bytes whole(300000);
  for (std::size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<std::byte>(i * 7 / 3);
  std::size_t taken = 0;
  bool refused = false;
  while (taken < whole.size()) {
    const ssize_t sent =
        send({Bytes(whole.begin() + static_cast<std::ptrdiff_t>(taken), whole.end())});
    if (sent > 0) {
      taken += static_cast<std::size_t>(sent);
      continue;
    }
    ASSERT_EQ(errno, EAGAIN);
    EXPECT_TRUE(server_->has_unsent());
    EXPECT_FALSE(server_->flush());
    refused = true;
    hear();
  }
  while (server_->has_unsent()) {
    server_->flush();
    hear();
  }
  hear();
  EXPECT_TRUE(refused) << "the socket took all at once: nothing was tried";
  EXPECT_EQ(heard_, whole);
}

TEST_F(Tls, TellsTheEnd) {
  shake_hands();
  EXPECT_TRUE(server_->end_sending());
  hear();
  EXPECT_TRUE(peer_->ended);
}

TEST_F(Tls, HearsTheEndWithAWordAndWithout) {
  shake_hands();
  SSL_shutdown(peer_->ssl());
  wire(peer_->say({}));
  receive();
  EXPECT_EQ(result_, 0);
  connect();
  shake_hands();
  ours_.reset();
  receive();
  EXPECT_EQ(result_, 0);
}

TEST_F(Tls, WhatIsNoTlsFailsWithTheReason) {
  connect_in_clear();
  wire(Bytes(1537, std::byte{3}));  // an RTMP handshake
  receive();
  EXPECT_EQ(result_, -1);
  EXPECT_EQ(error_, EPROTO);
  EXPECT_THAT(server_->failure(error_), HasSubstr("no TLS client"));
  EXPECT_THAT(server_->failure(error_), HasSubstr("as plain RTMP does"));
  EXPECT_EQ(server_->failure(ECONNRESET), "Connection reset by peer");
  EXPECT_EQ(send({text("x")}), -1) << "nothing is said in clear";
  hear();
  EXPECT_EQ(heard_, Bytes());
}

TEST_F(Tls, TextIsNoPlainRtmp) {
  for (const char *line : {"\n", "hello there\r\n", "GET / HTTP/1.1\r\n\r\n"}) {
    connect_in_clear();
    wire(text(std::string(line) + std::string(100, '\n')));
    receive();
    EXPECT_EQ(result_, -1);
    const std::string why = server_->failure(error_);
    EXPECT_THAT(why, HasSubstr("no TLS client: it begins with byte " +
                               std::to_string(static_cast<int>(line[0]))));
    EXPECT_THAT(why, Not(HasSubstr("RTMP")));
  }
}

TEST_F(Tls, OldVersionsAreRefused) {
  connect_in_clear();
  peer_ = std::make_unique<TlsPeer>();
  SSL_set_min_proto_version(peer_->ssl(), TLS1_1_VERSION);
  SSL_set_max_proto_version(peer_->ssl(), TLS1_1_VERSION);
  SSL_set_security_level(peer_->ssl(), 0);
  wire(peer_->say({}));
  receive();
  EXPECT_EQ(error_, EPROTO);
  EXPECT_THAT(server_->failure(EPROTO), HasSubstr("TLS: unsupported protocol"));
}

TEST_F(Tls, ARenewedCertificateIsUsedFromThenOnAndABrokenOneIsNot) {
  shake_hands();
  const std::string first = peer_->serial();
  fresh_certificate(directory_.path());
  connect(Time(1s + 500ms));  // looked at a moment ago
  shake_hands();
  EXPECT_EQ(peer_->serial(), first);
  connect(Time(3s));
  shake_hands();
  const std::string second = peer_->serial();
  EXPECT_NE(second, first);
  EXPECT_THAT(logged_, testing::ElementsAre(HasSubstr("renewed certificate")));

  test::write_text(files_.key, "no key");
  connect(Time(5s));
  shake_hands();
  EXPECT_EQ(peer_->serial(), second);
  ASSERT_EQ(logged_.size(), 2U);
  EXPECT_THAT(logged_[1], HasSubstr(files_.key));
  EXPECT_THAT(logged_[1], HasSubstr("the old one stays in use"));
}

TEST_F(Tls, FilesThatCannotBeUsedAreNamed) {
  const auto why = [](const TlsFiles &files) {
    const auto loaded = TlsIdentity::load(files, {});
    return loaded ? std::string("loaded") : loaded.error().detail;
  };
  EXPECT_THAT(why({"/nonexistent", files_.key}),
              HasSubstr("the certificate /nonexistent cannot be used (No such file or directory)"));
  EXPECT_THAT(why({files_.certificate, "/nonexistent"}),
              HasSubstr("the key /nonexistent cannot be used (No such file or directory)"));
  EXPECT_THAT(why({files_.key, files_.key}), HasSubstr("the certificate " + files_.key));
  const auto other = make_self_signed("other", 1);
  ASSERT_TRUE(other);
  const std::string path = directory_.path() + "/other.pem";
  test::write_text(path, other->key);
  EXPECT_THAT(why({files_.certificate, path}), HasSubstr(path));
}

TEST(SelfSigned, NamesItsHostAndThisMachine) {
  for (const char *host : {"gw.example.org", "192.0.2.7", "2001:db8::7"}) {
    const auto made = make_self_signed(host, 30);
    ASSERT_TRUE(made) << host;
    const std::unique_ptr<BIO, Releaser<BIO_free_all>> bio(
        BIO_new_mem_buf(made->certificate.data(), static_cast<int>(made->certificate.size())));
    const std::unique_ptr<X509, Releaser<X509_free>> certificate(
        PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    ASSERT_NE(certificate, nullptr);
    X509 *raw = certificate.get();
    EXPECT_EQ(X509_check_host(raw, "localhost", 0, 0, nullptr), 1);
    EXPECT_EQ(X509_check_ip_asc(raw, "127.0.0.1", 0), 1);
    EXPECT_EQ(X509_check_host(raw, "example.com", 0, 0, nullptr), 0);
    EXPECT_EQ(std::string(host).find("example") != std::string::npos
                  ? X509_check_host(raw, host, 0, 0, nullptr)
                  : X509_check_ip_asc(raw, host, 0),
              1)
        << host;
    EXPECT_LT(X509_cmp_current_time(X509_get0_notBefore(raw)), 0);
    EXPECT_GT(X509_cmp_current_time(X509_get0_notAfter(raw)), 0);
  }
  EXPECT_FALSE(make_self_signed("a,DNS:evil.example", 30));
}

}  // namespace
}  // namespace junctor
