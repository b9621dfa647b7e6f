// SPDX-License-Identifier: LGPL-2.1-or-later
// A UDP socket that is read and written many datagrams at a time.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "common/bytes.h"
#include "common/endpoint.h"
#include "common/handle.h"
#include "common/result.h"
#include "sfu/core/datagram.h"

namespace junctor::sfu {

/// One thread.
class BatchSocket {
 public:
  static constexpr std::size_t kBatch = 64;  ///< datagrams read by one system call
  /// Bytes: more than Ethernet carries. No power of two, or all headers would fall into the same
  /// few lines of the processor's cache.
  static constexpr std::size_t kSlot = 1600;

  /// Non-blocking, with room for the bursts between two turns of a busy reactor, as far as the
  /// system allows it.
  static Result<std::unique_ptr<BatchSocket>> bind(const Endpoint &endpoint);

  /// What has come, at most kBatch; empty when there is nothing. Valid until the next call.
  std::span<const Datagram> receive();
  /// Like sendmmsg(2).
  int send(mmsghdr *messages, unsigned count);
  /// One datagram, now or never.
  bool send_one(const sockaddr_in6 &to, ByteSpan bytes);

  int fd() const { return fd_.get(); }
  /// Bound to "::": IPv4 comes and goes as mapped addresses, unless the system keeps them apart.
  bool is_dual() const { return dual_; }
  Endpoint local() const { return local_endpoint(fd_.get()); }

 private:
  explicit BatchSocket(UniqueFd fd);

  UniqueFd fd_;
  bool dual_ = false;
  std::vector<std::byte> slab_;
  std::array<sockaddr_in6, kBatch> names_{};
  std::array<iovec, kBatch> parts_{};
  std::array<mmsghdr, kBatch> messages_{};
  std::array<Datagram, kBatch> datagrams_{};
};

}  // namespace junctor::sfu
