// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/stream_socket.h"

#include <cstring>

namespace junctor {

ssize_t StreamSocket::receive(std::span<std::byte> into) {
  return ::recv(fd(), into.data(), into.size(), MSG_DONTWAIT);
}

ssize_t StreamSocket::send(const msghdr &message) {
  return ::sendmsg(fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool StreamSocket::end_sending() { return ::shutdown(fd(), SHUT_WR) == 0; }

std::string StreamSocket::failure(int error) const { return std::strerror(error); }

}  // namespace junctor
