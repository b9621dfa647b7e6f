// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/publishfeed.h"

#include <utility>

#include "common/gst/shared_buffer.h"
#include "rtmp/trackcaps.h"

GST_DEBUG_CATEGORY_EXTERN(junctor_rtmp_auth_src_debug);
#define GST_CAT_DEFAULT junctor_rtmp_auth_src_debug

namespace junctor::rtmp {

namespace {

/// How long after the first frame a second track is waited for, on the publisher's clock.
constexpr std::int64_t kSecondTrackPatience = 1000;  // ms

}  // namespace

PublishFeed::PublishFeed(GstElement *element, Pads pads)
    : element_(element), pads_(pads), flow_(gst_flow_combiner_new()) {}

PublishFeed::~PublishFeed() {
  for (Lane &lane : lanes_) gst_clear_caps(&lane.caps);
  gst_flow_combiner_free(flow_);
}

std::shared_ptr<Server> PublishFeed::server() const {
  const std::lock_guard lock(server_lock_);
  return server_;
}

void PublishFeed::open(std::shared_ptr<Server> server, std::string name, bool eos_on_finish,
                       std::function<void()> ended) {
  {
    const std::lock_guard lock(server_lock_);
    server_ = std::move(server);
  }
  const std::lock_guard lock(stream_lock_);
  if (!name.empty()) name_ = std::move(name);
  eos_on_finish_ = eos_on_finish;
  ended_ = std::move(ended);
  running_ = true;
}

void PublishFeed::play() {
  playing_ = true;
  server()->reactor()->post([self = shared_from_this()] {
    const std::lock_guard lock(self->stream_lock_);
    self->attach();
  });
}

void PublishFeed::pause() {
  interrupted_ = true;
  playing_ = false;
  const auto from = server();
  from->reactor()->post([self = shared_from_this(), from] {
    const std::lock_guard lock(self->stream_lock_);
    if (!self->playing_) self->detach(*from);
  });
}

void PublishFeed::close() {
  const std::lock_guard lock(stream_lock_);
  if (const auto from = server())
    from->reactor()->post([self = shared_from_this(), from] {
      const std::lock_guard lock(self->stream_lock_);
      if (!self->playing_) self->detach(*from);
    });
  {
    const std::lock_guard inner(server_lock_);
    server_.reset();
  }
  running_ = false;
  ended_ = nullptr;
  for (Lane &its : lanes_) {
    gst_clear_caps(&its.caps);
    its.discontinuous = true;
    its.headers_due = false;
    if (its.pad == nullptr) continue;
    gst_flow_combiner_remove_pad(flow_, its.pad);
    gst_element_remove_pad(element_, std::exchange(its.pad, nullptr));
  }
  gst_flow_combiner_reset(flow_);
  group_ = GST_GROUP_ID_INVALID;
  timeline_ = {};
  source_clock_.reset();
  complete_ = over_ = false;
  publishing_ = false;
}

void PublishFeed::listen_to(const std::string &name) {
  const std::lock_guard lock(stream_lock_);
  name_ = name;
  attach();
}

/// Reactor thread, locked.
void PublishFeed::attach() {
  const auto from = server();
  if (!running_ || !playing_ || !from) return;
  if (attached_ == name_ && !interrupted_.exchange(false)) return;
  detach(*from);
  attached_ = name_;
  interrupted_ = false;
  if (name_.empty()) return;
  // What is told of the past is gathered first: where it is placed depends on its newest.
  replaying_ = true;
  from->listen_to(name_, shared_from_this());
  replaying_ = false;
  replay();
}

/// Reactor thread, locked.
void PublishFeed::detach(Server &server) {
  if (!attached_.empty()) server.stop_listening(std::exchange(attached_, {}), this);
}

void PublishFeed::end_of_stream() {
  if (const auto from = server())
    from->reactor()->post([self = shared_from_this()] {
      const std::lock_guard lock(self->stream_lock_);
      if (self->running_) self->finish();
    });
}

PublishFeed::Counts PublishFeed::counts() const { return {frames_, bytes_, publishing_}; }

void PublishFeed::on_publisher() {
  const std::lock_guard lock(stream_lock_);
  if (!running_ || over_) return;
  GST_INFO_OBJECT(element_, "a publisher of \"%s\" has begun", name_.c_str());
  publishing_ = true;
  source_clock_.reset();
  for (Lane &lane : lanes_) lane.discontinuous = true;
}

void PublishFeed::on_track(const Track &track) {
  const std::lock_guard lock(stream_lock_);
  if (!running_ || over_ || !playing_) return;
  auto made = caps_of(track);
  if (!made) {
    GST_ELEMENT_WARNING(
        element_, STREAM, WRONG_TYPE,
        ("A track of \"%s\" is left out: %s.", name_.c_str(), made.error().detail.c_str()),
        (nullptr));
    return;
  }
  const Medium medium = medium_of(track.codec);
  Lane &its = lane(medium);
  GstCaps *caps = *made;
  if (its.caps != nullptr && gst_caps_is_equal(its.caps, caps)) {
    gst_caps_unref(caps);
    return;
  }
  GST_INFO_OBJECT(element_, "%s: %" GST_PTR_FORMAT, std::string(to_string(medium)).c_str(), caps);
  gst_caps_take(&its.caps, caps);
  its.headers_due = true;
  if (its.pad == nullptr)
    make_pad(medium, its, caps);
  else
    gst_pad_push_event(its.pad, gst_event_new_caps(caps));
  if (lanes_[0].pad != nullptr && lanes_[1].pad != nullptr) tell_no_more_pads();
}

void PublishFeed::on_left_out(Medium medium, const std::string &why) {
  const std::lock_guard lock(stream_lock_);
  if (!running_ || over_ || !playing_) return;
  GST_ELEMENT_WARNING(element_, STREAM, WRONG_TYPE,
                      ("The %s of \"%s\" is left out. %s", std::string(to_string(medium)).c_str(),
                       name_.c_str(), why.c_str()),
                      (nullptr));
}

void PublishFeed::make_pad(Medium medium, Lane &its, GstCaps *caps) {
  const std::string name(to_string(medium));
  GstPad *pad =
      gst_pad_new_from_template(medium == Medium::Audio ? pads_.audio : pads_.video, name.c_str());
  pads_.prepare(pad);
  gst_pad_use_fixed_caps(pad);
  gst_pad_set_active(pad, TRUE);

  if (group_ == GST_GROUP_ID_INVALID) group_ = gst_util_group_id_next();
  gchar *id = gst_pad_create_stream_id(pad, element_, name.c_str());
  GstEvent *begin = gst_event_new_stream_start(id);
  g_free(id);
  gst_event_set_group_id(begin, group_);
  gst_pad_push_event(pad, begin);
  gst_pad_push_event(pad, gst_event_new_caps(caps));
  GstSegment segment;
  gst_segment_init(&segment, GST_FORMAT_TIME);
  gst_pad_push_event(pad, gst_event_new_segment(&segment));

  its.pad = pad;
  gst_flow_combiner_add_pad(flow_, pad);
  gst_element_add_pad(element_, pad);
}

void PublishFeed::tell_no_more_pads() {
  if (std::exchange(complete_, true)) return;
  gst_element_no_more_pads(element_);
}

void PublishFeed::on_frame(const Frame &frame) {
  const std::lock_guard lock(stream_lock_);
  if (!running_ || over_ || !playing_) return;
  if (replaying_) {
    // Sound of the past would only be heard late; pictures of the past are needed to decode on.
    if (frame.medium == Medium::Video) replayed_.push_back(frame);
    return;
  }
  push(frame);
}

void PublishFeed::replay() {
  const std::vector<Frame> frames = std::exchange(replayed_, {});
  if (frames.empty()) return;
  GST_DEBUG_OBJECT(element_, "%zu frames since the last keyframe", frames.size());
  // Begun here, so that push() does not tie the first of them to the present.
  source_clock_.reset();
  source_clock_.read(frames.front().medium, frames.front().dts, steady_ms());
  timeline_.tie_past(frames.front().dts, frames.back().dts, now());
  first_dts_ = frames.front().dts;
  for (const Frame &frame : frames)
    if (running_ && playing_ && !over_) push(frame);
}

void PublishFeed::push_headers(const Lane &its) {
  const GValue *headers =
      gst_structure_get_value(gst_caps_get_structure(its.caps, 0), "streamheader");
  if (headers == nullptr) return;
  for (guint i = 0; i < gst_value_array_get_size(headers); ++i) {
    const GValue *value = gst_value_array_get_value(headers, i);
    gst_pad_push(its.pad, gst_buffer_copy(gst_value_get_buffer(value)));
  }
}

void PublishFeed::push(const Frame &frame) {
  Lane &its = lane(frame.medium);
  if (its.pad == nullptr) return;  // of a codec that is left out
  const auto [dts, anew] = source_clock_.read(frame.medium, frame.dts, steady_ms());
  if (anew) {
    timeline_.tie(dts, now());
    first_dts_ = dts;
    for (Lane &lane : lanes_) lane.discontinuous = true;
  }
  if (dts - first_dts_ >= kSecondTrackPatience) tell_no_more_pads();

  if (std::exchange(its.headers_due, false)) push_headers(its);
  GstBuffer *buffer = wrap(frame.data);
  GST_BUFFER_DTS(buffer) = static_cast<GstClockTime>(timeline_.place(dts));
  GST_BUFFER_PTS(buffer) =
      frame.composition == 0 ? GST_BUFFER_DTS(buffer)
                             : static_cast<GstClockTime>(timeline_.place(dts + frame.composition));
  if (frame.medium == Medium::Video && !frame.key)
    GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
  if (frame.droppable) GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DROPPABLE);
  if (std::exchange(its.discontinuous, false)) GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DISCONT);
  ++frames_;
  bytes_ += frame.data.view.size();
  const GstFlowReturn flow = gst_pad_push(its.pad, buffer);
  if (flow != GST_FLOW_OK && its.pad != nullptr)
    judge_flow(gst_flow_combiner_update_pad_flow(flow_, its.pad, flow));
}

