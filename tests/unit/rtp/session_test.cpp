// SPDX-License-Identifier: LGPL-2.1-or-later
// Sessions over real sockets on loopback.
#include "rtp/core/session.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>

#include "rtp/core/packet.h"
#include "rtp/core/rtcp.h"

using namespace junctor;
using namespace junctor::rtp;
using namespace std::chrono_literals;

namespace {

constexpr std::uint8_t kPayloadType = 96;

struct Listener : SessionListener {
  void on_packet(const IncomingPacket &packet) override { packets.push_back(packet); }
  void on_keyframe_request() override { ++keyframe_requests; }
  void on_bye() override { ++byes; }
  std::vector<IncomingPacket> packets;
  int keyframe_requests = 0, byes = 0;
};

PortRange &ports() {
  static PortRange range(30000, 39999);
  return range;
}

/// A socket of the test's own, to send and see what no session would.
class Wire {
 public:
  explicit Wire(const char *host = "127.0.0.1") : fd_(*bind_udp({host, 0})) {}
  Endpoint endpoint() const { return local_endpoint(fd_.get()); }
  void send(std::uint16_t to, ByteSpan bytes) {
    const auto address = *Endpoint{"127.0.0.1", to}.to_sockaddr();
    EXPECT_EQ(::sendto(fd_.get(), bytes.data(), bytes.size(), 0,
                       reinterpret_cast<const sockaddr *>(&address), sockaddr_length(address)),
              static_cast<ssize_t>(bytes.size()));
  }
  void rtp(std::uint16_t to, std::uint16_t sequence, std::uint32_t ssrc = 7,
           std::uint8_t payload_type = kPayloadType, std::uint32_t timestamp = 0) {
    send(to, build_packet({payload_type, false, sequence, timestamp, ssrc}, as_bytes("media")));
  }
  /// Empty where nothing waits.
  Bytes receive() {
    Bytes buffer(2048);
    const auto size = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    buffer.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return buffer;
  }

 private:
  UniqueFd fd_;
};

class SessionTest : public testing::Test {
 protected:
  void TearDown() override { settle(); }  // lets the sessions that went close their sockets

  std::shared_ptr<Session> open(Session::Options options = {}) {
    options.address = "127.0.0.1";
    if (options.cname.empty()) options.cname = "test";
    auto session = Session::open(reactor_, ports(), options);
    EXPECT_TRUE(session) << session.error().detail;
    return session ? *session : nullptr;
  }
  /// Turns the reactor until `done`; fails after what no healthy machine needs.
  template <class Done>
  bool until(Done done) {
    const Time limit = Clock::now() + 20s;
    while (!done()) {
      if (Clock::now() > limit) return false;
      reactor_->run_once(5ms);
    }
    return true;
  }
  /// What was sent to the reactor's sockets so far has been handled after this.
  void settle() {
    for (int i = 0; i < 3; ++i) reactor_->run_once(0ms);
  }
  static Stream stream() {
    Stream stream;
    stream.payload_type = stream.receive_payload_type = kPayloadType;
    stream.clock_rate = 90000;
    stream.pli = stream.fir = stream.nack = true;
    return stream;
  }
  static Remote remote(const Endpoint &endpoint) { return {endpoint, endpoint, true, true}; }
  static Remote remote(const Session &session) {
    const std::uint16_t port = session.port();
    return {{"127.0.0.1", port}, {"127.0.0.1", static_cast<std::uint16_t>(port + 1)}, true, true};
  }
  std::shared_ptr<Listener> listen(Session &session) {
    auto listener = std::make_shared<Listener>();
    session.set_listener(listener);
    return listener;
  }
  static OutgoingPacket packet(std::uint32_t timestamp, std::string_view text) {
    OutgoingPacket packet;
    packet.timestamp = timestamp;
    packet.payload = SharedBytes::copy(as_bytes(text));
    return packet;
  }
  /// RTCP items that arrived at `wire`, of one kind.
  template <class T>
  static std::vector<T> items(Wire &wire) {
    std::vector<T> found;
    for (Bytes bytes = wire.receive(); !bytes.empty(); bytes = wire.receive()) {
      if (!looks_like_rtcp(bytes)) continue;
      const auto parsed = rtcp::parse(bytes);
      EXPECT_TRUE(parsed);
      for (const auto &item : *parsed)
        if (const T *content = std::get_if<T>(&item)) found.push_back(*content);
    }
    return found;
  }

