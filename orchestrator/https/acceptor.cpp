// SPDX-License-Identifier: LGPL-2.1-or-later
#include "https/acceptor.h"

#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace junctor::https {

namespace {

constexpr const char *kSocketKey = "junctor-socket";
constexpr Duration kPause = std::chrono::milliseconds(100);
constexpr Duration kComplaintPause = std::chrono::seconds(1);

using AddressRef = std::unique_ptr<GSocketAddress, Releaser<g_object_unref>>;

}  // namespace

Endpoint endpoint_of(GSocketAddress *address) {
  Endpoint peer;
  if (!address || !G_IS_INET_SOCKET_ADDRESS(address)) return peer;
  auto *inet = G_INET_SOCKET_ADDRESS(address);
  const std::unique_ptr<char, Releaser<g_free>> text(
      g_inet_address_to_string(g_inet_socket_address_get_address(inet)));
  peer.address = text.get();
  peer.port = g_inet_socket_address_get_port(inet);
  return peer;
}

GSocket *socket_of(GSocketAddress *remote) {
  return remote ? static_cast<GSocket *>(g_object_get_data(G_OBJECT(remote), kSocketKey)) : nullptr;
}

void hand_over(GSocket *socket, GIOStream *stream, const Ready &ready) {
  const AddressRef local(g_socket_get_local_address(socket, nullptr));
  const AddressRef remote(g_socket_get_remote_address(socket, nullptr));
  if (!local || !remote) return;
  g_object_set_data_full(G_OBJECT(remote.get()), kSocketKey, g_object_ref(socket), g_object_unref);
  ready(stream, local.get(), remote.get());
}

Acceptor::Acceptor(UniqueFd listener, std::string name, LogSink log, Take take)
    : listener_(std::move(listener)),
      name_(std::move(name)),
      log_(std::move(log)),
      take_(std::move(take)),
      local_(local_endpoint(listener_.get())) {}

Result<std::unique_ptr<Acceptor>> Acceptor::open(const Endpoint &endpoint, std::string name,
                                                 LogSink log, Take take) {
  auto listener = listen_tcp(endpoint);
  if (!listener) return listener.error();
  std::unique_ptr<Acceptor> self(
      new Acceptor(std::move(*listener), std::move(name), std::move(log), std::move(take)));
  self->watch();
  return self;
}

void Acceptor::watch() {
  source_ = g_unix_fd_source_new(listener_.get(), G_IO_IN);
  const GUnixFDSourceFunc knocked = [](gint, GIOCondition, gpointer self) -> gboolean {
    static_cast<Acceptor *>(self)->accept();
    return G_SOURCE_CONTINUE;
  };
  g_source_set_callback(source_, G_SOURCE_FUNC(knocked), this, nullptr);
  g_source_attach(source_, g_main_context_get_thread_default());
}

void Acceptor::ignore() {
  if (!source_) return;
  g_source_destroy(source_);
  g_source_unref(std::exchange(source_, nullptr));
}

void Acceptor::accept() {
  UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) {
    // Others are of that one connection, accept(2): the next may be well.
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) pause(errno);
    return;
  }
  SocketRef socket(g_socket_new_from_fd(fd.get(), nullptr));
  if (!socket) return;
  fd.release();
  // As libsoup's own listeners do: a message must not wait for the one before to be acknowledged.
  g_socket_set_option(socket.get(), IPPROTO_TCP, TCP_NODELAY, 1, nullptr);
  take_(std::move(socket));
}

/// The listener stays readable meanwhile: watched on, it would wake us without end.
void Acceptor::pause(int error) {
  const Time now = Clock::now();
  if (now >= next_complaint_ && log_) {
    next_complaint_ = now + kComplaintPause;
    log_(LogLevel::Error, name_ + " " + local_.to_string() + ": cannot accept for now: " +
                              std::strerror(error) + "; raise the limit of open files");
  }
  ignore();
  again_ = ContextTimer(g_main_context_get_thread_default(), kPause, [this] { watch(); });
}

}  // namespace junctor::https
