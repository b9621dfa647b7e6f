// SPDX-License-Identifier: LGPL-2.1-or-later
// Takes the RTP of many calls, counts it, and measures how old pictures are when they are complete.
// It looks each 5 ms, and learns from the kernel when a packet came: a receiver that sleeps on its
// sockets would be woken by the sender, at the sender's cost, which no receiver elsewhere is.
#include <arpa/inet.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "load/stamp.h"

namespace junctor::bench {
namespace {

int bind_udp(int port) {
  const int made = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int size = 1 << 20;
  const int on = 1;
  ::setsockopt(made, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  ::setsockopt(made, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_port = htons(static_cast<std::uint16_t>(port));
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(made, reinterpret_cast<sockaddr *>(&here), sizeof here) < 0) {
    std::fprintf(stderr, "sinks: port %d: %s\n", port, std::strerror(errno));
    std::exit(1);
  }
  return made;
}

struct Stream {
  int socket = -1;
  bool video = false;
  std::uint64_t packets = 0, lost = 0, stamp = 0;
  int next = -1;
};

/// Counts since the last SIGUSR1.
struct Figures {
  std::uint64_t audio_packets = 0, video_packets = 0, pictures = 0, lost = 0;
  std::vector<float> latencies;  // ms
};

class Sinks {
 public:
  Sinks(int first, int calls) {
    for (int call = 0; call < calls; ++call)
      for (int medium = 0; medium < 2; ++medium) {
        const int port = first + 4 * call + 2 * medium;
        auto stream = std::make_unique<Stream>();
        stream->socket = bind_udp(port);
        stream->video = medium == 1;
        bind_udp(port + 1);  // RTCP: taken, not looked at
        streams_.push_back(std::move(stream));
      }
    for (std::size_t i = 0; i < kBatch; ++i) {
      parts_[i] = {bytes_[i].data(), bytes_[i].size()};
      messages_[i].msg_hdr.msg_iov = &parts_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
      messages_[i].msg_hdr.msg_control = arrivals_[i].data();
    }
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    signals_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  }

  void run() {
    std::puts("ready");
    std::fflush(stdout);
    for (;;) {
      constexpr timespec kPause{0, 5'000'000};
      ::nanosleep(&kPause, nullptr);
      for (const auto &stream : streams_) receive(*stream);
      signalled();
    }
  }

 private:
  static std::uint64_t arrival(msghdr &header) {
    const cmsghdr *control = CMSG_FIRSTHDR(&header);
    if (control == nullptr || control->cmsg_type != SCM_TIMESTAMPNS) return 0;
    timespec time{};
    std::memcpy(&time, CMSG_DATA(control), sizeof time);
    return to_ns(time);
  }

  void receive(Stream &stream) {
    for (mmsghdr &message : messages_) message.msg_hdr.msg_controllen = kControl;
    const int count = ::recvmmsg(stream.socket, messages_.data(), kBatch, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < count; ++i) {
      const std::uint8_t *packet = bytes_[i].data();
      const std::size_t size = messages_[i].msg_len;
      if (size < 12) continue;
      const int sequence = packet[2] << 8 | packet[3];
      if (stream.next >= 0) {
        const auto gap = static_cast<std::int16_t>(sequence - stream.next);
        if (gap > 0) figures_.lost += static_cast<std::uint64_t>(gap);
      }
      stream.next = (sequence + 1) & 0xFFFF;
      if (!stream.video) {
        ++figures_.audio_packets;
        continue;
      }
      ++figures_.video_packets;
      if (const void *mark =
              size < 256 ? ::memmem(packet, size, kStampMark.data(), kStampMark.size()) : nullptr) {
        const char *digits = static_cast<const char *>(mark) + kStampMark.size();
        stream.stamp = std::strtoull(std::string(digits, kStampDigits).c_str(), nullptr, 16);
      }
      if (packet[1] & 0x80) {
        ++figures_.pictures;
        const std::uint64_t at = arrival(messages_[i].msg_hdr);
        if (stream.stamp && at)
          figures_.latencies.push_back(static_cast<float>(
              static_cast<double>(static_cast<std::int64_t>(at - stream.stamp)) / 1e6));
        stream.stamp = 0;
      }
    }
  }

  /// SIGUSR1: begin to count anew. SIGUSR2: tell.
  void signalled() {
    signalfd_siginfo info{};
    if (::read(signals_, &info, sizeof info) != sizeof info) return;
    if (info.ssi_signo == SIGUSR1) {
      figures_ = {};
      return;
    }
    auto &all = figures_.latencies;
    std::sort(all.begin(), all.end());
    const auto at = [&](double share) {
      return all.empty() ? -1.0
                         : all[std::min(all.size() - 1, std::size_t(share * double(all.size())))];
    };
    std::printf(
        "{\"audio_packets\": %llu, \"video_packets\": %llu, \"pictures\": %llu, "
        "\"lost\": %llu, \"stamped\": %zu, \"median_ms\": %.3f, \"p99_ms\": %.3f, "
        "\"max_ms\": %.3f}\n",
        static_cast<unsigned long long>(figures_.audio_packets),
        static_cast<unsigned long long>(figures_.video_packets),
        static_cast<unsigned long long>(figures_.pictures),
        static_cast<unsigned long long>(figures_.lost), all.size(), at(0.5), at(0.99), at(1.0));
    std::fflush(stdout);
  }

  static constexpr std::size_t kBatch = 32;
  static constexpr std::size_t kControl = CMSG_SPACE(sizeof(timespec));
  int signals_ = -1;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::array<std::array<std::uint8_t, 2048>, kBatch> bytes_;
  std::array<iovec, kBatch> parts_;
  struct alignas(cmsghdr) Control : std::array<std::byte, kControl> {};
  std::array<Control, kBatch> arrivals_;
  std::array<mmsghdr, kBatch> messages_{};
  Figures figures_;
};

}  // namespace
}  // namespace junctor::bench

int main(int count, char **arguments) {
  if (count != 3) {
    std::fputs("usage: sinks FIRST-PORT CALLS   (four ports a call: audio, RTCP, video, RTCP)\n",
               stderr);
    return 2;
  }
  junctor::bench::Sinks(std::atoi(arguments[1]), std::atoi(arguments[2])).run();
}