  std::shared_ptr<Reactor> reactor_ = *Reactor::create();
};

std::string text_of(const IncomingPacket &packet) {
  const ByteSpan payload = packet.packet.view.subspan(packet.header_size);
  return {reinterpret_cast<const char *>(payload.data()), payload.size()};
}

}  // namespace

TEST_F(SessionTest, TwoSessionsExchangeMediaAndReports) {
  auto a = open(), b = open();
  auto at_b = listen(*b);
  a->configure(stream(), remote(*b));
  b->configure(stream(), remote(*a));
  settle();
  std::vector<OutgoingPacket> batch{packet(1000, "one"), packet(1000, "two"),
                                    packet(4000, "three")};
  batch[1].marker = true;
  batch[2].prefix = {std::byte{'p'}, std::byte{'q'}};
  batch[2].prefix_size = 2;
  a->send(batch);
  ASSERT_TRUE(until([&] { return at_b->packets.size() == 3; }));
  EXPECT_EQ(text_of(at_b->packets[0]), "one");
  EXPECT_EQ(text_of(at_b->packets[2]), "pqthree");
  EXPECT_TRUE(at_b->packets[0].new_source);
  EXPECT_FALSE(at_b->packets[0].discontinuity);
  EXPECT_FALSE(at_b->packets[1].new_source);
  EXPECT_TRUE(at_b->packets[1].marker);
  EXPECT_EQ(at_b->packets[0].ssrc, a->ssrc());
  EXPECT_EQ(at_b->packets[2].extended_timestamp - at_b->packets[0].extended_timestamp, 3000U);
  // The first sender report goes with the first packets.
  ASSERT_TRUE(until([&] { return b->sender_clock().has_value(); }));
  EXPECT_EQ(b->sender_clock()->ssrc, a->ssrc());
  EXPECT_EQ(a->stats().sent_packets, 3U);
  EXPECT_EQ(b->stats().received_packets, 3U);
  EXPECT_TRUE(b->stats().first_packet);
  a->close();
  ASSERT_TRUE(until([&] { return at_b->byes == 1; }));
}

TEST_F(SessionTest, SenderReportRelatesCaptureTimes) {
  auto a = open(), b = open();
  auto at_b = listen(*b);
  a->configure(stream(), remote(*b));
  b->configure(stream(), remote(*a));
  settle();
  // Captured a second before it is sent.
  OutgoingPacket old = packet(0, "old");
  old.capture = reactor_->now() - 1s;
  a->send({&old, 1});
  ASSERT_TRUE(until([&] { return b->sender_clock() && !at_b->packets.empty(); }));
  const auto ahead = static_cast<double>(b->sender_clock()->extended_timestamp -
                                         at_b->packets[0].extended_timestamp);
  EXPECT_NEAR(ahead / 90000, 1.0, 0.1);
}

TEST_F(SessionTest, NothingIsSentWithoutAnAnswerOrOnHold) {
  auto session = open();
  Wire wire;
  const OutgoingPacket one = packet(0, "x");
  session->send({&one, 1});
  Remote held = remote(wire.endpoint());
  held.send = false;
  session->configure(stream(), held);
  settle();
  session->send({&one, 1});
  settle();
  held.send = true;
  session->configure(stream(), held);
  settle();
  session->send({&one, 1});
  settle();
  EXPECT_EQ(session->stats().sent_packets, 1U);
  EXPECT_EQ(session->stats().dropped, 2U);
  EXPECT_FALSE(wire.receive().empty());
}

