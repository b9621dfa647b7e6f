// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/tls_tunnel.h"

#include <gio/gio.h>
#include <netinet/tcp.h>

#include "common/handle.h"

namespace junctor::nat {

namespace {

template <class T>
using Ref = std::unique_ptr<T, Releaser<g_object_unref>>;
using ErrorRef = std::unique_ptr<GError, Releaser<g_error_free>>;

constexpr guint kConnectSeconds = 10;

std::string sha256_of(GTlsCertificate *certificate) {
  GByteArray *der = nullptr;
  g_object_get(certificate, "certificate", &der, nullptr);
  if (!der) return {};
  const std::unique_ptr<char, Releaser<g_free>> digest(
      g_compute_checksum_for_data(G_CHECKSUM_SHA256, der->data, der->len));
  g_byte_array_unref(der);
  return digest.get();
}

void without_delay(GSocketConnection *connection) {
  g_socket_set_option(g_socket_connection_get_socket(connection), IPPROTO_TCP, TCP_NODELAY, 1,
                      nullptr);
}

}  // namespace

/// Lives on the thread; the operations under way keep it until they are cancelled.
class TlsTunnel::Worker : public std::enable_shared_from_this<Worker> {
 public:
  Worker(std::shared_ptr<ContextThread> thread, TlsTunnelOptions options,
         std::function<void(std::string)> failed)
      : thread_(std::move(thread)),
        options_(std::move(options)),
        failed_(std::move(failed)),
        cancellable_(g_cancellable_new()) {}

  Result<Endpoint> listen() {
    auto socket = listen_tcp({"127.0.0.1", 0});
    if (!socket) return socket.error();
    const Endpoint local = local_endpoint(socket->get());
    GError *raw = nullptr;
    const Ref<GSocket> taken(g_socket_new_from_fd(socket->get(), &raw));
    const ErrorRef error(raw);
    if (!taken) return internal_error(std::string("cannot listen on loopback: ") + error->message);
    (void)socket->release();
    listener_.reset(g_socket_listener_new());
    g_socket_listener_add_socket(listener_.get(), taken.get(), nullptr, nullptr);
    g_socket_listener_accept_async(listener_.get(), cancellable_.get(), &Worker::on_accepted,
                                   keep());
    return local;
  }

  void stop() {
    failed_ = nullptr;
    g_cancellable_cancel(cancellable_.get());
    if (listener_) g_socket_listener_close(listener_.get());
    for (GSocketConnection *each : {inner_.get(), outer_.get()})
      if (each) g_io_stream_close_async(G_IO_STREAM(each), 0, nullptr, nullptr, nullptr);
  }

  const std::shared_ptr<ContextThread> &thread() const { return thread_; }

 private:
  using Kept = std::shared_ptr<Worker>;
  gpointer keep() { return new Kept(shared_from_this()); }
  static Kept kept(gpointer data) {
    const std::unique_ptr<Kept> owned(static_cast<Kept *>(data));
    return *owned;
  }

  void fail(const std::string &why) {
    if (auto failed = std::exchange(failed_, nullptr)) failed(why);
    stop();
  }

  static void on_accepted(GObject *, GAsyncResult *result, gpointer data) {
    const Kept self = kept(data);
    GError *raw = nullptr;
    self->inner_.reset(
        g_socket_listener_accept_finish(self->listener_.get(), result, nullptr, &raw));
    const ErrorRef error(raw);
    g_socket_listener_close(self->listener_.get());
    if (!self->inner_) return;
    without_delay(self->inner_.get());
    self->connect();
  }

  void connect() {
    const Ref<GSocketClient> client(g_socket_client_new());
    g_socket_client_set_timeout(client.get(), kConnectSeconds);
    g_socket_client_set_tls(client.get(), TRUE);
    // A proxy of the desktop's would be asked for by programs that never use one otherwise.
    g_socket_client_set_enable_proxy(client.get(), FALSE);
    g_signal_connect(client.get(), "event", G_CALLBACK(&Worker::on_event), this);
    g_socket_client_connect_to_host_async(client.get(), options_.host.c_str(), options_.port,
                                          cancellable_.get(), &Worker::on_connected, keep());
  }

