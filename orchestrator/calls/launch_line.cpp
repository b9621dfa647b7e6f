// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/launch_line.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <sstream>

#include "calls/codec_table.h"

namespace junctor::calls {

namespace {

Result<Fragment> transcoder(const Templates &templates, Medium medium, const Route &route,
                            std::string_view encode, SoundWork sound) {
  Holes holes = encoder_holes(route);
  const Fragment decode = Fragment::ours(find_codec_row(*route.from)->decode);
  holes["decode"] = decode.empty() ? decode : decode.joined(Fragment::ours("!"));
  holes["encode"] = Fragment::ours(encode);
  if (medium == Medium::Video) return templates.transcode_video.fill(holes);
  auto coded = templates.transcode_audio.fill(holes);
  if (!coded || sound == SoundWork::OnReactor) return coded;
  const auto hand_over = templates.hand_over.fill({});
  if (!hand_over) return hand_over.error();
  return hand_over->joined(*coded, " ! ");
}

/// From what comes out of the giver to what the taker takes; may be empty.
Result<Fragment> way_of(const Templates &templates, Medium medium, const Route &route,
                        SoundWork sound) {
  Fragment way = Fragment::ours(route.from_format ? route.from_format->depay : "");
  if (route.transcoded) {
    const std::string_view own = route.to_format ? route.to_format->encode : "";
    auto coded = transcoder(templates, medium, route,
                            own.empty() ? find_codec_row(*route.to)->encode : own, sound);
    if (!coded) return coded.error();
    way = way.joined(*coded, " ! ");
  }
  return way.joined(Fragment::ours(route.to_format ? route.to_format->pay : ""), " ! ");
}

/// Fills the templates of a call's line.
class LineMaker {
 public:
  LineMaker(const Templates &templates, const Plan &plan, const WatchdogSetting &watchdog,
            SoundWork sound)
      : templates_(templates), plan_(plan), watchdog_(watchdog), sound_(sound) {}

  Result<Fragment> make() {
    Fragment legs;
    for (const Side side : kSides) {
      auto elements = of(side).elements.fill(holes_of(side));
      if (!elements) return elements.error();
      legs = legs.joined(*elements);
    }
    for (const Side taker : {Side::Callee, Side::Caller})
      for (const Medium medium : {Medium::Video, Medium::Audio})
        if (auto added = add_route(taker, medium); !added) return added.error();
    return templates_.call.fill({{"legs", legs}, {"routes", routes_}});
  }

 private:
  const Templates::OfLeg &of(Side side) const {
    return templates_.legs[static_cast<std::size_t>(plan_.kinds[index_of(side)])];
  }

  Holes holes_of(Side side) const {
    Holes holes;
    holes["side"] = Fragment::ours(to_string(side));
    holes["interval"] = Fragment::number(
        std::chrono::duration_cast<std::chrono::milliseconds>(watchdog_.interval).count());
    holes["tries"] = Fragment::number(watchdog_.tries[index_of(side)]);
    return holes;
  }

  /// The medium to `taker`, or where it does not flow, but is sent, to nowhere: a watchdog counts
  /// it all the same.
  Result<void> add_route(Side taker, Medium medium) {
    const Side giver = other(taker);
    const Route &route = plan_.to(taker, medium);
    if (!route.flows && !plan_.is_pushed(giver, medium)) return {};
    Holes holes = holes_of(giver);
    holes["medium"] = Fragment::ours(to_string(medium));
    holes["index"] = Fragment::number(taken_[index_of(giver)]++);
    auto from = of(giver).from.fill(holes);
    if (!from) return from.error();
    holes["from"] = *from;
    if (route.flows) {
      holes["side"] = Fragment::ours(to_string(taker));
      auto to = of(taker).to.fill(holes);
      if (!to) return to.error();
      auto way = way_of(templates_, medium, route, sound_);
      if (!way) return way.error();
      holes["to"] = *to;
      holes["way"] = way->empty() ? *way : way->joined(Fragment::ours("!"));
    }
    auto filled = (route.flows ? templates_.route : templates_.unused).fill(holes);
    if (!filled) return filled.error();
    routes_ = routes_.joined(*filled);
    return {};
  }