TEST_F(SessionTest, SequencesAreConsecutiveAndSourcesRise) {
  auto session = open();
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  const std::array first{packet(5, "a"), packet(3005, "b")};
  session->send(first);
  session->begin_source();
  const OutgoingPacket other = packet(4'000'000'000U, "c");
  session->send({&other, 1});
  settle();
  std::vector<Header> headers;
  for (Bytes bytes = wire.receive(); !bytes.empty(); bytes = wire.receive())
    if (!looks_like_rtcp(bytes)) headers.push_back(parse_packet(bytes)->header);
  ASSERT_EQ(headers.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(headers[i].ssrc, session->ssrc());
    EXPECT_EQ(headers[i].payload_type, kPayloadType);
    EXPECT_EQ(headers[i].sequence, static_cast<std::uint16_t>(headers[0].sequence + i));
  }
  EXPECT_EQ(headers[1].timestamp - headers[0].timestamp, 3000U);
  EXPECT_GE(headers[2].timestamp - headers[1].timestamp, 1U);
  EXPECT_LT(headers[2].timestamp - headers[1].timestamp, 90000U);
}

TEST_F(SessionTest, LatchesOntoTheFirstSourceAndKeepsToIt) {
  auto session = open();
  auto listener = listen(*session);
  Wire nat, stranger;
  // The answer named an address that nothing comes from, as behind a NAT.
  session->configure(stream(), remote(Endpoint{"127.0.0.1", 9}));
  settle();
  nat.rtp(session->port(), 1);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  stranger.rtp(session->port(), 2, 666);
  stranger.rtp(session->port(), 3, 666);
  nat.rtp(session->port(), 2);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 2; }));
  EXPECT_EQ(session->stats().strangers, 2U);
  const OutgoingPacket one = packet(0, "x");
  session->send({&one, 1});
  settle();
  EXPECT_FALSE(nat.receive().empty());
  EXPECT_TRUE(stranger.receive().empty());
}

TEST_F(SessionTest, TheSignalledAddressTakesOverFromAGuess) {
  auto session = open();
  auto listener = listen(*session);
  Wire peer, stranger;
  session->configure(stream(), remote(peer.endpoint()));
  settle();
  stranger.rtp(session->port(), 1, 666);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  peer.rtp(session->port(), 10);
  peer.rtp(session->port(), 11);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 3; }));
  stranger.rtp(session->port(), 2, 666);
  settle();
  EXPECT_EQ(session->stats().strangers, 1U);
  EXPECT_TRUE(listener->packets[1].new_source);
  EXPECT_TRUE(listener->packets[1].discontinuity);
}

TEST_F(SessionTest, WhoComesBeforeTheAnswerDoesNotGetTheCall) {
  auto session = open();
  auto listener = listen(*session);
  settle();
  Wire peer, stranger("127.0.0.2");
  for (std::uint16_t sequence = 1; sequence <= 5; ++sequence)
    stranger.rtp(session->port(), sequence, 666);
  settle();
  session->configure(stream(), remote(peer.endpoint()));
  settle();
  EXPECT_TRUE(listener->packets.empty());
  const OutgoingPacket one = packet(0, "x");
  session->send({&one, 1});
  settle();
  EXPECT_FALSE(peer.receive().empty());
  EXPECT_TRUE(stranger.receive().empty());
  peer.rtp(session->port(), 10);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  EXPECT_EQ(listener->packets[0].ssrc, 7U);
  EXPECT_EQ(session->stats().strangers, 5U);
}

// An address that nothing comes from, as behind a NAT, and media from another host.
TEST_F(SessionTest, MediaFromAnotherHostComesThroughFromItsFirstPacketOn) {
  auto session = open();
  auto listener = listen(*session);
  Wire nat("127.0.0.2");
  session->configure(stream(), remote(Endpoint{"127.0.0.1", 9}));
  settle();
  std::uint16_t sequence = 0;
  Time next{};
  ASSERT_TRUE(until([&] {
    if (reactor_->now() >= next) {
      next = reactor_->now() + 20ms;
      nat.rtp(session->port(), ++sequence);
    }
    return !listener->packets.empty();
  }));
  EXPECT_EQ(listener->packets[0].sequence, 1);
  EXPECT_EQ(listener->packets.size(), sequence);
  EXPECT_EQ(session->stats().strangers, 0U);
  const OutgoingPacket one = packet(0, "x");
  session->send({&one, 1});
  settle();
  EXPECT_FALSE(nat.receive().empty());
}

