// SPDX-License-Identifier: LGPL-2.1-or-later
// A session without a socket, and the client that it talks to.
#pragma once

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "peer.h"
#include "rtmp/core/session.h"

namespace junctor::test {

using namespace std::chrono_literals;

using Words = std::vector<std::string>;

/// A session, its client and its clock. Checks wait for answer(), unless `answers` says otherwise.
class Fixture : public SessionEvents {
 public:
  explicit Fixture(Limits limits = {})
      : session({limits, 7, {"192.0.2.1", 5000}, {}}, *this, now) {}

  void on_check(std::uint64_t check, const Request &request) override {
    pending = check;
    requests.push_back(request);
    events.push_back("check " + std::string(to_string(request.stage)));
  }
  void on_checked(const Request &request, const Verdict &verdict) override {
    events.push_back((verdict.accepted ? "accepted " : "refused ") +
                     std::string(to_string(request.stage)));
  }
  void on_publish(std::uint32_t stream, const Request &request) override {
    events.push_back("publish " + std::to_string(stream) + " " + request.stream);
  }
  void on_media(std::uint32_t stream, const Message &message) override {
    media.push_back(message);
    media_streams.insert(stream);
  }
  void on_unpublish(std::uint32_t stream) override {
    events.push_back("unpublish " + std::to_string(stream));
  }
  void on_play(std::uint32_t stream, const Request &request) override {
    events.push_back("play " + std::to_string(stream) + " " + request.stream);
  }
  void on_play_state(std::uint32_t stream, const PlayState &state) override {
    events.push_back("state " + std::to_string(stream) + (state.paused ? " paused" : "") +
                     (state.audio ? " audio" : "") + (state.video ? " video" : ""));
  }
  void on_play_stopped(std::uint32_t stream) override {
    events.push_back("stopped " + std::to_string(stream));
  }

  /// Gives the session bytes of the client, in pieces of `piece`; keeps what it does not take.
  void give(ByteSpan bytes, std::size_t piece = SIZE_MAX) {
    held.insert(held.end(), bytes.begin(), bytes.end());
    while (!held.empty() && session.wants_input()) {
      const ByteSpan part = ByteSpan(held).first(std::min(piece, held.size()));
      const std::size_t taken = session.receive(part, now);
      held.erase(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(taken));
      exchange();
    }
  }
  /// Brings what the session says to the client, and what that says back.
  void exchange() {
    if (!session.has_output() || replaying) return;
    const Bytes answer = peer.hear(session.take_output());
    if (!answer.empty()) give(answer);
  }
  void answer(bool accepted, const std::string &text = {}, Refusal refusal = Refusal::Denied) {
    Verdict verdict;
    verdict.accepted = accepted;
    (accepted ? verdict.identity : verdict.reason) = text;
    verdict.refusal = refusal;
    session.decide(pending, verdict, now);
    exchange();
    give({});
  }
  /// Everything up to the check of connect.
  void connect(const std::string &app = "call", const std::string &url = {}) {
    give(peer.begin());
    ASSERT_TRUE(peer.ready());
    give(peer.connect(app, url));
  }
  void connected(const std::string &app = "call") {
    connect(app);
    answer(true, "alice");
  }
  /// A stream that may be published or played; it is number 1.
  void with_stream() {
    connected();
    give(peer.command("createStream", 2));
    answer(true);
    forget();
  }
  void publishing(const std::string &name = "alice") {
    with_stream();
    give(peer.command("publish", 3, {name, "live"}, 1));
    answer(true);
    forget();
  }
  void playing(const std::string &name = "alice") {
    with_stream();
    give(peer.command("play", 0, {name, -2000}, 1));
    answer(true);
    forget();
  }
  void forget() {
    peer.heard.clear();
    events.clear();
  }
  /// The object of the last command heard.
  AmfMembers info() const {
    for (auto message = peer.heard.rbegin(); message != peer.heard.rend(); ++message) {
      const auto command = parse_command(*message);
      if (command && !command->arguments.empty() && command->arguments.back().members())
        return *command->arguments.back().members();
    }
    return {};
  }

  Time now{100s};
  Peer peer;
  Bytes held;
  bool replaying = false;
  std::uint64_t pending = 0;
  Words events;
  std::vector<Request> requests;
  std::vector<Message> media;
  std::set<std::uint32_t> media_streams;
  Session session;
};

inline const Words kConnectAnswer = {"WindowAckSize 2500000", "SetPeerBandwidth 2500000",
                                     "SetChunkSize 65536",
                                     "_result 1 NetConnection.Connect.Success"};

}  // namespace junctor::test
