// SPDX-License-Identifier: LGPL-2.1-or-later
// A router between fake peers.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "fake_wire.h"
#include "sfu/core/router.h"

namespace junctor::sfu::test {

inline const std::string kAlice = "10.0.0.1:4000", kBob = "10.0.0.2:4000", kCarol = "10.0.0.3:4000",
                         kEve = "10.6.6.6:4000";

class RouterTest : public ::testing::Test {
 protected:
  LegId leg(const std::string &address, LegOptions options = {}) {
    if (!address.empty()) options.remote = *Endpoint::parse(address);
    const auto added = router.add_leg(std::move(options), now);
    EXPECT_TRUE(added) << added.error().detail;
    return added ? *added : 0;
  }
  void send(const std::string &from, ByteSpan bytes) {
    Bytes &kept = kept_.emplace_back(bytes.begin(), bytes.end());
    const sockaddr_in6 raw = *to_raw(*Endpoint::parse(from));
    const Datagram datagram{kept, &raw, false};
    router.received({&datagram, 1}, now);
  }
  template <class... Items>
  void send_rtcp(const std::string &from, const Items &...items) {
    Bytes compound;
    (rtp::rtcp::append(compound, items), ...);
    send(from, compound);
  }
  /// What came to somebody since the last time.
  std::vector<Bytes> take(const std::string &address) {
    outbox.flush(now);
    auto found = wire.to(address);
    std::erase_if(wire.sent, [&](const Sent &each) { return each.to == address; });
    return found;
  }
  void clear() {
    outbox.flush(now);
    wire.sent.clear();
  }

  FakeWire wire;
  Time now{std::chrono::seconds(100)};
  std::vector<std::pair<std::string, Bytes>> stun;
  Outbox outbox{wire.sender()};
  Router router{{8, false,
                 [this](const sockaddr_in6 &from, ByteSpan datagram) {
                   stun.emplace_back(to_endpoint(from).to_string(),
                                     Bytes(datagram.begin(), datagram.end()));
                 }},
                outbox};

 private:
  std::deque<Bytes> kept_;
};

}  // namespace junctor::sfu::test
