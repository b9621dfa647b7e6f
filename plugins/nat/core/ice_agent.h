// SPDX-License-Identifier: LGPL-2.1-or-later
// ICE (RFC 8445) by libnice: with any peer that speaks it, or over TURN relays alone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/bytes.h"
#include "common/context_thread.h"
#include "common/endpoint.h"
#include "common/result.h"
#include "nat/core/candidate.h"
#include "nat/core/stun_host.h"
#include "nat/core/turn_server.h"

namespace junctor::nat {

struct IceOptions {
  bool controlling = false;  ///< of the two roles of RFC 8445 section 6.1.1; the caller's
  bool relay_only = false;   ///< no other candidates than those of TURN servers
  /// One of them is asked: the first that is an address, else the first whose name is found soon.
  std::vector<StunHost> stun;
  std::vector<TurnServer> turn;
  /// Of this machine, to gather candidates from; empty: all of it but those of loopback.
  std::vector<std::string> addresses{};
  Scope scope = Scope::Machine;  ///< candidates of the peer's that are narrower are skipped
};

/// What the peer must know to begin (RFC 8839 section 5.4).
struct IceCredentials {
  std::string ufrag, password;
};

/// The two ends of the path that carries.
struct IcePath {
  std::string local, remote;  ///< "ADDRESS:PORT kind"
  bool relayed = false;       ///< by a TURN server of this side's
};

/// Called on the agent's thread, one after another. One may be on its way when the agent is
/// destroyed; none comes once what was posted to the thread then has run.
struct IceEvents {
  std::function<void(std::string line)> candidate;  ///< "candidate:…" (RFC 8839 section 5.1)
  std::function<void()> gathered;                   ///< there are no more
  /// Datagrams pass. Before ICE has ended its checks, which takes two seconds more.
  std::function<void(IcePath)> connected;
  std::function<void(ByteSpan)> received;
  /// No path, or not any more: a part of a sentence.
  std::function<void(std::string why)> failed;
  /// What the peer has said was not taken, or no STUN server is found: a sentence.
  std::function<void(std::string)> complaint;
};

/// One component of one stream: RTP and RTCP share it. Any thread; nothing but start() waits for
/// the agent's.
class IceAgent {
 public:
  static constexpr std::size_t kMostCandidates = 64;  ///< of the peer's
  static constexpr std::size_t kLongestLine = 512;    ///< of a candidate

  /// Begins to gather candidates. Blocks while DNS is asked for servers that are named, and what
  /// else runs on the thread.
  static Result<std::unique_ptr<IceAgent>> start(const std::shared_ptr<ContextThread> &thread,
                                                 IceOptions options, IceEvents events);
  ~IceAgent();  ///< it ends on its thread, later
  IceAgent(const IceAgent &) = delete;
  IceAgent &operator=(const IceAgent &) = delete;

  const IceCredentials &local() const;
  /// What the peer says, in order. There is a complaint about what no peer would send.
  void set_remote(const IceCredentials &credentials);
  void add_remote_candidate(const std::string &line);
  /// The peer has no more candidates: without it a failure is not told.
  void remote_gathered();

  /// False where it was not sent: there is no path yet, or its buffer is full.
  bool send(ByteSpan datagram);

 private:
  class Worker;
  explicit IceAgent(std::shared_ptr<Worker> worker) : worker_(std::move(worker)) {}
  std::shared_ptr<Worker> worker_;
};

}  // namespace junctor::nat
