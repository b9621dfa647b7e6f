// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rendezvous/client.h"

#include <libsoup/soup.h>

#include <algorithm>
#include <deque>
#include <optional>

#include "common/endpoint.h"
#include "common/handle.h"
#include "common/main_context.h"
#include "common/peer_log_budget.h"
#include "rendezvous/network_watch.h"

namespace junctor::rendezvous {

namespace wire = nat::rendezvous;

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMostSaid = 256;  // messages
constexpr Duration kConnectTime = 5s;
constexpr Duration kCloseTime = 1s;
/// Of this machine's network, that make it connect anew: so many at once, then one each interval.
constexpr unsigned kChanges = 5;
constexpr Duration kChangeInterval = 2s;
/// A connection that has lasted so long is made again at once: a NAT may have taken another
/// address, and the peer is to learn of it.
constexpr Duration kLasted = 2s;
constexpr unsigned kUnauthorized = 401, kForbidden = 403, kNotFound = 404;

template <class T>
using ObjectRef = std::unique_ptr<T, Releaser<g_object_unref>>;
using ErrorRef = std::unique_ptr<GError, Releaser<g_error_free>>;

std::optional<Endpoint> endpoint_of(GSocketAddress *raw) {
  const ObjectRef<GSocketAddress> address(raw);
  if (!address || !G_IS_INET_SOCKET_ADDRESS(address.get())) return std::nullopt;
  auto *inet = G_INET_SOCKET_ADDRESS(address.get());
  const std::unique_ptr<char, Releaser<g_free>> text(
      g_inet_address_to_string(g_inet_socket_address_get_address(inet)));
  return Endpoint{text.get(), g_inet_socket_address_get_port(inet)};
}

/// Whether what is sent over a connection leaves this machine, and by the address that it has.
bool has_its_way(SoupWebsocketConnection *connection) {
  GIOStream *stream = soup_websocket_connection_get_io_stream(connection);
  while (stream && !G_IS_SOCKET_CONNECTION(stream)) {
    GIOStream *base = nullptr;
    for (const char *name : {"base-io-stream", "base-iostream"})  // of GTlsConnection, of libsoup
      if (g_object_class_find_property(G_OBJECT_GET_CLASS(stream), name))
        g_object_get(stream, name, &base, nullptr);
    const ObjectRef<GIOStream> owned(base);  // who is above holds it as well
    stream = base;
  }
  if (!stream) return true;
  auto *socket = G_SOCKET_CONNECTION(stream);
  const auto local = endpoint_of(g_socket_connection_get_local_address(socket, nullptr));
  const auto remote = endpoint_of(g_socket_connection_get_remote_address(socket, nullptr));
  if (!local || !remote) return true;
  const auto source = nat::source_address(*remote);
  return source && *source == local->address && nat::is_own_address(local->address);
}

/// Whether a URL's host is this machine.
bool is_here(GUri *uri) {
  const char *host = g_uri_get_host(uri);
  if (!host) return false;
  if (g_ascii_strcasecmp(host, "localhost") == 0) return true;
  const std::unique_ptr<GInetAddress, Releaser<g_object_unref>> address(
      g_inet_address_new_from_string(host));
  return address && g_inet_address_get_is_loopback(address.get());
}

class SoupClient final : public Client {
 public:
  SoupClient(ClientOptions options, ClientEvents events)
      : options_(std::move(options)), events_(std::move(events)), wait_(options_.first_wait) {}

  ~SoupClient() override {
    g_cancellable_cancel(cancel_.get());
    drop();
  }

  Result<void> start() {
    std::string url = options_.url;
    while (url.ends_with('/')) url.pop_back();
    address_ = url + wire::kPath;
    const ObjectRef<SoupMessage> probe(soup_message_new("GET", address_.c_str()));
    const std::string_view scheme =
        probe ? g_uri_get_scheme(soup_message_get_uri(probe.get())) : "";
    if (scheme != "http" && scheme != "https")
      return bad_input("'" + options_.url +
                       "' is no URL of an orchestrator; write for example https://HOST:8443");
    if (scheme == "http" && !options_.trust.insecure && !is_here(soup_message_get_uri(probe.get())))
      return bad_input("'" + options_.url +
                       "' would send the token and the keys of calls in clear; write https://, or "
                       "add --insecure");
    session_.reset(soup_session_new_with_options("proxy-resolver", nullptr, nullptr));
    if (auto trusted = accounts::trust_by(session_.get(), options_.trust); !trusted) return trusted;
    connect();
    return {};
  }

  void send(const wire::Message &message) override {
    if (closing_) return;
    said_.push_back(wire::write(message));
    if (welcomed_) soup_websocket_connection_send_text(connection_.get(), said_.back().c_str());
    if (said_.size() <= kMostSaid) return;
    said_.pop_front();
    ++said_before_;
  }

