// SPDX-License-Identifier: LGPL-2.1-or-later
#include "store/call_json.h"

#include <cmath>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

namespace junctor::store {

namespace {

using calls::View;
using nlohmann::json;

json optional_time(const std::optional<calls::WallTime> &time) {
  return time ? json(timestamp(*time)) : json(nullptr);
}

template <class Number>
json optional_number(const std::optional<Number> &number) {
  return number ? json(*number) : json(nullptr);
}

json sides(const std::vector<calls::Side> &sides) {
  json names = json::array();
  for (const calls::Side side : sides) names.push_back(std::string(to_string(side)));
  return names;
}

/// To microseconds: more digits would say nothing.
double rounded(double ms) { return std::round(ms * 1000) / 1000; }

json to_json(const View::MediaCount &count) {
  return {{"sent_packets", count.sent_packets},
          {"received_packets", count.received_packets},
          {"lost", count.lost},
          {"jitter_ms", count.jitter_ms},
          {"reorder_wait_ms", rounded(count.reorder_wait_ms)},
          {"round_trip_ms", optional_number(count.round_trip_ms)}};
}

void from_json(const json &value, View::MediaCount &count) {
  count.sent_packets = value.value("sent_packets", std::uint64_t{0});
  count.received_packets = value.value("received_packets", std::uint64_t{0});
  count.lost = value.value("lost", std::uint64_t{0});
  count.jitter_ms = value.value("jitter_ms", 0.0);
  count.reorder_wait_ms = value.value("reorder_wait_ms", 0.0);
  const auto trip = value.find("round_trip_ms");
  // Records of before have 0 where nothing was reported.
  if (trip != value.end() && trip->is_number() && trip->get<double>() > 0)
    count.round_trip_ms = trip->get<double>();
}

json plan_to_json(const std::vector<calls::PlanStep> &plan) {
  json steps = json::array();
  for (const auto &step : plan)
    steps.push_back({{"direction", step.direction},
                     {"medium", std::string(to_string(step.medium))},
                     {"from", step.from},
                     {"to", step.to},
                     {"transcoded", step.transcoded},
                     {"cpu_percent", step.cpu_percent},
                     {"first_picture_ms", optional_number(step.first_picture_ms)},
                     {"reason", step.reason}});
  return steps;
}

json to_json(const calls::LegSecurity &security) {
  const auto known = [](const std::string &text) {
    return text.empty() ? json(nullptr) : json(text);
  };
  return {{"signalling", known(security.signalling)}, {"media", known(security.media)}};
}

calls::LegSecurity security_from_json(const json &value, const char *name) {
  calls::LegSecurity security;
  const auto found = value.find(name);
  if (found == value.end() || !found->is_object()) return security;
  for (const auto &[key, field] :
       {std::pair{"signalling", &security.signalling}, {"media", &security.media}})
    if (const auto text = found->find(key); text != found->end() && text->is_string())
      *field = text->get<std::string>();
  return security;
}

json to_json(const std::vector<calls::RouteLatency> &latency) {
  json routes = json::array();
  for (const auto &route : latency) {
    json stages = json::object();
    for (const auto &[name, figures] : route.stages)
      stages[std::string(name)] = {{"count", figures.count},
                                   {"median_ms", rounded(figures.median_ms)},
                                   {"p99_ms", rounded(figures.p99_ms)},
                                   {"most_ms", rounded(figures.most_ms)}};
    routes.push_back({{"direction", route.direction},
                      {"medium", std::string(to_string(route.medium))},
                      {"stages", std::move(stages)}});
  }
  return routes;
}

std::vector<calls::RouteLatency> latency_from_json(const json &routes) {
  std::vector<calls::RouteLatency> latency;
  for (const auto &value : routes) {
    if (!value.is_object()) return {};
    calls::RouteLatency route{
        value.value("direction", ""),
        value.value("medium", "audio") == "video" ? Medium::Video : Medium::Audio,
        {}};
    const json stages = value.value("stages", json::object());
    for (const std::string_view name : calls::kStages)
      if (const auto stage = stages.find(name); stage != stages.end() && stage->is_object())
        route.stages.push_back(
            {name,
             {stage->value("count", std::uint64_t{0}), stage->value("median_ms", 0.0),
              stage->value("p99_ms", 0.0), stage->value("most_ms", 0.0)}});
    latency.push_back(std::move(route));
  }
  return latency;
}

// Texts of peers may hold anything; what is not UTF-8 is replaced.
std::string dump(const json &value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::string timestamp(calls::WallTime time) {
  using namespace std::chrono;
  const auto ms = floor<milliseconds>(time.time_since_epoch());
  const auto whole = floor<seconds>(ms);
  const auto seconds_since = static_cast<std::time_t>(whole.count());
  std::tm parts{};
  gmtime_r(&seconds_since, &parts);
  char day[32], text[48];
  std::strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text, sizeof text, "%s.%03dZ", day, static_cast<int>((ms - whole).count()));
  return text;
}

json to_json(const View &call, bool full) {
  json value = {
      {"id", call.id},
      {"from", call.from},
      {"to", call.to},
      {"direction", std::string(to_string(call.direction))},
      {"uri", call.uri},
      {"redirected_to", call.redirected_to.empty() ? json(nullptr) : json(call.redirected_to)},
      {"state", std::string(to_string(call.state))},
      {"on_hold", sides(call.on_hold)},
      {"reason", call.reason ? json(std::string(to_string(*call.reason))) : json(nullptr)},
      {"sip_code", call.sip_code},
      {"detail", call.detail},
      {"created", timestamp(call.created)},
      {"ringing", optional_time(call.ringing)},
      {"answered", optional_time(call.answered)},
      {"ended", optional_time(call.ended)},
      {"first_packet_to_callee_ms", optional_number(call.first_packet_to_callee_ms)},
      {"first_packet_to_caller_ms", optional_number(call.first_packet_to_caller_ms)},
      {"first_picture_to_callee_ms", optional_number(call.first_picture_to_callee_ms)},
      {"first_picture_to_caller_ms", optional_number(call.first_picture_to_caller_ms)},
      {"security",
       {{"caller", to_json(call.caller_security)}, {"callee", to_json(call.callee_security)}}},
      {"audio", to_json(call.audio)},
      {"video", to_json(call.video)},
      {"digits", call.digits}};
  if (full) {
    value["plan"] = plan_to_json(call.plan);
    value["launch"] = call.launch;
    value["latency"] = to_json(call.latency);
  }
  return value;
}

std::string plan_to_text(const std::vector<calls::PlanStep> &plan) {
  return dump(plan_to_json(plan));
}

std::vector<calls::PlanStep> plan_from_text(std::string_view text) {
  std::vector<calls::PlanStep> plan;
  const json steps = json::parse(text, nullptr, false);
  if (!steps.is_array()) return plan;
  for (const auto &value : steps) {
    if (!value.is_object()) return {};
    calls::PlanStep step;
    step.direction = value.value("direction", "");
    step.medium = value.value("medium", "audio") == "video" ? Medium::Video : Medium::Audio;
    step.from = value.value("from", "");
    step.to = value.value("to", "");
    step.transcoded = value.value("transcoded", false);
    step.cpu_percent = value.value("cpu_percent", 0.0);
    if (const auto wait = value.find("first_picture_ms");
        wait != value.end() && wait->is_number_integer())
      step.first_picture_ms = wait->get<std::int64_t>();
    step.reason = value.value("reason", "");
    plan.push_back(std::move(step));
  }
  return plan;
}

std::string counts_to_text(const View &call) {
  return dump({{"audio", to_json(call.audio)},
               {"video", to_json(call.video)},
               {"first_picture_to_callee_ms", optional_number(call.first_picture_to_callee_ms)},
               {"first_picture_to_caller_ms", optional_number(call.first_picture_to_caller_ms)},
               {"latency", to_json(call.latency)},
               {"digits", call.digits},
               {"caller_security", to_json(call.caller_security)},
               {"callee_security", to_json(call.callee_security)}});
}

void counts_from_text(std::string_view text, View &call) {
  const json value = json::parse(text, nullptr, false);
  if (!value.is_object()) return;
  call.caller_security = security_from_json(value, "caller_security");
  call.callee_security = security_from_json(value, "callee_security");
  if (const auto audio = value.find("audio"); audio != value.end() && audio->is_object())
    from_json(*audio, call.audio);
  if (const auto video = value.find("video"); video != value.end() && video->is_object())
    from_json(*video, call.video);
  const auto read = [&value](const char *name, std::optional<std::int64_t> &into) {
    const auto found = value.find(name);
    if (found != value.end() && found->is_number_integer()) into = found->get<std::int64_t>();
  };
  read("first_picture_to_callee_ms", call.first_picture_to_callee_ms);
  read("first_picture_to_caller_ms", call.first_picture_to_caller_ms);
  if (const auto latency = value.find("latency"); latency != value.end() && latency->is_array())
    call.latency = latency_from_json(*latency);
  if (const auto digits = value.find("digits"); digits != value.end() && digits->is_string())
    call.digits = digits->get<std::string>();
}

std::optional<calls::Direction> direction_from_string(std::string_view name) {
  using calls::Direction;
  for (const Direction direction : {Direction::Outgoing, Direction::Incoming, Direction::Internal})
    if (to_string(direction) == name) return direction;
  return std::nullopt;
}

std::optional<calls::State> state_from_string(std::string_view name) {
  using calls::State;
  for (const State state :
       {State::Idle, State::Trying, State::Ringing, State::Answered, State::Ended})
    if (to_string(state) == name) return state;
  return std::nullopt;
}

}  // namespace junctor::store
