// SPDX-License-Identifier: LGPL-2.1-or-later
#include "metrics/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <tuple>

#include "metrics/process.h"

namespace junctor::metrics {

namespace {

using prometheus::BuildCounter;
using prometheus::BuildHistogram;
using prometheus::ClientMetric;
using prometheus::Counter;
using prometheus::Family;
using prometheus::Histogram;
using prometheus::MetricFamily;
using prometheus::MetricType;

using Labels = std::vector<ClientMetric::Label>;

double seconds(calls::WallTime from, calls::WallTime to) {
  return std::max(0.0, std::chrono::duration<double>(to - from).count());
}

/// A family of which each value is read, not counted here.
class Read {
 public:
  Read(std::string name, std::string help, MetricType type)
      : family_{std::move(name), std::move(help), type, {}} {}
  Read add(double value, Labels labels = {}) && {
    ClientMetric metric;
    metric.label = std::move(labels);
    if (family_.type == MetricType::Counter)
      metric.counter.value = value;
    else
      metric.gauge.value = value;
    family_.metric.push_back(std::move(metric));
    return std::move(*this);
  }
  void to(std::vector<MetricFamily> &all) && { all.push_back(std::move(family_)); }

 private:
  MetricFamily family_;
};

Read gauge(std::string name, std::string help) {
  return {std::move(name), std::move(help), MetricType::Gauge};
}

Read counter(std::string name, std::string help) {
  return {std::move(name), std::move(help), MetricType::Counter};
}

void add_process(std::vector<MetricFamily> &all) {
  const ProcessUsage usage = process_usage();
  const auto number = [](std::uint64_t value) { return static_cast<double>(value); };
  counter("process_cpu_seconds_total", "User and system CPU time, in seconds.")
      .add(usage.cpu_seconds)
      .to(all);
  gauge("process_start_time_seconds", "When the process started, in seconds since 1970.")
      .add(usage.start_seconds)
      .to(all);
  gauge("process_resident_memory_bytes", "Resident memory, in bytes.")
      .add(number(usage.resident_bytes))
      .to(all);
  gauge("process_threads", "Threads.").add(number(usage.threads)).to(all);
  gauge("process_open_fds", "Open file descriptors.").add(number(usage.open_descriptors)).to(all);
  gauge("process_max_fds", "File descriptors that may be open.")
      .add(number(usage.max_descriptors))
      .to(all);
}

void add_calls(const std::vector<calls::View> &running, std::vector<MetricFamily> &all) {
  auto family = gauge("junctor_calls", "Calls that run, by state.");
  for (const auto state : {calls::State::Trying, calls::State::Ringing, calls::State::Answered}) {
    const auto count = std::ranges::count(running, state, &calls::View::state);
    family = std::move(family).add(static_cast<double>(count),
                                   {{"state", std::string(to_string(state))}});
  }
  std::move(family).to(all);
}

/// Of the calls that run: the median of their medians, and the highest of their 99th percentiles.
void add_latency(const std::vector<calls::View> &running, std::vector<MetricFamily> &all) {
  using Key = std::tuple<std::string, Medium, std::string_view>;
  struct Figures {
    std::vector<double> medians;
    double highest = 0;
  };
  std::map<Key, Figures> found;
  for (const auto &call : running)
    for (const auto &route : call.latency)
      for (const auto &[stage, figures] : route.stages) {
        Figures &its = found[{route.direction, route.medium, stage}];
        its.medians.push_back(figures.median_ms);
        its.highest = std::max(its.highest, figures.p99_ms);
      }
  auto family = gauge("junctor_media_latency_seconds",
                      "Latency of media in running calls, by step of their way: the median of the "
                      "calls' medians, the highest of their 99th percentiles.");
  for (auto &[key, its] : found) {
    const auto &[direction, medium, stage] = key;
    const auto middle = its.medians.begin() + static_cast<std::ptrdiff_t>(its.medians.size() / 2);
    std::ranges::nth_element(its.medians, middle);
    // Named anew, as clang 14 captures no structured bindings.
    const auto labels = [&direction = direction, &medium = medium,
                         &stage = stage](const char *quantile) {
      return Labels{{"direction", direction},
                    {"medium", std::string(to_string(medium))},
                    {"stage", std::string(stage)},
                    {"quantile", quantile}};
    };
    family =
        std::move(family).add(*middle / 1e3, labels("0.5")).add(its.highest / 1e3, labels("0.99"));
  }
  std::move(family).to(all);
}

void add_rendezvous(const rendezvous::Stats &stats, std::vector<MetricFamily> &all) {
  gauge("junctor_rendezvous_connections", "Connections of clients and nodes to the rendezvous.")
      .add(static_cast<double>(stats.connections))
      .to(all);
  gauge("junctor_rendezvous_clients", "Who is known to the rendezvous, also if away for a moment.")
      .add(static_cast<double>(stats.clients), {{"role", "client"}})
      .add(static_cast<double>(stats.nodes), {{"role", "node"}})
      .to(all);
  gauge("junctor_channels", "Channels between clients that are not over.")
      .add(static_cast<double>(stats.sessions))
      .to(all);
  counter("junctor_rendezvous_messages_total", "Messages of clients and nodes.")
      .add(static_cast<double>(stats.messages))
      .to(all);
  counter("junctor_rendezvous_wrong_messages_total", "Those that could not be.")
      .add(static_cast<double>(stats.wrong))
      .to(all);
  auto ended = counter("junctor_channels_ended_total", "Channels that ended, by end reason.");
  for (const auto &[reason, count] : stats.ended)
    ended = std::move(ended).add(static_cast<double>(count), {{"reason", reason}});
  std::move(ended).to(all);
  auto rungs = counter("junctor_channel_rungs_total",
                       "What clients said of the rungs of their ladders, by rung and state.");
  for (const auto &[rung, count] : stats.rungs)
    rungs = std::move(rungs).add(static_cast<double>(count),
                                 {{"rung", rung.first}, {"state", rung.second}});
  std::move(rungs).to(all);
}

}  // namespace

struct Metrics::Families {
  Family<Counter> &calls, &checks, &requests;
  Histogram &setup, &duration, &first_to_callee, &first_to_caller;
};

void Metrics::Packets::add(const calls::View::MediaCount &count) {
  sent += count.sent_packets;
  received += count.received_packets;
  lost += count.lost;
}

Metrics::Metrics() : registry_(std::make_shared<prometheus::Registry>()) {
  auto &first = BuildHistogram()
                    .Name("junctor_first_packet_seconds")
                    .Help("From the answer to the first packet of the call's own media.")
                    .Register(*registry_);
  const Histogram::BucketBoundaries soon{0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10};
  families_.reset(new Families{
      BuildCounter()
          .Name("junctor_calls_ended_total")
          .Help("Calls that ended, by end reason.")
          .Register(*registry_),
      BuildCounter()
          .Name("junctor_rtmp_checks_total")
          .Help("Decided checks of RTMP terminals, by stage, role and verdict.")
          .Register(*registry_),
      BuildCounter()
          .Name("junctor_http_answers_total")
          .Help("Answers of the HTTP side, by status.")
          .Register(*registry_),
      BuildHistogram()
          .Name("junctor_call_setup_seconds")
          .Help("From the start of a call to its answer.")
          .Register(*registry_)
          .Add({}, Histogram::BucketBoundaries{0.1, 0.5, 1, 2, 5, 10, 20, 30, 60}),
      BuildHistogram()
          .Name("junctor_call_duration_seconds")
          .Help("From the answer of a call to its end.")
          .Register(*registry_)
          .Add({}, Histogram::BucketBoundaries{10, 30, 60, 180, 600, 1800, 3600, 7200}),
      first.Add({{"direction", "caller-to-callee"}}, soon),
      first.Add({{"direction", "callee-to-caller"}}, soon),
  });
}

Metrics::~Metrics() = default;

void Metrics::call_changed(const calls::View &call) {
  if (call.answered && answered_.insert(call.id).second)
    families_->setup.Observe(seconds(call.created, *call.answered));
  if (call.state != calls::State::Ended) return;
  answered_.erase(call.id);
  families_->calls
      .Add({{"reason", std::string(to_string(call.reason.value_or(EndReason::Internal)))}})
      .Increment();
  if (call.answered && call.ended)
    families_->duration.Observe(seconds(*call.answered, *call.ended));
  if (call.first_packet_to_callee_ms)
    families_->first_to_callee.Observe(static_cast<double>(*call.first_packet_to_callee_ms) / 1e3);
  if (call.first_packet_to_caller_ms)
    families_->first_to_caller.Observe(static_cast<double>(*call.first_packet_to_caller_ms) / 1e3);
  audio_.add(call.audio);
  video_.add(call.video);
  surplus_sound_ += call.surplus_sound;
}

void Metrics::checked(const rtmp::Request &request, const rtmp::Verdict &verdict) {
  families_->checks
      .Add({{"stage", std::string(to_string(request.stage))},
            {"role", std::string(to_string(request.role))},
            {"verdict", verdict.accepted ? "accepted" : "refused"}})
      .Increment();
}

void Metrics::answered(int status) {
  families_->requests.Add({{"status", std::to_string(status)}}).Increment();
}

std::string Metrics::text(const Sample &sample) const {
  std::vector<MetricFamily> all = registry_->Collect();
  gauge("junctor_build_info", "Always 1; the label is the version.")
      .add(1, {{"version", JUNCTOR_VERSION}})
      .to(all);
  add_calls(sample.calls, all);
  add_latency(sample.calls, all);
  Packets audio = audio_, video = video_;
  std::uint64_t surplus = surplus_sound_;
  for (const auto &call : sample.calls) {
    audio.add(call.audio);
    video.add(call.video);
    surplus += call.surplus_sound;
  }
  const auto packets = [&](const char *name, const char *help, std::uint64_t Packets::*which) {
    counter(name, help)
        .add(static_cast<double>(audio.*which), {{"medium", "audio"}})
        .add(static_cast<double>(video.*which), {{"medium", "video"}})
        .to(all);
  };
  packets("junctor_rtp_sent_packets_total", "RTP packets sent to phones.", &Packets::sent);
  packets("junctor_rtp_received_packets_total", "RTP packets received from phones.",
          &Packets::received);
  packets("junctor_rtp_lost_packets_total", "RTP packets of phones that never came.",
          &Packets::lost);
  counter("junctor_surplus_sound_packets_total",
          "Packets of sound that came faster than it can be heard, and were not transcoded.")
      .add(static_cast<double>(surplus))
      .to(all);
  if (sample.rtmp) {
    gauge("junctor_rtmp_connections", "RTMP connections.")
        .add(static_cast<double>(sample.rtmp->connections))
        .to(all);
    gauge("junctor_rtmp_publishers", "Streams that are pushed.")
        .add(static_cast<double>(sample.rtmp->publishers))
        .to(all);
    gauge("junctor_rtmp_players", "Streams that are pulled.")
        .add(static_cast<double>(sample.rtmp->players))
        .to(all);
  }
  if (const auto &stun = sample.stun)
    counter("junctor_stun_requests_total",
            "What came to the STUN server, by what was done: answered, refused with an error, "
            "limited (one source asked too much) or dropped (no request).")
        .add(static_cast<double>(stun->answered), {{"outcome", "answered"}})
        .add(static_cast<double>(stun->refused), {{"outcome", "refused"}})
        .add(static_cast<double>(stun->limited), {{"outcome", "limited"}})
        .add(static_cast<double>(stun->dropped), {{"outcome", "dropped"}})
        .to(all);
  if (const auto &webhook = sample.webhook) {
    counter("junctor_webhook_requests_total",
            "What the webhook was asked, by what came of it: accepted (2xx), refused (another "
            "status) or failed (no answer).")
        .add(static_cast<double>(webhook->accepted), {{"outcome", "accepted"}})
        .add(static_cast<double>(webhook->refused), {{"outcome", "refused"}})
        .add(static_cast<double>(webhook->failed), {{"outcome", "failed"}})
        .to(all);
    gauge("junctor_webhook_waiting", "Checks that wait for the webhook's answer.")
        .add(static_cast<double>(webhook->waiting))
        .to(all);
  }
  if (sample.turn_runs)
    gauge("junctor_turn_up", "Whether the TURN relay that this server starts runs.")
        .add(*sample.turn_runs ? 1 : 0)
        .to(all);
  if (sample.rendezvous) add_rendezvous(*sample.rendezvous, all);
  gauge("junctor_accounts", "Accounts.").add(static_cast<double>(sample.accounts)).to(all);
  const auto trunks = [&](const char *state) {
    const auto found = sample.trunks.find(state);
    return static_cast<double>(found == sample.trunks.end() ? 0 : found->second);
  };
  gauge("junctor_sip_trunks", "Trunks by the state of their registration.")
      .add(trunks("registered"), {{"state", "registered"}})
      .add(trunks("trying"), {{"state", "trying"}})
      .add(trunks("failed"), {{"state", "failed"}})
      .add(trunks("static"), {{"state", "static"}})
      .to(all);
  gauge("junctor_sip_phones", "SIP phones that are registered.")
      .add(static_cast<double>(sample.phones))
      .to(all);
  add_process(all);
  return prometheus::TextSerializer().Serialize(all);
}

}  // namespace junctor::metrics
