// SPDX-License-Identifier: LGPL-2.1-or-later
// Any bytes as the lines of a medium with keys, in an offer and in an answer.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "sip/core/sdes.h"
#include "sip/core/sdp.h"

using namespace junctor;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const auto description =
      sip::sdp::parse("v=0\r\no=- 1 1 IN IP4 192.0.2.4\r\nm=audio 4000 RTP/SAVP 8\r\n" +
                      std::string(reinterpret_cast<const char *>(data), size));
  if (!description) return 0;
  for (const sip::sdp::MediaLine &line : description->media) {
    if (line.crypto.size() > sip::sdp::kMaxCrypto) std::abort();
    for (const sip::sdp::Crypto &crypto : line.crypto) {
      const auto key = sip::read_crypto(crypto);
      if (!key) {
        // What is said of a key that cannot be used gives nothing of it away.
        const std::size_t secret = crypto.key_params.find(':');
        if (secret != std::string::npos && crypto.key_params.size() > secret + 40 &&
            key.error().detail.find(crypto.key_params.substr(secret)) != std::string::npos)
          std::abort();
        continue;
      }
      if (key->master.size() != rtp::master_size(key->suite)) std::abort();
      const auto again = sip::read_crypto(sip::write_crypto(crypto.tag, *key));
      if (!again || *again != *key) std::abort();
    }
    static const sip::OwnSrtp policies[] = {sip::own_srtp(rtp::SrtpPolicy::Off, true),
                                            sip::own_srtp(rtp::SrtpPolicy::Prefer, true),
                                            sip::own_srtp(rtp::SrtpPolicy::Prefer, false),
                                            sip::own_srtp(rtp::SrtpPolicy::Require, true)};
    for (const sip::OwnSrtp &own : policies) {
      const auto answered = sip::answer_srtp(own, line);
      if (answered && answered->keys.has_value() == answered->lines.empty()) std::abort();
      const auto read = sip::read_srtp_answer(own, line);
      const bool required = own.policy == rtp::SrtpPolicy::Require;
      if (required && ((answered && !answered->keys) || (read && !*read))) std::abort();
    }
  }
  return 0;
}
