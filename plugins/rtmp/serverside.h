// SPDX-License-Identifier: LGPL-2.1-or-later
// What both RTMP elements have in common: properties, the check of clients, the way to a server.
#pragma once

#include <gst/gst.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "rtmp/core/server.h"
#include "rtmp/door.h"

namespace junctor::rtmp {

/// Values of the common properties. Empty text stands for "any".
struct ServerSettings {
  std::string address = "0.0.0.0";
  guint port = 1935;
  std::string application, stream, token;
  TlsFiles tls;
  Limits limits;
};

/// Ids of the common properties; an element's own begin at kFirstOwnProperty.
enum ServerProperty : guint {
  kPropAddress = 1,
  kPropPort,
  kPropApplication,
  kPropStream,
  kPropToken,
  kPropStartTimeout,
  kPropIdleTimeout,
  kPropMaxConnections,
  kPropTlsCertificate,
  kPropTlsKey,
  kFirstOwnProperty,
};

/// False if `id` is none of the common ones. Not thread-safe: hold the element's lock.
bool set_server_property(ServerSettings &settings, guint id, const GValue *value);
/// `bound` is what the port is while a server listens, else 0.
bool get_server_property(const ServerSettings &settings, std::uint16_t bound, guint id,
                         GValue *value);
/// Flags of a property that may change in NULL and READY only.
inline constexpr auto kSettable =
    static_cast<GParamFlags>(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY);

/// How one of the elements presents itself. All texts are literals.
struct ElementLooks {
  Role role = Role::Push;
  guint stats_property;     ///< id of `stats`
  const char *stats_blurb;  ///< what is in it
  GstStaticPadTemplate *audio, *video;
  const char *name, *kind, *description;
};
/// Installs the common properties, `stats` and the signal `authenticate`, whose id it returns; pad
/// templates and metadata.
guint set_up_class(GstElementClass *klass, const ElementLooks &looks);

/// The check that `application`, `stream` and `token` alone make of one stage.
Verdict judge(const ServerSettings &settings, const Request &request);

/// Asks an element's `authenticate` handlers, else judge(); posts `junctor-rtmp-auth`. Holds the
/// element weakly.
class ElementKeeper : public Doorkeeper {
 public:
  ElementKeeper(GstElement *element, guint authenticate, Role role, ServerSettings settings);
  ~ElementKeeper() override;
  ElementKeeper(const ElementKeeper &) = delete;
  ElementKeeper &operator=(const ElementKeeper &) = delete;

  bool concerns(const Request &request) const override;
  void decide(const Request &request, Decision decision) override;
  void checked(const Request &request, const Verdict &verdict) override;

  /// From now on, publish and play are refused for this reason before anybody is asked; empty
  /// lifts that. Any thread.
  void shut(std::string reason);
  /// From now on, only this stream may start; empty lifts that. Any thread.
  void claim(std::string stream);

 private:
  std::optional<Verdict> refusal(const Request &request) const;

  GWeakRef element_;
  const guint authenticate_;
  const Role role_;
  const ServerSettings settings_;
  mutable std::mutex mutex_;  // guards those below
  std::string shut_, claimed_;
};

/// An element's hold on a server, from NULL→READY to READY→NULL: the one of a context of type
/// `junctor.rtmp-server` (then clients are its owner's to check), else a door of its own, shared by
/// the elements of the pipeline that name the same address.
class ServerUse {
 public:
  /// From change_state, with no lock held. `keeper` stands at the door if there is one.
  /// BadInput where the settings themselves are wrong.
  static Result<ServerUse> begin(GstElement *element, const ServerSettings &settings,
                                 std::shared_ptr<Doorkeeper> keeper, GstDebugCategory *category);
  /// The same; where it fails it posts an error, with `code` of the resource domain, and answers
  /// an empty use.
  static ServerUse begin_or_tell(GstElement *element, const ServerSettings &settings,
                                 std::shared_ptr<Doorkeeper> keeper, GstDebugCategory *category,
                                 GstResourceError code);
  ServerUse() = default;
  ServerUse(ServerUse &&other) noexcept = default;
  ServerUse &operator=(ServerUse &&other) noexcept;
  ~ServerUse() { end(); }
  /// Not on the reactor. Closes the server if nobody else uses it.
  void end();

  explicit operator bool() const { return server_ != nullptr; }
  const std::shared_ptr<Server> &server() const { return server_; }
  /// Whether the server is somebody else's, who also decides about its clients.
  bool foreign() const { return door_ == nullptr; }

 private:
  std::shared_ptr<Door> door_;
  std::shared_ptr<Doorkeeper> keeper_;
  std::shared_ptr<Server> server_;
};

}  // namespace junctor::rtmp
