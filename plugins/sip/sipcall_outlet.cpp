// SPDX-License-Identifier: LGPL-2.1-or-later
// From a session to a source pad.
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "common/gst/shared_buffer.h"
#include "sip/sipcall_media.h"

namespace junctor::sipcall {

namespace {

constexpr Duration kCheck = std::chrono::milliseconds(500);
constexpr Duration kInfoPause = std::chrono::seconds(1);
constexpr guint kMarker = GST_BUFFER_FLAG_MARKER, kDeltaUnit = GST_BUFFER_FLAG_DELTA_UNIT;

}  // namespace

std::shared_ptr<rtp::Session> Outlet::session() const {
  const std::lock_guard lock(mutex_);
  return session_;
}

void Outlet::set_format(const sip::Media &media) {
  CapsRef caps =
      depayload_ && rtp::has_depacketizer(*media.format) ? frame_caps_of(media) : caps_of(media);
  new_clock_rate_ = media.clock_rate;
  new_format_ = media.format;
  new_parameter_sets_ = parameter_sets_of(media);
  new_payload_type_ = media.receive_payload_type;
  if (caps_ && gst_caps_is_equal(caps.get(), caps_.get())) return;
  caps_ = std::move(caps);
  caps_new_ = true;
}

void Outlet::announce(const sip::Media &media) {
  {
    const std::lock_guard lock(mutex_);
    set_format(media);
  }
  start_stream();
}

void Outlet::connect(const sip::Media &media) {
  std::shared_ptr<rtp::Session> before;
  connected_ = true;
  {
    const std::lock_guard lock(mutex_);
    before = std::exchange(session_, media.session);
    set_format(media);
  }
  if (before == media.session) return;
  if (before) before->reactor()->post([before] { before->set_listener({}); });
  media.session->reactor()->post([session = media.session, self = weak_from_this()] {
    session->set_listener(std::weak_ptr<rtp::SessionListener>(self.lock()));
  });
}

void Outlet::disconnect() {
  connected_ = false;
  // The session's listener is left as it is: it is held weakly, and may be another element's by
  // now.
  const std::lock_guard lock(mutex_);
  session_.reset();
}

void Outlet::finish() {
  const auto session = this->session();
  if (!session) return;
  session->reactor()->post([self = shared_from_this()] {
    if (self->finished_) return;
    self->start_stream();
    self->start_segment();
    self->finished_ = true;
    gst_pad_push_event(self->pad_.get(), gst_event_new_eos());
  });
}

void Outlet::request_keyframe() {
  auto session = this->session();
  if (!session) return;
  const auto reactor = session->reactor();
  if (reactor->in_thread())
    ask(*session);
  else
    reactor->post(
        [self = shared_from_this(), session = std::move(session)] { self->ask(*session); });
}

void Outlet::ask(rtp::Session &session) {
  if (session.request_keyframe()) return;
  const Time now = session.reactor()->now();
  if (last_info_ != Time{} && now - last_info_ < kInfoPause) return;
  last_info_ = now;
  events_.request_by_info();
}

void Outlet::start_stream() {
  CapsRef caps;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(caps_new_, false)) caps.reset(gst_caps_ref(caps_.get()));
    payload_type_ = new_payload_type_;
    if (caps && depayload_) {
      depacketizer_ = rtp::make_depacketizer(*new_format_, new_parameter_sets_);
      frame_caps_.reset(gst_caps_ref(caps.get()));
      gap_ = true;
      unreadable_ = false;
    }
    if (caps && clock_rate_ != new_clock_rate_) {
      clock_rate_ = new_clock_rate_;
      playout_.emplace(medium_, clock_rate_, sync_);
    }
  }
  if (!stream_started_) {
    stream_started_ = true;
    // Not derived from upstream: what comes in and what goes out are streams of two people.
    gchar *id = g_strdup_printf("junctor-sip-call/%u/%s", group_id_, GST_PAD_NAME(pad_.get()));
    GstEvent *event = gst_event_new_stream_start(id);
    gst_event_set_group_id(event, group_id_);
    gst_pad_push_event(pad_.get(), event);
    g_free(id);
  }
  if (caps && !(depacketizer_ && lacks_config(caps.get()))) start_stream_with(caps.get());
}

