// SPDX-License-Identifier: LGPL-2.1-or-later
// From a sink pad to a session.
#include <algorithm>
#include <utility>

#include "common/gst/buffer_bytes.h"
#include "common/gst/shared_buffer.h"
#include "rtp/core/packet.h"
#include "sip/sipcall_media.h"

GST_DEBUG_CATEGORY_EXTERN(junctor_sip_call_sink_debug);
#define GST_CAT_DEFAULT junctor_sip_call_sink_debug

namespace junctor::sipcall {

/// Memories that packets point into, mapped as long as any of them lives.
class MappedMemory {
 public:
  MappedMemory() = default;
  MappedMemory(const MappedMemory &) = delete;
  MappedMemory &operator=(const MappedMemory &) = delete;
  ~MappedMemory() {
    for (GstMapInfo &map : maps_) {
      GstMemory *memory = map.memory;
      gst_memory_unmap(memory, &map);
      gst_memory_unref(memory);
    }
  }
  /// For more than a packet or two.
  void reserve(std::size_t count) { maps_.reserve(count); }
  /// Nothing if it cannot be read.
  std::optional<ByteSpan> map(GstMemory *memory) {
    GstMapInfo map;
    if (!gst_memory_map(gst_memory_ref(memory), &map, GST_MAP_READ)) {
      gst_memory_unref(memory);
      return std::nullopt;
    }
    maps_.push_back(map);
    return std::as_bytes(std::span(map.data, map.size));
  }

 private:
  std::vector<GstMapInfo> maps_;
};

void ClockMap::update(GstElement *element) {
  GstClock *clock = gst_element_get_clock(element);
  if (clock == nullptr) return;
  const GstClockTime running = gst_clock_get_time(clock) - gst_element_get_base_time(element);
  const Duration now = Clock::now().time_since_epoch();
  gst_object_unref(clock);
  offset_ = (now - Duration(static_cast<Duration::rep>(running))).count();
  valid_ = true;
}

bool Inlet::connect(const sip::Media *media) {
  // The peer takes H264 in packetization mode 0 only.
  single_nal_ = media && media->format->codec == Codec::H264 &&
                rtp::H264Profile::from_fmtp(media->fmtp).packetization_mode == 0;
  const std::lock_guard lock(mutex_);
  session_ = media ? media->session : nullptr;
  agreed_ = media ? sent_caps_of(*media) : nullptr;
  judge_format();
  return !wrong_format_;
}

void Inlet::judge_format() {
  wrong_format_ = agreed_ && caps_ && !gst_caps_can_intersect(agreed_.get(), caps_.get());
}

void Inlet::end() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  session_.reset();
}

void Inlet::reset() {
  eos = false;
  dropped_ = 0;
  ssrc_.reset();
  packetizer_.reset();
  h264_ = nullptr;
  unpackable_ = false;
  last_time_ = {};
  gst_segment_init(&segment_, GST_FORMAT_UNDEFINED);
  const std::lock_guard lock(mutex_);
  session_.reset();
  agreed_.reset();
  ended_ = wrong_format_ = false;
  caps_.reset();
}

bool Inlet::has_caps() const {
  const std::lock_guard lock(mutex_);
  return caps_ != nullptr;
}

bool Inlet::is_agreed() const {
  const std::lock_guard lock(mutex_);
  return agreed_ != nullptr;
}

CapsRef Inlet::welcome() const {
  {
    const std::lock_guard lock(mutex_);
    if (agreed_) return CapsRef(gst_caps_ref(agreed_.get()));
  }
  return sent_caps_of(medium_);
}

sip::Offered Inlet::offered(const rtp::Format &format) const {
  const std::lock_guard lock(mutex_);
  return sipcall::offered(format, caps_.get());
}

std::shared_ptr<rtp::Session> Inlet::session() const {
  const std::lock_guard lock(mutex_);
  return session_;
}

