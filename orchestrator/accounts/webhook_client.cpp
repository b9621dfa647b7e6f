// SPDX-License-Identifier: LGPL-2.1-or-later
#include "accounts/webhook_client.h"

#include <libsoup/soup.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "accounts/authorities.h"
#include "accounts/secrets.h"
#include "common/handle.h"
#include "common/log_budget.h"
#include "common/main_context.h"

namespace junctor::accounts {

namespace {

using MessageRef = std::unique_ptr<SoupMessage, Releaser<g_object_unref>>;
using CancellableRef = std::unique_ptr<GCancellable, Releaser<g_object_unref>>;
using StreamRef = std::unique_ptr<GInputStream, Releaser<g_object_unref>>;
using BytesRef = std::unique_ptr<GBytes, Releaser<g_bytes_unref>>;
using UriRef = std::unique_ptr<GUri, Releaser<g_uri_unref>>;
using ErrorRef = std::unique_ptr<GError, Releaser<g_error_free>>;
using ContextRef = std::unique_ptr<GMainContext, Releaser<g_main_context_unref>>;
using LoopRef = std::unique_ptr<GMainLoop, Releaser<g_main_loop_unref>>;

constexpr gsize kReadBytes = 4096;
constexpr guint kIdleSeconds = 30;
constexpr char kAway[] = "The check of who you are cannot be reached now; try again later.";

/// Without what may be secret in it.
std::string shown(const std::string &url) {
  return url.substr(0, std::min(url.find('?'), url.find('#')));
}

UriRef parse(std::string_view url) {
  return UriRef(
      g_uri_parse(std::string(url).c_str(), static_cast<GUriFlags>(SOUP_HTTP_URI_FLAGS), nullptr));
}

}  // namespace

Result<void> check_webhook_url(std::string_view url) {
  const auto uri = parse(url);
  const std::string_view scheme = uri ? g_uri_get_scheme(uri.get()) : "";
  const char *host = uri ? g_uri_get_host(uri.get()) : nullptr;
  const bool visible =
      std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if ((scheme != "http" && scheme != "https") || !host || *host == '\0' || !visible ||
      url.size() > 2048)
    return bad_input("must be a URL like \"https://example.org/junctor-check\"");
  if (g_uri_get_userinfo(uri.get()))
    return bad_input("must not hold a name or password; see accounts.webhook-secret-file");
  return {};
}

bool travels_in_clear(std::string_view url) {
  const auto uri = parse(url);
  if (!uri || std::string_view(g_uri_get_scheme(uri.get())) == "https") return false;
  const std::string host = g_uri_get_host(uri.get());
  return host != "localhost" && host != "::1" && !host.starts_with("127.");
}

Result<std::string> read_webhook_secret(const std::string &path) {
  auto secret = read_secret_line(path);
  if (!secret) return secret;
  // It becomes a line of a header.
  const bool visible =
      std::all_of(secret->begin(), secret->end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!visible)
    return bad_input(path + " must hold the secret alone: one line of visible ASCII, no spaces");
  return secret;
}

/// Owns the thread. All but post(), start() and stop() runs in it.
class WebhookClient::Worker : public std::enable_shared_from_this<Worker> {
 public:
  Worker(WebhookOptions options, Authorities authorities)
      : options_(std::move(options)),
        authorities_(std::move(authorities)),
        context_(g_main_context_new()),
        loop_(g_main_loop_new(context_.get(), FALSE)) {}

  void start() {
    thread_ = std::thread([this] { run(); });
  }
  void stop() {
    post_to(context_.get(), [this] { g_main_loop_quit(loop_.get()); });
    thread_.join();
  }

  void post(std::string json, std::string what, Done done) {
    // Counted here, so that not even the queue to the thread can grow.
    const bool fits = in_flight_.fetch_add(1) < options_.requests;
    post_to(context_.get(), [this, fits, json = std::move(json), what = std::move(what),
                             done = std::move(done)]() mutable {
      if (stopped_) return;
      if (fits) return ask(std::move(json), std::move(what), std::move(done));
      --in_flight_;
      ++failed_;
      complain(what, "more than " + std::to_string(options_.requests) + " requests at once");
      done(Error{Fault::Unreachable, "Too many ask to be let in at once; try again later."});
    });
  }

