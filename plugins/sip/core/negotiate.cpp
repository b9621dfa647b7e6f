// SPDX-License-Identifier: LGPL-2.1-or-later
// Offer and answer: which media a call has, in which formats.
#include "sip/core/negotiate.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <utility>

#include "sip/core/uri.h"

namespace junctor::sip {

namespace {

// The numbers for the second packetization mode of H.264 and others that the table has no number
// for: the dynamic range (RFC 3551 section 6).
constexpr int kFirstDynamic = 96;
constexpr int kLastDynamic = 127;

constexpr const char *kPli = "nack pli", *kFir = "ccm fir", *kNack = "nack";
constexpr std::array kFeedback{kPli, kFir, kNack};
constexpr int kMostEncodedChannels = 2;
constexpr std::uint32_t kLeastEncodedRate = 8000;

bool known_protocol(const std::string &protocol) {
  return is_plain_profile(protocol) || is_secure_profile(protocol);
}

/// Neither a name nor a group nor everybody: what an answer asks for goes to one host.
bool is_one_host(const std::string &address) {
  in_addr v4{};
  if (inet_pton(AF_INET, address.c_str(), &v4) == 1) return ntohl(v4.s_addr) < 0xe0000000;
  in6_addr v6{};
  return inet_pton(AF_INET6, address.c_str(), &v6) == 1 && !IN6_IS_ADDR_MULTICAST(&v6) &&
         !(IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] >= 0xe0);
}

bool is_nowhere(const std::string &address) { return address == "0.0.0.0" || address == "::"; }

const rtp::Format *known_format(const sdp::Format &format, Medium medium) {
  // A static number may come without a map (RFC 3551 section 6); a map overrules it.
  const rtp::Format *found =
      format.encoding.empty()
          ? rtp::find_static_format(format.payload_type)
          : rtp::find_format(format.encoding, format.clock_rate, format.channels);
  return found && medium_of(found->codec) == medium ? found : nullptr;
}

int packetization_mode(std::string_view fmtp) {
  return rtp::H264Profile::from_fmtp(fmtp).packetization_mode;
}

/// Whether the peer's parameters are those of this one of ours; else why not.
Result<void> fits(const OwnFormat &own, const sdp::Format &theirs) {
  if (own.format->codec == Codec::H264 &&
      packetization_mode(own.fmtp) != packetization_mode(theirs.fmtp))
    return bad_input("its packetization mode was not offered");
  // Who leaves the parameters out can only mean ours.
  if (!own.format->variable || theirs.fmtp.empty()) return {};
  const auto config = rtp::AacConfig::from_fmtp(*own.format, theirs.fmtp);
  if (!config) return config.error();
  if (config->rate != own.clock_rate)
    return bad_input("its config is of " + std::to_string(config->rate) + " Hz, not " +
                     std::to_string(own.clock_rate));
  // What is not as it was offered has to be encoded: encoders make one or two channels, at 8 kHz
  // and above.
  if (config->channels != own.channels &&
      (config->channels > kMostEncodedChannels || config->rate < kLeastEncodedRate))
    return bad_input("its config has " + std::to_string(config->channels) + " channels at " +
                     std::to_string(config->rate) + " Hz, which can be passed on, but not encoded");
  return {};
}

/// Whether the peer's format is this one of ours, whatever its parameters.
bool is_same_format(const OwnFormat &own, const sdp::Format &theirs, Medium medium) {
  // A static number without a map has the clock rate of its row.
  return known_format(theirs, medium) == own.format &&
         (theirs.encoding.empty() || theirs.clock_rate == own.clock_rate);
}

/// The format of ours that theirs is. A number that we offered names it best, even where the
/// packetization mode beside it is missing or another (RFC 3264 section 6.1).
const OwnFormat *find_own(const OwnMedium &medium, const sdp::Format &theirs) {
  const OwnFormat *by_parameters = nullptr, *by_number = nullptr;
  for (const OwnFormat &own : medium.formats) {
    if (!is_same_format(own, theirs, medium.medium)) continue;
    const bool numbered = own.payload_type == theirs.payload_type;
    if (fits(own, theirs)) {
      if (numbered) return &own;
      if (!by_parameters) by_parameters = &own;
    } else if (numbered && own.format->codec == Codec::H264) {
      by_number = &own;
    }
  }
  return by_number ? by_number : by_parameters;
}

/// Why a format that we have is not taken; empty if it is none of ours.
std::string problem_with(const OwnMedium &medium, const sdp::Format &theirs) {
  for (const OwnFormat &own : medium.formats) {
    if (known_format(theirs, medium.medium) != own.format) continue;
    const std::string name = std::string(own.format->encoding_name) + " cannot be taken: ";
    if (!is_same_format(own, theirs, medium.medium))
      return name + "its clock rate is " + std::to_string(theirs.clock_rate) + " Hz, not " +
             std::to_string(own.clock_rate);
    if (const auto fit = fits(own, theirs); !fit) return name + fit.error().detail;
  }
  return {};
}

/// The feedback of ours that `feedback` is; null if it is none.
const char *find_feedback(const sdp::Feedback &feedback) {
  for (const char *own : kFeedback)
    if (feedback.value == own || feedback.value.starts_with(std::string(own) + " smaxpr"))
      return own;
  return nullptr;
}

/// What the line has of our feedback for this format, in its words.
std::vector<sdp::Feedback> common_feedback(const sdp::MediaLine &line, Medium medium,
                                           int payload_type) {
  std::vector<sdp::Feedback> common;
  if (medium != Medium::Video) return common;
  for (const sdp::Feedback &feedback : line.feedback) {
    const char *own = find_feedback(feedback);
    if (!own || (feedback.payload_type != -1 && feedback.payload_type != payload_type)) continue;
    if (std::ranges::find(common, own, &sdp::Feedback::value) == common.end())
      common.push_back({feedback.payload_type, own});
  }
  return common;
}

void use_feedback(const std::vector<sdp::Feedback> &common, rtp::Stream &stream) {
  const auto has = [&](const char *value) {
    return std::ranges::find(common, value, &sdp::Feedback::value) != common.end();
  };
  stream.pli = has(kPli);
  stream.fir = has(kFir);
  stream.nack = has(kNack);
}

/// Where the peer wants this medium; false if that is no place that can be sent to.
bool read_remote(const sdp::Description &description, const sdp::MediaLine &line,
                 rtp::Remote &remote) {
  const std::string &address = description.address_of(line);
  if (!is_one_host(address)) return false;
  remote.rtp = {address, line.port};
  if (line.rtcp) {
    const bool own = is_one_host(line.rtcp->address);
    remote.rtcp = {own ? line.rtcp->address : address, line.rtcp->port};
  } else {
    remote.rtcp = {address, static_cast<std::uint16_t>(line.port + 1)};
  }
  return line.rtcp || line.port != 65535;
}

/// What a peer wants to get of a medium at most; 0 where it does not say. What it says of a whole
/// call is for its picture, but for what sound takes with its headers.
int wanted_kbit(const sdp::Description &description, const sdp::MediaLine &line) {
  constexpr std::uint32_t kMost = 1'000'000, kSound = 80;
  std::uint32_t kbit = line.bandwidth_kbps;
  if (const std::uint32_t all = description.bandwidth_kbps;
      kbit == 0 && all > 0 && line.kind == to_string(Medium::Video))
    kbit = all > kSound ? all - kSound : 1;
  return static_cast<int>(std::min(kbit, kMost));
}

/// Fills in what the line says of address, bandwidth and direction.
bool read_line(const sdp::Description &description, const sdp::MediaLine &line, Agreed &agreed) {
  if (!read_remote(description, line, agreed.remote)) return false;
  agreed.kbit_per_second = wanted_kbit(description, line);
  agreed.direction = sdp::mirrored(description.direction_of(line));
  // The hold of RFC 2543, which RFC 3264 section 8.4 still wants understood.
  const bool nowhere = is_nowhere(agreed.remote.rtp.address);
  if (nowhere && agreed.direction == sdp::Direction::SendRecv)
    agreed.direction = sdp::Direction::RecvOnly;
  if (nowhere && agreed.direction == sdp::Direction::SendOnly)
    agreed.direction = sdp::Direction::Inactive;
  agreed.remote.send =
      agreed.direction == sdp::Direction::SendRecv || agreed.direction == sdp::Direction::SendOnly;
  agreed.remote.receive =
      agreed.direction == sdp::Direction::SendRecv || agreed.direction == sdp::Direction::RecvOnly;
  return true;
}

void accept_format(const OwnFormat &own, const sdp::Format &theirs, int receive_payload_type,
                   const sdp::MediaLine &line, Agreed &agreed) {
  agreed.accepted = true;
  agreed.format = own.format;
  agreed.fmtp = own.format->variable && theirs.fmtp.empty() ? own.fmtp : theirs.fmtp;
  agreed.channels = own.channels;
  if (own.format->variable)
    if (const auto config = rtp::AacConfig::from_fmtp(*own.format, agreed.fmtp))
      agreed.channels = config->channels;
  agreed.stream.payload_type = static_cast<std::uint8_t>(theirs.payload_type);
  agreed.stream.receive_payload_type = static_cast<std::uint8_t>(receive_payload_type);
  agreed.stream.clock_rate = own.clock_rate;
  use_feedback(common_feedback(line, medium_of(own.format->codec), theirs.payload_type),
               agreed.stream);
}

/// `own` is of the answer too, behind the one that was taken.
void add_alternate(const OwnFormat &own, Agreed &agreed) {
  const auto number = static_cast<std::uint8_t>(own.payload_type);
  // Another way to pack the same codec takes another depayloader.
  const bool repacked = own.format != agreed.format && own.format->codec == agreed.format->codec;
  const auto how = rtp::conversion(own.format->codec, agreed.format->codec);
  const bool known =
      number == agreed.stream.receive_payload_type ||
      std::ranges::find(agreed.stream.alternates, number, &rtp::Alternate::payload_type) !=
          agreed.stream.alternates.end();
  if (how && !known && !repacked && own.clock_rate == agreed.stream.clock_rate)
    agreed.stream.alternates.push_back({number, *how});
}

void offer_feedback(sdp::MediaLine &line, Medium medium) {
  // Under RTP/AVP on purpose: phones without feedback refuse RTP/AVPF but skip unknown attributes.
  if (medium != Medium::Video) return;
  for (const char *value : kFeedback) line.feedback.push_back({-1, value});
}

sdp::Format to_sdp(const OwnFormat &own, int payload_type) {
  return {.payload_type = payload_type,
          .encoding = std::string(own.format->encoding_name),
          .clock_rate = own.clock_rate,
          .channels = own.channels,
          .fmtp = own.fmtp};
}

sdp::Description envelope(const Identity &identity) {
  sdp::Description description;
  description.id = identity.id;
  description.version = identity.version;
  description.origin_address = identity.address;
  description.address = identity.address;
  return description;
}

std::string h264_fmtp(const rtp::H264Profile &profile, int mode) {
  return "profile-level-id=" + profile.profile_level_id() +
         ";packetization-mode=" + std::to_string(mode) + ";level-asymmetry-allowed=1";
}

Agreed unaccepted(Medium medium) {
  Agreed agreed;
  agreed.medium = medium;
  return agreed;
}

sdp::MediaLine refused(const sdp::MediaLine &offered) {
  sdp::MediaLine line;
  line.kind = offered.kind;
  line.protocol = offered.protocol;
  line.raw_formats = offered.raw_formats;
  return line;
}

/// How well what we would send goes as it is into `theirs`, one of several formats that `own`
/// takes: whole packets of H.264 (RFC 6184 section 5.4) come before a profile that covers ours, for
/// in packetization mode 0 a stream that was not made for it has to be encoded anew.
int fitness(const OwnMedium &medium, const OwnFormat &own, const sdp::Format &theirs) {
  if (own.format->codec != Codec::H264) return 0;
  const auto first = std::ranges::find(medium.formats, own.format, &OwnFormat::format);
  const auto receiver = rtp::H264Profile::from_fmtp(theirs.fmtp);
  return (receiver.packetization_mode != 0 ? 2 : 0) +
         (rtp::can_receive(receiver, rtp::H264Profile::from_fmtp(first->fmtp)) ? 1 : 0);
}

/// The format of the offer to go on with: the one in use if it is still there, else the first
/// that is also ours, or what is the same and fits better.
const sdp::Format *choose(const OwnMedium &medium, const Agreed *current,
                          const sdp::MediaLine &line) {
  if (current && current->accepted)
    for (const sdp::Format &format : line.formats)
      if (format.payload_type == current->stream.payload_type &&
          known_format(format, medium.medium) == current->format &&
          (current->format->codec == Codec::H264 || find_own(medium, format)))
        return &format;
  const sdp::Format *best = nullptr;
  const OwnFormat *of_best = nullptr;
  for (const sdp::Format &format : line.formats) {
    const OwnFormat *own = find_own(medium, format);
    if (!own) continue;
    const bool same = best && own->rank == of_best->rank && own->format == of_best->format;
    if (best && own->rank >= of_best->rank &&
        !(same && fitness(medium, *own, format) > fitness(medium, *of_best, *best)))
      continue;
    best = &format;
    of_best = own;
  }
  return best;
}

bool can_stand_for(const sdp::MediaLine &line, const OwnMedium &medium) {
  return line.port != 0 && line.kind == to_string(medium.medium) && known_protocol(line.protocol) &&
         choose(medium, nullptr, line);
}

/// What stands against a line that the peer wants, without its keys; empty: nothing that is known.
std::string problem_with(const OwnMedium &medium, const sdp::Description &offer,
                         const sdp::MediaLine &line) {
  if (line.protocol.find("TLS") != std::string::npos)
    return "wants its keys by DTLS (" + line.protocol + "), which is not served";
  if (!known_protocol(line.protocol)) return "is over " + line.protocol + ", which is not served";
  constexpr std::size_t kMostNames = 4;
  std::vector<std::string> names;
  for (const sdp::Format &theirs : line.formats) {
    rtp::Remote remote;
    if (find_own(medium, theirs))
      return read_remote(offer, line, remote) ? ""
                                              : "is wanted at " + offer.address_of(line) +
                                                    ", which is no IP address of one host";
    if (const std::string problem = problem_with(medium, theirs); !problem.empty())
      return "is refused: " + problem;
    const std::string name = theirs.encoding.empty()
                                 ? "payload type " + std::to_string(theirs.payload_type)
                                 : theirs.encoding;
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  std::string list;
  for (std::size_t i = 0; i < names.size() && i < kMostNames; ++i)
    list += (i > 0 ? ", " : "") + names[i];
  if (names.size() > kMostNames) list += " and others";
  return list.empty() ? "has no format" : "is in " + list + " only";
}

OwnMedium place_of(const sdp::MediaLine &line) {
  OwnMedium none;
  none.placeholder = refused(line);
  return none;
}

}  // namespace

bool Agreed::same_as(const Agreed &other) const {
  return medium == other.medium && accepted == other.accepted && format == other.format &&
         fmtp == other.fmtp && channels == other.channels &&
         kbit_per_second == other.kbit_per_second && direction == other.direction &&
         remote.rtp == other.remote.rtp && remote.rtcp == other.remote.rtcp &&
         stream.payload_type == other.stream.payload_type &&
         stream.receive_payload_type == other.stream.receive_payload_type &&
         stream.alternates == other.stream.alternates && stream.pli == other.stream.pli &&
         stream.fir == other.stream.fir && stream.nack == other.stream.nack &&
         stream.srtp == other.stream.srtp && stream.events == other.stream.events;
}

std::vector<OwnFormat> offered_formats(Medium medium, const std::vector<Offered> &offer,
                                       const std::optional<rtp::H264Profile> &h264) {
  std::vector<OwnFormat> own;
  const auto taken = [&own](int number) {
    return std::ranges::any_of(own, [&](const OwnFormat &f) { return f.payload_type == number; });
  };
  const auto free_number = [&](int preferred) {
    if (preferred >= 0 && !taken(preferred)) return preferred;
    for (int number = kFirstDynamic; number <= kLastDynamic; ++number) {
      const bool reserved = std::ranges::any_of(
          rtp::formats(), [&](const rtp::Format &f) { return f.offered_payload_type == number; });
      if (!reserved && !taken(number)) return number;
    }
    return -1;
  };
  const auto add = [&](OwnFormat wanted, int preferred) {
    const bool repeated = std::ranges::any_of(own, [&](const OwnFormat &f) {
      return f.format == wanted.format && f.fmtp == wanted.fmtp &&
             f.clock_rate == wanted.clock_rate && f.channels == wanted.channels;
    });
    wanted.payload_type = repeated ? -1 : free_number(preferred);
    if (wanted.payload_type >= 0) own.push_back(std::move(wanted));
  };

  for (const Offered &wanted : offer) {
    const rtp::Format *format = wanted.format;
    const std::size_t before = own.size();
    if (!format || medium_of(format->codec) != medium) continue;
    const std::string fmtp = wanted.fmtp.empty() ? std::string(format->offered_fmtp) : wanted.fmtp;
    if (format->variable) {
      const auto config = wanted.aac.value_or(rtp::AacConfig{format->clock_rate, format->channels});
      add({format, -1, config.fmtp(*format), config.rate, config.channels},
          format->offered_payload_type);
    } else if (format->codec == Codec::H264 && wanted.fmtp.empty()) {
      const auto profile = h264.value_or(rtp::H264Profile::from_fmtp(fmtp));
      add({format, -1, h264_fmtp(profile, 1), format->clock_rate, 1}, format->offered_payload_type);
      add({format, -1, h264_fmtp(profile, 0), format->clock_rate, 1}, -1);
    } else {
      add({format, -1, fmtp, format->clock_rate, format->channels}, format->offered_payload_type);
    }
    for (std::size_t i = before; i < own.size(); ++i) own[i].rank = wanted.rank;
  }
  return own;
}

std::vector<OwnFormat> own_formats(Medium medium, const std::vector<Codec> &codecs,
                                   const std::optional<rtp::H264Profile> &h264) {
  std::vector<Offered> offer;
  for (const rtp::Format &format : rtp::formats())
    if (codecs.empty() && format.by_default) offer.push_back({&format});
  for (const Codec codec : codecs)
    for (const rtp::Format &format : rtp::formats())
      if (format.codec == codec) offer.push_back({&format});
  return offered_formats(medium, offer, h264);
}

std::vector<OwnMedium> laid_out(const std::vector<OwnMedium> &own, const sdp::Description &offer) {
  std::vector<const OwnMedium *> at(offer.media.size());
  std::size_t lines = 0;
  for (const OwnMedium &medium : own) {
    const auto fits = [&](const sdp::MediaLine &line) { return can_stand_for(line, medium); };
    // There are phones that offer a medium twice, once with SRTP and once without.
    auto found = std::ranges::find_if(offer.media, [&](const sdp::MediaLine &line) {
      return fits(line) && answer_srtp(medium.srtp, line);
    });
    if (found == offer.media.end()) found = std::ranges::find_if(offer.media, fits);
    if (found == offer.media.end()) continue;
    const auto index = static_cast<std::size_t>(found - offer.media.begin());
    at[index] = &medium;
    lines = std::max(lines, index + 1);
  }
  std::vector<OwnMedium> media;
  for (std::size_t i = 0; i < lines; ++i)
    media.push_back(at[i] ? *at[i] : place_of(offer.media[i]));
  return media;
}

std::optional<std::size_t> line_for(const OwnMedium &added, const std::vector<OwnMedium> &media,
                                    const sdp::Description &offer) {
  for (std::size_t i = 0; i < offer.media.size(); ++i)
    if ((i >= media.size() || media[i].placeholder) && can_stand_for(offer.media[i], added) &&
        answer_srtp(added.srtp, offer.media[i]))
      return i;
  return std::nullopt;
}

std::vector<OwnMedium> with_added(std::vector<OwnMedium> media, OwnMedium added, std::size_t line,
                                  const sdp::Description &offer) {
  while (media.size() <= line) media.push_back(place_of(offer.media[media.size()]));
  media[line] = std::move(added);
  return media;
}

sdp::Description make_offer(const Identity &identity, const std::vector<OwnMedium> &media) {
  sdp::Description offer = envelope(identity);
  for (const OwnMedium &medium : media) {
    if (medium.placeholder) {
      offer.media.push_back(*medium.placeholder);
      continue;
    }
    sdp::MediaLine line;
    line.kind = to_string(medium.medium);
    line.port = medium.port;
    for (const OwnFormat &own : medium.formats)
      line.formats.push_back(to_sdp(own, own.payload_type));
    offer_events(medium, line);
    offer_feedback(line, medium.medium);
    offer_srtp(medium.srtp, line);
    if (!medium.protocol.empty()) line.protocol = medium.protocol;
    line.direction = sdp::Direction::SendRecv;
    offer.media.push_back(std::move(line));
  }
  return offer;
}

std::vector<Agreed> read_answer(const std::vector<OwnMedium> &media,
                                const sdp::Description &answer) {
  std::vector<Agreed> result;
  for (std::size_t i = 0; i < media.size(); ++i) {
    Agreed agreed;
    agreed.medium = media[i].medium;
    if (i < answer.media.size()) {
      const sdp::MediaLine &line = answer.media[i];
      const bool usable = line.port != 0 && line.kind == to_string(media[i].medium) &&
                          known_protocol(line.protocol) && read_line(answer, line, agreed);
      for (const sdp::Format &theirs : line.formats) {
        const OwnFormat *own = usable ? find_own(media[i], theirs) : nullptr;
        if (own && !agreed.accepted)
          accept_format(*own, theirs, own->payload_type, line, agreed);
        else if (own)
          add_alternate(*own, agreed);
        else if (usable && agreed.problem.empty())
          agreed.problem = problem_with(media[i], theirs);
      }
      if (agreed.accepted) {
        auto keys = read_srtp_answer(media[i].srtp, line);
        if (keys && *keys) {
          agreed.stream.srtp = std::move((*keys)->keys);
          agreed.srtp_tag = (*keys)->tag;
        } else if (!keys) {
          agreed.problem = keys.error().detail;
        }
        agreed.accepted = static_cast<bool>(keys);
        agreed.protocol = line.protocol;
      }
      if (agreed.accepted) read_events(media[i], line, agreed.stream);
    }
    if (!agreed.accepted) {
      std::string problem = std::move(agreed.problem);
      agreed = unaccepted(media[i].medium);
      agreed.problem = std::move(problem);
    }
    result.push_back(std::move(agreed));
  }
  return result;
}

std::vector<OwnMedium> offered_again(const std::vector<OwnMedium> &media,
                                     const std::vector<Agreed> &current) {
  std::vector<OwnMedium> again = media;
  for (std::size_t i = 0; i < again.size() && i < current.size(); ++i) {
    const Agreed &agreed = current[i];
    if (!agreed.accepted) continue;
    keep_events(agreed.stream, again[i]);
    again[i].protocol = agreed.protocol;
    if (agreed.stream.srtp) keep_key(again[i].srtp, agreed.stream.srtp->local, agreed.srtp_tag);
    std::vector<OwnFormat> &formats = again[i].formats;
    const auto in_use = std::ranges::find_if(formats, [&](const OwnFormat &own) {
      return own.format == agreed.format && own.clock_rate == agreed.stream.clock_rate &&
             (own.format->codec != Codec::H264 ||
              packetization_mode(own.fmtp) == packetization_mode(agreed.fmtp));
    });
    if (in_use == formats.end()) continue;
    std::rotate(formats.begin(), in_use, in_use + 1);
    const int number = static_cast<int>(agreed.stream.receive_payload_type);
    formats.front().payload_type = number;
    // Not under the number that has become free: it has had a meaning.
    formats.erase(std::remove_if(formats.begin() + 1, formats.end(),
                                 [&](const OwnFormat &own) { return own.payload_type == number; }),
                  formats.end());
  }
  return again;
}

Answer make_answer(const Identity &identity, const std::vector<OwnMedium> &media,
                   const std::vector<Agreed> &current, const sdp::Description &offer) {
  Answer answer{.description = envelope(identity), .agreed = {}, .acceptable = false};
  for (const OwnMedium &medium : media) answer.agreed.push_back(unaccepted(medium.medium));

  for (std::size_t i = 0; i < offer.media.size(); ++i) {
    const sdp::MediaLine &line = offer.media[i];
    const bool ours = i < media.size() && line.kind == to_string(media[i].medium) &&
                      line.port != 0 && known_protocol(line.protocol);
    const sdp::Format *chosen =
        ours ? choose(media[i], i < current.size() ? &current[i] : nullptr, line) : nullptr;
    Agreed agreed;
    if (!chosen || !read_line(offer, line, agreed)) {
      answer.description.media.push_back(refused(line));
      continue;
    }
    agreed.medium = media[i].medium;
    const OwnFormat *own = find_own(media[i], *chosen);
    // Kept from before though the offer's parameters changed: any of ours of that codec will do.
    if (!own)
      for (const OwnFormat &candidate : media[i].formats)
        if (is_same_format(candidate, *chosen, media[i].medium)) own = &candidate;
    if (!own) {
      answer.description.media.push_back(refused(line));
      continue;
    }
    auto srtp = answer_srtp(media[i].srtp, line);
    if (!srtp) {
      answer.agreed[i].problem = srtp.error().detail;
      answer.description.media.push_back(refused(line));
      continue;
    }
    accept_format(*own, *chosen, chosen->payload_type, line, agreed);
    agreed.stream.srtp = std::move(srtp->keys);
    agreed.srtp_tag = srtp->lines.empty() ? 0 : srtp->lines.front().tag;
    agreed.protocol = line.protocol;

    sdp::MediaLine reply;
    reply.crypto = std::move(srtp->lines);
    reply.kind = line.kind;
    reply.protocol = line.protocol;
    reply.port = media[i].port;
    sdp::Format format = to_sdp(*own, chosen->payload_type);
    if (own->format->codec == Codec::H264) {
      // The profile stays as it is offered (RFC 6184 section 8.2.2): any can be received.
      auto profile = rtp::H264Profile::from_fmtp(chosen->fmtp);
      const auto ours = rtp::H264Profile::from_fmtp(own->fmtp);
      const bool first = i >= current.size() || !current[i].accepted;
      if (!first && rtp::same_profile(profile, ours)) profile = ours;
      format.fmtp = h264_fmtp(profile, packetization_mode(chosen->fmtp));
    }
    if (own->format->variable) {
      format.channels = agreed.channels;
      format.fmtp = rtp::AacConfig{own->clock_rate, agreed.channels}.fmtp(*own->format);
    }
    reply.formats.push_back(std::move(format));
    answer_events(line, agreed.stream, reply);
    reply.feedback = common_feedback(line, media[i].medium, chosen->payload_type);
    // From the attribute alone: an address of nowhere is not answered by a direction.
    reply.direction = sdp::mirrored(offer.direction_of(line));
    answer.description.media.push_back(std::move(reply));
    answer.agreed[i] = std::move(agreed);
    answer.acceptable = true;
  }
  return answer;
}

std::string why_unacceptable(const std::vector<OwnMedium> &own, const sdp::Description &offer) {
  std::string why;
  for (const sdp::MediaLine &line : offer.media) {
    const auto medium = std::ranges::find_if(own, [&](const OwnMedium &each) {
      return !each.placeholder && line.kind == to_string(each.medium);
    });
    if (line.port == 0 || medium == own.end()) continue;
    std::string problem = problem_with(*medium, offer, line);
    if (const auto keys = answer_srtp(medium->srtp, line); problem.empty() && !keys)
      problem = "is refused: " + keys.error().detail;
    if (!problem.empty()) why += (why.empty() ? "" : "; ") + line.kind + ' ' + problem;
  }
  return why.empty() ? "there is no sound or picture among them that is known" : why;
}

}  // namespace junctor::sip
