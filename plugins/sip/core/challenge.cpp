// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sip/core/challenge.h"

#include <sofia-sip/nua_tag.h>
#include <sofia-sip/sip_header.h>
#include <strings.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace junctor::sip {

namespace {

/// False: one of them cannot be answered.
bool add_challenges(const msg_auth_t *header, bool of_proxy, std::vector<Challenge> &challenges) {
  for (; header; header = header->au_next) {
    if (!header->au_scheme || ::strcasecmp(header->au_scheme, "Digest") != 0) continue;
    const char *realm = msg_params_find(header->au_params, "realm=");
    const char *algorithm = msg_params_find(header->au_params, "algorithm=");
    const bool md5 = !algorithm || ::strcasecmp(algorithm, "MD5") == 0 ||
                     ::strcasecmp(algorithm, "\"MD5\"") == 0;
    if (!realm || !md5 || std::string_view(realm).find('\\') != std::string_view::npos)
      return false;
    if (Challenge one{of_proxy, realm}; std::ranges::find(challenges, one) == challenges.end())
      challenges.push_back(std::move(one));
  }
  return challenges.size() <= AnsweredChallenges::kMost;
}

}  // namespace

std::vector<Challenge> answerable_challenges(const sip_t *sip) {
  std::vector<Challenge> challenges;
  if (!sip || !add_challenges(sip->sip_proxy_authenticate, true, challenges) ||
      !add_challenges(sip->sip_www_authenticate, false, challenges))
    return {};
  return challenges;
}

bool AnsweredChallenges::take(const std::vector<Challenge> &challenges) {
  auto all = answered_;
  for (const Challenge &each : challenges)
    if (std::ranges::find(all, each) == all.end()) all.push_back(each);
  if (all.size() == answered_.size() || all.size() > kMost) return false;
  answered_ = std::move(all);
  return true;
}

bool AnsweredChallenges::has_realm(const std::string &realm) const {
  return std::ranges::find(answered_, realm, &Challenge::realm) != answered_.end();
}

std::vector<std::string> AnsweredChallenges::realms() const {
  std::vector<std::string> realms;
  for (const Challenge &each : answered_) realms.push_back(each.realm);
  return realms;
}

void give_credentials(nua_handle_t *handle, const std::vector<Challenge> &challenges,
                      const std::string &user, const std::string &password) {
  std::array<std::string, AnsweredChallenges::kMost> said;
  for (std::size_t i = 0; i < std::min(said.size(), challenges.size()); ++i)
    said[i] = "Digest:" + challenges[i].realm + ':' + user + ':' + password;
  const auto tag = [&](std::size_t i) { return said[i].empty() ? nullptr : said[i].c_str(); };
  nua_authenticate(handle, TAG_IF(tag(0), NUTAG_AUTH(tag(0))), TAG_IF(tag(1), NUTAG_AUTH(tag(1))),
                   TAG_IF(tag(2), NUTAG_AUTH(tag(2))), TAG_IF(tag(3), NUTAG_AUTH(tag(3))),
                   TAG_END());
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
