// SPDX-License-Identifier: LGPL-2.1-or-later
// The client's side of TLS between bytes and bytes, and certificates for it.
#pragma once

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <array>
#include <fstream>
#include <memory>
#include <string>

#include "common/bytes.h"
#include "common/handle.h"
#include "common/tls.h"

namespace junctor::test {

/// The serial number of the certificate that the other side has shown, "none" if it has shown none.
inline std::string serial_shown(const SSL *ssl) {
  const std::unique_ptr<X509, Releaser<X509_free>> certificate(SSL_get1_peer_certificate(ssl));
  if (!certificate) return "none";
  std::uint64_t number = 0;
  ASN1_INTEGER_get_uint64(&number, X509_get0_serialNumber(certificate.get()));
  return std::to_string(number);
}

/// Trusts anybody.
class TlsPeer {
 public:
  TlsPeer()
      : context_(SSL_CTX_new(TLS_client_method())),
        ssl_(SSL_new(context_.get())),
        in_(BIO_new(BIO_s_mem())),
        out_(BIO_new(BIO_s_mem())) {
    SSL_set_bio(ssl_.get(), in_, out_);
    SSL_set_connect_state(ssl_.get());
  }

  /// Takes bytes to say, once it may; returns what goes over the wire now.
  Bytes say(ByteSpan plain) {
    waiting_.insert(waiting_.end(), plain.begin(), plain.end());
    return move_on();
  }
  /// Takes bytes from the wire and adds what they say to `plain`; returns what goes over the wire.
  Bytes hear(ByteSpan wire, Bytes &plain) {
    BIO_write(in_, wire.data(), static_cast<int>(wire.size()));
    Bytes back = move_on();
    std::array<std::byte, 20000> piece;
    for (int got = 0; (got = SSL_read(ssl_.get(), piece.data(), piece.size())) > 0;)
      plain.insert(plain.end(), piece.begin(), piece.begin() + got);
    ended = ended || SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN;
    const Bytes more = move_on();
    back.insert(back.end(), more.begin(), more.end());
    return back;
  }
  std::string serial() const { return serial_shown(ssl_.get()); }
  SSL *ssl() const { return ssl_.get(); }
  bool ended = false;  ///< the server has said that nothing more comes

 private:
  Bytes move_on() {
    if (SSL_do_handshake(ssl_.get()) == 1 && !waiting_.empty()) {
      EXPECT_EQ(SSL_write(ssl_.get(), waiting_.data(), static_cast<int>(waiting_.size())),
                static_cast<int>(waiting_.size()));
      waiting_.clear();
    }
    Bytes wire(BIO_ctrl_pending(out_));
    if (!wire.empty()) BIO_read(out_, wire.data(), static_cast<int>(wire.size()));
    return wire;
  }

  std::unique_ptr<SSL_CTX, Releaser<SSL_CTX_free>> context_;
  std::unique_ptr<SSL, Releaser<SSL_free>> ssl_;
  BIO *in_, *out_;
  Bytes waiting_;
};

inline void write_text(const std::string &path, const std::string &text) {
  std::ofstream(path, std::ios::trunc) << text;
}

/// Writes a fresh certificate and key as DIRECTORY/cert.pem and DIRECTORY/key.pem.
inline TlsFiles fresh_certificate(const std::string &directory) {
  const auto made = make_self_signed("gw.example.org", 30);
  EXPECT_TRUE(made);
  TlsFiles files{directory + "/cert.pem", directory + "/key.pem"};
  write_text(files.certificate, made->certificate);
  write_text(files.key, made->key);
  return files;
}

}  // namespace junctor::test
