// SPDX-License-Identifier: LGPL-2.1-or-later
// RTMP server and SIP agent that do what a test says.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rtmp/core/server.h"
#include "sip/core/agent.h"

namespace junctor::calls::fakes {

/// What one source or the ring wrote, in order.
struct Outlet : rtmp::Outlet {
  struct Written {
    Medium medium;
    bool key;
    std::int64_t dts;
    std::string data;
  };
  void begin_source() override { ++sources; }
  void set_track(const rtmp::Track &track) override { tracks.push_back(track); }
  void write(const rtmp::Frame &frame) override {
    written.push_back({frame.medium, frame.key, frame.dts,
                       std::string(reinterpret_cast<const char *>(frame.data.view.data()),
                                   frame.data.view.size())});
  }
  void set_keyframe_wanted(std::function<void()> callback) override { wanted = callback; }
  void end(const std::string &code, const std::string &description) override {
    ended.push_back(code + " " + description);
  }
  Stats stats() const override { return {}; }

  std::vector<Written> of(Medium medium) const {
    std::vector<Written> some;
    std::ranges::copy_if(written, std::back_inserter(some),
                         [&](const Written &one) { return one.medium == medium; });
    return some;
  }

  int sources = 0;
  std::vector<rtmp::Track> tracks;
  std::vector<Written> written;
  std::function<void()> wanted;
  std::vector<std::string> ended;
};

struct Server : rtmp::Server {
  explicit Server(std::shared_ptr<Reactor> loop) : loop_(std::move(loop)) {}

  std::vector<Endpoint> locals() const override { return {{"127.0.0.1", 1935}}; }
  std::shared_ptr<Reactor> reactor() const override { return loop_; }
  void listen_to(const std::string &name,
                 std::shared_ptr<rtmp::PublishListener> listener) override {
    listeners[name] = listener;
  }
  void stop_listening(const std::string &name, const rtmp::PublishListener *listener) override {
    if (listeners[name].lock().get() == listener) listeners.erase(name);
  }
  PublishStats publish_stats(const std::string &) const override { return {}; }
  std::shared_ptr<rtmp::Outlet> outlet(const std::string &name) override {
    auto &held = outlets[name];
    if (!held) held = std::make_shared<Outlet>();
    return held;
  }
  void end_publisher(const std::string &name, std::uint64_t connection, const std::string &code,
                     const std::string &description) override {
    ended.push_back(name + " " + code + " " + description);
    ended_connections.push_back(connection);
  }
  void close() override {}
  Stats stats() const override { return {}; }

  std::map<std::string, std::weak_ptr<rtmp::PublishListener>> listeners;
  std::map<std::string, std::shared_ptr<Outlet>> outlets;
  std::vector<std::string> ended;
  std::vector<std::uint64_t> ended_connections;  ///< those of `ended`

 private:
  std::shared_ptr<Reactor> loop_;
};

struct Call : sip::Call {
  Call(std::string id, sip::InviteOptions invite, std::weak_ptr<sip::CallListener> listener)
      : options(std::move(invite)), id_(std::move(id)), listener_(std::move(listener)) {}

  const std::string &id() const override { return id_; }
  sip::CallState state() const override { return at; }
  std::string redirected_to() const override { return moved; }
  const std::vector<sip::Media> &media() const override { return negotiated; }
  std::vector<sip::Media> media_snapshot() const override { return negotiated; }
  void set_listener(std::weak_ptr<sip::CallListener> listener) override { listener_ = listener; }
  void hangup(EndReason reason) override { hung_up.push_back(reason); }
  Result<void> send_dtmf(std::string_view digits, Duration) override {
    if (no_dtmf) return *no_dtmf;
    dtmf += digits;
    return {};
  }
  std::string dtmf;
  std::optional<Error> no_dtmf;
  void hangup(EndReason reason, const std::string &words) override {
    hung_up.push_back(reason);
    why = words;
  }
  Result<void> can_encrypt(rtp::SrtpPolicy policy) const override {
    if (cannot_encrypt && policy == rtp::SrtpPolicy::Require) return *cannot_encrypt;
    return {};
  }
  void alert() override { ++alerts; }
  Result<void> answer(const sip::AnswerOptions &with) override {
    if (cannot_answer) return *cannot_answer;
    answers.push_back(with);
    negotiated = when_answered;
    return {};
  }
  void request_keyframe_by_info() override {}

  std::shared_ptr<sip::CallListener> listener() const { return listener_.lock(); }
  void ring() {
    if (auto l = listener_.lock()) l->on_ringing(*this);
  }
  void early(std::vector<sip::Media> media) {
    negotiated = std::move(media);
    if (auto l = listener_.lock()) l->on_early_media(*this);
  }
  void answer(std::vector<sip::Media> media) {
    negotiated = std::move(media);
    if (auto l = listener_.lock()) l->on_answered(*this);
  }
  void change(std::vector<sip::Media> media) {
    negotiated = std::move(media);
    if (auto l = listener_.lock()) l->on_media_changed(*this);
  }
  void end(EndReason reason, int code, const std::string &text) {
    if (auto l = listener_.lock()) l->on_ended(*this, reason, code, text);
  }

  sip::InviteOptions options;
  sip::CallState at = sip::CallState::Trying;
  std::vector<sip::Media> negotiated;
  std::vector<EndReason> hung_up;
  std::string moved;
  // Of a call that came.
  int alerts = 0;
  std::vector<sip::AnswerOptions> answers;
  std::vector<sip::Media> when_answered;
  std::optional<Error> cannot_answer, cannot_encrypt;
  std::string why;

 private:
  std::string id_;
  std::weak_ptr<sip::CallListener> listener_;
};

struct Agent : sip::Agent {
  GMainContext *context() override { return nullptr; }
  Endpoint local() const override { return {"127.0.0.1", 5060}; }
  Result<std::shared_ptr<sip::Call>> invite(const sip::InviteOptions &options,
                                            std::weak_ptr<sip::CallListener> listener) override {
    if (refuse) return *refuse;
    if (const auto found = refused.find(options.uri); found != refused.end()) return found->second;
    invited.push_back(std::make_shared<Call>("sip-" + std::to_string(invited.size()), options,
                                             std::move(listener)));
    return std::shared_ptr<sip::Call>(invited.back());
  }
  std::shared_ptr<sip::Call> find_call(const std::string &) const override { return nullptr; }
  std::vector<sip::Registration> registrations(const std::string &account) const override {
    const auto found = registered.find(account);
    return found == registered.end() ? std::vector<sip::Registration>() : found->second;
  }
  void forget_registrations(const std::string &account) override { registered.erase(account); }
  std::size_t calls() const override { return invited.size(); }
  void shutdown(EndReason, Duration) override {}

  std::optional<Error> refuse;
  std::map<std::string, Error> refused;  ///< by URI
  std::vector<std::shared_ptr<Call>> invited;
  std::map<std::string, std::vector<sip::Registration>> registered;  ///< by account
};

}  // namespace junctor::calls::fakes
