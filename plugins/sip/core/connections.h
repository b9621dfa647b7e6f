// SPDX-License-Identifier: LGPL-2.1-or-later
// The TCP connections that others open to us.
#pragma once

#include <glib.h>
#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/endpoint.h"
#include "common/handle.h"
#include "common/log.h"
#include "common/log_budget.h"
#include "common/main_context.h"

namespace junctor::sip {

/// What connections to our port may cost. Those that a phone registered over are not touched: it is
/// called over them, and may say nothing for as long as its registration lasts.
struct ConnectionLimits {
  std::size_t in_all = 1000;   ///< and at most a quarter of the files this process may open
  std::size_t per_peer = 100;  ///< for each address_group()
  /// Until the first byte, and until the next one. The second is longer than the 120 s that RFC
  /// 5626 section 4.4.1 gives phones between two keep-alives.
  Duration silence = std::chrono::seconds(10), idle = std::chrono::seconds(150);
};

/// One connection, as the rules below see it.
struct Connection {
  std::string group;        ///< address_group() of the peer
  bool heard = false;       ///< any byte has come, and it made sense so far
  Duration quiet{};         ///< since its last byte, or since it was made
  bool wanted = false;      ///< a phone registered over it
  std::uint64_t order = 0;  ///< rises with each connection that is made
};
/// Which of `connections` must go, by index. Where there are too many, those that have said nothing
/// yet go before those that have, and the longest quiet ones first: whoever comes anew has its
/// chance, and a tenth of the limit is made free at once.
std::vector<std::size_t> surplus(const std::vector<Connection> &connections,
                                 const ConnectionLimits &limits);

/// Watches over the connections that Sofia accepts on a port of ours. Sofia has no limit for them:
/// it accepts until there is no descriptor left, then turns in circles. Its sockets stay its own:
/// they are found among those that its context polls, and only ever shut down, upon which Sofia
/// closes them. Of all that is ready Sofia serves one accept or one close at a time, accepts first:
/// while many wait to be closed, nothing is accepted. The thread that iterates the context.
class Connections {
 public:
  struct Options {
    std::uint16_t port = 0;
    bool tls = false;  ///< what comes by it is encrypted
    ConnectionLimits limits;
    /// The peers that registered over a connection, as Endpoint::to_string() has them.
    std::function<std::vector<std::string>()> wanted;
    LogSink log;
  };
  /// Sofia listens already.
  Connections(GMainContext *context, Options options);
  ~Connections();
  Connections(const Connections &) = delete;
  Connections &operator=(const Connections &) = delete;

  /// Sofia's descriptor of the connection from `peer`; -1 if there is none.
  int find(const Endpoint &peer) const;
  /// What came over the connection from there made no sense: Sofia reads no further, and may not
  /// say so. It gets no more time than who has said nothing.
  void distrust(const Endpoint &peer);
  /// Shuts the connection from there down.
  void close(const Endpoint &peer, const std::string &why);

 private:
  struct Known {
    sockaddr_storage address{};
    std::string peer, group;
    std::uint64_t order = 0;
    bool shut = false;  ///< Sofia has not closed it yet
    bool distrusted = false;
    bool judged = false;              ///< by how it begins
    std::uint64_t read = 0;           ///< bytes that have come, when it was looked at
    unsigned unmoved = 0;             ///< how often nothing of them was taken
    std::unique_ptr<GPollFD> polled;  ///< in source_, which keeps its address
  };
  struct Source;
  /// Where Sofia accepts.
  struct Listener {
    int fd;  ///< Sofia's
    GSource *source;
    UniqueFd aside;  ///< what `fd` was, while nothing is to be accepted
  };
  void on_incoming(int listener);
  std::size_t closing() const;
  void pause();
  void resume();
  void refuse_for_want(int listener);
  void refresh();
  void review();
  void check_readers();
  /// By the first line, before Sofia has it: of what is none of SIP it waits for the end, and tells
  /// nobody.
  void judge(int fd, Known &known);
  /// False if it is not there any more.
  bool look_at(int fd, Known &known) const;
  bool is_connection(int fd, const Known &known) const;
  void unwatch(Known &known);
  static bool is_stuck(const Known &known);
  void shut_stalled();
  void shut(int fd, Known &known, const std::string &why);
  void review_in(Duration delay);

  GMainContext *context_;
  Options options_;
  Source *source_ = nullptr;  // sees what may be read, before Sofia reads it
  std::vector<Listener> listeners_;
  std::map<int, Known> known_;
  std::size_t fresh_ = 0;  // since the last review
  std::uint64_t made_ = 0;
  ContextTimer timer_, resume_timer_;
  Time due_{};
  UniqueFd spare_;  // given up where there is no descriptor left, to accept and close
  LogBudget budget_;
};

/// The sockets that `context` polls: UDP ones bound to `port`, as Sofia's. Its own thread.
std::vector<int> polled_udp(GMainContext *context, std::uint16_t port);

}  // namespace junctor::sip
