// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/stunpunch_pads.h"

#include <array>
#include <utility>

#include "common/gst/shared_buffer.h"

namespace junctor::stunpunch {

void Inlet::connect(std::shared_ptr<Reactor> reactor, std::shared_ptr<nat::Channel> channel) {
  const std::lock_guard lock(mutex_);
  reactor_ = std::move(reactor);
  channel_ = std::move(channel);
  waiting_.clear();
}

void Inlet::disconnect() { connect(nullptr, nullptr); }

void Inlet::push(GstBuffer *buffer, bool rtcp) {
  BufferRef owner(buffer);
  const std::lock_guard lock(mutex_);
  if (!channel_ || waiting_.size() >= kMostWaiting) {
    ++dropped_;
    return;
  }
  waiting_.push_back({std::move(owner), rtcp});
  if (waiting_.size() == 1) reactor_->post([self = shared_from_this()] { self->drain(); });
}

void Inlet::drain() {
  std::vector<Waiting> taken;
  std::shared_ptr<nat::Channel> channel;
  {
    const std::lock_guard lock(mutex_);
    taken = std::exchange(waiting_, {});
    channel = channel_;
  }
  if (!channel) return;
  std::array<std::byte, nat::Channel::kMostPacket + 1> bytes;
  for (const Waiting &each : taken) {
    const gsize size = gst_buffer_extract(each.buffer.get(), 0, bytes.data(), bytes.size());
    channel->send(ByteSpan(bytes).first(size), each.rtcp);
  }
}

// The stream is not derived from upstream, as gst_pad_create_stream_id() would do it: what comes in
// and what goes out are streams of two people.
Outlet::Outlet(GstElement *element, GstPad *pad, const char *caps_name)
    : element_(element),
      stream_(std::string(GST_OBJECT_NAME(element)) + "/" + GST_PAD_NAME(pad) + "/" +
              std::to_string(g_random_int())),
      pad_(GST_PAD(gst_object_ref(pad))),
      caps_name_(caps_name) {}

void Outlet::set_caps(const GstCaps *caps) {
  const std::lock_guard lock(mutex_);
  told_caps_.reset(caps != nullptr ? gst_caps_copy(caps) : nullptr);
}

/// What the application said, else what downstream takes if that is one thing, else the bare name.
CapsRef Outlet::caps() const {
  {
    const std::lock_guard lock(mutex_);
    if (told_caps_) return CapsRef(gst_caps_copy(told_caps_.get()));
  }
  const CapsRef own(gst_pad_get_pad_template_caps(pad_.get()));
  CapsRef wanted(gst_pad_peer_query_caps(pad_.get(), own.get()));
  if (wanted && gst_caps_is_fixed(wanted.get())) return wanted;
  return CapsRef(caps_name_ != nullptr ? gst_caps_new_empty_simple(caps_name_) : nullptr);
}

void Outlet::start_stream() {
  if (std::exchange(started_, true)) return;
  GstEvent *event = gst_event_new_stream_start(stream_.c_str());
  gst_event_set_group_id(event, gst_util_group_id_next());
  gst_pad_push_event(pad_.get(), event);
  if (const CapsRef caps = this->caps())
    gst_pad_push_event(pad_.get(), gst_event_new_caps(caps.get()));
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  gst_pad_push_event(pad_.get(), gst_event_new_segment(&segment));
}

void Outlet::add(const SharedBytes &packet) {
  if (batch_.empty()) {
    GstClock *clock = gst_element_get_clock(element_);
    time_ = GST_CLOCK_TIME_NONE;
    if (clock != nullptr && GST_STATE(element_) == GST_STATE_PLAYING) {
      const GstClockTime now = gst_clock_get_time(clock);
      const GstClockTime base = gst_element_get_base_time(element_);
      time_ = now > base ? now - base : 0;
    }
    if (clock != nullptr) gst_object_unref(clock);
  }
  // A live source gives nothing before it plays.
  if (!GST_CLOCK_TIME_IS_VALID(time_)) return;
  GstBuffer *buffer = wrap(packet);
  GST_BUFFER_PTS(buffer) = GST_BUFFER_DTS(buffer) = time_;
  if (std::exchange(first_, false)) GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DISCONT);
  batch_.push_back(buffer);
}

GstFlowReturn Outlet::flush() {
  if (batch_.empty()) return GST_FLOW_OK;
  start_stream();
  const auto batch = std::exchange(batch_, {});
  if (batch.size() == 1) return gst_pad_push(pad_.get(), batch.front());
  GstBufferList *list = gst_buffer_list_new_sized(static_cast<guint>(batch.size()));
  for (GstBuffer *each : batch) gst_buffer_list_add(list, each);
  return gst_pad_push_list(pad_.get(), list);
}

void Outlet::clear() {
  for (GstBuffer *each : std::exchange(batch_, {})) gst_buffer_unref(each);
}

void Outlet::end() {
  clear();
  start_stream();
  gst_pad_push_event(pad_.get(), gst_event_new_eos());
}

}  // namespace junctor::stunpunch
