// SPDX-License-Identifier: LGPL-2.1-or-later
#include "https/tls_door.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

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
  /// Calls `over` of the door after `time`, in place of what was to be called.
  void limit(Duration time, void (TlsDoor::*over)(Guest &));

  TlsDoor *door = nullptr;             // null once that is gone
  std::string from;                    // its address_group()
  std::uint64_t number = 0;            // in the order of their coming
  std::size_t wanted = kRecordHeader;  // bytes of the first record; 0 once they are there
  bool begun = false;
  std::uint64_t turn = 0;  // in the order of their beginning
  bool spare = false;      // has run for its sure time
  bool ending = false;     // for one that waits
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

void TlsDoor::Guest::limit(Duration time, void (TlsDoor::*over)(Guest &)) {
  deadline = ContextTimer(g_main_context_get_thread_default(), time,
                          [this, over] { (door->*over)(*this); });
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
  guest->limit(options_.handshake_time, &TlsDoor::on_time_over);
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
  guest->limit(options_.handshake_time, &TlsDoor::on_time_over);
  begin_next();
}

/// A turn goes to the address whose last one is the longest ago, or that had none: of however many
/// of one address that wait, one at most is before another's. There, to who came first.
void TlsDoor::begin_next() {
  for (;;) {
    std::map<std::string, std::size_t> running;  // of each address that has a guest
    std::size_t all = 0;
    bool one_ends = false;
    std::vector<Guest *> waiting, spare;
    for (const auto &[key, guest] : guests_) {
      running[guest->from] += guest->begun;
      all += guest->begun;
      one_ends = one_ends || guest->ending;
      if (!guest->begun && guest->wanted == 0) waiting.push_back(key);
      if (guest->spare) spare.push_back(key);
    }
    std::erase_if(last_turn_, [&](const auto &each) { return !running.contains(each.first); });
    const auto turn = [&](const Guest *guest) {
      const auto last = last_turn_.find(guest->from);
      return std::pair(last == last_turn_.end() ? 0 : last->second, guest->number);
    };
    std::ranges::sort(waiting, {}, turn);
    const auto next = std::ranges::find_if(waiting, [&](const Guest *guest) {
      const std::size_t own = running[guest->from];
      return own < options_.threads_per_address &&
             all < (own == 0 ? options_.threads : options_.threads / 2);
    });
    if (next != waiting.end()) {
      begin(**next);
      continue;
    }
    // Who waits takes the place of one of its own address, if that has any; else of the address
    // that has most of them. Of those, the longest there.
    if (one_ends || spare.empty()) return;
    for (const Guest *guest : waiting) {
      const auto worth = [&](const Guest *other) {
        return std::pair(guest->from == other->from ? 0 : options_.threads - running[other->from],
                         other->turn);
      };
      const auto found = std::ranges::min_element(spare, {}, worth);
      if (running[guest->from] > 0 && (*found)->from != guest->from) continue;
      (*found)->ending = true;
      g_cancellable_cancel((*found)->cancel.get());
      return;
    }
    return;
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
  last_turn_[guest.from] = guest.turn = ++turns_;
  guest.limit(options_.sure_time, &TlsDoor::on_sure_time_over);
  if (!guest.connection) {
    guests_.erase(&guest);
    return;
  }
  g_tls_connection_handshake_async(G_TLS_CONNECTION(guest.connection.get()), G_PRIORITY_DEFAULT,
                                   guest.cancel.get(), on_handshake, &guest);
}

void TlsDoor::on_sure_time_over(Guest &guest) {
  guest.spare = true;
  guest.limit(options_.handshake_time - options_.sure_time, &TlsDoor::on_time_over);
  begin_next();
}

void TlsDoor::on_time_over(Guest &guest) {
  if (guest.begun) return g_cancellable_cancel(guest.cancel.get());
  if (guest.wanted == 0) warn(guest.from, "parted: too many others shake hands");
  guests_.erase(&guest);
}

/// So that one address cannot shut the door for the others.
bool TlsDoor::has_room(const std::string &from) {
  const auto own = static_cast<std::size_t>(
      std::ranges::count_if(guests_, [&](const auto &each) { return each.second->from == from; }));
  if (guests_.size() < options_.handshakes && own < options_.handshakes_per_address) return true;
  warn(from, "parted: " + std::to_string(own) + " of its handshakes, and " +
                 std::to_string(guests_.size()) + " in all, have not ended");
  return false;
}

void TlsDoor::warn(const std::string &from, const std::string &text) {
  if (const auto left_out = log_budget_.take(from, Clock::now()); left_out && log_)
    log_(LogLevel::Warning,
         "HTTPS " + from + ": " + text +
             (*left_out ? " (and " + std::to_string(*left_out) + " more that were not logged)"
                        : ""));
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
