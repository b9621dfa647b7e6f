// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rendezvous/socket.h"

#include <libsoup/soup.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <map>
#include <memory>

#include "common/handle.h"
#include "common/log_budget.h"
#include "common/main_context.h"
#include "common/text.h"
#include "https/acceptor.h"

namespace junctor::rendezvous {

namespace {

using namespace std::chrono_literals;

constexpr Duration kTick = 250ms;
/// From our close frame to the connection's end, whatever the client does.
constexpr Duration kCloseTime = 2s;
/// Headers of a frame and of a TLS record, in bytes.
constexpr std::size_t kPongOverhead = 48;
constexpr Duration kStopTime = 1s;

using ConnectionRef = std::unique_ptr<SoupWebsocketConnection, Releaser<g_object_unref>>;

std::string_view header(SoupServerMessage *message, const char *name) {
  const char *value =
      soup_message_headers_get_list(soup_server_message_get_request_headers(message), name);
  return value ? value : "";
}

std::string_view token_of(SoupServerMessage *message, GHashTable *query) {
  constexpr std::string_view kScheme = "Bearer ";
  const std::string_view field = header(message, "Authorization");
  if (field.size() > kScheme.size() &&
      g_ascii_strncasecmp(field.data(), kScheme.data(), kScheme.size()) == 0)
    return field.substr(kScheme.size());
  const auto *token =
      query ? static_cast<const char *>(g_hash_table_lookup(query, "token")) : nullptr;
  return token ? token : "";
}

/// Whether it is no page's, or a page's that came from here (RFC 6455 section 10.2).
bool is_own_origin(SoupServerMessage *message) {
  const std::string_view origin = header(message, "Origin");
  if (origin.empty()) return true;
  const auto scheme = origin.find("://");
  return scheme != std::string_view::npos && origin.substr(scheme + 3) == header(message, "Host");
}

bool speaks(std::string_view offered) {
  while (!offered.empty()) {
    const auto comma = std::min(offered.find(','), offered.size());
    if (trimmed(offered.substr(0, comma)) == wire::kSubprotocol) return true;
    offered.remove_prefix(std::min(comma + 1, offered.size()));
  }
  return false;
}

void answer(SoupServerMessage *message, unsigned status, const char *phrase,
            const std::string &detail) {
  SoupMessageHeaders *headers = soup_server_message_get_response_headers(message);
  soup_message_headers_replace(headers, "Connection", "close");
  if (status == 401)
    soup_message_headers_replace(headers, "WWW-Authenticate", "Bearer realm=\"junctor\"");
  soup_server_message_set_status(message, status, phrase);
  const std::string body = R"({"type":"about:blank","title":")" + std::string(phrase) +
                           R"(","status":)" + std::to_string(status) + R"(,"detail":")" + detail +
                           "\"}\n";
  soup_server_message_set_response(message, "application/problem+json", SOUP_MEMORY_COPY,
                                   body.data(), body.size());
}

using SocketRef = std::unique_ptr<GSocket, Releaser<g_object_unref>>;

/// Bytes that have come over a connection so far.
std::uint64_t received_bytes(GSocket *socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (!socket || ::getsockopt(g_socket_get_fd(socket), IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
    return 0;
  return info.tcpi_bytes_received;
}

class SoupSocket final : public Socket {
 public:
  explicit SoupSocket(Options options)
      : options_(std::move(options)),
        rendezvous_(options_.rendezvous,
                    Door{[this](LinkId id, const std::string &text) { send(id, text); },
                         [this](LinkId id, unsigned short code, const std::string &reason) {
                           close(id, code, reason);
                         }},
                    options_.changed) {}
  ~SoupSocket() override {
    rendezvous_.shutdown(options_.now());
    for (auto &[key, guest] : guests_) {
      g_signal_handlers_disconnect_by_data(guest.connection.get(), this);
      part(guest);
    }
  }

  void serve(SoupServer *server) override {
    // What it would inflate to is not bounded by libsoup, only what comes in.
    soup_server_remove_websocket_extension(server, SOUP_TYPE_WEBSOCKET_EXTENSION_DEFLATE);
    soup_server_add_handler(server, wire::kPath, on_request, this, nullptr);
    const char *protocols[] = {wire::kSubprotocol, nullptr};
    soup_server_add_websocket_handler(server, wire::kPath, nullptr, const_cast<char **>(protocols),
                                      on_socket, this, nullptr);
  }

  Rendezvous &rendezvous() override { return rendezvous_; }

  void stop(std::function<void()> done) override {
    done_ = std::move(done);
    done_by_ = options_.now() + kStopTime;
    rendezvous_.shutdown(options_.now());
    if (guests_.empty()) post_to(nullptr, [this] { finish_if_gone(); });
  }

 private:
  struct Guest {
    ConnectionRef connection;
    SocketRef socket;
    LinkId link = 0;          ///< 0 once the rendezvous has closed it
    Time heard{};             ///< the last pong or message
    Time close_by{};          ///< once it is being closed
    std::size_t unheard = 0;  ///< bytes sent since `heard`
    std::uint64_t taken = 0;  ///< bytes received until the last whole message
  };

  /// Before libsoup makes it a WebSocket; a status that is set here is the answer instead.
  static void on_request(SoupServer *, SoupServerMessage *message, const char *, GHashTable *query,
                         gpointer data) {
    auto &self = *static_cast<SoupSocket *>(data);
    if (std::string_view(soup_server_message_get_method(message)) != "GET" ||
        header(message, "Upgrade").empty()) {
      soup_message_headers_replace(soup_server_message_get_response_headers(message), "Upgrade",
                                   "websocket");
      return answer(message, 426, "Upgrade Required",
                    "This is a WebSocket; docs/api.yaml says what it speaks.");
    }
    if (!is_own_origin(message))
      return answer(message, 403, "Forbidden", "A page of another origin has no business here.");
    if (!speaks(header(message, "Sec-WebSocket-Protocol")))
      return answer(message, 400, "Bad Request",
                    std::string("Send Sec-WebSocket-Protocol: ") + wire::kSubprotocol + ".");
    const std::string token(token_of(message, query));
    if (const auto bearer = self.options_.bearer(token); !bearer) {
      self.log_refused(message, bearer.error().detail);
      return answer(message, 401, "Unauthorized",
                    "Send `Authorization: Bearer TOKEN` with a token of an account.");
    }
    g_object_set_data_full(G_OBJECT(message), kTokenKey, g_strdup(token.c_str()), g_free);
    GSocket *socket = soup_server_message_get_socket(message);
    if (!socket) socket = https::socket_of(soup_server_message_get_remote_address(message));
    if (socket)
      g_object_set_data_full(G_OBJECT(message), kSocketKey, g_object_ref(socket), g_object_unref);
  }

  static void on_socket(SoupServer *, SoupServerMessage *message, const char *,
                        SoupWebsocketConnection *connection, gpointer data) {
    auto &self = *static_cast<SoupSocket *>(data);
    const auto *token = static_cast<const char *>(g_object_get_data(G_OBJECT(message), kTokenKey));
    auto *socket = static_cast<GSocket *>(g_object_get_data(G_OBJECT(message), kSocketKey));
    // It may have been revoked while the answer was on its way.
    self.let_in(connection, socket, self.options_.bearer(token ? token : ""),
                https::endpoint_of(soup_server_message_get_remote_address(message)));
  }

  void let_in(SoupWebsocketConnection *connection, GSocket *socket, const Result<Bearer> &bearer,
              const Endpoint &peer) {
    const Time now = options_.now();
    // libsoup parts without a word who sends more than this; the rendezvous says why.
    soup_websocket_connection_set_max_incoming_payload_size(connection, options_.unjoined_bytes);
    soup_websocket_connection_set_keepalive_interval(
        connection, static_cast<guint>(
                        std::chrono::duration_cast<std::chrono::seconds>(options_.ping).count()));
    const auto link = bearer ? rendezvous_.connected(*bearer, peer, now) : bearer.error();
    if (!timer_) tick_later();
    Guest &guest = guests_[connection];
    guest.connection.reset(SOUP_WEBSOCKET_CONNECTION(g_object_ref(connection)));
    if (socket) guest.socket.reset(G_SOCKET(g_object_ref(socket)));
    guest.heard = now;
    guest.taken = received_bytes(socket);
    g_signal_connect(connection, "message", G_CALLBACK(on_message), this);
    g_signal_connect(connection, "pong", G_CALLBACK(on_pong), this);
    g_signal_connect(connection, "closed", G_CALLBACK(on_closed), this);
    if (!link) return say_goodbye(guest, kPolicy, link.error().detail);
    guest.link = *link;
    by_link_[*link] = connection;
  }

  static void on_message(SoupWebsocketConnection *connection, gint type, GBytes *bytes,
                         gpointer data) {
    auto &self = *static_cast<SoupSocket *>(data);
    const auto found = self.guests_.find(connection);
    if (found == self.guests_.end() || found->second.link == 0) return;
    const Time now = self.options_.now();
    found->second.heard = now;
    found->second.unheard = 0;
    found->second.taken = received_bytes(found->second.socket.get());
    gsize size = 0;
    const auto *text = static_cast<const char *>(g_bytes_get_data(bytes, &size));
    if (type != SOUP_WEBSOCKET_DATA_TEXT)
      self.rendezvous_.received(found->second.link, "", now);
    else
      self.rendezvous_.received(found->second.link, std::string_view(text ? text : "", size), now);
  }

  static void on_pong(SoupWebsocketConnection *connection, GBytes *bytes, gpointer data) {
    auto &self = *static_cast<SoupSocket *>(data);
    const auto found = self.guests_.find(connection);
    if (found == self.guests_.end()) return;
    found->second.heard = self.options_.now();
    found->second.unheard = 0;
    // Not all that has come: it may be in the middle of a message.
    found->second.taken += g_bytes_get_size(bytes) + kPongOverhead;
  }

  static void on_closed(SoupWebsocketConnection *connection, gpointer data) {
    auto &self = *static_cast<SoupSocket *>(data);
    const auto found = self.guests_.find(connection);
    if (found == self.guests_.end()) return;
    g_signal_handlers_disconnect_by_data(connection, data);
    const LinkId link = found->second.link;
    // It is still in the middle of telling us.
    post_to(nullptr, [held = std::shared_ptr<SoupWebsocketConnection>(
                          found->second.connection.release(), g_object_unref)] {});
    self.guests_.erase(found);
    if (link == 0) return self.finish_if_gone();
    self.by_link_.erase(link);
    self.rendezvous_.disconnected(link, self.options_.now());
  }

  void send(LinkId id, const std::string &text) {
    const auto found = by_link_.find(id);
    if (found == by_link_.end() ||
        soup_websocket_connection_get_state(found->second) != SOUP_WEBSOCKET_STATE_OPEN)
      return;
    // libsoup keeps whatever a client does not take, without a bound.
    guests_.at(found->second).unheard += text.size();
    soup_websocket_connection_send_text(found->second, text.c_str());
  }

  void close(LinkId id, unsigned short code, const std::string &reason) {
    const auto found = by_link_.find(id);
    if (found == by_link_.end()) return;
    Guest &guest = guests_.at(found->second);
    guest.link = 0;
    by_link_.erase(found);
    say_goodbye(guest, code, reason);
  }

  void say_goodbye(Guest &guest, unsigned short code, const std::string &reason) {
    guest.close_by = options_.now() + kCloseTime;
    SoupWebsocketConnection *connection = guest.connection.get();
    // Its signals may come at once; whoever called us is not ready for them.
    post_to(nullptr, [held = std::shared_ptr<SoupWebsocketConnection>(
                          SOUP_WEBSOCKET_CONNECTION(g_object_ref(connection)), g_object_unref),
                      code, reason] {
      if (soup_websocket_connection_get_state(held.get()) == SOUP_WEBSOCKET_STATE_OPEN)
        soup_websocket_connection_close(held.get(), code, reason.c_str());
    });
  }

  static void part(Guest &guest) {
    g_io_stream_close(soup_websocket_connection_get_io_stream(guest.connection.get()), nullptr,
                      nullptr);
  }

  /// Only as long as somebody is there: a server whose calls are of other kinds is not woken.
  void tick_later() {
    timer_ = ContextTimer(nullptr, kTick, [this] {
      const Time now = options_.now();
      rendezvous_.tick(now);
      look_after(now);
      finish_if_gone();
      if (guests_.empty() && rendezvous_.idle())
        timer_.reset();
      else
        tick_later();
    });
  }

  /// Parts who does not answer pings, or our goodbye.
  void look_after(Time now) {
    std::vector<SoupWebsocketConnection *> gone;
    for (auto &[connection, guest] : guests_) {
      const bool silent = now - guest.heard > 2 * options_.ping + options_.ping / 2;
      const bool overdue = guest.close_by != Time{} && now > guest.close_by;
      const bool behind = guest.unheard > options_.unheard_bytes;
      // libsoup 3.2 joins the pieces of a message without a bound of their sum.
      const bool endless =
          received_bytes(guest.socket.get()) > guest.taken + options_.unjoined_bytes;
      if (silent || overdue || behind || endless) gone.push_back(connection);
    }
    for (SoupWebsocketConnection *connection : gone) {
      const auto found = guests_.find(connection);
      if (found == guests_.end()) continue;
      g_signal_handlers_disconnect_by_data(connection, this);
      const LinkId link = found->second.link;
      part(found->second);
      guests_.erase(found);
      if (link == 0) continue;
      by_link_.erase(link);
      rendezvous_.disconnected(link, now);
    }
  }

  void finish_if_gone() {
    if (done_ && (guests_.empty() || options_.now() > done_by_)) std::exchange(done_, nullptr)();
  }

  void log_refused(SoupServerMessage *message, const std::string &why) {
    const auto left_out = refusals_.take(options_.now());
    if (!left_out || !options_.rendezvous.log) return;
    options_.rendezvous.log(
        LogLevel::Warning,
        "rendezvous " +
            https::endpoint_of(soup_server_message_get_remote_address(message)).to_string() +
            ": refused: " + why +
            (*left_out ? " (and " + std::to_string(*left_out) + " more that were not logged)"
                       : ""));
  }

  static constexpr const char *kTokenKey = "junctor-token", *kSocketKey = "junctor-socket";

  const Options options_;
  Rendezvous rendezvous_;
  std::map<SoupWebsocketConnection *, Guest> guests_;
  std::map<LinkId, SoupWebsocketConnection *> by_link_;
  LogBudget refusals_;
  std::function<void()> done_;
  Time done_by_{};
  ContextTimer timer_;
};

}  // namespace

std::unique_ptr<Socket> Socket::make(Options options) {
  return std::make_unique<SoupSocket>(std::move(options));
}

}  // namespace junctor::rendezvous
