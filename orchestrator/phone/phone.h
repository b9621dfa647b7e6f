// SPDX-License-Identifier: LGPL-2.1-or-later
// The course of `junctor phone`: it is found at a rendezvous, calls or is called, and tells how it
// goes.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "common/end_reason.h"
#include "common/main_context.h"
#include "nat/core/behaviour.h"
#include "phone/media.h"
#include "rendezvous/client.h"
#include "rendezvous/surroundings.h"

namespace junctor::phone {

namespace wire = nat::rendezvous;

struct PhoneOptions {
  rendezvous::ClientOptions client;
  std::string call;                       ///< an account; empty: it waits to be called
  bool answer = true;                     ///< calls that come; false: they are declined
  std::vector<std::string> answer_from;   ///< accounts whose calls are answered; empty: all
  bool once = false;                      ///< it ends with its first call
  MediaOptions media;                     ///< but for session, caller and stun_servers
  std::string pictures;                   ///< directory; empty: none are saved
  std::chrono::seconds pictures_every{};  ///< 0: when save_picture() is called
  std::chrono::seconds duration{};        ///< of a call, from when it is up; 0: any
  bool stats = false, json = false;
  /// For the first answer of the rendezvous, where there is somebody to call.
  Duration welcome_patience = std::chrono::seconds(20);
};

/// What it uses of the world; tests replace it.
struct PhoneWorld {
  std::function<Result<std::unique_ptr<rendezvous::Client>>(rendezvous::ClientOptions,
                                                            rendezvous::ClientEvents)>
      connect = rendezvous::Client::connect;
  std::function<Result<std::unique_ptr<Media>>(MediaOptions, MediaEvents)> media;
  rendezvous::Lookout::Survey survey = rendezvous::survey;
  std::function<Time()> now = [] { return Clock::now(); };
};

/// One client with at most one call. On the thread of the default GMainContext.
class Phone {
 public:
  /// Exit codes, as the program's.
  static constexpr int kDone = 0, kFailed = 1, kUnreachable = 3;

  /// `out` gets a line for each thing that happens; `ended` is called once, with the exit code.
  Phone(PhoneOptions options, PhoneWorld world, std::ostream &out, std::ostream &err,
        std::function<void(int)> ended);
  ~Phone();

  Result<void> start();
  /// Ends what there is, and itself.
  void hang_up();
  /// The peer's newest picture, to the directory of the options.
  void save_picture();

 private:
  struct Call {
    std::string session, peer;
    bool caller = false;
    std::string no_direct;   ///< why no direct way is to be expected; empty: one is
    wire::Object offer;      ///< of the caller, for the callee's media
    bool described = false;  ///< our first string is on its way
    bool answered = false;
    bool forgotten = false;  ///< the rendezvous knows nothing of it any more
    std::unique_ptr<Media> media;
    std::optional<Time> up;  ///< since when media can flow
    std::string rung;        ///< that carries, or carried last
    MediaStats last{};
  };

  void tell(const char *event, nlohmann::json fields, const std::string &text);
  void on_welcome(const wire::Welcome &welcome);
  void on_message(const wire::Message &message);
  void on_away(const std::string &why, Duration wait);
  wire::Moved network() const;  ///< what is known of this machine's
  void on_surroundings(rendezvous::Surroundings found);
  void place_call();
  void on(const wire::Session &session);
  void on(const wire::Refused &refused);
  void on(const wire::Invite &invite);
  void on(const wire::Trying &trying);
  void on(const wire::Accept &accept);
  void on(const wire::Reach &reach);
  void on(const wire::Signal &signal);
  void on(const wire::Bye &bye);
  void on(const wire::Node &node);
  void on(const wire::NodeUp &node);
  void on(const wire::NodeFailed &node);
  void on(const wire::NoNode &none);
  void on(const wire::Turn &turn);
  void on(const wire::Wrong &wrong);
  template <class Other>
  void on(const Other &) {}

  bool is_current(const std::string &session) const { return call_ && call_->session == session; }
  Result<void> start_media();
  void on_signal(const std::string &signal);
  void on_channel(const ChannelNews &news);
  void on_rung(const RungNews &news);
  void end_call(EndReason reason, const std::string &detail, bool by_us);
  void finish(int code);
  void tick();
  void show_stats();
  void offer(const nlohmann::json &offer);
  void say(const wire::Message &message);
  void decline(const char *type);

  const PhoneOptions options_;
  const PhoneWorld world_;
  std::ostream &out_, &err_;
  std::function<void(int)> ended_;
  std::unique_ptr<rendezvous::Client> client_;
  std::vector<std::string> stun_;  ///< HOST:PORT, the nearest first
  rendezvous::Surroundings surroundings_;
  rendezvous::Lookout lookout_;
  bool looked_ = false, placed_ = false, finishing_ = false;
  bool leaving_ = false;  ///< as soon as the session that was asked for has come
  bool refused_ = false;  ///< by the rendezvous, for good
  std::optional<Call> call_;
  unsigned pictures_ = 0;
  std::optional<Time> next_picture_;
  int code_ = kDone;
  ContextTimer patience_, welcome_, ticker_;
  std::string away_;                                       ///< why the rendezvous is not reached
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  ///< for what comes later
};

}  // namespace junctor::phone
