// SPDX-License-Identifier: LGPL-2.1-or-later
// `junctor node`: an SFU node on this device.
#include "node/node.h"

#include <glib-unix.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <iomanip>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/commands.h"
#include "cli/token.h"
#include "config/logging.h"

namespace junctor::cli {

namespace {

std::string host_name() {
  std::array<char, 65> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "node";
}

/// A name of a node has letters, digits, '-', '_' and '.' only.
bool is_name(const std::string &name) {
  return !name.empty() && name.size() <= nat::rendezvous::kMostName &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
             std::string::npos;
}

Result<node::NodeOptions> options_of(const CommandLine &line) {
  const NodeWords &words = line.node;
  node::NodeOptions options;
  auto token = token_of(words.token_file, "");
  if (!token) return token.error();
  options.server.url = line.url;
  options.server.token = *token;
  options.server.trust = words.trust;
  options.offer.name = words.name.empty() ? host_name() : words.name;
  if (!is_name(options.offer.name))
    return bad_input("--name: '" + options.offer.name +
                     "' is no name; use letters, digits, '-', '_' and '.', at most 64");
  options.offer.region = words.region;
  options.offer.legs = words.users;
  options.offer.price = words.price;
  options.stun = line.stun;
  const auto listen = Endpoint::parse(words.listen);
  if (!listen) return bad_input("--listen: " + listen.error().detail);
  options.listen = *listen;
  for (const std::string &each : words.announced) {
    const auto endpoint = Endpoint::parse(each);
    if (!endpoint || endpoint->port == 0)
      return bad_input("--announce: '" + each + "' is not ADDRESS:PORT");
    options.announced.push_back(*endpoint);
  }
  auto hours = node::parse_hours(words.hours);
  if (!hours) return bad_input("--hours: " + hours.error().detail);
  options.limits.hours = *hours;
  if (!words.bytes.empty()) {
    const auto bytes = node::parse_bytes(words.bytes);
    if (!bytes) return bad_input("--max-bytes: " + bytes.error().detail);
    options.limits.bytes = *bytes;
  }
  options.limits.battery = words.battery;
  options.drain_time = std::chrono::seconds(words.drain);
  return options;
}

std::string text_of(const std::string &name, const node::NodeStatus &status) {
  std::ostringstream text;
  text << name << " at " << status.address << ": " << status.state << "; " << status.hub.sessions
       << " calls, " << status.hub.legs_up << " of " << status.hub.legs << " clients here, "
       << std::fixed << std::setprecision(2) << status.bits_per_second / 1e6 << " Mbit/s, "
       << std::setprecision(1) << static_cast<double>(status.hub.forwarded_bytes) / 1e6
       << " MB forwarded";
  return text.str();
}

nlohmann::json json_of(const std::string &name, const node::NodeStatus &status) {
  return {{"node", name},
          {"address", status.address},
          {"state", status.state},
          {"nat", status.nat},
          {"sessions", status.hub.sessions},
          {"legs", status.hub.legs},
          {"legs_up", status.hub.legs_up},
          {"bits_per_second", status.bits_per_second},
          {"forwarded_bytes", status.hub.forwarded_bytes},
          {"forwarded_packets", status.hub.forwarded_packets},
          {"retransmitted", status.hub.retransmitted},
          {"strangers", status.hub.strangers},
          {"refused", status.hub.refused}};
}

/// A source of GLib that is removed with this.
class Source {
 public:
  Source(guint id) : id_(id) {}
  ~Source() {
    if (id_) g_source_remove(id_);
  }
  Source(const Source &) = delete;
  Source &operator=(const Source &) = delete;

 private:
  guint id_;
};

}  // namespace

int node(const CommandLine &line, Streams streams) {
  auto options = options_of(line);
  if (!options) {
    streams.err << "junctor: " << options.error().detail << "\n";
    return kWrongUsage;
  }
  const std::string name = options->offer.name;
  options->log = config::start_log(LogLevel::Info);
  const std::unique_ptr<GMainLoop, Releaser<g_main_loop_unref>> loop(
      g_main_loop_new(nullptr, FALSE));
  std::optional<std::string> failure;
  auto running = node::Node::start(std::move(*options), [&](std::optional<std::string> why) {
    failure = std::move(why);
    g_main_loop_quit(loop.get());
  });
  if (!running) {
    config::finish_log();
    streams.err << "junctor: " << running.error().detail << "\n";
    return running.error().fault == Fault::BadInput ? kWrongUsage : kFailed;
  }
  struct Shown {
    node::Node &node;
    const std::string &name;
    const CommandLine &line;
    std::ostream &out;
    void show() const {
      const auto status = node.status();
      out << (line.json ? json_of(name, status).dump() : text_of(name, status)) << std::endl;
    }
  } shown{**running, name, line, streams.out};
  shown.show();
  {
    const auto stop = +[](gpointer data) -> gboolean {
      static_cast<Shown *>(data)->node.stop();
      return G_SOURCE_CONTINUE;
    };
    const Source interrupt(g_unix_signal_add(SIGINT, stop, &shown));
    const Source terminate(g_unix_signal_add(SIGTERM, stop, &shown));
    const auto show = +[](gpointer data) -> gboolean {
      static_cast<Shown *>(data)->show();
      return G_SOURCE_CONTINUE;
    };
    const Source figures(line.node.every ? g_timeout_add_seconds(line.node.every, show, &shown)
                                         : 0U);
    g_main_loop_run(loop.get());
  }
  shown.show();
  running->reset();
  config::finish_log();
  if (failure) {
    streams.err << "junctor: " << *failure << "\n";
    return kFailed;
  }
  return kDone;
}

}  // namespace junctor::cli