  Stats stats() const { return {accepted_, refused_, failed_, in_flight_}; }

 private:
  struct Call : std::enable_shared_from_this<Call> {
    std::shared_ptr<Worker> worker;
    std::string what;
    Done done;
    MessageRef message;
    CancellableRef cancellable{g_cancellable_new()};
    StreamRef stream;
    ContextTimer timer;
    WebhookAnswer answer;

    // Each asynchronous step holds the call by one of these.
    std::shared_ptr<Call> *hold() { return new std::shared_ptr<Call>(shared_from_this()); }
    static std::shared_ptr<Call> take(gpointer held) {
      const std::unique_ptr<std::shared_ptr<Call>> owner(
          static_cast<std::shared_ptr<Call> *>(held));
      return *owner;
    }
  };

  void run() {
    g_main_context_push_thread_default(context_.get());
    session_ = soup_session_new_with_options(
        "max-conns", static_cast<int>(options_.requests), "max-conns-per-host",
        static_cast<int>(options_.requests), "idle-timeout", kIdleSeconds, "proxy-resolver",
        nullptr, "user-agent", "Junctor", nullptr);
    if (authorities_) soup_session_set_tls_database(session_, authorities_.get());
    // A body is bounded as it is sent, and what asks for a password gets the secret or nothing.
    soup_session_remove_feature_by_type(session_, SOUP_TYPE_CONTENT_DECODER);
    soup_session_remove_feature_by_type(session_, SOUP_TYPE_AUTH_MANAGER);
    g_main_loop_run(loop_.get());
    stopped_ = true;
    const std::set<std::shared_ptr<Call>> open(std::move(open_));
    open_.clear();
    for (const auto &call : open) {
      call->done = nullptr;
      finish(*call);
    }
    soup_session_abort(session_);
    // What was cancelled reports so before it lets go.
    while (g_main_context_iteration(context_.get(), FALSE)) {
    }
    g_clear_object(&session_);
    g_main_context_pop_thread_default(context_.get());
  }

  void ask(std::string json, std::string what, Done done) {
    const auto call = std::make_shared<Call>();
    call->worker = shared_from_this();
    call->what = std::move(what);
    call->done = std::move(done);
    call->message.reset(soup_message_new(SOUP_METHOD_POST, options_.url.c_str()));
    open_.insert(call);
    call->timer =
        ContextTimer(context_.get(), options_.timeout, [this, weak = std::weak_ptr(call)] {
          if (const auto late = weak.lock()) time_out(*late);
        });
    SoupMessage *message = call->message.get();
    // Asked twice, a check is the same: one whose connection was closed while idle is sent again.
    soup_message_set_flags(
        message, static_cast<SoupMessageFlags>(SOUP_MESSAGE_NO_REDIRECT | SOUP_MESSAGE_IDEMPOTENT));
    const BytesRef body(g_bytes_new(json.data(), json.size()));
    soup_message_set_request_body_from_bytes(message, "application/json", body.get());
    SoupMessageHeaders *headers = soup_message_get_request_headers(message);
    soup_message_headers_replace(headers, "Accept",
                                 "application/json, application/problem+json, text/plain");
    if (!options_.secret.empty())
      soup_message_headers_replace(headers, "Authorization", ("Bearer " + options_.secret).c_str());
    soup_session_send_async(session_, message, G_PRIORITY_DEFAULT, call->cancellable.get(), on_sent,
                            call->hold());
  }

  static void on_sent(GObject *session, GAsyncResult *result, gpointer held) {
    const auto call = Call::take(held);
    GError *raw = nullptr;
    call->stream.reset(soup_session_send_finish(SOUP_SESSION(session), result, &raw));
    const ErrorRef error(raw);
    if (!call->done) return;
    if (!call->stream) return call->worker->fail(*call, error->message);
    SoupMessage *message = call->message.get();
    call->answer.status = soup_message_get_status(message);
    if (const char *type = soup_message_headers_get_content_type(
            soup_message_get_response_headers(message), nullptr)) {
      call->answer.type = type;
      for (char &c : call->answer.type) c = g_ascii_tolower(c);
    }
    read(*call);
  }

