// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/planner.h"

#include <algorithm>
#include <cmath>

#include "calls/receiver.h"
#include "calls/sentence.h"

namespace junctor::calls {

namespace {

/// What carrying, and conversion between decoder and encoder, cost beside CodecRow's figures, in
/// percent of a core.
constexpr double kCarryVideo = 0.8, kCarryAudio = 0.3, kConvertVideo = 0.5, kConvertAudio = 0.5;

/// As people write what SIP carries: the codec, and the format where the codec has several.
std::string described(const FormatRow &format) {
  std::string text(spoken(format.codec));
  const auto several = std::ranges::count(format_rows(), format.codec, &FormatRow::codec) > 1;
  if (!several) return text;
  text += " (" + std::string(format.encoding_name);
  if (medium_of(format.codec) == Medium::Audio && format.clock_rate > 0)
    text += "/" + std::to_string(format.clock_rate);
  return text + ")";
}

std::string named(Codec codec) { return std::string(spoken(codec)); }

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
    route.reason = "This build cannot turn " + named(from) + " into " + named(to) + ".";
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

/// Nothing where the pictures do not fit.
std::optional<Route> h263_as_it_is(const sip::Media &media, const FormatRow &format,
                                   const rtmp::Track &track) {
  const auto receiver = H263Receiver::from_fmtp(format.encoding_name, media.fmtp);
  if (!receiver.takes(track.width, track.height)) return std::nullopt;
  return passed(Codec::H263, "Both sides speak H.263, and the callee takes " +
                                 std::to_string(track.width) + "x" + std::to_string(track.height) +
                                 ": passed through.");
}

/// Nothing where it is AAC of another kind.
std::optional<Route> aac_as_it_is(const rtp::AacConfig &agreed, const rtmp::Track &track) {
  const auto sent = rtp::AacConfig::from_asc(track.config.view);
  if (!sent || *sent != agreed) return std::nullopt;
  return passed(Codec::Aac, "Both sides speak AAC at " + std::to_string(agreed.rate) + " Hz, " +
                                std::to_string(agreed.channels) +
                                (agreed.channels == 1 ? " channel" : " channels") +
                                ": passed through.");
}

rtp::AacConfig agreed_aac(const sip::Media &media) {
  const auto told = rtp::AacConfig::from_fmtp(*media.format, media.fmtp);
  return told ? *told : rtp::AacConfig{};
}

/// What is encoded for a phone keeps to what the phone can do.
void fit_encoder(Route &route, const sip::Media &media, const rtmp::Track &track) {
  route.upright = track.height > track.width;
  if (route.to == Codec::H264) {
    const auto receiver = rtp::H264Profile::from_fmtp(media.fmtp);
    route.single_nal = receiver.packetization_mode == 0;
    route.level = &h264_level(receiver.level_idc);
  } else if (route.to == Codec::Aac) {
    route.aac = agreed_aac(media);
  } else if (route.to == Codec::H263) {
    const auto receiver = H263Receiver::from_fmtp(route.format->encoding_name, media.fmtp);
    route.h263 = receiver.size;
    route.h263_rate = receiver.rate;
    route.reason.pop_back();
    route.reason += " at " + std::string(receiver.size->name) + ", with borders where needed.";
  }
}

/// Without the format of SIP.
Route to_callee(const sip::Media &media, const FormatRow &format, const rtmp::Track &track) {
  const Codec from = track.codec, to = format.codec;
  if (from == Codec::H264 && to == Codec::H264) return h264_to_callee(media, track);
  std::string less;
  if (from == to) {
    // RFC 3551 has G.711 with one channel, unless an rtpmap says otherwise: ours never do.
    const bool stereo = medium_of(from) == Medium::Audio && track.channels > 1;
    if (from == Codec::H263) {
      if (auto route = h263_as_it_is(media, format, track)) return *route;
      less = " of " + std::to_string(track.width) + "x" + std::to_string(track.height);
    } else if (from == Codec::Aac) {
      if (auto route = aac_as_it_is(agreed_aac(media), track)) return *route;
      less = " of another rate or number of channels";
    } else if (!is_as_in_rtmp(format)) {
      less = " at 16 kHz";
    } else if (stereo) {
      less = " in stereo";
    } else {
      return passed(from, "Both sides speak " + named(from) + ": passed through.");
    }
  }
  return transcoded(from, to,
                    "The push terminal sends " + named(from) + less + ", the callee takes " +
                        described(format) + (less == " in stereo" ? " in mono" : "") +
                        ": decoded and encoded.");
}

/// What the route is expected to cost.
double expected_cpu(const Route &route, Medium medium) {
  if (!route.flows) return 0;
  const bool video = medium == Medium::Video;
  double cost = video ? kCarryVideo : kCarryAudio;
  if (route.transcoded)
    cost += find_codec_row(*route.from)->decode_percent +
            find_codec_row(*route.to)->encode_percent + (video ? kConvertVideo : kConvertAudio);
  return std::round(cost * 10) / 10;
}

Route to_callee(Medium medium, const sip::Media &media, const PushTracks &push) {
  const auto &track = push.of(medium);
  if (!track) {
    Route route = waiting("The push terminal sends no " + std::string(to_string(medium)) +
                          ", as far as is known.");
    route.to = media.format->codec;
    return route;
  }
  const FormatRow *format = find_format_row(*media.format);
  if (!format)
    return stopped("This build cannot send " + named(media.format->codec) + " over RTP.");
  Route route = to_callee(media, *format, *track);
  route.format = format;
  if (route.transcoded) fit_encoder(route, media, *track);
  return route;
}

Route to_caller(Medium medium, const sip::Media &media, const PullCodecs &pull) {
  const Codec from = media.format->codec;
  const Codec to = medium == Medium::Audio ? pull.audio : pull.video;
  const FormatRow *format = find_format_row(*media.format);
  if (!format) return stopped("This build cannot receive " + named(from) + " over RTP.");
  Route route;
  if (from == to && is_as_in_rtmp(*format)) {
    route = passed(from, "The callee sends " + described(*format) +
                             ", which the pull terminal takes: passed through.");
  } else {
    route =
        transcoded(from, to,
                   "The callee sends " + described(*format) + ", the pull terminal's play fixed " +
                       named(to) + ": decoded and encoded.");
    if (to == Codec::H264) route.level = &h264_level(31);
    if (to == Codec::H263) route.h263 = &usual_h263_size();
  }
  route.format = format;
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
  step.cpu_percent = expected_cpu(route, medium);
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

std::vector<sip::Offered> make_offer(const PushTracks &push,
                                     const std::vector<std::string> &names) {
  std::vector<sip::Offered> offer;
  const auto is_allowed = [&names](const rtp::Format &format) {
    return names.empty() || std::ranges::any_of(names, [&format](const std::string &name) {
             const auto meant = rtp::find_formats(name);
             return std::ranges::find(meant, &format) != meant.end();
           });
  };
  for (const rtp::Format &format : rtp::formats()) {
    if (!find_format_row(format) || !is_allowed(format)) continue;
    sip::Offered offered{.format = &format};
    if (format.codec == Codec::Aac && push.audio && push.audio->codec == Codec::Aac)
      if (const auto config = rtp::AacConfig::from_asc(push.audio->config.view))
        offered.aac = *config;
    offer.push_back(std::move(offered));
  }
  const auto rank = [&push](const sip::Offered &offered) {
    const rtp::Format &format = *offered.format;
    const auto &track = push.of(medium_of(format.codec));
    if (track && track->codec == format.codec && is_as_in_rtmp(*find_format_row(format))) return 0;
    return format.by_default ? 1 : 2;
  };
  std::ranges::stable_sort(offer, {}, rank);
  return offer;
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
