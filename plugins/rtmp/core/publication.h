// SPDX-License-Identifier: LGPL-2.1-or-later
// One published name: its publisher, and who listens.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/peer_log_budget.h"
#include "common/result.h"
#include "rtmp/core/message.h"
#include "rtmp/core/metadata.h"
#include "rtmp/core/server.h"
#include "rtmp/core/tag.h"

namespace junctor::rtmp {

/// Turns a publisher's messages into tracks and frames, keeps what came since the newest keyframe,
/// and tells the listeners, who may add and remove themselves and others meanwhile. No socket, and
/// time is an argument; one thread.
class Publication {
 public:
  /// So often a track may begin or change at once, and then once a second, of all publishers under
  /// this name one after the other: each is a codec set up anew in whatever takes it.
  static constexpr unsigned kMostChanges = 32;

  explicit Publication(const Limits &limits)
      : kept_frames_(limits.kept_frames), kept_bytes_(limits.kept_bytes) {}
  Publication(const Publication &) = delete;
  Publication &operator=(const Publication &) = delete;

  /// Tells it at once of a publisher that is there, with its tracks and what is kept.
  void add(const std::shared_ptr<PublishListener> &listener);
  void remove(const PublishListener *listener);
  /// Whether anybody listens.
  bool heard() const;

  void begin();
  /// An audio, video or data message of the publisher. An error says what is wrong with it; what
  /// follows may well be right. Refused is for codecs that are not known, and for data that cannot
  /// be read.
  Result<void> take(const Message &message, Time now, Duration waited = {});
  /// Whether the publisher has changed its tracks beyond kMostChanges: take() said so, and takes
  /// nothing more. The connection is to be closed.
  bool unruly() const { return unruly_; }
  void end(bool finished);

  Server::PublishStats stats() const;

 private:
  struct Source {
    Source() {}  // clang wants it told for std::optional in the class around it
    TimestampUnwrapper clock;
    TagReader audio{Medium::Audio}, video{Medium::Video};
    Metadata metadata;
  };

  template <class Call>
  void tell(const Call &call);
  Result<void> tell_track(Track track, Time now);
  void leave_out(Medium medium, const std::string &why);
  std::optional<Track> &track_of(Medium medium) {
    return medium == Medium::Video ? video_ : audio_;
  }
  void keep(const Frame &frame);
  void forget();

  std::size_t kept_frames_, kept_bytes_;
  std::vector<std::weak_ptr<PublishListener>> listeners_;
  int telling_ = 0;  ///< while above 0, places in listeners_ stay
  std::optional<Source> source_;
  std::optional<Track> audio_, video_;
  std::array<std::string, 2> left_out_;  ///< by Medium: why, where no track of it is known
  std::vector<Frame> kept_;              ///< begins with a keyframe, or is empty
  std::size_t kept_size_ = 0;
  std::uint64_t frames_ = 0, bytes_ = 0;
  Time last_frame_{};
  Throttle changes_{kMostChanges, std::chrono::seconds(1)};
  bool unruly_ = false;
};

}  // namespace junctor::rtmp
