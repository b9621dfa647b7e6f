// SPDX-License-Identifier: LGPL-2.1-or-later
// The bare forwarder: datagrams in, the same datagrams out, nothing else. What a relay costs beyond
// it is its own doing.
#include <arpa/inet.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace junctor::bench {
namespace {

constexpr unsigned kBatch = 64;
constexpr std::size_t kSlot = 1600;
constexpr long kPace = 2'000'000;  // ns between two looks at a busy socket

struct Target {
  sockaddr_in address{};
  std::vector<iovec> parts;
};

class Forwarder {
 public:
  Forwarder(std::uint16_t port, bool segments) : segments_(segments), slab_(kBatch * kSlot) {
    socket_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int size = 4 << 20;
    if (::setsockopt(socket_, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
      ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    const sockaddr_in here = loopback(port);
    if (::bind(socket_, reinterpret_cast<const sockaddr *>(&here), sizeof here) < 0) {
      std::perror("forward: bind");
      std::exit(1);
    }
    for (unsigned i = 0; i < kBatch; ++i) {
      parts_[i] = {&slab_[i * kSlot], kSlot};
      in_[i].msg_hdr = {&names_[i], sizeof(sockaddr_in), &parts_[i], 1, nullptr, 0, 0};
    }
  }

  /// What comes from this port of this machine goes to that one.
  void route(std::uint16_t from, std::uint16_t to) {
    if (targets_.empty()) targets_.resize(65536);
    targets_[to].address = loopback(to);
    routes_.resize(65536);
    routes_[from].push_back(to);
  }

  [[noreturn]] void run() {
    timespec next{};
    for (;;) {
      pollfd waited{socket_, POLLIN, 0};
      ::poll(&waited, 1, -1);
      drain();
      timespec now;
      ::clock_gettime(CLOCK_MONOTONIC, &now);
      if (now.tv_sec > next.tv_sec || (now.tv_sec == next.tv_sec && now.tv_nsec > next.tv_nsec))
        next = now;
      next.tv_nsec += kPace;
      if (next.tv_nsec >= 1'000'000'000) {
        next.tv_nsec -= 1'000'000'000;
        ++next.tv_sec;
      }
      ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr);
    }
  }

 private:
  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  void drain() {
    for (;;) {
      const int count = ::recvmmsg(socket_, in_.data(), kBatch, MSG_DONTWAIT, nullptr);
      if (count <= 0) return;
      for (int i = 0; i < count; ++i)
        for (const std::uint16_t to : routes_[ntohs(names_[i].sin_port)]) {
          if (targets_[to].parts.empty()) used_.push_back(to);
          targets_[to].parts.push_back({parts_[i].iov_base, in_[i].msg_len});
        }
      for (const std::uint16_t to : used_) gather(targets_[to]);
      flush();
      for (const std::uint16_t to : used_) targets_[to].parts.clear();
      used_.clear();
      if (count < static_cast<int>(kBatch)) return;
    }
  }

  // All packets of a stream have one size here; 52 of 1,200 bytes fit into a message.
  void gather(Target &target) {
    for (std::size_t first = 0; first < target.parts.size();) {
      const std::size_t most = segments_ ? 65000 / target.parts[first].iov_len : 1;
      const std::size_t count = std::min(target.parts.size() - first, most);
      if (gathered_ == kBatch) flush();
      msghdr &header = out_[gathered_].msg_hdr;
      header = {&target.address, sizeof target.address, &target.parts[first], count, nullptr, 0, 0};
      if (count > 1) {
        header.msg_control = controls_[gathered_].data();
        header.msg_controllen = controls_[gathered_].size();
        cmsghdr *control = CMSG_FIRSTHDR(&header);
        control->cmsg_level = SOL_UDP;
        control->cmsg_type = 103;  // UDP_SEGMENT
        control->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
        const auto size = static_cast<std::uint16_t>(target.parts[first].iov_len);
        std::memcpy(CMSG_DATA(control), &size, sizeof size);
      }
      ++gathered_;
      first += count;
    }
  }

  void flush() {
    for (unsigned at = 0; at < gathered_;) {
      const int sent = ::sendmmsg(socket_, &out_[at], gathered_ - at, MSG_DONTWAIT);
      at += sent > 0 ? static_cast<unsigned>(sent) : 1;
    }
    gathered_ = 0;
  }

  int socket_;
  bool segments_;
  std::vector<std::byte> slab_;
  std::array<sockaddr_in, kBatch> names_{};
  std::array<iovec, kBatch> parts_{};
  std::array<mmsghdr, kBatch> in_{}, out_{};
  alignas(cmsghdr) std::array<std::array<std::byte, 24>, kBatch> controls_{};
  unsigned gathered_ = 0;
  std::vector<Target> targets_;
  std::vector<std::vector<std::uint16_t>> routes_;
  std::vector<std::uint16_t> used_;
};

}  // namespace
}  // namespace junctor::bench

int main(int count, char **arguments) {
  if (count != 3) {
    std::fputs("usage: forward PORT batch|segments, and lines \"FROM TO\" of ports\n", stderr);
    return 2;
  }
  junctor::bench::Forwarder forwarder(static_cast<std::uint16_t>(std::atoi(arguments[1])),
                                      arguments[2] == std::string("segments"));
  std::uint16_t from, to;
  while (std::cin >> from >> to) forwarder.route(from, to);
  std::puts("forward: listening");
  std::fflush(stdout);
  forwarder.run();
}