Result<void> Inlet::set_caps(const GstCaps *caps) {
  // Frames of other parameters go on, on the same time line: only packets have one of their own.
  auto packetizer = packetizer_for(caps);
  if (!packetizer || !*packetizer || !packetizer_) begin_source();
  unpackable_ = !packetizer;
  packetizer_ = packetizer ? std::move(*packetizer) : nullptr;
  h264_ = dynamic_cast<rtp::H264Packetizer *>(packetizer_.get());
  const std::lock_guard lock(mutex_);
  caps_.reset(gst_caps_copy(caps));
  judge_format();
  return packetizer ? Result<void>() : Result<void>(packetizer.error());
}

std::vector<const rtp::Format *> Inlet::formats() const {
  {
    const std::lock_guard lock(mutex_);
    if (caps_) return formats_in(caps_.get(), medium_);
  }
  const PadRef pad = this->pad();
  if (!pad) return {};
  const CapsRef possible(gst_pad_peer_query_caps(pad.get(), nullptr));
  return formats_in(possible.get(), medium_);
}

std::optional<rtp::H264Profile> Inlet::h264_profile() const {
  const std::lock_guard lock(mutex_);
  return h264_profile_in(caps_.get());
}

bool Inlet::needs_others(GstBuffer *buffer) const {
  return medium_ == Medium::Video && GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
}

bool Inlet::translate(GstBuffer *buffer, const std::shared_ptr<MappedMemory> &memory,
                      rtp::OutgoingPacket &packet) {
  const guint memories = gst_buffer_n_memory(buffer);
  if (memories == 0) return false;
  const auto first = memory->map(gst_buffer_peek_memory(buffer, 0));
  if (!first) return false;
  auto view = rtp::parse_header(*first);
  const bool padded = !first->empty() && (first->front() & std::byte{0x20}) != std::byte{0};
  if (view && !padded && memories == 1) {
    packet.payload.view = view->payload;
  } else if (view && !padded && memories == 2 && view->payload.size() <= packet.prefix.size()) {
    // As payloaders make fragments: a few bytes, then a slice of what they were given.
    std::ranges::copy(view->payload, packet.prefix.begin());
    packet.prefix_size = static_cast<std::uint8_t>(view->payload.size());
    const auto second = memory->map(gst_buffer_peek_memory(buffer, 1));
    if (!second) return false;
    packet.payload.view = *second;
  } else {
    auto copy = SharedBytes::own(copy_of(buffer));
    view = rtp::parse_packet(copy.view);
    if (!view) return false;
    packet.payload = {std::move(copy.owner), view->payload};
  }
  packet.timestamp = view->header.timestamp;
  packet.marker = view->header.marker;
  if (ssrc_ != view->header.ssrc) {
    if (ssrc_) begin_source();  // another payloader: its timestamps have another beginning
    ssrc_ = view->header.ssrc;
  }
  packet.needs_others = needs_others(buffer);
  packet.capture = capture(running_time(buffer));
  if (!packet.payload.owner) packet.payload.owner = std::shared_ptr<const Bytes>(memory, nullptr);
  return true;
}

