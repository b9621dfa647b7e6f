// SPDX-License-Identifier: LGPL-2.1-or-later
#include "accounts/house_rules.h"

namespace junctor::accounts {

void HouseRules::stream_started(const std::string &account, rtmp::Role role) {
  Streams &streams = streams_[account];
  ++(role == rtmp::Role::Push ? streams.pushed : streams.pulled);
}

void HouseRules::stream_ended(const std::string &account, rtmp::Role role) {
  const auto found = streams_.find(account);
  if (found == streams_.end()) return;
  Streams &streams = found->second;
  --(role == rtmp::Role::Push ? streams.pushed : streams.pulled);
  if (streams.pushed == 0 && streams.pulled == 0) streams_.erase(found);
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

Result<void> HouseRules::may_open_stream(const std::string &account, rtmp::Role role) const {
  const auto running = streams_.find(account);
  if (running == streams_.end()) return {};
  const std::size_t count = running->second.pushed + running->second.pulled;
  const bool replaces = running->second.pushed > 0 && role != rtmp::Role::Pull;
  if (count >= options_.streams_per_account + (replaces ? 1 : 0))
    return refused("The account has " + std::to_string(count) +
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
