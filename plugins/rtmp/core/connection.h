// SPDX-License-Identifier: LGPL-2.1-or-later
// One client's socket: its session, what it publishes and what it plays.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/handle.h"
#include "common/peer_log_budget.h"
#include "common/reactor.h"
#include "common/stream_socket.h"
#include "rtmp/core/outlet.h"
#include "rtmp/core/publication.h"
#include "rtmp/core/session.h"

namespace junctor::rtmp {

class ServerCore;
class ServerOutlet;

/// Owned by the ServerCore, which outlives it but for the time until the end of a turn. Reactor
/// thread only.
class Connection final : public std::enable_shared_from_this<Connection>, private SessionEvents {
 public:
  Connection(ServerCore &core, std::unique_ptr<StreamSocket> socket, std::uint64_t id,
             Endpoint peer, bool secure);
  ~Connection() override;

  void start();
  std::uint64_t id() const { return id_; }
  const Endpoint &peer() const { return peer_; }
  /// Whether it has ever published or played.
  bool started() const { return session_.started(); }

  /// The verdict on a check, from the reactor's queue.
  void decide(std::uint64_t check, const Verdict &verdict);
  /// Tells the publisher, then closes. `finished` is what listeners hear.
  void end_publish(std::uint32_t stream, std::string_view code, std::string_view description,
                   bool finished);
  /// All players of `outlet` end with these words once they have what was written.
  void end_play(const ServerOutlet *outlet, const std::string &code,
                const std::string &description);
  /// Says what can be said at once, and closes.
  void shut();

  /// Sends what there is to send, as far as the socket takes it.
  void flush();

 private:
  enum class State : std::uint8_t { Open, Draining, Closed };
  struct Publishing {
    std::uint32_t stream;
    Request request;
    std::shared_ptr<Publication> publication;
  };
  struct Playing {
    std::uint32_t stream;
    Request request;
    std::shared_ptr<ServerOutlet> outlet;
    std::unique_ptr<Player> player;
    Time last_sent;
    std::string end_code, end_description;  ///< once its outlet has ended
  };

  // SessionEvents
  void on_check(std::uint64_t check, const Request &request) override;
  void on_checked(const Request &request, const Verdict &verdict) override;
  void on_publish(std::uint32_t stream, const Request &request) override;
  void on_media(std::uint32_t stream, const Message &message) override;
  void on_unpublish(std::uint32_t stream) override;
  void on_play(std::uint32_t stream, const Request &request) override;
  void on_play_state(std::uint32_t stream, const PlayState &state) override;
  void on_play_stopped(std::uint32_t stream) override;

  void on_ready(std::uint32_t events);
  void on_timer();
  void read_input();
  void feed(ByteSpan bytes);
  void feed_held();
  void discard_input();
  void quick_acknowledgement();

  bool control_pending() const { return control_at_ < control_.size(); }
  void take_output();
  void send_all();
  bool send_once();
  bool check_lag(Time now);
  bool end_finished_players();
  void schedule_flush();

  /// Looks whether the session is closing, and begins to close the socket if so.
  void settle();
  void begin_closing(bool finished);
  void peer_gone(std::string_view why);
  void detach(bool finished);
  void drop_player(std::size_t at);
  void tick_players(Time now);
  Time due() const;
  void update();
  void destroy();

  ServerCore &core_;
  std::unique_ptr<StreamSocket> socket_;  ///< null once closed
  std::uint64_t id_;
  Endpoint peer_;
  Session session_;
  Reactor::Watch watch_;
  Reactor::Timer timer_;
  Time timer_at_ = Time::max();

  State state_ = State::Open;
  bool blocked_ = false;        ///< the socket takes no more for now
  bool has_sent_ = false;       ///< something since acknowledgements were last made quick
  bool flush_due_ = false;      ///< at the end of this turn
  bool tells_end_ = false;      ///< Draining: there was something to say
  bool write_closed_ = false;   ///< the peer has been told that nothing more comes
  Time drain_until_;            ///< Draining: then it is closed, whatever the peer does
  std::size_t drained_ = 0;     ///< bytes thrown away while Draining
  Bytes held_;                  ///< bytes that the session does not take yet
  Bytes control_;               ///< what the session says; sent before any more media
  std::size_t control_at_ = 0;  ///< how far that is sent
  std::vector<Publishing> publishing_;
  /// Broken tags that it may send, whatever it publishes: some at once, and then a slip now and
  /// then for days.
  Throttle faults_{32, std::chrono::seconds(10)};
  std::uint32_t refused_logged_ = 0;  ///< a bit for each type of message
  std::vector<Playing> playing_;
  Duration waited_{};  ///< what was read last, in the kernel
  Time progress_;      ///< when the peer last sent, or took media
  Time pinged_;
};

}  // namespace junctor::rtmp
