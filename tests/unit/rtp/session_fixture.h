// SPDX-License-Identifier: LGPL-2.1-or-later
// Sessions over real sockets on loopback, and a socket of the test's own.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rtp/core/packet.h"
#include "rtp/core/rtcp.h"
#include "rtp/core/session.h"

namespace junctor::rtp::test {

using namespace std::chrono_literals;

inline constexpr std::uint8_t kPayloadType = 96;

struct Listener : SessionListener {
  void on_packet(const IncomingPacket &packet) override { packets.push_back(packet); }
  void on_keyframe_request() override { ++keyframe_requests; }
  void on_bye() override { ++byes; }
  std::vector<IncomingPacket> packets;
  int keyframe_requests = 0, byes = 0;
};

inline PortRange &ports() {
  static PortRange range(20000, 29999);
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
  /// Once the sessions of a test are gone: lets them close their sockets.
  ~SessionTest() override { settle(); }

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

inline std::string text_of(const IncomingPacket &packet) {
  const ByteSpan payload = packet.packet.view.subspan(packet.header_size);
  return {reinterpret_cast<const char *>(payload.data()), payload.size()};
}

}  // namespace junctor::rtp::test
