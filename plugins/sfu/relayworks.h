// SPDX-License-Identifier: LGPL-2.1-or-later
// What an sfurelay has from READY on: a relay on its reactor, and what flows between it and pads.
#pragma once

#include <gst/gst.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/gst/context.h"
#include "common/gst/refs.h"
#include "sfu/core/relay.h"

namespace junctor::sfu {

/// One element's. Any thread, but for what is said. No lock is held while pads are pushed on; those
/// who call from a streaming thread and from the application meet on the reactor.
class RelayWorks {
 public:
  struct Options {
    Endpoint listen;
    std::size_t max_legs = 1024;
    bool join = true;  ///< each new leg gets routes from and to all others
  };
  /// Looks for a shared reactor, else makes one: no lock may be held.
  static Result<std::unique_ptr<RelayWorks>> open(GstElement *element, const Options &options);
  /// Not on the reactor. No pad may be pushed on any more, or wait downstream.
  ~RelayWorks();

  Endpoint local() const { return local_; }

  Result<LegId> add_leg(LegOptions options);
  Result<void> set_remote(LegId leg, const Endpoint &remote);
  Result<void> route(LegId from, LegId to);
  bool unroute(LegId from, LegId to);
  bool remove_leg(LegId leg);
  std::optional<LegStats> stats(LegId leg) const;
  RelayStats stats() const;
  std::vector<LegId> legs() const;

  /// The leg of the pads with this number, made where there is none.
  Result<LegId> add_pad(guint number, GstPad *pad);
  /// One of the two has gone; their leg goes with the second.
  void remove_pad(guint number, GstPad *pad);
  /// 0 where there is none.
  LegId leg_of_pad(guint number) const;

  /// A streaming thread: packets of a sink pad. At most kInboxBuffers wait for the reactor; of more
  /// the earliest go, and are counted.
  static constexpr std::size_t kInboxBuffers = 2048;
  void inject(guint number, BufferRef buffer);
  void request_keyframe(guint number);
  std::uint64_t overrun() const;

 private:
  struct Pads {
    LegId leg = 0;
    PadRef sink, src;
    GstBufferList *waiting = nullptr;  // for the source pad, at the end of this turn
  };
  struct Injected {
    guint number;
    BufferRef buffer;
  };

  RelayWorks(GstElement *element, gst::ElementReactor reactor, bool join);
  Reactor &reactor() const { return *reactor_.reactor(); }
  Result<LegId> join_leg(LegOptions options);  // reactor
  void deliver(guint number, ByteSpan packet, bool rtcp);
  void push_waiting();
  void take_inbox();

  GstElement *element_;
  gst::ElementReactor reactor_;
  const bool join_;
  Endpoint local_;
  // Of the reactor:
  std::unique_ptr<Relay> relay_;
  std::vector<LegId> legs_;
  std::map<guint, Pads> pads_;
  std::unique_ptr<Reactor::TurnEnd> turn_end_;

  mutable std::mutex mutex_;  // guards the inbox
  std::vector<Injected> inbox_;
  std::vector<Injected> taken_;  // of the reactor: what its allocations are kept for
  std::uint64_t overrun_ = 0;
};

}  // namespace junctor::sfu
