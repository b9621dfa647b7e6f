// SPDX-License-Identifier: LGPL-2.1-or-later
// RTCP compounds and SDP parameters of formats.
#include <cstdlib>

#include "rtp/core/formats.h"
#include "rtp/core/reception.h"
#include "rtp/core/rtcp.h"

using namespace junctor;
using namespace junctor::rtp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const ByteSpan input = std::as_bytes(std::span(data, size));
  if (const auto items = rtcp::parse(input)) {
    // What was read can be written, and reads the same again.
    Bytes out;
    for (const rtcp::Item &item : *items) {
      std::visit([&](const auto &content) { rtcp::append(out, content); }, item);
      if (const auto *report = std::get_if<rtcp::ReceiverReport>(&item))
        for (const auto &block : report->blocks) static_cast<void>(round_trip(block, 1ULL << 40));
      if (const auto *report = std::get_if<rtcp::SenderReport>(&item))
        static_cast<void>(ntp_to_nanoseconds(report->ntp));
    }
    if (!items->empty()) {
      const auto again = rtcp::parse(out);
      if (!again || again->size() != items->size()) std::abort();
    }
  }
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  const auto profile = H264Profile::from_fmtp(text);
  if (profile.profile_level_id().size() != 6) std::abort();
  static_cast<void>(H264Profile::from_avcc(input));
  return 0;
}
