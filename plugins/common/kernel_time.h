// SPDX-License-Identifier: LGPL-2.1-or-later
// When the kernel got what a socket gives us.
#pragma once

#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstring>
#include <ctime>
#include <optional>

namespace junctor {

/// Room for the kernel's word in a msghdr.
struct KernelTimeSpace {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(timespec))> bytes;
  void attach(msghdr &header) {
    header.msg_control = bytes.data();
    header.msg_controllen = bytes.size();
  }
};

/// From now on kernel_time() finds something; not on every system.
inline void ask_for_kernel_times(int fd) {
  constexpr int kOn = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &kOn, sizeof kOn);
}

/// Since 1970, by the system's clock: when the datagram came, or the last bytes of a stream that
/// recvmsg(2) gave.
inline std::optional<std::chrono::nanoseconds> kernel_time(const msghdr &header) {
  auto &said = const_cast<msghdr &>(header);
  for (cmsghdr *each = CMSG_FIRSTHDR(&said); each != nullptr; each = CMSG_NXTHDR(&said, each)) {
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec stamp;
    std::memcpy(&stamp, CMSG_DATA(each), sizeof stamp);
    return std::chrono::seconds(stamp.tv_sec) + std::chrono::nanoseconds(stamp.tv_nsec);
  }
  return std::nullopt;
}

}  // namespace junctor
