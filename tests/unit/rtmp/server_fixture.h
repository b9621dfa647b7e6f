// SPDX-License-Identifier: LGPL-2.1-or-later
// The server on loopback, with the reactor cranked by the test.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "../tls_peer.h"
#include "peer.h"
#include "rtmp/core/server.h"

namespace junctor::test {

using namespace std::chrono_literals;

using Words = std::vector<std::string>;

/// A client on a socket of its own.
struct Client {
  explicit Client(const Endpoint &server, int receive_buffer = 0)
      : socket(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer > 0)
      ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const auto address = server.to_sockaddr();
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr *>(&*address),
                        sockaddr_length(*address)),
              0);
  }
  void send(ByteSpan bytes) {
    const Bytes sealed = tls ? tls->say(bytes) : Bytes();
    send_raw(tls ? ByteSpan(sealed) : bytes);
  }
  void send_raw(ByteSpan bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
  }
  /// Hears what has come; answers the handshake.
  void hear() {
    Bytes buffer(65536);
    for (;;) {
      const ssize_t got = ::recv(socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got == 0 || (got < 0 && errno == ECONNRESET)) closed = true;
      if (got <= 0) return;
      ByteSpan heard = ByteSpan(buffer).first(static_cast<std::size_t>(got));
      Bytes opened;
      if (tls) {
        send_raw(tls->hear(heard, opened));
        heard = opened;
      }
      send(peer.hear(heard));
      for (const Message &message : std::exchange(peer.heard, {}))
        words.push_back(test::words(message));
    }
  }
  bool has(const std::string &word) const {
    return std::find(words.begin(), words.end(), word) != words.end();
  }

  UniqueFd socket;
  std::unique_ptr<TlsPeer> tls;  ///< set before anything is said: RTMPS
  Peer peer;
  Words words;
  bool closed = false;
  bool listens = true;  ///< whether the tests' turns make it hear
};

class Ear final : public PublishListener {
 public:
  void on_publisher() override { heard.push_back("begin"); }
  void on_track(const Track &track) override {
    heard.push_back("track " + std::string(to_string(track.codec)));
    if (outlet) outlet->set_track(track);
  }
  void on_frame(const rtmp::Frame &frame) override {
    heard.push_back(std::string(to_string(frame.medium)) + " " + std::to_string(frame.dts));
    if (outlet) outlet->write(frame);
  }
  void on_publisher_gone(bool finished) override { heard.push_back(finished ? "end" : "lost"); }
  Words heard;
  std::shared_ptr<Outlet> outlet;
};

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    options.listen = {"127.0.0.1", 0};
    options.log = [this](LogLevel, std::string_view text) { logged.emplace_back(text); };
    options.events.publish_started = [this](const Request &request) {
      events.push_back("publish " + request.stream);
    };
    options.events.publish_ended = [this](const Request &request, bool finished) {
      events.push_back((finished ? "finished " : "lost ") + request.stream);
    };
    options.events.play_started = [this](const Request &request) {
      events.push_back("play " + request.stream);
    };
    options.events.play_ended = [this](const Request &request) {
      events.push_back("ended " + request.stream);
    };
  }
  void SetUp() override {
    auto made = Reactor::create();
    ASSERT_TRUE(made);
    reactor = *made;
  }
  // The events go to members that are gone before the server is.
  void TearDown() override { server.reset(); }
  void listen() {
    auto made = Server::listen(reactor, options);
    ASSERT_TRUE(made) << made.error().detail;
    server = std::move(*made);
  }
  Client &client(int receive_buffer = 0) {
    clients.push_back(std::make_unique<Client>(server->local(), receive_buffer));
    return *clients.back();
  }
  /// Of the second door.
  Client &tls_client() {
    clients.push_back(std::make_unique<Client>(server->locals().at(1)));
    clients.back()->tls = std::make_unique<TlsPeer>();
    return *clients.back();
  }
  /// Turns the reactor until `done`; false after many turns.
  bool turn_until(const std::function<bool()> &done) {
    const Time enough = Clock::now() + 120s;
    while (Clock::now() < enough) {
      for (const auto &each : clients)
        if (!each->closed && each->listens) each->hear();
      if (done()) return true;
      reactor->run_once(5ms);
    }
    return false;
  }
  /// Goes through the handshake and connect.
  bool connect(Client &client, const std::string &app = "call") {
    client.send(client.peer.begin());
    if (!turn_until([&] { return client.peer.ready(); })) return false;
    client.send(client.peer.connect(app));
    return turn_until([&] { return client.has("_result 1 NetConnection.Connect.Success"); });
  }
  /// And on to stream 1, published or played.
  bool start(Client &client, const std::string &command, const std::string &name) {
    if (!connect(client)) return false;
    client.send(client.peer.command("createStream", 2) +
                client.peer.command(command, 0, {name}, 1));
    return turn_until([&] {
      return client.has(command == "publish" ? "onStatus NetStream.Publish.Start"
                                             : "onStatus NetStream.Play.Start");
    });
  }
  /// Sends `bytes` again and again until the socket is full; false if the server never stops.
  bool stops_taking(Client &client, const Bytes &bytes) {
    std::size_t total = 0;
    for (int idle = 0; idle < 20;) {
      const ssize_t sent =
          ::send(client.socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent > 0) total += static_cast<std::size_t>(sent);
      idle = sent > 0 ? 0 : idle + 1;
      reactor->run_once(0ms);
      if (total >= 64U * 1024 * 1024) return false;
    }
    return true;
  }
  void give_tracks(Client &client) {
    client.send(client.peer.media(MessageType::Video, 1, 0, config_body(h264_track())) +
                client.peer.media(MessageType::Audio, 1, 0, config_body(aac_track())));
  }
  void give(Client &client, const rtmp::Frame &frame) {
    const bool audio = frame.medium == Medium::Audio;
    client.send(client.peer.media(audio ? MessageType::Audio : MessageType::Video, 1,
                                  static_cast<std::uint32_t>(frame.dts),
                                  test::tag_of(audio ? aac_track() : h264_track(), frame)));
  }
  bool logged_like(const std::string &part) const {
    return std::any_of(logged.begin(), logged.end(),
                       [&](const auto &line) { return line.find(part) != line.npos; });
  }

  std::shared_ptr<Reactor> reactor;
  ServerOptions options;
  std::shared_ptr<Server> server;
  Words events, logged;

  std::vector<std::unique_ptr<Client>> clients;
};

}  // namespace junctor::test
