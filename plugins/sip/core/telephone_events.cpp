// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sip/core/telephone_events.h"

#include <strings.h>

#include <algorithm>

#include "rtp/core/formats.h"
#include "sip/core/negotiate.h"

namespace junctor::sip {

namespace {

constexpr const char *kName = "telephone-event";
constexpr const char *kOurEvents = "0-15";
constexpr int kUsual = 101;
constexpr std::uint32_t kUsualRate = 8000;
constexpr int kFirstDynamic = 96, kLastDynamic = 127;

bool is_events(const sdp::Format &format) {
  return ::strcasecmp(format.encoding.c_str(), kName) == 0 && format.clock_rate != 0;
}

/// Those of the wanted rate, else those that every phone has; null if there are none.
const sdp::Format *find_events(const sdp::MediaLine &line, std::uint32_t rate) {
  const sdp::Format *other = nullptr;
  for (const sdp::Format &format : line.formats) {
    if (!is_events(format)) continue;
    if (format.clock_rate == rate) return &format;
    if (format.clock_rate == kUsualRate) other = &format;
  }
  return other;
}

int free_number(const OwnMedium &medium, const std::vector<OwnEvents> &events) {
  const auto taken = [&](int number) {
    return std::ranges::find(medium.formats, number, &OwnFormat::payload_type) !=
               medium.formats.end() ||
           std::ranges::find(events, number, &OwnEvents::payload_type) != events.end();
  };
  if (!taken(kUsual)) return kUsual;
  // From behind, so that formats and events stay apart.
  for (int number = kLastDynamic; number >= kFirstDynamic; --number) {
    const bool reserved = std::ranges::any_of(
        rtp::formats(), [&](const rtp::Format &f) { return f.offered_payload_type == number; });
    if (!reserved && !taken(number)) return number;
  }
  return -1;
}

sdp::Format to_sdp(int payload_type, std::uint32_t rate) {
  return {.payload_type = payload_type,
          .encoding = kName,
          .clock_rate = rate,
          .channels = 1,
          .fmtp = kOurEvents};
}

void use(const sdp::Format &theirs, int receive_payload_type, rtp::Stream &stream) {
  stream.events = {
      .payload_type = theirs.clock_rate == stream.clock_rate ? theirs.payload_type : -1,
      .receive_payload_type = receive_payload_type,
      .clock_rate = theirs.clock_rate,
      .taken = rtp::parse_events(theirs.fmtp)};
}

}  // namespace

std::vector<OwnEvents> own_events(const OwnMedium &medium) {
  std::vector<OwnEvents> events;
  if (medium.medium != Medium::Audio) return events;
  for (const OwnFormat &format : medium.formats) {
    if (std::ranges::find(events, format.clock_rate, &OwnEvents::clock_rate) != events.end())
      continue;
    const int number = free_number(medium, events);
    if (number >= 0) events.push_back({number, format.clock_rate});
  }
  return events;
}

void offer_events(const OwnMedium &medium, sdp::MediaLine &line) {
  for (const OwnEvents &events : medium.events)
    line.formats.push_back(to_sdp(events.payload_type, events.clock_rate));
}

void read_events(const OwnMedium &medium, const sdp::MediaLine &answer, rtp::Stream &stream) {
  const sdp::Format *theirs = find_events(answer, stream.clock_rate);
  if (!theirs) return;
  for (const OwnEvents &own : medium.events)
    if (own.clock_rate == theirs->clock_rate) return use(*theirs, own.payload_type, stream);
}

void answer_events(const sdp::MediaLine &offer, rtp::Stream &stream, sdp::MediaLine &answer) {
  const sdp::Format *theirs = find_events(offer, stream.clock_rate);
  if (!theirs) return;
  use(*theirs, theirs->payload_type, stream);
  answer.formats.push_back(to_sdp(theirs->payload_type, theirs->clock_rate));
}

void keep_events(const rtp::Stream &in_use, OwnMedium &medium) {
  const rtp::EventStream &now = in_use.events;
  const int number = now.receive_payload_type;
  std::erase_if(medium.events, [&](const OwnEvents &own) {
    return (number >= 0 && (own.clock_rate == now.clock_rate || own.payload_type == number)) ||
           own.payload_type == in_use.receive_payload_type;
  });
  if (number < 0) return;
  std::erase_if(medium.formats, [&](const OwnFormat &own) { return own.payload_type == number; });
  medium.events.insert(medium.events.begin(), {number, now.clock_rate});
}

}  // namespace junctor::sip
