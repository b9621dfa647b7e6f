// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sfu/core/batch_socket.h"

#include <cerrno>

#include "sfu/core/address.h"

namespace junctor::sfu {

namespace {

/// 2 ms of 10 Gbit/s: what may come between two turns.
constexpr int kBuffer = 4 << 20;

/// Beyond the system's limit where we may, up to it where not.
void enlarge(int fd, int forced, int asked) {
  if (::setsockopt(fd, SOL_SOCKET, forced, &kBuffer, sizeof kBuffer) < 0)
    ::setsockopt(fd, SOL_SOCKET, asked, &kBuffer, sizeof kBuffer);
}

}  // namespace

Result<std::unique_ptr<BatchSocket>> BatchSocket::bind(const Endpoint &endpoint) {
  auto fd = bind_udp(endpoint);
  if (!fd) return fd.error();
  enlarge(fd->get(), SO_RCVBUFFORCE, SO_RCVBUF);
  enlarge(fd->get(), SO_SNDBUFFORCE, SO_SNDBUF);
  return std::unique_ptr<BatchSocket>(new BatchSocket(std::move(*fd)));
}

BatchSocket::BatchSocket(UniqueFd fd) : fd_(std::move(fd)), slab_(kBatch * kSlot) {
  int only = 1;
  socklen_t size = sizeof only;
  dual_ = local().address == "::" &&
          ::getsockopt(fd_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, &size) == 0 && only == 0;
  for (std::size_t i = 0; i < kBatch; ++i) {
    parts_[i] = {&slab_[i * kSlot], kSlot};
    messages_[i].msg_hdr.msg_name = &names_[i];
    messages_[i].msg_hdr.msg_iov = &parts_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
    datagrams_[i].from = &names_[i];
  }
}

std::span<const Datagram> BatchSocket::receive() {
  for (mmsghdr &message : messages_) message.msg_hdr.msg_namelen = sizeof(sockaddr_in6);
  int count;
  do {
    count = ::recvmmsg(fd_.get(), messages_.data(), kBatch, MSG_DONTWAIT, nullptr);
  } while (count < 0 && errno == EINTR);
  if (count <= 0) return {};
  for (int i = 0; i < count; ++i) {
    datagrams_[i].bytes = {&slab_[i * kSlot], messages_[i].msg_len};
    datagrams_[i].truncated = messages_[i].msg_hdr.msg_flags & MSG_TRUNC;
  }
  return {datagrams_.data(), static_cast<std::size_t>(count)};
}

int BatchSocket::send(mmsghdr *messages, unsigned count) {
  return ::sendmmsg(fd_.get(), messages, count, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool BatchSocket::send_one(const sockaddr_in6 &to, ByteSpan bytes) {
  return ::sendto(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                  reinterpret_cast<const sockaddr *>(&to),
                  raw_size(to)) == static_cast<ssize_t>(bytes.size());
}

}  // namespace junctor::sfu
