// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace junctor {

namespace {

constexpr Duration kLookPause = std::chrono::seconds(1);

using SslRef = std::unique_ptr<SSL, Releaser<SSL_free>>;
using BioRef = std::unique_ptr<BIO, Releaser<BIO_free_all>>;
using KeyRef = std::unique_ptr<EVP_PKEY, Releaser<EVP_PKEY_free>>;
using CertificateRef = std::unique_ptr<X509, Releaser<X509_free>>;
using ExtensionRef = std::unique_ptr<X509_EXTENSION, Releaser<X509_EXTENSION_free>>;

int fd_of(BIO *bio) { return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio))); }

bool is_temporary(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

/// OpenSSL's own socket BIO writes with write(2), which raises SIGPIPE in programs that embed us.
BIO_METHOD *quiet_socket() {
  static BIO_METHOD *const method = [] {
    BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "quiet socket");
    BIO_meth_set_read(made, [](BIO *bio, char *data, int size) {
      BIO_clear_retry_flags(bio);
      const auto got = ::recv(fd_of(bio), data, static_cast<std::size_t>(size), MSG_DONTWAIT);
      if (got < 0 && is_temporary(errno)) BIO_set_retry_read(bio);
      if (got == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
      return static_cast<int>(got);
    });
    BIO_meth_set_write(made, [](BIO *bio, const char *data, int size) {
      BIO_clear_retry_flags(bio);
      const auto sent =
          ::send(fd_of(bio), data, static_cast<std::size_t>(size), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && is_temporary(errno)) BIO_set_retry_write(bio);
      return static_cast<int>(sent);
    });
    BIO_meth_set_ctrl(made, [](BIO *bio, int command, long, void *) -> long {
      if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
      return command == BIO_CTRL_FLUSH ? 1 : 0;
    });
    return made;
  }();
  return method;
}

class TlsSocket final : public StreamSocket {
 public:
  TlsSocket(UniqueFd fd, SslRef ssl) : StreamSocket(std::move(fd)), ssl_(std::move(ssl)) {
    BIO *bio = BIO_new(quiet_socket());
    BIO_set_data(bio, reinterpret_cast<void *>(static_cast<std::intptr_t>(this->fd())));
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
    SSL_set_accept_state(ssl_.get());
  }

  ssize_t receive(std::span<std::byte> into) override {
    if (!first_) look_at_first();
    ERR_clear_error();
    errno = 0;
    const int got = SSL_read(ssl_.get(), into.data(), static_cast<int>(into.size()));
    waits_to_write_ = false;
    if (got > 0) return got;
    const int problem = SSL_get_error(ssl_.get(), got);
    waits_to_write_ = problem == SSL_ERROR_WANT_WRITE;
    return problem == SSL_ERROR_ZERO_RETURN ? 0 : fail(problem);
  }
  /// A record at a time comes out, however much has come in.
  bool may_have_more(std::size_t, std::size_t) const override { return true; }

  ssize_t send(const msghdr &message) override {
    if (!flush()) return -1;
    size_ = sent_ = 0;
    for (std::size_t i = 0; i < message.msg_iovlen && size_ < out_.size(); ++i) {
      const auto &part = message.msg_iov[i];
      const std::size_t count = std::min(part.iov_len, out_.size() - size_);
      std::copy_n(static_cast<const std::byte *>(part.iov_base), count, out_.begin() + size_);
      size_ += count;
    }
    const auto taken = static_cast<ssize_t>(size_);
    return flush() || is_temporary(errno) ? taken : -1;
  }
  bool flush() override {
    while (has_unsent()) {
      ERR_clear_error();
      errno = 0;
      const int sent = SSL_write(ssl_.get(), out_.data() + sent_, static_cast<int>(size_ - sent_));
      if (sent <= 0) {
        fail(SSL_get_error(ssl_.get(), sent));
        return false;
      }
      sent_ += static_cast<std::size_t>(sent);
    }
    return true;
  }
  bool has_unsent() const override { return sent_ < size_; }
  bool waits_to_write() const override { return waits_to_write_; }

  bool end_sending() override {
    ERR_clear_error();
    if (SSL_is_init_finished(ssl_.get())) SSL_shutdown(ssl_.get());
    return StreamSocket::end_sending();
  }
  std::string failure(int error) const override {
    return error == EPROTO ? "TLS: " + reason_ : StreamSocket::failure(error);
  }

 private:
  /// OpenSSL's words do not tell who is no TLS client at all.
  void look_at_first() {
    std::uint8_t byte = 0;
    if (::recv(fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1) first_ = byte;
  }
  std::string why_no_handshake() const {
    if (!first_ || *first_ == kHandshakeRecord)
      return openssl_reason() + " (no TLS client, or one that wants another version)";
    const std::string byte = std::to_string(*first_);
    if (*first_ == kPlainRtmp)
      return "no TLS client: it begins with byte " + byte +
             ", as plain RTMP does; give it an rtmps:// URL, or the port of rtmp://";
    return "no TLS client: it begins with byte " + byte + ", and TLS with 22; check URL and port";
  }

  /// Sets errno; -1.
  ssize_t fail(int problem) {
    if (problem == SSL_ERROR_WANT_READ || problem == SSL_ERROR_WANT_WRITE) {
      errno = EAGAIN;
    } else if (problem == SSL_ERROR_SSL) {
      reason_ = SSL_is_init_finished(ssl_.get()) ? openssl_reason() : why_no_handshake();
      ERR_clear_error();
      errno = EPROTO;
    } else if (errno == 0) {
      errno = ECONNRESET;  // the peer has gone without a word
    }
    return -1;
  }

  static constexpr std::uint8_t kHandshakeRecord = 22, kPlainRtmp = 3;

  SslRef ssl_;
  std::optional<std::uint8_t> first_;  ///< byte of the peer
  bool waits_to_write_ = false;
  std::string reason_ = "unknown error";
  // One record. What SSL_write() has once refused it must be given again.
  std::array<std::byte, SSL3_RT_MAX_PLAIN_LENGTH> out_;
  std::size_t size_ = 0, sent_ = 0;
};

/// Adds an extension to a certificate; false if `value` cannot be one.
bool extend(X509 *certificate, int nid, const std::string &value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const ExtensionRef extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool is_address(const std::string &host) {
  std::array<unsigned char, sizeof(in6_addr)> ignored;
  return ::inet_pton(AF_INET, host.c_str(), ignored.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), ignored.data()) == 1;
}

std::string text_of(BIO *bio) {
  char *data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(std::max(size, 0L))};
}

}  // namespace

