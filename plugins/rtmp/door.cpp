// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/door.h"

#include <algorithm>
#include <utility>

namespace junctor::rtmp {

namespace {

/// What stands for a keeper in a verdict that it gave.
std::string name_of(const Doorkeeper *keeper) {
  return std::to_string(reinterpret_cast<std::uintptr_t>(keeper));
}

}  // namespace

std::vector<std::shared_ptr<Doorkeeper>> Door::Keepers::concerned(const Request &request) {
  KeeperList asked;
  const std::lock_guard lock(mutex);
  for (const auto &keeper : all)
    if (keeper->concerns(request)) asked.push_back(keeper);
  return asked;
}

std::shared_ptr<Doorkeeper> Door::Keepers::named(const std::string &name) {
  const std::lock_guard lock(mutex);
  const auto found =
      std::ranges::find_if(all, [&](const auto &keeper) { return name_of(keeper.get()) == name; });
  return found == all.end() ? nullptr : *found;
}

std::shared_ptr<Doorkeeper> Door::Keepers::first() {
  const std::lock_guard lock(mutex);
  return all.empty() ? nullptr : all.front();
}

void Door::Keepers::checked(const Request &request, const Verdict &verdict) {
  auto teller = named(verdict.grant);
  if (teller && request.stage == Stage::Start && request.role == Role::Push)
    accepted[{request.connection, request.stream}] = verdict.grant;
  if (!teller) {
    const auto asked = concerned(request);
    teller = asked.empty() ? first() : asked.front();
  }
  if (teller) teller->checked(request, verdict);
}

void Door::Keepers::publish_started(const Request &request) {
  const auto found = accepted.find({request.connection, request.stream});
  if (found == accepted.end()) return;
  if (const auto keeper = named(found->second)) keeper->publish_started(request);
}

void Door::Keepers::publish_ended(const Request &request) {
  const auto ended = accepted.extract({request.connection, request.stream});
  if (ended.empty()) return;
  if (const auto keeper = named(ended.mapped())) keeper->publish_ended(request);
}

/// Asks keeper `which`, and the next if it refuses.
void Door::ask(const std::shared_ptr<Reactor> &reactor, KeeperList keepers, std::size_t which,
               Request request, Decision decision) {
  const std::shared_ptr<Doorkeeper> keeper = keepers[which];
  const Request asked = request;
  keeper->decide(
      asked, Decision([reactor, keepers = std::move(keepers), which, request = std::move(request),
                       decision = std::move(decision)](Verdict verdict) {
        if (verdict.accepted || which + 1 == keepers.size()) {
          verdict.grant = verdict.accepted ? name_of(keepers[which].get()) : "";
          decision.give(std::move(verdict));
          return;
        }
        // The verdict may come on any thread, keepers are asked on the reactor.
        reactor->post([reactor, keepers, which, request, decision] {
          ask(reactor, keepers, which + 1, request, decision);
        });
      }));
}

Result<std::shared_ptr<Door>> Door::open(gst::ElementReactor reactor, Options wanted) {
  std::shared_ptr<Door> door(new Door(std::move(reactor), wanted.tls));
  const std::shared_ptr<Reactor> &loop = door->reactor_.reactor();
  const auto keepers = door->keepers_;
  ServerOptions options;
  options.listen = wanted.listen;
  options.limits = wanted.limits;
  options.log = std::move(wanted.log);
  if (wanted.tls != TlsFiles{}) {
    auto identity = TlsIdentity::load(std::move(wanted.tls), options.log);
    if (!identity) return identity.error();
    options.tls = std::move(*identity);
  }
  // The server keeps its events, and the reactor the server: weak, so that neither keeps itself.
  options.events.authenticate = [keepers, weak = std::weak_ptr(loop)](const Request &request,
                                                                      Decision decision) {
    const auto loop = weak.lock();
    auto asked = keepers->concerned(request);
    if (!loop || asked.empty()) {
      decision.refuse(request.stage == Stage::Connect
                          ? "There is no application \"" + request.app + "\" here."
                          : "There is no stream \"" + request.stream + "\" here.",
                      Refusal::UnknownStream);
      return;
    }
    ask(loop, std::move(asked), 0, request, std::move(decision));
  };
  options.events.checked = [keepers](const Request &request, const Verdict &verdict) {
    keepers->checked(request, verdict);
  };
  options.events.publish_started = [keepers](const Request &request) {
    keepers->publish_started(request);
  };
  options.events.publish_ended = [keepers](const Request &request, bool) {
    keepers->publish_ended(request);
  };
  auto server = Server::listen(loop, std::move(options));
  if (!server) return server.error();
  door->server_ = std::move(*server);
  return door;
}

Door::~Door() {
  if (server_) server_->close();
}

void Door::join(std::shared_ptr<Doorkeeper> keeper) {
  const std::lock_guard lock(keepers_->mutex);
  keepers_->all.push_back(std::move(keeper));
}

void Door::leave(const Doorkeeper *keeper) {
  const std::lock_guard lock(keepers_->mutex);
  std::erase_if(keepers_->all, [keeper](const auto &held) { return held.get() == keeper; });
}

Result<std::shared_ptr<Door>> Doors::open(
    const Endpoint &listen, const std::function<Result<std::shared_ptr<Door>>()> &make) {
  const std::lock_guard lock(mutex_);
  std::weak_ptr<Door> &held = open_[listen.to_string()];
  if (auto door = held.lock()) return door;
  auto door = make();
  if (door) held = *door;
  return door;
}

}  // namespace junctor::rtmp

namespace junctor {

template <>
GType shared_box_type<rtmp::Doors>() {
  static const GType type = g_boxed_type_register_static(
      "JunctorRtmpDoorsBox",
      [](gpointer box) -> gpointer {
        return new std::shared_ptr<rtmp::Doors>(*static_cast<std::shared_ptr<rtmp::Doors> *>(box));
      },
      [](gpointer box) { delete static_cast<std::shared_ptr<rtmp::Doors> *>(box); });
  return type;
}

}  // namespace junctor
