// SPDX-License-Identifier: LGPL-2.1-or-later
// A server without sockets, given to elements by context: what a test says is what they hear.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>

#include "common/avc.h"
#include "common/gst/context.h"
#include "environment.h"
#include "rtmp/core/server.h"

namespace junctor::test {

/// Records what is written to it.
class FakeOutlet final : public rtmp::Outlet {
 public:
  struct Event {
    std::string what;  ///< "source", "track", "frame", "end"
    rtmp::Track track;
    rtmp::Frame frame;
    std::thread::id thread;
  };

  void begin_source() override { add({"source", {}, {}, {}}); }
  void set_track(const rtmp::Track &track) override { add({"track", track, {}, {}}); }
  void write(const rtmp::Frame &frame) override { add({"frame", {}, frame, {}}); }
  void set_keyframe_wanted(std::function<void()> callback) override {
    keyframe_wanted = std::move(callback);
  }
  void end(const std::string &code, const std::string &) override {
    add({"end", {}, {}, {}});
    end_code = code;
  }
  Stats stats() const override { return {}; }

  /// All so far.
  std::vector<Event> events() {
    const std::lock_guard lock(mutex_);
    return events_;
  }
  std::string told() {
    std::string all;
    for (const Event &event : events()) all += (all.empty() ? "" : " ") + event.what;
    return all;
  }

  std::function<void()> keyframe_wanted;
  std::string end_code;

 private:
  void add(Event event) {
    event.thread = std::this_thread::get_id();
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
  }

  std::mutex mutex_;
  std::vector<Event> events_;
};

class FakeServer final : public rtmp::Server {
 public:
  explicit FakeServer(std::shared_ptr<Reactor> reactor) : reactor_(std::move(reactor)) {}

  std::vector<Endpoint> locals() const override { return {{"127.0.0.1", 4711}}; }
  std::shared_ptr<Reactor> reactor() const override { return reactor_; }
  void listen_to(const std::string &name,
                 std::shared_ptr<rtmp::PublishListener> listener) override {
    names.push_back(name);
    listener_ = listener;
    if (on_listen) on_listen(*listener);
  }
  void stop_listening(const std::string &, const rtmp::PublishListener *) override {
    listener_.reset();
  }
  PublishStats publish_stats(const std::string &) const override { return {}; }
  std::shared_ptr<rtmp::Outlet> outlet(const std::string &name) override {
    names.push_back(name);
    return fake_outlet;
  }
  void end_publisher(const std::string &, std::uint64_t, const std::string &,
                     const std::string &) override {}
  void close() override {}
  Stats stats() const override { return {}; }

  std::shared_ptr<rtmp::PublishListener> listener() const { return listener_.lock(); }

  std::vector<std::string> names;  ///< that were asked for; reactor
  std::shared_ptr<FakeOutlet> fake_outlet = std::make_shared<FakeOutlet>();
  /// What a listener is told at once; reactor.
  std::function<void(rtmp::PublishListener &)> on_listen;

 private:
  std::shared_ptr<Reactor> reactor_;
  std::weak_ptr<rtmp::PublishListener> listener_;
};

/// A fake server on a reactor with its thread.
class FakeServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto started = ReactorThread::start("fake");
    ASSERT_TRUE(started);
    thread = std::move(*started);
    server = std::make_shared<FakeServer>(thread->reactor());
  }

  void give_server(GstElement *element) {
    GstContext *context = gst::make_context<rtmp::Server>(kRtmpServerContext, server, true);
    gst_element_set_context(element, context);
    gst_context_unref(context);
  }
  /// Runs on the reactor and waits.
  void on_reactor(const std::function<void()> &function) { thread->reactor()->invoke(function); }
  /// Waits for all that was posted.
  void settle() {
    on_reactor([] {});
  }

  std::unique_ptr<ReactorThread> thread;
  std::shared_ptr<FakeServer> server;
};

inline SharedBytes bytes_of(std::initializer_list<int> values) {
  Bytes bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return SharedBytes::own(std::move(bytes));
}

/// Constrained baseline at level 3.1: profile_idc 66, constraint_set0 and 1, level_idc 31.
inline SharedBytes avc_config(int profile = 66, int constraints = 0xc0, int level = 31) {
  const SharedBytes sps = bytes_of({0x67, profile, constraints, level, 0xda, 0x01, 0x40, 0x16});
  const SharedBytes pps = bytes_of({0x68, 0xce, 0x3c, 0x80});
  auto config =
      junctor::build_avc_config(std::vector<ByteSpan>{sps.view}, std::vector<ByteSpan>{pps.view});
  EXPECT_TRUE(config);
  return SharedBytes::own(std::move(*config));
}

inline rtmp::Track h264_track() {
  rtmp::Track track;
  track.codec = Codec::H264;
  track.config = avc_config();
  track.width = 640;
  track.height = 360;
  return track;
}

/// AAC LC, 44100 Hz, stereo: the AudioSpecificConfig that ISO/IEC 14496-3 gives as 12 10.
inline rtmp::Track aac_track() {
  rtmp::Track track;
  track.codec = Codec::Aac;
  track.config = bytes_of({0x12, 0x10});
  track.rate = 44100;
  track.channels = 2;
  return track;
}

/// An access unit of one slice, with 4-byte lengths: IDR, or a reference picture, or neither.
inline SharedBytes picture(bool key, bool reference = true) {
  return bytes_of({0, 0, 0, 3, key ? 0x65 : reference ? 0x41 : 0x01, 0x88, 0x84});
}

inline rtmp::Frame video_frame(std::int64_t dts, bool key, std::int32_t composition = 0) {
  rtmp::Frame frame;
  frame.medium = Medium::Video;
  frame.key = key;
  frame.dts = dts;
  frame.composition = composition;
  frame.data = picture(key);
  return frame;
}

inline rtmp::Frame audio_frame(std::int64_t dts) {
  rtmp::Frame frame;
  frame.medium = Medium::Audio;
  frame.dts = dts;
  frame.data = bytes_of({0x21, 0x10, 0x04});
  return frame;
}

}  // namespace junctor::test
