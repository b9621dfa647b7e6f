// SPDX-License-Identifier: LGPL-2.1-or-later
#include "accounts/builtin_authenticator.h"

#include "accounts/secrets.h"

namespace junctor::accounts {

namespace {

/// Before the id of the account, in the grant of who logged in with a password.
constexpr std::string_view kByPassword = "password of ";
/// Clients that are sent an opaque text answer that one, but expect a challenge beside it.
constexpr std::size_t kSpareChallengeBytes = 4;

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

rtmp::Verdict refuse_login(std::string reason, std::string description) {
  rtmp::Verdict verdict = refuse(std::move(reason));
  verdict.description = std::move(description);
  return verdict;
}

}  // namespace

BuiltinAuthenticator::BuiltinAuthenticator(std::shared_ptr<const Book> book,
                                           std::shared_ptr<const DialRules> rules, Options options,
                                           Seams seams)
    : book_(std::move(book)),
      house_(book_, std::move(rules), options),
      late_identity_(options.late_identity),
      seams_(std::move(seams)),
      failures_(options.longest_delay) {}

void BuiltinAuthenticator::check(const rtmp::Request &request, rtmp::Decision decision) {
  bool guess = false;
  const rtmp::Verdict verdict = decide(request, guess);
  const Duration delay = guess ? failures_.note(request.address, seams_.now()) : Duration::zero();
  if (delay > Duration::zero())
    seams_.after(delay, [decision, verdict] { decision.give(verdict); });
  else
    decision.give(verdict);
}

rtmp::Verdict BuiltinAuthenticator::decide(const rtmp::Request &request, bool &guess) {
  if (request.stage == rtmp::Stage::Connect)
    if (const auto may = house_.may_connect(request); !may) return refuse(may.error().detail);
  const std::string *token = request.parameter("token");
  if (!token) return decide_without_token(request, guess);
  const auto claims = book_->verify(*token, seams_.seconds());
  if (!claims) {
    guess = true;
    return refuse(claims.error().detail);
  }
  // A stream name may bring another token than connect did; the account must be the same.
  if (!request.identity.empty() && request.identity != claims->subject)
    return refuse("This connection belongs to another account than the token.");
  return decide_stage(request, claims->subject, claims->rights);
}

rtmp::Verdict BuiltinAuthenticator::decide_without_token(const rtmp::Request &request,
                                                         bool &guess) {
  if (request.stage == rtmp::Stage::Connect) {
    if (const auto login = rtmp::adobe_login(request.parameters))
      return log_in(request, *login, guess);
  } else if (request.grant.starts_with(kByPassword)) {
    if (!still_there(request)) return refuse("The account is no longer there.");
    return decide_stage(request, request.identity, {true, true});
  }
  // Who said nothing guessed nothing, but is not let further than the operator allows.
  if (late_identity_ && request.stage != rtmp::Stage::Start) return accept({});
  const std::string reason =
      "A token is missing. Connect to rtmp://HOST/call?token=TOKEN with the stream name NAME, as "
      "`junctor account token NAME` prints it.";
  // From this a client that has a password learns how to show it.
  return request.stage == rtmp::Stage::Connect
             ? refuse_login(reason, rtmp::adobe_invitation(reason))
             : refuse(reason);
}

rtmp::Verdict BuiltinAuthenticator::log_in(const rtmp::Request &request,
                                           const rtmp::AdobeLogin &login, bool &guess) {
  const Time now = seams_.now();
  if (!check_name(login.user)) {
    guess = true;
    return refuse_login("A login with what is no account's name.", rtmp::adobe_failure(""));
  }
  if (!login.answers())
    return refuse_login(
        "The password of '" + login.user + "' is asked for.",
        rtmp::adobe_challenge(login.user, book_->adobe_salt(login.user),
                              random_hex(kSpareChallengeBytes), challenges_.make(login.user, now)));
  // One that we have not made is not told back: it may be anything.
  if (const auto fresh = challenges_.check(login.opaque, login.user, now); !fresh)
    return refuse_login(fresh.error().detail, rtmp::adobe_failure(""));
  const auto accounts = book_->snapshot();
  const Account *account = accounts->find(login.user);
  const std::string hash = account ? account->adobe_hash : std::string();
  // Without an account as well: it takes as long.
  const std::string right = rtmp::adobe_response(hash, login.opaque, login.challenge);
  if (!same_secret(login.response, right) || hash.empty()) {
    guess = true;
    return refuse_login("Wrong name or password of '" + login.user + "'.",
                        rtmp::adobe_failure(login.opaque));
  }
  if (const auto used = challenges_.use(login.opaque, login.user, now); !used)
    return refuse(used.error().detail);
  if (const auto may = house_.may_come(request, account->name); !may)
    return refuse(may.error().detail);
  rtmp::Verdict verdict = accept(account->name);
  verdict.grant = std::string(kByPassword) + account->id;
  return verdict;
}

bool BuiltinAuthenticator::still_there(const rtmp::Request &request) const {
  const auto accounts = book_->snapshot();
  const Account *account = accounts->find(request.identity);
  return account && std::string(kByPassword) + account->id == request.grant;
}

rtmp::Verdict BuiltinAuthenticator::decide_stage(const rtmp::Request &request,
                                                 const std::string &account, Rights rights) const {
  if (const auto may = house_.may_come(request, account); !may) return refuse(may.error().detail);
  if (request.stage == rtmp::Stage::Connect) return accept(account);
  // Asked again at publish and play: many connections may have passed createStream together.
  if (const auto may = house_.may_open_stream(account, request.role); !may)
    return refuse(may.error().detail);
  if (request.stage == rtmp::Stage::CreateStream) return accept(account);
  const bool push = request.role == rtmp::Role::Push;
  if (push ? !rights.push : !rights.pull)
    return refuse(push ? "This token may only pull (play), not push (publish)."
                       : "This token may only push (publish), not pull (play).");
  if (request.stream != account) {
    if (!push && !book_->snapshot()->find(request.stream))
      return refuse("There is no stream of this name. Yours is '" + account + "'.",
                    rtmp::Refusal::UnknownStream);
    return refuse("You may use the stream '" + account + "' only.");
  }
  if (const auto may = house_.may_start(request, account, seams_.now()); !may)
    return refuse(may.error().detail);
  return accept(account);
}

}  // namespace junctor::accounts
