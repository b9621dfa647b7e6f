// SPDX-License-Identifier: LGPL-2.1-or-later
// AVCDecoderConfigurationRecord and length-prefixed NAL units.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "common/bytes.h"
#include "common/result.h"

namespace junctor {

/// ISO/IEC 14496-15, 5.3.3.1. Parameter sets are views into the bytes that were parsed.
struct AvcConfig {
  std::uint8_t profile = 0;      ///< profile_idc
  std::uint8_t constraints = 0;  ///< constraint_set flags, as in the SPS
  std::uint8_t level = 0;        ///< level_idc
  int nal_length_size = 4;       ///< bytes of each NAL unit's length: 1, 2 or 4
  std::vector<ByteSpan> sps, pps;
};

/// BadInput unless there is at least one SPS and one PPS, each fits and is what it says.
Result<AvcConfig> parse_avc_config(ByteSpan record);

/// A record with 4-byte lengths from parameter sets (NAL units without start code or length).
/// BadInput if there are none, too many (31 SPS, 255 PPS), or one is shorter than 4 bytes (SPS) or
/// empty, or longer than 65,535.
Result<Bytes> build_avc_config(std::span<const ByteSpan> sps, std::span<const ByteSpan> pps);

/// Calls `each` for every NAL unit in order; empty ones are skipped. BadInput, before any call, if
/// a length does not fit or bytes are left over.
Result<void> for_each_nal(ByteSpan access_unit, int nal_length_size,
                          const std::function<void(ByteSpan nal)> &each);

/// What the NAL units of an access unit say about it.
struct AvcPicture {
  bool idr = false;        ///< has an IDR slice
  bool reference = false;  ///< has a slice with nal_ref_idc above 0
  bool slices = false;     ///< has a slice at all
};
Result<AvcPicture> inspect_access_unit(ByteSpan access_unit, int nal_length_size);

}  // namespace junctor
