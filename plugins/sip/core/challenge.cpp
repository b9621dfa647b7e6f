// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sip/core/challenge.h"

#include <sofia-sip/sip_header.h>
#include <strings.h>

#include <algorithm>
#include <string_view>

namespace junctor::sip {

const char *answerable_realm(const sip_t *sip, int status) {
  if (!sip) return nullptr;
  const msg_auth_t *challenge =
      status == 407 ? sip->sip_proxy_authenticate : sip->sip_www_authenticate;
  for (; challenge; challenge = challenge->au_next) {
    if (!challenge->au_scheme || ::strcasecmp(challenge->au_scheme, "Digest") != 0) continue;
    const char *realm = msg_params_find(challenge->au_params, "realm=");
    const char *algorithm = msg_params_find(challenge->au_params, "algorithm=");
    const bool md5 = !algorithm || ::strcasecmp(algorithm, "MD5") == 0 ||
                     ::strcasecmp(algorithm, "\"MD5\"") == 0;
    if (realm && md5 && std::string_view(realm).find('\\') == std::string_view::npos) return realm;
  }
  return nullptr;
}

bool AnsweredRealms::take(const char *realm) {
  if (realms_.size() >= kMost || std::ranges::find(realms_, realm) != realms_.end()) return false;
  realms_.emplace_back(realm);
  return true;
}

std::string credentials_for(const char *realm, const std::string &user,
                            const std::string &password) {
  return "Digest:" + std::string(realm) + ':' + user + ':' + password;
}

Result<void> check_credentials(const std::string &user, const std::string &password) {
  const auto plain = [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != ':'; };
  if (!std::ranges::all_of(user + password, plain) ||
      user.find_first_of("\"\\") != std::string::npos)
    return bad_input(
        "a SIP user or password with colons, quotes or control characters cannot be "
        "used; choose another");
  return {};
}

}  // namespace junctor::sip
