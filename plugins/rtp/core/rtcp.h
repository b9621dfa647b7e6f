// SPDX-License-Identifier: LGPL-2.1-or-later
// RTCP on the wire (RFC 3550 section 6, RFC 4585, RFC 5104).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/bytes.h"
#include "common/result.h"

namespace junctor::rtp::rtcp {

/// RFC 3550 section 6.4.1.
struct ReportBlock {
  std::uint32_t ssrc = 0;                 ///< whose packets this is about
  std::uint8_t fraction_lost = 0;         ///< of 256, since the last report
  std::int32_t cumulative_lost = 0;       ///< 24 bits, signed
  std::uint32_t highest_sequence = 0;     ///< cycles in the upper half
  std::uint32_t jitter = 0;               ///< in units of the media clock
  std::uint32_t last_sr = 0;              ///< middle 32 bits of its NTP time; 0 if none came
  std::uint32_t delay_since_last_sr = 0;  ///< in 1/65536 s

  bool operator==(const ReportBlock &) const = default;
};

struct SenderReport {
  std::uint32_t ssrc = 0;
  std::uint64_t ntp = 0;  ///< 32.32 fixed point, since 1900
  std::uint32_t rtp_timestamp = 0;
  std::uint32_t packets = 0, octets = 0;
  std::vector<ReportBlock> blocks;  ///< at most 31
};

struct ReceiverReport {
  std::uint32_t ssrc = 0;
  std::vector<ReportBlock> blocks;  ///< at most 31
};

/// One chunk; only CNAME is kept of what came.
struct SourceDescription {
  std::uint32_t ssrc = 0;
  std::string cname;  ///< at most 255 bytes
};

struct Bye {
  std::vector<std::uint32_t> ssrcs;  ///< at most 31
  std::string reason;                ///< at most 255 bytes
};

/// Picture loss indication (RFC 4585 section 6.3.1).
struct Pli {
  std::uint32_t sender = 0, media = 0;
};

/// Full intra request (RFC 5104 section 4.3.1), one packet for each entry.
struct Fir {
  std::uint32_t sender = 0, media = 0;
  std::uint8_t request = 0;  ///< sequence number of the request; a repetition has the same
};

/// Generic NACK (RFC 4585 section 6.2.1).
struct Nack {
  std::uint32_t sender = 0, media = 0;
  std::vector<std::uint16_t> lost;
};

using Item = std::variant<SenderReport, ReceiverReport, SourceDescription, Bye, Pli, Fir, Nack>;

/// Every item of a compound packet that this build knows; others are skipped. Fails where versions,
/// lengths or padding contradict each other (RFC 3550 A.2), except that a packet may begin with
/// feedback (RFC 5506).
Result<std::vector<Item>> parse(ByteSpan datagram);

/// Each appends one RTCP packet to `out`.
void append(Bytes &out, const SenderReport &report);
void append(Bytes &out, const ReceiverReport &report);
void append(Bytes &out, const SourceDescription &description);
void append(Bytes &out, const Bye &bye);
void append(Bytes &out, const Pli &pli);
void append(Bytes &out, const Fir &fir);
void append(Bytes &out, const Nack &nack);  ///< `lost` in rising order, else it takes more room

}  // namespace junctor::rtp::rtcp
