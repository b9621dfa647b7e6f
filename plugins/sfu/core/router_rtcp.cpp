// SPDX-License-Identifier: LGPL-2.1-or-later
// RTCP of a router: it ends here and is made anew for each hop (RFC 3550, RFC 4585, RFC 5104).
#include <algorithm>
#include <array>

#include "rtp/core/rtcp.h"
#include "sfu/core/router_state.h"

namespace junctor::sfu {

namespace {

using namespace rtp::rtcp;

constexpr std::size_t kMaxRtcp = 1600;       // bytes of one datagram, its trailer included
constexpr std::size_t kBlocksAReport = 31;   // RFC 3550 section 6.4.1
constexpr std::size_t kNacksAMessage = 256;  // packets that one message of ours asks for

constexpr unsigned kMostSpokenFor = 256;  // SSRCs of a leg in its life, in reports and BYEs
/// A sender report of a source, and its BYE, pass at most so often: what follows sooner tells
/// nothing.
constexpr Duration kToldPause = std::chrono::milliseconds(200);

std::uint32_t middle(std::uint64_t ntp) { return static_cast<std::uint32_t>(ntp >> 16); }

}  // namespace

/// Takes the items of one datagram of `leg`.
struct Router::ItemReader {
  Router &router;
  Leg &leg;
  Time now;

  Source *own(std::uint32_t ssrc) const {
    const auto found =
        std::ranges::find(leg.sources, ssrc, [](const auto &each) { return each->ssrc; });
    return found == leg.sources.end() ? nullptr : found->get();
  }

  /// Somebody else's source that this leg receives.
  struct Heard {
    Leg *publisher = nullptr;
    Source *source = nullptr;
    Out *out = nullptr;
    explicit operator bool() const { return source != nullptr; }
  };
  Heard heard(std::uint32_t ssrc) const {
    for (Leg *publisher : leg.publishers)
      for (std::size_t i = 0; i < publisher->sources.size(); ++i)
        if (publisher->sources[i]->ssrc == ssrc)
          return {publisher, publisher->sources[i].get(), &publisher->route_to(leg)->outs[i]};
    return {};
  }

  void operator()(const SenderReport &report) const {
    if (Source *source = own(report.ssrc)) {
      source->reception.on_sender_report(report.ntp, now);
      pass_on(report, *source);
    }
    for (const ReportBlock &block : report.blocks) about(block);
  }
  void operator()(const ReceiverReport &report) const {
    for (const ReportBlock &block : report.blocks) about(block);
  }
  void operator()(const SourceDescription &description) const {
    if (Source *source = own(description.ssrc)) source->cname = description.cname;
  }
  /// One for all that it names: each item of a datagram of theirs must not become many of ours.
  void operator()(const Bye &bye) const {
    Bye passed{{}, bye.reason};
    for (const std::uint32_t ssrc : bye.ssrcs)
      if (Source *source = own(ssrc); source && may_speak(*source) && is_due(source->bye_passed))
        passed.ssrcs.push_back(ssrc);
    if (passed.ssrcs.empty() || !may_tell()) return;
    for (Route &route : leg.routes) {
      Bytes compound;
      append(compound, ReceiverReport{passed.ssrcs.front(), {}});
      append(compound, passed);
      router.send_rtcp(*route.to, std::move(compound), now);
    }
  }
  void operator()(const Pli &pli) const { keyframe(pli.media, false); }
  void operator()(const Fir &fir) const { keyframe(fir.media, true); }
  void operator()(const Nack &nack) const;

  /// Each SSRC that we speak for stays in the receivers' SRTP contexts as long as they live:
  /// removed from there it would begin again at index 0 under the same key.
  bool may_speak(Source &source) const {
    if (!source.spoken_for) {
      source.spoken_for = leg.spoken_for < kMostSpokenFor;
      leg.spoken_for += *source.spoken_for;
    }
    return *source.spoken_for;
  }
  bool is_due(std::optional<Time> &last) const {
    if (last && now - *last < kToldPause) return false;
    last = now;
    return true;
  }
  /// Of what this leg says to all its receivers.
  bool may_tell() const {
    if (!leg.told.may(now)) return false;
    leg.told.take(now);
    return true;
  }

  /// The publisher's clock, our count: what it says of packets and bytes is about its own hop.
  void pass_on(const SenderReport &report, Source &source) const {
    if (!may_speak(source) || !is_due(source.report_passed) || !may_tell()) return;
    const auto index = static_cast<std::size_t>(
        std::ranges::find(leg.sources, source.ssrc, [](const auto &each) { return each->ssrc; }) -
        leg.sources.begin());
    for (Route &route : leg.routes) {
      Out &out = route.outs[index];
      if (out.packets == 0) continue;
      out.last_sr = middle(report.ntp);
      out.last_sr_at = now;
      Bytes compound;
      append(
          compound,
          SenderReport{source.ssrc, report.ntp, report.rtp_timestamp, out.packets, out.octets, {}});
      if (!source.cname.empty()) append(compound, SourceDescription{source.ssrc, source.cname});
      router.send_rtcp(*route.to, std::move(compound), now);
    }
  }

