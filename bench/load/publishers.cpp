// SPDX-License-Identifier: LGPL-2.1-or-later
// Many RTMP publishers in one cheap process, playing a recording in real time.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <queue>
#include <stdexcept>
#include <string>

#include "load/flv_file.h"
#include "load/stamp.h"

namespace junctor::bench {
namespace {

constexpr std::size_t kChunk = 65536;

std::string text(const std::string &value) {
  std::string out = {'\x02', static_cast<char>(value.size() >> 8), static_cast<char>(value.size())};
  return out + value;
}
std::string number(double value) {
  std::uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  std::string out(1, '\0');
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(bits >> shift);
  return out;
}

/// A message header of a chunk of format 0.
void put_header(std::uint8_t *out, std::uint8_t chunk_stream, std::uint32_t time, std::size_t size,
                std::uint8_t type, std::uint32_t stream) {
  const std::uint8_t bytes[] = {chunk_stream,
                                static_cast<std::uint8_t>(time >> 16),
                                static_cast<std::uint8_t>(time >> 8),
                                static_cast<std::uint8_t>(time),
                                static_cast<std::uint8_t>(size >> 16),
                                static_cast<std::uint8_t>(size >> 8),
                                static_cast<std::uint8_t>(size),
                                type,
                                static_cast<std::uint8_t>(stream),
                                0,
                                0,
                                0};
  std::copy(std::begin(bytes), std::end(bytes), out);
}

/// One publisher. Blocking until it publishes, then it never waits.
class Publisher {
 public:
  Publisher(std::uint16_t port, const std::string &app, const std::string &name) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr *>(&to), sizeof to) < 0)
      throw std::runtime_error("cannot connect to port " + std::to_string(port) + ": " +
                               std::strerror(errno));
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    handshake();
    std::string size = {0, 1, 0, 0};  // chunks of 65,536 bytes
    send_message(2, 1, 0, size);
    const std::string url = "rtmp://127.0.0.1:" + std::to_string(port) + "/" + app;
    const auto member = [](const std::string &key, const std::string &value) {
      return text(key).substr(1) + text(value);
    };
    send_message(3, 20, 0,
                 text("connect") + number(1) + "\x03" + member("app", app) +
                     member("type", "nonprivate") + member("tcUrl", url) +
                     std::string("\0\0\x09", 3));
    await("NetConnection.Connect.Success");
    send_message(3, 20, 0, text("createStream") + number(2) + "\x05");
    stream_ = created_stream();
    send_message(3, 20, stream_, text("publish") + number(3) + "\x05" + text(name) + text("live"));
    await("NetStream.Publish.Start");
    ::fcntl(socket_, F_SETFL, ::fcntl(socket_, F_GETFL) | O_NONBLOCK);
  }
  ~Publisher() {
    if (stream_) {
      std::string body = text("deleteStream") + number(4) + "\x05" + number(stream_);
      send_message(3, 20, 0, body);
      // A close with something unread would be a reset: the server reads to the end, then closes.
      ::shutdown(socket_, SHUT_WR);
      pollfd rest{socket_, POLLIN, 0};
      char ignored[4096];
      while (::poll(&rest, 1, 1000) == 1 && ::recv(socket_, ignored, sizeof ignored, 0) > 0)
        continue;
    }
    ::close(socket_);
  }
  Publisher(const Publisher &) = delete;
  Publisher &operator=(const Publisher &) = delete;

  void send_tag(const FlvTag &tag, std::uint32_t time) {
    std::uint8_t head[12 + 5 + 4 + kStampNal];
    const bool stamped = tag.type == 9 && !tag.is_header() && tag.body.size() > 5;
    const std::size_t more = stamped ? 4 + kStampNal : 0;
    put_header(head, tag.type == 8 ? 4 : 6, time, tag.body.size() + more, tag.type, stream_);
    std::size_t taken = 0, used = 12;
    if (stamped) {
      std::copy_n(tag.body.begin(), taken = 5, head + used);
      used += 5;
      const std::uint8_t unit[] = {0, 0, 0, kStampNal, 6, 5, 16 + kStampDigits};
      std::copy(std::begin(unit), std::end(unit), head + used);
      used += sizeof unit;
      char digits[kStampDigits + 1];
      std::snprintf(digits, sizeof digits, "%016llx",
                    static_cast<unsigned long long>(now_ns(CLOCK_REALTIME)));
      std::copy(kStampMark.begin(), kStampMark.end(), head + used);
      std::copy_n(digits, kStampDigits, head + used + kStampMark.size());
      used += kStampMark.size() + kStampDigits;
      head[used++] = 0x80;
    }
    iovec parts[] = {
        {head, used},
        {const_cast<std::uint8_t *>(tag.body.data()) + taken, tag.body.size() - taken}};
    const std::size_t whole = used + tag.body.size() - taken;
    if (whole > kChunk + 12) throw std::runtime_error("a tag exceeds the chunk size");
    const ssize_t sent = ::writev(socket_, parts, 2);
    if (sent == static_cast<ssize_t>(whole)) return;
    if (sent < 0 && errno != EAGAIN) throw std::runtime_error(std::strerror(errno));
    finish(parts, sent < 0 ? 0 : static_cast<std::size_t>(sent));
    ++blocked;
  }

  /// Reads and forgets what the server says; false when it has gone.
  bool drain() {
    char bytes[4096];
    ssize_t count;
    while ((count = ::recv(socket_, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
    }
    return count < 0 && errno == EAGAIN;
  }

  static inline unsigned long blocked = 0;

 private:
  void finish(iovec *parts, std::size_t done) {
    for (int part = 0; part < 2; ++part) {
      const auto *bytes = static_cast<const char *>(parts[part].iov_base);
      std::size_t size = parts[part].iov_len;
      const std::size_t skip = std::min(done, size);
      done -= skip;
      send_all(bytes + skip, size - skip);
    }
  }
  void send_all(const char *bytes, std::size_t size) {
    while (size > 0) {
      const ssize_t sent = ::send(socket_, bytes, size, MSG_NOSIGNAL);
      if (sent < 0 && errno == EAGAIN) {
        pollfd wait{socket_, POLLOUT, 0};
        if (::poll(&wait, 1, 5000) <= 0) throw std::runtime_error("the server takes nothing");
        continue;
      }
      if (sent <= 0) throw std::runtime_error("the server has gone");
      bytes += sent;
      size -= static_cast<std::size_t>(sent);
    }
  }
  void send_message(std::uint8_t chunk_stream, std::uint8_t type, std::uint32_t stream,
                    const std::string &body) {
    std::string out(12, '\0');
    put_header(reinterpret_cast<std::uint8_t *>(out.data()), chunk_stream, 0, body.size(), type,
               stream);
    // Before the chunk size is told, only small bodies may be sent whole.
    for (std::size_t at = 0, size = told_ ? kChunk : 128; at < body.size(); at += size) {
      if (at > 0) out += static_cast<char>(0xC0 | chunk_stream);
      out += body.substr(at, size);
    }
    told_ = true;
    try {
      send_all(out.data(), out.size());
    } catch (const std::runtime_error &) {
      if (!stream_) throw;
    }
  }
  void handshake() {
    std::string out(1 + 1536, 'j');
    out[0] = 3;
    std::fill_n(out.begin() + 1, 8, '\0');
    send_all(out.data(), out.size());
    std::string in = receive(1 + 2 * 1536);
    send_all(in.data() + 1, 1536);
  }
  std::string receive(std::size_t size) {
    std::string out(size, '\0');
    std::size_t done = 0;
    while (done < size) {
      const ssize_t count = ::recv(socket_, out.data() + done, size - done, 0);
      if (count <= 0) throw std::runtime_error("the server closed the connection");
      done += static_cast<std::size_t>(count);
    }
    return out;
  }
  std::size_t await(const std::string &word, std::size_t beyond = 0) {
    for (;;) {
      const auto found = heard_.find(word);
      if (found != std::string::npos && heard_.size() >= found + word.size() + beyond) return found;
      char bytes[4096];
      const ssize_t count = ::recv(socket_, bytes, sizeof bytes, 0);
      if (count <= 0) throw std::runtime_error("the server refused before " + word);
      heard_.append(bytes, static_cast<std::size_t>(count));
    }
  }
  /// The number in `_result`, transaction 2, null, NUMBER.
  std::uint32_t created_stream() {
    const std::string begin = "_result" + number(2) + "\x05";
    const std::size_t at = await(begin, 9) + begin.size() + 1;
    std::uint64_t bits = 0;
    for (int i = 0; i < 8; ++i) bits = bits << 8 | static_cast<std::uint8_t>(heard_[at + i]);
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return static_cast<std::uint32_t>(value);
  }

  int socket_ = -1;
  std::uint32_t stream_ = 0;
  bool told_ = false;
  std::string heard_;
};

/// Set by SIGTERM and SIGINT: every stream is to end in order.
volatile std::sig_atomic_t stopped = 0;

/// Plays the tags over and over on every connection, their starts spread over 100 ms, for `seconds`
/// or until it is stopped.
int play(const std::vector<FlvTag> &tags, std::vector<std::unique_ptr<Publisher>> &publishers,
         double seconds) {
  std::vector<const FlvTag *> media;
  for (const auto &tag : tags)
    if (tag.is_header())
      for (auto &publisher : publishers) publisher->send_tag(tag, 0);
    else if (tag.type != 18 && tag.body.size() > 5)
      media.push_back(&tag);
  if (media.empty()) throw std::runtime_error("no media in the recording");
  const std::uint32_t loop = media.back()->time - media.front()->time + 20;
  struct Due {
    std::uint64_t at;
    std::size_t publisher, index;
    std::uint32_t base;
    bool operator>(const Due &other) const { return at > other.at; }
  };
  std::priority_queue<Due, std::vector<Due>, std::greater<>> queue;
  const std::uint64_t begin = now_ns() + 10'000'000;
  for (std::size_t i = 0; i < publishers.size(); ++i)
    queue.push({begin + 100'000'000 * i / publishers.size(), i, 0, 0});
  std::uint64_t worst = 0, drained = begin;
  while (true) {
    Due due = queue.top();
    queue.pop();
    std::uint64_t now = now_ns();
    if (stopped || double(due.at) > double(begin) + seconds * 1e9) break;
    if (due.at > now) {
      const timespec until{static_cast<time_t>(due.at / 1'000'000'000),
                           static_cast<long>(due.at % 1'000'000'000)};
      ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
      now = now_ns();
    }
    worst = std::max(worst, now - due.at);
    const FlvTag &tag = *media[due.index];
    publishers[due.publisher]->send_tag(tag, due.base + tag.time - media.front()->time);
    const std::uint32_t before = due.base + tag.time;
    if (++due.index == media.size()) {
      due.index = 0;
      due.base += loop;
    }
    due.at += 1'000'000ull * (due.base + media[due.index]->time - before);
    queue.push(due);
    if (now > drained + 1'000'000'000) {
      drained = now;
      for (auto &publisher : publishers)
        if (!publisher->drain()) throw std::runtime_error("the server ended a publisher");
    }
  }
  std::printf("{\"latest_ms\": %.2f, \"blocked\": %lu}\n", double(worst) / 1e6, Publisher::blocked);
  return 0;
}

}  // namespace
}  // namespace junctor::bench

// Reads lines `PORT APP NAME` from standard input, one a publisher, until the end of it.
int main(int count, char **arguments) {
  using namespace junctor::bench;
  if (count != 3) {
    std::fputs("usage: publishers FLV SECONDS < LIST   (LIST: lines of PORT APP NAME)\n", stderr);
    return 2;
  }
  try {
    const auto tags = read_flv(arguments[1]);
    std::vector<std::unique_ptr<Publisher>> publishers;
    char app[4096], name[1024];
    int port;
    while (std::scanf("%d %4095s %1023s", &port, app, name) == 3)
      publishers.push_back(
          std::make_unique<Publisher>(static_cast<std::uint16_t>(port), app, name));
    if (publishers.empty()) throw std::runtime_error("the list of publishers is empty");
    for (const int number : {SIGTERM, SIGINT}) std::signal(number, [](int) { stopped = 1; });
    std::puts("publishing");
    std::fflush(stdout);
    return play(tags, publishers, std::atof(arguments[2]));
  } catch (const std::exception &error) {
    std::fprintf(stderr, "publishers: %s\n", error.what());
    return 1;
  }
}
