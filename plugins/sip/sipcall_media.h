// SPDX-License-Identifier: LGPL-2.1-or-later
// Between pads and RTP sessions.
#pragma once

#include <gst/gst.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "common/handle.h"
#include "rtp/core/depacketizer.h"
#include "rtp/core/playout_clock.h"
#include "rtp/core/session.h"
#include "sip/core/agent.h"
#include "sip/sipcall_caps.h"

namespace junctor::sipcall {

/// Running time of the element to the cores' clock and back. Any thread.
class ClockMap {
 public:
  /// When PLAYING begins, and now and then for clocks that are not the system's.
  void update(GstElement *element);
  /// PLAYING has ended.
  void clear() { valid_ = false; }
  bool valid() const { return valid_; }
  Duration to_running(Time time) const { return time.time_since_epoch() - Duration(offset_); }
  Time to_time(Duration running) const { return Time(running + Duration(offset_)); }

 private:
  std::atomic<bool> valid_ = false;
  std::atomic<Duration::rep> offset_ = 0;
};

/// From a sink pad to a session. The pad keeps it, so that whoever holds the pad may use both.
class Inlet {
 public:
  Inlet(GstPad *pad, Medium medium, std::shared_ptr<ClockMap> clock)
      : medium_(medium), clock_(std::move(clock)) {
    g_weak_ref_init(&pad_, pad);
  }
  ~Inlet() { g_weak_ref_clear(&pad_); }
  Inlet(const Inlet &) = delete;
  Inlet &operator=(const Inlet &) = delete;

  // Streaming thread.
  GstFlowReturn push(GstBuffer *buffer);    ///< takes it
  GstFlowReturn push(GstBufferList *list);  ///< takes it
  /// BadInput for caps that cannot be packed; then what follows is dropped.
  Result<void> set_caps(const GstCaps *caps);
  void set_segment(const GstSegment &segment) { segment_ = segment; }
  void begin_source() { new_source_ = true; }

  // Any thread.
  /// What was agreed: null for a medium that is not, or not yet, accepted; then all is dropped.
  /// False if upstream sends something else, which is dropped as well.
  bool connect(const sip::Media *media);
  /// The call is over: push() returns EOS.
  void end();
  /// A new life, before data flows.
  void reset();
  bool has_caps() const;
  /// What upstream sends, or could send if it has not said.
  std::vector<const rtp::Format *> formats() const;
  std::optional<rtp::H264Profile> h264_profile() const;
  /// What to offer for `format`, in view of what upstream sends.
  sip::Offered offered(const rtp::Format &format) const;
  bool is_agreed() const;
  /// What may come: of what was agreed, else of the medium.
  CapsRef welcome() const;
  std::shared_ptr<rtp::Session> session() const;
  std::uint64_t dropped() const { return dropped_; }
  /// Null once it is gone.
  PadRef pad() const { return PadRef(static_cast<GstPad *>(g_weak_ref_get(&pad_))); }
  Medium medium() const { return medium_; }

  std::atomic<bool> eos = false;

 private:
  /// The session that packets go to now. Nothing: they are dropped (OK), or the call is over (EOS).
  std::shared_ptr<rtp::Session> destination(GstFlowReturn &otherwise) const;
  bool translate(GstBuffer *buffer, const std::shared_ptr<class MappedMemory> &memory,
                 rtp::OutgoingPacket &packet);
  bool pack(GstBuffer *buffer);
  bool needs_others(GstBuffer *buffer) const;  ///< for its picture to be shown
  void judge_format();  ///< whether what comes is what was agreed; with mutex_
  GstClockTime running_time(GstBuffer *buffer) const;
  std::chrono::nanoseconds frame_time(GstClockTime running);
  Time capture(GstClockTime running) const;
  void send(std::shared_ptr<rtp::Session> session);

  mutable GWeakRef pad_;
  Medium medium_;
  std::shared_ptr<ClockMap> clock_;
  GstSegment segment_{};
  std::optional<std::uint32_t> ssrc_;
  std::unique_ptr<rtp::Packetizer> packetizer_;  // where frames come, not packets
  rtp::H264Packetizer *h264_ = nullptr;          // the same, if it is one
  bool unpackable_ = false;                      // frames come that none can be made for
  std::chrono::nanoseconds last_time_{};         // of a frame
  Time entered_{};                               // what is being pushed
  std::vector<rtp::OutgoingPacket> packets_;     // empty between calls; for what it has allocated
  std::atomic<bool> new_source_ = false;
  std::atomic<bool> single_nal_ = false;
  std::atomic<std::uint64_t> dropped_ = 0;

