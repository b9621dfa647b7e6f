// SPDX-License-Identifier: LGPL-2.1-or-later
// The bare program: RTMP in, RTP out, nothing else. What a gateway costs beyond it is its own
// doing.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "floor/rtmp_input.h"
#include "floor/rtp_output.h"

namespace junctor::bench {
namespace {

/// A publisher named `PORT` is sent as A-law audio to that port and as video to the one two above.
class Publisher {
 public:
  explicit Publisher(int fd)
      : fd_(fd),
        input_({[this](auto bytes) { send(bytes); },
                [this](const std::string &name) { publish(name); },
                [this](auto time, auto body) {
                  if (audio_) audio_->send_g711(time, body);
                },
                [this](auto time, auto body) {
                  if (video_) video_->send_h264(time, body);
                }}) {}
  ~Publisher() { ::close(fd_); }

  /// False when the peer has gone.
  bool readable() {
    static std::array<std::uint8_t, 65536> bytes;
    const ssize_t count = ::recv(fd_, bytes.data(), bytes.size(), 0);
    if (count <= 0) return false;
    const int on = 1;
    if (!audio_) ::setsockopt(fd_, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
    input_.push({bytes.data(), static_cast<std::size_t>(count)});
    return true;
  }

 private:
  void send(std::span<const std::uint8_t> bytes) {
    if (::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) std::perror("floor: send");
  }
  void publish(const std::string &name) {
    const int port = std::atoi(name.c_str());
    audio_.emplace(static_cast<std::uint16_t>(port), 8);
    video_.emplace(static_cast<std::uint16_t>(port + 2), 96);
  }

  int fd_;
  std::optional<RtpOutput> audio_, video_;
  RtmpInput input_;
};

int serve(std::uint16_t port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_port = htons(port);
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(listener, reinterpret_cast<sockaddr *>(&here), sizeof here) < 0 ||
      ::listen(listener, 1024) < 0) {
    std::perror("floor: listen");
    return 1;
  }
  const int poller = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;
  ::epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
  std::puts("floor: listening");
  std::fflush(stdout);
  std::array<epoll_event, 256> ready;
  for (;;) {
    const int count = ::epoll_wait(poller, ready.data(), ready.size(), -1);
    for (int i = 0; i < count; ++i) {
      auto *publisher = static_cast<Publisher *>(ready[i].data.ptr);
      if (publisher) {
        if (!publisher->readable()) delete publisher;
        continue;
      }
      const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      event.data.ptr = new Publisher(fd);
      ::epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
  }
}

}  // namespace
}  // namespace junctor::bench

int main(int count, char **arguments) {
  if (count != 2) {
    std::fputs("usage: floor PORT\n", stderr);
    return 2;
  }
  return junctor::bench::serve(static_cast<std::uint16_t>(std::atoi(arguments[1])));
}
