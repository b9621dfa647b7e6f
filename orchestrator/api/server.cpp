// SPDX-License-Identifier: LGPL-2.1-or-later
#include "api/server.h"

#include <libsoup/soup.h>

#include <algorithm>
#include <map>

#include "common/handle.h"
#include "https/tls_door.h"

namespace junctor::api {

namespace {

using ServerRef = std::unique_ptr<SoupServer, Releaser<g_object_unref>>;
using MessageRef = std::unique_ptr<SoupServerMessage, Releaser<g_object_unref>>;

Endpoint peer_of(SoupServerMessage *message) {
  return https::endpoint_of(soup_server_message_get_remote_address(message));
}

std::string lower(const char *text) {
  const std::unique_ptr<char, Releaser<g_free>> low(g_ascii_strdown(text, -1));
  return low.get();
}

/// One request on its way; lives until it is answered or its client has gone.
struct Exchange {
  std::string from;  ///< its address_group()
  std::string body;
  bool refused = false;
  ContextTimer deadline;
};

/// Of a live answer, unsent; a client behind by more is parted.
constexpr std::size_t kFeedBytes = 256UL * 1024;

void part(SoupServerMessage *message) {
  GSocket *socket = soup_server_message_get_socket(message);
  if (!socket) socket = https::socket_of(soup_server_message_get_remote_address(message));
  if (socket) g_socket_shutdown(socket, TRUE, TRUE, nullptr);
}

class SoupFeed : public Feed {
 public:
  explicit SoupFeed(SoupServerMessage *message)
      : message_(SOUP_SERVER_MESSAGE(g_object_ref(message))),
        body_(soup_server_message_get_response_body(message)) {
    soup_message_headers_set_encoding(soup_server_message_get_response_headers(message),
                                      SOUP_ENCODING_CHUNKED);
    soup_message_body_set_accumulate(body_, FALSE);
    finished_ = g_signal_connect(
        message, "finished",
        G_CALLBACK(+[](SoupServerMessage *, SoupFeed *self) { self->gone_ = true; }), this);
    wrote_ = g_signal_connect(
        message, "wrote-body-data",
        G_CALLBACK(+[](SoupServerMessage *, guint size, SoupFeed *self) { self->wrote(size); }),
        this);
  }
  ~SoupFeed() override {
    g_signal_handler_disconnect(message_.get(), finished_);
    g_signal_handler_disconnect(message_.get(), wrote_);
  }
  SoupFeed(const SoupFeed &) = delete;
  SoupFeed &operator=(const SoupFeed &) = delete;

  bool begin(std::string_view text) override {
    if (gone_) return false;
    first_ += text.size();
    append(text);
    return true;
  }
  bool send(std::string_view text) override {
    if (gone_) return false;
    waiting_ += text.size();
    if (waiting_ > kFeedBytes) {
      gone_ = true;
      part(message_.get());
      return false;
    }
    append(text);
    return true;
  }
  void end() override {
    if (std::exchange(gone_, true)) return;
    soup_message_body_complete(body_);
    soup_server_message_unpause(message_.get());
  }

 private:
  void append(std::string_view text) {
    soup_message_body_append(body_, SOUP_MEMORY_COPY, text.data(), text.size());
    soup_server_message_unpause(message_.get());
  }
  void wrote(std::size_t size) {
    const std::size_t first = std::min(size, first_);
    first_ -= first;
    waiting_ -= std::min(size - first, waiting_);
  }

  MessageRef message_;
  SoupMessageBody *body_;
  bool gone_ = false;
  std::size_t first_ = 0, waiting_ = 0;  ///< bytes unsent: of begin(), then of send()
  gulong finished_ = 0, wrote_ = 0;
};

/// The way back to a client. A paused message waits for it.
struct Answer {
  MessageRef message;
  bool paused = false;
  bool done = false;  // answered, or the client has gone
  gulong finished = 0;

  ~Answer() { g_signal_handler_disconnect(message.get(), finished); }

  void give(const Response &response) {
    if (std::exchange(done, true)) return;
    fill(message.get(), response);
    if (response.stream) response.stream(std::make_shared<SoupFeed>(message.get()));
    if (paused) soup_server_message_unpause(message.get());
  }

