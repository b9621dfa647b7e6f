// SPDX-License-Identifier: LGPL-2.1-or-later
// The strings that the two ends of a channel give each other, over whatever the application has.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/result.h"
#include "nat/core/agreement.h"
#include "nat/core/candidate.h"

namespace junctor::nat {

inline constexpr std::size_t kMostCandidates = 32;          ///< of one string
inline constexpr std::size_t kMostSignalSize = 8UL * 1024;  ///< bytes
inline constexpr std::size_t kTagSize = 16;                 ///< hexadecimal digits
inline constexpr std::uint32_t kMostGeneration = 1'000'000;
inline constexpr int kDescriptionVersion = 1;

/// The first string of each end: its key, and what the USERNAME of probes to it is.
struct Description {
  PublicKey key{};
  std::string tag;
  std::uint32_t generation = 1;
  std::vector<Candidate> candidates;
  bool operator==(const Description &) const = default;
};

/// More candidates of a generation, or the first ones of a new one, which replaces all before.
struct MoreCandidates {
  std::uint32_t generation = 1;
  std::vector<Candidate> candidates;
  bool operator==(const MoreCandidates &) const = default;
};

/// The sender has an ACK: what it sends arrives.
struct Up {
  std::uint32_t generation = 1;
  bool operator==(const Up &) const = default;
};

/// An ICE agent's (RFC 8445): each field may be empty, for candidates trickle (RFC 8838).
struct IceSignal {
  std::string ufrag, pwd;
  std::vector<std::string> candidates;  ///< as in SDP, "candidate:…"
  bool complete = false;                ///< there are no more candidates
  bool operator==(const IceSignal &) const = default;
};

using Signal = std::variant<Description, MoreCandidates, Up, IceSignal>;

/// Fails with BadInput for what is not exactly one of them, or breaks a bound. Candidates to which
/// nothing can be sent are left out.
Result<Signal> parse_signal(std::string_view text);
std::string to_string(const Signal &signal);

/// 64 bits that nobody else can guess, as kTagSize digits.
std::string random_tag();

}  // namespace junctor::nat