TEST_F(SessionTest, AChangedAddressIsFollowedAtOnce) {
  auto session = open();
  auto listener = listen(*session);
  Wire before, after;
  session->configure(stream(), remote(before.endpoint()));
  settle();
  before.rtp(session->port(), 1);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  session->configure(stream(), remote(after.endpoint()));
  // Still on its way from the old address: taken, but not latched onto.
  before.rtp(session->port(), 2);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 2; }));
  const OutgoingPacket one = packet(0, "x");
  session->send({&one, 1});
  settle();
  EXPECT_FALSE(after.receive().empty());
  EXPECT_TRUE(before.receive().empty());
  after.rtp(session->port(), 3);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 3; }));
  before.rtp(session->port(), 4);
  settle();
  EXPECT_EQ(session->stats().strangers, 1U);
}

TEST_F(SessionTest, AnUnchangedAnswerKeepsWhatWasLearnt) {
  auto session = open();
  auto listener = listen(*session);
  Wire nat;
  const Remote named = remote(Endpoint{"127.0.0.1", 9});
  session->configure(stream(), named);
  settle();
  nat.rtp(session->port(), 1);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  session->configure(stream(), named);
  settle();
  const OutgoingPacket one = packet(0, "x");
  session->send({&one, 1});
  settle();
  EXPECT_FALSE(nat.receive().empty());
}

TEST_F(SessionTest, ReordersCountsDuplicatesAndGivesUp) {
  Session::Options options;
  options.reorder = 20ms;
  auto session = open(options);
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  for (const std::uint16_t sequence : {1, 3, 2, 2, 6}) wire.rtp(session->port(), sequence);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 4; }));
  EXPECT_EQ(listener->packets[1].sequence, 2);
  EXPECT_EQ(listener->packets[3].sequence, 6);
  EXPECT_TRUE(listener->packets[3].discontinuity);
  settle();
  const Stats stats = session->stats();
  EXPECT_EQ(stats.reordered, 1U);
  EXPECT_EQ(stats.duplicates, 1U);
  EXPECT_EQ(stats.lost, 2U);
}

TEST_F(SessionTest, MediaMayOvertakeTheAnswerAndTheListener) {
  auto session = open();
  settle();
  Wire wire;
  wire.rtp(session->port(), 1);
  wire.rtp(session->port(), 3);
  wire.rtp(session->port(), 2);
  settle();
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  wire.rtp(session->port(), 4);
  ASSERT_TRUE(until([&] { return session->stats().received_packets == 4; }));
  auto listener = listen(*session);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 4; }));
  EXPECT_TRUE(listener->packets[0].new_source);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(listener->packets[i].sequence, i + 1);
  // Between two listeners nothing is lost either.
  listener.reset();
  wire.rtp(session->port(), 5);
  ASSERT_TRUE(until([&] { return session->stats().received_packets == 5; }));
  listener = listen(*session);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  EXPECT_EQ(listener->packets[0].sequence, 5);
  EXPECT_FALSE(listener->packets[0].discontinuity);
}

TEST_F(SessionTest, WithoutAListenerOnlyHalfASecondWaits) {
  auto session = open();
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  for (std::uint16_t sequence = 1; sequence <= 600; ++sequence) {
    wire.rtp(session->port(), sequence);
    if (sequence % 50 == 0) {
      ASSERT_TRUE(until([&] { return session->stats().received_packets == sequence; }));
    }
  }
  auto listener = listen(*session);
  ASSERT_TRUE(until([&] { return !listener->packets.empty(); }));
  EXPECT_LE(listener->packets.size(), 512U);
  EXPECT_EQ(listener->packets.back().sequence, 600);
  EXPECT_TRUE(listener->packets.front().discontinuity);
  EXPECT_TRUE(listener->packets.front().new_source);
}

TEST_F(SessionTest, GarbageIsCountedNotPassedOn) {
  auto session = open();
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  wire.send(session->port(), as_bytes("x"));
  wire.send(session->port(), as_bytes("GET / HTTP/1.0\r\n\r\n"));
  wire.send(session->port(), Bytes(4000, std::byte{0x80}));
  wire.rtp(session->port(), 1, 7, 13);  // comfort noise: not agreed
  wire.rtp(session->port(), 1);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  settle();
  EXPECT_EQ(session->stats().malformed, 3U);
  EXPECT_EQ(session->stats().wrong_payload, 1U);
}

