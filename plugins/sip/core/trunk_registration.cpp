// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sip/core/trunk_registration.h"

#include <sofia-sip/msg_addr.h>
#include <sofia-sip/nta.h>
#include <sofia-sip/nua_tag.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_tag.h>

#include <algorithm>
#include <charconv>

#include "sip/core/cause.h"
#include "sip/core/challenge.h"

namespace junctor::sip {

namespace {

constexpr std::size_t kMostRegistrars = 16;
constexpr unsigned kMostDoublings = 16;

/// Seconds that our Contact, the one of `user`, was granted: there may be others' beside it (RFC
/// 3261 section 10.2.4). Nothing if it does not say.
std::optional<std::chrono::seconds> granted(const sip_t &sip, const std::string &user) {
  unsigned long seconds = 0;
  for (const sip_contact_t *contact = sip.sip_contact; contact; contact = contact->m_next) {
    if (!contact->m_url->url_user || contact->m_url->url_user != user) continue;
    const char *text = contact->m_expires;
    unsigned long value = 0;
    if (text &&
        std::from_chars(text, text + std::char_traits<char>::length(text), value).ec == std::errc())
      seconds = std::max(seconds, value);
  }
  if (seconds == 0 && sip.sip_expires) seconds = sip.sip_expires->ex_delta;
  if (seconds == 0) return std::nullopt;
  return std::chrono::seconds(std::min(seconds, 1'000'000UL));
}

}  // namespace

std::string_view to_string(TrunkState state) {
  switch (state) {
    case TrunkState::Static:
      return "static";
    case TrunkState::Trying:
      return "trying";
    case TrunkState::Registered:
      return "registered";
    case TrunkState::Failed:
      return "failed";
  }
  return "failed";
}

TrunkRegistration::TrunkRegistration(CallHost &host, Setup setup,
                                     std::function<void(const TrunkStatus &)> changed)
    : host_(host), setup_(std::move(setup)), changed_(std::move(changed)) {
  status_.name = setup_.options.name;
  status_.uri = setup_.registrar;
  if (!setup_.options.registers) status_.state = TrunkState::Static;
}

/// On a handle of its own each time: nothing of a failed try, nonces above all, is left.
void TrunkRegistration::start() {
  if (!setup_.options.registers || stopping_) return;
  challenges_.clear();
  // Each time: at boot there may be no way there yet, and another one later.
  contact_ = host_.contact_towards(setup_.next_hop, setup_.contact_user);
  handle_ = Handle(nua_handle(host_.nua(), nullptr, NUTAG_URL(setup_.registrar.c_str()),
                              SIPTAG_TO_STR(setup_.identity.c_str()),
                              SIPTAG_FROM_STR(setup_.identity.c_str()), TAG_END()));
  if (!handle_) return fail(0, "no SIP handle could be made", false);
  const std::string expires = std::to_string(setup_.options.expires.count());
  nua_register(handle_.get(), NUTAG_REGISTRAR(setup_.registrar.c_str()),
               TAG_IF(!setup_.proxy.empty(), NUTAG_PROXY(setup_.proxy.c_str())),
               SIPTAG_CONTACT_STR(contact_.c_str()), SIPTAG_EXPIRES_STR(expires.c_str()),
               NUTAG_OUTBOUND("no-outbound no-validate no-natify no-options-keepalive"), TAG_END());
}

void TrunkRegistration::stop() {
  if (std::exchange(stopping_, true)) return;
  retry_.reset();
  if (handle_ && status_.state == TrunkState::Registered)
    nua_unregister(handle_.get(), SIPTAG_CONTACT_STR(contact_.c_str()), TAG_END());
  else
    handle_.reset();
}

void TrunkRegistration::on_event(nua_event_t event, int status, const char *phrase,
                                 const sip_t *sip) {
  switch (event) {
    case nua_r_register:
      if (!stopping_) on_response(status, phrase, sip);
      return;
    case nua_r_unregister:
      if (status == 401 || status == 407) {
        if (!answerable_challenges(sip).empty() && challenges_.empty())
          return authenticate(status, sip);
      }
      if (status >= 200) handle_.reset();
      return;
    case nua_r_authenticate:
      if (status >= 300 && !stopping_) fail(0, "the challenge could not be answered", true);
      return;
    default:
      return;
  }
}

std::string TrunkRegistration::unheard(int status, const char *phrase) const {
  const std::string who = "the trunk " + setup_.options.name + " does not answer: ";
  if (status == 503) return who + "nothing listens there, or no way leads there";
  if (status == 408) return who + "nothing has come from there in time";
  return who + status_text(std::max(status, 900), phrase);
}

void TrunkRegistration::on_response(int status, const char *phrase, const sip_t *sip) {
  if (status < 200) return;
  if (status == 401 || status == 407) return authenticate(status, sip);
  if (status < 300 && sip) return succeed(sip);
  // Sofia makes a status of its own where nobody answered.
  if (!sip || !sip->sip_status || nta_sip_is_internal(sip))
    return fail(0, unheard(status, phrase), false);
  const bool refused = status == 403 || status == 404;
  const char *why = refused && !challenges_.empty() ? ", which refuses our user and password" : "";
  fail(status, status_text(status, phrase) + why, refused);
}

void TrunkRegistration::authenticate(int status, const sip_t *sip) {
  const TrunkOptions &options = setup_.options;
  const auto challenges = answerable_challenges(sip);
  const auto because = [&](const char *why) {
    fail(status, std::to_string(status) + ": " + why, true);
  };
  if (challenges.empty()) return because("it asks for no digest that can be given here");
  if (options.password.empty()) return because("no password is set for it");
  if (!challenges_.take(challenges)) return because("it refused our user and password");
  give_credentials(handle_.get(), challenges, options.user, options.password);
}

void TrunkRegistration::succeed(const sip_t *sip) {
  msg_t *message = nua_current_request(host_.nua());
  if (const su_sockaddr_t *address = message ? msg_addr(message) : nullptr) {
    const std::string source = Endpoint::from_sockaddr(&address->su_sa).address;
    std::erase(registrars_, source);
    registrars_.insert(registrars_.begin(), source);
    if (registrars_.size() > kMostRegistrars) registrars_.pop_back();
  }
  if (!challenges_.empty()) realms_ = challenges_.realms();
  status_.code = sip->sip_status ? sip->sip_status->st_status : 200;
  status_.detail.clear();
  status_.failures = 0;
  status_.retry.reset();
  status_.expires =
      Clock::now() + granted(*sip, setup_.contact_user).value_or(setup_.options.expires);
  tell(TrunkState::Registered);
}

void TrunkRegistration::fail(int code, const std::string &detail, bool refused) {
  handle_.reset();
  const TrunkOptions &options = setup_.options;
  Duration delay = options.first_retry * (1 << std::min(status_.failures, kMostDoublings));
  if (refused || delay > options.last_retry) delay = options.last_retry;
  ++status_.failures;
  status_.code = code;
  status_.detail = detail;
  status_.expires.reset();
  status_.retry = Clock::now() + delay;
  retry_ = ContextTimer(host_.context(), delay, [this] { start(); });
  host_.log(LogLevel::Warning,
            "trunk " + options.name + ": not registered: " + detail + "; tried again in " +
                std::to_string(std::chrono::ceil<std::chrono::seconds>(delay).count()) + " s");
  tell(TrunkState::Failed);
}

void TrunkRegistration::tell(TrunkState state) {
  const bool moved = std::exchange(status_.state, state) != state;
  if (moved && state == TrunkState::Registered)
    host_.log(LogLevel::Info, "trunk " + status_.name + ": registered at " + status_.uri);
  if (moved && changed_) changed_(status_);
}

bool TrunkRegistration::brings(const std::string &user, const std::string &address) const {
  const TrunkOptions &options = setup_.options;
  const bool listed = options.may_call && options.may_call(address);
  if (!options.registers) return listed;
  return user == setup_.contact_user &&
         (listed || std::ranges::find(registrars_, address) != registrars_.end());
}

std::string TrunkRegistration::account_for(const std::string &number) const {
  const auto found = setup_.options.numbers.find(number);
  return found == setup_.options.numbers.end() ? setup_.options.account : found->second;
}

}  // namespace junctor::sip