  static void read(Call &call) {
    g_input_stream_read_bytes_async(call.stream.get(), kReadBytes, G_PRIORITY_DEFAULT,
                                    call.cancellable.get(), on_read, call.hold());
  }

  static void on_read(GObject *stream, GAsyncResult *result, gpointer held) {
    const auto call = Call::take(held);
    GError *raw = nullptr;
    const BytesRef bytes(g_input_stream_read_bytes_finish(G_INPUT_STREAM(stream), result, &raw));
    const ErrorRef error(raw);
    if (!call->done) return;
    Worker &worker = *call->worker;
    if (!bytes) return worker.fail(*call, error->message);
    gsize size = 0;
    const auto *data = static_cast<const char *>(g_bytes_get_data(bytes.get(), &size));
    const std::size_t room = worker.options_.body_bytes - call->answer.body.size();
    call->answer.body.append(data, std::min<std::size_t>(size, room));
    call->answer.cut = size > room;
    if (size > 0 && !call->answer.cut) return read(*call);
    worker.conclude(*call, std::move(call->answer));
  }

  void time_out(Call &call) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(options_.timeout).count();
    complain(call.what, "no answer within " + std::to_string(ms) + " ms");
    conclude(call,
             Error{Fault::Timeout, "The check of who you are took too long; try again later."});
  }

  void fail(Call &call, const char *why) {
    complain(call.what, why);
    conclude(call, Error{Fault::Unreachable, kAway});
  }

  void conclude(Call &call, Result<WebhookAnswer> result) {
    const auto held = call.shared_from_this();
    const Done done = std::exchange(call.done, nullptr);
    ++(!result ? failed_ : result->status / 100 == 2 ? accepted_ : refused_);
    open_.erase(held);
    finish(call);
    if (done) done(std::move(result));
  }

  /// Lets go of the connection if there is still something to come on it.
  void finish(Call &call) {
    --in_flight_;
    call.timer.reset();
    g_cancellable_cancel(call.cancellable.get());
  }

  void complain(const std::string &what, const std::string &why) {
    const auto left_out = budget_.take(Clock::now());
    if (!left_out || !options_.log) return;
    options_.log(LogLevel::Warning,
                 "webhook " + shown(options_.url) + ": " + what + " is refused: " + why +
                     (*left_out > 0 ? " (and " + std::to_string(*left_out) + " others)" : ""));
  }

  const WebhookOptions options_;
  const Authorities authorities_;  ///< null: the system's
  const ContextRef context_;
  const LoopRef loop_;
  std::thread thread_;
  std::atomic<std::size_t> in_flight_ = 0;
  std::atomic<std::uint64_t> accepted_ = 0, refused_ = 0, failed_ = 0;
  SoupSession *session_ = nullptr;
  std::set<std::shared_ptr<Call>> open_;
  LogBudget budget_{5};
  bool stopped_ = false;
};

Result<std::unique_ptr<WebhookClient>> WebhookClient::create(WebhookOptions options) {
  Authorities authorities;
  if (!options.ca_file.empty()) {
    auto read = read_authorities(options.ca_file);
    if (!read) return read.error();
    authorities = *std::move(read);
  }
  return std::unique_ptr<WebhookClient>(
      new WebhookClient(std::make_shared<Worker>(std::move(options), std::move(authorities))));
}

WebhookClient::WebhookClient(std::shared_ptr<Worker> worker) : worker_(std::move(worker)) {
  worker_->start();
}

WebhookClient::~WebhookClient() { worker_->stop(); }

WebhookClient::Stats WebhookClient::stats() const { return worker_->stats(); }

void WebhookClient::post(std::string json, std::string what, Done done) {
  worker_->post(std::move(json), std::move(what), std::move(done));
}

}  // namespace junctor::accounts