  static void fill(SoupServerMessage *message, const Response &response) {
    const std::string phrase(status_phrase(response.status));
    soup_server_message_set_status(message, static_cast<guint>(response.status), phrase.c_str());
    SoupMessageHeaders *headers = soup_server_message_get_response_headers(message);
    // libsoup 3.2 never closes the socket of a connection that was kept and that its client has
    // closed.
    soup_message_headers_replace(headers, "Connection", "close");
    for (const auto &[name, value] : response.headers)
      soup_message_headers_replace(headers, name.c_str(), value.c_str());
    if (response.stream)
      soup_message_headers_set_content_type(headers, response.content_type.c_str(), nullptr);
    else if (!response.content_type.empty())
      soup_server_message_set_response(message, response.content_type.c_str(), SOUP_MEMORY_COPY,
                                       response.body.data(), response.body.size());
  }
};

class SoupApiServer : public Server {
 public:
  SoupApiServer(Api &api, ServerLimits limits, ServerExtras extras)
      : api_(api), limits_(limits), extras_(std::move(extras)) {}

  ~SoupApiServer() override {
    if (!server_) return;
    soup_server_disconnect(server_.get());
    g_signal_handlers_disconnect_by_data(server_.get(), this);
    for (const char *path : {"/", "*"}) soup_server_remove_handler(server_.get(), path);
    for (const auto &[message, exchange] : exchanges_) {
      g_signal_handlers_disconnect_by_data(message, this);
      g_object_weak_unref(G_OBJECT(message), on_freed, this);
    }
  }

  Result<void> start(const Endpoint &endpoint) {
    server_.reset(soup_server_new("server-header", "junctor", nullptr));
    if (auto listening = extras_.tls ? listen_tls(endpoint) : listen_clear(endpoint); !listening)
      return listening;
    g_signal_connect(server_.get(), "request-started", G_CALLBACK(on_started), this);
    g_signal_connect(server_.get(), "request-read", G_CALLBACK(on_read), this);
    g_signal_connect(server_.get(), "request-finished", G_CALLBACK(on_over), this);
    g_signal_connect(server_.get(), "request-aborted", G_CALLBACK(on_over), this);
    for (const char *path : {"/", "*"})  // libsoup takes "*" for no path
      soup_server_add_handler(server_.get(), path, on_request, this, nullptr);
    if (extras_.more) extras_.more(server_.get());
    return {};
  }

  Endpoint local() const override { return local_; }

 private:
  https::Ready ready() {
    return [this](GIOStream *stream, GSocketAddress *local, GSocketAddress *remote) {
      soup_server_accept_iostream(server_.get(), stream, local, remote, nullptr);
    };
  }

  Result<void> listen_clear(const Endpoint &endpoint) {
    auto acceptor =
        https::Acceptor::open(endpoint, "HTTP", extras_.log, [this](https::SocketRef socket) {
          const std::unique_ptr<GSocketConnection, Releaser<g_object_unref>> stream(
              g_socket_connection_factory_create_connection(socket.get()));
          https::hand_over(socket.get(), G_IO_STREAM(stream.get()), ready());
        });
    if (!acceptor) return acceptor.error();
    acceptor_ = std::move(*acceptor);
    local_ = acceptor_->local();
    return {};
  }

  Result<void> listen_tls(const Endpoint &endpoint) {
    auto door = https::TlsDoor::open(endpoint, *extras_.tls, extras_.log,
                                     {.handshakes = limits_.connections,
                                      .handshakes_per_address = limits_.handshakes_per_address},
                                     ready());
    if (!door) return door.error();
    door_ = std::move(*door);
    local_ = door_->local();
    return {};
  }

  static SoupApiServer &self(gpointer data) { return *static_cast<SoupApiServer *>(data); }

  static void on_started(SoupServer *, SoupServerMessage *message, gpointer data) {
    SoupApiServer &own = self(data);
    const std::string from = address_group(peer_of(message).address);
    const auto of_address = static_cast<std::size_t>(std::ranges::count_if(
        own.exchanges_, [&](const auto &each) { return each.second.from == from; }));
    if (own.exchanges_.size() >= own.limits_.connections ||
        of_address >= own.limits_.connections_per_address)
      return part(message);
    const auto [entry, fresh] = own.exchanges_.try_emplace(message);
    entry->second.from = from;
    entry->second.deadline = ContextTimer(g_main_context_get_thread_default(),
                                          own.limits_.read_time, [message] { part(message); });
    if (!fresh) return;
    g_object_weak_ref(G_OBJECT(message), on_freed, data);
    // Of the message, not the server's early handler, which is not called for what libsoup refuses.
    g_signal_connect(message, "got-headers", G_CALLBACK(on_headers), data);
    g_signal_connect(message, "got-chunk", G_CALLBACK(on_chunk), data);
  }

