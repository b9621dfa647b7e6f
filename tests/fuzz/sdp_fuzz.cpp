// SPDX-License-Identifier: LGPL-2.1-or-later
// Any bytes as a session description, as an offer and as an answer.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "rtp/core/parameters.h"
#include "sip/core/negotiate.h"
#include "sip/core/sdp.h"

using namespace junctor;

namespace {

/// What each reader of parameters promises, whatever it is given.
void check_parameters(const std::string &fmtp) {
  const auto h263 = rtp::H263Limits::from_fmtp(fmtp);
  if (h263.sizes.empty() || h263.kbit_per_second < 0) std::abort();
  for (const rtp::PictureSize &size : h263.sizes)
    if (size.width < 4 || size.width > 2048 || size.height < 4 || size.height > 1152 ||
        size.interval < 1 || size.interval > 32)
      std::abort();
  const auto vp8 = rtp::Vp8Limits::from_fmtp(fmtp);
  if (vp8.max_rate < 0 || vp8.max_macroblocks < 0) std::abort();
  const auto speex = rtp::SpeexPreferences::from_fmtp(fmtp);
  if (speex.mode < -1 || speex.mode > 10) std::abort();
  for (const char *name : {"mpeg4-generic", "mp4a-latm"}) {
    const rtp::Format &format = *rtp::find_formats(name).front();
    const auto config = rtp::AacConfig::from_fmtp(format, fmtp);
    if (!config) continue;
    const auto again = rtp::AacConfig::from_fmtp(format, config->fmtp(format));
    if (!again || *again != *config) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const auto description = sip::sdp::parse({reinterpret_cast<const char *>(data), size});
  if (!description) return 0;

  // What was read can be written, read again and is then the same.
  const std::string written = sip::sdp::to_string(*description);
  const auto again = sip::sdp::parse(written);
  if (again && sip::sdp::to_string(*again) != written) std::abort();

  // All that can be offered, so that the parameters of each format are read.
  static const std::vector<sip::OwnMedium> media = [] {
    std::vector<sip::Offered> all;
    for (const rtp::Format &format : rtp::formats()) all.push_back({&format});
    return std::vector<sip::OwnMedium>{{.medium = Medium::Audio,
                                        .port = 20000,
                                        .formats = sip::offered_formats(Medium::Audio, all, {}),
                                        .srtp = sip::own_srtp(rtp::SrtpPolicy::Prefer, true)},
                                       {.medium = Medium::Video,
                                        .port = 20002,
                                        .formats = sip::offered_formats(Medium::Video, all, {})}};
  }();
  const sip::Identity identity{"192.0.2.1", 1, 1};
  const auto agreed = sip::read_answer(media, *description);
  if (agreed.size() != media.size()) std::abort();
  const sip::Answer answer = sip::make_answer(identity, media, agreed, *description);
  // RFC 3264 section 6: as many lines in the answer as in the offer, and ours must be readable.
  if (answer.description.media.size() != description->media.size()) std::abort();
  for (const sip::Agreed &medium : answer.agreed)
    if (medium.accepted && (!medium.format || medium.remote.rtp.port == 0)) std::abort();
  // As the first offer of a call: what holds a place is refused, and said again as it was.
  const auto laid = sip::laid_out(media, *description);
  const sip::Answer first = sip::make_answer(identity, laid, {}, *description);
  const auto later = sip::make_offer(identity, sip::offered_again(laid, first.agreed));
  for (std::size_t i = 0; i < laid.size(); ++i)
    if (later.media[i].kind != description->media[i].kind ||
        (laid[i].placeholder && (first.agreed[i].accepted || later.media[i].port != 0)))
      std::abort();
  for (const sip::sdp::MediaLine &line : description->media)
    for (const sip::sdp::Format &format : line.formats) check_parameters(format.fmtp);
  // Who sends and who decodes rely on it: what was agreed on has a configuration.
  for (const sip::Agreed &medium : agreed)
    if (medium.accepted && medium.format->variable) {
      const auto config = rtp::AacConfig::from_fmtp(*medium.format, medium.fmtp);
      if (!config || config->rate != medium.stream.clock_rate ||
          config->channels != medium.channels)
        std::abort();
    }
  return 0;
}