  void about(const ReportBlock &block) const {
    const Heard that = heard(block.ssrc);
    if (!that) return;
    if (that.out->is_of_path(block.highest_sequence)) {
      leg.stats.remote_fraction_lost = block.fraction_lost / 256.0;
      leg.estimate().on_loss(leg.stats.remote_fraction_lost, now);
    }
    if (block.last_sr == 0 || block.last_sr != that.out->last_sr) return;
    const Duration held =
        std::chrono::nanoseconds(std::uint64_t{block.delay_since_last_sr} * 1'000'000'000 / 65536);
    const Duration passed = now - that.out->last_sr_at;
    if (passed >= held) leg.round_trip = passed - held;
  }

  void keyframe(std::uint32_t ssrc, bool by_fir) const {
    const Heard that = heard(ssrc);
    if (!that) return;
    ++leg.stats.keyframe_requests_received;
    router.want_keyframe(*that.publisher, *that.source, by_fir, now);
  }
};

void Router::ItemReader::operator()(const Nack &nack) const {
  const Heard that = heard(nack.media);
  if (!that) return;
  leg.stats.nacks_received += nack.lost.size();
  std::vector<std::uint16_t> missing;
  if (!that.source->asked) that.source->asked = std::make_unique<RepeatLimit>();
  for (const std::uint16_t sequence : nack.lost) {
    const auto behind =
        static_cast<std::uint16_t>(static_cast<std::uint16_t>(that.source->highest) - sequence);
    if (that.out->was_withheld(behind, that.source->highest)) continue;
    const ByteSpan packet = that.source->history.find(sequence, now);
    if (packet.empty()) {
      // Older or newer than anything that the source has sent: not worth a question.
      if (behind < RepeatLimit::kPackets && missing.size() < kNacksAMessage &&
          that.source->asked->allow(sequence, now, that.publisher->pause()))
        missing.push_back(sequence);
      continue;
    }
    if (!that.out->repeated) that.out->repeated = std::make_unique<RepeatLimit>();
    if (!that.out->repeated->allow(sequence, now, leg.pause())) continue;
    if (!that.out->credit.spend(packet.size())) break;
    ++leg.stats.retransmitted;
    if (leg.options.deliver)
      leg.options.deliver(packet, false);
    else if (leg.key)
      router.outbox_.add_copy(leg.destination, packet, Class::Again, now);
  }
  if (!missing.empty())
    router.ask_for_packets(*that.publisher, *that.source, std::move(missing), now);
}

void Router::on_rtcp(Leg &leg, std::span<std::byte> datagram, Time now) {
  leg.rtcp_credit = std::min<double>(
      kMaxRtcpRate,
      leg.rtcp_credit +
          std::chrono::duration<double>(now - leg.rtcp_credit_at).count() * kMaxRtcpRate);
  leg.rtcp_credit_at = now;
  if (leg.rtcp_credit < 1) {
    ++leg.stats.rtcp_excess;
    return;
  }
  leg.rtcp_credit -= 1;
  std::size_t size = datagram.size();
  if (leg.rtcp && leg.rtcp->unprotect_rtcp(datagram, size) != rtp::Srtp::Verdict::Authentic) {
    ++leg.stats.unauthenticated;
    return;
  }
  const auto items = parse(datagram.first(size));
  if (!items) {
    ++leg.stats.malformed;
    return;
  }
  ++leg.stats.rtcp_received;
  leg.stats.last_packet = now;
  const ItemReader reader{*this, leg, now};
  for (const Item &item : *items) std::visit(reader, item);
  on_congestion(leg, datagram.first(size), now);
}

void Router::send_rtcp(Leg &to, Bytes compound, Time now) {
  if (!to.reachable() || compound.size() + rtp::Srtp::kMaxTrailer > kMaxRtcp) return;
  if (to.options.deliver) return to.options.deliver(compound, true);
  std::size_t size = compound.size();
  if (to.rtcp) {
    compound.resize(size + rtp::Srtp::kMaxTrailer);
    if (!to.rtcp->protect_rtcp(compound, size)) return;
  }
  outbox_.add_copy(to.destination, ByteSpan(compound).first(size), Class::Control, now);
}

void Router::report(Leg &leg, Time now) {
  leg.next_report = now + kReportInterval;
  ReceiverReport report{ssrc_, {}};
  for (const auto &source : leg.sources)
    if (now - source->last < 2 * kReportInterval && report.blocks.size() < kBlocksAReport)
      report.blocks.push_back(source->reception.report(now));
  if (report.blocks.empty()) return;
  Bytes compound;
  append(compound, report);
  append(compound, SourceDescription{ssrc_, "relay"});
  if (const auto remb = remb_for(leg, now)) append(compound, *remb);
  send_rtcp(leg, std::move(compound), now);
}

void Router::request_keyframes(LegId receiver, Time now) {
  Leg *leg = find(receiver);
  if (!leg) return;
  ++leg->stats.keyframe_requests_received;
  for (Leg *publisher : leg->publishers)
    for (const auto &source : publisher->sources)
      if (source->kind == Class::Picture) want_keyframe(*publisher, *source, false, now);
}

void Router::want_keyframe(Leg &publisher, Source &source, bool by_fir, Time now) {
  source.by_fir = by_fir;
  if (source.keyframes.ask(now)) return ask_for_keyframe(publisher, source, now);
  const auto next = source.keyframes.next();
  if (next && (!next_keyframe_ || *next < *next_keyframe_)) next_keyframe_ = next;
}

void Router::ask_for_keyframe(Leg &publisher, Source &source, Time now) {
  ++publisher.stats.keyframe_requests_sent;
  Bytes compound;
  append(compound, ReceiverReport{ssrc_, {}});
  if (source.by_fir)
    append(compound, Fir{ssrc_, source.ssrc, ++source.fir_request});
  else
    append(compound, Pli{ssrc_, source.ssrc});
  send_rtcp(publisher, std::move(compound), now);
}

void Router::ask_for_packets(Leg &publisher, Source &source, std::vector<std::uint16_t> sequences,
                             Time now) {
  publisher.stats.nacks_sent += sequences.size();
  Bytes compound;
  append(compound, ReceiverReport{ssrc_, {}});
  append(compound, Nack{ssrc_, source.ssrc, std::move(sequences)});
  send_rtcp(publisher, std::move(compound), now);
}

}  // namespace junctor::sfu
