// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sfu/relayworks.h"

#include <gst/video/video-event.h>

#include <algorithm>

#include "rtp/core/rtcp.h"

namespace junctor::sfu {

namespace {

/// What every stream begins with, once who gets it is known: legs say nothing of their formats, so
/// caps are what downstream wants them to be.
void begin_stream(GstElement *element, GstPad *pad) {
  gchar *id = gst_pad_create_stream_id(pad, element, GST_PAD_NAME(pad));
  gst_pad_push_event(pad, gst_event_new_stream_start(id));
  g_free(id);
  GstCaps *caps = gst_pad_get_allowed_caps(pad);
  if (caps && (gst_caps_is_empty(caps) || gst_caps_is_any(caps))) gst_clear_caps(&caps);
  caps = caps ? gst_caps_fixate(caps) : gst_caps_new_empty_simple("application/x-rtp");
  gst_pad_push_event(pad, gst_event_new_caps(caps));
  gst_caps_unref(caps);
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  gst_pad_push_event(pad, gst_event_new_segment(&segment));
}

}  // namespace

Result<std::unique_ptr<RelayWorks>> RelayWorks::open(GstElement *element, const Options &options) {
  auto reactor = gst::ElementReactor::acquire(element, "sfurelay");
  if (!reactor) return reactor.error();
  std::unique_ptr<RelayWorks> works(new RelayWorks(element, std::move(*reactor), options.join));
  Result<void> opened;
  works->reactor().invoke([&] {
    auto relay = Relay::listen(works->reactor_.reactor(), options.listen, {options.max_legs, true});
    if (!relay) {
      opened = relay.error();
      return;
    }
    works->relay_ = std::move(*relay);
    works->local_ = works->relay_->local();
    works->turn_end_ =
        std::make_unique<Reactor::TurnEnd>([self = works.get()] { self->push_waiting(); });
  });
  if (!opened) return opened.error();
  return works;
}

RelayWorks::RelayWorks(GstElement *element, gst::ElementReactor reactor, bool join)
    : element_(element), reactor_(std::move(reactor)), join_(join) {}

RelayWorks::~RelayWorks() {
  reactor().invoke([this] {
    relay_.reset();
    turn_end_.reset();
    for (auto &[number, pads] : pads_)
      if (pads.waiting) gst_buffer_list_unref(pads.waiting);
    pads_.clear();
  });
}

Result<LegId> RelayWorks::join_leg(LegOptions options) {
  auto leg = relay_->add_leg(std::move(options));
  if (!leg) return leg;
  if (join_)
    for (const LegId other : legs_)
      for (const auto &[from, to] : {std::pair(*leg, other), std::pair(other, *leg)})
        if (auto routed = relay_->route(from, to); !routed) {
          relay_->remove_leg(*leg);
          return routed.error();
        }
  legs_.push_back(*leg);
  return leg;
}

Result<LegId> RelayWorks::add_leg(LegOptions options) {
  Result<LegId> leg = LegId{0};
  reactor().invoke([&] { leg = join_leg(std::move(options)); });
  return leg;
}

Result<void> RelayWorks::set_remote(LegId leg, const Endpoint &remote) {
  Result<void> set;
  reactor().invoke([&] { set = relay_->set_remote(leg, remote); });
  return set;
}

Result<void> RelayWorks::route(LegId from, LegId to) {
  Result<void> routed;
  reactor().invoke([&] { routed = relay_->route(from, to); });
  return routed;
}

bool RelayWorks::unroute(LegId from, LegId to) {
  bool known = false;
  reactor().invoke([&] {
    known = relay_->stats(from) && relay_->stats(to);
    relay_->unroute(from, to);
  });
  return known;
}

bool RelayWorks::remove_leg(LegId leg) {
  bool known = false;
  reactor().invoke([&] {
    known = std::erase(legs_, leg) > 0;
    if (known) relay_->remove_leg(leg);
  });
  return known;
}

std::optional<LegStats> RelayWorks::stats(LegId leg) const {
  std::optional<LegStats> stats;
  reactor().invoke([&] { stats = relay_->stats(leg); });
  return stats;
}

RelayStats RelayWorks::stats() const {
  RelayStats stats;
  reactor().invoke([&] { stats = relay_->stats(); });
  return stats;
}

std::vector<LegId> RelayWorks::legs() const {
  std::vector<LegId> legs;
  reactor().invoke([&] { legs = legs_; });
  return legs;
}

Result<LegId> RelayWorks::add_pad(guint number, GstPad *pad) {
  Result<LegId> leg = LegId{0};
  reactor().invoke([&] {
    Pads &pads = pads_[number];
    (gst_pad_get_direction(pad) == GST_PAD_SINK ? pads.sink : pads.src)
        .reset(GST_PAD(gst_object_ref(pad)));
    if (pads.leg == 0) {
      LegOptions options;
      options.deliver = [this, number](ByteSpan packet, bool rtcp) {
        deliver(number, packet, rtcp);
      };
      leg = join_leg(std::move(options));
      if (!leg) {
        pads_.erase(number);
        return;
      }
      pads.leg = *leg;
    }
    leg = pads.leg;
  });
  return leg;
}

void RelayWorks::remove_pad(guint number, GstPad *pad) {
  reactor().invoke([&] {
    const auto found = pads_.find(number);
    if (found == pads_.end()) return;
    Pads &pads = found->second;
    (gst_pad_get_direction(pad) == GST_PAD_SINK ? pads.sink : pads.src).reset();
    if (pads.sink || pads.src) return;
    if (pads.waiting) gst_buffer_list_unref(pads.waiting);
    std::erase(legs_, pads.leg);
    relay_->remove_leg(pads.leg);
    pads_.erase(found);
  });
}

LegId RelayWorks::leg_of_pad(guint number) const {
  LegId leg = 0;
  reactor().invoke([&] {
    const auto found = pads_.find(number);
    if (found != pads_.end()) leg = found->second.leg;
  });
  return leg;
}

// --- from the relay to pads -------------------------------------------------------------------

void RelayWorks::deliver(guint number, ByteSpan packet, bool rtcp) {
  Pads &pads = pads_[number];
  if (!rtcp) {
    if (!pads.src) return;
    // A live source gives nothing before it plays: a sink that prerolls would hold the reactor, and
    // with it all other legs.
    if (GST_STATE(element_) != GST_STATE_PLAYING) return;
    GstBuffer *buffer = gst_buffer_new_memdup(packet.data(), packet.size());
    const GstClockTime now = gst_element_get_current_running_time(element_);
    GST_BUFFER_PTS(buffer) = GST_BUFFER_DTS(buffer) = now;
    if (!pads.waiting) pads.waiting = gst_buffer_list_new();
    gst_buffer_list_add(pads.waiting, buffer);
    turn_end_->request(reactor());
    return;
  }
  // Of RTCP only what GStreamer has an event for.
  const auto items = rtp::rtcp::parse(packet);
  if (!items || !pads.sink) return;
  for (const auto &item : *items)
    if (std::holds_alternative<rtp::rtcp::Pli>(item) ||
        std::holds_alternative<rtp::rtcp::Fir>(item))
      // Later: whatever upstream does at once must not meet the router at work.
      reactor().at_end_of_turn([pad = std::shared_ptr<GstPad>(
                                    GST_PAD(gst_object_ref(pads.sink.get())), gst_object_unref)] {
        gst_pad_push_event(
            pad.get(), gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, TRUE, 0));
      });
}

