// SPDX-License-Identifier: LGPL-2.1-or-later
// The TCP connections that others open to us.
#include "sip/core/connections.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <linux/tcp.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

namespace junctor::sip {

namespace {

/// Of what waits to be read from a connection, as the system counts it; more is left to the sender.
constexpr int kReceiveBuffer = 32 * 1024;
/// So often may Sofia leave what has come before it is looked up whether it still reads there. It
/// need not mean anything: in a turn of the loop where Sofia accepts or closes a connection it
/// reads from none.
constexpr unsigned kUnmoved = 16;
constexpr int kBacklog = 1024;
constexpr std::size_t kMaxClosing = 32;  // then nothing more is accepted until they are closed
constexpr Duration kPause = std::chrono::milliseconds(5);
constexpr Duration kShortest = std::chrono::milliseconds(10);

std::vector<GPollFD> polls_of(GMainContext *context) {
  std::vector<GPollFD> polls(64);
  // The loop that it is asked for may not run yet.
  const bool acquired = g_main_context_acquire(context);
  while (true) {
    gint timeout = 0;
    const gint count = g_main_context_query(context, G_MAXINT, &timeout, polls.data(),
                                            static_cast<gint>(polls.size()));
    const bool all = static_cast<std::size_t>(count) <= polls.size();
    polls.resize(static_cast<std::size_t>(count));
    if (all) break;
  }
  if (acquired) g_main_context_release(context);
  return polls;
}

std::vector<int> polled(GMainContext *context) {
  const std::vector<GPollFD> polls = polls_of(context);
  std::vector<int> descriptors;
  descriptors.reserve(polls.size());
  for (const GPollFD &poll : polls) descriptors.push_back(static_cast<int>(poll.fd));
  std::ranges::sort(descriptors);
  // Not std::ranges::unique(): clang 14 cannot read libstdc++'s subranges.
  descriptors.erase(std::unique(descriptors.begin(), descriptors.end()), descriptors.end());
  return descriptors;
}

using AskSocket = int (*)(int, sockaddr *, socklen_t *);

/// Of an IP socket; zeros where the kernel writes nothing, so that two may be compared as bytes.
std::optional<sockaddr_storage> address_of(int fd, AskSocket ask) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (ask(fd, reinterpret_cast<sockaddr *>(&address), &length) != 0) return std::nullopt;
  if (address.ss_family != AF_INET && address.ss_family != AF_INET6) return std::nullopt;
  return address;
}

bool same(const sockaddr_storage &a, const sockaddr_storage &b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

Endpoint endpoint_of(const sockaddr_storage &address) {
  return Endpoint::from_sockaddr(reinterpret_cast<const sockaddr *>(&address));
}

std::optional<tcp_info> info_of(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return std::nullopt;
  return info;
}

int type_of(int fd) {
  int type = 0;
  socklen_t length = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 ? type : -1;
}

bool listens(int fd) {
  int on = 0;
  socklen_t length = sizeof on;
  return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &length) == 0 && on != 0;
}

bool is_bound_to(int fd, std::uint16_t port) {
  const auto own = address_of(fd, ::getsockname);
  return own && endpoint_of(*own).port == port;
}

constexpr std::size_t kJudged = 128, kLongestMethod = 32;

/// What is wrong with the first line of a connection, whose beginning this is; empty: nothing so
/// far.
std::string mistake_in(std::string_view line) {
  constexpr std::string_view kMarks = "-.!%*_+`'~";
  constexpr char kTlsHandshake = 22;  // RFC 8446 section 5.1
  if (line.front() == kTlsHandshake) return "it speaks TLS at the port for plain TCP";
  if (line.starts_with("SIP/")) return {};
  const auto word = static_cast<std::size_t>(
      std::ranges::find_if_not(
          line, [&](char c) { return g_ascii_isalnum(c) || kMarks.find(c) != kMarks.npos; }) -
      line.begin());
  const std::string_view rest = line.substr(word);
  const bool method = word > 0 && word <= kLongestMethod && (rest.empty() || rest[0] == ' ');
  if (method && rest.starts_with(" /")) return "it speaks HTTP";
  if (!method || (rest.size() > 1 && !g_ascii_isalpha(rest[1]))) return "it does not speak SIP";
  return {};
}

UniqueFd spare_descriptor() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

}  // namespace