  void reconnect() override {
    if (closing_) return;
    retry_.reset();
    g_cancellable_cancel(cancel_.get());
    cancel_.reset(g_cancellable_new());
    drop();
    connect();
  }

  void set_network(const wire::Moved &network) override {
    options_.hello.nat = network.nat;
    options_.hello.regions = network.regions;
    options_.hello.families = network.families;
  }

  void close(std::function<void()> done) override {
    closing_ = true;
    retry_.reset();
    done_ = std::move(done);
    if (!connection_ ||
        soup_websocket_connection_get_state(connection_.get()) != SOUP_WEBSOCKET_STATE_OPEN)
      return post_to(nullptr, [done = std::exchange(done_, nullptr)] { done(); });
    retry_ = ContextTimer(nullptr, kCloseTime, [this] { finish(); });
    soup_websocket_connection_close(connection_.get(), SOUP_WEBSOCKET_CLOSE_NORMAL, nullptr);
  }

 private:
  void connect() {
    retry_.reset();
    message_.reset(soup_message_new("GET", address_.c_str()));
    soup_message_headers_replace(soup_message_get_request_headers(message_.get()), "Authorization",
                                 ("Bearer " + options_.token).c_str());
    accounts::trust_by(message_.get(), options_.trust);
    const char *protocols[] = {wire::kSubprotocol, nullptr};
    struct Call {
      SoupClient *self;
      ObjectRef<GCancellable> cancel;
    };
    auto *call =
        new Call{this, ObjectRef<GCancellable>(G_CANCELLABLE(g_object_ref(cancel_.get())))};
    patience_ = ContextTimer(nullptr, kConnectTime, [this] {
      g_cancellable_cancel(cancel_.get());
      cancel_.reset(g_cancellable_new());
      lost("it does not answer");
    });
    soup_session_websocket_connect_async(
        session_.get(), message_.get(), nullptr, const_cast<char **>(protocols), G_PRIORITY_DEFAULT,
        cancel_.get(),
        [](GObject *session, GAsyncResult *result, gpointer data) {
          const std::unique_ptr<Call> call(static_cast<Call *>(data));
          GError *raw = nullptr;
          ObjectRef<SoupWebsocketConnection> connection(
              soup_session_websocket_connect_finish(SOUP_SESSION(session), result, &raw));
          const ErrorRef failure(raw);
          // Then the client may be gone, too.
          if (g_cancellable_is_cancelled(call->cancel.get())) return;
          if (connection)
            call->self->connected(std::move(connection));
          else
            call->self->not_connected(failure.get());
        },
        call);
  }

  /// Who waits to try again need not wait, and who has lost his address not find out.
  void network_changed() {
    changed_.reset();
    if (closing_ || (connection_ && has_its_way(connection_.get()))) return;
    if (!changes_.may(Clock::now())) {
      // It may have been the last one.
      changed_ = ContextTimer(nullptr, kChangeInterval, [this] { network_changed(); });
      return;
    }
    changes_.take(Clock::now());
    wait_ = options_.first_wait;
    reconnect();
  }

  void connected(ObjectRef<SoupWebsocketConnection> connection) {
    patience_.reset();
    connection_ = std::move(connection);
    soup_websocket_connection_set_max_incoming_payload_size(connection_.get(), wire::kMostBytes);
    const auto ping = std::chrono::duration_cast<std::chrono::seconds>(options_.ping).count();
    soup_websocket_connection_set_keepalive_interval(connection_.get(), static_cast<guint>(ping));
    g_signal_connect(connection_.get(), "message", G_CALLBACK(on_message), this);
    g_signal_connect(connection_.get(), "pong",
                     G_CALLBACK(+[](SoupWebsocketConnection *, GBytes *, gpointer self) {
                       static_cast<SoupClient *>(self)->alive();
                     }),
                     this);
    g_signal_connect(connection_.get(), "closed", G_CALLBACK(on_closed), this);
    alive();
    options_.hello.resume = resume_;
    options_.hello.got = heard_;
    soup_websocket_connection_send_text(connection_.get(), wire::write(options_.hello).c_str());
  }

  void not_connected(const GError *failure) {
    patience_.reset();
    const unsigned status = soup_message_get_status(message_.get());
    if (status == kUnauthorized)
      return refuse({Fault::Refused, options_.url +
                                         " does not take this token: it has expired, was revoked, "
                                         "or has not both rights. Make one with `junctor account "
                                         "token NAME`"});
    if (status == kForbidden || status == kNotFound)
      return refuse({Fault::Refused, options_.url + " has no rendezvous (HTTP status " +
                                         std::to_string(status) +
                                         "): another program, or an older version"});
    if (failure->domain == G_TLS_ERROR && failure->code == G_TLS_ERROR_BAD_CERTIFICATE)
      return refuse(accounts::not_trusted(options_.url));
    lost(failure->message);
  }

