// SPDX-License-Identifier: LGPL-2.1-or-later
// The pads of a sipcallsink: what flows through which, as the call's media change.
#include <gst/video/video-event.h>

#include <algorithm>
#include <utility>

#include "sip/sipcall_state.h"

#define GST_CAT_DEFAULT category_

namespace junctor::sipcall {

GstPad *State::add_inlet(GstPadTemplate *pad_template, Medium medium) {
  const std::string name(to_string(medium));
  const PadRef held(
      GST_PAD(gst_object_ref_sink(gst_pad_new_from_template(pad_template, name.c_str()))));
  GstPad *pad = held.get();
  const auto inlet = std::make_shared<Inlet>(pad, medium, clock_);
  inlet->reset();
  {
    const std::lock_guard lock(mutex_);
    for (const auto &other : inlets_)
      if (other->medium() == medium) return nullptr;
    inlets_.push_back(inlet);
  }
  gst_pad_set_element_private(pad, inlet.get());
  // A query may be under way when the pad is released; it holds the pad.
  g_object_set_qdata_full(G_OBJECT(pad), g_quark_from_static_string("junctor-sip-call-inlet"),
                          new std::shared_ptr<Inlet>(inlet), [](gpointer content) {
                            delete static_cast<std::shared_ptr<Inlet> *>(content);
                          });
  pad_functions_.sink(pad);
  gst_pad_set_active(pad, TRUE);
  gst_element_add_pad(element_, pad);
  join_late(*inlet);
  return pad;
}

void State::remove_inlet(GstPad *pad) {
  gst_pad_set_active(pad, FALSE);  // waits for what is in push()
  std::shared_ptr<Inlet> gone;
  {
    const std::lock_guard lock(mutex_);
    const auto found =
        std::ranges::find_if(inlets_, [&](const auto &inlet) { return inlet->pad().get() == pad; });
    if (found == inlets_.end()) return;
    gone = *found;
    inlets_.erase(found);
  }
  gst_element_remove_pad(element_, pad);
}

std::vector<std::shared_ptr<Inlet>> State::inlets() const {
  const std::lock_guard lock(mutex_);
  return inlets_;
}

std::shared_ptr<Outlet> State::outlet_of(const GstPad *pad) const {
  const std::lock_guard lock(mutex_);
  for (const auto &outlet : outlets_)
    if (outlet->pad() == pad) return outlet;
  return nullptr;
}

std::shared_ptr<Outlet> State::make_outlet(Medium medium) {
  const std::string name = std::string(to_string(medium)) + "_src";
  GstPadTemplate *pad_template =
      gst_element_class_get_pad_template(GST_ELEMENT_GET_CLASS(element_), name.c_str());
  GstPad *pad = gst_pad_new_from_template(pad_template, name.c_str());
  pad_functions_.src(pad);
  // Each keeps the element, and with it this: a push on a shared reactor may outlast stop(), which
  // lets go of the outlets.
  const std::shared_ptr<void> keep(gst_object_ref(element_), gst_object_unref);
  Outlet::Events events;
  events.first_packet = [this, keep, medium] {
    GstStructure *structure =
        gst_structure_new("junctor-sip-call", "state", G_TYPE_STRING, "media", "call-id",
                          G_TYPE_STRING, call_id().c_str(), "medium", G_TYPE_STRING,
                          std::string(to_string(medium)).c_str(), nullptr);
    post_change(structure);
  };
  events.keyframe_request = [this, keep] { force_keyframe(); };
  events.request_by_info = [this, keep] {
    std::shared_ptr<Control> control;
    {
      const std::lock_guard lock(mutex_);
      control = control_;
    }
    if (control) control->request_keyframe_by_info();
  };
  events.update_clock = [this, keep](ClockMap &clock) { clock.update(element_); };
  events.waited = [this, keep](Duration wait) { note_wait(wait); };
  events.failed = [this, keep](GstFlowReturn flow) { flow_error(flow); };
  events.unreadable = [this, keep](const Error &error) { unreadable_warning(error); };
  return std::make_shared<Outlet>(PadRef(GST_PAD(gst_object_ref_sink(pad))), medium,
                                  settings().depayload, clock_, sync_, group_id_,
                                  std::move(events));
}

void State::take_away(const std::shared_ptr<Outlet> &outlet) {
  gst_pad_set_active(outlet->pad(), FALSE);
  gst_element_remove_pad(element_, outlet->pad());
}

bool State::has(const std::shared_ptr<Outlet> &outlet) const {
  return std::ranges::find(outlets_, outlet) != outlets_.end();
}

namespace {

bool is_agreed(const sip::Media &media) {
  return media.accepted && media.format != nullptr && media.session;
}

/// "SPEEX at 16000 Hz"; a picture has no other clock than 90000 Hz.
std::string described(const sip::Media &media) {
  std::string text(media.format->encoding_name);
  if (media.medium == Medium::Audio) text += " at " + std::to_string(media.clock_rate) + " Hz";
  return text;
}

}  // namespace

void State::join_inlet(const sip::Media &media) {
  const bool accepted = is_agreed(media);
  for (const auto &inlet : inlets()) {
    if (inlet->medium() != media.medium) continue;
    if (inlet->connect(accepted ? &media : nullptr)) continue;
    GST_ELEMENT_WARNING(
        element_, STREAM, FORMAT,
        ("The callee wants %s, which is not what arrives at the pad; nothing of it is sent.",
         described(media).c_str()),
        ("put a converter in front of pad %s", std::string(to_string(media.medium)).c_str()));
    if (const PadRef pad = inlet->pad()) gst_pad_push_event(pad.get(), gst_event_new_reconfigure());
  }
}

/// What was agreed before the pad came.
void State::join_late(Inlet &inlet) {
  // Once more if it was agreed anew, or is over, meanwhile.
  for (unsigned seen = 0;;) {
    std::vector<sip::Media> media;
    bool ended;
    {
      const std::lock_guard lock(mutex_);
      ended = ended_;
      if (!ended && seen == applied_count_) return;
      seen = applied_count_;
      media = applied_;
    }
    if (ended) return inlet.end();
    if (media.empty()) {  // stop() has forgotten it
      inlet.connect(nullptr);
      return;
    }
    for (const sip::Media &medium : media)
      if (medium.medium == inlet.medium()) join_inlet(medium);
  }
}

void State::apply(const std::vector<sip::Media> &media) {
  {
    const std::lock_guard lock(mutex_);
    applied_ = media;
    ++applied_count_;
  }
  for (const sip::Media &medium : media) {
    const bool accepted = is_agreed(medium);
    join_inlet(medium);
    const bool comes = accepted && (medium.direction == sip::Direction::SendRecv ||
                                    medium.direction == sip::Direction::RecvOnly);
    const auto existing = [&]() -> std::shared_ptr<Outlet> {
      for (const auto &other : outlets_)
        if (other->medium() == medium.medium) return other;
      return nullptr;
    };
    std::shared_ptr<Outlet> outlet;
    {
      const std::lock_guard lock(mutex_);
      if (!alive_) return;
      outlet = existing();
    }
    if (!outlet && comes) {
      auto fresh = make_outlet(medium.medium);
      {
        const std::lock_guard lock(mutex_);
        if (!alive_) return;
        outlet = existing();
        if (!outlet) outlets_.push_back(fresh);
      }
      if (!outlet) {
        outlet = std::move(fresh);
        gst_pad_set_active(outlet->pad(), TRUE);
        outlet->announce(medium);
        gst_element_add_pad(element_, outlet->pad());
        bool stopped;
        {
          const std::lock_guard lock(mutex_);
          stopped = !has(outlet);
          outlet->added = true;
        }
        // stop() came between and has left it to us.
        if (stopped) return take_away(outlet);
      }
    }
    if (!outlet || !accepted) continue;
    outlet->connect(medium);
    bool stopped;
    {
      const std::lock_guard lock(mutex_);
      stopped = !has(outlet);
    }
    if (stopped) return outlet->disconnect();
  }
}

void State::force_keyframe() {
  // Without `all-headers`: it makes rtph264pay send parameter sets as a picture of their own, which
  // phones take for a broken one and answer with the next request, for ever.
  for (const auto &inlet : inlets())
    if (const PadRef pad = inlet->pad();
        pad && inlet->medium() == Medium::Video && inlet->is_agreed())
      gst_pad_push_event(
          pad.get(), gst_video_event_new_upstream_force_key_unit(GST_CLOCK_TIME_NONE, FALSE, 0));
}

}  // namespace junctor::sipcall
