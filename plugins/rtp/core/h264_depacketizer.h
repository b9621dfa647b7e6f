// SPDX-License-Identifier: LGPL-2.1-or-later
// From RTP packets of H.264 to its pictures.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "common/bytes.h"
#include "common/result.h"
#include "rtp/core/depacketizer.h"

namespace junctor::rtp {

/// RFC 6184, packetization modes 0 and 1: single NAL units, STAP-A, FU-A. A frame is an access unit
/// with a length of four bytes before each NAL unit; parameter sets are in its configuration and
/// not in the frames. Of a unit of which a part was lost nothing comes; the others of its access
/// unit do, marked as discontinuous.
class H264Depacketizer final : public Depacketizer {
 public:
  /// Of an access unit, in bytes: what no encoder of a call comes near to.
  static constexpr std::size_t kMostBytes = 4 << 20;

  /// With the parameter sets, NAL units, that the peer's description has (section 8.1). What is
  /// none is as if it were not there.
  explicit H264Depacketizer(std::span<const Bytes> parameter_sets = {});

  Result<void> add(const IncomingPacket &packet, std::vector<UnpackedFrame> &frames) override;
  bool wants_keyframe() const override { return dropped_; }
  /// The configuration of the frames that are given; empty until there are sets of both kinds.
  const SharedBytes &config() const { return config_; }

 private:
  using Sets = std::map<std::uint32_t, Bytes>;  // by their ids

  Result<void> read(const IncomingPacket &packet);
  Result<void> read_aggregate(ByteSpan units);
  Result<void> read_fragment(ByteSpan payload);
  Result<void> put(ByteSpan unit);
  void keep_set(ByteSpan unit);
  bool configure();
  void drop_fragment();
  void close_fragment();
  void finish(std::int64_t offset, std::vector<UnpackedFrame> &frames);

  Sets sps_, pps_;
  bool sets_new_ = false;
  SharedBytes config_;               // of those; empty until there is one of each
  Bytes unit_;                       // the access unit at hand, in part
  bool key_ = false;                 // it has an IDR slice
  bool broken_ = false;              // something of it, or before it, is missing
  std::optional<std::size_t> open_;  // where in it a fragmented unit begins of which parts follow
  std::optional<std::uint64_t> timestamp_;
  bool dropped_ = false;  // access units came before any parameter sets
};

}  // namespace junctor::rtp
