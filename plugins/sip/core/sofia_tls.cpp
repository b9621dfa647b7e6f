// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sip/core/sofia_tls.h"

#include <linux/sockios.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <sofia-sip/tport_tag.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "common/tls.h"
#include "sip/core/uri.h"

namespace junctor::sip {

namespace {

/// SSL objects that may be left over before the first look for closed ones.
constexpr std::size_t kFirstLook = 16;
constexpr int kDays = 2;

thread_local SofiaTls *capturing = nullptr;
thread_local std::vector<SSL_CTX *> captured;

std::optional<ino_t> socket_of(const SSL *ssl) {
  const int fd = SSL_get_fd(ssl);
  struct stat status {};
  if (fd < 0 || ::fstat(fd, &status) != 0 || !S_ISSOCK(status.st_mode)) return std::nullopt;
  return status.st_ino;
}

/// Sofia has not closed it: its descriptor may be another's by then.
bool is_open(const std::pair<SSL *const, std::optional<ino_t>> &connection) {
  return connection.second && socket_of(connection.first) == connection.second;
}

Endpoint peer_of(const SSL *ssl) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getpeername(SSL_get_fd(ssl), reinterpret_cast<sockaddr *>(&address), &length) != 0)
    return {};
  return Endpoint::from_sockaddr(reinterpret_cast<const sockaddr *>(&address));
}

/// What a certificate is for, as people know it.
std::string names_of(X509 *certificate) {
  std::string names;
  auto *all = static_cast<GENERAL_NAMES *>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(all) && names.size() < 200; ++i) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);
    if (name->type != GEN_DNS) continue;
    const auto *text = reinterpret_cast<const char *>(ASN1_STRING_get0_data(name->d.dNSName));
    names += (names.empty() ? "" : ", ") +
             clean_text({text, static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName))});
  }
  GENERAL_NAMES_free(all);
  return names.empty() ? "other names" : names;
}

void add_name(X509 *certificate, const std::string &text) {
  auto *names = static_cast<GENERAL_NAMES *>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  GENERAL_NAME *name = GENERAL_NAME_new();
  ASN1_IA5STRING *value = ASN1_IA5STRING_new();
  if (names && name && value &&
      ASN1_STRING_set(value, text.data(), static_cast<int>(text.size())) == 1) {
    GENERAL_NAME_set0_value(name, GEN_DNS, std::exchange(value, nullptr));
    sk_GENERAL_NAME_push(names, std::exchange(name, nullptr));
    X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_REPLACE);
  }
  ASN1_IA5STRING_free(value);
  GENERAL_NAME_free(name);
  GENERAL_NAMES_free(names);
}

/// Sofia looks at OpenSSL's list of errors after each operation, but never clears it: what one
/// connection, or anybody in this thread, has left there would end the next one.
long clear_errors(BIO *, int operation, const char *, std::size_t, int, long, int result,
                  std::size_t *) {
  if (operation == BIO_CB_READ || operation == BIO_CB_WRITE) ERR_clear_error();
  return result;
}

}  // namespace

/// Made once for the process: OpenSSL takes none back.
struct SofiaTls::Indices {
  int context, ssl;

  static void context_made(void *context, void *, CRYPTO_EX_DATA *, int, long, void *) {
    if (capturing) captured.push_back(static_cast<SSL_CTX *>(context));
  }
  static void context_freed(void *context, void *, CRYPTO_EX_DATA *, int, long, void *) {
    std::erase(captured, static_cast<SSL_CTX *>(context));
  }
  static void ssl_made(void *ssl, void *, CRYPTO_EX_DATA *, int, long, void *) {
    if (auto *owner = owner_of(static_cast<SSL *>(ssl))) owner->on_made(static_cast<SSL *>(ssl));
  }
  static void ssl_freed(void *ssl, void *, CRYPTO_EX_DATA *, int, long, void *) {
    // A Sofia that frees them by itself.
    if (auto *owner = owner_of(static_cast<SSL *>(ssl)))
      owner->live_.erase(static_cast<SSL *>(ssl));
  }
};

const SofiaTls::Indices &SofiaTls::indices() {
  static const Indices made = [] {
    Indices indices{};
    indices.context = SSL_CTX_get_ex_new_index(0, nullptr, Indices::context_made, nullptr,
                                               Indices::context_freed);
    indices.ssl = SSL_get_ex_new_index(0, nullptr, Indices::ssl_made, nullptr, Indices::ssl_freed);
    return indices;
  }();
  return made;
}

SofiaTls *SofiaTls::owner_of(const SSL *ssl) {
  SSL_CTX *context = SSL_get_SSL_CTX(ssl);
  return context ? static_cast<SofiaTls *>(SSL_CTX_get_ex_data(context, indices().context))
                 : nullptr;
}

