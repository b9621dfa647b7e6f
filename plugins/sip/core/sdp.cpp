// SPDX-License-Identifier: LGPL-2.1-or-later
// Reader and writer of session descriptions.
#include "sip/core/sdp.h"

#include <algorithm>
#include <array>
#include <utility>

#include "common/text.h"
#include "sip/core/uri.h"

namespace junctor::sip::sdp {

namespace {

constexpr std::size_t kMaxTagDigits = 9;  // RFC 4568 section 9.1
constexpr std::size_t kMaxSessionParams = 16;

constexpr std::array kDirections{
    std::pair{Direction::SendRecv, std::string_view("sendrecv")},
    std::pair{Direction::SendOnly, std::string_view("sendonly")},
    std::pair{Direction::RecvOnly, std::string_view("recvonly")},
    std::pair{Direction::Inactive, std::string_view("inactive")},
};

/// Cuts the next word off `rest`; empty at the end.
std::string_view next_word(std::string_view &rest) {
  const auto start = rest.find_first_not_of(' ');
  if (start == std::string_view::npos) {
    rest = {};
    return {};
  }
  rest.remove_prefix(start);
  const auto end = std::min(rest.find(' '), rest.size());
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(end);
  return word;
}

/// Cuts up to `mark` off `rest`, and the mark with it.
std::string_view cut(std::string_view &rest, char mark) {
  const auto end = rest.find(mark);
  const std::string_view head = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return head;
}

bool printable(std::string_view text) {
  return std::ranges::none_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
  });
}

std::optional<int> payload_type(std::string_view text) {
  const auto value = number<int>(text);
  return value && *value >= 0 && *value <= 127 ? value : std::nullopt;
}

/// "IN IP4 192.0.2.1/127"; the address alone, nothing if malformed.
std::optional<std::string> connection_address(std::string_view value) {
  if (next_word(value) != "IN") return std::nullopt;
  const std::string_view type = next_word(value);
  if (type != "IP4" && type != "IP6") return std::nullopt;
  std::string_view rest = next_word(value);
  const std::string_view address = cut(rest, '/');
  if (!is_host(address)) return std::nullopt;
  return std::string(address);
}

class Parser {
 public:
  Result<Description> run(std::string_view text) {
    if (text.size() > kMaxSize)
      return bad_input("SDP of " + std::to_string(text.size()) + " bytes, more than " +
                       std::to_string(kMaxSize));
    while (!text.empty()) {
      ++line_;
      std::string_view line = cut(text, '\n');
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      if (line.empty()) continue;
      if (auto done = read(line); !done) return done.error();
    }
    if (!seen_version_) return bad_input("SDP without a v= line");
    if (!seen_origin_) return bad_input("SDP without an o= line");
    return std::move(description_);
  }

 private:
  Error fail(const std::string &what) const {
    return bad_input("SDP line " + std::to_string(line_) + ": " + what);
  }

  Result<void> read(std::string_view line) {
    if (line.size() > kMaxLine) return fail("too long");
    if (line.size() < 2 || line[1] != '=') return fail("not of the form x=value");
    if (!printable(line)) return fail("has control characters");
    const std::string_view value = line.substr(2);
    if (line[0] != 'v' && !seen_version_) return fail("comes before v=");
    switch (line[0]) {
      case 'v':
        if (seen_version_ || trimmed(value) != "0") return fail("is not one v=0");
        seen_version_ = true;
        return {};
      case 'o':
        return read_origin(value);
      case 's':
        description_.name = value;
        return {};
      case 'c':
        return read_connection(value);
      case 'b':
        read_bandwidth(value);
        return {};
      case 'm':
        return read_media(value);
      case 'a':
        return read_attribute(value);
      default:
        return {};
    }
  }

  Result<void> read_origin(std::string_view value) {
    if (seen_origin_) return fail("is a second o=");
    seen_origin_ = true;
    description_.user = next_word(value);
    // Numbers by the standard, but phones with longer ones exist: those count as 0.
    description_.id = number<std::uint64_t>(next_word(value)).value_or(0);
    description_.version = number<std::uint64_t>(next_word(value)).value_or(0);
    next_word(value);
    next_word(value);
    const std::string_view address = next_word(value);
    if (address.empty()) return fail("o= has too few fields");
    description_.origin_address = address;
    return {};
  }

  Result<void> read_connection(std::string_view value) {
    auto address = connection_address(value);
    if (!address) return fail("c= is not IN IP4 or IP6 with an address");
    (description_.media.empty() ? description_.address : description_.media.back().address) =
        std::move(*address);
    return {};
  }

