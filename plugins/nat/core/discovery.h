// SPDX-License-Identifier: LGPL-2.1-or-later
// Finds out the behaviour of what stands between: the tests of RFC 5780 section 4, all at once.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nat/core/behaviour.h"
#include "nat/core/exchange.h"
#include "rtp/core/stun.h"

namespace junctor::nat {

struct DiscoveryOptions {
  /// STUN servers, at least one; of the same family. The first is asked everything; one with a
  /// second address (RFC 5780) can answer everything. Others show, by their address alone, what the
  /// mapping depends on.
  std::vector<Endpoint> servers;
  /// Where the sockets are, each with the address that this machine sends from.
  std::vector<Endpoint> local;
  Duration deadline = std::chrono::seconds(3);        ///< of all
  Duration interval = std::chrono::milliseconds(50);  ///< between two requests of one test
};

/// A request is a transaction of its own each time it is sent, so that each answer tells which one
/// it answers: round trips and the order of mappings are exact under loss. A test that is not
/// answered was sent six times; it counts as filtered only where the same door of the server has
/// answered otherwise. Lasts about two round trips where all are answered; where answers are
/// filtered, 350 ms and two round trips more.
class Discovery : public Exchange {
 public:
  /// Socket 0 tests mapping, 1 filtering, 2 hairpinning; all show which ports are given.
  static constexpr unsigned kSockets = 7;
  static constexpr std::size_t kMostServers = 4;

  explicit Discovery(DiscoveryOptions options);

  unsigned sockets() const override { return kSockets; }
  std::vector<Outgoing> poll(Time now) override;
  void received(unsigned socket, const Endpoint &from, ByteSpan datagram, Time now) override;
  void send_failed(const Outgoing &datagram, const std::string &why) override;
  std::optional<Outgoing> take_stream() override;
  void stream_answered(ByteSpan message, Time now) override;
  void stream_failed(const std::string &why, Time now) override;
  std::optional<Time> next() const override;

  /// What is known; all that can be once done().
  Behaviour behaviour() const;

 private:
  enum class Test : std::uint8_t {
    First,             ///< to the first server, of each socket
    OtherAddress,      ///< from socket 0 to the server's other address with the same port
    OtherAddressPort,  ///< to its other address and port
    OtherPort,         ///< to its other port
    OtherServer,       ///< to another server
    FilterBoth,        ///< from socket 1: answered from the other address and port
    FilterPort,        ///< from socket 1: answered from the other port
    Hairpin,           ///< between sockets 0 and 2, by their external addresses
  };
  enum class Outcome : std::uint8_t { Open, Answered, Refused, Silent };
  struct Probe {
    Test test;
    unsigned socket;
    Endpoint to;
    std::uint32_t change = 0;
    unsigned sent = 0;
    Time last{};
    Outcome outcome = Outcome::Open;
    std::optional<Endpoint> mapped;
    unsigned answered_send = 0;  ///< which of the requests was answered
    std::uint64_t order = 0;     ///< of the first request among all
  };
  struct Sent {
    std::size_t probe;
    unsigned number;
    Time when;
  };

  void add(Test test, unsigned socket, const Endpoint &to, std::uint32_t change = 0);
  const Probe *find(Test test, unsigned socket) const;
  std::optional<Endpoint> mapped(Test test, unsigned socket = 0) const;
  Outcome outcome(Test test, unsigned socket) const;
  Time due(const Probe &probe) const;
  Time last() const;  ///< when it ends at the latest
  unsigned most_sent(const Probe &probe) const;
  void add_mapping_tests(const rtp::stun::Message &answer);
  void add_hairpin_tests();
  bool expected_source(const Probe &probe, const Endpoint &from) const;
  void find_mapping(Behaviour &behaviour) const;
  void find_filtering(Behaviour &behaviour) const;
  void find_ports(Behaviour &behaviour) const;
  std::string silent_port() const;

  DiscoveryOptions options_;
  std::vector<Probe> probes_;
  std::map<rtp::stun::TransactionId, Sent> sent_;
  std::optional<Time> start_, end_;
  std::optional<Duration> round_trip_;
  std::optional<Endpoint> other_;  ///< OTHER-ADDRESS
  std::uint64_t order_ = 0;
  bool hairpin_added_ = false;
  enum class Stream : std::uint8_t { NotYet, Wanted, Taken, Answered, Failed } stream_{};
  std::string stream_why_, send_why_;
  std::optional<Endpoint> stream_external_;
};

}  // namespace junctor::nat
