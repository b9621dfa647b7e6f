// SPDX-License-Identifier: LGPL-2.1-or-later
#include "accounts/builtin_authenticator.h"

namespace junctor::accounts {

namespace {

rtmp::Verdict accept(std::string identity) {
  rtmp::Verdict verdict;
  verdict.accepted = true;
  verdict.identity = std::move(identity);
  return verdict;
}

rtmp::Verdict refuse(std::string reason, rtmp::Refusal refusal = rtmp::Refusal::Denied) {
  rtmp::Verdict verdict;
  verdict.refusal = refusal;
  verdict.reason = std::move(reason);
  return verdict;
}

const std::string *parameter(const rtmp::Request &request, const char *name) {
  const auto found = request.parameters.find(name);
  return found == request.parameters.end() || found->second.empty() ? nullptr : &found->second;
}

}  // namespace

BuiltinAuthenticator::BuiltinAuthenticator(std::shared_ptr<const Book> book,
                                           std::shared_ptr<const DialRules> rules, Options options,
                                           Seams seams)
    : book_(std::move(book)),
      rules_(std::move(rules)),
      options_(std::move(options)),
      seams_(std::move(seams)),
      failures_(options_.longest_delay) {}

void BuiltinAuthenticator::stream_ended(const std::string &account) {
  const auto found = streams_.find(account);
  if (found != streams_.end() && --found->second == 0) streams_.erase(found);
}

void BuiltinAuthenticator::check(const rtmp::Request &request, rtmp::Decision decision) {
  bool guess = false;
  const rtmp::Verdict verdict = decide(request, guess);
  if (verdict.accepted) {
    decision.accept(verdict.identity);
    return;
  }
  const auto answer = [decision, verdict] { decision.refuse(verdict.reason, verdict.refusal); };
  const Duration delay = guess ? failures_.note(request.address, seams_.now()) : Duration::zero();
  if (delay > Duration::zero())
    seams_.after(delay, answer);
  else
    answer();
}

rtmp::Verdict BuiltinAuthenticator::decide(const rtmp::Request &request, bool &guess) const {
  if (request.stage == rtmp::Stage::Connect) {
    if (!options_.networks.empty() && !options_.networks.contain(request.address))
      return refuse("Your address " + request.address.address + " may not connect here.");
    if (!options_.applications.contains(request.app))
      return refuse("There is no such application here. Connect to rtmp://HOST/" +
                    (options_.applications.empty() ? "" : *options_.applications.begin()) +
                    "?token=TOKEN");
  }
  const std::string *token = parameter(request, "token");
  if (!token) {
    // Who said nothing guessed nothing, but is not let further than the operator allows.
    const bool late = options_.late_identity && request.stage != rtmp::Stage::Start;
    return late ? accept({})
                : refuse(
                      "A token is missing. Connect to rtmp://HOST/call?token=TOKEN with the "
                      "stream name NAME, as `junctor account token NAME` prints it.");
  }
  const auto claims = book_->verify(*token, seams_.seconds());
  if (!claims) {
    guess = true;
    return refuse(claims.error().detail);
  }
  // A stream name may bring another token than connect did; the account must be the same.
  if (!request.identity.empty() && request.identity != claims->subject)
    return refuse("This connection belongs to another account than the token.");
  if (request.stage == rtmp::Stage::Connect) return accept(claims->subject);
  // Asked again at publish and play: many connections may have passed createStream together.
  const auto running = streams_.find(claims->subject);
  if (running != streams_.end() && running->second >= options_.streams_per_account)
    return refuse("The account has " + std::to_string(running->second) +
                  " streams running, and may not have more.");
  if (request.stage == rtmp::Stage::CreateStream) return accept(claims->subject);
  return decide_start(request, *claims);
}

rtmp::Verdict BuiltinAuthenticator::decide_start(const rtmp::Request &request,
                                                 const Claims &claims) const {
  const bool push = request.role == rtmp::Role::Push;
  if (push ? !claims.rights.push : !claims.rights.pull)
    return refuse(push ? "This token may only pull (play), not push (publish)."
                       : "This token may only push (publish), not pull (play).");
  const auto accounts = book_->snapshot();
  if (request.stream != claims.subject) {
    if (!push && !accounts->find(request.stream))
      return refuse("There is no stream of this name. Yours is '" + claims.subject + "'.",
                    rtmp::Refusal::UnknownStream);
    return refuse("This token is for the stream '" + claims.subject + "' only.");
  }
  if (!push && options_.may_play)
    if (const auto may = options_.may_play(request.parameters); !may)
      return refuse(may.error().detail);
  if (push && request.parameters.count("to") != 0 && parameter(request, "to") == nullptr)
    return refuse("'to' names nobody; write to=NAME, or leave it out to call nobody.");
  if (const std::string *to = parameter(request, "to"); push && to) {
    if (!options_.calls)
      return refuse(
          "Nobody can be called here: this server runs without SIP. Publish without 'to'.");
    if (const auto target = rules_->resolve(*to, *accounts); !target)
      return refuse(target.error().detail);
    const auto other =
        options_.busy ? options_.busy->claim(claims.subject, request.connection, *to, seams_.now())
                      : std::nullopt;
    if (other)
      return refuse(claims.subject + " is in a call with " + *other + " already; end that first.");
  }
  return accept(claims.subject);
}

}  // namespace junctor::accounts
