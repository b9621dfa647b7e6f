// SPDX-License-Identifier: LGPL-2.1-or-later
// Session descriptions as plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

/// A reader and writer of SDP (RFC 4566), as far as offer and answer need it. It is our own instead
/// of Sofia's: what strangers send is read within bounds, without terminating zeros to rely on, and
/// the fuzzer's sanitizers see every access.
namespace junctor::sip::sdp {

inline constexpr std::size_t kMaxSize = 65536;   ///< bytes of a whole description
inline constexpr std::size_t kMaxLine = 2048;    ///< bytes of one line; longer ones are an error
inline constexpr std::size_t kMaxMedia = 16;     ///< m= lines
inline constexpr std::size_t kMaxFormats = 64;   ///< formats of one m= line
inline constexpr std::size_t kMaxFeedback = 64;  ///< a=rtcp-fb lines of one medium
inline constexpr std::size_t kMaxCrypto = 32;    ///< a=crypto lines of one medium

/// As the description's sender sees it (RFC 4566 section 6).
enum class Direction : std::uint8_t { SendRecv, SendOnly, RecvOnly, Inactive };

std::string_view to_string(Direction direction);

/// The same direction seen from the other side.
Direction mirrored(Direction direction);

/// One number of an m= line with what a=rtpmap and a=fmtp say of it.
struct Format {
  int payload_type = -1;  ///< 0 to 127
  std::string encoding;   ///< of the rtpmap, as written; empty if there was none
  std::uint32_t clock_rate = 0;
  int channels = 1;
  std::string fmtp;
};

/// RTCP feedback that the sender understands (RFC 4585 section 4.2); -1 is "*", all formats.
struct Feedback {
  int payload_type = -1;
  std::string value;  ///< "nack pli", "ccm fir" …
};

/// a=rtcp (RFC 3605).
struct Rtcp {
  std::uint16_t port = 0;
  std::string address;  ///< empty: that of the medium
};

/// a=crypto (RFC 4568 section 9.1). Its keys are secrets: never to be logged.
struct Crypto {
  unsigned tag = 0;                         ///< at most nine digits
  std::string suite;                        ///< as written
  std::string key_params;                   ///< "inline:…", with ';' between several
  std::vector<std::string> session_params;  ///< in order, at most 16
};

struct MediaLine {
  std::string kind;        ///< "audio", "video" …
  std::uint16_t port = 0;  ///< 0: refused or switched off
  std::string protocol = "RTP/AVP";
  std::vector<Format> formats;           ///< in order; empty where the formats are no numbers
  std::vector<std::string> raw_formats;  ///< the format list as written
  std::string address;                   ///< of its own c= line; empty: the session's
  std::optional<Direction> direction;    ///< nothing: the session's
  std::optional<Rtcp> rtcp;
  bool rtcp_mux = false;  ///< RFC 5761
  std::vector<Feedback> feedback;
  /// In order. A malformed line is as if it were not there: it offers nothing that can be used.
  std::vector<Crypto> crypto;
  std::uint32_t bandwidth_kbps = 0;  ///< b=TIAS (RFC 3890) or b=AS; 0 for none
};

struct Description {
  std::string user = "-";            ///< o=
  std::uint64_t id = 0;              ///< o=, session id
  std::uint64_t version = 0;         ///< o=, rises with each change
  std::string origin_address;        ///< o=
  std::string name = "-";            ///< s=
  std::string address;               ///< c= of the session; may be empty
  std::uint32_t bandwidth_kbps = 0;  ///< of all media together
  std::optional<Direction> direction;
  std::vector<MediaLine> media;

  /// Where this medium is wanted; empty if neither has a c= line.
  const std::string &address_of(const MediaLine &medium) const;
  /// The medium's direction, else the session's, else sendrecv.
  Direction direction_of(const MediaLine &medium) const;
};

/// Reads one description; errors name the line. Unknown lines and attributes are skipped, as RFC
/// 4566 section 5 wants. Addresses are checked to be numeric or plausible host names, no more.
Result<Description> parse(std::string_view text);

/// With CRLF, in the order of RFC 4566 section 5.
std::string to_string(const Description &description);

}  // namespace junctor::sip::sdp
