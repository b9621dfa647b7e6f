// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sound/core/decoder.h"

#include <string>

namespace junctor::sound {

namespace {

constexpr int kLeastRate = 1000, kMostRate = 384000;  // as caps of sound have it

}  // namespace

Result<std::unique_ptr<Decoder>> Decoder::create(Coding coding, ByteSpan setup) {
  return coding == Coding::Aac ? make_aac_decoder(setup) : make_speex_decoder(setup);
}

Result<void> Decoder::take(ByteSpan packet) {
  const auto none = [this](const std::string &why) {
    return bad_input(std::string("this is no packet of ") + name_ + ": " + why);
  };
  given_ = 0;
  if (packet.empty()) return none("it is empty");
  if (packet.size() > kMostBytes) return none("it is too long");
  if (const auto taken = take_packet(packet); !taken) return none(taken.error().detail);
  return {};
}

std::optional<Decoder::Sound> Decoder::next() {
  auto sound = next_frame();
  if (!sound) return std::nullopt;
  if (++given_ <= kMostFrames && sound->form.rate >= kLeastRate && sound->form.rate <= kMostRate)
    return sound;
  forget();
  return std::nullopt;
}

}  // namespace junctor::sound
