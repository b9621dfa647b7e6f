// SPDX-License-Identifier: LGPL-2.1-or-later
#include "accounts/challenges.h"

#include <charconv>
#include <cstdint>
#include <cstdio>

#include "accounts/secrets.h"

namespace junctor::accounts {

namespace {

constexpr std::size_t kRandomDigits = 16, kTimeDigits = 8, kProofDigits = 32;

std::uint32_t seconds(Time now) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count());
}

}  // namespace

// Challenges of an earlier run are void: their clients ask for another.
Challenges::Challenges() : key_(random_hex(32)) {}

std::string Challenges::proof(std::string_view head, std::string_view name) const {
  return keyed_hash(key_, std::string(head) + " " + std::string(name)).substr(0, kProofDigits);
}

std::string Challenges::make(std::string_view name, Time now) const {
  char time[kTimeDigits + 1];
  std::snprintf(time, sizeof time, "%08x", seconds(now));
  const std::string head = random_hex(kRandomDigits / 2) + time;
  return head + proof(head, name);
}

Result<void> Challenges::check(std::string_view challenge, std::string_view name, Time now) const {
  const Error wrong = refused("The challenge of the login is not one of this server's.");
  constexpr std::size_t kHead = kRandomDigits + kTimeDigits;
  if (challenge.size() != kHead + kProofDigits) return wrong;
  const std::string_view head = challenge.substr(0, kHead);
  if (!same_secret(challenge.substr(kHead), proof(head, name))) return wrong;
  std::uint32_t made = 0;
  std::from_chars(head.data() + kRandomDigits, head.data() + kHead, made, 16);
  // Unsigned, so that what wraps around is right.
  if (std::chrono::seconds(seconds(now) - made) > kLife)
    return refused("The challenge of the login is too old; connect again.");
  if (used_.contains(std::string(challenge)))
    return refused("The challenge of the login was used before; connect again.");
  return {};
}

Result<void> Challenges::use(const std::string &challenge, const std::string &name, Time now) {
  forget_old(now);
  const auto own = used_by_name_.find(name);
  if (own != used_by_name_.end() && own->second >= kMaxUsedByName)
    return refused("This account logs in with its password too often; try again in a minute.");
  if (used_.size() >= kMaxUsed)
    return refused("Too many log in with a password at once; try again in a minute.");
  used_.insert(challenge);
  ++used_by_name_[name];
  order_.push_back({challenge, name, now});
  return {};
}

void Challenges::forget_old(Time now) {
  // Times are whole seconds: one more, and check() finds it too old before it is forgotten.
  while (!order_.empty() && now - order_.front().at > kLife + std::chrono::seconds(1)) {
    const Used &old = order_.front();
    used_.erase(old.challenge);
    if (const auto own = used_by_name_.find(old.name); --own->second == 0) used_by_name_.erase(own);
    order_.pop_front();
  }
}

}  // namespace junctor::accounts