TlsIdentity::TlsIdentity(TlsFiles files, LogSink log)
    : files_(std::move(files)), log_(std::move(log)) {}
TlsIdentity::~TlsIdentity() = default;

Result<std::shared_ptr<TlsIdentity>> TlsIdentity::load(TlsFiles files, LogSink log) {
  std::shared_ptr<TlsIdentity> self(new TlsIdentity(std::move(files), std::move(log)));
  self->stamp_ = TlsStamp::of(self->files_);
  auto context = read(self->files_);
  if (!context) return context.error();
  self->context_ = std::move(*context);
  return self;
}

std::string openssl_reason() {
  // A file that cannot be read is "system lib" to what reports it last; the first says why.
  const unsigned long first = ERR_peek_error(), code = ERR_peek_last_error();
  std::string text = "unknown error";
  if (ERR_SYSTEM_ERROR(first))
    text = std::strerror(ERR_GET_REASON(first));
  else if (const char *reason = code == 0 ? nullptr : ERR_reason_error_string(code))
    text = reason;
  ERR_clear_error();
  return text;
}

TlsStamp TlsStamp::of(const TlsFiles &files) {
  const auto look = [](const std::string &path) -> File {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return {};
    return {status.st_mtim.tv_sec, status.st_mtim.tv_nsec, static_cast<long long>(status.st_ino),
            status.st_size};
  };
  return {look(files.certificate), look(files.key)};
}

