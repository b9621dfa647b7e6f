// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sound/core/resampler.h"

#include <algorithm>
#include <string>
#include <utility>

#include "common/handle.h"

extern "C" {
#include <libavutil/channel_layout.h>
#include <libswresample/swresample.h>
}

namespace junctor::sound {

namespace {

struct SwrReleaser {
  void operator()(SwrContext *context) const { swr_free(&context); }
};
using SwrRef = std::unique_ptr<SwrContext, SwrReleaser>;

/// Taps of libswresample's usual filter, at the lower of both rates.
constexpr int kTaps = 32;
constexpr std::size_t kMostSamples = std::size_t{1} << 24;

AVChannelLayout layout_of(int channels, std::uint64_t places) {
  AVChannelLayout layout{};
  if (places == 0 || av_channel_layout_from_mask(&layout, places) < 0 ||
      layout.nb_channels != channels)
    av_channel_layout_default(&layout, channels);
  return layout;
}

Error fails(const char *what) {
  return internal_error(std::string("libswresample does not ") + what);
}

}  // namespace

struct Resampler::Context {
  SwrRef swr;
  Source source;
  Target target;
};

Resampler::Resampler(std::unique_ptr<Context> context) : context_(std::move(context)) {}
Resampler::Resampler(Resampler &&) noexcept = default;
Resampler &Resampler::operator=(Resampler &&) noexcept = default;
Resampler::~Resampler() = default;

Result<Resampler> Resampler::create(const Source &source, Target target) {
  const Error unable =
      bad_input("libswresample makes no sound of " + std::to_string(target.rate) + " Hz and " +
                std::to_string(target.channels) + " channels of one of " +
                std::to_string(source.rate) + " Hz and " + std::to_string(source.channels));
  if (source.format < 0 || source.rate <= 0 || target.rate <= 0 || source.channels <= 0 ||
      target.channels <= 0)
    return unable;
  auto context = std::make_unique<Context>();
  AVChannelLayout from = layout_of(source.channels, source.places);
  AVChannelLayout to = layout_of(target.channels, 0);
  SwrContext *made = nullptr;
  const int set =
      swr_alloc_set_opts2(&made, &to, AV_SAMPLE_FMT_S16, target.rate, &from,
                          static_cast<AVSampleFormat>(source.format), source.rate, 0, nullptr);
  context->swr.reset(made);
  if (set < 0 || swr_init(made) < 0) return unable;
  context->source = source;
  context->target = target;
  return Resampler(std::move(context));
}

std::size_t Resampler::most_of(std::size_t samples) const {
  const int most =
      swr_get_out_samples(context_->swr.get(), static_cast<int>(std::min(samples, kMostSamples)));
  // A flush makes up for what the end of the filter lacks.
  return static_cast<std::size_t>(std::max(0, most)) + kTaps;
}

Result<std::size_t> Resampler::convert(const std::uint8_t *const *planes, std::size_t samples,
                                       std::span<std::int16_t> out) {
  auto *place = reinterpret_cast<std::uint8_t *>(out.data());
  const auto channels = static_cast<std::size_t>(context_->target.channels);
  if (samples > kMostSamples) return bad_input("too many samples at once");
  const int written =
      swr_convert(context_->swr.get(), &place, static_cast<int>(out.size() / channels),
                  const_cast<const std::uint8_t **>(planes), static_cast<int>(samples));
  if (written < 0) return fails("take the samples");
  return static_cast<std::size_t>(written);
}

Result<std::size_t> Resampler::flush(std::span<std::int16_t> out) {
  auto *place = reinterpret_cast<std::uint8_t *>(out.data());
  const auto channels = static_cast<std::size_t>(context_->target.channels);
  const int written =
      swr_convert(context_->swr.get(), &place, static_cast<int>(out.size() / channels), nullptr, 0);
  if (swr_init(context_->swr.get()) < 0) return fails("begin anew");
  if (written < 0) return fails("give what it has");
  return static_cast<std::size_t>(written);
}

Moment Resampler::delay() const {
  const Context &own = *context_;
  if (own.source.rate == own.target.rate) return {};
  return Moment(std::chrono::seconds(kTaps / 2)) / std::min(own.source.rate, own.target.rate);
}

}  // namespace junctor::sound
