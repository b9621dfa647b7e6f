// SPDX-License-Identifier: LGPL-2.1-or-later
// Streams of RTP out of sockets that are given to it, and receivers that count.
//
// Lines on standard input: "stream FD PORT PREFIX" (bytes in front of each packet, in hex, or -),
// "sink FD", "go SIZE RATE" (packets of SIZE bytes, RATE a second from each stream), and from then
// on "count", which is answered by "SENT RECEIVED".
#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Stream {
  int fd = -1;
  sockaddr_in to{};
  std::vector<unsigned char> prefix;
  std::uint16_t sequence = 0;
  double sent = 0;  // packets, since the start
};

std::vector<Stream> streams;
std::vector<int> sinks;
std::atomic<std::uint64_t> sent = 0, received = 0;
std::atomic<bool> going = true;

// Looks at its sockets each millisecond: waking it would be on the account of who is measured. Of
// each packet only the first bytes are copied.
void count_packets() {
  constexpr unsigned kBatch = 256;
  std::array<std::array<unsigned char, 16>, kBatch> bytes;
  std::array<iovec, kBatch> parts;
  std::array<mmsghdr, kBatch> messages{};
  for (unsigned i = 0; i < kBatch; ++i) {
    parts[i] = {bytes[i].data(), bytes[i].size()};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  while (going) {
    for (const int fd : sinks) {
      int count;
      do {
        count = ::recvmmsg(fd, messages.data(), kBatch, MSG_DONTWAIT, nullptr);
        for (int i = 0; i < count; ++i)
          // Of STUN and RTCP, which may come in between, nothing is counted.
          received += (bytes[i][0] & 0xc0) == 0x80 && (bytes[i][1] & 0x7f) == 96;
      } while (count == static_cast<int>(kBatch));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(sinks.size() > 50 ? 4 : 1));
  }
}

// Small bursts: rtpengine 10.5 looks away after 50 packets, and never again at a socket whose
// buffer was full then.
void send_packets(std::size_t size, double rate) {
  constexpr unsigned kBatch = 32;
  constexpr auto kTick = std::chrono::microseconds(250);
  std::vector<unsigned char> packets(kBatch * (size + 8), 0x5a);
  std::array<iovec, kBatch> parts{};
  std::array<mmsghdr, kBatch> messages{};
  const auto start = Clock::now();
  // Streams of a call a packet each 20 ms do not all send at one moment.
  for (std::size_t i = 0; i < streams.size(); ++i)
    streams[i].sent = -static_cast<double>(i) / static_cast<double>(streams.size());
  auto next = start;
  while (going) {
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    for (std::size_t s = 0; s < streams.size(); ++s) {
      Stream &stream = streams[s];
      unsigned count = 0;
      for (; stream.sent + count + 1 <= seconds * rate && count < kBatch; ++count) {
        unsigned char *packet = &packets[count * (size + 8)];
        std::memcpy(packet, stream.prefix.data(), stream.prefix.size());
        unsigned char *rtp = packet + stream.prefix.size();
        const std::uint32_t head = htonl(0x80600000u | stream.sequence);
        const std::uint32_t time = htonl(stream.sequence * 160u), ssrc = htonl(0x1000u + s);
        ++stream.sequence;
        std::memcpy(rtp, &head, 4);
        std::memcpy(rtp + 4, &time, 4);
        std::memcpy(rtp + 8, &ssrc, 4);
        parts[count] = {packet, stream.prefix.size() + size};
        messages[count].msg_hdr = {&stream.to, sizeof stream.to, &parts[count], 1, nullptr, 0, 0};
      }
      for (unsigned at = 0; at < count;) {
        const int taken = ::sendmmsg(stream.fd, &messages[at], count - at, 0);
        at += taken > 0 ? static_cast<unsigned>(taken) : 1;
        sent += taken > 0 ? static_cast<unsigned>(taken) : 0;
      }
      stream.sent += count;
    }
    next = std::max(next + kTick, Clock::now() - std::chrono::milliseconds(5));
    std::this_thread::sleep_until(next);
  }
}

}  // namespace

int main() {
  std::string word;
  while (std::cin >> word && word != "go") {
    if (word == "stream") {
      Stream stream;
      int port = 0;
      std::string prefix;
      std::cin >> stream.fd >> port >> prefix;
      stream.to.sin_family = AF_INET;
      stream.to.sin_port = htons(static_cast<std::uint16_t>(port));
      stream.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      for (std::size_t i = 0; prefix != "-" && i + 1 < prefix.size(); i += 2)
        stream.prefix.push_back(
            static_cast<unsigned char>(std::stoi(prefix.substr(i, 2), nullptr, 16)));
      streams.push_back(std::move(stream));
    } else if (word == "sink") {
      sinks.emplace_back();
      std::cin >> sinks.back();
    }
  }
  std::size_t size = 0;
  double rate = 0;
  std::cin >> size >> rate;
  std::thread receiver(count_packets), sender(send_packets, size, rate);
  while (std::cin >> word)
    if (word == "count") {
      std::cout << sent << ' ' << received << std::endl;
    }
  going = false;
  receiver.join();
  sender.join();
}
