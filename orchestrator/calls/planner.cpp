// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/planner.h"

#include <algorithm>
#include <cmath>

#include "calls/receiver.h"
#include "calls/sentence.h"
#include "common/picture_size.h"
#include "pictures/picture_bound.h"

namespace junctor::calls {

namespace {

/// What carrying, and conversion between decoder and encoder, cost beside CodecRow's figures, in
/// percent of a core.
constexpr double kCarryVideo = 0.8, kCarryAudio = 0.3, kConvertVideo = 0.5, kConvertAudio = 0.5;

/// Of pictures that are larger.
std::string most_decoded() {
  return std::string("no more than ") + kMostSamples + " samples are decoded here.";
}

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

bool can_decode(Codec codec) { return find_codec_row(codec) != nullptr; }

bool can_encode(Codec codec) {
  const CodecRow *row = find_codec_row(codec);
  return row && !row->encode.empty();
}

constexpr std::string_view kDirections[] = {kToCallee, kToCaller};

/// Who sends and who gets, as sentences call them: "the push terminal", "the callee".
struct Names {
  std::string giver, taker;
};

std::string at_start(std::string name) {
  if (name.starts_with("the ")) name[0] = 'T';
  return name;
}
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

Route h264_to_phone(const sip::Media &media, const rtmp::Track &track, const Names &names) {
  const auto receiver = rtp::H264Profile::from_fmtp(media.fmtp);
  const auto sent = rtp::H264Profile::from_avcc(track.config.view);
  const bool single_nal = receiver.packetization_mode == 0;
  const std::string theirs = receiver.profile_level_id();
  if (sent && !single_nal && rtp::can_receive(receiver, *sent))
    return passed(Codec::H264, at_start(names.taker) + " decodes profile-level-id " + theirs +
                                   " and " + names.giver + " sends " + sent->profile_level_id() +
                                   ": passed through.");
  const H264Level &level = h264_level(receiver);
  const std::string how =
      "encoded anew as constrained baseline, level " + std::string(level.name) + ".";
  std::string why;
  if (single_nal)
    why = at_start(names.taker) + " takes one NAL unit a packet (packetization-mode 0): ";
  else if (!sent)
    why = at_start(names.giver) + " has not told its H.264 profile: ";
  else
    why = at_start(names.taker) + "'s profile-level-id " + theirs + " does not cover " +
          names.giver + "'s " + sent->profile_level_id() + ": ";
  Route route = transcoded(Codec::H264, Codec::H264, why + how);
  route.single_nal = single_nal;
  route.level = &level;
  route.upright = track.height > track.width;
  return route;
}

/// Nothing where the pictures do not fit.
std::optional<Route> h263_as_it_is(const sip::Media &media, const FormatRow &format,
                                   const rtmp::Track &track, const Names &names) {
  const auto receiver = H263Receiver::from_fmtp(format.encoding_name, media.fmtp);
  if (!receiver.takes_as_it_is(track.width, track.height)) return std::nullopt;
  return passed(Codec::H263, "Both sides speak H.263, and " + names.taker + " takes " +
                                 std::to_string(track.width) + "x" + std::to_string(track.height) +
                                 ": passed through.");
}

/// Nothing where the pictures are larger than the phone takes, or come faster than it may: how many
/// a second a publisher sends is not known, so only who takes 30 takes them all.
std::optional<Route> vp8_as_it_is(const sip::Media &media, const rtmp::Track &track) {
  constexpr int kBlock = 16, kFullRate = 30;
  const auto limits = rtp::Vp8Limits::from_fmtp(media.fmtp);
  const auto blocks = [](int length) { return (length + kBlock - 1) / kBlock; };
  const bool told = track.width > 0 && track.height > 0;
  if (limits.max_rate > 0 && limits.max_rate < kFullRate) return std::nullopt;
  if (limits.max_macroblocks > 0 &&
      (!told || blocks(track.width) * blocks(track.height) > limits.max_macroblocks))
    return std::nullopt;
  return passed(Codec::Vp8, "Both sides speak VP8: passed through.");
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
    route.level = &h264_level(receiver);
  } else if (route.to == Codec::Vp8) {
    route.vp8 = vp8_bounds(rtp::Vp8Limits::from_fmtp(media.fmtp));
  } else if (route.to == Codec::Aac) {
    route.aac = agreed_aac(media);
  } else if (route.to == Codec::Speex) {
    route.speex_quality =
        speex_quality(rtp::SpeexPreferences::from_fmtp(media.fmtp), route.to_format->clock_rate);
  } else if (route.to == Codec::H263) {
    const auto receiver =
        H263Receiver::from_fmtp(route.to_format->encoding_name, media.fmtp, media.kbit_per_second);
    route.h263 = receiver.size;
    route.h263_rate = receiver.rate;
    route.h263_kbit = receiver.kbit_per_second;
    route.reason.pop_back();
    route.reason += " at " + std::string(receiver.size->name) + ", with borders where needed.";
  }
  if (media.medium == Medium::Video && media.kbit_per_second > 0) {
    route.most_kbit = media.kbit_per_second;
    route.reason.pop_back();
    route.reason +=
        ", within the " + std::to_string(media.kbit_per_second) + " kbit/s that it asks for.";
  }
}

/// Without the format of SIP.
Route push_to_phone(const sip::Media &media, const FormatRow &format, const rtmp::Track &track,
                    const Names &names) {
  const Codec from = track.codec, to = format.codec;
  if (from == Codec::H264 && to == Codec::H264) return h264_to_phone(media, track, names);
  std::string less;
  if (from == to) {
    // RFC 3551 has G.711 with one channel, unless an rtpmap says otherwise: ours never do.
    const bool stereo = medium_of(from) == Medium::Audio && track.channels > 1;
    if (from == Codec::H263) {
      if (auto route = h263_as_it_is(media, format, track, names)) return *route;
      less = " of " + std::to_string(track.width) + "x" + std::to_string(track.height);
      const auto receiver = H263Receiver::from_fmtp(format.encoding_name, media.fmtp);
      if (receiver.takes(track.width, track.height))
        less += " at a rate that may be beyond " + names.taker + "'s";
    } else if (from == Codec::Vp8) {
      if (auto route = vp8_as_it_is(media, track)) return *route;
      less = " beyond " + names.taker + "'s max-fs or max-fr";
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
                    at_start(names.giver) + " sends " + named(from) + less + ", " + names.taker +
                        " takes " + described(format) + (less == " in stereo" ? " in mono" : "") +
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

Route push_to_phone(const sip::Media &media, const rtmp::Track &track, const Names &names) {
  const FormatRow *format = find_format_row(*media.format);
  if (!format)
    return stopped("This build cannot send " + named(media.format->codec) + " over RTP.");
  Route route = push_to_phone(media, *format, track, names);
  route.to_format = format;
  if (route.transcoded) fit_encoder(route, media, track);
  return route;
}

/// What is encoded for a pull terminal.
void fit_encoder_to_pull(Route &route) {
  if (route.to == Codec::H264) route.level = &h264_level(31);
  if (route.to == Codec::H263) route.h263 = &usual_h263_size();
}

Route phone_to_pull(const sip::Media &media, Codec to, const Names &names) {
  const Codec from = media.format->codec;
  const FormatRow *format = find_format_row(*media.format);
  if (!format) return stopped("This build cannot receive " + named(from) + " over RTP.");
  Route route;
  if (from == to && is_as_in_rtmp(*format)) {
    route = passed(from, at_start(names.giver) + " sends " + described(*format) + ", which " +
                             names.taker + " takes: passed through.");
  } else {
    route = transcoded(from, to,
                       at_start(names.giver) + " sends " + described(*format) + ", " + names.taker +
                           "'s play fixed " + named(to) + ": decoded and encoded.");
    fit_encoder_to_pull(route);
  }
  route.from_format = format;
  return route;
}

/// Both ends have RTMP, which carries any codec of a play as it is.
Route push_to_pull(const rtmp::Track &track, Codec to, const Names &names) {
  if (track.codec == to)
    return passed(to, at_start(names.giver) + " sends " + named(to) + ", which " + names.taker +
                          " takes: passed through.");
  Route route =
      transcoded(track.codec, to,
                 at_start(names.giver) + " sends " + named(track.codec) + ", " + names.taker +
                     "'s play fixed " + named(to) + ": decoded and encoded.");
  fit_encoder_to_pull(route);
  route.upright = track.height > track.width;
  return route;
}

/// What a phone has agreed on; null where it has not the medium.
const sip::Media *agreed_by_phone(const LegMedia &leg, Medium medium) {
  const auto found = std::ranges::find_if(leg.negotiated, [&](const sip::Media &media) {
    return media.medium == medium && media.accepted && media.format;
  });
  return found == leg.negotiated.end() ? nullptr : &*found;
}

bool is_phone(const LegMedia &leg) { return leg.kind == LegKind::Phone; }

Route make_route(Medium medium, const LegMedia &giver, const LegMedia &taker, const Names &names) {
  const std::string what(to_string(medium));
  const sip::Media *sent = agreed_by_phone(giver, medium), *got = agreed_by_phone(taker, medium);
  if (is_phone(taker) && !got) return stopped(at_start(names.taker) + " takes no " + what + ".");
  if (is_phone(giver) && !sent)
    return stopped(
        at_start(names.giver) + " has no " + what +
        (medium == Medium::Video ? ": " + names.taker + " gets a picture that says so." : "."));
  std::optional<Codec> wanted;
  if (is_phone(taker))
    wanted = got->format->codec;
  else if (taker.pull)
    wanted = medium == Medium::Audio ? taker.pull->audio : taker.pull->video;
  else
    return waiting("No pull terminal has played yet.");
  const auto &track = giver.tracks.of(medium);
  if (!is_phone(giver) && !track) {
    const std::string &why = giver.tracks.why_left_out(medium);
    Route route =
        waiting(at_start(names.giver) +
                (why.empty() ? " sends no " + what + ", as far as is known."
                             : " sends " + what + " that cannot be used. " + as_sentence(why)));
    route.to = wanted;
    return route;
  }
  if (is_phone(giver) && is_phone(taker)) return stopped("Two phones are not joined here.");
  if (is_phone(giver)) return phone_to_pull(*sent, *wanted, names);
  Route route =
      is_phone(taker) ? push_to_phone(*got, *track, names) : push_to_pull(*track, *wanted, names);
  if (route.transcoded)
    if (const std::string size = pictures::too_large_to_decode(*track); !size.empty())
      return stopped(at_start(names.giver) + " sends pictures of " + size + ", which " +
                     names.taker + " cannot have as they are: " + most_decoded());
  return route;
}

/// What sentences call the ends of a call: with their sides where there are two alike.
Names names_towards(Side side, const LegMedia &giver, const LegMedia &taker) {
  const std::string from = "the " + std::string(to_string(other(side)));
  const std::string to = "the " + std::string(to_string(side));
  const bool two = !is_phone(giver) && !is_phone(taker);
  Names names;
  names.giver = is_phone(giver) ? from : two ? from + "'s push terminal" : "the push terminal";
  names.taker = is_phone(taker) ? to : two ? to + "'s pull terminal" : "the pull terminal";
  return names;
}

PlanStep step(std::string_view direction, Medium medium, const Route &route) {
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

double Plan::sound_percent() const {
  double percent = 0;
  for (const Side side : kSides)
    if (const Route &route = to(side, Medium::Audio); route.flows && route.transcoded)
      percent += expected_cpu(route, Medium::Audio);
  return percent;
}

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
    const Side taker = i < kMedia ? Side::Callee : Side::Caller;
    const bool card = i % kMedia == static_cast<std::size_t>(Medium::Video) &&
                      kinds[index_of(taker)] == LegKind::Terminal;
    route = stopped(
        as_sentence(std::string("Left out, for the media pipeline fails with it") +
                    (card ? "; the pull terminal gets a picture that says so: " : ": ") + why));
  }
  return plan;
}

Plan make_plan(const LegMedia &caller, const LegMedia &callee) {
  Plan plan;
  const std::array legs{&caller, &callee};
  for (const Side side : kSides) {
    const LegMedia &taker = *legs[index_of(side)], &giver = *legs[index_of(other(side))];
    const Names names = names_towards(side, giver, taker);
    plan.kinds[index_of(side)] = taker.kind;
    for (const Medium medium : {Medium::Audio, Medium::Video}) {
      plan.pushed[index_of(side)][static_cast<std::size_t>(medium)] =
          taker.tracks.of(medium).has_value();
      plan.to(side, medium) = make_route(medium, giver, taker, names);
    }
  }
  return plan;
}

void tell_first_picture(std::vector<PlanStep> &steps, Side from, std::int64_t distance_ms) {
  for (PlanStep &step : steps) {
    if (step.direction != kDirections[index_of(from)] || step.medium != Medium::Video ||
        step.transcoded || step.from == "none" || distance_ms <= 0)
      continue;
    step.first_picture_ms = distance_ms;
    const std::string seconds = std::to_string((distance_ms + 50) / 1000) + "." +
                                std::to_string((distance_ms + 50) / 100 % 10);
    step.reason +=
        " Its keyframes come each " + seconds +
        " s and cannot be asked for: a picture that is lost on the way is missed so long.";
  }
}

void tell_too_large(std::vector<PlanStep> &steps, Side to, const std::string &size) {
  for (PlanStep &step : steps)
    if (step.direction == kDirections[index_of(other(to))] && step.medium == Medium::Video)
      step.reason += " Its pictures of " + size + " are left out: " + most_decoded();
}

namespace {

/// How far a codec is what a pull terminal's play fixed.
bool is_pulled(const LegMedia &terminal, Codec codec) {
  const PullCodecs pull = terminal.pull.value_or(PullCodecs{});
  return codec == (medium_of(codec) == Medium::Audio ? pull.audio : pull.video);
}

/// H.264 in the profile of the picture that is pushed, which passes through, and where nearly no
/// phone has that profile also in the one that they have: that is encoded, in either packetization
/// mode (in mode 0 it always is). Nothing where there is no need for more than one profile.
std::vector<sip::Offered> h264_twice(const rtp::Format &format, const PushTracks &push) {
  if (!push.video || push.video->codec != Codec::H264) return {};
  const auto pushed = rtp::H264Profile::from_avcc(push.video->config.view);
  if (!pushed) return {};
  rtp::H264Profile plain;
  plain.level_idc = pushed->level_idc;
  if (rtp::can_receive(plain, *pushed)) return {};
  const auto fmtp = [](const rtp::H264Profile &profile, const char *mode) {
    return "profile-level-id=" + profile.profile_level_id() + ";packetization-mode=" + mode +
           ";level-asymmetry-allowed=1";
  };
  const rtp::H264Profile usual;
  return {{.format = &format, .fmtp = fmtp(*pushed, "1")},
          {.format = &format, .fmtp = fmtp(usual, "1")},
          {.format = &format, .fmtp = fmtp(usual, "0")}};
}

}  // namespace

std::vector<sip::Offered> make_offer(const LegMedia &terminal,
                                     const std::vector<std::string> &names) {
  const PushTracks &push = terminal.tracks;
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
    if (format.codec == Codec::H264)
      if (const auto twice = h264_twice(format, push); !twice.empty()) {
        offer.insert(offer.end(), twice.begin(), twice.end());
        continue;
      }
    offer.push_back(std::move(offered));
  }
  const auto rank = [&push](const sip::Offered &offered) {
    const rtp::Format &format = *offered.format;
    const auto &track = push.of(medium_of(format.codec));
    if (track && track->codec == format.codec && is_as_in_rtmp(*find_format_row(format))) return 0;
    return format.by_default ? 1 : 2;
  };
  std::ranges::stable_sort(offer, {}, rank);
  for (sip::Offered &offered : offer) {
    const bool pulled = is_pulled(terminal, offered.format->codec) &&
                        is_as_in_rtmp(*find_format_row(*offered.format));
    const bool pushed = rank(offered) == 0;
    offered.rank = pushed && pulled ? 0 : pushed || pulled ? 1 : 1 + rank(offered);
  }
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
