// SPDX-License-Identifier: LGPL-2.1-or-later
// The other end of a TLS connection, on a socket of the test's own.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <cerrno>
#include <functional>
#include <memory>
#include <string>

#include "../tls_peer.h"
#include "scripted_peer.h"

namespace junctor::sip::test {

class TlsEnd {
 public:
  /// A client, which trusts anybody.
  explicit TlsEnd(const Endpoint &server, int version = TLS1_3_VERSION)
      : TlsEnd(UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
               TLS_client_method()) {
    SSL_CTX_set_max_proto_version(context_.get(), version);
    SSL_set_max_proto_version(ssl_.get(), version);
    const auto address = server.to_sockaddr();
    const int done = ::connect(fd_.get(), reinterpret_cast<const sockaddr *>(&*address),
                               sockaddr_length(*address));
    EXPECT_TRUE(done == 0 || errno == EINPROGRESS);
    SSL_set_connect_state(ssl_.get());
    wake_ = std::make_unique<Wake>(fd_.get());
  }
  /// A server, from a socket that was accepted.
  TlsEnd(UniqueFd accepted, const TlsFiles &files)
      : TlsEnd(std::move(accepted), TLS_server_method()) {
    EXPECT_EQ(SSL_use_certificate_chain_file(ssl_.get(), files.certificate.c_str()), 1);
    EXPECT_EQ(SSL_use_PrivateKey_file(ssl_.get(), files.key.c_str(), SSL_FILETYPE_PEM), 1);
    SSL_set_accept_state(ssl_.get());
    wake_ = std::make_unique<Wake>(fd_.get());
  }

  Endpoint local() const { return local_endpoint(fd_.get()); }
  /// Goes on as far as it can; what came is in heard_.
  void step() {
    if (closed_) return;
    ERR_clear_error();
    if (!SSL_is_init_finished(ssl_.get()) && !good(SSL_do_handshake(ssl_.get()))) return;
    while (!waiting_.empty()) {
      const int sent = SSL_write(ssl_.get(), waiting_.data(), static_cast<int>(waiting_.size()));
      if (!good(sent)) return;
      waiting_.erase(0, static_cast<std::size_t>(sent));
    }
    char buffer[4000];
    for (int got = 0; good(got = SSL_read(ssl_.get(), buffer, sizeof buffer));)
      heard_.append(buffer, static_cast<std::size_t>(got));
  }
  void send(const std::string &text) {
    waiting_ += text;
    step();
  }
  bool closed() {
    step();
    return closed_;
  }
  bool ready() {
    step();
    return SSL_is_init_finished(ssl_.get());
  }
  /// The next message of that beginning ("INVITE ", "SIP/2.0 200"); those before it are dropped.
  Message message(const std::string &beginning) {
    Message found;
    EXPECT_TRUE(run_until([&] {
      step();
      while (found.text.empty()) {
        const auto end = heard_.find("\r\n\r\n");
        if (end == std::string::npos) break;
        const Message head{heard_.substr(0, end + 4)};
        const auto size =
            end + 4 + static_cast<std::size_t>(std::stoi("0" + head.header("Content-Length")));
        if (heard_.size() < size) break;
        if (heard_.starts_with(beginning)) found.text = heard_.substr(0, size);
        heard_.erase(0, size);
      }
      return !found.text.empty() || closed_;
    }));
    EXPECT_FALSE(found.text.empty()) << "no " << beginning << " came over TLS";
    return found;
  }
  std::string serial() const { return junctor::test::serial_shown(ssl_.get()); }
  /// What a client called us (RFC 6066 section 3); empty if it said nothing.
  std::string server_name() const {
    const char *name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
    return name ? name : "";
  }
  std::string version() const { return SSL_get_version(ssl_.get()); }

 private:
  TlsEnd(UniqueFd fd, const SSL_METHOD *method)
      : fd_(std::move(fd)), context_(SSL_CTX_new(method)), ssl_(SSL_new(context_.get())) {
    // Else OpenSSL itself refuses what the agent is to refuse.
    SSL_set_security_level(ssl_.get(), 0);
    SSL_set_min_proto_version(ssl_.get(), TLS1_VERSION);
    SSL_set_fd(ssl_.get(), fd_.get());
  }
  bool good(int result) {
    if (result > 0) return true;
    const int problem = SSL_get_error(ssl_.get(), result);
    if (problem == SSL_ERROR_WANT_READ || problem == SSL_ERROR_WANT_WRITE) return false;
    closed_ = true;
    wake_.reset();
    return false;
  }

  UniqueFd fd_;
  std::unique_ptr<SSL_CTX, Releaser<SSL_CTX_free>> context_;
  std::unique_ptr<SSL, Releaser<SSL_free>> ssl_;
  std::unique_ptr<Wake> wake_;
  std::string waiting_, heard_;
  bool closed_ = false;
};

/// The same request as it goes over TLS.
inline std::string over_tls(std::string request) {
  return request.replace(request.find("SIP/2.0/UDP"), 11, "SIP/2.0/TLS");
}

}  // namespace junctor::sip::test