void RelayWorks::push_waiting() {
  struct Push {
    PadRef pad;
    GstBufferList *list;
  };
  // Whoever is pushed to may ask for pads and let them go.
  std::vector<Push> pushes;
  for (auto &[number, pads] : pads_)
    if (GstBufferList *list = std::exchange(pads.waiting, nullptr)) {
      if (pads.src)
        pushes.push_back({PadRef(GST_PAD(gst_object_ref(pads.src.get()))), list});
      else
        gst_buffer_list_unref(list);
    }
  for (const Push &push : pushes) {
    GstPad *pad = push.pad.get();
    // A pad forgets its events when it is switched off.
    GstEvent *begun = gst_pad_get_sticky_event(pad, GST_EVENT_SEGMENT, 0);
    if (begun)
      gst_event_unref(begun);
    else if (GST_PAD_IS_ACTIVE(pad))
      begin_stream(element_, pad);
    gst_pad_push_list(pad, push.list);
  }
}

// --- from pads to the relay -------------------------------------------------------------------

void RelayWorks::inject(guint number, BufferRef buffer) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    if (inbox_.size() >= kInboxBuffers) {
      inbox_.erase(inbox_.begin());
      ++overrun_;
    }
    inbox_.push_back({number, std::move(buffer)});
    first = inbox_.size() == 1;
  }
  if (reactor().in_thread())
    take_inbox();
  else if (first)
    reactor().post([this] { take_inbox(); });
}

void RelayWorks::take_inbox() {
  {
    const std::lock_guard lock(mutex_);
    taken_.swap(inbox_);
  }
  if (!relay_) return taken_.clear();
  for (std::size_t first = 0; first < taken_.size();) {
    // Those of one pad leave together; their bytes are the relay's to write to.
    std::vector<Bytes> packets;
    const guint number = taken_[first].number;
    for (; first < taken_.size() && taken_[first].number == number; ++first) {
      GstBuffer *buffer = taken_[first].buffer.get();
      Bytes bytes(gst_buffer_get_size(buffer));
      gst_buffer_extract(buffer, 0, bytes.data(), bytes.size());
      if (bytes.size() <= BatchSocket::kSlot) packets.push_back(std::move(bytes));
    }
    const std::vector<std::span<std::byte>> spans(packets.begin(), packets.end());
    const auto pads = pads_.find(number);
    if (pads != pads_.end()) relay_->inject(pads->second.leg, spans);
  }
  taken_.clear();
}

void RelayWorks::request_keyframe(guint number) {
  reactor().invoke([&] {
    const auto found = pads_.find(number);
    if (found != pads_.end()) relay_->request_keyframes(found->second.leg);
  });
}

std::uint64_t RelayWorks::overrun() const {
  const std::lock_guard lock(mutex_);
  return overrun_;
}

}  // namespace junctor::sfu
