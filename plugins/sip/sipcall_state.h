// SPDX-License-Identifier: LGPL-2.1-or-later
// The C++ inside of a sipcallsink.
#pragma once

#include <gst/gst.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/gst/context.h"
#include "sip/sipcall_control.h"
#include "sip/sipcall_line.h"
#include "sip/sipcall_media.h"

namespace junctor::sipcall {

struct Settings {
  std::string uri, from, proxy, user, password, call, address, codecs;
  std::string tls_certificate, tls_key, tls_ca;
  bool tls_verify = true;
  std::string transport;  ///< of URIs that name none; empty: UDP
  rtp::SrtpPolicy srtp = rtp::SrtpPolicy::Off;
  bool depayload = false;
  guint port = 0;
  guint answer_timeout = 60;  // seconds
};

/// How the element's parts hang together. Lock order: mutex_ is taken under no other lock, and no
/// call into GStreamer, the control or a session is made under it.
class State final : public Owner {
 public:
  /// What is reported while no packet has waited longer for others.
  static constexpr Duration kLatency = std::chrono::milliseconds(40);

  State(GstElement *element, GstDebugCategory *category);

  struct Signals {
    guint ringing, early_media, answered, ended;
  };

  // Application's threads.
  Settings settings() const;
  void change_settings(const std::function<void(Settings &)> &change);
  void set_signals(const Signals &signals) { signals_ = signals; }
  bool open();   ///< NULL to READY; errors are posted
  bool start();  ///< READY to PAUSED
  void play();   ///< PAUSED to PLAYING
  void pause();
  void stop();   ///< PAUSED to READY
  void close();  ///< READY to NULL
  void hangup();
  void end(guint32 seqnum);  ///< hangs up, for an EOS event of that number
  void send_dtmf(const char *digits);
  GstStructure *stats() const;
  std::string call_id() const;

  /// Null if the pad is there already.
  GstPad *add_inlet(GstPadTemplate *pad_template, Medium medium);
  void remove_inlet(GstPad *pad);
  std::shared_ptr<Outlet> outlet_of(const GstPad *pad) const;
  std::vector<std::shared_ptr<Inlet>> inlets() const;
  Duration latency() const { return Duration(latency_); }  ///< for sinks that keep time

  // Streaming threads.
  void on_caps();               ///< of a sink pad
  void on_eos(guint32 seqnum);  ///< of a sink pad

  // Owner.
  void post_change(GstStructure *structure) override;
  void emit_ringing() override;
  void emit_early_media() override;
  void emit_answered() override;
  void emit_ended(int code, EndReason reason) override;
  void apply(const std::vector<sip::Media> &media) override;
  void force_keyframe() override;
  void finish(bool failed, EndReason reason, int code, const std::string &text) override;

  /// Each function of the element's pads, set where the pads are made.
  struct PadFunctions {
    void (*sink)(GstPad *);
    void (*src)(GstPad *);
  };
  void set_pad_functions(const PadFunctions &functions) { pad_functions_ = functions; }

 private:
  void maybe_invite(bool without_waiting);
  sip::InviteOptions invite_options() const;
  Result<std::vector<const rtp::Format *>> wanted_formats() const;
  bool another_pad_may_come() const;
  void join_inlet(const sip::Media &media);
  void join_late(Inlet &inlet);
  std::shared_ptr<Outlet> make_outlet(Medium medium);
  void take_away(const std::shared_ptr<Outlet> &outlet);
  bool has(const std::shared_ptr<Outlet> &outlet) const;  ///< with mutex_
  void note_wait(Duration wait);
  void post_eos();
  void flow_error(GstFlowReturn flow);
  void unreadable_warning(const Error &error);
  static Result<void> tls_options(const Settings &settings, sip::AgentOptions &options);
  void settings_error(const std::string &text);

  GstElement *element_;
  GstDebugCategory *category_;
  Signals signals_{};
  PadFunctions pad_functions_{};
  std::shared_ptr<ClockMap> clock_ = std::make_shared<ClockMap>();
  std::atomic<Duration::rep> latency_ = kLatency.count();
  std::shared_ptr<Reactor> reactor_;  // READY to NULL
  bool reactor_ours_ = false;
  std::shared_ptr<Line> line_;  // READY to NULL

  mutable std::mutex mutex_;  // guards all below
  Settings settings_;
  std::vector<std::shared_ptr<Inlet>> inlets_;
  std::vector<std::shared_ptr<Outlet>> outlets_;
  std::shared_ptr<Control> control_;  // PAUSED and PLAYING
  std::vector<sip::Media> applied_;   // what was agreed last
  unsigned applied_count_ = 0;        // how often that was
  bool ended_ = false;                // the call is over
  std::shared_ptr<rtp::LipSync> sync_;
  guint group_id_ = 0;
  guint32 eos_seqnum_ = GST_SEQNUM_INVALID;  // of the event that made an end, if any did
  bool alive_ = false;                       // between start() and stop()
  bool playing_ = false, invited_ = false, waiting_ = false, attached_ = false, eos_posted_ = false;
};

}  // namespace junctor::sipcall