SofiaTls::SofiaTls(const AgentTls &options, Watch watch)
    : options_(options), watch_(std::move(watch)), store_(X509_STORE_new()), free_at_(kFirstLook) {}

SofiaTls::~SofiaTls() {
  remove_directory();
  free_closed();
  for (const ContextRef &context : contexts_) {
    SSL_CTX_set_ex_data(context.get(), indices().context, nullptr);
    SSL_CTX_set_info_callback(context.get(), nullptr);
    SSL_CTX_set_cert_cb(context.get(), nullptr, nullptr);
    SSL_CTX_set_cert_verify_callback(context.get(), nullptr, nullptr);
  }
}

Result<std::unique_ptr<SofiaTls>> SofiaTls::create(const AgentTls &options, Watch watch) {
  indices();
  std::unique_ptr<SofiaTls> self(new SofiaTls(options, std::move(watch)));
  ERR_clear_error();
  X509_STORE *store = self->store_.get();
  if (!store) return internal_error("TLS: " + openssl_reason());
  if (options.ca_file.empty()) {
    X509_STORE_set_default_paths(store);
  } else {
    if (X509_STORE_load_file(store, options.ca_file.c_str()) != 1)
      return bad_input("the certificates of authorities in " + options.ca_file +
                       " cannot be used (" + openssl_reason() +
                       "); it must be a PEM file that this user can read");
    // What is in the file is believed, be it no authority.
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
  }
  ERR_clear_error();
  if (auto made = self->make_directory(); !made) return made.error();
  return self;
}

/// Sofia wants a certificate to begin with; the one that counts is asked for at each handshake.
Result<void> SofiaTls::make_directory() {
  const auto made = make_self_signed("localhost", kDays);
  if (!made) return made.error();
  std::error_code problem;
  std::string path = std::filesystem::temp_directory_path(problem).string() + "/junctor-XXXXXX";
  if (problem || !::mkdtemp(path.data()))
    return internal_error("TLS: cannot make a temporary directory: " +
                          std::string(std::strerror(errno)));
  directory_ = path;
  const std::string file = directory_ + "/agent.pem";
  std::ofstream out(file);
  out << made->key << made->certificate;
  out.close();
  if (!out) return internal_error("TLS: cannot write " + file);
  return {};
}

void SofiaTls::remove_directory() {
  if (directory_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
  directory_.clear();
}

unsigned SofiaTls::verify_policy() const {
  return options_.verify ? TPTLS_VERIFY_SUBJECTS_OUT : TPTLS_VERIFY_NONE;
}

void SofiaTls::begin_capture() {
  capturing = this;
  captured.clear();
}

void SofiaTls::abandon_capture() {
  capturing = nullptr;
  captured.clear();
}

Result<void> SofiaTls::end_capture() {
  capturing = nullptr;
  remove_directory();
  for (SSL_CTX *context : std::exchange(captured, {})) {
    SSL_CTX_up_ref(context);
    contexts_.emplace_back(context);
    set_up(context);
  }
  ERR_clear_error();
  if (contexts_.empty())
    return internal_error("TLS: the SIP stack's context was not found; is it built with TLS?");
  return {};
}

void SofiaTls::set_up(SSL_CTX *context) {
  SSL_CTX_set_ex_data(context, indices().context, this);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_cipher_list(context, OSSL_default_cipher_list());
  X509_STORE_up_ref(store_.get());
  SSL_CTX_set_cert_store(context, store_.get());
  // Nobody is asked for a certificate; what a server's is worth is told by the verdict, which Sofia
  // looks at.
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_cert_verify_callback(
      context,
      [](X509_STORE_CTX *verification, void *self) {
        return static_cast<SofiaTls *>(self)->verify(verification);
      },
      this);
  SSL_CTX_set_info_callback(context, [](const SSL *ssl, int where, int) {
    if (!(where & SSL_CB_HANDSHAKE_START)) return;
    if (SofiaTls *owner = owner_of(ssl)) owner->on_handshake(const_cast<SSL *>(ssl));
  });
  SSL_CTX_set_cert_cb(
      context,
      [](SSL *ssl, void *self) {
        const auto &identity = static_cast<SofiaTls *>(self)->options_.identity;
        return identity && !identity->use_for(ssl, Clock::now()) ? 0 : 1;
      },
      this);
}

void SofiaTls::on_made(SSL *ssl) {
  for (auto &[each, socket] : live_)
    if (!socket) socket = socket_of(each);
  if (live_.size() >= free_at_) {
    free_closed();
    free_at_ = std::max(kFirstLook, 2 * live_.size());
  }
  live_.emplace(ssl, std::nullopt);
}

void SofiaTls::on_handshake(SSL *ssl) {
  if (const auto found = live_.find(ssl); found != live_.end() && !found->second)
    found->second = socket_of(ssl);
  BIO_set_callback_ex(SSL_get_rbio(ssl), clear_errors);
  if (!SSL_is_server(ssl) && watch_.server_name) tell_name(ssl);
}

/// Its first message is still to be written.
void SofiaTls::tell_name(SSL *ssl) const {
  const auto connected = [&](const std::string &name) {
    return std::ranges::any_of(live_, [&](const auto &each) {
      const SSL *other = each.first;
      const char *told = SSL_get_servername(other, TLSEXT_NAMETYPE_host_name);
      return other != ssl && !SSL_is_server(other) && told && name == told && is_open(each);
    });
  };
  const std::string name = watch_.server_name(peer_of(ssl), connected);
  if (!name.empty()) SSL_set_tlsext_host_name(ssl, name.c_str());
}

void SofiaTls::write(int fd, std::string_view text) {
  const auto found = std::ranges::find_if(
      live_, [&](const auto &each) { return SSL_get_fd(each.first) == fd && is_open(each); });
  if (found == live_.end() || SSL_want_write(found->first)) return;
  // What OpenSSL has begun to write must be gone on with, by Sofia, who does not know of it.
  int waiting = 0, room = 0;
  socklen_t length = sizeof room;
  if (::ioctl(fd, SIOCOUTQ, &waiting) != 0 ||
      ::getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, &length) != 0 || waiting > room / 4 ||
      text.size() > static_cast<std::size_t>(room) / 4)
    return;
  const int written = SSL_write(found->first, text.data(), static_cast<int>(text.size()));
  if (written != static_cast<int>(text.size())) ::shutdown(fd, SHUT_RDWR);
  ERR_clear_error();
}

