// SPDX-License-Identifier: LGPL-2.1-or-later
#include "https/tls_door.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace junctor::https {

namespace {

template <class T>
using ObjectRef = std::unique_ptr<T, Releaser<g_object_unref>>;

constexpr std::size_t kRecordHeader = 5;          // RFC 8446, 5.1
constexpr std::size_t kMostInRecord = 16 * 1024;  // of a record in clear

/// The size of the record that begins so; 0 if it is none of a handshake.
std::size_t record_size(const std::array<unsigned char, kRecordHeader> &header) {
  constexpr unsigned char kHandshake = 22;
  const std::size_t length = header[3] << 8U | header[4];
  return header[0] == kHandshake && length <= kMostInRecord ? kRecordHeader + length : 0;
}

}  // namespace

struct TlsDoor::Guest {
  ~Guest() { ignore(); }
  /// Calls on_readable() when as many bytes are there, or the client has gone.
  void watch(int bytes);
  void ignore();

  TlsDoor *door = nullptr;             // null once that is gone
  std::string from;                    // its address_group()
  std::uint64_t number = 0;            // in the order of their coming
  std::size_t wanted = kRecordHeader;  // bytes of the first record; 0 once they are there
  bool begun = false;
  GSource *readable = nullptr;
  SocketRef socket;
  ObjectRef<GIOStream> connection;
  ObjectRef<GCancellable> cancel{g_cancellable_new()};
  ContextTimer deadline;
};

void TlsDoor::Guest::watch(int bytes) {
  ignore();
  g_socket_set_option(socket.get(), SOL_SOCKET, SO_RCVLOWAT, bytes, nullptr);
  readable = g_socket_create_source(socket.get(), G_IO_IN, nullptr);
  const GSocketSourceFunc call = [](GSocket *, GIOCondition, gpointer data) -> gboolean {
    auto *guest = static_cast<Guest *>(data);
    guest->door->on_readable(guest);
    return G_SOURCE_CONTINUE;
  };
  g_source_set_callback(readable, G_SOURCE_FUNC(call), this, nullptr);
  g_source_attach(readable, g_main_context_get_thread_default());
}

void TlsDoor::Guest::ignore() {
  if (!readable) return;
  g_source_destroy(readable);
  g_source_unref(std::exchange(readable, nullptr));
}

TlsDoor::TlsDoor(Options options, LogSink log, Ready ready)
    : options_(options), log_(std::move(log)), ready_(std::move(ready)) {}

Result<std::unique_ptr<TlsDoor>> TlsDoor::open(const Endpoint &endpoint, TlsFiles files,
                                               LogSink log, Options options, Ready ready) {
  auto certificate = Certificate::load(std::move(files), log);
  if (!certificate) return certificate.error();
  std::unique_ptr<TlsDoor> self(new TlsDoor(options, log, std::move(ready)));
  self->certificate_ = std::move(*certificate);
  auto acceptor =
      Acceptor::open(endpoint, "HTTPS", std::move(log),
                     [door = self.get()](SocketRef socket) { door->let_in(std::move(socket)); });
  if (!acceptor) return acceptor.error();
  self->acceptor_ = std::move(*acceptor);
  return self;
}

TlsDoor::~TlsDoor() {
  // Handshakes that run end later, and free them.
  for (auto &[key, guest] : guests_) {
    if (!guest->begun) continue;
    guest->door = nullptr;
    guest->deadline.reset();
    g_cancellable_cancel(guest->cancel.get());
    static_cast<void>(guest.release());
  }
}

void TlsDoor::let_in(SocketRef socket) {
  auto guest = std::make_unique<Guest>();
  guest->socket = std::move(socket);
  const ObjectRef<GSocketAddress> remote(g_socket_get_remote_address(guest->socket.get(), nullptr));
  guest->from = address_group(endpoint_of(remote.get()).address);
  if (!has_room(guest->from)) return;
  Guest *key = guest.get();
  guest->door = this;
  guest->number = next_number_++;
  guest->deadline =
      ContextTimer(g_main_context_get_thread_default(), options_.handshake_time, [this, key] {
        if (key->begun)
          g_cancellable_cancel(key->cancel.get());
        else
          guests_.erase(key);
      });
  guest->watch(kRecordHeader);
  guests_[key] = std::move(guest);
}