  void refuse(const Error &error) {
    closing_ = true;
    events_.refused(error);
  }

  static void on_message(SoupWebsocketConnection *, gint, GBytes *bytes, gpointer data) {
    auto &self = *static_cast<SoupClient *>(data);
    self.alive();
    gsize size = 0;
    const auto *text = static_cast<const char *>(g_bytes_get_data(bytes, &size));
    const auto message = wire::read(std::string_view(text ? text : "", size));
    const auto *welcome = message ? std::get_if<wire::Welcome>(&*message) : nullptr;
    if (welcome) return self.on_welcome(*welcome);
    ++self.heard_;
    if (message) self.events_.message(*message);  // else of a newer server
  }

  void on_welcome(const wire::Welcome &welcome) {
    resume_ = welcome.resume;
    wait_ = options_.first_wait;
    welcomed_ = true;
    welcomed_at_ = Clock::now();
    // Whether what was on its way has come is known only now.
    const bool known = welcome.got >= said_before_ && welcome.got - said_before_ <= said_.size();
    if (welcome.resumed && !known) {
      // More was said meanwhile than is kept: the rest is what it has had next.
      if (welcome.got > said_before_) said_.clear();
      said_before_ = welcome.got;
    }
    if (welcome.resumed)
      for (std::size_t i = welcome.got - said_before_; i < said_.size(); ++i)
        soup_websocket_connection_send_text(connection_.get(), said_[i].c_str());
    if (!welcome.resumed) {
      said_.clear();
      said_before_ = heard_ = 0;
    }
    events_.welcome(welcome);
  }

  static void on_closed(SoupWebsocketConnection *connection, gpointer data) {
    auto &self = *static_cast<SoupClient *>(data);
    if (self.closing_) return self.finish();
    const char *said = soup_websocket_connection_get_close_data(connection);
    const std::string why = said && *said ? said : "the connection was closed";
    self.lost(why);
  }

  void finish() {
    retry_.reset();
    if (done_) post_to(nullptr, [done = std::exchange(done_, nullptr)] { done(); });
  }

  void alive() {
    silence_ = ContextTimer(nullptr, 2 * options_.ping + options_.ping / 2,
                            [this] { lost("the server is silent"); });
  }

  void drop() {
    silence_.reset();
    patience_.reset();
    welcomed_ = false;
    if (!connection_) return;
    g_signal_handlers_disconnect_by_data(connection_.get(), this);
    g_io_stream_close(soup_websocket_connection_get_io_stream(connection_.get()), nullptr, nullptr);
    // One of its signals may be what brought us here.
    post_to(nullptr, [held = std::shared_ptr<SoupWebsocketConnection>(connection_.release(),
                                                                      g_object_unref)] {});
  }

  void lost(const std::string &why) {
    const bool lasted = welcomed_ && Clock::now() - welcomed_at_ >= kLasted;
    drop();
    if (closing_) return finish();
    const Duration wait = lasted ? Duration::zero() : wait_;
    if (!lasted) wait_ = std::min(2 * wait_, options_.longest_wait);
    retry_ = ContextTimer(nullptr, wait, [this] { connect(); });
    events_.away(why, wait);
  }

  ClientOptions options_;
  const ClientEvents events_;
  std::string address_, resume_;
  ObjectRef<SoupSession> session_;
  ObjectRef<GCancellable> cancel_{g_cancellable_new()};
  ObjectRef<SoupMessage> message_;
  ObjectRef<SoupWebsocketConnection> connection_;
  bool welcomed_ = false, closing_ = false;
  Time welcomed_at_{};
  std::deque<std::string> said_;   // the newest, whether they have come or not
  std::uint32_t said_before_ = 0;  // messages that are no longer in said_
  std::uint32_t heard_ = 0;        // messages of the server's
  Duration wait_;
  std::function<void()> done_;
  ContextTimer retry_, silence_, patience_, changed_;
  Throttle changes_{kChanges, kChangeInterval};
  NetworkWatch network_{[this] { network_changed(); }};
};

}  // namespace

Result<std::unique_ptr<Client>> Client::connect(ClientOptions options, ClientEvents events) {
  auto client = std::make_unique<SoupClient>(std::move(options), std::move(events));
  if (auto started = client->start(); !started) return started.error();
  return std::unique_ptr<Client>(std::move(client));
}

}  // namespace junctor::rendezvous
