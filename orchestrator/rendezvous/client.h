// SPDX-License-Identifier: LGPL-2.1-or-later
// A client's, or a node's, connection to a rendezvous.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "accounts/authorities.h"
#include "common/clock.h"
#include "common/result.h"
#include "nat/core/rendezvous_message.h"

namespace junctor::rendezvous {

struct ClientOptions {
  std::string url;        ///< of the orchestrator: "https://HOST:PORT"; http for this machine alone
  std::string token;      ///< of an account
  accounts::Trust trust;  ///< `insecure`: http to other machines, too
  /// What is said first; its `resume` is filled in here.
  nat::rendezvous::Hello hello;
  /// Between two tries to come back: doubled each time up to the second.
  Duration first_wait = std::chrono::milliseconds(250), longest_wait = std::chrono::seconds(10);
  /// Between two pings; who does not answer two of them is not there.
  Duration ping = std::chrono::seconds(5);
};

/// Called on the thread of the context; each may destroy nothing but what it owns, not the client.
struct ClientEvents {
  /// The connection is there. Without `resumed` earlier sessions are unknown to the server.
  std::function<void(const nat::rendezvous::Welcome &)> welcome;
  /// Whatever else the server says.
  std::function<void(const nat::rendezvous::Message &)> message;
  /// It is lost, or could not be made: a sentence. Tried again after `wait`.
  std::function<void(const std::string &why, Duration wait)> away;
  /// Trying again makes no sense: a wrong URL, certificate or token.
  std::function<void(const Error &)> refused;
};

/// Connects, says hello, comes back when the connection breaks. On the default GMainContext.
class Client {
 public:
  /// BadInput for a URL that is none.
  static Result<std::unique_ptr<Client>> connect(ClientOptions options, ClientEvents events);
  virtual ~Client() = default;

  /// Says it now, or when the connection is back and resumed: nothing is lost between two
  /// connections but what a server that does not know us any more has missed, and of more than 256
  /// messages the earliest.
  virtual void send(const nat::rendezvous::Message &message) = 0;
  /// The connection is made anew at once. It is so without a word where this machine has lost the
  /// address that it had, or comes to a network while the rendezvous is not reached.
  virtual void reconnect() = 0;
  /// What the next hello says of the network.
  virtual void set_network(const nat::rendezvous::Moved &network) = 0;
  /// Says goodbye; `done` when that is on its way, or in a second.
  virtual void close(std::function<void()> done) = 0;
};

}  // namespace junctor::rendezvous
