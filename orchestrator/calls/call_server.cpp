// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/call_server.h"

namespace junctor::calls {

namespace {

class CallServer : public rtmp::Server {
 public:
  CallServer(std::shared_ptr<rtmp::Server> server, Downlinks downlinks)
      : server_(std::move(server)), downlinks_(std::move(downlinks)) {}

  std::vector<Endpoint> locals() const override { return server_->locals(); }
  std::shared_ptr<Reactor> reactor() const override { return server_->reactor(); }
  void listen_to(const std::string &name,
                 std::shared_ptr<rtmp::PublishListener> listener) override {
    server_->listen_to(name, std::move(listener));
  }
  void stop_listening(const std::string &name, const rtmp::PublishListener *listener) override {
    server_->stop_listening(name, listener);
  }
  PublishStats publish_stats(const std::string &name) const override {
    return server_->publish_stats(name);
  }
  std::shared_ptr<rtmp::Outlet> outlet(const std::string &name) override {
    const auto own = downlinks_.find(name);
    return own != downlinks_.end() ? own->second->attach_live() : server_->outlet(name);
  }
  void end_publisher(const std::string &name, std::uint64_t connection, const std::string &code,
                     const std::string &description) override {
    server_->end_publisher(name, connection, code, description);
  }
  // The server is everybody's: no pipeline closes it.
  void close() override {}
  Stats stats() const override { return server_->stats(); }

 private:
  std::shared_ptr<rtmp::Server> server_;
  const Downlinks downlinks_;
};

}  // namespace

std::shared_ptr<rtmp::Server> make_call_server(std::shared_ptr<rtmp::Server> server,
                                               Downlinks downlinks) {
  return std::make_shared<CallServer>(std::move(server), std::move(downlinks));
}

}  // namespace junctor::calls
