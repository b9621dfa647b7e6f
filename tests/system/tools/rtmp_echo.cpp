// SPDX-License-Identifier: LGPL-2.1-or-later
// An RTMP server that plays each published name back, to be tried with real clients.
// rtmp-echo [--listen ADDRESS:PORT] [--refuse connect|createStream|publish|play]
// [--late MILLISECONDS] [--end-after MILLISECONDS]
//
// Says "listening ADDRESS:PORT", then one line for each event, on standard output; ends with its
// standard input. --late delays each verdict, --end-after ends the players of a name so long after
// its first frame.
#include <cstdio>
#include <iostream>
#include <map>
#include <set>
#include <string>

#include "rtmp/core/server.h"

using namespace junctor;

namespace {

void say(const std::string &line) { std::cout << line << std::endl; }

/// Hands one publisher's stream to the outlet of its name.
class Echo final : public rtmp::PublishListener {
 public:
  Echo(std::shared_ptr<rtmp::Outlet> outlet, std::shared_ptr<Reactor> reactor, int end_after)
      : outlet_(std::move(outlet)), reactor_(std::move(reactor)), end_after_(end_after) {}

  void on_publisher() override { outlet_->begin_source(); }
  void on_track(const rtmp::Track &track) override {
    say("track " + std::string(to_string(track.codec)));
    outlet_->set_track(track);
  }
  void on_frame(const rtmp::Frame &frame) override {
    outlet_->write(frame);
    if (end_after_ <= 0 || std::exchange(begun_, true)) return;
    end_ = reactor_->after(std::chrono::milliseconds(end_after_), [this] {
      outlet_->end("NetStream.Play.Complete", "The call is over.");
      say("ended");
    });
  }
  void on_publisher_gone(bool finished) override {
    say(finished ? "publisher finished" : "publisher lost");
    const auto stats = outlet_->stats();
    say("outlet frames " + std::to_string(stats.frames) + " dropped " +
        std::to_string(stats.dropped));
    if (finished) outlet_->end("NetStream.Play.Complete", "The publisher has ended.");
  }

 private:
  std::shared_ptr<rtmp::Outlet> outlet_;
  std::shared_ptr<Reactor> reactor_;
  int end_after_;
  bool begun_ = false;
  Reactor::Timer end_;
};

}  // namespace

int main(int argc, char **argv) {
  std::map<std::string, std::string> options = {
      {"--listen", "127.0.0.1:0"}, {"--refuse", ""}, {"--late", "0"}, {"--end-after", "0"}};
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!options.contains(argv[i])) {
      std::fprintf(stderr, "rtmp-echo: unknown option %s\n", argv[i]);
      return 2;
    }
    options[argv[i]] = argv[i + 1];
  }
  const auto listen = Endpoint::parse(options["--listen"]);
  auto thread = ReactorThread::start("rtmp-echo");
  if (!listen || !thread) {
    std::fprintf(stderr, "rtmp-echo: cannot start\n");
    return 1;
  }
  const auto reactor = (*thread)->reactor();
  const std::string refuse = options["--refuse"];
  const int late = std::stoi(options["--late"]), end_after = std::stoi(options["--end-after"]);

  std::shared_ptr<rtmp::Server> server;
  std::map<std::string, std::shared_ptr<Echo>> echoes;
  std::vector<std::shared_ptr<Reactor::Timer>> timers;
  rtmp::ServerOptions server_options;
  server_options.listen = *listen;
  server_options.log = [](LogLevel, std::string_view text) { say("log " + std::string(text)); };
  server_options.events.authenticate = [&](const rtmp::Request &request, rtmp::Decision decision) {
    const auto decide = [=] {
      stage_name(request) == refuse
          ? decision.refuse("not today")
          : decision.accept(request.parameters.contains("token") ? request.parameters.at("token")
                                                                 : "anonymous");
    };
    if (late == 0) return decide();
    timers.push_back(
        std::make_shared<Reactor::Timer>(reactor->after(std::chrono::milliseconds(late), decide)));
  };
  server_options.events.checked = [](const rtmp::Request &request, const rtmp::Verdict &verdict) {
    say(std::string("check ") + stage_name(request) + " app=" + request.app +
        " stream=" + request.stream + " identity=" + request.identity +
        (verdict.accepted ? " accepted" : " refused"));
  };
  server_options.events.publish_started = [&](const rtmp::Request &request) {
    auto &echo = echoes[request.stream];
    if (!echo) {
      echo = std::make_shared<Echo>(server->outlet(request.stream), reactor, end_after);
      server->listen_to(request.stream, echo);
    }
    say("publish started " + request.stream);
  };
  server_options.events.publish_ended = [](const rtmp::Request &request, bool finished) {
    say("publish ended " + request.stream + (finished ? " finished" : " lost"));
  };
  server_options.events.play_started = [](const rtmp::Request &request) {
    say("play started " + request.stream);
  };
  server_options.events.play_ended = [](const rtmp::Request &request) {
    say("play ended " + request.stream);
  };

  int status = 0;
  reactor->invoke([&] {
    auto listening = rtmp::Server::listen(reactor, std::move(server_options));
    if (listening) {
      server = *listening;
    } else {
      std::fprintf(stderr, "rtmp-echo: %s\n", listening.error().detail.c_str());
      status = 1;
    }
  });
  if (server) {
    say("listening " + server->local().to_string());
    while (std::cin.get() != EOF) {
    }
    server->close();
  }
  reactor->invoke([&] {
    timers.clear();
    echoes.clear();
    server.reset();
  });
  return status;
}
