// SPDX-License-Identifier: LGPL-2.1-or-later
// Which transaction a request is of.
#include "sip/core/transaction.h"

#include <glib.h>

#include <cstring>
#include <memory>
#include <string_view>

#include "common/handle.h"

namespace junctor::sip {

std::string transaction_of(const sip_t &sip, const char *method) {
  const sip_via_t &via = *sip.sip_via;
  constexpr std::string_view kCookie = "z9hG4bK";
  if (!via.v_branch || g_ascii_strncasecmp(via.v_branch, kCookie.data(), kCookie.size()) != 0)
    return {};
  const std::string number = std::to_string(sip.sip_cseq->cs_seq);
  std::unique_ptr<GChecksum, Releaser<g_checksum_free>> digest(g_checksum_new(G_CHECKSUM_SHA256));
  for (const char *part : {static_cast<const char *>(via.v_branch), via.v_host, via.v_port, method,
                           number.c_str(), sip.sip_call_id->i_id, sip.sip_from->a_tag}) {
    // With the NUL, which none of them has.
    if (!part) part = "";
    g_checksum_update(digest.get(), reinterpret_cast<const guchar *>(part),
                      static_cast<gssize>(std::strlen(part) + 1));
  }
  return g_checksum_get_string(digest.get());
}

}  // namespace junctor::sip
