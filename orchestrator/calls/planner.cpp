// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/planner.h"

#include <algorithm>

#include "calls/sentence.h"

namespace junctor::calls {

namespace {

/// As people write codecs.
std::string spoken(Codec codec) {
  std::string name(to_string(codec));
  if (codec == Codec::H264) return "H.264";
  if (codec == Codec::H263) return "H.263";
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return name;
}

bool can_decode(Codec codec) {
  const CodecRow *row = find_codec_row(codec);
  return row && !row->decode.empty();
}

bool can_encode(Codec codec) {
  const CodecRow *row = find_codec_row(codec);
  return row && !row->encode.empty();
}

constexpr const char *kDirections[] = {"caller-to-callee", "callee-to-caller"};
constexpr std::size_t kMedia = 2;

Route stopped(std::string reason) {
  Route route;
  route.reason = std::move(reason);
  return route;
}

/// Nothing flows until somebody comes.
Route waiting(std::string reason) {
  Route route = stopped(std::move(reason));
  route.waits = true;
  return route;
}

/// Fills in `route` as a transcoding one, if this build has both ends.
Route transcoded(Codec from, Codec to, std::string reason) {
  Route route;
  route.from = from;
  route.to = to;
  if (!can_decode(from) || !can_encode(to)) {
    route.reason = "This build cannot turn " + spoken(from) + " into " + spoken(to) + ".";
    return route;
  }
  route.flows = true;
  route.transcoded = true;
  route.reason = std::move(reason);
  return route;
}

Route passed(Codec codec, std::string reason) {
  Route route;
  route.flows = true;
  route.from = route.to = codec;
  route.reason = std::move(reason);
  return route;
}

Route h264_to_callee(const sip::Media &media, const rtmp::Track &track) {
  const auto receiver = rtp::H264Profile::from_fmtp(media.fmtp);
  const auto sent = rtp::H264Profile::from_avcc(track.config.view);
  const bool single_nal = receiver.packetization_mode == 0;
  const std::string theirs = receiver.profile_level_id();
  if (sent && !single_nal && rtp::can_receive(receiver, *sent))
    return passed(Codec::H264, "The callee decodes profile-level-id " + theirs +
                                   " and the push terminal sends " + sent->profile_level_id() +
                                   ": passed through.");
  const H264Level &level = h264_level(receiver.level_idc);
  const std::string how =
      "encoded anew as constrained baseline, level " + std::string(level.name) + ".";
  std::string why;
  if (single_nal)
    why = "The callee takes one NAL unit a packet (packetization-mode 0): ";
  else if (!sent)
    why = "The push terminal has not told its H.264 profile: ";
  else
    why = "The callee's profile-level-id " + theirs + " does not cover the push terminal's " +
          sent->profile_level_id() + ": ";
  Route route = transcoded(Codec::H264, Codec::H264, why + how);
  route.single_nal = single_nal;
  route.level = &level;
  route.upright = track.height > track.width;
  return route;
}

Route to_callee(Medium medium, const sip::Media &media, const PushTracks &push) {
  const auto &track = push.of(medium);
  if (!track) {
    Route route = waiting("The push terminal sends no " + std::string(to_string(medium)) +
                          ", as far as is known.");
    route.to = media.format->codec;
    return route;
  }
  const Codec from = track->codec, to = media.format->codec;
  if (const CodecRow *row = find_codec_row(to); !row || !row->pay)
    return stopped("This build cannot send " + spoken(to) + " over RTP.");
  if (from == Codec::H264 && to == Codec::H264) return h264_to_callee(media, *track);
  // RFC 3551 has G.711 with one channel, unless an rtpmap says otherwise: ours never do.
  const bool stereo = medium == Medium::Audio && track->channels > 1;
  if (from == to && !stereo)
    return passed(from, "Both sides speak " + spoken(from) + ": passed through.");
  Route route =
      transcoded(from, to,
                 "The push terminal sends " + spoken(from) + (from == to ? " in stereo" : "") +
                     ", the callee takes " + spoken(to) + (from == to ? " in mono" : "") +
                     ": decoded and encoded.");
  if (to == Codec::H264) {
    const auto receiver = rtp::H264Profile::from_fmtp(media.fmtp);
    route.single_nal = receiver.packetization_mode == 0;
    route.level = &h264_level(receiver.level_idc);
    route.upright = track->height > track->width;
  }
  return route;
}

Route to_caller(Medium medium, const sip::Media &media, const PullCodecs &pull) {
  const Codec from = media.format->codec;
  const Codec to = medium == Medium::Audio ? pull.audio : pull.video;
  if (const CodecRow *row = find_codec_row(from); !row || row->depay.empty())
    return stopped("This build cannot receive " + spoken(from) + " over RTP.");
  if (from == to)
    return passed(from, "The callee sends " + spoken(from) +
                            ", which the pull terminal takes: passed through.");
  Route route =
      transcoded(from, to,
                 "The callee sends " + spoken(from) + ", the pull terminal's play fixed " +
                     spoken(to) + ": decoded and encoded.");
  if (to == Codec::H264) route.level = &h264_level(31);
  return route;
}

PlanStep step(const char *direction, Medium medium, const Route &route) {
  PlanStep step;
  step.direction = direction;
  step.medium = medium;
  step.from = route.from ? std::string(to_string(*route.from)) : "none";
  step.to = route.to ? std::string(to_string(*route.to)) : "none";
  if (!route.flows) step.from = step.to = "none";
  step.transcoded = route.flows && route.transcoded;
  step.reason = route.reason;
  return step;
}

}  // namespace

std::vector<PlanStep> Plan::steps() const {
  std::vector<PlanStep> steps;
  for (const Medium medium : {Medium::Video, Medium::Audio})
    steps.push_back(step(kDirections[0], medium, callee(medium)));
  for (const Medium medium : {Medium::Video, Medium::Audio})
    steps.push_back(step(kDirections[1], medium, caller(medium)));
  return steps;
}

RouteSet Plan::flowing() const {
  RouteSet routes;
  for (std::size_t i = 0; i < routes.size(); ++i)
    routes[i] = (i < kMedia ? to_callee[i] : to_caller[i - kMedia]).flows;
  return routes;
}

Plan Plan::without(RouteSet left_out, const std::string &why) const {
  Plan plan = *this;
  for (std::size_t i = 0; i < left_out.size(); ++i) {
    if (!left_out[i]) continue;
    Route &route = i < kMedia ? plan.to_callee[i] : plan.to_caller[i - kMedia];
    const bool card = i == kMedia + static_cast<std::size_t>(Medium::Video);
    route = stopped(
        as_sentence(std::string("Left out, for the media pipeline fails with it") +
                    (card ? "; the pull terminal gets a picture that says so: " : ": ") + why));
  }
  return plan;
}

Plan make_plan(const std::vector<sip::Media> &negotiated, const PushTracks &push,
               const std::optional<PullCodecs> &pull) {
  Plan plan;
  for (const Medium medium : {Medium::Audio, Medium::Video}) {
    const auto index = static_cast<std::size_t>(medium);
    plan.pushed[index] = push.of(medium).has_value();
    const auto found =
        std::find_if(negotiated.begin(), negotiated.end(), [&](const sip::Media &media) {
          return media.medium == medium && media.accepted && media.format;
        });
    if (found == negotiated.end()) {
      const std::string reason = "The callee takes no " + std::string(to_string(medium)) + ".";
      plan.to_callee[index] = stopped(reason);
      plan.to_caller[index] =
          stopped(medium == Medium::Video
                      ? "The callee has no video: the pull terminal gets a picture that says so."
                      : "The callee has no audio.");
      continue;
    }
    plan.to_callee[index] = to_callee(medium, *found, push);
    plan.to_caller[index] =
        pull ? to_caller(medium, *found, *pull) : waiting("No pull terminal has played yet.");
  }
  return plan;
}

std::vector<RouteSet> reductions(const Plan &plan) {
  const RouteSet flowing = plan.flowing();
  std::array<int, 4> losses{};  // all pictures together are less than any sound
  bool more_may_come = false;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const Route &route = i < kMedia ? plan.to_callee[i] : plan.to_caller[i - kMedia];
    const bool video = i % kMedia == static_cast<std::size_t>(Medium::Video);
    losses[i] = (video ? 2 : 12) + (route.transcoded ? 0 : 1);
    more_may_come = more_may_come || route.waits;
  }
  const auto loss = [&losses](RouteSet routes) {
    int sum = 0;
    for (std::size_t i = 0; i < routes.size(); ++i) sum += routes[i] ? losses[i] : 0;
    return sum;
  };
  std::vector<RouteSet> sets;
  for (unsigned long bits = 1; bits <= flowing.to_ulong(); ++bits) {
    const RouteSet set(bits);
    if ((set & ~flowing).any() || (set == flowing && !more_may_come)) continue;
    sets.push_back(set);
  }
  std::ranges::stable_sort(sets, {}, loss);
  return sets;
}

std::string to_string(RouteSet routes) {
  std::string text;
  for (std::size_t i = 0; i < routes.size(); ++i)
    if (routes[i])
      text += (text.empty() ? "" : ", ") + std::string(kDirections[i / kMedia]) + " " +
              std::string(junctor::to_string(static_cast<Medium>(i % kMedia)));
  return text;
}

}  // namespace junctor::calls
