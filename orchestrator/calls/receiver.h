// SPDX-License-Identifier: LGPL-2.1-or-later
// Which H.263 pictures a SIP peer takes.
#pragma once

#include <string>
#include <vector>

#include "calls/codec_table.h"
#include "rtp/core/parameters.h"

namespace junctor::calls {

/// What a peer's format parameters say, and what is made of it.
struct H263Receiver {
  const H263Size *size = nullptr;  ///< to encode at: the largest up to CIF, else the smallest
  int rate = 30;                   ///< pictures a second at that size

  /// `fmtp` as the peer wrote it. A peer that names no size takes QCIF (RFC 4629, 8.2); but CIF
  /// where `encoding_name` is H263, for RFC 2190 has no parameters.
  static H263Receiver from_fmtp(std::string_view encoding_name, const std::string &fmtp);
  /// Whether a picture of this size may be sent as it is.
  bool takes(int width, int height) const;

 private:
  std::vector<rtp::PictureSize> sizes_;
};

}  // namespace junctor::calls
