// SPDX-License-Identifier: LGPL-2.1-or-later
#include "accounts/house_rules.h"

namespace junctor::accounts {

void HouseRules::stream_ended(const std::string &account) {
  const auto found = streams_.find(account);
  if (found != streams_.end() && --found->second == 0) streams_.erase(found);
}

Result<void> HouseRules::may_connect(const rtmp::Request &request) const {
  if (!options_.networks.empty() && !options_.networks.contain(request.address))
    return refused("Your address " + request.address.address + " may not connect here.");
  if (!options_.applications.contains(request.app))
    return refused("There is no such application here. Connect to rtmp://HOST/" +
                   (options_.applications.empty() ? "" : *options_.applications.begin()) +
                   "?token=TOKEN");
  return {};
}

Result<void> HouseRules::may_come(const rtmp::Request &request, const std::string &account) const {
  if (request.secure) return {};
  const auto accounts = book_->snapshot();
  const Account *known = accounts->find(account);
  if (known && known->srtp == rtp::SrtpPolicy::Require)
    return refused("The account '" + account +
                   "' requires encryption: connect by rtmps://, not by rtmp://.");
  return {};
}

Result<void> HouseRules::may_open_stream(const std::string &account) const {
  const auto running = streams_.find(account);
  if (running != streams_.end() && running->second >= options_.streams_per_account)
    return refused("The account has " + std::to_string(running->second) +
                   " streams running, and may not have more.");
  return {};
}

Result<void> HouseRules::may_start(const rtmp::Request &request, const std::string &account,
                                   Time now) const {
  if (request.role != rtmp::Role::Push)
    return options_.may_play ? options_.may_play(request.parameters) : Result<void>();
  const auto to = request.parameters.find("to");
  if (to == request.parameters.end()) return {};
  if (to->second.empty())
    return refused("'to' names nobody; write to=NAME, or leave it out to call nobody.");
  if (!options_.calls)
    return refused(
        "Nobody can be called here: this server runs without SIP. Publish without 'to'.");
  if (const auto target = rules_->resolve(to->second, *book_->snapshot(), account); !target)
    return target.error();
  if (!options_.busy) return {};
  if (const auto other = options_.busy->claim(account, request.connection, to->second, now))
    return refused(account + " is in a call with " + *other + " already; end that first.");
  return {};
}

}  // namespace junctor::accounts
