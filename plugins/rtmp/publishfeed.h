// SPDX-License-Identifier: LGPL-2.1-or-later
// A published stream on its way to source pads.
#pragma once

#include <gst/base/gstflowcombiner.h>
#include <gst/gst.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "rtmp/core/server.h"
#include "rtmp/core/source_clock.h"
#include "rtmp/timeline.h"

namespace junctor::rtmp {

/// Pushes the frames of a publisher into the pads of an element, straight from the reactor. Pads
/// come with their tracks. The server holds it weakly, the element and functions under way on the
/// reactor strongly.
///
/// Locks: stream_lock_ is held on the reactor while something is pushed; close() takes it to wait
/// for a push that is under way. It is recursive because what is downstream may end the publisher.
/// server_lock_ is the inner one.
class PublishFeed : public PublishListener, public std::enable_shared_from_this<PublishFeed> {
 public:
  struct Pads {
    GstPadTemplate *audio, *video;  ///< not held; the element class has them
    /// Sets up a pad before it is added.
    void (*prepare)(GstPad *pad);
  };
  PublishFeed(GstElement *element, Pads pads);
  ~PublishFeed() override;

  /// From READY→PAUSED. `name` may be empty until listen_to(). `ended` is called on the reactor
  /// when no more media will come: EOS was sent.
  void open(std::shared_ptr<Server> server, std::string name, bool eos_on_finish,
            std::function<void()> ended);
  /// From PAUSED→PLAYING and PLAYING→PAUSED. Never blocks: what begins after pause() is dropped,
  /// and play() continues with what the publisher sends then.
  void play();
  void pause();
  /// From PAUSED→READY, after the pads are inactive: returns when no push is under way, and none
  /// will be. Removes the pads.
  void close();
  /// Reactor thread: listens to the publisher of this name, in place of the one before.
  void listen_to(const std::string &name);
  /// Any thread: ends all pads, as if the publisher had finished.
  void end_of_stream();

  struct Counts {
    std::uint64_t frames = 0, bytes = 0;
    bool publishing = false;
  };
  Counts counts() const;  ///< any thread

  // PublishListener, on the reactor.
  void on_publisher() override;
  void on_track(const Track &track) override;
  void on_left_out(Medium medium, const std::string &why) override;
  void on_frame(const Frame &frame) override;
  void on_publisher_gone(bool finished) override;

 private:
  /// One medium's pad.
  struct Lane {
    GstPad *pad = nullptr;  // the element's
    GstCaps *caps = nullptr;
    bool discontinuous = true;
    bool headers_due = false;  // what the caps have as `streamheader` comes before the next frame
  };
  Lane &lane(Medium medium) { return lanes_[static_cast<std::size_t>(medium)]; }

  std::shared_ptr<Server> server() const;
  void attach();
  void detach(Server &server);
  void replay();
  void push(const Frame &frame);
  void push_headers(const Lane &lane);
  void judge_flow(GstFlowReturn flow);
  void make_pad(Medium medium, Lane &lane, GstCaps *caps);
  void tell_no_more_pads();
  void finish();
  std::int64_t now() const;
  /// On a clock that does not fall back, for every frame: cheaper than the element's.
  static std::int64_t steady_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch())
        .count();
  }

  GstElement *const element_;  // used only while running_
  const Pads pads_;
  std::atomic<bool> playing_ = false;
  std::atomic<bool> interrupted_ = false;  // frames may have been missed since attach()
  std::atomic<std::uint64_t> frames_ = 0, bytes_ = 0;
  std::atomic<bool> publishing_ = false;

  mutable std::mutex server_lock_;  // guards server_
  std::shared_ptr<Server> server_;  // while open

  std::recursive_mutex stream_lock_;  // guards all below
  bool running_ = false;
  bool eos_on_finish_ = true;
  std::function<void()> ended_;
  std::string name_;      // wanted; stays when closed, for whoever published may still do so
  std::string attached_;  // listened to
  std::array<Lane, 2> lanes_;
  GstFlowCombiner *flow_;
  guint group_ = GST_GROUP_ID_INVALID;
  SourceClock source_clock_;
  Timeline timeline_;
  bool replaying_ = false;
  std::vector<Frame> replayed_;
  bool complete_ = false;       // no-more-pads was told
  std::int64_t first_dts_ = 0;  // on the source's shared clock
  bool over_ = false;           // EOS was sent
};

}  // namespace junctor::rtmp
