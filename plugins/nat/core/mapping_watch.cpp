// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/mapping_watch.h"

namespace junctor::nat {

namespace stun = rtp::stun;
using Kind = MappingWatch::Event::Kind;

std::vector<Outgoing> MappingWatch::poll(Time now) {
  if (!asking_) {
    if (now < next_) return {};
    asking_.emplace(now, options_.times);
    id_ = stun::random_transaction_id();
    next_ = now + options_.interval;
  }
  switch (asking_->step(now)) {
    case stun::Retransmission::Step::Send:
      return {{0, options_.server,
               stun::Writer(stun::Class::Request, stun::Method::Binding, id_).finish()}};
    case stun::Retransmission::Step::GiveUp:
      asking_.reset();
      if (!std::exchange(silent_, true)) event_ = Event{Kind::Silent, external_, std::nullopt};
      break;
    case stun::Retransmission::Step::Wait:
      break;
  }
  return {};
}

void MappingWatch::received(unsigned, const Endpoint &from, ByteSpan datagram, Time) {
  const auto message = stun::Message::parse(datagram);
  if (!asking_ || from != options_.server || !message || message->kind() != stun::Class::Success ||
      message->id() != id_)
    return;
  const auto seen = message->mapped_address();
  if (!seen) return;
  asking_.reset();
  const bool was_silent = std::exchange(silent_, false);
  const auto before = std::exchange(external_, seen);
  if (!before)
    event_ = Event{Kind::Seen, std::nullopt, seen};
  else if (*before != *seen)
    event_ = Event{Kind::Changed, before, seen};
  else if (was_silent)
    event_ = Event{Kind::Back, before, seen};
}

std::optional<Time> MappingWatch::next() const { return asking_ ? asking_->next() : next_; }

}  // namespace junctor::nat