  void read_bandwidth(std::string_view value) {
    const std::string_view kind = cut(value, ':');
    const auto read = number<std::uint32_t>(trimmed(value));
    if (!read || (kind != "AS" && kind != "TIAS")) return;
    const std::uint32_t kbps = kind == "TIAS" ? *read / 1000 + (*read % 1000 != 0) : *read;
    if (kbps == 0) return;
    std::uint32_t &known = description_.media.empty() ? description_.bandwidth_kbps
                                                      : description_.media.back().bandwidth_kbps;
    // Where both are there they say the same, the one with headers and the other without.
    known = known == 0 ? kbps : std::min(known, kbps);
  }

  Result<void> read_media(std::string_view value) {
    if (description_.media.size() == kMaxMedia) return fail("one m= too many");
    MediaLine medium;
    medium.kind = next_word(value);
    std::string_view ports = next_word(value);
    const auto port = number<std::uint16_t>(cut(ports, '/'));
    medium.protocol = next_word(value);
    if (medium.kind.empty() || !port || medium.protocol.empty())
      return fail("m= is not MEDIA PORT PROTOCOL FORMATS");
    medium.port = *port;
    const bool rtp =
        medium.protocol.starts_with("RTP/") || medium.protocol.find("/RTP/") != std::string::npos;
    for (std::string_view word = next_word(value); !word.empty(); word = next_word(value)) {
      if (medium.raw_formats.size() == kMaxFormats) return fail("m= has too many formats");
      medium.raw_formats.emplace_back(word);
      if (!rtp) continue;
      const auto type = payload_type(word);
      if (!type) return fail("m= has a payload type that is not 0 to 127");
      medium.formats.emplace_back().payload_type = *type;
    }
    if (medium.raw_formats.empty()) return fail("m= has no format");
    description_.media.push_back(std::move(medium));
    return {};
  }

  Result<void> read_attribute(std::string_view value) {
    const std::string_view name = cut(value, ':');
    for (const auto &[direction, word] : kDirections) {
      if (name != word) continue;
      (description_.media.empty() ? description_.direction : description_.media.back().direction) =
          direction;
      return {};
    }
    if (description_.media.empty()) return {};
    MediaLine &medium = description_.media.back();
    if (name == "rtpmap") return read_rtpmap(medium, value);
    if (name == "fmtp") {
      if (Format *format = format_of(medium, next_word(value))) format->fmtp = trimmed(value);
      return {};
    }
    if (name == "rtcp") return read_rtcp(medium, value);
    if (name == "rtcp-mux") medium.rtcp_mux = true;
    if (name == "crypto") return read_crypto(medium, value);
    if (name == "rtcp-fb") {
      if (medium.feedback.size() == kMaxFeedback) return fail("one rtcp-fb too many");
      const std::string_view type = next_word(value);
      const auto known = payload_type(type);
      if (known || type == "*")
        medium.feedback.push_back({known.value_or(-1), std::string(trimmed(value))});
    }
    return {};
  }

  Result<void> read_crypto(MediaLine &medium, std::string_view value) {
    if (medium.crypto.size() == kMaxCrypto) return fail("one a=crypto too many");
    const std::string_view digits = next_word(value);
    const auto tag = digits.size() <= kMaxTagDigits ? number<unsigned>(digits) : std::nullopt;
    Crypto crypto;
    crypto.tag = tag.value_or(0);
    crypto.suite = next_word(value);
    crypto.key_params = next_word(value);
    for (std::string_view word = next_word(value); !word.empty(); word = next_word(value)) {
      if (crypto.session_params.size() == kMaxSessionParams) return {};
      crypto.session_params.emplace_back(word);
    }
    if (tag && !crypto.suite.empty() && !crypto.key_params.empty())
      medium.crypto.push_back(std::move(crypto));
    return {};
  }

  static Format *format_of(MediaLine &medium, std::string_view type) {
    const auto wanted = payload_type(type);
    if (!wanted) return nullptr;
    const auto found = std::ranges::find(medium.formats, *wanted, &Format::payload_type);
    return found == medium.formats.end() ? nullptr : &*found;
  }

  Result<void> read_rtpmap(MediaLine &medium, std::string_view value) {
    Format *format = format_of(medium, next_word(value));
    if (!format) return {};  // maps may be left over for formats that are not listed
    std::string_view map = next_word(value);
    const std::string_view encoding = cut(map, '/');
    const auto rate = number<std::uint32_t>(cut(map, '/'));
    if (encoding.empty() || !rate || *rate == 0) return fail("rtpmap is not NAME/RATE");
    const auto channels = map.empty() ? std::optional<int>(1) : number<int>(map);
    if (!channels || *channels < 1 || *channels > 255) return fail("rtpmap has odd channels");
    format->encoding = encoding;
    format->clock_rate = *rate;
    format->channels = *channels;
    return {};
  }

