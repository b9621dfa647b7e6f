// SPDX-License-Identifier: LGPL-2.1-or-later
// One RTMP server that several elements stand behind.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/gst/context.h"
#include "rtmp/core/server.h"

namespace junctor::rtmp {

/// An element's part at the door: decides who may come in to it. Called on the reactor, possibly
/// once more while leave() runs.
class Doorkeeper {
 public:
  virtual ~Doorkeeper() = default;
  /// Whether the request is meant for this element, as far as it is known yet.
  virtual bool concerns(const Request &request) const = 0;
  virtual void decide(const Request &request, Decision decision) = 0;
  /// The outcome of a check that concerned it.
  virtual void checked(const Request &request, const Verdict &verdict) = 0;
  virtual void publish_started(const Request &) {}
  virtual void publish_ended(const Request &) {}
};

/// A server made by an element, with the reactor that serves it. Who knocks is shown to each
/// doorkeeper concerned, in the order in which they joined, until one accepts, who is then the one
/// that hears of it; connect and createStream do not tell yet whether a client will publish or
/// play. The last refusal counts.
/// Any thread but the reactor's may let go of it last; the port is free when that returns.
class Door {
 public:
  struct Options {
    Endpoint listen;
    TlsFiles tls;  ///< empty: in clear
    Limits limits;
    LogSink log;
  };
  /// BadInput where the certificate or key cannot be used.
  static Result<std::shared_ptr<Door>> open(gst::ElementReactor reactor, Options options);
  ~Door();
  Door(const Door &) = delete;
  Door &operator=(const Door &) = delete;

  const std::shared_ptr<Server> &server() const { return server_; }
  const TlsFiles &tls() const { return tls_; }
  void join(std::shared_ptr<Doorkeeper> keeper);  ///< any thread
  void leave(const Doorkeeper *keeper);           ///< any thread

 private:
  /// What the server's events reach; outlives the door if one is under way.
  struct Keepers {
    std::mutex mutex;
    std::vector<std::shared_ptr<Doorkeeper>> all;
    /// Who accepted what is published, by connection and stream. Reactor only.
    std::map<std::pair<std::uint64_t, std::string>, std::string> accepted;

    std::vector<std::shared_ptr<Doorkeeper>> concerned(const Request &request);
    /// Null once it has left.
    std::shared_ptr<Doorkeeper> named(const std::string &name);
    std::shared_ptr<Doorkeeper> first();
    void checked(const Request &request, const Verdict &verdict);
    void publish_started(const Request &request);
    void publish_ended(const Request &request);
  };
  using KeeperList = std::vector<std::shared_ptr<Doorkeeper>>;
  static void ask(const std::shared_ptr<Reactor> &reactor, KeeperList keepers, std::size_t which,
                  Request request, Decision decision);

  Door(gst::ElementReactor reactor, TlsFiles tls)
      : reactor_(std::move(reactor)), tls_(std::move(tls)), keepers_(std::make_shared<Keepers>()) {}

  gst::ElementReactor reactor_;
  const TlsFiles tls_;
  std::shared_ptr<Keepers> keepers_;
  std::shared_ptr<Server> server_;
};

/// The doors of one pipeline, by address. Elements hand it on in a context of type
/// `junctor.rtmp-server`, field "doors"; a context that carries a server itself takes its place.
/// Any thread.
class Doors {
 public:
  /// The door of this address; made if it is not open.
  Result<std::shared_ptr<Door>> open(const Endpoint &listen,
                                     const std::function<Result<std::shared_ptr<Door>>()> &make);

 private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<Door>> open_;
};

inline constexpr const char *kDoorsField = "doors";

}  // namespace junctor::rtmp

namespace junctor {
template <>
GType shared_box_type<rtmp::Doors>();
}
