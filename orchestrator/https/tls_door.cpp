// SPDX-License-Identifier: LGPL-2.1-or-later
#include "https/tls_door.h"

#include <algorithm>
#include <string>

namespace junctor::https {

namespace {

template <class T>
using ObjectRef = std::unique_ptr<T, Releaser<g_object_unref>>;

}  // namespace

struct TlsDoor::Guest {
  TlsDoor *door = nullptr;  // null once that is gone
  std::string from;         // its address_group()
  SocketRef socket;
  ObjectRef<GIOStream> connection;
  ObjectRef<GCancellable> cancel{g_cancellable_new()};
  ContextTimer deadline;
};

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
  // Their handshakes end later, and free them.
  for (auto &[key, guest] : guests_) {
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
  const ObjectRef<GSocketConnection> plain(
      g_socket_connection_factory_create_connection(guest->socket.get()));
  // Nobody is asked for a certificate. With the database that g_tls_server_connection_new() leaves
  // in place each connection would load all authorities of the system: 4 MB, before a byte came.
  // HTTP says how long its answers are, so many clients part without a word.
  guest->connection.reset(G_IO_STREAM(
      g_initable_new(g_tls_backend_get_server_connection_type(g_tls_backend_get_default()), nullptr,
                     nullptr, "base-io-stream", plain.get(), "certificate", certificate_->get(),
                     "database", nullptr, "require-close-notify", FALSE, nullptr)));
  if (!guest->connection) return;
  auto *connection = G_TLS_CONNECTION(guest->connection.get());
  guest->door = this;
  Guest *key = guest.get();
  guest->deadline = ContextTimer(g_main_context_get_thread_default(), options_.handshake_time,
                                 [key] { g_cancellable_cancel(key->cancel.get()); });
  guests_[key] = std::move(guest);
  g_tls_connection_handshake_async(connection, G_PRIORITY_DEFAULT, key->cancel.get(), on_handshake,
                                   key);
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
  if (!shaken) return;
  // GIO has no setting for it but an environment variable of its back end.
  if (g_tls_connection_get_protocol_version(G_TLS_CONNECTION(connection)) <
      G_TLS_PROTOCOL_VERSION_TLS_1_2)
    return;
  hand_over(guest->socket.get(), guest->connection.get(), door->ready_);
}

}  // namespace junctor::https