TEST_F(SessionTest, AnotherSsrcNeedsTwoPacketsInARow) {
  auto session = open();
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  wire.rtp(session->port(), 1, 7, kPayloadType, 100);
  wire.rtp(session->port(), 500, 8, kPayloadType, 5'000'000);
  wire.rtp(session->port(), 2, 7, kPayloadType, 200);
  wire.rtp(session->port(), 501, 8, kPayloadType, 5'000'100);
  wire.rtp(session->port(), 502, 8, kPayloadType, 5'000'200);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 4; }));
  EXPECT_EQ(listener->packets[1].ssrc, 7U);
  EXPECT_EQ(listener->packets[2].ssrc, 8U);
  EXPECT_EQ(listener->packets[2].sequence, 501);
  EXPECT_TRUE(listener->packets[2].new_source);
  EXPECT_TRUE(listener->packets[2].discontinuity);
  EXPECT_FALSE(listener->packets[3].discontinuity);
}

TEST_F(SessionTest, NackIsAnsweredWithTheSamePacket) {
  auto session = open();
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  const std::array batch{packet(0, "lost"), packet(0, "came")};
  session->send(batch);
  settle();
  Bytes original = wire.receive();
  ASSERT_FALSE(original.empty());
  while (!wire.receive().empty()) {
  }
  Bytes nack;
  rtcp::append(nack, rtcp::ReceiverReport{7, {}});
  rtcp::append(nack, rtcp::Nack{7, session->ssrc(), {parse_packet(original)->header.sequence}});
  wire.send(session->port(), nack);
  ASSERT_TRUE(until([&] { return session->stats().retransmitted == 1; }));
  EXPECT_EQ(wire.receive(), original);
  EXPECT_EQ(session->stats().nacks_received, 1U);
}

TEST_F(SessionTest, LossIsNackedAndRepaired) {
  Session::Options options;
  options.reorder = 10s;  // the repair, not the wait, must fill the gap
  auto session = open(options);
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  wire.rtp(session->port(), 1);
  wire.rtp(session->port(), 4);
  std::vector<rtcp::Nack> nacks;
  ASSERT_TRUE(until([&] {
    nacks = items<rtcp::Nack>(wire);
    return !nacks.empty();
  }));
  EXPECT_EQ(nacks[0].media, 7U);
  EXPECT_EQ(nacks[0].lost, (std::vector<std::uint16_t>{2, 3}));
  wire.rtp(session->port(), 2);
  wire.rtp(session->port(), 3);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 4; }));
  for (const IncomingPacket &each : listener->packets) EXPECT_FALSE(each.discontinuity);
}

TEST_F(SessionTest, KeyframesAreAskedForByPliAtMostTwiceASecond) {
  auto session = open();
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  EXPECT_TRUE(session->request_keyframe());  // nobody to ask yet: kept
  settle();
  EXPECT_TRUE(items<rtcp::Pli>(wire).empty());
  wire.rtp(session->port(), 1);
  std::vector<rtcp::Pli> found;
  ASSERT_TRUE(until([&] {
    found = items<rtcp::Pli>(wire);
    return !found.empty();
  }));
  EXPECT_EQ(found[0].media, 7U);
  EXPECT_EQ(found[0].sender, session->ssrc());
  const Time first = reactor_->now();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(session->request_keyframe());
  ASSERT_TRUE(until([&] {
    found = items<rtcp::Pli>(wire);
    return !found.empty();
  }));
  EXPECT_GE(reactor_->now() - first, 400ms);
  EXPECT_EQ(session->stats().keyframe_requests_sent, 2U);
}

TEST_F(SessionTest, FirServesPeersWithoutPliAndNoneSaysSo) {
  auto session = open();
  auto listener = listen(*session);
  Wire wire;
  Stream with_fir = stream();
  with_fir.pli = false;
  session->configure(with_fir, remote(wire.endpoint()));
  settle();
  wire.rtp(session->port(), 1);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  EXPECT_TRUE(session->request_keyframe());
  const auto found = items<rtcp::Fir>(wire);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].media, 7U);
  Stream bare = with_fir;
  bare.fir = false;
  session->configure(bare, remote(wire.endpoint()));
  settle();
  EXPECT_FALSE(session->request_keyframe());
}