  mutable std::mutex mutex_;  // guards all below; leaf
  std::shared_ptr<rtp::Session> session_;
  CapsRef agreed_;  // caps of what was agreed
  bool ended_ = false;
  CapsRef caps_;
  bool wrong_format_ = false;
};

/// From a session to a source pad; pushes on the session's reactor.
class Outlet final : public rtp::SessionListener, public std::enable_shared_from_this<Outlet> {
 public:
  /// Called on the reactor.
  struct Events {
    std::function<void()> first_packet;
    std::function<void()> keyframe_request;  ///< of the peer
    std::function<void()> request_by_info;   ///< the session knows no way to ask
    std::function<void(ClockMap &)> update_clock;
    std::function<void(Duration)> waited;           ///< how long gaps wait now
    std::function<void(GstFlowReturn)> failed;      ///< a push; nothing is pushed any more
    std::function<void(const Error &)> unreadable;  ///< the first packet that cannot be read
  };
  /// `depayload`: frames come out of the formats that have a depacketizer of ours.
  Outlet(PadRef pad, Medium medium, bool depayload, std::shared_ptr<ClockMap> clock,
         std::shared_ptr<rtp::LipSync> sync, guint group_id, Events events)
      : pad_(std::move(pad)),
        medium_(medium),
        depayload_(depayload),
        clock_(std::move(clock)),
        sync_(std::move(sync)),
        group_id_(group_id),
        events_(std::move(events)) {}

  // Any thread.
  /// What begins the stream, caps of `media` included, so that whoever links sees them. Before the
  /// pad, already active, is added to its element, and before connect().
  void announce(const sip::Media &media);
  /// Listens to the session of `media` from now on; new caps before the next buffer.
  void connect(const sip::Media &media);
  /// Stops listening.
  void disconnect();
  /// Ends the stream after what is under way: EOS.
  void finish();
  /// Asks the peer for a keyframe.
  void request_keyframe();
  std::shared_ptr<rtp::Session> session() const;
  GstPad *pad() const { return pad_.get(); }
  Medium medium() const { return medium_; }

  /// The element has the pad. Under the lock of whoever holds the outlets.
  bool added = false;

  void on_packet(const rtp::IncomingPacket &packet) override;
  void on_keyframe_request() override { events_.keyframe_request(); }

 private:
  void set_format(const sip::Media &media);  ///< with mutex_
  void start_stream();
  void start_stream_with(const GstCaps *caps);
  void start_segment();
  void keep_time(const rtp::IncomingPacket &packet);
  void push_frames(const rtp::IncomingPacket &packet, Duration time);
  void push(const SharedBytes &data, Duration time, Duration length, guint flags);
  void ask(rtp::Session &session);

  PadRef pad_;
  Medium medium_;
  bool depayload_;
  std::shared_ptr<ClockMap> clock_;
  std::shared_ptr<rtp::LipSync> sync_;
  guint group_id_;
  Events events_;
  std::atomic<bool> connected_ = false;

  // Reactor.
  bool stream_started_ = false, segment_sent_ = false, finished_ = false, failed_ = false;
  bool any_packet_ = false, resync_ = true;
  bool gap_ = true;  // what is pushed next does not follow what was pushed last
  std::unique_ptr<rtp::Depacketizer> depacketizer_;
  CapsRef frame_caps_;     // of what it gives; a configuration that is new goes into a copy
  int payload_type_ = -1;  // that it takes
  bool unreadable_ = false;
  bool skipped_ = false;  // it was not given what came last
  std::vector<rtp::UnpackedFrame> frames_;  // empty between calls; for what it has allocated
  std::optional<rtp::PlayoutClock> playout_;
  std::uint32_t clock_rate_ = 0;
  std::optional<std::uint64_t> last_report_;
  Time last_check_{}, last_info_{};

  mutable std::mutex mutex_;  // guards all below; leaf
  std::shared_ptr<rtp::Session> session_;
  CapsRef caps_;           // what was agreed last
  bool caps_new_ = false;  // and is not downstream yet
  std::uint32_t new_clock_rate_ = 0;
  const rtp::Format *new_format_ = nullptr;
  std::vector<Bytes> new_parameter_sets_;
  int new_payload_type_ = -1;
};

}  // namespace junctor::sipcall
