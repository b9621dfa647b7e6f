// RTMP server on a reactor: publishers, players, and what flows between. SPDX-License-Identifier:
// LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/bytes.h"
#include "common/codec.h"
#include "common/endpoint.h"
#include "common/log.h"
#include "common/reactor.h"
#include "common/result.h"

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
  std::string stream;    ///< stream name without its query; empty before Start
  Endpoint address;      ///< the peer's
  /// Queries of app (or tcUrl) and of the stream name, percent-decoded; the latter wins.
  std::map<std::string, std::string> parameters;
};

/// What a refusal means to the client; chooses the RTMP code of stages that have several.
enum class Refusal : std::uint8_t { Denied, NameTaken, UnknownStream };

struct Verdict {
  bool accepted = false;
  std::string identity;  ///< on acceptance of Connect (or a late Start): the account's name
  Refusal refusal = Refusal::Denied;
  std::string reason;  ///< for people; sent to the client
};

/// The way back for one verdict. Any thread, at most once; further calls do nothing, and one that
/// is dropped without an answer refuses. Copies share the one answer.
class Decision {
 public:
  Decision() = default;
  explicit Decision(std::function<void(Verdict)> deliver);
  void accept(std::string identity = {}) const;
  void refuse(std::string reason, Refusal refusal = Refusal::Denied) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// One track of a stream. `config` is the decoder configuration: AVCDecoderConfigurationRecord for
/// H264, AudioSpecificConfig for AAC, empty for codecs that need none.
struct Track {
  Codec codec = Codec::H264;
  SharedBytes config;
  int rate = 0;               ///< audio: Hz
  int channels = 0;           ///< audio
  int width = 0, height = 0;  ///< video: from metadata, 0 if not told
};

/// One access unit of one medium, as the elementary stream has it (H264: length-prefixed NAL
/// units).
struct Frame {
  Medium medium = Medium::Video;
  bool key = false;              ///< video: starts a decodable picture
  bool droppable = false;        ///< video: no other picture refers to it
  std::int64_t dts = 0;          ///< ms, on the publisher's clock
  std::int32_t composition = 0;  ///< ms to add for the PTS
  SharedBytes data;
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
  virtual void on_frame(const Frame &frame) = 0;
  /// The publisher has gone: `finished` by deleteStream or closeStream, else its connection was
  /// lost.
  virtual void on_publisher_gone(bool finished) = 0;
};

/// What players of one name get. Made by Server::outlet(); reactor thread only.
/// Timestamps of what is written are the writer's own; begin_source() ties them to the outlet's
/// one clock, so that players see them rise without a break, whoever writes.
class Outlet {
 public:
  virtual ~Outlet() = default;
  /// What follows comes from another source: its first frame is placed at the present, never
  /// before what was sent. Video starts with the source's next keyframe.
  virtual void begin_source() = 0;
  virtual void set_track(const Track &track) = 0;
  virtual void write(const Frame &frame) = 0;
  /// Called when a player waits for a keyframe that the outlet does not hold; at most one each 500
  /// ms.
  virtual void set_keyframe_wanted(std::function<void()> callback) = 0;
  /// Ends playing for all players: UnpublishNotify, StreamEOF, Play.Stop-class status, close.
  /// `code` and `description` as onStatus carries them, e.g. "NetStream.Play.Complete".
  virtual void end(const std::string &code, const std::string &description) = 0;

  struct Stats {
    std::size_t players = 0;
    std::uint64_t frames = 0, bytes = 0, dropped = 0;
  };
  virtual Stats stats() const = 0;
};

/// Bounds on what a peer may cost. Times in milliseconds; 0 switches a time limit off.
struct Limits {
  std::size_t connections = 4096;
  std::size_t connections_per_address = 1024;
  int handshake_ms = 5000;  ///< from accept to the end of the handshake and connect
  int start_ms = 10000;     ///< from connect to publish or play
  int verdict_ms = 5000;    ///< an Authenticator's answer; then refused
  int idle_ms = 60000;      ///< a publisher that sends nothing; a player that takes nothing
  std::size_t command_bytes = 64 * 1024;
  std::size_t media_bytes = 8 * 1024 * 1024;
  std::size_t connection_bytes = 16 * 1024 * 1024;  ///< all unfinished messages of a connection
  std::size_t chunk_streams = 64;
  std::size_t streams = 8;
  int lag_skip_ms = 200;    ///< a player so far behind skips droppable pictures
  int lag_jump_ms = 500;    ///< … jumps to the newest keyframe
  int lag_part_ms = 10000;  ///< … is parted
};

/// Events of the server, on the reactor. Defaults do nothing.
struct ServerEvents {
  std::function<void(const Request &, Decision)> authenticate;  ///< unset: accepts everything
  std::function<void(const Request &)> publish_started;
  /// `finished`: deleteStream or closeStream, else the connection was lost.
  std::function<void(const Request &, bool finished)> publish_ended;
  std::function<void(const Request &)> play_started;
  std::function<void(const Request &)> play_ended;
  /// Each decided check, for the log and for messages.
  std::function<void(const Request &, const Verdict &)> checked;
};

struct ServerOptions {
  Endpoint listen{"0.0.0.0", 1935};
  Limits limits;
  ServerEvents events;
  LogSink log;
};

/// Many connections of many accounts on one port. A second publisher of a name takes over from the
/// first. Thread-safe where said; the rest belongs to the reactor.
class Server {
 public:
  /// Any thread. Fails with what and where if the port cannot be had.
  static Result<std::shared_ptr<Server>> listen(std::shared_ptr<Reactor> reactor,
                                                ServerOptions options);
  virtual ~Server() = default;

  /// Any thread.
  virtual Endpoint local() const = 0;
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
  /// what is written to it. It lives while anybody holds it.
  virtual std::shared_ptr<Outlet> outlet(const std::string &name) = 0;

  /// Reactor thread. Ends the publisher of a name with an onStatus and a close.
  virtual void end_publisher(const std::string &name, const std::string &code,
                             const std::string &description) = 0;

  /// Any thread. Closes every connection and stops listening; events for them still come.
  virtual void close() = 0;

  struct Stats {
    std::size_t connections = 0, publishers = 0, players = 0;
    std::uint64_t refused = 0;
  };
  virtual Stats stats() const = 0;  ///< any thread
};

}  // namespace junctor::rtmp