  const Templates &templates_;
  const Plan &plan_;
  const WatchdogSetting &watchdog_;
  const SoundWork sound_;
  Fragment routes_;
  std::array<int, 2> taken_{};  ///< pads of each giver's watchdog
};

/// `value` between double quotes, as the launch grammar reads it back.
std::string quoted_for_gst(const std::string &value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

/// Whether neither a shell nor the launch grammar gives any character of `text` a meaning.
bool is_plain(const std::string &text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return c < 0x80 && (std::isalnum(c) || std::strchr("_.,:=/@%+-", c));
  });
}

std::string quoted_for_shell(const std::string &word) {
  if (word == "!" || is_plain(word)) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

Holes encoder_holes(const Route &route) {
  Holes holes;
  const H264Level &level = route.level ? *route.level : h264_level(31);
  const H263Size &size = route.h263 ? *route.h263 : usual_h263_size();
  const bool h263 = route.to == Codec::H263;
  const int h263_kbit =
      route.h263_kbit > 0 ? std::min(route.h263_kbit, size.kbit_per_second) : size.kbit_per_second;
  const auto kept = [&](int kbit) {
    return route.most_kbit > 0 ? std::min(kbit, std::max(route.most_kbit, kLeastPictureKbit))
                               : kbit;
  };
  const Vp8Bounds within = route.vp8.value_or(
      Vp8Bounds{level.max_width, level.max_height, level.kbit_per_second, level.max_rate});
  holes["max_width"] = Fragment::number(route.upright ? within.max_height : within.max_width);
  holes["max_height"] = Fragment::number(route.upright ? within.max_width : within.max_height);
  holes["h263_width"] = Fragment::number(size.width);
  holes["h263_height"] = Fragment::number(size.height);
  holes["h263_quantizer"] = Fragment::number(h263_quantizer(size, route.h263_kbit));
  holes["speex_quality"] = Fragment::number(route.speex_quality);
  holes["aac_rate"] = Fragment::number(route.aac.rate);
  holes["aac_channels"] = Fragment::number(route.aac.channels);
  holes["max_rate"] = Fragment::number(h263 ? route.h263_rate : within.max_rate);
  holes["kbit"] = Fragment::number(h263 ? h263_kbit : kept(within.kbit_per_second));
  holes["level"] = Fragment::ours(level.name);
  holes["slices"] = Fragment::ours(route.single_nal ? kH264SingleNalSlices : "");
  return holes;
}

std::vector<Plan> every_plan() {
  std::vector<Plan> plans;
  for (const CodecRow &codec : codec_rows())
    for (const FormatRow &format : format_rows()) {
      if (medium_of(codec.codec) != medium_of(format.codec)) continue;
      Route there, back;
      there.flows = back.flows = true;
      there.to_format = back.from_format = &format;
      there.from = back.to = codec.codec;
      there.to = back.from = format.codec;
      back.transcoded = codec.codec != format.codec || !is_as_in_rtmp(format);
      there.transcoded = back.transcoded || codec.codec == Codec::H264;
      Plan plan;
      plan.to(Side::Callee, medium_of(codec.codec)) = there;
      plan.to(Side::Caller, medium_of(codec.codec)) = back;
      plans.push_back(std::move(plan));
    }
  for (const CodecRow &from : codec_rows())
    for (const CodecRow &to : codec_rows()) {
      if (medium_of(from.codec) != medium_of(to.codec) || to.encode.empty()) continue;
      Plan plan;
      plan.kinds = {LegKind::Terminal, LegKind::Terminal};
      Route &route = plan.to(Side::Callee, medium_of(to.codec));
      route.flows = true;
      route.from = from.codec;
      route.to = to.codec;
      route.transcoded = from.codec != to.codec;
      plans.push_back(std::move(plan));
    }
  for (const LegKind callee : {LegKind::Phone, LegKind::Terminal}) {
    Plan in_vain;
    in_vain.kinds[index_of(Side::Callee)] = callee;
    in_vain.pushed[index_of(Side::Caller)] = {true, true};
    plans.push_back(std::move(in_vain));
  }
  return plans;
}

Result<Templates> Templates::load(const std::string &directory) {
  Templates templates;
  auto &terminal = templates.legs[static_cast<std::size_t>(LegKind::Terminal)];
  auto &phone = templates.legs[static_cast<std::size_t>(LegKind::Phone)];
  const std::pair<LaunchTemplate *, const char *> files[] = {
      {&terminal.elements, "terminal"},
      {&terminal.from, "from-terminal"},
      {&terminal.to, "to-terminal"},
      {&phone.elements, "phone"},
      {&phone.from, "from-phone"},
      {&phone.to, "to-phone"},
      {&templates.call, "call"},
      {&templates.route, "route"},
      {&templates.unused, "unused"},
      {&templates.transcode_audio, "transcode-audio"},
      {&templates.transcode_video, "transcode-video"},
      {&templates.hand_over, "hand-over"},
      {&templates.loop_picture, "loop-picture"},
      {&templates.loop_own_picture, "loop-own-picture"},
      {&templates.loop_tone, "loop-tone"},
  };
  for (const auto &[target, name] : files) {
    auto loaded = LaunchTemplate::load(directory, name);
    if (!loaded) return loaded.error();
    *target = *std::move(loaded);
  }
  return templates;
}

Result<Fragment> make_line(const Templates &templates, const Plan &plan,
                           const WatchdogSetting &watchdog, SoundWork sound) {
  return LineMaker(templates, plan, watchdog, sound).make();
}

std::string pasteable(const Fragment &line, const std::vector<Setting> &settings) {
  std::istringstream words(line.text());
  std::string out;
  for (std::string word; words >> word;) {
    if (!out.empty()) out += ' ';
    out += quoted_for_shell(word);
    if (word.rfind("name=", 0) != 0) continue;
    for (const Setting &setting : settings)
      if (word.substr(5) == setting.element)
        out += ' ' + quoted_for_shell(
                         setting.property + "=" +
                         (is_plain(setting.value) ? setting.value : quoted_for_gst(setting.value)));
  }
  return out;
}

}  // namespace junctor::calls