  Result<void> read_rtcp(MediaLine &medium, std::string_view value) {
    const auto port = number<std::uint16_t>(next_word(value));
    if (!port) return fail("a=rtcp has no port");
    Rtcp rtcp{.port = *port, .address = {}};
    if (!trimmed(value).empty()) {
      auto address = connection_address(value);
      if (!address) return fail("a=rtcp has a malformed address");
      rtcp.address = std::move(*address);
    }
    medium.rtcp = std::move(rtcp);
    return {};
  }

  Description description_;
  std::size_t line_ = 0;
  bool seen_version_ = false, seen_origin_ = false;
};

std::string address_line(const std::string &address) {
  return (address.find(':') == std::string::npos ? "IN IP4 " : "IN IP6 ") + address;
}

void write_media(std::string &out, const MediaLine &medium) {
  out += "m=" + medium.kind + ' ' + std::to_string(medium.port) + ' ' + medium.protocol;
  if (medium.formats.empty())
    for (const std::string &word : medium.raw_formats) out += ' ' + word;
  for (const Format &format : medium.formats) out += ' ' + std::to_string(format.payload_type);
  out += "\r\n";
  if (!medium.address.empty()) out += "c=" + address_line(medium.address) + "\r\n";
  if (medium.bandwidth_kbps != 0) out += "b=AS:" + std::to_string(medium.bandwidth_kbps) + "\r\n";
  for (const Format &format : medium.formats) {
    const std::string type = std::to_string(format.payload_type);
    if (!format.encoding.empty()) {
      out += "a=rtpmap:" + type + ' ' + format.encoding + '/' + std::to_string(format.clock_rate);
      if (format.channels != 1) out += '/' + std::to_string(format.channels);
      out += "\r\n";
    }
    if (!format.fmtp.empty()) out += "a=fmtp:" + type + ' ' + format.fmtp + "\r\n";
  }
  for (const Feedback &feedback : medium.feedback)
    out += "a=rtcp-fb:" +
           (feedback.payload_type < 0 ? std::string("*") : std::to_string(feedback.payload_type)) +
           ' ' + feedback.value + "\r\n";
  if (medium.rtcp) {
    out += "a=rtcp:" + std::to_string(medium.rtcp->port);
    if (!medium.rtcp->address.empty()) out += ' ' + address_line(medium.rtcp->address);
    out += "\r\n";
  }
  for (const Crypto &crypto : medium.crypto) {
    out += "a=crypto:" + std::to_string(crypto.tag) + ' ' + crypto.suite + ' ' + crypto.key_params;
    for (const std::string &parameter : crypto.session_params) out += ' ' + parameter;
    out += "\r\n";
  }
  if (medium.rtcp_mux) out += "a=rtcp-mux\r\n";
  if (medium.direction) out.append("a=").append(to_string(*medium.direction)).append("\r\n");
}

}  // namespace

std::string_view to_string(Direction direction) {
  for (const auto &[candidate, word] : kDirections)
    if (candidate == direction) return word;
  return "inactive";
}

Direction mirrored(Direction direction) {
  if (direction == Direction::SendOnly) return Direction::RecvOnly;
  if (direction == Direction::RecvOnly) return Direction::SendOnly;
  return direction;
}

const std::string &Description::address_of(const MediaLine &medium) const {
  return medium.address.empty() ? address : medium.address;
}

Direction Description::direction_of(const MediaLine &medium) const {
  return medium.direction.value_or(direction.value_or(Direction::SendRecv));
}

Result<Description> parse(std::string_view text) { return Parser().run(text); }

std::string to_string(const Description &description) {
  std::string out = "v=0\r\no=" + description.user + ' ' + std::to_string(description.id) + ' ' +
                    std::to_string(description.version) + ' ' +
                    address_line(description.origin_address) + "\r\ns=" + description.name + "\r\n";
  if (!description.address.empty()) out += "c=" + address_line(description.address) + "\r\n";
  if (description.bandwidth_kbps != 0)
    out += "b=AS:" + std::to_string(description.bandwidth_kbps) + "\r\n";
  out += "t=0 0\r\n";
  if (description.direction)
    out.append("a=").append(to_string(*description.direction)).append("\r\n");
  for (const MediaLine &medium : description.media) write_media(out, medium);
  return out;
}

}  // namespace junctor::sip::sdp
