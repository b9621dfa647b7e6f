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
  int kbit_per_second = 0;         ///< MAXBR, or of its level; 0 unless told

  /// `fmtp` as the peer wrote it, `most_kbit` what else bounds it (0: nothing). A peer that names
  /// no size takes QCIF (RFC 4629, 8.2); but CIF where `encoding_name` is H263, for RFC 2190 has no
  /// parameters.
  static H263Receiver from_fmtp(std::string_view encoding_name, const std::string &fmtp,
                                int most_kbit = 0);
  /// Whether it takes pictures of this size.
  bool takes(int width, int height) const;
  /// Whether whatever comes at this size may be sent as it is: a terminal's pictures a second and
  /// bit rate are not known, so only to who takes all that is usual.
  bool takes_as_it_is(int width, int height) const;

 private:
  std::vector<rtp::PictureSize> sizes_;
};

}  // namespace junctor::calls
