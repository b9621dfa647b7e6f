// SPDX-License-Identifier: LGPL-2.1-or-later
// What is counted, and the text that tells it.
#include "metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <ctime>

#include "metrics/process.h"

namespace junctor::metrics {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

constexpr calls::WallTime kStart{std::chrono::seconds(1700000000)};

calls::View call(const std::string &id, calls::State state) {
  calls::View view;
  view.id = id;
  view.state = state;
  view.created = kStart;
  return view;
}

/// The number behind `series`, written as the text has it; -1 if it is not there.
double value(const std::string &text, const std::string &series) {
  const auto at = text.find('\n' + series + ' ');
  return at == std::string::npos ? -1 : std::stod(text.substr(at + series.size() + 2));
}

TEST(Metrics, CountsCallsByStateAndByEndReason) {
  Metrics metrics;
  Sample sample;
  sample.calls = {call("1", calls::State::Ringing), call("2", calls::State::Answered),
                  call("3", calls::State::Answered)};
  auto ended = call("4", calls::State::Ended);
  ended.reason = EndReason::Busy;
  metrics.call_changed(ended);
  ended.id = "5";
  metrics.call_changed(ended);
  const std::string text = metrics.text(sample);
  EXPECT_EQ(value(text, "junctor_calls{state=\"trying\"}"), 0);
  EXPECT_EQ(value(text, "junctor_calls{state=\"ringing\"}"), 1);
  EXPECT_EQ(value(text, "junctor_calls{state=\"answered\"}"), 2);
  EXPECT_EQ(value(text, "junctor_calls_ended_total{reason=\"busy\"}"), 2);
  EXPECT_EQ(value(text, "junctor_call_setup_seconds_count"), 0);
}

TEST(Metrics, TellsTheLatencyOfRunningCallsByTheirSteps) {
  const Metrics metrics;
  Sample sample;
  for (const double median : {2.0, 30.0, 4.0}) {
    auto view = call(std::to_string(median), calls::State::Answered);
    view.latency = {{std::string(calls::kToCallee),
                     Medium::Video,
                     {{"encode", {50, median, 2 * median, 3 * median}}}}};
    sample.calls.push_back(view);
  }
  const std::string text = metrics.text(sample);
  const std::string series =
      "junctor_media_latency_seconds{direction=\"caller-to-callee\",medium=\"video\",stage="
      "\"encode\",quantile=";
  EXPECT_EQ(value(text, series + "\"0.5\"}"), 0.004);
  EXPECT_EQ(value(text, series + "\"0.99\"}"), 0.06);
}

TEST(Metrics, TimesACallOnceHoweverOftenItChanges) {
  Metrics metrics;
  auto view = call("1", calls::State::Answered);
  view.answered = kStart + 3s;
  metrics.call_changed(view);
  metrics.call_changed(view);
  view.first_packet_to_callee_ms = 40;
  view.first_packet_to_caller_ms = 700;
  metrics.call_changed(view);
  view.state = calls::State::Ended;
  view.ended = kStart + 63s;
  view.reason = EndReason::CalleeHangup;
  metrics.call_changed(view);
  const std::string text = metrics.text({});
  EXPECT_EQ(value(text, "junctor_call_setup_seconds_count"), 1);
  EXPECT_EQ(value(text, "junctor_call_setup_seconds_sum"), 3);
  EXPECT_EQ(value(text, "junctor_call_duration_seconds_count"), 1);
  EXPECT_EQ(value(text, "junctor_call_duration_seconds_sum"), 60);
  EXPECT_EQ(value(text, "junctor_first_packet_seconds_sum{direction=\"caller-to-callee\"}"), 0.04);
  EXPECT_EQ(value(text, "junctor_first_packet_seconds_sum{direction=\"callee-to-caller\"}"), 0.7);
}

TEST(Metrics, PacketsOfEndedCallsStayCounted) {
  Metrics metrics;
  auto view = call("1", calls::State::Answered);
  view.audio = {100, 90, 10, 0, std::nullopt};
  view.video = {300, 200, 1, 0, std::nullopt};
  view.surplus_sound = 7;
  Sample sample;
  sample.calls = {view};
  const auto sent = [&] {
    return value(metrics.text(sample), "junctor_rtp_sent_packets_total{medium=\"video\"}");
  };
  EXPECT_EQ(sent(), 300);
  sample.calls.clear();
  view.state = calls::State::Ended;
  metrics.call_changed(view);
  EXPECT_EQ(sent(), 300);
  const std::string text = metrics.text(sample);
  EXPECT_EQ(value(text, "junctor_rtp_lost_packets_total{medium=\"audio\"}"), 10);
  EXPECT_EQ(value(text, "junctor_surplus_sound_packets_total"), 7);
  EXPECT_EQ(value(text, "junctor_rtp_received_packets_total{medium=\"audio\"}"), 90);
}

TEST(Metrics, ChecksHaveStageRoleAndVerdictAndNothingOfThePeer) {
  Metrics metrics;
  rtmp::Request request;
  request.stage = rtmp::Stage::CreateStream;
  request.role = rtmp::Role::Pull;
  request.identity = request.app = "secretive";
  rtmp::Verdict verdict;
  verdict.reason = "secretive";
  metrics.checked(request, verdict);
  verdict.accepted = true;
  metrics.checked(request, verdict);
  metrics.checked(request, verdict);
  const std::string text = metrics.text({});
  EXPECT_THAT(text, Not(HasSubstr("secretive")));
  const std::string series =
      "junctor_rtmp_checks_total{role=\"pull\",stage=\"createStream\",verdict=";
  EXPECT_EQ(value(text, series + "\"accepted\"}"), 2);
  EXPECT_EQ(value(text, series + "\"refused\"}"), 1);
}

TEST(Metrics, ReadsWhatOthersCount) {
  Metrics metrics;
  Sample sample;
  EXPECT_THAT(metrics.text(sample), Not(HasSubstr("junctor_rtmp_connections")));
  sample.rtmp = rtmp::Server::Stats{5, 2, 3, 0};
  EXPECT_THAT(metrics.text(sample), Not(HasSubstr("junctor_stun")));
  sample.stun = nat::StunServer::Stats{11, 12, 13, 14};
  EXPECT_THAT(metrics.text(sample), Not(HasSubstr("junctor_webhook")));
  sample.webhook = accounts::WebhookClient::Stats{21, 22, 23, 24};
  sample.accounts = 7;
  sample.phones = 4;
  metrics.answered(404);
  const std::string text = metrics.text(sample);
  EXPECT_EQ(value(text, "junctor_rtmp_connections"), 5);
  EXPECT_EQ(value(text, "junctor_rtmp_publishers"), 2);
  EXPECT_EQ(value(text, "junctor_rtmp_players"), 3);
  EXPECT_EQ(value(text, "junctor_accounts"), 7);
  EXPECT_EQ(value(text, "junctor_stun_requests_total{outcome=\"answered\"}"), 11);
  EXPECT_EQ(value(text, "junctor_stun_requests_total{outcome=\"limited\"}"), 13);
  EXPECT_EQ(value(text, "junctor_webhook_requests_total{outcome=\"accepted\"}"), 21);
  EXPECT_EQ(value(text, "junctor_webhook_requests_total{outcome=\"failed\"}"), 23);
  EXPECT_EQ(value(text, "junctor_webhook_waiting"), 24);
  EXPECT_EQ(value(text, "junctor_sip_phones"), 4);
  EXPECT_EQ(value(text, "junctor_http_answers_total{status=\"404\"}"), 1);
  EXPECT_EQ(value(text, "junctor_build_info{version=\"" JUNCTOR_VERSION "\"}"), 1);
  EXPECT_EQ(value(text, "process_max_fds"), static_cast<double>(process_usage().max_descriptors));
}

TEST(ProcessUsage, IsThisProcess) {
  const ProcessUsage before = process_usage();
  EXPECT_GE(before.threads, 1U);
  EXPECT_GT(before.resident_bytes, 1000000U);
  EXPECT_GT(before.start_seconds, 1.6e9);
  EXPECT_LE(before.start_seconds, static_cast<double>(std::time(nullptr)) + 1);
  const int one = ::dup(0);
  EXPECT_EQ(process_usage().open_descriptors, before.open_descriptors + 1);
  ::close(one);
}

}  // namespace
}  // namespace junctor::metrics
