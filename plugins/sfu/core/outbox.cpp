// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sfu/core/outbox.h"

#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sfu/core/address.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103  // since Linux 4.18; the C library may be older
#endif

namespace junctor::sfu {

namespace {

constexpr std::size_t kMostSegments = 64;   // of one message, in every kernel that can do it
constexpr std::size_t kMostBytes = 65'000;  // of one message, before it is cut up

}  // namespace

Outbox::Outbox(Send send) : send_(std::move(send)), copies_(kCopies) {
  for (Control &control : controls_) {
    msghdr header{};
    header.msg_control = control.bytes.data();
    header.msg_controllen = control.bytes.size();
    cmsghdr *word = CMSG_FIRSTHDR(&header);
    word->cmsg_level = SOL_UDP;
    word->cmsg_type = UDP_SEGMENT;
    word->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
  }
}

void Outbox::add(Destination &to, ByteSpan bytes, Class kind) {
  if (!to.listed_) {
    to.listed_ = true;
    listed_.push_back(&to);
  }
  to.parts_.push_back({const_cast<std::byte *>(bytes.data()), bytes.size()});
  to.kinds_.push_back(kind);
}

void Outbox::add_copy(Destination &to, ByteSpan bytes, Class kind, Time now) {
  if (bytes.size() > kCopies) return;
  if (copied_ + bytes.size() > kCopies) flush(now);
  const std::span<std::byte> place(&copies_[copied_], bytes.size());
  std::ranges::copy(bytes, place.begin());
  copied_ += bytes.size();
  add(to, place, kind);
}

void Outbox::flush(Time now) {
  for (Destination *to : listed_)
    if (to) gather(*to, now);
  send_gathered(now);
  for (Destination *to : listed_)
    if (to) finish(*to);
  listed_.clear();
  copied_ = 0;
}

void Outbox::gather(Destination &to, Time now) {
  for (std::size_t first = 0; first < to.parts_.size();) {
    const std::size_t size = to.parts_[first].iov_len;
    std::size_t count = 1, bytes = size;
    // Equal ones, and behind them one that is shorter.
    if (segments_ && size < to.segment_limit_)
      while (first + count < to.parts_.size() && count < kMostSegments &&
             to.parts_[first + count].iov_len <= size &&
             bytes + to.parts_[first + count].iov_len <= kMostBytes) {
        bytes += to.parts_[first + count].iov_len;
        if (to.parts_[first + count++].iov_len < size) break;
      }
    if (gathered_ == kMessages) send_gathered(now);
    msghdr &header = messages_[gathered_].msg_hdr;
    header = {};
    header.msg_name = &to.address;
    header.msg_namelen = raw_size(to.address);
    header.msg_iov = &to.parts_[first];
    header.msg_iovlen = count;
    if (count > 1) {
      Control &control = controls_[gathered_];
      header.msg_control = control.bytes.data();
      header.msg_controllen = control.bytes.size();
      const auto segment = static_cast<std::uint16_t>(size);
      std::memcpy(CMSG_DATA(CMSG_FIRSTHDR(&header)), &segment, sizeof segment);
    }
    groups_[gathered_++] = {&to, first, count};
    first += count;
  }
}

void Outbox::send_gathered(Time now) {
  std::size_t at = 0;
  while (at < gathered_ && !blocked_) {
    const int taken = send_(&messages_[at], static_cast<unsigned>(gathered_ - at));
    ++calls_;
    if (taken > 0) {
      for (const std::size_t end = at + static_cast<std::size_t>(taken); at < end; ++at)
        count(groups_[at]);
    } else if (taken == 0 || refused(at, errno, now)) {
      ++at;
    }
  }
  for (; at < gathered_; ++at) keep(groups_[at], now);
  gathered_ = 0;
}

bool Outbox::refused(std::size_t at, int error, Time now) {
  const Group &group = groups_[at];
  if (error == EINTR) return false;
  if (error == EAGAIN || error == EWOULDBLOCK) {
    blocked_ = true;
    return false;
  }
  if (group.count > 1 &&
      (error == EIO || error == EOPNOTSUPP || error == EINVAL || error == EMSGSIZE)) {
    // Either nothing can be cut up here, or the pieces are too large for this path.
    if (error == EIO || error == EOPNOTSUPP)
      segments_ = false;
    else
      group.to->segment_limit_ =
          std::min(group.to->segment_limit_, group.to->parts_[group.first].iov_len);
    send_one_by_one(group, now);
    return true;
  }
  group.to->counters.failed += group.count;
  return true;
}

void Outbox::send_one_by_one(const Group &group, Time now) {
  for (std::size_t i = group.first; i < group.first + group.count; ++i) {
    const Group one{group.to, i, 1};
    if (blocked_) {
      keep(one, now);
      continue;
    }
    mmsghdr message{};
    message.msg_hdr.msg_name = &group.to->address;
    message.msg_hdr.msg_namelen = raw_size(group.to->address);
    message.msg_hdr.msg_iov = &group.to->parts_[i];
    message.msg_hdr.msg_iovlen = 1;
    ++calls_;
    if (send_(&message, 1) == 1) {
      count(one);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      blocked_ = true;
      keep(one, now);
    } else {
      ++group.to->counters.failed;
    }
  }
}

void Outbox::keep(const Group &group, Time now) {
  for (std::size_t i = group.first; i < group.first + group.count; ++i) {
    const iovec &part = group.to->parts_[i];
    backlog_.push(*group.to, {static_cast<const std::byte *>(part.iov_base), part.iov_len},
                  group.to->kinds_[i], now);
  }
}

void Outbox::count(const Group &group) {
  ++messages_sent_;
  group.to->counters.packets += group.count;
  for (std::size_t i = group.first; i < group.first + group.count; ++i)
    group.to->counters.bytes += group.to->parts_[i].iov_len;
}

void Outbox::finish(Destination &to) {
  to.parts_.clear();
  to.kinds_.clear();
  to.listed_ = false;
}

void Outbox::writable(Time now) {
  blocked_ = false;
  while (const auto packet = backlog_.front(now)) {
    auto &to = static_cast<Destination &>(*packet->owner);
    iovec part{const_cast<std::byte *>(packet->bytes.data()), packet->bytes.size()};
    mmsghdr message{};
    message.msg_hdr.msg_name = &to.address;
    message.msg_hdr.msg_namelen = raw_size(to.address);
    message.msg_hdr.msg_iov = &part;
    message.msg_hdr.msg_iovlen = 1;
    ++calls_;
    if (send_(&message, 1) == 1) {
      ++messages_sent_;
      ++to.counters.packets;
      to.counters.bytes += part.iov_len;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      blocked_ = true;
      return;
    } else {
      ++to.counters.failed;
    }
    backlog_.pop();
  }
}

void Outbox::forget(Destination &destination) {
  backlog_.forget(destination);
  // Never while it is gathered: messages are built and sent within flush().
  std::ranges::replace(listed_, &destination, static_cast<Destination *>(nullptr));
  finish(destination);
}

}  // namespace junctor::sfu
