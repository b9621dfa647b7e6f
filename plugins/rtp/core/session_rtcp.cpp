// SPDX-License-Identifier: LGPL-2.1-or-later
// Reports and feedback, both ways.
#include <sys/socket.h>

#include <algorithm>

#include "rtp/core/session_core.h"

namespace junctor::rtp {

namespace {

constexpr Duration kKeyframeRequestPause = std::chrono::milliseconds(500);
// What the peer asks for is passed on at most so often; encoders pay for each.
constexpr Duration kKeyframeTellPause = std::chrono::milliseconds(500);
constexpr std::size_t kMaxNackSequences = 64;
constexpr int kMaxNackTimes = 3;
constexpr Duration kLeastNackPause = std::chrono::milliseconds(15);

}  // namespace

void SessionCore::on_rtcp(ByteSpan datagram, const sockaddr_storage &source, int fd, Time now) {
  if (!remote_.live || (stream_.srtp && !encrypted_)) return;
  const bool named = rtcp_destination_ && same_host(*rtcp_destination_, source);
  if (!latch_.same_host(source) && !named) {
    ++counted_.strangers;
    return;
  }
  const auto items = rtcp::parse(datagram);
  if (!items) {
    ++counted_.malformed;
    return;
  }
  // Symmetric as well: reports go where the peer's come from.
  if (fd == rtcp_.get() && rtcp_destination_) rtcp_destination_ = source;
  for (const rtcp::Item &item : *items) {
    std::visit([&](const auto &content) { on_item(content, now); }, item);
    if (closed_) return;
  }
}

void SessionCore::on_item(const rtcp::SenderReport &report, Time now) {
  peer_report_ = PeerReport{report.ssrc, report.rtp_timestamp, report.ntp};
  if (reception_ && reception_->ssrc() == report.ssrc)
    reception_->on_sender_report(report.ntp, now);
  on_blocks(report.blocks, now);
}

void SessionCore::on_item(const rtcp::ReceiverReport &report, Time now) {
  on_blocks(report.blocks, now);
}

void SessionCore::on_blocks(const std::vector<rtcp::ReportBlock> &blocks, Time now) {
  for (const rtcp::ReportBlock &block : blocks) {
    if (block.ssrc != ssrc_) continue;
    counted_.remote_fraction_lost = block.fraction_lost / 256.0;
    if (const auto trip = round_trip(block, ntp(now))) {
      round_trip_ = *trip;
      reorder_.wait().set_repair(stream_.nack, round_trip_);
      counted_.round_trip_ms = std::chrono::duration<double, std::milli>(*trip).count();
    }
  }
}

void SessionCore::on_item(const rtcp::Bye &bye, Time) {
  if (!source_ || std::ranges::find(bye.ssrcs, *source_) == bye.ssrcs.end()) return;
  // Whoever speaks next is taken at its first packet.
  source_.reset();
  candidate_.reset();
  peer_report_.reset();
  if (const auto listener = listener_.lock()) listener->on_bye();
}

void SessionCore::on_item(const rtcp::Pli &pli, Time now) {
  if (pli.media == ssrc_ || pli.media == 0) peer_wants_keyframe(now);
}

void SessionCore::on_item(const rtcp::Fir &fir, Time now) {
  if (fir.media != ssrc_) return;
  // Numbers are each sender's own (RFC 5104 section 4.3.1.1); a repetition asks nothing new.
  const PeerFir asked{fir.sender, fir.request};
  if (peer_fir_ == asked) return;
  peer_fir_ = asked;
  peer_wants_keyframe(now);
}

void SessionCore::on_item(const rtcp::Nack &nack, Time now) {
  if (nack.media != ssrc_) return;
  ++counted_.nacks_received;
  resend(nack.lost, now);
}

void SessionCore::peer_wants_keyframe(Time now) {
  ++counted_.keyframe_requests_received;
  if (last_told_ && now - *last_told_ < kKeyframeTellPause) {
    tell_timer_ = reactor_->at(*last_told_ + kKeyframeTellPause,
                               [self = this] { self->tell_keyframe_request(); });
    return;
  }
  tell_keyframe_request();
}

void SessionCore::tell_keyframe_request() {
  const auto self = shared_from_this();
  last_told_ = reactor_->now();
  tell_timer_.reset();
  if (const auto listener = listener_.lock()) listener->on_keyframe_request();
}

bool SessionCore::request_keyframe() {
  if (closed_ || !configured_ || !(stream_.pli || stream_.fir)) return false;
  const Time now = reactor_->now();
  if (last_keyframe_request_ && now - *last_keyframe_request_ < kKeyframeRequestPause) {
    // Not forgotten: the picture may have broken after the last request was met.
    if (!keyframe_wanted_)
      keyframe_timer_ = reactor_->at(*last_keyframe_request_ + kKeyframeRequestPause, [this] {
        const auto self = shared_from_this();
        if (keyframe_wanted_) send_keyframe_request();
      });
    keyframe_wanted_ = true;
    return true;
  }
  send_keyframe_request();
  return true;
}

void SessionCore::send_keyframe_request() {
  keyframe_wanted_ = !source_.has_value();  // asked when there is somebody to ask
  if (keyframe_wanted_ || closed_) return;
  last_keyframe_request_ = reactor_->now();
  Bytes compound = begin_compound(reactor_->now());
  if (stream_.pli)
    rtcp::append(compound, rtcp::Pli{ssrc_, *source_});
  else
    rtcp::append(compound, rtcp::Fir{ssrc_, *source_, fir_sequence_++});
  ++counted_.keyframe_requests_sent;
  send_rtcp(compound);
  publish();
}

void SessionCore::send_nack(Time now) {
  if (!reorder_.wait().may_repair() || !source_ || !reorder_.deadline()) return;
  rtcp::Nack nack{ssrc_, *source_, {}};
  const Duration pause = std::max(round_trip_ * 3 / 2, kLeastNackPause);
  // Those alone that are missing still: the others' numbers may be lost anew when they come round.
  std::map<std::uint16_t, Asked> missing;
  for (const std::uint16_t sequence : reorder_.missing(kMaxNackSequences)) {
    auto known = asked_.extract(sequence);
    Asked &asked = known ? missing.insert(std::move(known)).position->second : missing[sequence];
    if (asked.times >= kMaxNackTimes || (asked.times > 0 && now - asked.when < pause)) continue;
    asked.when = now;
    ++asked.times;
    nack.lost.push_back(sequence);
  }
  asked_ = std::move(missing);
  if (nack.lost.empty()) return;
  Bytes compound = begin_compound(now);
  rtcp::append(compound, nack);
  ++counted_.nacks_sent;
  send_rtcp(compound);
}

void SessionCore::schedule_report(Duration mean) {
  report_timer_ = reactor_->after(report_delay(mean, random()), [this] {
    const auto self = shared_from_this();
    send_report();
  });
}

Bytes SessionCore::begin_compound(Time now) {
  Bytes compound;
  std::vector<rtcp::ReportBlock> blocks;
  if (reception_ && source_ == reception_->ssrc()) blocks.push_back(reception_->report(now));
  const auto timestamp = timeline_.at(now, stream_.clock_rate);
  // A sender is who sent since the report before the last (RFC 3550 section 6.4).
  if (timestamp && counted_.sent_packets > sent_at_report_before_) {
    rtcp::append(compound, rtcp::SenderReport{ssrc_, ntp(now), *timestamp,
                                              static_cast<std::uint32_t>(counted_.sent_packets),
                                              sent_payload_octets_, std::move(blocks)});
  } else {
    rtcp::append(compound, rtcp::ReceiverReport{ssrc_, std::move(blocks)});
  }
  rtcp::append(compound, rtcp::SourceDescription{ssrc_, options_.cname});
  return compound;
}

void SessionCore::send_report() {
  send_rtcp(begin_compound(reactor_->now()));
  first_report_sent_ = true;
  sent_at_report_before_ = sent_at_last_report_;
  sent_at_last_report_ = counted_.sent_packets;
  schedule_report(options_.report_interval);
}

void SessionCore::send_rtcp(const Bytes &compound) {
  if (closed_ || !remote_.live || (stream_.srtp && !encrypted_)) return;
  const bool multiplexed = remote_.rtcp == remote_.rtp;
  // Held by an address of nowhere the peer wants no RTCP either (RFC 3264 section 8.4).
  const bool wanted = rtcp_destination_ && to_destination(remote_.rtcp);
  const sockaddr_storage *destination = multiplexed ? latch_.destination()
                                        : wanted    ? &*rtcp_destination_
                                                    : nullptr;
  if (destination == nullptr) return;
  ByteSpan packet = compound;
  Bytes encrypted;
  if (encrypted_) {
    std::size_t size = compound.size();
    encrypted = compound;
    encrypted.resize(size + Srtp::kMaxTrailer);
    if (!srtp_->protect_rtcp(encrypted, size)) return;
    packet = ByteSpan(encrypted).first(size);
  }
  // A report lost here is like one lost on the way.
  [[maybe_unused]] const auto sent =
      ::sendto(multiplexed ? rtp_.get() : rtcp_.get(), packet.data(), packet.size(),
               MSG_DONTWAIT | MSG_NOSIGNAL, reinterpret_cast<const sockaddr *>(destination),
               sockaddr_length(*destination));
}

}  // namespace junctor::rtp