std::vector<int> polled_udp(GMainContext *context, std::uint16_t port) {
  std::vector<int> found;
  for (const int fd : polled(context))
    if (type_of(fd) == SOCK_DGRAM && is_bound_to(fd, port)) found.push_back(fd);
  return found;
}

std::vector<std::size_t> surplus(const std::vector<Connection> &connections,
                                 const ConnectionLimits &limits) {
  std::vector<std::size_t> gone, rest;
  for (std::size_t i = 0; i < connections.size(); ++i) {
    const Connection &each = connections[i];
    if (each.wanted) continue;
    (each.quiet >= (each.heard ? limits.idle : limits.silence) ? gone : rest).push_back(i);
  }
  // Those to go first are last.
  std::ranges::stable_sort(rest, [&](std::size_t a, std::size_t b) {
    const Connection &left = connections[a], &right = connections[b];
    if (left.heard != right.heard) return left.heard;
    return left.quiet != right.quiet ? left.quiet < right.quiet : left.order > right.order;
  });
  const auto left_of = [](std::size_t limit) { return limit - limit / 10; };
  std::map<std::string, std::size_t> groups, keep;
  for (const std::size_t i : rest) ++groups[connections[i].group];
  std::vector<std::size_t> kept;
  for (const std::size_t i : rest) {
    const std::string &group = connections[i].group;
    const bool crowded = groups[group] > limits.per_peer;
    if (crowded && keep[group] >= left_of(limits.per_peer)) {
      gone.push_back(i);
    } else {
      ++keep[group];
      kept.push_back(i);
    }
  }
  if (kept.size() > limits.in_all)
    gone.insert(gone.end(), kept.begin() + static_cast<std::ptrdiff_t>(left_of(limits.in_all)),
                kept.end());
  std::ranges::sort(gone);
  return gone;
}

/// check() runs before any source is dispatched, so before Sofia reads; nothing is dispatched.
struct Connections::Source {
  GSource base;
  Connections *owner;

  static gboolean check(GSource *source) {
    reinterpret_cast<Source *>(source)->owner->check_readers();
    return FALSE;
  }
  static gboolean dispatch(GSource *, GSourceFunc, gpointer) { return G_SOURCE_CONTINUE; }
};

Connections::Connections(GMainContext *context, Options options)
    : context_(context), options_(std::move(options)), spare_(spare_descriptor()) {
  // Other parts of this process need descriptors too.
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0)
    options_.limits.in_all = std::min<std::size_t>(options_.limits.in_all, files.rlim_cur / 4);
  static GSourceFuncs functions{nullptr, Source::check, Source::dispatch,
                                nullptr, nullptr,       nullptr};
  source_ = reinterpret_cast<Source *>(g_source_new(&functions, sizeof(Source)));
  source_->owner = this;
  g_source_attach(&source_->base, context_);
  for (const int fd : polled(context_)) {
    if (!listens(fd) || !is_bound_to(fd, options_.port)) continue;
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    ::listen(fd, kBacklog);  // Sofia's own is 64: a flood would keep others out
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer);
    GSource *listener = g_unix_fd_source_new(fd, G_IO_IN);
    g_source_set_callback(listener, G_SOURCE_FUNC(+[](gint ready, GIOCondition, gpointer data) {
                            static_cast<Connections *>(data)->on_incoming(ready);
                            return G_SOURCE_CONTINUE;
                          }),
                          this, nullptr);
    g_source_attach(listener, context_);
    listeners_.push_back({fd, listener, UniqueFd()});
  }
}

Connections::~Connections() {
  resume();
  for (const Listener &listener : listeners_) {
    g_source_destroy(listener.source);
    g_source_unref(listener.source);
  }
  g_source_destroy(&source_->base);
  g_source_unref(&source_->base);
}

int Connections::find(const Endpoint &peer) const {
  const std::string name = peer.to_string();
  for (const auto &[fd, known] : known_)
    if (known.peer == name && is_connection(fd, known)) return fd;
  return -1;
}

void Connections::distrust(const Endpoint &peer) {
  const int fd = find(peer);
  if (fd < 0) return;
  known_[fd].distrusted = true;
  review_in(options_.limits.silence);
}

void Connections::close(const Endpoint &peer, const std::string &why) {
  const int fd = find(peer);
  if (fd < 0) return;
  unwatch(known_[fd]);
  shut(fd, known_[fd], why);
}

