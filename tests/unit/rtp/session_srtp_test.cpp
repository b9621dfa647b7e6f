// SPDX-License-Identifier: LGPL-2.1-or-later
// Sessions whose media is encrypted.
#include <gmock/gmock.h>

#include "rtp/core/session.h"
#include "session_fixture.h"

namespace junctor::rtp::test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr SrtpSuite kSuite = SrtpSuite::AesCm128HmacSha1_80;
constexpr std::string_view kMedia = "media that nobody else may read";

std::string_view text(const Bytes &bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

class EncryptedSession : public SessionTest {
 protected:
  SrtpKey ours_ = SrtpKey::random(kSuite), theirs_ = SrtpKey::random(kSuite);
  Wire wire_;
  std::shared_ptr<Session> session_ = open();
  std::shared_ptr<Listener> listener_ = listen(*session_);
  /// The peer's side, for what is sent by hand.
  std::unique_ptr<Srtp> peer_ = *Srtp::make({theirs_, ours_});

  Stream encrypted() const {
    Stream stream = SessionTest::stream();
    stream.srtp = SrtpKeys{ours_, theirs_};
    return stream;
  }
  void configure() {
    session_->configure(encrypted(), remote(wire_.endpoint()));
    settle();
  }
  Bytes from_peer(Bytes packet, bool rtcp = false) {
    std::size_t size = packet.size();
    packet.resize(size + Srtp::kMaxTrailer);
    EXPECT_TRUE(rtcp ? peer_->protect_rtcp(packet, size) : peer_->protect_rtp(packet, size));
    packet.resize(size);
    return packet;
  }
  Bytes rtp(std::uint16_t sequence, std::uint32_t ssrc = 7) {
    return build_packet({kPayloadType, false, sequence, 0, ssrc}, as_bytes("media"));
  }
};

TEST_F(EncryptedSession, MediaReportsAndRequestsGoBothWays) {
  const auto other = open();
  const auto heard = listen(*other);
  Stream stream = encrypted();
  session_->configure(stream, remote(*other));
  std::swap(stream.srtp->local, stream.srtp->remote);
  other->configure(stream, remote(*session_));
  settle();
  std::vector<OutgoingPacket> packets(40, packet(0, kMedia));
  packets[7].prefix = {std::byte{'a'}, std::byte{'b'}};
  packets[7].prefix_size = 2;
  session_->send(packets);
  ASSERT_TRUE(until([&] { return heard->packets.size() == 40; }));
  EXPECT_EQ(text_of(heard->packets[0]), kMedia);
  EXPECT_EQ(text_of(heard->packets[7]), "ab" + std::string(kMedia));
  EXPECT_TRUE(other->request_keyframe());
  ASSERT_TRUE(until([&] { return listener_->keyframe_requests == 1; }));
  session_->close();
  ASSERT_TRUE(until([&] { return heard->byes == 1; }));
  EXPECT_EQ(other->stats().unauthenticated, 0u);
  EXPECT_EQ(other->stats().malformed, 0u);
}

TEST_F(EncryptedSession, NothingLeavesInClear) {
  configure();
  const std::array packets{packet(0, kMedia), packet(0, kMedia)};
  session_->send(packets);
  settle();
  int seen = 0, reports = 0;
  for (Bytes bytes = wire_.receive(); !bytes.empty(); bytes = wire_.receive()) {
    EXPECT_THAT(text(bytes), Not(HasSubstr("media")));
    EXPECT_THAT(text(bytes), Not(HasSubstr("test")));  // the canonical name of the reports
    std::size_t size = bytes.size();
    const bool rtcp = looks_like_rtcp(bytes);
    const auto verdict =
        rtcp ? peer_->unprotect_rtcp(bytes, size) : peer_->unprotect_rtp(bytes, size);
    EXPECT_EQ(verdict, Srtp::Verdict::Authentic);
    ++(rtcp ? reports : seen);
  }
  EXPECT_EQ(seen, 2);
  EXPECT_EQ(reports, 1);
  const Stats stats = session_->stats();
  EXPECT_EQ(stats.sent_bytes, 2 * (12 + kMedia.size() + 10));
}

TEST_F(EncryptedSession, WhatIsSentAgainIsTheSamePacket) {
  configure();
  session_->send(std::array{packet(0, kMedia)});
  settle();
  Bytes first = wire_.receive();
  while (looks_like_rtcp(first)) first = wire_.receive();
  const auto view = *parse_packet(first);
  Bytes nack;
  rtcp::append(nack, rtcp::ReceiverReport{7, {}});
  rtcp::append(nack, rtcp::Nack{7, session_->ssrc(), {view.header.sequence}});
  ASSERT_TRUE(until([&] {
    wire_.send(session_->port(), from_peer(nack, true));
    settle();
    return session_->stats().retransmitted > 0;
  }));
  Bytes second = wire_.receive();
  while (!second.empty() && looks_like_rtcp(second)) second = wire_.receive();
  EXPECT_EQ(second, first);
}

TEST_F(EncryptedSession, OnlyWhatAuthenticatesIsLatchedOnto) {
  configure();
  Wire stranger;
  // From the named host, and early: plain RTP would latch.
  for (std::uint16_t i = 0; i < 5; ++i) stranger.send(session_->port(), rtp(i, 9));
  ASSERT_TRUE(until([&] { return session_->stats().unauthenticated == 5; }));
  EXPECT_TRUE(listener_->packets.empty());
  Wire peer;
  peer.send(session_->port(), from_peer(rtp(100)));
  ASSERT_TRUE(until([&] { return listener_->packets.size() == 1; }));
  EXPECT_EQ(text_of(listener_->packets[0]), "media");
  session_->send(std::array{packet(0, kMedia)});
  settle();
  EXPECT_FALSE(peer.receive().empty());
  // A repetition is counted apart from what is forged.
  const Bytes again = from_peer(rtp(101));
  peer.send(session_->port(), again);
  peer.send(session_->port(), again);
  ASSERT_TRUE(until([&] { return session_->stats().replayed == 1; }));
  EXPECT_EQ(session_->stats().unauthenticated, 5u);
  EXPECT_EQ(listener_->packets.size(), 2u);
}

TEST_F(EncryptedSession, MediaThatOvertakesTheAnswerIsReadOnceTheKeyIsKnown) {
  wire_.send(session_->port(), from_peer(rtp(1)));
  wire_.send(session_->port(), rtp(2));
  wire_.send(session_->port(), from_peer(rtp(2)));
  settle();
  configure();
  ASSERT_TRUE(until([&] { return listener_->packets.size() == 2; }));
  wire_.send(session_->port(), from_peer(rtp(3)));
  ASSERT_TRUE(until([&] { return session_->stats().received_packets == 3; }));
  EXPECT_EQ(session_->stats().unauthenticated, 1u);
}

TEST_F(EncryptedSession, AnotherAnswerBringsAnotherKeyOrNone) {
  configure();
  wire_.send(session_->port(), from_peer(rtp(1)));
  ASSERT_TRUE(until([&] { return listener_->packets.size() == 1; }));
  theirs_ = SrtpKey::random(kSuite);
  peer_ = *Srtp::make({theirs_, ours_});
  configure();
  wire_.send(session_->port(), from_peer(rtp(2)));
  ASSERT_TRUE(until([&] { return listener_->packets.size() == 2; }));
  session_->configure(stream(), remote(wire_.endpoint()));
  settle();
  wire_.send(session_->port(), rtp(3));
  ASSERT_TRUE(until([&] { return listener_->packets.size() == 3; }));
}

TEST_F(EncryptedSession, SwitchedOffAndOnItsCountersGoOn) {
  configure();
  const auto send_one = [&] {
    session_->send(std::array{packet(0, kMedia)});
    settle();
  };
  /// Of our packets that wait at the peer: those that it can decrypt.
  const auto decrypted = [&] {
    std::size_t good = 0, all = 0;
    for (Bytes bytes = wire_.receive(); !bytes.empty(); bytes = wire_.receive(), ++all) {
      std::size_t size = bytes.size();
      const auto verdict = looks_like_rtcp(bytes) ? peer_->unprotect_rtcp(bytes, size)
                                                  : peer_->unprotect_rtp(bytes, size);
      good += verdict == Srtp::Verdict::Authentic;
    }
    EXPECT_EQ(good, all) << "an index under the same key was used twice, or left in clear";
    return good;
  };
  send_one();
  EXPECT_EQ(decrypted(), 2U) << "media and the first report";
  Bytes pli;
  rtcp::append(pli, rtcp::ReceiverReport{7, {}});
  rtcp::append(pli, rtcp::Pli{7, session_->ssrc()});
  Remote off = remote(wire_.endpoint());
  off.live = false;
  session_->configure(encrypted(), off);
  settle();
  send_one();
  EXPECT_TRUE(session_->request_keyframe());
  wire_.send(session_->port(), pli);
  wire_.send(session_->port(), from_peer(pli, true));
  settle();
  EXPECT_EQ(decrypted(), 0U) << "neither media nor reports";
  EXPECT_EQ(listener_->keyframe_requests, 0) << "nor are theirs believed";
  // Plain for a while, then under the same key again.
  session_->configure(stream(), off);
  configure();
  send_one();
  EXPECT_GE(decrypted(), 1U);
  wire_.send(session_->port(), from_peer(pli, true));
  ASSERT_TRUE(until([&] { return listener_->keyframe_requests == 1; }));
  session_->close();
  settle();
  EXPECT_EQ(decrypted(), 1U) << "the last report";
}

TEST_F(EncryptedSession, WithoutAUsableKeyItStaysSilent) {
  Stream stream = encrypted();
  stream.srtp->local.master.pop_back();
  session_->configure(stream, remote(wire_.endpoint()));
  settle();
  session_->send(std::array{packet(0, kMedia)});
  settle();
  session_->close();
  settle();
  EXPECT_TRUE(wire_.receive().empty());
}

}  // namespace
}  // namespace junctor::rtp::test
