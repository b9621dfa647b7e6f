// SPDX-License-Identifier: LGPL-2.1-or-later
// RTMP server on a reactor: publishers, players, and what flows between.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/endpoint.h"
#include "common/latency.h"
#include "common/log.h"
#include "common/reactor.h"
#include "common/result.h"
#include "common/tls.h"
#include "rtmp/core/media.h"

namespace junctor::rtmp {

/// Unknown until publish or play; after releaseStream or FCPublish it is known to be Push.
enum class Role : std::uint8_t { Unknown, Push, Pull };

/// The three points at which a client's identity is checked.
enum class Stage : std::uint8_t { Connect, CreateStream, Start };  // Start: publish or play

std::string_view to_string(Role role);    ///< "unknown", "push", "pull"
std::string_view to_string(Stage stage);  ///< "connect", "createStream", "publish/play"

/// What a client asks for at one stage. All text is the peer's, bounded in length, not trusted.
struct Request {
  std::uint64_t connection = 0;  ///< unique for the life of the server
  Stage stage = Stage::Connect;
  Role role = Role::Unknown;
  std::string app;       ///< application name without its query
  std::string identity;  ///< what the verdict on Connect bound; empty at Connect
  /// What the verdict on Connect bound beside the identity, for the checks that follow. Never the
  /// peer's own words.
  std::string grant;
  std::string stream;   ///< stream name without its query; empty before Start
  Endpoint address;     ///< the peer's
  bool secure = false;  ///< it came under TLS (RTMPS)
  /// Queries of app (or tcUrl) and of the stream name, percent-decoded; the latter wins.
  std::map<std::string, std::string> parameters;

  /// Null where it is missing or empty.
  const std::string *parameter(const std::string &name) const {
    const auto found = parameters.find(name);
    return found == parameters.end() || found->second.empty() ? nullptr : &found->second;
  }
};

/// "connect", "createStream", and "publish" or "play".
const char *stage_name(const Request &request);

/// What a refusal means to the client; chooses the RTMP code of stages that have several.
enum class Refusal : std::uint8_t { Denied, NameTaken, UnknownStream };

struct Verdict {
  bool accepted = false;
  std::string identity;  ///< on acceptance of Connect (or a late Start): the account's name
  std::string grant;     ///< on acceptance of Connect: Request::grant from now on
  Refusal refusal = Refusal::Denied;
  std::string reason;  ///< for people; sent to the client
  /// What the client is told at Connect in place of the reason, where programs read it.
  std::string description;
};

/// The way back for one verdict. Any thread, at most once; further calls do nothing, and one that
/// is dropped without an answer refuses. Copies share the one answer.
class Decision {
 public:
  Decision() = default;
  explicit Decision(std::function<void(Verdict)> deliver);
  void accept(std::string identity = {}) const;
  void refuse(std::string reason, Refusal refusal = Refusal::Denied) const;
  /// Either, with all that a verdict may hold.
  void give(Verdict verdict) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Receives one published stream. Called on the reactor; all calls of one name are in order.
class PublishListener {
 public:
  virtual ~PublishListener() = default;
  /// A publisher has begun. Its clock starts anew: the first frame's dts is unrelated to any
  /// before.
  virtual void on_publisher() = 0;
  /// A track appeared or its configuration changed; comes before the first frame that needs it.
  virtual void on_track(const Track &track) = 0;
  /// What the publisher sends as this medium is left out, and `why`, as a sentence: a codec that
  /// is not supported, say. Once for each medium of which no track is known; a track that follows
  /// takes it back.
  virtual void on_left_out(Medium, const std::string & /*why*/) {}
  virtual void on_frame(const Frame &frame) = 0;
  /// The publisher has gone: `finished` by its deleteStream, closeStream or FCUnpublish, or by
  /// Server::end_publisher(); else its connection was lost, or another publisher took the name
  /// over.
  virtual void on_publisher_gone(bool finished) = 0;
};

/// What players of one name get. Made by Server::outlet(); reactor thread only.
/// Timestamps of what is written are the writer's own; begin_source() ties them to the outlet's
/// one clock, so that players see them rise without a break, whoever writes.
class Outlet {
 public:
  virtual ~Outlet() = default;
  /// What follows comes from another source: its first frame is placed at the present, never
  /// before what was sent. Video starts with the source's next keyframe. A
  /// track of the source before is announced again only once it is set or has a frame.
  virtual void begin_source() = 0;
  /// Before the first frame of its medium, and when its configuration changes.
  virtual void set_track(const Track &track) = 0;
  /// Frames of a medium without a track, and video before a keyframe, are dropped and counted.
  virtual void write(const Frame &frame) = 0;
  /// Called when a player waits for a keyframe that the outlet does not hold; at most one each 500
  /// ms.
  virtual void set_keyframe_wanted(std::function<void()> callback) = 0;
  /// Ends playing for all players once they have what was written: the status, UnpublishNotify,
  /// StreamEOF, close. `code` and `description` as onStatus carries them, e.g.
  /// "NetStream.Play.Complete"; its level is "error" for codes that say so (Play.Failed …). Who
  /// plays the name afterwards waits for the next begin_source().
  virtual void end(const std::string &code, const std::string &description) = 0;