void TlsDoor::on_readable(Guest *guest) {
  std::array<unsigned char, kRecordHeader> header{};
  const bool whole_header =
      ::recv(g_socket_get_fd(guest->socket.get()), header.data(), header.size(),
             MSG_PEEK | MSG_DONTWAIT) == static_cast<ssize_t>(header.size());
  const std::size_t size = whole_header ? record_size(header) : 0;
  if (size > guest->wanted) {
    guest->wanted = size;
    return guest->watch(static_cast<int>(size));
  }
  // What is no record, or cut off, is the handshake's to refuse, at once.
  guest->wanted = 0;
  guest->ignore();
  g_socket_set_option(guest->socket.get(), SOL_SOCKET, SO_RCVLOWAT, 1, nullptr);
  begin_next();
}

/// Who came first, as far as its address may have another thread.
void TlsDoor::begin_next() {
  for (;;) {
    std::size_t running = 0;
    std::map<std::string, std::size_t> of_address;
    for (const auto &[key, guest] : guests_)
      if (guest->begun) ++running, ++of_address[guest->from];
    Guest *next = nullptr;
    for (const auto &[key, guest] : guests_)
      if (!guest->begun && guest->wanted == 0 &&
          of_address[guest->from] < options_.threads_per_address &&
          (!next || guest->number < next->number))
        next = key;
    if (!next || running >= options_.threads) return;
    begin(*next);
  }
}

void TlsDoor::begin(Guest &guest) {
  const ObjectRef<GSocketConnection> plain(
      g_socket_connection_factory_create_connection(guest.socket.get()));
  // Nobody is asked for a certificate. With the database that g_tls_server_connection_new() leaves
  // in place each connection would load all authorities of the system: 4 MB, before a byte came.
  // HTTP says how long its answers are, so many clients part without a word.
  guest.connection.reset(G_IO_STREAM(
      g_initable_new(g_tls_backend_get_server_connection_type(g_tls_backend_get_default()), nullptr,
                     nullptr, "base-io-stream", plain.get(), "certificate", certificate_->get(),
                     "database", nullptr, "require-close-notify", FALSE, nullptr)));
  guest.begun = true;
  if (!guest.connection) {
    guests_.erase(&guest);
    return;
  }
  g_tls_connection_handshake_async(G_TLS_CONNECTION(guest.connection.get()), G_PRIORITY_DEFAULT,
                                   guest.cancel.get(), on_handshake, &guest);
}

/// So that one address cannot shut the door for the others.
bool TlsDoor::has_room(const std::string &from) {
  const auto own = static_cast<std::size_t>(
      std::ranges::count_if(guests_, [&](const auto &each) { return each.second->from == from; }));
  if (guests_.size() < options_.handshakes && own < options_.handshakes_per_address) return true;
  if (const auto left_out = log_budget_.take(from, Clock::now()); left_out && log_)
    log_(LogLevel::Warning,
         "HTTPS " + from + ": parted: " + std::to_string(own) + " of its handshakes, and " +
             std::to_string(guests_.size()) + " in all, have not ended" +
             (*left_out ? " (and " + std::to_string(*left_out) + " more that were not logged)"
                        : ""));
  return false;
}

void TlsDoor::on_handshake(GObject *connection, GAsyncResult *result, gpointer data) {
  std::unique_ptr<Guest> guest(static_cast<Guest *>(data));
  TlsDoor *door = guest->door;
  const bool shaken =
      g_tls_connection_handshake_finish(G_TLS_CONNECTION(connection), result, nullptr);
  if (!door) return;
  const auto found = door->guests_.find(guest.get());
  static_cast<void>(found->second.release());  // it is ours
  door->guests_.erase(found);
  door->begin_next();
  if (!shaken) return;
  // GIO has no setting for it but an environment variable of its back end.
  if (g_tls_connection_get_protocol_version(G_TLS_CONNECTION(connection)) <
      G_TLS_PROTOCOL_VERSION_TLS_1_2)
    return;
  hand_over(guest->socket.get(), guest->connection.get(), door->ready_);
}

}  // namespace junctor::https
