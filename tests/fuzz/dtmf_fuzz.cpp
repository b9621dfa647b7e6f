// SPDX-License-Identifier: LGPL-2.1-or-later
// Digits of strangers: telephone events, lists of them in SDP, bodies of INFO.
#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "rtp/core/dtmf.h"
#include "sip/core/dtmf_info.h"

using namespace junctor;
using namespace junctor::rtp;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

// Each nine bytes are a packet: timestamp (16 bits, far apart by the third byte), delay in ms,
// rate, and the payload. However they come, digits are of kDigits and no more than the bound.
void events(ByteSpan script) {
  DigitReceiver receiver;
  std::vector<Digit> digits;
  ByteReader reader(script);
  Time now{std::chrono::seconds(100)};
  const Time began = now;
  std::size_t packets = 0;
  while (reader.left() >= 9) {
    const std::uint64_t timestamp =
        (std::uint64_t{1} << 32) + reader.u16() + (static_cast<std::uint64_t>(reader.u8()) << 16);
    now += std::chrono::milliseconds(reader.u8());
    const std::uint32_t rate = reader.u8() * 500U;
    const ByteSpan payload = reader.take(4);
    const auto parsed = TelephoneEvent::parse(payload);
    require(parsed.has_value());
    if ((std::to_integer<unsigned>(payload[1]) & 0x40) == 0)
      require(std::ranges::equal(parsed->build(), payload));
    receiver.add(timestamp, payload, rate, now, digits);
    if (const auto deadline = receiver.deadline(); deadline && *deadline <= now)
      receiver.expire(now, digits);
    ++packets;
  }
  receiver.restart(now, digits);
  require(digits.size() <= packets + 1);
  const auto windows = static_cast<std::size_t>((now - began) / DigitReceiver::kWindow) + 2;
  require(digits.size() <= windows * DigitReceiver::kMost);
  for (const Digit &digit : digits)
    require(kDigits.find(digit.digit) != std::string_view::npos && digit.length >= Duration{});
}

void bodies(std::string_view text) {
  parse_events(text);
  for (const auto &digit : {sip::read_dtmf_relay(text), sip::read_dtmf(text)}) {
    if (!digit) continue;
    require(digit->length <= sip::kLongestDigit);
    const auto again = sip::read_dtmf_relay(sip::write_dtmf_relay(*digit));
    require(again && again->digit == digit->digit);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  events(std::as_bytes(std::span(data, size)));
  bodies({reinterpret_cast<const char *>(data), size});
  return 0;
}
