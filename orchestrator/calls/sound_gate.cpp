// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/sound_gate.h"

namespace junctor::calls {

namespace {

constexpr auto kData =
    static_cast<GstPadProbeType>(GST_PAD_PROBE_TYPE_BUFFER | GST_PAD_PROBE_TYPE_BUFFER_LIST);
/// Decoders tell how long what they make is; what none tells is taken for a usual packet.
constexpr Duration kUntold = std::chrono::milliseconds(20);

/// The macros for either do not look which of them it is.
bool is_list(GstPadProbeInfo *info) {
  return GST_PAD_PROBE_INFO_TYPE(info) & GST_PAD_PROBE_TYPE_BUFFER_LIST;
}

std::size_t bytes_of(GstPadProbeInfo *info) {
  return is_list(info) ? gst_buffer_list_calculate_size(GST_PAD_PROBE_INFO_BUFFER_LIST(info))
                       : gst_buffer_get_size(GST_PAD_PROBE_INFO_BUFFER(info));
}

Duration length_of(GstPadProbeInfo *info) {
  const auto of = [](GstBuffer *buffer) {
    return GST_BUFFER_DURATION_IS_VALID(buffer)
               ? std::chrono::duration_cast<Duration>(
                     std::chrono::nanoseconds(GST_BUFFER_DURATION(buffer)))
               : kUntold;
  };
  if (!is_list(info)) return of(GST_PAD_PROBE_INFO_BUFFER(info));
  Duration all{};
  GstBufferList *list = GST_PAD_PROBE_INFO_BUFFER_LIST(info);
  for (guint i = 0; i < gst_buffer_list_length(list); ++i) all += of(gst_buffer_list_get(list, i));
  return all;
}

GstPadProbeReturn on_coded(GstPad *, GstPadProbeInfo *info, gpointer data) {
  auto &budget = **static_cast<std::shared_ptr<SoundBudget> *>(data);
  return budget.admit(bytes_of(info), Clock::now()) ? GST_PAD_PROBE_OK : GST_PAD_PROBE_DROP;
}

GstPadProbeReturn on_decoded(GstPad *, GstPadProbeInfo *info, gpointer data) {
  auto &budget = **static_cast<std::shared_ptr<SoundBudget> *>(data);
  return budget.spend(length_of(info), Clock::now()) ? GST_PAD_PROBE_OK : GST_PAD_PROBE_DROP;
}

void watch(GstPad *pad, GstPadProbeCallback probe, const std::shared_ptr<SoundBudget> &budget) {
  gst_pad_add_probe(pad, kData, probe, new std::shared_ptr<SoundBudget>(budget), [](gpointer data) {
    delete static_cast<std::shared_ptr<SoundBudget> *>(data);
  });
}

}  // namespace

void SoundGate::attach(const std::vector<CodingRoute> &routes) {
  for (const CodingRoute &route : routes) {
    if (route.medium != Medium::Audio) continue;
    auto &budget = budgets_[index_of(route.taker)];
    budget = std::make_shared<SoundBudget>(Clock::now());
    watch(route.first.get(), on_coded, budget);
    watch(route.decoded.get(), on_decoded, budget);
  }
}

std::uint64_t SoundGate::left_out() const {
  std::uint64_t packets = 0;
  for (const auto &budget : budgets_)
    if (budget) packets += budget->left_out();
  return packets;
}

}  // namespace junctor::calls
