// SPDX-License-Identifier: LGPL-2.1-or-later
// Where accounts can be reached: the registrar's rules.
#include "sip/core/registrar.h"

#include <algorithm>
#include <utility>

#include "sip/core/uri.h"

namespace junctor::sip {

namespace {

constexpr std::size_t kMaxName = 128;
constexpr std::size_t kMaxContacts = 16;  // in one request

RegisterReply reply(int status, const char *phrase) {
  RegisterReply out;
  out.status = status;
  out.phrase = phrase;
  return out;
}

/// Reaches the flow that the request came by, whatever the Contact claims.
std::string route_to(const Endpoint &source, const std::string &transport) {
  return "sip:" + bracketed(source.address) + ':' + std::to_string(source.port) +
         (transport == "udp" ? "" : ";transport=" + transport) + ";lr";
}

std::uint32_t wanted_expires(const RegisterRequest &request,
                             const RegisterRequest::Contact &contact, std::uint32_t most) {
  return std::min(contact.expires.value_or(request.expires.value_or(most)), most);
}

}  // namespace

Registrar::Registrar(Options options)
    : options_(std::move(options)), digest_({.realm = options_.realm}) {}

RegisterReply Registrar::challenge(const std::string &source, Time now, bool stale) {
  RegisterReply out = reply(401, "Unauthorized");
  out.challenge = digest_.challenge(source, now, stale);
  return out;
}

bool Registrar::blocked(const std::string &key, unsigned limit, Time now) {
  const auto found = failures_.find(key);
  if (found == failures_.end()) return false;
  if (now - found->second.since < options_.failure_window) return found->second.count >= limit;
  failures_.erase(found);
  return false;
}

void Registrar::note_failure(const std::string &key, Time now) {
  if (!failures_.contains(key) && failures_.size() >= options_.max_watched) {
    std::erase_if(failures_, [&](const auto &entry) {
      return now - entry.second.since >= options_.failure_window;
    });
    // Full of live ones: forget the oldest, or the table would stop working for newcomers.
    if (failures_.size() >= options_.max_watched)
      failures_.erase(std::ranges::min_element(
          failures_, {}, [](const auto &entry) { return entry.second.since; }));
  }
  Failures &failures = failures_[key];
  if (failures.count == 0) failures.since = now;
  ++failures.count;
}

RegisterReply Registrar::handle(const RegisterRequest &request, Time now) {
  if (!options_.ha1) return reply(405, "Method Not Allowed");
  if (request.to_user.empty()) return reply(404, "Not Found");
  RegisterReply out = authenticate(request, "REGISTER", now);
  return out.status == 200 ? store(request, now) : out;
}

RegisterReply Registrar::authenticate(const Credentials &request, std::string_view method,
                                      Time now) {
  const std::string source = address_group(request.source.address);
  // Which account it is about may only be known by its credentials.
  if (!request.has_credentials) return challenge(source, now, false);
  if (request.to_user.empty() || request.to_user.size() > kMaxName) return reply(404, "Not Found");

  const std::string account = source + ' ' + request.to_user;
  if (blocked(account, options_.max_failures, now) ||
      blocked(source, options_.max_source_failures, now)) {
    RegisterReply out = reply(503, "Too Many Failures");
    out.retry_after = static_cast<std::uint32_t>(
        std::chrono::ceil<std::chrono::seconds>(options_.failure_window).count());
    return out;
  }
  switch (digest_.verify(request.credentials, method, options_.ha1, source, now)) {
    case DigestVerifier::Verdict::Stale:
      return challenge(source, now, true);
    case DigestVerifier::Verdict::Refused: {
      note_failure(source, now);
      note_failure(account, now);
      RegisterReply out = reply(403, "Forbidden");
      out.delay = options_.failure_delay;
      return out;
    }
    case DigestVerifier::Verdict::Accepted:
      break;
  }
  // A right password opens its own account only (RFC 3261 section 10.3, step 4).
  if (request.credentials.at("username") != request.to_user) return reply(403, "Forbidden");
  return reply(200, "OK");
}

RegisterReply Registrar::store(const RegisterRequest &request, Time now) {
  if (request.contacts.size() > kMaxContacts) return reply(400, "Too Many Contacts");
  if (request.star && (!request.contacts.empty() || request.expires != 0u))
    return reply(400, "Contact * Stands Alone and With Expires 0");

  std::vector<std::pair<const RegisterRequest::Contact *, std::uint32_t>> wanted;
  for (const auto &contact : request.contacts) {
    if (!Uri::parse(contact.uri)) return reply(400, "Bad Contact Header");
    const std::uint32_t expires = wanted_expires(request, contact, options_.max_expires);
    if (expires != 0 && expires < options_.min_expires) {
      RegisterReply out = reply(423, "Interval Too Brief");
      out.min_expires = options_.min_expires;
      return out;
    }
    wanted.emplace_back(&contact, expires);
  }

  sweep(now);
  const auto known = accounts_.find(request.to_user);
  std::vector<Binding> bindings = known == accounts_.end() ? std::vector<Binding>() : known->second;
  std::erase_if(bindings, [&](const Binding &b) { return b.registration.expires <= now; });
  if (known == accounts_.end() && accounts_.size() >= options_.max_accounts)
    return reply(503, "Registrar Is Full");

  // All or nothing (step 7): a request that arrived out of order changes no binding.
  for (const Binding &binding : bindings) {
    const bool touched =
        request.star || std::ranges::any_of(request.contacts, [&](const auto &contact) {
          return contact.uri == binding.registration.contact;
        });
    if (touched && binding.call_id == request.call_id && request.cseq <= binding.cseq)
      return reply(500, "Out of Order");
  }
  if (request.star) bindings.clear();
  for (const auto &[contact, expires] : wanted) bind(bindings, request, *contact, expires, now);

  if (bindings.empty())
    accounts_.erase(request.to_user);
  else
    accounts_[request.to_user] = std::move(bindings);
  return listing(request.to_user, now);
}

void Registrar::bind(std::vector<Binding> &bindings, const RegisterRequest &request,
                     const RegisterRequest::Contact &contact, std::uint32_t expires, Time now) {
  // The same URI, or the same phone that has come by another address since.
  std::erase_if(bindings, [&](const Binding &binding) {
    return binding.registration.contact == contact.uri ||
           (binding.call_id == request.call_id && binding.cseq < request.cseq &&
            request.contacts.size() == 1 && expires != 0);
  });
  if (expires == 0) return;
  // Phones that restart leave bindings behind: the one nearest its end makes room.
  if (bindings.size() >= options_.max_contacts)
    bindings.erase(std::ranges::min_element(
        bindings, {}, [](const Binding &binding) { return binding.registration.expires; }));
  bindings.push_back({{.account = request.to_user,
                       .contact = contact.uri,
                       .route = route_to(request.source, request.transport),
                       .source = request.source,
                       .user_agent = clean_text(request.user_agent),
                       .expires = now + std::chrono::seconds(expires)},
                      request.call_id,
                      request.cseq,
                      request.transport != "udp"});
}

RegisterReply Registrar::listing(const std::string &account, Time now) const {
  RegisterReply out = reply(200, "OK");
  for (const Registration &registration : find(account, now)) {
    const auto left = std::chrono::ceil<std::chrono::seconds>(registration.expires - now).count();
    out.contacts.push_back('<' + registration.contact + ">;expires=" + std::to_string(left));
  }
  return out;
}

std::vector<Registration> Registrar::find(const std::string &account, Time now) const {
  std::vector<Registration> out;
  const auto found = accounts_.find(account);
  if (found == accounts_.end()) return out;
  for (auto binding = found->second.rbegin(); binding != found->second.rend(); ++binding)
    if (binding->registration.expires > now) out.push_back(binding->registration);
  return out;
}

std::vector<std::string> Registrar::connected(Time now) const {
  std::vector<std::string> out;
  for (const auto &[account, bindings] : accounts_)
    for (const Binding &binding : bindings)
      if (binding.connected && binding.registration.expires > now)
        out.push_back(binding.registration.source.to_string());
  return out;
}

std::unordered_set<std::string> Registrar::groups(Time now) const {
  std::unordered_set<std::string> out;
  for (const auto &[account, bindings] : accounts_)
    for (const Binding &binding : bindings)
      if (binding.registration.expires > now)
        out.insert(address_group(binding.registration.source.address));
  return out;
}

void Registrar::sweep(Time now) {
  if (now < next_sweep_) return;
  next_sweep_ = now + std::chrono::seconds(30);
  for (auto account = accounts_.begin(); account != accounts_.end();) {
    std::erase_if(account->second,
                  [&](const Binding &binding) { return binding.registration.expires <= now; });
    account = account->second.empty() ? accounts_.erase(account) : std::next(account);
  }
}

}  // namespace junctor::sip
