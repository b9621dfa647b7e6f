// SPDX-License-Identifier: LGPL-2.1-or-later
// `junctor nat`: what stands between this machine and others.
#include <algorithm>
#include <functional>
#include <iomanip>
#include <nlohmann/json.hpp>

#include "cli/client.h"
#include "cli/commands.h"
#include "common/text.h"
#include "nat/core/behaviour_json.h"
#include "nat/core/exchange_runner.h"
#include "nat/core/mapping_watch.h"
#include "nat/core/nearest_region.h"
#include "nat/core/stun_host.h"
#include "nat/core/survey.h"

namespace junctor::cli {

namespace {

using nlohmann::json;

/// A server that was named, and its addresses or why there are none.
struct Named {
  std::string name, stun;
  Result<std::vector<Endpoint>> addresses;
};

double milliseconds(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

std::string ms_text(Duration duration) { return brief(milliseconds(duration)) + " ms"; }

/// The host of "http://HOST:PORT".
std::string host_of(const std::string &url) {
  const auto begin = url.find("://") + 3;
  const auto end = url.find_first_of(":/", url[begin] == '[' ? url.find(']', begin) : begin);
  const std::string host = url.substr(begin, end - begin);
  return host.starts_with('[') ? host.substr(1, host.size() - 2) : host;
}

/// What the orchestrator says: its regions, else its own server.
Result<std::vector<std::pair<std::string, std::string>>> ask_orchestrator(const CommandLine &line) {
  const auto hinted = [](const Error &error) {
    std::string detail = error.detail;
    if (detail.ends_with('.')) detail.pop_back();
    return Error{error.fault, detail + "; or name a STUN server with --stun HOST:PORT"};
  };
  const auto client = Client::as_anybody(line.url, line.config.data_dir, line.trust);
  if (!client) return hinted(client.error());
  const auto regions = client->send("GET", "/api/v1/regions");
  if (!regions) return hinted(regions.error());
  std::vector<std::pair<std::string, std::string>> list;
  for (const json &region : regions->body.value("regions", json::array()))
    list.emplace_back(region.value("name", ""), region.value("stun", ""));
  if (!list.empty()) return list;
  const auto health = client->send("GET", "/api/v1/health");
  if (!health) return health.error();
  const json stun = health->body.value("stun", json());
  const auto own = stun.is_object() ? Endpoint::parse(stun.value("address", ""))
                                    : Result<Endpoint>(internal_error("off"));
  if (!own)
    return hinted(refused("the orchestrator has neither regions nor a STUN server of its own"));
  const bool any = own->address == "0.0.0.0" || own->address == "::";
  const std::string text =
      Endpoint{any ? host_of(client->url()) : own->address, own->port}.to_string();
  list.emplace_back(text, text);
  return list;
}

Result<std::vector<Named>> servers(const CommandLine &line) {
  std::vector<std::pair<std::string, std::string>> list;
  for (const std::string &text : line.stun) {
    auto host = nat::StunHost::parse(text);
    if (!host) return bad_input("--stun: " + host.error().detail);
    list.emplace_back(host->to_string(), host->to_string());
  }
  if (list.empty()) {
    auto told = ask_orchestrator(line);
    if (!told) return told.error();
    list = *std::move(told);
  }
  if (list.size() > nat::NearestRegion::kMostRegions) list.resize(nat::NearestRegion::kMostRegions);
  std::vector<Named> named;
  for (auto &[name, stun] : list) {
    const auto host = nat::StunHost::parse(stun);
    named.push_back({name, stun, host ? host->resolve_each() : host.error()});
  }
  return named;
}

/// Runs it to its end, or until `progressed` answers false.
Result<void> run(nat::Exchange &exchange, nat::ExchangeSockets sockets,
                 const std::function<bool()> &progressed) {
  auto reactor = Reactor::create();
  if (!reactor) return reactor.error();
  const nat::ExchangeRunner runner(*reactor, std::move(sockets), exchange, [&] {
    if (exchange.done() || !progressed()) (*reactor)->stop();
  });
  (*reactor)->run();
  return {};
}

using Ranking = std::vector<nat::NearestRegion::Measured>;

Result<Ranking> measure(const std::vector<Named> &named) {
  std::vector<nat::Region> regions;
  for (const Named &each : named)
    if (each.addresses)
      for (const Endpoint &one : *each.addresses) regions.push_back({each.name, one});
  if (regions.empty()) return named.front().addresses.error();
  auto measured = nat::measure_regions(regions);
  if (!measured) return measured.error();
  return std::move(measured->ranking);
}

json endpoint_json(const std::optional<Endpoint> &endpoint) {
  return endpoint ? json(endpoint->to_string()) : json(nullptr);
}

json to_json(const std::vector<Named> &named, const Ranking &ranking) {
  json list = json::array();
  for (const auto &each : ranking)
    list.push_back(
        {{"name", each.region.name},
         {"stun", each.region.stun.to_string()},
         {"round_trip_ms", each.round_trip ? json(milliseconds(*each.round_trip)) : json(nullptr)},
         {"answers", each.answers},
         {"requests", each.requests}});
  for (const Named &each : named)
    if (!each.addresses)
      list.push_back(
          {{"name", each.name}, {"stun", each.stun}, {"error", each.addresses.error().detail}});
  return list;
}

void print(std::ostream &out, const std::vector<Named> &named, const Ranking &ranking) {
  std::size_t width = 0;
  for (const Named &each : named) width = std::max(width, each.name.size());
  const auto row = [&](const std::string &name, const std::string &rest) {
    out << "  " << std::left << std::setw(static_cast<int>(width) + 2) << name << rest << "\n";
  };
  out << "STUN servers, the nearest first:\n";
  for (const auto &each : ranking)
    row(each.region.name, (each.round_trip ? ms_text(*each.round_trip) : "no answer") +
                              (each.region.stun.to_string() == each.region.name
                                   ? ""
                                   : "  " + each.region.stun.to_string()));
  for (const Named &each : named)
    if (!each.addresses) row(each.name, each.addresses.error().detail);
  out << "\n";
}

/// What the operator or the caller can do about what is not known; nothing where all is.
std::string to_know_more(const nat::Behaviour &found) {
  const auto unknown = nat::Dependence::Unknown;
  if (found.udp != nat::UdpAccess::Works ||
      (found.mapping != unknown && found.filtering != unknown))
    return "";
  return "A STUN server with a second address knows more: stun.alternate in the configuration of "
         "`junctor serve`, or --stun HOST:PORT of another server here.";
}

void print(std::ostream &out, const nat::Behaviour &found) {
  out << "This machine: " << summary(found) << ".\n";
  const auto row = [&](const char *name, const std::string &value, const std::string &why = "") {
    if (!value.empty())
      out << "  " << std::left << std::setw(12) << name << value
          << (why.empty() ? "" : " (" + why + ")") << "\n";
  };
  if (found.udp == nat::UdpAccess::Works) {
    row("external", found.external ? found.external->to_string() : "");
    for (const std::string &address : found.addresses)
      if (found.external && address != found.external->address) row("also", address);
    row("local", found.local.to_string());
    row("mapping", std::string(to_string(found.mapping)), found.mapping_why);
    row("filtering", std::string(to_string(found.filtering)), found.filtering_why);
    if (found.translated)
      row("ports",
          std::string(to_string(found.ports)) + (found.ports == nat::PortPattern::Sequential
                                                     ? ", step " + std::to_string(found.port_step)
                                                     : ""),
          found.ports_why);
    if (found.hairpin) row("hairpin", *found.hairpin ? "yes" : "no");
    row("round trip", ms_text(*found.round_trip));
  } else {
    for (const std::string &address : found.addresses) row("external", address);
  }
  row("found in", ms_text(found.took));
  out << meaning(found) << "\n";
  if (const std::string hint = to_know_more(found); !hint.empty()) out << hint << "\n";
}

/// Tells changes until it is interrupted.
int watch(const CommandLine &line, const Streams &streams, const Endpoint &server) {
  auto sockets = nat::ExchangeSockets::open(1, server);
  if (!sockets) {
    streams.err << "junctor: " << sockets.error().detail << "\n";
    return kFailed;
  }
  nat::WatchOptions options;
  options.server = server;
  options.interval = std::chrono::seconds(line.every);
  nat::MappingWatch watching(options);
  const auto tell = [&](const nat::MappingWatch::Event &event) {
    using Kind = nat::MappingWatch::Event::Kind;
    const std::string now = event.now ? event.now->to_string() : "",
                      before = event.before ? event.before->to_string() : "";
    const auto [word, text] =
        event.kind == Kind::Seen ? std::pair("seen", "external address " + now)
        : event.kind == Kind::Changed
            ? std::pair("changed", "external address changed from " + before + " to " + now)
        : event.kind == Kind::Silent ? std::pair("silent", std::string("no answer any more"))
                                     : std::pair("back", "answers again, as " + now);
    if (line.json)
      streams.out << json{{"event", word},
                          {"before", endpoint_json(event.before)},
                          {"external", endpoint_json(event.now)}}
                         .dump()
                  << std::endl;
    else
      streams.out << text << std::endl;
  };
  const auto ran = run(watching, *std::move(sockets), [&] {
    if (const auto event = watching.take_event()) tell(*event);
    return true;
  });
  return ran ? kDone : kFailed;
}

}  // namespace

int nat(const CommandLine &line, Streams streams) {
  const auto fail = [&](const Error &error) {
    streams.err << "junctor: " << error.detail << "\n";
    return error.fault == Fault::BadInput ? kWrongUsage : kFailed;
  };
  const auto named = servers(line);
  if (!named) {
    const int code = fail(named.error());
    return named.error().fault == Fault::Unreachable ? kUnreachable : code;
  }
  const auto ranking = measure(*named);
  if (!ranking) return fail(ranking.error());
  std::vector<Endpoint> asked;
  for (const auto &each : *ranking) asked.push_back(each.region.stun);
  const auto found = nat::discover_behaviour(asked);
  if (!found) return fail(found.error());
  if (line.json) {
    streams.out << json{{"servers", to_json(*named, *ranking)}, {"behaviour", nat::to_json(*found)}}
                       .dump(line.watch ? -1 : 2)
                << std::endl;
  } else {
    print(streams.out, *named, *ranking);
    print(streams.out, *found);
  }
  if (line.watch) return watch(line, streams, asked.front());
  return found->udp == nat::UdpAccess::NoAnswer ? kFailed : kDone;
}

}  // namespace junctor::cli