TEST_F(SessionTest, KeyframeRequestsOfThePeerArePassedOnWithoutFlood) {
  auto session = open();
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  Bytes pli, fir;
  rtcp::append(pli, rtcp::Pli{7, session->ssrc()});
  rtcp::append(fir, rtcp::Fir{7, session->ssrc(), 1});
  wire.send(session->port(), pli);
  ASSERT_TRUE(until([&] { return listener->keyframe_requests == 1; }));
  const Time first = reactor_->now();
  for (int i = 0; i < 50; ++i) wire.send(session->port(), i % 2 == 0 ? pli : fir);
  ASSERT_TRUE(until([&] { return listener->keyframe_requests == 2; }));
  EXPECT_GE(reactor_->now() - first, 400ms);
  settle();
  EXPECT_EQ(listener->keyframe_requests, 2);
  EXPECT_EQ(session->stats().keyframe_requests_received, 1U + 25U + 1U);  // one FIR, repeated
}

TEST_F(SessionTest, FeedbackFromElsewhereIsIgnored) {
  auto session = open();
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  Bytes wrong_media, cut;
  rtcp::append(wrong_media, rtcp::Pli{7, session->ssrc() + 1});
  rtcp::append(cut, rtcp::ReceiverReport{7, {{}}});
  cut.resize(cut.size() - 4);
  wire.send(session->port(), wrong_media);
  wire.send(session->port(), cut);
  settle();
  EXPECT_EQ(listener->keyframe_requests, 0);
  wire.rtp(session->port(), 1);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  EXPECT_EQ(session->stats().malformed, 1U);
}

TEST_F(SessionTest, ReportsComeAgainAndCarryRoundTripAndLoss) {
  Session::Options options;
  options.report_interval = 20ms;
  options.reorder = 0ms;
  auto session = open(options);
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  for (const std::uint16_t sequence : {1, 2, 4}) wire.rtp(session->port(), sequence);
  const OutgoingPacket one = packet(0, "x");
  session->send({&one, 1});
  std::vector<rtcp::SenderReport> reports;
  ASSERT_TRUE(until([&] {
    for (auto &report : items<rtcp::SenderReport>(wire))
      if (!report.blocks.empty()) reports.push_back(report);
    return !reports.empty();
  }));
  EXPECT_EQ(reports[0].packets, 1U);
  EXPECT_EQ(reports[0].octets, 1U);
  EXPECT_EQ(reports[0].blocks[0].ssrc, 7U);
  EXPECT_EQ(reports[0].blocks[0].cumulative_lost, 1);
  rtcp::ReceiverReport answer{7, {{}}};
  answer.blocks[0].ssrc = session->ssrc();
  answer.blocks[0].fraction_lost = 64;
  answer.blocks[0].last_sr = static_cast<std::uint32_t>(reports[0].ntp >> 16) - 65536 / 10;
  Bytes bytes;
  rtcp::append(bytes, answer);
  wire.send(session->port(), bytes);
  ASSERT_TRUE(until([&] { return session->stats().round_trip_ms > 0; }));
  EXPECT_GE(session->stats().round_trip_ms, 99);
  EXPECT_EQ(session->stats().remote_fraction_lost, 0.25);
  // Nothing sent any more: receiver reports.
  ASSERT_TRUE(until([&] { return !items<rtcp::ReceiverReport>(wire).empty(); }));
}

TEST_F(SessionTest, AStrayOrARestartIsNotReportedAsLoss) {
  Session::Options options;
  options.report_interval = 20ms;
  auto session = open(options);
  auto listener = listen(*session);
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  const auto report = [&](std::uint16_t highest) {
    std::optional<rtcp::ReportBlock> block;
    EXPECT_TRUE(until([&] {
      for (const auto &each : items<rtcp::ReceiverReport>(wire))
        if (!each.blocks.empty() &&
            static_cast<std::uint16_t>(each.blocks[0].highest_sequence) == highest)
          block = each.blocks[0];
      return block.has_value();
    }));
    return block.value_or(rtcp::ReportBlock{});
  };
  for (const std::uint16_t sequence : {1, 2, 20000, 3}) wire.rtp(session->port(), sequence);
  EXPECT_EQ(report(3).cumulative_lost, 0);
  for (const std::uint16_t sequence : {30000, 30001, 30002}) wire.rtp(session->port(), sequence);
  EXPECT_EQ(report(30002).cumulative_lost, 0);
}

