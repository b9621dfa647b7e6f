// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/server.h"

#include "rtmp/core/server_core.h"

namespace junctor::rtmp {

namespace {

/// What the owners hold: the core lives on its reactor, and is shut there when they let go.
class ServerHandle final : public Server {
 public:
  explicit ServerHandle(std::shared_ptr<ServerCore> core)
      : reactor_(core->reactor()), core_(std::move(core)) {}
  ~ServerHandle() override {
    reactor_->invoke([this] {
      core_->shut();
      core_.reset();
    });
  }

  std::vector<Endpoint> locals() const override { return core_->locals(); }
  std::shared_ptr<Reactor> reactor() const override { return reactor_; }

  void listen_to(const std::string &name, std::shared_ptr<PublishListener> listener) override {
    core_->listen_to(name, listener);
  }
  void stop_listening(const std::string &name, const PublishListener *listener) override {
    core_->stop_listening(name, listener);
  }
  PublishStats publish_stats(const std::string &name) const override {
    return core_->publish_stats(name);
  }
  std::shared_ptr<Outlet> outlet(const std::string &name) override { return core_->outlet(name); }
  void end_publisher(const std::string &name, std::uint64_t connection, const std::string &code,
                     const std::string &description) override {
    core_->end_publisher(name, connection, code, description);
  }
  void close() override {
    reactor_->invoke([this] { core_->shut(); });
  }
  Stats stats() const override { return core_->stats(); }

 private:
  std::shared_ptr<Reactor> reactor_;
  std::shared_ptr<ServerCore> core_;
};

}  // namespace

Result<std::shared_ptr<Server>> Server::listen(const std::shared_ptr<Reactor> &reactor,
                                               ServerOptions options) {
  std::vector<UniqueFd> listeners;
  const auto open = [&listeners](const Endpoint &where) -> Result<void> {
    auto listener = listen_tcp(where);
    if (!listener) return listener.error();
    listeners.push_back(std::move(*listener));
    return {};
  };
  if (auto opened = open(options.listen); !opened) return opened.error();
  for (const auto &door : options.more_doors)
    if (auto opened = open(door.listen); !opened) return opened.error();
  auto core = std::make_shared<ServerCore>(reactor, std::move(options), std::move(listeners));
  reactor->invoke([&core] { core->start(); });
  return std::shared_ptr<Server>(std::make_shared<ServerHandle>(std::move(core)));
}

}  // namespace junctor::rtmp
