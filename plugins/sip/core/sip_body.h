// SPDX-License-Identifier: LGPL-2.1-or-later
// Bodies of SIP messages.
#pragma once

#include <sofia-sip/sip.h>
#include <strings.h>

#include <string_view>

namespace junctor::sip {

inline constexpr const char *kSdpType = "application/sdp";

inline std::string_view payload_of(const sip_t *sip) {
  if (!sip || !sip->sip_payload || !sip->sip_payload->pl_data) return {};
  return {sip->sip_payload->pl_data, sip->sip_payload->pl_len};
}

inline bool has_type(const sip_t *sip, const char *type) {
  return sip && sip->sip_content_type && sip->sip_content_type->c_type &&
         ::strcasecmp(sip->sip_content_type->c_type, type) == 0;
}

/// The body if it is a session description; bodies without a type count too, phones forget it.
inline std::string_view sdp_of(const sip_t *sip) {
  if (!sip || (sip->sip_content_type && !has_type(sip, kSdpType))) return {};
  return payload_of(sip);
}

}  // namespace junctor::sip
