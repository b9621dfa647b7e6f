// SPDX-License-Identifier: LGPL-2.1-or-later
// What of all that is sent a router passes to each receiver: layers, the loudest, and the rate that
// its path carries.
#include <algorithm>
#include <utility>

#include "rtp/core/rtcp.h"
#include "sfu/core/router_state.h"

namespace junctor::sfu {

namespace {

constexpr std::size_t kMostName = 32;        // bytes of a MID or RID
constexpr std::uint32_t kSoundRate = 48000;  // Opus (RFC 7587), as most that is sound
constexpr Duration kLive = std::chrono::seconds(1);

std::string text_of(ByteSpan bytes) {
  const auto shown = bytes.first(std::min(bytes.size(), kMostName));
  return {reinterpret_cast<const char *>(shown.data()), shown.size()};
}

}  // namespace

Router::Seen Router::read_extension(Leg &leg, Source &source, ByteSpan packet, std::size_t at,
                                    Time now) {
  ByteReader reader(packet.subspan(at));
  const std::uint16_t profile = reader.u16();
  const std::size_t words = reader.u16();
  const ExtensionValues values =
      read_extensions(profile, reader.take(words * 4), leg.options.extensions);
  const Seen seen{values.key_frame, leg.numbered ? values.transport_number : std::nullopt};
  if (seen.key) source.keyframes.passed();
  if (seen.number) {
    leg.numbered->add(*seen.number, static_cast<std::uint32_t>(packet.size()), now);
    if (leg.next_feedback < now) leg.next_feedback = now + kFeedbackInterval;
    if (!next_feedback_ || leg.next_feedback < *next_feedback_) next_feedback_ = leg.next_feedback;
  }
  if (values.audio_level && !source.is_known) {
    source.is_known = true;
    source.kind = Class::Sound;
    source.reception.set_clock_rate(kSoundRate);
  }
  if (values.audio_level && source.kind == Class::Sound) leg.loudness.add(*values.audio_level, now);
  if (values.mid.empty() && values.rid.empty()) return seen;
  if (!values.mid.empty() && source.mid.empty()) source.mid = text_of(values.mid);
  if (values.rid.empty() || !source.rid.empty()) return seen;
  source.rid = text_of(values.rid);
  // One more layer of a picture, or the next source of one.
  source.group = group_of(leg, source.mid);
  // At once: who waits for a first picture is not to wait for the next look.
  next_choice_ = now;
  return seen;
}

/// There are never more than sources: what none of them belongs to is used again.
std::size_t Router::group_of(Leg &leg, const std::string &mid) {
  auto found = std::ranges::find(leg.layered, mid, &Leg::Layered::mid);
  if (found == leg.layered.end())
    found = std::ranges::find_if(leg.layered, [&](const Leg::Layered &each) {
      const auto group = static_cast<std::size_t>(&each - leg.layered.data());
      return std::ranges::none_of(leg.sources,
                                  [&](const auto &source) { return source->group == group; });
    });
  const auto group = static_cast<std::size_t>(found - leg.layered.begin());
  if (found == leg.layered.end()) {
    leg.layered.push_back({mid, {}});
    for (Route &route : leg.routes) route.selectors.emplace_back();
  }
  leg.layered[group].mid = mid;
  return group;
}

/// An encoder that began again sends the same layers under other SSRCs: each takes the place of the
/// one before once that is silent. Not sooner: anybody may send a packet that names a layer.
void Router::place_layers(Leg &leg, Time now) {
  for (const auto &source : leg.sources) {
    if (!source->group || source->layer != Source::kNoLayer || now - source->last >= kLive)
      continue;
    auto &layers = leg.layered[*source->group].layers;
    const auto before = std::ranges::find(layers, source->rid, &Source::rid);
    if (before == layers.end()) {
      source->layer = layers.size();
      layers.push_back(source.get());
    } else if (now - (*before)->last >= kLive) {
      source->layer = std::exchange((*before)->layer, Source::kNoLayer);
      *before = source.get();
      for (Route &route : leg.routes) route.selectors[*source->group].begin_again(source->layer);
    }
  }
}

void Router::forget_layer(Leg &leg, const Source &source) {
  if (!source.group || source.layer == Source::kNoLayer) return;
  auto &layers = leg.layered[*source.group].layers;
  std::erase(layers, &source);
  for (std::size_t i = 0; i < layers.size(); ++i) layers[i]->layer = i;
  for (Route &route : leg.routes) route.selectors[*source.group] = LayerSelector();
}

bool Router::passes(Route &route, Out &out, const Source &source, bool key) {
  if (source.kind == Class::Picture && !route.pictures) return false;
  if (!source.group) return true;
  LayerSelector &selector = route.selectors[*source.group];
  const bool may_begin = key && selector.current() != source.layer;
  if (!selector.pass(source.layer, key)) return false;
  if (may_begin) out.resume(source.highest);
  return true;
}

/// For all legs in a few walks over all routes: to look for the route of each pair would take the
/// cube of their number.
void Router::choose(Time now) {
  choose_pictures(now);
  for (const auto &[id, leg] : legs_) leg->pictures_from = 0;
  for (const auto &[id, leg] : legs_)
    for (const Route &route : leg->routes) route.to->pictures_from += route.pictures;
  bool again = false;
  for (const auto &[id, leg] : legs_) {
    if (!leg->layered.empty()) choose_layers(*leg, now);
    again = again || !leg->layered.empty() || leg->options.last_n > 0;
  }
  if (again && (!next_choice_ || now + kChoiceInterval < *next_choice_))
    next_choice_ = now + kChoiceInterval;
}

void Router::choose_pictures(Time now) {
  std::vector<Leg *> legs;  // of those who are alike, who was there first
  for (const auto &[id, leg] : legs_) legs.push_back(leg.get());
  std::ranges::sort(legs, {}, &Leg::id);
  for (Leg *leg : legs) {
    const double loudness = leg->loudness.value(now);
    for (Route &route : leg->routes)
      if (route.to->options.last_n > 0) route.to->senders.push_back({leg, &route, loudness});
  }
  std::vector<Speaker> speakers;
  for (Leg *leg : legs) {
    speakers.clear();
    for (const auto &[publisher, route, loudness] : leg->senders)
      speakers.push_back({loudness, route->pictures});
    choose_loudest(speakers, leg->options.last_n);
    for (std::size_t i = 0; i < speakers.size(); ++i) {
      const auto &[publisher, route, loudness] = leg->senders[i];
      if (speakers[i].chosen && !route->pictures)
        for (std::size_t k = 0; k < publisher->sources.size(); ++k) {
          Source &source = *publisher->sources[k];
          if (source.kind != Class::Picture) continue;
          route->outs[k].resume(source.highest + 1);
          if (!source.group) want_keyframe(*publisher, source, false, now);
        }
      route->pictures = speakers[i].chosen;
    }
    leg->senders.clear();
  }
}

void Router::choose_layers(Leg &leg, Time now) {
  place_layers(leg, now);
  const double seconds = std::chrono::duration<double>(now - leg.rates_at).count();
  if (seconds >= 0.25) {
    for (const auto &source : leg.sources) {
      const double rate = static_cast<double>(source->bytes) * 8 / seconds;
      source->rate += (rate - source->rate) * (source->rate == 0 ? 1 : 0.3);
      source->bytes = 0;
    }
    leg.rates_at = now;
  }
  const ExtensionNumbers &numbers = leg.options.extensions;
  const bool visible = numbers.frame_marking != 0 || numbers.dependency_descriptor != 0;
  for (std::size_t i = 0; i < leg.layered.size(); ++i) {
    const auto &layers = leg.layered[i].layers;
    std::vector<LayerRate> rates;
    for (const Source *each : layers) rates.push_back({each->rate, now - each->last < kLive});
    for (Route &route : leg.routes) {
      const Leg &to = *route.to;
      auto budget = to.estimator ? to.estimator->estimate(now) : std::optional<double>();
      // Shared evenly with the others who send it pictures.
      if (budget && to.pictures_from > 1) *budget /= static_cast<double>(to.pictures_from);
      LayerSelector &selector = route.selectors[i];
      if (!selector.choose(rates, budget, now)) continue;
      if (visible)
        want_keyframe(leg, *layers[*selector.wanted()], false, now);
      else
        selector.settle();
    }
  }
}

// ---- Rates ----

void Router::on_congestion(Leg &leg, ByteSpan compound, Time now) {
  const bool numbered = std::ranges::any_of(
      leg.publishers, [](const Leg *publisher) { return publisher->numbered != nullptr; });
  for (const CongestionItem &item :
       read_congestion(compound, numbered ? TransportFeedback::kMostPackets : 0)) {
    if (const auto *remb = std::get_if<Remb>(&item)) {
      leg.estimate().on_remb(static_cast<double>(remb->bits_per_second), now);
      continue;
    }
    const auto &feedback = std::get<TransportFeedback>(item);
    // Numbers are a publisher's own: its SSRC tells whose these are.
    for (Leg *publisher : leg.publishers) {
      if (!publisher->numbered || std::ranges::none_of(publisher->sources, [&](const auto &each) {
            return each->ssrc == feedback.media;
          }))
        continue;
      const auto &passed = publisher->route_to(leg)->passed;
      std::vector<PacketResult> results;
      for (std::size_t i = 0; i < feedback.arrivals.size(); ++i) {
        const auto number = static_cast<std::uint16_t>(feedback.base + i);
        const auto known = publisher->numbered->find(number);
        if (known && passed && passed->test(number % NumberedPackets::kPackets))
          results.push_back({known->at, known->size, feedback.arrivals[i]});
      }
      leg.estimate().on_feedback(results, now);
      break;
    }
  }
}

void Router::send_feedback(Leg &leg, Time now) {
  if (leg.next_feedback > now) {
    if (!next_feedback_ || leg.next_feedback < *next_feedback_) next_feedback_ = leg.next_feedback;
    return;
  }
  auto feedback = leg.numbered->take_feedback();
  if (!feedback || leg.sources.empty()) return;
  feedback->sender = ssrc_;
  feedback->media = leg.sources.front()->ssrc;
  Bytes compound;
  rtp::rtcp::append(compound, rtp::rtcp::ReceiverReport{ssrc_, {}});
  append(compound, *feedback);
  send_rtcp(leg, std::move(compound), now);
}

std::optional<Remb> Router::remb_for(const Leg &publisher, Time now) const {
  if (!publisher.options.remb) return std::nullopt;
  std::optional<double> rate;
  for (const Route &route : publisher.routes) {
    const auto each =
        route.to->estimator ? route.to->estimator->estimate(now) : std::optional<double>();
    if (!each) continue;
    if (!rate)
      rate = each;
    else
      rate = publisher.layered.empty() ? std::min(*rate, *each) : std::max(*rate, *each);
  }
  if (!rate) return std::nullopt;
  Remb remb{ssrc_, static_cast<std::uint64_t>(*rate), {}};
  for (const auto &source : publisher.sources)
    if (source->kind == Class::Picture) remb.ssrcs.push_back(source->ssrc);
  return remb;
}

}  // namespace junctor::sfu
