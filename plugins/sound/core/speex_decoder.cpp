// SPDX-License-Identifier: LGPL-2.1-or-later
// libspeex itself: libavcodec's wrapper keeps what a packet has beyond its first frame until the
// next packet comes, and gives what libspeex has not written where there is no frame.
#include <speex/speex.h>
#include <speex/speex_callbacks.h>
#include <speex/speex_stereo.h>

#include <vector>

#include "common/speex.h"
#include "sound/core/decoder.h"

extern "C" {
#include <libavutil/samplefmt.h>
}

namespace junctor::sound {

namespace {

/// What a packet may end with in place of a frame (RFC 5574, section 3.3).
constexpr int kModeBits = 5, kTerminator = 15;

struct DestroyState {
  void operator()(void *state) const { speex_decoder_destroy(state); }
};
struct DestroyStereo {
  void operator()(SpeexStereoState *stereo) const { speex_stereo_state_destroy(stereo); }
};

class SpeexDecoder final : public Decoder {
 public:
  explicit SpeexDecoder(const SpeexHeader &header)
      : Decoder("Speex"),
        state_(speex_decoder_init(speex_lib_get_mode(header.mode))),
        stereo_(header.channels == 2 ? speex_stereo_state_init() : nullptr),
        form_{AV_SAMPLE_FMT_S16, header.rate, header.channels, 0} {
    speex_bits_init(&bits_);
    spx_int32_t rate = header.rate;
    speex_decoder_ctl(state_.get(), SPEEX_SET_SAMPLING_RATE, &rate);
    speex_decoder_ctl(state_.get(), SPEEX_GET_FRAME_SIZE, &frame_size_);
    samples_.resize(static_cast<std::size_t>(frame_size_) *
                    static_cast<std::size_t>(header.channels));
    plane_ = reinterpret_cast<const std::uint8_t *>(samples_.data());
    if (!stereo_) return;
    // How loud each side is comes between the frames (manual, 5.6).
    SpeexCallback callback{};
    callback.callback_id = SPEEX_INBAND_STEREO;
    callback.func = speex_std_stereo_request_handler;
    callback.data = stereo_.get();
    speex_decoder_ctl(state_.get(), SPEEX_SET_HANDLER, &callback);
  }
  ~SpeexDecoder() override { speex_bits_destroy(&bits_); }

  /// How the voice sounds goes on being foretold from what was there: so a gap is heard least.
  void forget() override { speex_bits_reset(&bits_); }

 private:
  Result<void> take_packet(ByteSpan packet) override {
    speex_bits_read_from(&bits_, reinterpret_cast<const char *>(packet.data()),
                         static_cast<int>(packet.size()));
    return {};
  }

  std::optional<Sound> next_frame() override {
    if (speex_bits_remaining(&bits_) < kModeBits ||
        speex_bits_peek_unsigned(&bits_, kModeBits) == kTerminator)
      return std::nullopt;
    if (speex_decode_int(state_.get(), &bits_, samples_.data()) != 0 ||
        speex_bits_remaining(&bits_) < 0) {
      forget();
      return std::nullopt;
    }
    if (stereo_) speex_decode_stereo_int(samples_.data(), frame_size_, stereo_.get());
    return Sound{form_, &plane_, static_cast<std::size_t>(frame_size_)};
  }

  std::unique_ptr<void, DestroyState> state_;
  std::unique_ptr<SpeexStereoState, DestroyStereo> stereo_;
  Source form_;
  SpeexBits bits_{};
  int frame_size_ = 0;
  std::vector<spx_int16_t> samples_;
  const std::uint8_t *plane_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<Decoder>> make_speex_decoder(ByteSpan setup) {
  const auto header = parse_speex_header(setup);
  if (!header) return bad_input("this is no setup of Speex: " + header.error().detail);
  return std::unique_ptr<Decoder>(std::make_unique<SpeexDecoder>(*header));
}

}  // namespace junctor::sound