int SofiaTls::verify(X509_STORE_CTX *verification) {
  const auto *ssl = static_cast<const SSL *>(
      X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx()));
  X509 *certificate = X509_STORE_CTX_get0_cert(verification);
  const Endpoint peer = peer_of(ssl);
  std::string problem;
  const int good = X509_verify_cert(verification);
  if (good == 1)
    problem = problem_with(certificate, peer);
  else
    problem = std::string(X509_verify_cert_error_string(X509_STORE_CTX_get_error(verification))) +
              (options_.ca_file.empty()
                   ? " (the system's authorities are believed; sip.tls-ca names others)"
                   : " (those in " + options_.ca_file + " are believed)");
  // Sofia compares the host that it called with names alone. An address that is in the certificate
  // becomes one, in our copy; who called another host is not helped by it.
  if (good == 1 && X509_check_ip_asc(certificate, peer.address.c_str(), 0) == 1)
    add_name(certificate, peer.address);
  if (!options_.verify || problem.empty()) return good;
  problem = "its certificate is not believed: " + problem;
  if (watch_.log && budget_.take(Clock::now()))
    watch_.log(LogLevel::Warning, "sip " + peer.to_string() + ": " + problem);
  if (watch_.refused) watch_.refused(peer, problem);
  return good;
}

/// Only where it is certain.
std::string SofiaTls::problem_with(X509 *certificate, const Endpoint &peer) const {
  const std::vector<std::string> hosts =
      watch_.awaited ? watch_.awaited(peer) : std::vector<std::string>();
  for (const std::string &host : hosts)
    if (X509_check_host(certificate, host.c_str(), host.size(), X509_CHECK_FLAG_NO_WILDCARDS,
                        nullptr) == 1 ||
        X509_check_ip_asc(certificate, host.c_str(), 0) == 1)
      return {};
  if (hosts.size() != 1) return {};
  return "it is not for " + hosts.front() + " but for " + names_of(certificate);
}

/// Sofia closes a socket after it has let go of its SSL object: of its reference to the context,
/// which it counts for a second time, and of one of the two to the BIO.
void SofiaTls::free_closed() {
  std::vector<SSL *> closed;
  for (const auto &[ssl, socket] : live_)
    if (const auto now = socket_of(ssl); !now || (socket && *now != *socket)) closed.push_back(ssl);
  for (SSL *ssl : closed) {
    live_.erase(ssl);
    SSL_CTX_up_ref(SSL_get_SSL_CTX(ssl));
    if (BIO *bio = SSL_get_rbio(ssl)) BIO_up_ref(bio);
    SSL_free(ssl);
  }
  ERR_clear_error();
}

}  // namespace junctor::sip
