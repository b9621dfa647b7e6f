// SPDX-License-Identifier: LGPL-2.1-or-later
// Offer and answer: which media a call has, in which formats.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/codec.h"
#include "common/endpoint.h"
#include "rtp/core/formats.h"
#include "rtp/core/session.h"
#include "sip/core/offered.h"
#include "sip/core/sdes.h"
#include "sip/core/sdp.h"
#include "sip/core/telephone_events.h"

/// RFC 3264 over our own table of formats. Pure functions: what they decide depends on their
/// arguments alone.
namespace junctor::sip {

/// One format that we put into offers, and take from those of others.
struct OwnFormat {
  const rtp::Format *format = nullptr;
  int payload_type = -1;  ///< in our numbering
  std::string fmtp;
  std::uint32_t clock_rate = 0;  ///< Hz
  int channels = 1;
  int rank = 0;  ///< as in Offered
};

/// One medium of ours, open on a port.
struct OwnMedium {
  Medium medium = Medium::Audio;
  std::uint16_t port = 0;
  std::vector<OwnFormat> formats;   ///< in order of preference
  std::vector<OwnEvents> events{};  ///< beside them
  OwnSrtp srtp{};
  std::string protocol{};  ///< of our offers; empty: what `srtp` wants
  /// Set: no medium of ours but the refused line of the peer that has this place.
  std::optional<sdp::MediaLine> placeholder{};
};

/// What both sides are described by in every description that we send.
struct Identity {
  std::string address;  ///< numeric; where we want media
  std::uint64_t id = 0;
  std::uint64_t version = 0;
};

/// One medium as offer and answer agreed on it.
struct Agreed {
  Medium medium = Medium::Audio;
  bool accepted = false;
  const rtp::Format *format = nullptr;  ///< that we send; null unless accepted
  std::string fmtp;                     ///< the peer's, as in Media
  int channels = 1;
  int kbit_per_second = 0;                              ///< as in Media
  sdp::Direction direction = sdp::Direction::Inactive;  ///< as we see it
  rtp::Stream stream;
  rtp::Remote remote;
  std::string protocol;   ///< of the lines
  unsigned srtp_tag = 0;  ///< that our key of `stream` has in them
  /// Why a format that we have was not accepted, as a clause for people; empty if none was there.
  std::string problem;

  bool same_as(const Agreed &other) const;
};

/// What `offer` has of the medium, each once, with a number of its own. H.264 without parameters is
/// offered in the profile and level of `h264`, in packetization mode 1 and mode 0, for there are
/// phones that know only the latter (RFC 6184 section 8.1 makes the mode part of the format).
std::vector<OwnFormat> offered_formats(Medium medium, const std::vector<Offered> &offer,
                                       const std::optional<rtp::H264Profile> &h264);
/// The same for all formats of `codecs`; if that is empty, for those offered by default.
std::vector<OwnFormat> own_formats(Medium medium, const std::vector<Codec> &codecs,
                                   const std::optional<rtp::H264Profile> &h264);

/// `own`, one of a medium, in the order of the lines of somebody else's first offer: each at the
/// first line that it can stand for, encryption and all; if there is none, at the first that has a
/// format of it. Lines before it that are of no use have a placeholder. An own medium without a
/// line is left out.
std::vector<OwnMedium> laid_out(const std::vector<OwnMedium> &own, const sdp::Description &offer);

/// The first line of a later offer that `added` can stand for and that is none of `media`'s, which
/// are in the order of the lines of the offers before.
std::optional<std::size_t> line_for(const OwnMedium &added, const std::vector<OwnMedium> &media,
                                    const sdp::Description &offer);
/// `media` and `added` at that line; lines between them have placeholders.
std::vector<OwnMedium> with_added(std::vector<OwnMedium> media, OwnMedium added, std::size_t line,
                                  const sdp::Description &offer);

/// Our offer: one m= line for each of `media`, in their order.
sdp::Description make_offer(const Identity &identity, const std::vector<OwnMedium> &media);

/// What `answer` makes of the offer of `media`; as long as `media`. A medium whose line is missing,
/// has port 0, another kind or protocol, no format of ours, or a host name for an address is not
/// accepted; nor is one whose encryption is not as the medium's policy wants. Of several formats
/// the first one counts, as the peer prefers; the others that can pass for it are its alternates.
std::vector<Agreed> read_answer(const std::vector<OwnMedium> &media,
                                const sdp::Description &answer);

/// `media` for another offer of ours in the same session, where `current` was agreed before: the
/// formats in use come first, in the numbers that they have by now. Another format that had such a
/// number is left out, for no number may change its meaning (RFC 3264 section 8.3.2). The profile
/// stays, and of encryption the key in use comes first, under its tag.
std::vector<OwnMedium> offered_again(const std::vector<OwnMedium> &media,
                                     const std::vector<Agreed> &current);

/// Our answer to an offer in a call whose media are `media`, in the order of their lines.
struct Answer {
  sdp::Description description;
  std::vector<Agreed> agreed;  ///< as long as `media`
  bool acceptable = false;     ///< at least one medium is accepted
};
/// `current` is what was agreed before (may be empty): its formats are kept where the offer still
/// has them. Lines beyond ours, or of another kind, are refused with port 0. Of feedback the answer
/// has what the offer has as well (RFC 4585 section 4.2).
Answer make_answer(const Identity &identity, const std::vector<OwnMedium> &media,
                   const std::vector<Agreed> &current, const sdp::Description &offer);

/// Why nothing of an offer could be accepted, as a clause for people.
std::string why_unacceptable(const std::vector<OwnMedium> &own, const sdp::Description &offer);

}  // namespace junctor::sip
