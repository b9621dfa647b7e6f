// SPDX-License-Identifier: LGPL-2.1-or-later
// Any bytes as a session description, as an offer and as an answer.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "sip/core/negotiate.h"
#include "sip/core/sdp.h"

using namespace junctor;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const auto description = sip::sdp::parse({reinterpret_cast<const char *>(data), size});
  if (!description) return 0;

  // What was read can be written, read again and is then the same.
  const std::string written = sip::sdp::to_string(*description);
  const auto again = sip::sdp::parse(written);
  if (again && sip::sdp::to_string(*again) != written) std::abort();

  static const std::vector<sip::OwnMedium> media{
      {Medium::Audio, 20000, sip::own_formats(Medium::Audio, {}, {})},
      {Medium::Video, 20002, sip::own_formats(Medium::Video, {}, {})}};
  const sip::Identity identity{"192.0.2.1", 1, 1};
  const auto agreed = sip::read_answer(media, *description);
  if (agreed.size() != media.size()) std::abort();
  const sip::Answer answer = sip::make_answer(identity, media, agreed, *description);
  // RFC 3264 section 6: as many lines in the answer as in the offer, and ours must be readable.
  if (answer.description.media.size() != description->media.size()) std::abort();
  for (const sip::Agreed &medium : answer.agreed)
    if (medium.accepted && (!medium.format || medium.remote.rtp.port == 0)) std::abort();
  return 0;
}