  static void on_event(GSocketClient *, GSocketClientEvent event, GSocketConnectable *,
                       GIOStream *connection, gpointer data) {
    if (event != G_SOCKET_CLIENT_TLS_HANDSHAKING) return;
    g_signal_connect(connection, "accept-certificate", G_CALLBACK(&Worker::on_certificate), data);
  }

  /// Asked only about what the system does not trust, unless one certificate is named.
  static gboolean on_certificate(GTlsConnection *, GTlsCertificate *certificate,
                                 GTlsCertificateFlags, gpointer data) {
    const auto *self = static_cast<const Worker *>(data);
    return !self->options_.certificate_sha256.empty() &&
           sha256_of(certificate) == self->options_.certificate_sha256;
  }

  static void on_connected(GObject *client, GAsyncResult *result, gpointer data) {
    const Kept self = kept(data);
    GError *raw = nullptr;
    self->outer_.reset(
        g_socket_client_connect_to_host_finish(G_SOCKET_CLIENT(client), result, &raw));
    const ErrorRef error(raw);
    if (!self->outer_)
      return self->fail("no TLS connection to " +
                        Endpoint{self->options_.host, self->options_.port}.to_string() + ": " +
                        error->message);
    if (!self->is_the_named_one())
      return self->fail(Endpoint{self->options_.host, self->options_.port}.to_string() +
                        " shows another certificate than the one that is expected");
    without_delay(self->outer_.get());
    // From here on silence is no fault.
    g_socket_set_timeout(g_socket_connection_get_socket(self->outer_.get()), 0);
    self->pump(self->inner_.get(), self->outer_.get());
    self->pump(self->outer_.get(), self->inner_.get());
  }

  /// The system may trust one, too, that is not the named one.
  bool is_the_named_one() const {
    if (options_.certificate_sha256.empty()) return true;
    const Ref<GIOStream> base(
        G_IS_TCP_WRAPPER_CONNECTION(outer_.get())
            ? G_IO_STREAM(g_object_ref(g_tcp_wrapper_connection_get_base_io_stream(
                  G_TCP_WRAPPER_CONNECTION(outer_.get()))))
            : nullptr);
    if (!base || !G_IS_TLS_CONNECTION(base.get())) return false;
    GTlsCertificate *shown = g_tls_connection_get_peer_certificate(G_TLS_CONNECTION(base.get()));
    return shown && sha256_of(shown) == options_.certificate_sha256;
  }

  /// One direction. The end of either ends both: half a connection is of no use to TURN.
  void pump(GSocketConnection *from, GSocketConnection *to) {
    g_output_stream_splice_async(g_io_stream_get_output_stream(G_IO_STREAM(to)),
                                 g_io_stream_get_input_stream(G_IO_STREAM(from)),
                                 G_OUTPUT_STREAM_SPLICE_NONE, 0, cancellable_.get(),
                                 &Worker::on_ended, keep());
  }

  static void on_ended(GObject *stream, GAsyncResult *result, gpointer data) {
    const Kept self = kept(data);
    GError *raw = nullptr;
    g_output_stream_splice_finish(G_OUTPUT_STREAM(stream), result, &raw);
    const ErrorRef error(raw);
    self->stop();
  }

  const std::shared_ptr<ContextThread> thread_;
  const TlsTunnelOptions options_;
  std::function<void(std::string)> failed_;
  const Ref<GCancellable> cancellable_;
  Ref<GSocketListener> listener_;
  Ref<GSocketConnection> inner_, outer_;
};

Result<std::unique_ptr<TlsTunnel>> TlsTunnel::open(std::shared_ptr<ContextThread> thread,
                                                   TlsTunnelOptions options,
                                                   std::function<void(std::string)> failed) {
  auto worker = std::make_shared<Worker>(thread, std::move(options), std::move(failed));
  Result<Endpoint> local = internal_error("");
  // Asynchronous operations answer on the thread that began them.
  thread->invoke([&] { local = worker->listen(); });
  if (!local) return local.error();
  return std::unique_ptr<TlsTunnel>(new TlsTunnel(std::move(worker), *local));
}

TlsTunnel::~TlsTunnel() {
  worker_->thread()->invoke([this] { worker_->stop(); });
}

}  // namespace junctor::nat