/// Whether the descriptor is still that connection's: Sofia closes without telling.
bool Connections::is_connection(int fd, const Known &known) const {
  const auto peer = address_of(fd, ::getpeername);
  return peer && same(*peer, known.address) && type_of(fd) == SOCK_STREAM &&
         is_bound_to(fd, options_.port);
}

/// As Sofia's source has the same priority and was there before, it has accepted one by now.
void Connections::on_incoming(int listener) {
  refresh();
  const std::size_t often = std::min(options_.limits.in_all, options_.limits.per_peer) / 10;
  if (++fresh_ > often)
    review();
  else
    review_in(options_.limits.silence);
  refuse_for_want(listener);
  if (closing() > kMaxClosing) pause();
}

std::size_t Connections::closing() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(known_, [](const auto &each) { return each.second.shut; }));
}

/// Puts something that is never ready in the place of what Sofia polls. Whoever connects meanwhile
/// waits in the system's queue.
void Connections::pause() {
  for (Listener &listener : listeners_) {
    if (listener.aside) continue;
    const UniqueFd nobody(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    UniqueFd aside(::fcntl(listener.fd, F_DUPFD_CLOEXEC, 0));
    if (!nobody || !aside || ::dup3(nobody.get(), listener.fd, O_CLOEXEC) < 0) continue;
    listener.aside = std::move(aside);
  }
  resume_timer_ = ContextTimer(context_, kPause, [this] {
    refresh();
    if (closing() > 0)
      pause();
    else
      resume();
  });
}

void Connections::resume() {
  resume_timer_.reset();
  for (Listener &listener : listeners_) {
    if (listener.aside) ::dup3(listener.aside.get(), listener.fd, O_CLOEXEC);
    listener.aside = UniqueFd();
  }
}

/// Where there is no descriptor left, Sofia would be told for ever that somebody waits.
void Connections::refuse_for_want(int listener) {
  const UniqueFd probe(::fcntl(listener, F_DUPFD_CLOEXEC, 0));
  if (probe || errno != EMFILE) return;
  spare_ = UniqueFd();
  // Closed again at once.
  UniqueFd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)).reset();
  spare_ = spare_descriptor();
  if (options_.log && budget_.take(Clock::now()))
    options_.log(LogLevel::Error,
                 "sip: a TCP connection was refused, for this process may open no more files; "
                 "raise its limit (LimitNOFILE, ulimit -n)");
}

/// Learns which connections there are.
void Connections::refresh() {
  std::map<int, Known> now;
  for (const int fd : polled(context_)) {
    const auto peer = address_of(fd, ::getpeername);
    if (!peer) continue;
    if (const auto before = known_.find(fd);
        before != known_.end() && same(before->second.address, *peer)) {
      now.insert(known_.extract(before));
      continue;
    }
    if (type_of(fd) != SOCK_STREAM || !is_bound_to(fd, options_.port)) continue;
    Known &known = now[fd];
    const Endpoint name = endpoint_of(*peer);
    known.address = *peer;
    known.peer = name.to_string();
    known.group = address_group(name.address);
    known.order = ++made_;
    known.polled = std::make_unique<GPollFD>(GPollFD{fd, G_IO_IN, 0});
    g_source_add_poll(&source_->base, known.polled.get());
  }
  // Closed by Sofia, and perhaps another's by now.
  for (auto &[fd, gone] : known_) unwatch(gone);
  known_ = std::move(now);
}

void Connections::unwatch(Known &known) {
  if (known.polled) g_source_remove_poll(&source_->base, known.polled.get());
  known.polled.reset();
}

