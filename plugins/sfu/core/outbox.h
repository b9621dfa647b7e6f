// SPDX-License-Identifier: LGPL-2.1-or-later
// What one turn has to send, gathered by destination.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "common/bytes.h"
#include "common/clock.h"
#include "sfu/core/backlog.h"

namespace junctor::sfu {

/// A peer to send to. Must be forgotten by its outbox before it goes.
struct Destination : Backlog::Owner {
  sockaddr_in6 address{};  ///< of either family

 private:
  friend class Outbox;
  std::vector<iovec> parts_;  // of this turn
  std::vector<Class> kinds_;
  std::size_t segment_limit_ = SIZE_MAX;  // packets as large as this leave one by one
  bool listed_ = false;
};

/// Sends by sendmmsg(2), runs of packets of one size to one destination as one message that the
/// kernel or the card cuts up (UDP_SEGMENT), where the system can do that; packets that cannot
/// leave go through a Backlog. One thread. Allocates nothing for a packet once it has run for a
/// while.
class Outbox {
 public:
  /// Like sendmmsg(2): how many were taken, or -1 and errno.
  using Send = std::function<int(mmsghdr *messages, unsigned count)>;

  explicit Outbox(Send send);
  Outbox(const Outbox &) = delete;
  Outbox &operator=(const Outbox &) = delete;

  /// The bytes must stay where they are until the next flush().
  void add(Destination &to, ByteSpan bytes, Class kind);
  /// Copies the bytes; flushes first where its room for them is used up.
  void add_copy(Destination &to, ByteSpan bytes, Class kind, Time now);
  /// Everything added leaves, waits in the backlog, or is given up.
  void flush(Time now);

  /// Whether the system took no more: call writable() when it may take some again.
  bool blocked() const { return blocked_; }
  void writable(Time now);

  /// What is added and waits for it is gone.
  void forget(Destination &destination);
  void use_segments(bool on) { segments_ = on; }
  std::uint64_t calls() const { return calls_; }
  std::uint64_t messages() const { return messages_sent_; }

 private:
  static constexpr std::size_t kMessages = 64;
  static constexpr std::size_t kCopies = 64UL * 1024;  // bytes
  struct Group {                                       // one message
    Destination *to = nullptr;
    std::size_t first = 0, count = 0;  // of its parts
  };

  void gather(Destination &to, Time now);
  void send_gathered(Time now);
  /// Where the one at `at` was refused; false if nothing more is to be tried.
  bool refused(std::size_t at, int error, Time now);
  void send_one_by_one(const Group &group, Time now);
  void keep(const Group &group, Time now);
  void count(const Group &group);
  void finish(Destination &to);

  Send send_;
  std::vector<Destination *> listed_;
  std::vector<std::byte> copies_;
  std::size_t copied_ = 0;
  std::array<mmsghdr, kMessages> messages_{};
  std::array<Group, kMessages> groups_{};
  struct Control {
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(std::uint16_t))> bytes;
  };
  std::array<Control, kMessages> controls_{};
  std::size_t gathered_ = 0;
  Backlog backlog_;
  bool blocked_ = false, segments_ = true;
  std::uint64_t calls_ = 0, messages_sent_ = 0;
};

}  // namespace junctor::sfu
