// SPDX-License-Identifier: LGPL-2.1-or-later
// One call as its element sees it.
#pragma once

#include <gst/gst.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/main_context.h"
#include "sip/core/agent.h"
#include "sip/sipcall_line.h"
#include "sip/sipcall_media.h"

namespace junctor::sipcall {

/// The message of a digit that the peer has pressed.
inline constexpr const char *kDtmfMessage = "junctor-dtmf";

/// What the control needs of its element. Called on the agent's thread unless said otherwise.
class Owner {
 public:
  virtual ~Owner() = default;
  /// `structure` is taken.
  virtual void post_change(GstStructure *structure) = 0;
  virtual void emit_ringing() = 0;
  virtual void emit_early_media() = 0;
  virtual void emit_answered() = 0;
  virtual void emit_ended(int code, EndReason reason) = 0;
  /// Joins pads to what was agreed; also at the attaching state change.
  virtual void apply(const std::vector<sip::Media> &media) = 0;
  /// The peer wants a picture; any thread.
  virtual void force_keyframe() = 0;
  /// The element has nothing more to do: EOS on all pads, and the message if all went well, else
  /// an error.
  virtual void finish(bool failed, EndReason reason, int code, const std::string &text) = 0;
};

/// Makes the call and passes on what happens to it. Made for one life of the element, PAUSED to
/// READY. The owner must live as long: it holds a reference to its element until close().
class Control final : public sip::CallListener, public std::enable_shared_from_this<Control> {
 public:
  Control(std::shared_ptr<Line> line, Owner &owner, GstElement *element);
  ~Control() override;

  // Any thread.
  void invite(sip::InviteOptions options);
  /// Media of a call that somebody else holds and listens to.
  void attach(std::shared_ptr<sip::Call> call);
  void hangup(EndReason reason);
  /// Fails here only for what is no digit.
  void send_dtmf(std::string digits, Duration length = sip::kDtmfLength);
  void request_keyframe_by_info();
  /// Runs `function` on the agent's thread after `delay`, unless the call goes first; one at a
  /// time.
  void after(Duration delay, std::function<void()> function);
  /// Ends the call if it is ours; nothing is reported as an error or EOS any more.
  void close();
  std::string call_id() const;

  void on_ringing(sip::Call &call) override;
  void on_early_media(sip::Call &call) override;
  void on_answered(sip::Call &call) override;
  void on_media_changed(sip::Call &call) override;
  void on_keyframe_request(sip::Call &call) override;
  void on_dtmf(sip::Call &call, const sip::Dtmf &dtmf) override;
  void on_ended(sip::Call &call, EndReason reason, int code, const std::string &text) override;

 private:
  void begin(sip::Agent &agent, const sip::InviteOptions &options);
  void tell_media(const char *state, sip::Call &call);
  void ended(EndReason reason, int code, const std::string &text);
  void warn_unsent(std::size_t digits, const std::string &why);
  std::shared_ptr<sip::Call> call() const;

  std::shared_ptr<Line> line_;
  Owner &owner_;
  GstElement *element_;  // referenced, for the owner is its state
  std::atomic<bool> closing_ = false, attached_ = false;
  bool answered_ = false, ended_ = false;  // agent's thread
  ContextTimer timer_;                     // agent's thread

  mutable std::mutex mutex_;  // guards call_; leaf
  std::shared_ptr<sip::Call> call_;
};

}  // namespace junctor::sipcall
