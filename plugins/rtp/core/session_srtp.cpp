// SPDX-License-Identifier: LGPL-2.1-or-later
// Encryption of what a session sends, decryption of what it receives.
#include "rtp/core/session_core.h"

namespace junctor::rtp {

bool SessionCore::use_srtp(const std::optional<SrtpKeys> &keys) {
  const bool same = encrypted_ ? keys && keys->local == srtp_->keys().local : !keys;
  if (!same) {
    // What is in clear, or under a key that was, leaves no more.
    counted_.dropped += queue_.size();
    queue_.clear();
    queued_since_.reset();
    history_.clear();
  }
  Result<void> done;
  if (!keys) {
    encrypted_ = false;
    return true;
  }
  if (srtp_) {
    done = srtp_->renew(*keys);
  } else if (auto made = Srtp::make(*keys); made) {
    srtp_ = std::move(*made);
  } else {
    done = made.error();
  }
  encrypted_ = static_cast<bool>(done);
  if (!done) log(LogLevel::Error, done.error().detail + "; the medium stays silent");
  return encrypted_;
}

bool SessionCore::decrypt(std::span<std::byte> datagram, unsigned &size, int fd) {
  const auto packet = datagram.first(size);
  const bool rtcp = fd == rtcp_.get() || looks_like_rtcp(packet);
  std::size_t opened = size;
  const auto verdict =
      rtcp ? srtp_->unprotect_rtcp(packet, opened) : srtp_->unprotect_rtp(packet, opened);
  if (verdict == Srtp::Verdict::Authentic) {
    size = static_cast<unsigned>(opened);
    if (srtp_->forgotten() > 0 && !std::exchange(srtp_bound_told_, true))
      log(LogLevel::Warning, "SRTP: on port " + std::to_string(port_) + " more than " +
                                 std::to_string(Srtp::kMaxSources) +
                                 " sources (SSRC) have been heard; those heard longest ago are "
                                 "forgotten");
    return true;
  }
  if (verdict == Srtp::Verdict::Replayed) {
    ++counted_.replayed;
    return false;
  }
  ++counted_.unauthenticated;
  if (!srtp_failure_told_)
    log(LogLevel::Warning, std::string("SRTP: ") + (rtcp ? "RTCP" : "RTP") + " came to port " +
                               std::to_string(port_) +
                               " that does not authenticate: it is not encrypted, or under another "
                               "key than the one agreed on; such packets are dropped and counted");
  srtp_failure_told_ = true;
  return false;
}

bool SessionCore::decrypt(SharedBytes &datagram, int fd) {
  Bytes copy(datagram.view.begin(), datagram.view.end());
  auto size = static_cast<unsigned>(copy.size());
  if (!decrypt(copy, size, fd)) return false;
  copy.resize(size);
  datagram = SharedBytes::own(std::move(copy));
  return true;
}

bool SessionCore::encrypt(WirePacket &packet) {
  const std::size_t plain = packet.size();
  std::size_t size = plain;
  Bytes bytes;
  bytes.reserve(plain + Srtp::kMaxTrailer);
  bytes.insert(bytes.end(), packet.head.begin(), packet.head.begin() + packet.head_size);
  bytes.insert(bytes.end(), packet.payload.view.begin(), packet.payload.view.end());
  bytes.resize(plain + Srtp::kMaxTrailer);
  if (!srtp_->protect_rtp(bytes, size)) return false;
  bytes.resize(size);
  packet.trailer_size = static_cast<std::uint8_t>(size - plain);
  packet.head_size = kFixedHeaderSize;  // which SRTP leaves in clear
  packet.payload = SharedBytes::own(std::move(bytes)).from(kFixedHeaderSize);
  return true;
}

}  // namespace junctor::rtp
