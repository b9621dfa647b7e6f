// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/stream_socket.h"

#include <cstring>

#include "common/kernel_time.h"

namespace junctor {

StreamSocket::StreamSocket(UniqueFd fd) : fd_(std::move(fd)) { ask_for_kernel_times(fd_.get()); }

ssize_t StreamSocket::receive(std::span<std::byte> into) {
  iovec vector{into.data(), into.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  KernelTimeSpace space;
  space.attach(message);
  const ssize_t got = ::recvmsg(fd(), &message, MSG_DONTWAIT);
  waited_.reset();
  if (got <= 0) return got;
  if (const auto came = kernel_time(message))
    waited_ = std::chrono::system_clock::now().time_since_epoch() - *came;
  return got;
}

ssize_t StreamSocket::send(const msghdr &message) {
  return ::sendmsg(fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool StreamSocket::end_sending() { return ::shutdown(fd(), SHUT_WR) == 0; }

std::string StreamSocket::failure(int error) const { return std::strerror(error); }

}  // namespace junctor