void PublishFeed::judge_flow(GstFlowReturn flow) {
  switch (flow) {
    case GST_FLOW_OK:
    case GST_FLOW_NOT_LINKED:  // it may be linked yet: the publisher goes on either way
    case GST_FLOW_FLUSHING:    // shutting down, or a flush that will pass
      return;
    case GST_FLOW_EOS:
      GST_INFO_OBJECT(element_, "downstream wants no more");
      finish();
      return;
    default:
      if (flow > GST_FLOW_ERROR && flow != GST_FLOW_NOT_NEGOTIATED) return;
      GST_ELEMENT_FLOW_ERROR(element_, flow);
      finish();
  }
}

void PublishFeed::on_publisher_gone(bool finished) {
  const std::lock_guard lock(stream_lock_);
  if (!running_ || over_) return;
  GST_INFO_OBJECT(element_, "the publisher of \"%s\" %s", name_.c_str(),
                  finished ? "has finished" : "was lost");
  publishing_ = false;
  if (finished && eos_on_finish_) finish();
}

void PublishFeed::finish() {
  if (std::exchange(over_, true)) return;
  publishing_ = false;
  tell_no_more_pads();
  for (const Lane &lane : lanes_)
    if (lane.pad != nullptr) gst_pad_push_event(lane.pad, gst_event_new_eos());
  if (ended_) ended_();
}

std::int64_t PublishFeed::now() const {
  const GstClockTime time = gst_element_get_current_running_time(element_);
  return GST_CLOCK_TIME_IS_VALID(time) ? static_cast<std::int64_t>(time) : 0;
}

}  // namespace junctor::rtmp