TEST_F(SessionTest, AClosedPortDoesNotEndIt) {
  auto session = open();
  auto listener = listen(*session);
  Endpoint closed;
  {
    const Wire gone;
    closed = gone.endpoint();
  }
  session->configure(stream(), remote(closed));
  settle();
  for (int i = 0; i < 5; ++i) {
    const OutgoingPacket one = packet(0, "x");
    session->send({&one, 1});
    settle();
  }
  Wire wire;
  session->configure(stream(), remote(wire.endpoint()));
  settle();
  const OutgoingPacket one = packet(0, "x");
  session->send({&one, 1});
  wire.rtp(session->port(), 1);
  ASSERT_TRUE(until([&] { return listener->packets.size() == 1; }));
  EXPECT_FALSE(wire.receive().empty());
}

TEST_F(SessionTest, ALargeBurstLeavesCompletely) {
  auto session = open();
  auto at_other = open();
  auto listener = listen(*at_other);
  session->configure(stream(), remote(*at_other));
  at_other->configure(stream(), remote(*session));
  settle();
  // Runs of one size and odd ones between, as frames make them: the kernel may cut the runs.
  std::vector<OutgoingPacket> burst;
  std::vector<std::string> texts;
  for (int i = 0; i < 150; ++i) {
    texts.push_back(std::string(i % 7 == 6     ? 50
                                : i % 31 == 30 ? 240
                                               : 200,
                                'v') +
                    std::to_string(i));
    burst.push_back(packet(0, texts.back()));
  }
  session->send(burst);
  ASSERT_TRUE(until([&] { return listener->packets.size() == burst.size(); }));
  for (std::size_t i = 0; i < burst.size(); ++i) EXPECT_EQ(text_of(listener->packets[i]), texts[i]);
  EXPECT_EQ(session->stats().sent_packets, burst.size());
}

TEST_F(SessionTest, MayBeClosedAndDroppedByItsListener) {
  struct Closer : SessionListener {
    void on_packet(const IncomingPacket &) override {
      ++count;
      session->close();
      session.reset();
    }
    std::shared_ptr<Session> session;
    int count = 0;
  };
  auto closer = std::make_shared<Closer>();
  closer->session = open();
  closer->session->set_listener(closer);
  Wire wire;
  closer->session->configure(stream(), remote(wire.endpoint()));
  settle();
  const std::uint16_t port = closer->session->port();
  for (std::uint16_t sequence = 1; sequence < 100; ++sequence) wire.rtp(port, sequence);
  ASSERT_TRUE(until([&] { return closer->count > 0; }));
  settle();
  // The port is free again.
  EXPECT_TRUE(bind_udp({"127.0.0.1", port}));
}

TEST(PortRange, GivesEvenPortsRoundRobinAndSaysWhenFull) {
  // Two pairs, found free first.
  std::uint16_t low = 0;
  for (std::uint16_t port = 41000; port < 60000 && low == 0; port += 4) {
    bool free = true;
    for (std::uint16_t i = 0; i < 4; ++i)
      free = free && bind_udp({"127.0.0.1", static_cast<std::uint16_t>(port + i)});
    if (free) low = port;
  }
  ASSERT_NE(low, 0);
  PortRange range(static_cast<std::uint16_t>(low - 1), static_cast<std::uint16_t>(low + 3));
  auto first = range.open("127.0.0.1"), second = range.open("127.0.0.1");
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->port, low);
  EXPECT_EQ(second->port, low + 2);
  EXPECT_EQ(local_endpoint(first->rtcp.get()).port, low + 1);
  const auto full = range.open("127.0.0.1");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().fault, Fault::Unreachable);
  EXPECT_NE(full.error().detail.find("no free port pair in"), std::string::npos);
  first->rtp.reset();
  first->rtcp.reset();
  EXPECT_TRUE(range.open("127.0.0.1"));
  EXPECT_EQ(range.open("192.0.2.1").error().fault, Fault::BadInput);  // not an address of ours
}

TEST(PortRange, WorksAtTheEndOfThePortSpace) {
  PortRange range(65534, 65535);
  const auto pair = range.open("127.0.0.1");
  ASSERT_TRUE(pair);
  EXPECT_EQ(pair->port, 65534);
  EXPECT_FALSE(range.open("127.0.0.1"));
}