void Outlet::start_stream_with(const GstCaps *caps) {
  gst_pad_push_event(pad_.get(), gst_event_new_caps(const_cast<GstCaps *>(caps)));
  start_segment();
}

void Outlet::start_segment() {
  if (std::exchange(segment_sent_, true)) return;
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  gst_pad_push_event(pad_.get(), gst_event_new_segment(&segment));
}

void Outlet::on_packet(const rtp::IncomingPacket &packet) {
  if (failed_) return;
  if (!connected_ || finished_ || !clock_->valid()) {
    resync_ = skipped_ = true;
    return;
  }
  start_stream();
  if (!playout_) return;
  // What was agreed before, or what is not known here yet, is in another format.
  if (depacketizer_ && packet.payload_type != payload_type_) {
    gap_ = skipped_ = true;
    return;
  }
  keep_time(packet);
  const bool anew = std::exchange(resync_, false) || packet.new_source;
  const auto mapped =
      playout_->map(packet.extended_timestamp, clock_->to_running(packet.arrival), anew);
  gap_ |= packet.discontinuity || mapped.discontinuity;
  if (!std::exchange(any_packet_, true)) {
    events_.first_packet();
  } else if (packet.discontinuity && medium_ == Medium::Video) {
    // What was lost spoils every picture until the next keyframe.
    request_keyframe();
  }
  if (depacketizer_)
    push_frames(packet, mapped.time);
  else
    push(packet.packet, mapped.time, Duration::zero(), packet.marker ? kMarker : 0);
}

void Outlet::keep_time(const rtp::IncomingPacket &packet) {
  if (packet.arrival - last_check_ < kCheck) return;
  last_check_ = packet.arrival;
  events_.update_clock(*clock_);
  const auto session = this->session();
  if (!session) return;
  // A report repeated to the clock would only cost time.
  if (const auto clock = session->sender_clock();
      clock && last_report_ != clock->extended_timestamp) {
    last_report_ = clock->extended_timestamp;
    playout_->set_sender_clock(*clock);
  }
  events_.waited(std::chrono::duration_cast<Duration>(
      std::chrono::duration<double, std::milli>(session->stats().reorder_wait_ms)));
}

void Outlet::push_frames(const rtp::IncomingPacket &packet, Duration time) {
  frames_.clear();
  rtp::IncomingPacket next = packet;
  next.discontinuity |= std::exchange(skipped_, false);
  if (const auto read = depacketizer_->add(next, frames_);
      !read && !std::exchange(unreadable_, true))
    events_.unreadable(read.error());
  if (depacketizer_->wants_keyframe()) request_keyframe();
  const auto lasts = [this](std::int64_t units) {
    return Duration(units * 1'000'000'000 / clock_rate_);
  };
  for (const rtp::UnpackedFrame &frame : frames_) {
    gap_ |= frame.discontinuity;
    if (!frame.config.view.empty())
      start_stream_with(with_config(frame_caps_.get(), frame.config).get());
    // Where the peer's timestamps have leapt in between, nobody knows when it was.
    const bool leapt = std::abs(frame.offset) > std::int64_t{clock_rate_};
    push(frame.data, leapt ? time : time + lasts(frame.offset), lasts(frame.length), frame.key ? 0 : kDeltaUnit);
  }
  frames_.clear();  // lets go of the packet
}

void Outlet::push(const SharedBytes &data, Duration time, Duration length, guint flags) {
  if (failed_) return;
  GstBuffer *buffer = wrap(data);
  GST_BUFFER_PTS(buffer) = static_cast<GstClockTime>(std::max(time, Duration::zero()).count());
  if (length > Duration::zero())
    GST_BUFFER_DURATION(buffer) = static_cast<GstClockTime>(length.count());
  if (std::exchange(gap_, false)) GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DISCONT);
  GST_BUFFER_FLAG_SET(buffer, flags);
  // Not linked, flushing, ended downstream: all of these are downstream's business; the call goes
  // on. What is worse would leave the listener without sound or picture, and nobody told.
  const GstFlowReturn flow = gst_pad_push(pad_.get(), buffer);
  if (flow >= GST_FLOW_EOS) return;
  failed_ = true;
  events_.failed(flow);
}

}  // namespace junctor::sipcall