  struct Stats {
    std::size_t players = 0;
    std::uint64_t frames = 0, bytes = 0;  ///< written, each once however many players hear it
    std::uint64_t dropped = 0;            ///< not written, or skipped for a player that lags
    /// By Medium: from write() to the kernel, of the last seconds and all players.
    std::array<LatencyFigures, 2> send;
  };
  virtual Stats stats() const = 0;  ///< any thread
};

/// Bounds on what a peer may cost. Times in milliseconds; 0 switches a time limit off.
struct Limits {
  std::size_t connections = 4096;
  std::size_t connections_per_address = 1024;
  int handshake_ms = 5000;  ///< from accept to the end of the handshake and connect
  int start_ms = 10000;     ///< from connect to publish or play
  int verdict_ms = 5000;    ///< an Authenticator's answer; then refused
  int idle_ms = 60000;      ///< a publisher that sends nothing; a player that takes nothing
  int wait_ms = 600000;     ///< a player to whom nothing is sent
  std::size_t command_bytes = 64UL * 1024;
  std::size_t media_bytes = 8UL * 1024 * 1024;
  std::size_t connection_bytes = 16UL * 1024 * 1024;  ///< all unfinished messages of a connection
  std::size_t chunk_streams = 64;
  std::size_t streams = 8;
  std::size_t kept_frames = 1024;              ///< of a publisher, since its last keyframe
  std::size_t kept_bytes = 2UL * 1024 * 1024;  ///< the same, and of an outlet
  int lag_skip_ms = 200;                       ///< a player so far behind skips droppable pictures
  int lag_jump_ms = 500;                       ///< … jumps to the newest keyframe
  int lag_part_ms = 10000;                     ///< … is parted
};

/// Events of the server, on the reactor. Defaults do nothing.
struct ServerEvents {
  std::function<void(const Request &, Decision)> authenticate;  ///< unset: accepts everything
  std::function<void(const Request &)> publish_started;
  /// `finished` as in PublishListener::on_publisher_gone.
  std::function<void(const Request &, bool finished)> publish_ended;
  std::function<void(const Request &)> play_started;
  std::function<void(const Request &)> play_ended;
  /// Each decided check, for the log and for messages.
  std::function<void(const Request &, const Verdict &)> checked;
};

struct ServerOptions {
  Endpoint listen{"0.0.0.0", 1935};
  std::shared_ptr<TlsIdentity> tls;  ///< set: TLS is spoken there (RTMPS)
  struct Door {
    Endpoint listen;
    std::shared_ptr<TlsIdentity> tls;
  };
  std::vector<Door> more_doors;  ///< to the same names
  Limits limits;
  ServerEvents events;
  LogSink log;
};

/// Many connections of many accounts on one port. A name is the stream name alone: which
/// applications there are is the authenticator's to decide. A second publisher of a name takes over
/// from the first, which is told NetStream.Publish.BadName and closed. Publishers are not looped
/// back to players: these hear what is written to the outlet of the name. Thread-safe where said;
/// the rest belongs to the reactor. The last owner may let go on any thread that holds no lock
/// which events take; that closes the server.
class Server {
 public:
  /// Any thread. Fails with what and where if the port cannot be had.
  static Result<std::shared_ptr<Server>> listen(const std::shared_ptr<Reactor> &reactor,
                                                ServerOptions options);
  virtual ~Server() = default;

  /// Any thread. Where it listens, with the ports really bound: first `listen`, then `more_doors`.
  virtual std::vector<Endpoint> locals() const = 0;
  Endpoint local() const { return locals().front(); }
  virtual std::shared_ptr<Reactor> reactor() const = 0;

  /// Reactor thread. A listener may be added before its publisher comes; it is told at once of a
  /// publisher and tracks that are there, and given the frames since the last keyframe. Held
  /// weakly.
  virtual void listen_to(const std::string &name, std::shared_ptr<PublishListener> listener) = 0;
  virtual void stop_listening(const std::string &name, const PublishListener *listener) = 0;

  struct PublishStats {
    bool present = false;
    std::optional<Track> audio, video;
    std::uint64_t frames = 0, bytes = 0;
    Time last_frame{};
  };
  virtual PublishStats publish_stats(const std::string &name) const = 0;

  /// Reactor thread. The outlet of this name; made if it is not there. Players of the name hear
  /// what is written to it. It lives while anybody holds it, players among them.
  virtual std::shared_ptr<Outlet> outlet(const std::string &name) = 0;

  /// For end_publisher(): whoever has the name.
  static constexpr std::uint64_t kAnyConnection = 0;
  /// Reactor thread. Ends the publisher of a name with an onStatus and a close, if it is that
  /// connection (Request::connection) still: another may have taken the name over.
  virtual void end_publisher(const std::string &name, std::uint64_t connection,
                             const std::string &code, const std::string &description) = 0;

  /// Any thread. Closes every connection and stops listening; the events of that come before it
  /// returns, and none after.
  virtual void close() = 0;

  struct Stats {
    std::size_t connections = 0, publishers = 0, players = 0;
    std::uint64_t refused = 0;
  };
  virtual Stats stats() const = 0;  ///< any thread
};

}  // namespace junctor::rtmp
