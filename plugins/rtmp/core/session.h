// SPDX-License-Identifier: LGPL-2.1-or-later
// The protocol of one connection to the server.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/peer_log_budget.h"
#include "common/result.h"
#include "rtmp/core/capabilities.h"
#include "rtmp/core/chunk_reader.h"
#include "rtmp/core/chunk_writer.h"
#include "rtmp/core/command.h"
#include "rtmp/core/handshake.h"
#include "rtmp/core/server.h"

namespace junctor::rtmp {

/// The chunk size that the server announces to everybody, so that players share wire frames.
inline constexpr std::uint32_t kServerChunkSize = 65536;
/// The window that the server announces, and the one it assumes of peers that announce none.
inline constexpr std::uint32_t kServerWindow = 2500000;

/// What a player has asked for beside the name.
struct PlayState {
  bool paused = false;
  bool audio = true, video = true;  ///< receiveAudio, receiveVideo
};

/// What happens in a session. Calls come from within its functions; they may call end_publish(),
/// end_play() and close(), but neither receive(), decide() nor tick(), nor destroy it. Streams are
/// message stream ids of this connection.
class SessionEvents {
 public:
  virtual ~SessionEvents() = default;
  /// A check is due: answer later by decide(check, …). There is one at a time.
  virtual void on_check(std::uint64_t check, const Request &request) = 0;
  /// A check is decided, and the client answered.
  virtual void on_checked(const Request &request, const Verdict &verdict) = 0;
  virtual void on_publish(std::uint32_t stream, const Request &request) = 0;
  /// An audio, video or data message of a published stream, in order.
  virtual void on_media(std::uint32_t stream, const Message &message) = 0;
  /// Told for every on_publish, unless the stream was ended by end_publish() or close().
  virtual void on_unpublish(std::uint32_t stream) = 0;
  virtual void on_play(std::uint32_t stream, const Request &request) = 0;
  virtual void on_play_state(std::uint32_t stream, const PlayState &state) = 0;
  /// Told for every on_play, unless the stream was ended by end_play() or close().
  virtual void on_play_stopped(std::uint32_t stream) = 0;
};

struct SessionOptions {
  Limits limits;
  std::uint64_t connection = 0;
  Endpoint peer;
  RandomFill random;    ///< for the handshake; empty for the system's
  bool secure = false;  ///< Request::secure
};

/// The server's side of the protocol: handshake, connect, streams, and the three checks. Bytes in,
/// bytes and events out; no socket, and time is an argument. Once closing() it takes nothing more:
/// what output() holds is to be sent, then the connection closed. One thread.
class Session {
 public:
  Session(SessionOptions options, SessionEvents &events, Time now);
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;

  /// Takes bytes from the peer and returns how many: fewer than all when a check is due. What is
  /// left is to be given again, first, once wants_input().
  std::size_t receive(ByteSpan input, Time now);
  /// False while a check is being decided, and when closing.
  bool wants_input() const { return !check_ && !closing_; }

  /// The verdict on a check. One that is not pending any more is ignored.
  void decide(std::uint64_t check, const Verdict &verdict, Time now);

  /// Applies the time limits. Call it at deadline(), or whenever.
  void tick(Time now);
  /// When a time limit ends; Time::max() if none runs.
  Time deadline() const;

  /// Ends one stream and the connection with it, saying why.
  void end_publish(std::uint32_t stream, std::string_view code, std::string_view description);
  void end_play(std::uint32_t stream, std::string_view code, std::string_view description);
  /// Ends the connection without a word.
  void close(Error reason);

  /// Asks the peer for a sign of life.
  void ping(Time now);

  /// Takes what is to be sent.
  Bytes take_output() { return std::exchange(output_, {}); }
  bool has_output() const { return !output_.empty(); }

  bool closing() const { return closing_.has_value(); }
  /// Why; only when closing().
  const Error &close_reason() const { return *closing_; }
  /// Where the client is: "handshake", "connect", "createStream", "publish", "play", "publishing",
  /// "playing", "end" when all its streams have ended. For logs.
  std::string_view stage() const;
  /// The peer has said by FCUnpublish that it is about to end its streams.
  bool announced_end() const { return announced_end_; }
  /// Whether a publish or a play has ever been accepted.
  bool started() const { return started_; }
  bool publishing() const { return publishing_ > 0; }
  bool playing() const { return playing_ > 0; }
  /// Whom the connection belongs to; empty before the verdict that says so.
  const std::string &identity() const { return identity_; }
  /// How the peer wants pictures in H264, as a player.
  TagStyle h264_style() const { return capabilities_.h264; }
  /// Bytes of unfinished messages.
  std::size_t pending_bytes() const { return reader_.pending_bytes(); }

 private:
  enum class Progress : std::uint8_t { Handshake, Connect, Connected };
  enum class Use : std::uint8_t { None, Publishing, Playing };
  struct Stream {
    std::uint32_t id = 0;
    Use use = Use::None;
    std::string name;
    PlayState play;
  };
  /// A check that waits for its verdict.
  struct Check {
    std::uint64_t number = 0;
    Request request;
    double transaction = 0;
    std::uint32_t stream = 0;
    Time deadline;
  };

  // session.cpp
  ChunkReader::Flow on_message(const Message &message);
  void on_media(const Message &message);
  void on_user_control(const Message &message);
  void acknowledge();
  void ask(Request request, double transaction, std::uint32_t stream);
  void accept(const Check &check);
  void refuse(const Check &check, const Verdict &verdict);
  Stream *stream_of(std::uint32_t id);
  void stop(Stream &stream);
  void send(const Message &message) { writer_.write(message, output_); }
  void send_status(std::uint32_t stream, std::string_view code, std::string_view description);
  void send_result(double transaction, AmfValue object, AmfValue value);
  void send_error(double transaction, std::string_view code, std::string_view description);

  // session_commands.cpp
  void on_command(const Message &message);
  void on_connect(const Command &command);
  void on_create_stream(const Command &command);
  void on_publish_command(const Command &command, std::uint32_t stream);
  void on_play_command(const Command &command, std::uint32_t stream, const std::string &name);
  void start(Role role, std::uint32_t stream, const std::string &name, double transaction);
  void refuse_start(Role role, std::uint32_t stream, Refusal refusal, std::string_view reason);
  void on_stream_command(const Command &command, std::uint32_t stream);
  void on_delete_stream(const Command &command, std::uint32_t stream);
  void on_small_command(const Command &command, std::uint32_t stream);

  SessionOptions options_;
  SessionEvents &events_;
  ServerHandshake handshake_;
  ChunkReader reader_;
  ChunkWriter writer_;
  Bytes output_;

  Progress progress_ = Progress::Handshake;
  Time now_;
  Time limit_;  ///< of the handshake and connect, then of the start
  Time last_receive_;
  std::optional<Check> check_;
  std::uint64_t next_check_ = 1;
  std::optional<Error> closing_;

  Capabilities capabilities_;
  Request identity_request_;  ///< what connect established: app, address, parameters
  std::string identity_;
  std::string grant_;  ///< of the verdict on connect
  Role role_ = Role::Unknown;
  std::vector<Stream> streams_;
  Throttle checks_;  ///< of createStream, publish and play
  int publishing_ = 0, playing_ = 0;
  bool announced_end_ = false;
  bool started_ = false;  ///< something has been published or played
  std::uint32_t peer_window_ = kServerWindow;
  std::uint64_t acknowledged_ = 0;
};

/// "error" for codes that name a failure, else "status".
std::string_view level_of(std::string_view code);

}  // namespace junctor::rtmp