void Connections::review() {
  fresh_ = 0;
  refresh();
  if (known_.empty()) {
    timer_.reset();
    return;
  }
  std::vector<Connection> connections;
  std::vector<int> descriptors;
  for (const auto &[fd, known] : known_) {
    const auto info = info_of(fd);
    if (!info || known.shut) continue;
    connections.push_back({.group = known.group,
                           .heard = info->tcpi_bytes_received > 0 && !known.distrusted,
                           .quiet = std::chrono::milliseconds(info->tcpi_last_data_recv),
                           .order = known.order});
    descriptors.push_back(fd);
  }
  auto gone = surplus(connections, options_.limits);
  if (!gone.empty() && options_.wanted) {
    const std::vector<std::string> list = options_.wanted();
    const std::set<std::string> wanted(list.begin(), list.end());
    for (std::size_t i = 0; i < connections.size(); ++i)
      connections[i].wanted = wanted.contains(known_[descriptors[i]].peer);
    gone = surplus(connections, options_.limits);
  }
  Duration next = options_.limits.idle;
  for (std::size_t i = 0; i < connections.size(); ++i) {
    const int fd = descriptors[i];
    const Connection &each = connections[i];
    const Duration limit = each.heard ? options_.limits.idle : options_.limits.silence;
    if (std::ranges::binary_search(gone, i)) {
      const char *quiet =
          each.heard ? "nothing has come by it for a while" : "it says nothing that makes sense";
      shut(fd, known_[fd], each.quiet >= limit ? quiet : "there are too many");
      continue;
    }
    if (!each.wanted) next = std::min(next, limit - each.quiet);
  }
  timer_.reset();
  review_in(next);
}

void Connections::review_in(Duration delay) {
  const Time due = Clock::now() + std::max(delay, kShortest);
  if (timer_ && due_ <= due) return;
  due_ = due;
  timer_ = ContextTimer(context_, due - Clock::now(), [this] {
    timer_.reset();
    review();
  });
}

void Connections::shut(int fd, Known &known, const std::string &why) {
  if (!is_connection(fd, known)) return;
  known.shut = true;
  // Sofia still has it, and closes it when it is told of the end.
  ::shutdown(fd, SHUT_RDWR);
  const auto left_out = options_.log ? budget_.take(Clock::now()) : std::nullopt;
  if (!left_out) return;
  options_.log(LogLevel::Info,
               "sip " + known.peer + ": TCP connection closed: " + why +
                   (*left_out ? " (and " + std::to_string(*left_out) + " more not logged)" : ""));
}

void Connections::check_readers() {
  for (auto &[fd, known] : known_) {
    if (!known.polled || known.polled->revents == 0) continue;
    judge(fd, known);
    if (!is_connection(fd, known) || !look_at(fd, known)) unwatch(known);
  }
  if (std::ranges::any_of(known_, [](const auto &each) { return is_stuck(each.second); }))
    shut_stalled();
}

bool Connections::is_stuck(const Known &known) { return known.polled && known.unmoved > kUnmoved; }

/// After what it could not make sense of, Sofia waits for no more to read from a connection, and
/// never will again. What is there would wake our source for ever.
void Connections::shut_stalled() {
  // What is left is what Sofia waits for.
  for (auto &[fd, known] : known_)
    if (known.polled) known.polled->events = 0;
  std::set<int> read;
  for (const GPollFD &poll : polls_of(context_))
    if (poll.events & G_IO_IN) read.insert(static_cast<int>(poll.fd));
  for (auto &[fd, known] : known_) {
    if (known.polled) known.polled->events = G_IO_IN;
    if (!is_stuck(known)) continue;
    known.unmoved = 0;
    if (read.contains(fd)) continue;
    unwatch(known);
    shut(fd, known, "what it sent makes no sense");
  }
}

void Connections::judge(int fd, Known &known) {
  if (options_.tls || known.judged || !is_connection(fd, known)) return;
  std::array<char, kJudged> bytes{};
  const auto size = ::recv(fd, bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
  if (size <= 0) return;
  std::string_view begun(bytes.data(), static_cast<std::size_t>(size));
  // Those are keep-alives.
  begun.remove_prefix(std::min(begun.find_first_not_of("\r\n"), begun.size()));
  if (begun.empty()) return;
  known.judged = true;
  const std::string mistake = mistake_in(begun);
  if (mistake.empty()) return;
  known.distrusted = true;
  review_in(options_.limits.silence);
  if (options_.log && budget_.take(Clock::now()))
    options_.log(LogLevel::Info,
                 "sip " + known.peer + ": what came over TCP makes no sense: " + mistake);
}

bool Connections::look_at(int fd, Known &known) const {
  char byte = 0;
  const auto size = ::recv(fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT);
  if (size < 0) return errno == EAGAIN;
  const auto info = info_of(fd);
  if (size == 0 || !info) return false;
  known.unmoved = info->tcpi_bytes_received > known.read ? 0 : known.unmoved + 1;
  known.read = info->tcpi_bytes_received;
  return true;
}

}  // namespace junctor::sip
