// SPDX-License-Identifier: LGPL-2.1-or-later
// What a stunpunch has between its pads and its channel.
#pragma once

#include <gst/gst.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/bytes.h"
#include "common/gst/refs.h"
#include "common/reactor.h"
#include "nat/core/channel.h"

namespace junctor::stunpunch {

/// From the sink pads to the channel: any streaming thread in, the reactor out, with one event for
/// all that came meanwhile. What waits is bounded: a reactor that lags loses the newest.
class Inlet : public std::enable_shared_from_this<Inlet> {
 public:
  static constexpr std::size_t kMostWaiting = 2048;  ///< buffers

  void connect(std::shared_ptr<Reactor> reactor, std::shared_ptr<nat::Channel> channel);
  void disconnect();
  /// Takes the buffer.
  void push(GstBuffer *buffer, bool rtcp);
  std::uint64_t dropped() const { return dropped_; }

 private:
  void drain();

  std::mutex mutex_;  // guards all below
  std::shared_ptr<Reactor> reactor_;
  std::shared_ptr<nat::Channel> channel_;
  struct Waiting {
    BufferRef buffer;
    bool rtcp;
  };
  std::vector<Waiting> waiting_;
  std::atomic<std::uint64_t> dropped_ = 0;
};

/// From the channel to one source pad. Reactor thread, but for what is said.
class Outlet {
 public:
  /// `caps_name` is what the pad gives where nobody knows better; null: packets of several kinds,
  /// which have no caps.
  Outlet(GstElement *element, GstPad *pad, const char *caps_name);
  ~Outlet() { clear(); }
  Outlet(const Outlet &) = delete;
  Outlet &operator=(const Outlet &) = delete;

  /// Any thread: as told by the application, or null.
  void set_caps(const GstCaps *caps);
  GstPad *pad() const { return pad_.get(); }

  void add(const SharedBytes &packet);
  /// Pushes what was added. The worst that downstream said about it.
  GstFlowReturn flush();
  /// Also when the element is gone.
  void end();

 private:
  CapsRef caps() const;
  void start_stream();
  void clear();

  GstElement *element_;
  const std::string stream_;  ///< its name
  PadRef pad_;
  const char *caps_name_;
  mutable std::mutex mutex_;
  CapsRef told_caps_;
  bool started_ = false, first_ = true;
  GstClockTime time_ = GST_CLOCK_TIME_NONE;  ///< of this batch
  std::vector<GstBuffer *> batch_;
};

}  // namespace junctor::stunpunch
