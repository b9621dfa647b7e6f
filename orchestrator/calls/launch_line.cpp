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
                            std::string_view encode) {
  Holes holes = encoder_holes(route);
  holes["decode"] = Fragment::ours(find_codec_row(*route.from)->decode);
  holes["encode"] = Fragment::ours(encode);
  return (medium == Medium::Audio ? templates.transcode_audio : templates.transcode_video)
      .fill(holes);
}

Result<Fragment> to_callee(const Templates &templates, Medium medium, const Route &route,
                           int index) {
  Fragment way = Fragment::ours("");
  if (route.transcoded) {
    const std::string_view own = route.format ? route.format->encode : "";
    auto coded =
        transcoder(templates, medium, route, own.empty() ? find_codec_row(*route.to)->encode : own);
    if (!coded) return coded.error();
    way = *coded;
  }
  const auto pay = Fragment::ours(route.format ? route.format->pay : "");
  Holes holes;
  holes["medium"] = Fragment::ours(to_string(medium));
  holes["index"] = Fragment::number(index);
  way = way.joined(pay, " ! ");
  holes["way"] = way.empty() ? way : way.joined(Fragment::ours("!"));
  return templates.to_callee.fill(holes);
}

/// For what the push terminal sends in vain: the watchdog counts it all the same.
Result<Fragment> not_to_callee(const Templates &templates, Medium medium, int index) {
  Holes holes;
  holes["medium"] = Fragment::ours(to_string(medium));
  holes["index"] = Fragment::number(index);
  return templates.not_to_callee.fill(holes);
}

Result<Fragment> to_caller(const Templates &templates, Medium medium, const Route &route) {
  Fragment way = Fragment::ours(route.format ? route.format->depay : "");
  if (route.transcoded) {
    auto coded = transcoder(templates, medium, route, find_codec_row(*route.to)->encode);
    if (!coded) return coded.error();
    way = way.joined(*coded, " ! ");
  }
  Holes holes;
  holes["medium"] = Fragment::ours(to_string(medium));
  holes["way"] = way;
  return templates.to_caller.fill(holes);
}

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
  holes["max_width"] = Fragment::number(route.upright ? level.max_height : level.max_width);
  holes["max_height"] = Fragment::number(route.upright ? level.max_width : level.max_height);
  holes["h263_width"] = Fragment::number(size.width);
  holes["h263_height"] = Fragment::number(size.height);
  holes["aac_rate"] = Fragment::number(route.aac.rate);
  holes["aac_channels"] = Fragment::number(route.aac.channels);
  holes["max_rate"] = Fragment::number(h263 ? route.h263_rate : level.max_rate);
  holes["kbit"] = Fragment::number(h263 ? size.kbit_per_second : level.kbit_per_second);
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
      there.format = back.format = &format;
      there.from = back.to = codec.codec;
      there.to = back.from = format.codec;
      back.transcoded = codec.codec != format.codec || !is_as_in_rtmp(format);
      there.transcoded = back.transcoded || codec.codec == Codec::H264;
      const auto index = static_cast<std::size_t>(medium_of(codec.codec));
      Plan plan;
      plan.to_callee[index] = there;
      plan.to_caller[index] = back;
      plans.push_back(std::move(plan));
    }
  Plan in_vain;
  in_vain.pushed = {true, true};
  plans.push_back(std::move(in_vain));
  return plans;
}

Result<Templates> Templates::load(const std::string &directory) {
  Templates templates;
  const std::pair<LaunchTemplate *, const char *> files[] = {
      {&templates.call, "call"},
      {&templates.to_callee, "to-callee"},
      {&templates.not_to_callee, "not-to-callee"},
      {&templates.to_caller, "to-caller"},
      {&templates.transcode_audio, "transcode-audio"},
      {&templates.transcode_video, "transcode-video"},
      {&templates.loop_picture, "loop-picture"},
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
                           const WatchdogSetting &watchdog) {
  Fragment routes;
  int index = 0;
  for (const Medium medium : {Medium::Video, Medium::Audio}) {
    const Route &way = plan.callee(medium);
    if (!way.flows && !plan.is_pushed(medium)) continue;
    auto route = way.flows ? to_callee(templates, medium, way, index)
                           : not_to_callee(templates, medium, index);
    ++index;
    if (!route) return route.error();
    routes = routes.joined(*route);
  }
  for (const Medium medium : {Medium::Video, Medium::Audio}) {
    if (!plan.caller(medium).flows) continue;
    auto route = to_caller(templates, medium, plan.caller(medium));
    if (!route) return route.error();
    routes = routes.joined(*route);
  }
  Holes holes;
  holes["interval"] = Fragment::number(
      std::chrono::duration_cast<std::chrono::milliseconds>(watchdog.interval).count());
  holes["tries"] = Fragment::number(watchdog.tries);
  holes["routes"] = routes;
  return templates.call.fill(holes);
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