GstClockTime Inlet::running_time(GstBuffer *buffer) const {
  if (!GST_BUFFER_PTS_IS_VALID(buffer) || segment_.format != GST_FORMAT_TIME)
    return GST_CLOCK_TIME_NONE;
  return gst_segment_to_running_time(&segment_, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
}

/// When content of this running time was captured; unset if that cannot be told.
Time Inlet::capture(GstClockTime running) const {
  if (!GST_CLOCK_TIME_IS_VALID(running) || !clock_->valid()) return {};
  const Time time = clock_->to_time(Duration(static_cast<Duration::rep>(running)));
  // Times that have nothing to do with the clock (a source that is not live) would tell the peer
  // nonsense; then the time of sending stands for them.
  constexpr Duration kPlausible = std::chrono::seconds(10);
  const Duration ahead = time - Clock::now();
  return ahead < -kPlausible || ahead > kPlausible ? Time{} : time;
}

/// On one line with the running times, also for a frame that has none.
std::chrono::nanoseconds Inlet::frame_time(GstClockTime running) {
  if (GST_CLOCK_TIME_IS_VALID(running))
    last_time_ = std::chrono::nanoseconds(static_cast<std::int64_t>(running));
  else if (clock_->valid())
    last_time_ = clock_->to_running(Clock::now());
  return last_time_;
}

/// Appends the packets of one frame.
bool Inlet::pack(GstBuffer *buffer) {
  rtp::Frame frame;
  const guint memories = gst_buffer_n_memory(buffer);
  if (memories == 0) return false;
  if (auto shared = unwrap(buffer)) {
    frame.data = *std::move(shared);
  } else if (memories == 1) {
    const auto memory = std::make_shared<MappedMemory>();
    const auto view = memory->map(gst_buffer_peek_memory(buffer, 0));
    if (!view) return false;
    frame.data = {std::shared_ptr<const Bytes>(memory, nullptr), *view};
  } else {
    frame.data = SharedBytes::own(copy_of(buffer));
  }
  const GstClockTime running = running_time(buffer);
  frame.capture = capture(running);
  frame.time = frame_time(running);
  frame.came = entered_;
  frame.discontinuity = GST_BUFFER_IS_DISCONT(buffer);
  if (h264_ != nullptr) h264_->set_single_nal(single_nal_);
  const std::size_t before = packets_.size();
  const auto packed = packetizer_->add(frame, packets_);
  for (std::size_t i = before; i < packets_.size(); ++i)
    packets_[i].needs_others = needs_others(buffer);
  if (!packed) {
    const PadRef pad = this->pad();
    GST_WARNING_OBJECT(pad.get(), "left out: %s", packed.error().detail.c_str());
  }
  return static_cast<bool>(packed);
}

std::shared_ptr<rtp::Session> Inlet::destination(GstFlowReturn &otherwise) const {
  const std::lock_guard lock(mutex_);
  otherwise = ended_ ? GST_FLOW_EOS : GST_FLOW_OK;
  return ended_ || wrong_format_ || unpackable_ ? nullptr : session_;
}

/// Hands `packets_` over.
void Inlet::send(std::shared_ptr<rtp::Session> session) {
  const bool begin = new_source_.exchange(false);
  packets_.front().entered = entered_;
  const auto reactor = session->reactor();
  if (reactor->in_thread()) {
    if (begin) session->begin_source();
    session->send(packets_);
    packets_.clear();
  } else {
    reactor->post([session = std::move(session), packets = std::exchange(packets_, {}), begin] {
      if (begin) session->begin_source();
      session->send(packets);
    });
  }
}

GstFlowReturn Inlet::push(GstBuffer *buffer) {
  GstFlowReturn flow;
  entered_ = Clock::now();
  auto session = destination(flow);
  bool good = false;
  if (session && packetizer_) {
    good = pack(buffer);
  } else if (session) {
    const auto memory = std::make_shared<MappedMemory>();
    good = translate(buffer, memory, packets_.emplace_back());
    if (!good) packets_.pop_back();
  }
  gst_buffer_unref(buffer);
  if (!good && flow == GST_FLOW_OK) ++dropped_;
  if (!packets_.empty()) send(std::move(session));
  return flow;
}

GstFlowReturn Inlet::push(GstBufferList *list) {
  GstFlowReturn flow;
  entered_ = Clock::now();
  auto session = destination(flow);
  const guint count = gst_buffer_list_length(list);
  guint good = 0;
  if (session) {
    // One for all: packets of a list leave together, and go together.
    const auto memory = packetizer_ ? nullptr : std::make_shared<MappedMemory>();
    if (memory) memory->reserve(std::size_t{2} * count);
    for (guint i = 0; i < count; ++i) {
      GstBuffer *buffer = gst_buffer_list_get(list, i);
      if (packetizer_) {
        good += pack(buffer) ? 1 : 0;
      } else if (translate(buffer, memory, packets_.emplace_back())) {
        ++good;
      } else {
        packets_.pop_back();
      }
    }
  }
  gst_buffer_list_unref(list);
  if (flow == GST_FLOW_OK) dropped_ += count - good;
  if (!packets_.empty()) send(std::move(session));
  return flow;
}

}  // namespace junctor::sipcall