  /// libsoup tells of no end of a request that never began: of a connection that says nothing.
  static void on_freed(gpointer data, GObject *message) {
    self(data).exchanges_.erase(reinterpret_cast<SoupServerMessage *>(message));
  }

  static void on_read(SoupServer *, SoupServerMessage *message, gpointer data) {
    const auto found = self(data).exchanges_.find(message);
    if (found != self(data).exchanges_.end()) found->second.deadline.reset();
  }

  static void on_over(SoupServer *, SoupServerMessage *message, gpointer data) {
    if (self(data).exchanges_.erase(message) != 0)
      g_object_weak_unref(G_OBJECT(message), on_freed, data);
  }

  static void on_headers(SoupServerMessage *message, gpointer data) {
    SoupApiServer &own = self(data);
    // Kept here, not by libsoup, which has no bound.
    soup_message_body_set_accumulate(soup_server_message_get_request_body(message), FALSE);
    if (soup_server_message_get_status(message) != 0)
      return own.refuse(message, 400,
                        "The path leads upwards or is wrongly encoded. docs/api.yaml lists all "
                        "paths.");
    SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);
    const goffset length = soup_message_headers_get_content_length(headers);
    if (length > static_cast<goffset>(own.limits_.body_bytes)) own.refuse_body(message);
  }

  static void on_chunk(SoupServerMessage *message, GBytes *chunk, gpointer data) {
    SoupApiServer &own = self(data);
    const auto found = own.exchanges_.find(message);
    if (found == own.exchanges_.end() || found->second.refused) return;
    gsize size = 0;
    const auto *bytes = static_cast<const char *>(g_bytes_get_data(chunk, &size));
    if (found->second.body.size() + size > own.limits_.body_bytes) return own.refuse_body(message);
    found->second.body.append(bytes, size);
  }

  void refuse_body(SoupServerMessage *message) {
    refuse(message, 413,
           "The body may have " + std::to_string(limits_.body_bytes) + " bytes at most.");
  }

  /// What is still to come of the request is not looked at.
  void refuse(SoupServerMessage *message, int status, const std::string &why) {
    if (const auto found = exchanges_.find(message); found != exchanges_.end())
      found->second.refused = true;
    Answer::fill(message, problem(status, why));
  }

  static void on_request(SoupServer *, SoupServerMessage *message, const char *path,
                         GHashTable *query, gpointer data) {
    SoupApiServer &own = self(data);
    const auto found = own.exchanges_.find(message);
    if (found == own.exchanges_.end() || found->second.refused) return;

    Request request;
    request.method = soup_server_message_get_method(message);
    request.path = path;
    request.peer = peer_of(message);
    request.body = std::move(found->second.body);
    if (query) {
      GHashTableIter iterator;
      gpointer name = nullptr, value = nullptr;
      g_hash_table_iter_init(&iterator, query);
      while (g_hash_table_iter_next(&iterator, &name, &value))
        request.query[static_cast<char *>(name)] = static_cast<char *>(value);
    }
    SoupMessageHeadersIter iterator;
    const char *name = nullptr, *value = nullptr;
    soup_message_headers_iter_init(&iterator, soup_server_message_get_request_headers(message));
    while (soup_message_headers_iter_next(&iterator, &name, &value)) {
      std::string &text = request.headers[lower(name)];
      text += (text.empty() ? "" : ", ") + std::string(value);
    }

    auto answer = std::make_shared<Answer>();
    answer->message.reset(SOUP_SERVER_MESSAGE(g_object_ref(message)));
    answer->finished =
        g_signal_connect(message, "finished", G_CALLBACK(+[](SoupServerMessage *, gpointer held) {
                           static_cast<Answer *>(held)->done = true;
                         }),
                         answer.get());
    own.api_.handle(request, [answer](const Response &response) { answer->give(response); });
    if (answer->done) return;
    answer->paused = true;
    soup_server_message_pause(message);
  }

  Api &api_;
  const ServerLimits limits_;
  const ServerExtras extras_;
  Endpoint local_;
  std::map<SoupServerMessage *, Exchange> exchanges_;  // outlives the server that calls back
  ServerRef server_;
  std::unique_ptr<https::Acceptor> acceptor_;  // these two give the server its connections
  std::unique_ptr<https::TlsDoor> door_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::listen(const Endpoint &endpoint, Api &api,
                                               ServerLimits limits, ServerExtras extras) {
  auto server = std::make_unique<SoupApiServer>(api, limits, std::move(extras));
  if (auto started = server->start(endpoint); !started) return started.error();
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace junctor::api