Result<TlsIdentity::Context> TlsIdentity::read(const TlsFiles &files) {
  ERR_clear_error();
  const Context context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (!context) return internal_error("TLS: " + openssl_reason());
  SSL_CTX *raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  // A peer that closes without a close_notify is an ordinary end: RTMP has lengths of its own.
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  // Without it OpenSSL would ask the terminal, and the server would hang.
  SSL_CTX_set_default_passwd_cb(raw, [](char *, int, int, void *) { return 0; });
  if (SSL_CTX_use_certificate_chain_file(raw, files.certificate.c_str()) != 1)
    return bad_input("the certificate " + files.certificate + " cannot be used (" +
                     openssl_reason() + "); it must be a PEM file that this user can read");
  if (SSL_CTX_use_PrivateKey_file(raw, files.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return bad_input("the key " + files.key + " cannot be used (" + openssl_reason() +
                     "); it must be the PEM file of the certificate's key, without a passphrase, "
                     "that this user can read");
  if (SSL_CTX_check_private_key(raw) != 1)
    return bad_input("the key " + files.key + " does not belong to the certificate " +
                     files.certificate);
  return context;
}

void TlsIdentity::look_for_renewal(Time now) {
  if (now < look_again_) return;
  look_again_ = now + kLookPause;
  const TlsStamp stamp = TlsStamp::of(files_);
  if (stamp == stamp_) return;
  stamp_ = stamp;
  auto context = read(files_);
  if (context) context_ = std::move(*context);
  if (!log_) return;
  if (context)
    log_(LogLevel::Info, "the renewed certificate " + files_.certificate + " is in use");
  else
    log_(LogLevel::Error, context.error().detail + "; the old one stays in use");
}

std::unique_ptr<StreamSocket> TlsIdentity::accept(UniqueFd fd, Time now) {
  const std::lock_guard lock(mutex_);
  look_for_renewal(now);
  SslRef ssl(SSL_new(context_.get()));
  if (!ssl) return nullptr;
  return std::make_unique<TlsSocket>(std::move(fd), std::move(ssl));
}

bool TlsIdentity::use_for(SSL *ssl, Time now) {
  const std::lock_guard lock(mutex_);
  look_for_renewal(now);
  // It may have one for each kind of key, and shows which it likes best.
  SSL_certs_clear(ssl);
  STACK_OF(X509) *chain = nullptr;
  SSL_CTX_get0_chain_certs(context_.get(), &chain);
  return SSL_use_cert_and_key(ssl, SSL_CTX_get0_certificate(context_.get()),
                              SSL_CTX_get0_privatekey(context_.get()), chain, 1) == 1;
}

Result<SelfSigned> make_self_signed(const std::string &host, int days) {
  ERR_clear_error();
  const auto failed = [] {
    return internal_error("cannot make a certificate: " + openssl_reason());
  };
  const KeyRef key(EVP_EC_gen("P-256"));
  const CertificateRef certificate(X509_new());
  std::uint64_t serial = 0;
  if (!key || !certificate ||
      RAND_bytes(reinterpret_cast<unsigned char *>(&serial), sizeof serial) != 1)
    return failed();
  X509 *raw = certificate.get();
  X509_set_version(raw, X509_VERSION_3);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(raw), serial >> 1);
  constexpr long kDay = 24L * 60 * 60;
  X509_gmtime_adj(X509_getm_notBefore(raw), -kDay);
  X509_gmtime_adj(X509_getm_notAfter(raw), days * kDay);
  X509_set_pubkey(raw, key.get());
  X509_NAME *name = X509_get_subject_name(raw);
  // A common name has 64 characters at most (RFC 5280, ub-common-name); the host is in the
  // alternative names.
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char *>("Junctor, self-signed"), -1,
                             -1, 0);
  X509_set_issuer_name(raw, name);
  if (host.find_first_of(",:\n") != std::string::npos && !is_address(host))
    return bad_input("'" + host + "' is no host name that a certificate can have");
  std::string names = "DNS:localhost,IP:127.0.0.1,IP:::1";
  if (!host.empty() && host != "localhost") names += (is_address(host) ? ",IP:" : ",DNS:") + host;
  if (!extend(raw, NID_subject_alt_name, names) ||
      !extend(raw, NID_basic_constraints, "critical,CA:FALSE") ||
      !extend(raw, NID_ext_key_usage, "serverAuth") || X509_sign(raw, key.get(), EVP_sha256()) == 0)
    return failed();
  const BioRef certificate_text(BIO_new(BIO_s_mem())), key_text(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(certificate_text.get(), raw) != 1 ||
      PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
          1)
    return failed();
  return SelfSigned{text_of(certificate_text.get()), text_of(key_text.get())};
}

}  // namespace junctor
