// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sip/core/sdes.h"

#include <glib.h>

#include <algorithm>
#include <memory>

#include "common/handle.h"

namespace junctor::sip {

namespace {

constexpr std::string_view kInline = "inline:";

using TextRef = std::unique_ptr<gchar, Releaser<g_free>>;

std::string encode(const Bytes &bytes) {
  const TextRef text(g_base64_encode(reinterpret_cast<const guchar *>(bytes.data()), bytes.size()));
  return text.get();
}

/// Empty unless `text` is base64 and nothing else; its padding may be left out.
Bytes decode(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  gsize size = 0;
  std::string padded(text);
  padded.resize((text.size() + 3) / 4 * 4, '=');
  const std::unique_ptr<guchar, Releaser<g_free>> data(g_base64_decode(padded.c_str(), &size));
  const auto *bytes = reinterpret_cast<const std::byte *>(data.get());
  Bytes decoded(bytes, bytes + size);
  // GLib skips what is no base64.
  return encode(decoded) == padded ? decoded : Bytes();
}

bool is_number(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// "2^20" or "1048576" (RFC 4568 section 6.1).
bool is_lifetime(std::string_view text) {
  return is_number(text.starts_with("2^") ? text.substr(2) : text);
}

/// Parameters that change nothing here: hints, and extensions marked as optional.
bool may_be_ignored(const std::string &parameter) {
  return parameter.starts_with("WSH=") || parameter.starts_with('-');
}

Error unusable(const sdp::Crypto &crypto, const std::string &why) {
  return bad_input("key " + std::to_string(crypto.tag) + " of the peer " + why);
}

/// Why none of the lines will do.
std::string no_usable_key(const sdp::MediaLine &line) {
  if (line.crypto.empty()) return "it names no key for SRTP (a=crypto)";
  const auto first = read_crypto(line.crypto.front());
  return "it names no key for SRTP that can be used: " + (first ? "" : first.error().detail);
}

const OwnCrypto *key_for(const OwnSrtp &own, rtp::SrtpSuite suite) {
  const auto found = std::ranges::find_if(
      own.keys, [&](const OwnCrypto &each) { return each.key.suite == suite; });
  return found == own.keys.end() ? nullptr : &*found;
}

}  // namespace

OwnSrtp own_srtp(rtp::SrtpPolicy policy, bool secure) {
  OwnSrtp own{policy, {}, secure && policy != rtp::SrtpPolicy::Off};
  if (policy == rtp::SrtpPolicy::Off) return own;
  for (const rtp::SrtpSuite suite : rtp::kSrtpSuites)
    own.keys.push_back({static_cast<unsigned>(own.keys.size() + 1), rtp::SrtpKey::random(suite)});
  return own;
}

void renew_used_keys(OwnSrtp &own, const rtp::SrtpKey *in_use) {
  for (OwnCrypto &each : own.keys)
    if (each.used && !(in_use && each.key == *in_use))
      each = {each.tag, rtp::SrtpKey::random(each.key.suite)};
}

void keep_key(OwnSrtp &own, const rtp::SrtpKey &in_use, unsigned tag) {
  std::erase_if(own.keys, [&](const OwnCrypto &each) { return each.key == in_use; });
  if (!own.offered) own.keys.clear();
  own.keys.insert(own.keys.begin(), {tag, in_use, true});
  own.offered = true;
  const auto same = std::find_if(own.keys.begin() + 1, own.keys.end(),
                                 [&](const OwnCrypto &each) { return each.tag == tag; });
  if (same == own.keys.end()) return;
  unsigned free = 1;
  while (std::ranges::find(own.keys, free, &OwnCrypto::tag) != own.keys.end()) ++free;
  same->tag = free;
}

bool is_secure_profile(std::string_view protocol) {
  return protocol == "RTP/SAVP" || protocol == "RTP/SAVPF";
}

bool is_plain_profile(std::string_view protocol) {
  return protocol == "RTP/AVP" || protocol == "RTP/AVPF";
}

Result<rtp::SrtpKey> read_crypto(const sdp::Crypto &crypto) {
  const auto suite = rtp::srtp_suite_from_string(crypto.suite);
  if (!suite) return unusable(crypto, "is for a cipher suite that is not served here");
  if (!std::ranges::all_of(crypto.session_params, may_be_ignored))
    return unusable(crypto, "asks for a variant of SRTP that is not served here");
  std::string_view text = crypto.key_params;
  if (!text.starts_with(kInline)) return unusable(crypto, "is not given inline");
  text.remove_prefix(kInline.size());
  if (text.find(';') != std::string_view::npos) return unusable(crypto, "is several keys");
  const auto bar = text.find('|');
  const Bytes master = decode(text.substr(0, bar));
  if (master.size() != rtp::master_size(*suite))
    return unusable(crypto, "is malformed, or of another size than its cipher suite has");
  if (bar != std::string_view::npos && !is_lifetime(text.substr(bar + 1)))
    return unusable(crypto, "has an MKI, which is not served here");
  return rtp::SrtpKey{*suite, master};
}

sdp::Crypto write_crypto(unsigned tag, const rtp::SrtpKey &key) {
  return {.tag = tag,
          .suite = std::string(to_string(key.suite)),
          .key_params = std::string(kInline) + encode(key.master),
          .session_params = {}};
}

void offer_srtp(const OwnSrtp &own, sdp::MediaLine &line) {
  if (own.policy == rtp::SrtpPolicy::Require) line.protocol = "RTP/SAVP";
  if (!own.offered) return;
  for (const OwnCrypto &each : own.keys) line.crypto.push_back(write_crypto(each.tag, each.key));
}

Result<std::optional<TaggedKeys>> read_srtp_answer(const OwnSrtp &own,
                                                   const sdp::MediaLine &answer) {
  const bool secure = is_secure_profile(answer.protocol);
  if (!secure && answer.crypto.empty()) {
    if (own.policy == rtp::SrtpPolicy::Require)
      return refused("its answer is plain RTP (" + answer.protocol +
                     "), and SRTP is required for this call");
    return std::optional<TaggedKeys>();
  }
  if (!own.offered) return refused("its answer is encrypted, and SRTP was not offered");
  for (const sdp::Crypto &crypto : answer.crypto) {
    const auto key = read_crypto(crypto);
    const auto ours = std::ranges::find(own.keys, crypto.tag, &OwnCrypto::tag);
    if (key && ours != own.keys.end() && ours->key.suite == key->suite)
      return std::optional(TaggedKeys{crypto.tag, {ours->key, *key}});
  }
  return refused(answer.crypto.empty() || !read_crypto(answer.crypto.front())
                     ? no_usable_key(answer)
                     : "its key for SRTP is for none of those that were offered");
}

Result<SrtpAnswer> answer_srtp(const OwnSrtp &own, const sdp::MediaLine &offer) {
  const bool secure = is_secure_profile(offer.protocol);
  if (own.policy == rtp::SrtpPolicy::Off) {
    if (secure) return refused("it offers SRTP only (" + offer.protocol + "), which is off here");
    return SrtpAnswer();
  }
  for (const sdp::Crypto &crypto : offer.crypto) {
    const auto key = read_crypto(crypto);
    const OwnCrypto *ours = key ? key_for(own, key->suite) : nullptr;
    if (ours)
      return SrtpAnswer{rtp::SrtpKeys{ours->key, *key}, {write_crypto(crypto.tag, ours->key)}};
  }
  if (secure) return refused(no_usable_key(offer));
  if (own.policy == rtp::SrtpPolicy::Require)
    return refused("it offers plain RTP (" + offer.protocol +
                   "), and SRTP is required for this call");
  return SrtpAnswer();
}

}  // namespace junctor::sip
