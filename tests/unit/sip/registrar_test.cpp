// SPDX-License-Identifier: LGPL-2.1-or-later
// The registrar's rules and digest authentication.
#include "sip/core/registrar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/percent.h"
#include "sip/core/cause.h"
#include "sip/core/sofia_log.h"
#include "sip/core/uri.h"

namespace junctor::sip {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Digest, Rfc2617Example) {
  // RFC 2617 section 3.5.
  const std::string ha1 = digest_ha1("Mufasa", "testrealm@host.com", "Circle Of Life");
  EXPECT_EQ(ha1, "939e7578ed9e3c518a452acee763bce9");
  EXPECT_EQ(digest_response(ha1, "dcd98b7102dd2f0e8b11d0f600bfb0c093", "00000001", "0a4f113b",
                            "auth", "GET", "/dir/index.html"),
            "6629fae49393a05397450978507c4ef1");
  // The same without qop, as RFC 2069 has it.
  EXPECT_EQ(digest_response(ha1, "dcd98b7102dd2f0e8b11d0f600bfb0c093", "", "", "", "GET",
                            "/dir/index.html"),
            "670fd8c2df070c60b045671b8b24ff02");
}

class RegistrarTest : public ::testing::Test {
 protected:
  RegistrarTest() { make({}); }

  void make(Registrar::Options options) {
    options.realm = "junctor";
    options.ha1 = [this](const std::string &user) -> std::optional<std::string> {
      ++lookups_;
      if (user == "alice") return digest_ha1("alice", "junctor", "wonder");
      if (user == "bob") return digest_ha1("bob", "junctor", "builder");
      if (user.starts_with("user")) return digest_ha1(user, "junctor", "x");
      return std::nullopt;
    };
    registrar_.emplace(options);
  }

  RegisterRequest request(std::vector<RegisterRequest::Contact> contacts,
                          const std::string &user = "alice") {
    RegisterRequest request;
    request.to_user = user;
    request.call_id = "call-1";
    request.cseq = ++cseq_;
    request.contacts = std::move(contacts);
    request.source = {"192.0.2.50", 40000};
    return request;
  }

  std::string nonce(const std::string &address = "192.0.2.50") {
    RegisterRequest bare = request({});
    bare.source.address = address;
    const RegisterReply reply = registrar_->handle(bare, now_);
    EXPECT_EQ(reply.status, 401);
    const auto start = reply.challenge.find("nonce=\"") + 7;
    return reply.challenge.substr(start, reply.challenge.find('"', start) - start);
  }

  void sign(RegisterRequest &request, const std::string &nonce, const std::string &user,
            const std::string &password, const std::string &nc = "00000001") {
    request.has_credentials = true;
    request.credentials = {{"username", user},     {"realm", "junctor"}, {"nonce", nonce},
                           {"uri", "sip:junctor"}, {"qop", "auth"},      {"nc", nc},
                           {"cnonce", "abc"}};
    request.credentials["response"] = digest_response(digest_ha1(user, "junctor", password), nonce,
                                                      nc, "abc", "auth", "REGISTER", "sip:junctor");
  }

  RegisterReply registered(RegisterRequest request, const std::string &password = "wonder") {
    const std::string user = request.to_user;
    sign(request, nonce(request.source.address), user, password);
    return registrar_->handle(request, now_);
  }
  std::vector<std::string> contacts(const std::string &account = "alice") {
    std::vector<std::string> out;
    for (const auto &registration : registrar_->find(account, now_))
      out.push_back(registration.contact);
    return out;
  }

  Time now_ = Time{} + 1000h;
  std::uint32_t cseq_ = 0;
  int lookups_ = 0;
  std::optional<Registrar> registrar_;
};

TEST_F(RegistrarTest, RegistersWithPasswordAndRemembersTheFlow) {
  RegisterRequest wanted = request({{"sip:alice@10.0.0.5:5060;transport=tcp", 600}});
  wanted.transport = "tcp";
  wanted.user_agent = "phone/1\n";
  const RegisterReply reply = registered(wanted);
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(reply.contacts, ElementsAre("<sip:alice@10.0.0.5:5060;transport=tcp>;expires=600"));
  const auto found = registrar_->find("alice", now_);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].route, "sip:192.0.2.50:40000;transport=tcp;lr");
  EXPECT_EQ(found[0].source, (Endpoint{"192.0.2.50", 40000}));
  EXPECT_EQ(found[0].user_agent, "phone/1?");
  EXPECT_TRUE(registrar_->find("bob", now_).empty());
}

TEST_F(RegistrarTest, BindingsExpire) {
  registered(request({{"sip:alice@10.0.0.5", 60}}));
  now_ += 59s;
  EXPECT_EQ(contacts().size(), 1u);
  now_ += 1s;
  EXPECT_TRUE(contacts().empty());
}

TEST_F(RegistrarTest, ExpiresIsBounded) {
  const RegisterReply brief = registered(request({{"sip:alice@10.0.0.5", 59}}));
  EXPECT_EQ(brief.status, 423);
  EXPECT_EQ(brief.min_expires, 60u);
  const RegisterReply brief2 = [&] {
    RegisterRequest wanted = request({{"sip:alice@10.0.0.5", std::nullopt}});
    wanted.expires = 1;
    return registered(wanted);
  }();
  EXPECT_EQ(brief2.status, 423);
  EXPECT_THAT(registered(request({{"sip:alice@10.0.0.5", 4000000000u}})).contacts,
              ElementsAre(HasSubstr("expires=3600")));
  EXPECT_THAT(registered(request({{"sip:alice@10.0.0.5", std::nullopt}})).contacts,
              ElementsAre(HasSubstr("expires=3600")));
}

TEST_F(RegistrarTest, RefreshAndNewAddressOfTheSamePhoneReplace) {
  registered(request({{"sip:alice@10.0.0.5", 600}}));
  registered(request({{"sip:alice@10.0.0.5", 600}}));
  EXPECT_THAT(contacts(), ElementsAre("sip:alice@10.0.0.5"));
  registered(request({{"sip:alice@10.0.0.6", 600}}));
  EXPECT_THAT(contacts(), ElementsAre("sip:alice@10.0.0.6"));
  RegisterRequest second = request({{"sip:alice@10.0.0.7", 600}});
  second.call_id = "another phone";
  registered(second);
  EXPECT_THAT(contacts(), ElementsAre("sip:alice@10.0.0.7", "sip:alice@10.0.0.6"));
}

TEST_F(RegistrarTest, RemovesOneAndAll) {
  RegisterRequest two = request({{"sip:alice@a.example", 600}, {"sip:alice@b.example", 600}});
  registered(two);
  EXPECT_EQ(contacts().size(), 2u);
  registered(request({{"sip:alice@a.example", 0}}));
  EXPECT_THAT(contacts(), ElementsAre("sip:alice@b.example"));
  RegisterRequest all = request({});
  all.star = true;
  all.expires = 0;
  EXPECT_EQ(registered(all).status, 200);
  EXPECT_TRUE(contacts().empty());
  EXPECT_EQ(registrar_->accounts(), 0u);
}

TEST_F(RegistrarTest, StarStandsAlone) {
  RegisterRequest star = request({});
  star.star = true;
  EXPECT_EQ(registered(star).status, 400);  // RFC 3261 10.3 step 6: without Expires
  star = request({{"sip:alice@a.example", 0}});
  star.star = true;
  star.expires = 0;
  EXPECT_EQ(registered(star).status, 400);
}

TEST_F(RegistrarTest, QueryChangesNothing) {
  registered(request({{"sip:alice@a.example", 600}}));
  now_ += 100s;
  EXPECT_THAT(registered(request({})).contacts, ElementsAre("<sip:alice@a.example>;expires=500"));
}

TEST_F(RegistrarTest, OldRequestsChangeNothing) {
  registered(request({{"sip:alice@a.example", 600}}));
  RegisterRequest old = request({{"sip:alice@a.example", 0}});
  old.cseq = 1;
  EXPECT_EQ(registered(old).status, 500);
  EXPECT_EQ(contacts().size(), 1u);
}

TEST_F(RegistrarTest, RefusesForeignAccountsAndContacts) {
  RegisterRequest foreign = request({{"sip:x@a.example", 600}}, "bob");
  sign(foreign, nonce(), "alice", "wonder");
  EXPECT_EQ(registrar_->handle(foreign, now_).status, 403);
  EXPECT_EQ(registered(request({{"http://a.example", 600}})).status, 400);
  EXPECT_EQ(registered(request({{"sip:alice@-bad-", 600}})).status, 400);
  EXPECT_EQ(registered(request({{"sip:alice@a.example?Route=x", 600}})).status, 400);
  EXPECT_EQ(registrar_->accounts(), 0u);
}

TEST_F(RegistrarTest, WrongPasswordAndUnknownUserLookTheSameAndCostTime) {
  const RegisterReply wrong = registered(request({{"sip:a@b.example", 600}}), "guess");
  const RegisterReply unknown = registered(request({{"sip:a@b.example", 600}}, "nobody"), "guess");
  EXPECT_EQ(wrong.status, 403);
  EXPECT_EQ(unknown.status, wrong.status);
  EXPECT_STREQ(unknown.phrase, wrong.phrase);
  EXPECT_EQ(wrong.delay, unknown.delay);
  EXPECT_GE(wrong.delay, 1s);
  EXPECT_TRUE(wrong.challenge.empty());
}

TEST_F(RegistrarTest, GuessingIsLimitedForTheGuesserAlone) {
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(registered(request({{"sip:a@b.example", 600}}), "guess").status, 403);
  const int before = lookups_;
  const RegisterReply blocked = registered(request({{"sip:a@b.example", 600}}));
  EXPECT_EQ(blocked.status, 503);
  EXPECT_EQ(blocked.retry_after, 60u);
  EXPECT_EQ(lookups_, before);
  // Another account from there, and this account from elsewhere, still work.
  EXPECT_EQ(registered(request({{"sip:bob@b.example", 600}}, "bob"), "builder").status, 200);
  RegisterRequest elsewhere = request({{"sip:a@b.example", 600}});
  elsewhere.source.address = "192.0.2.51";
  EXPECT_EQ(registered(elsewhere).status, 200);
  now_ += 60s;
  EXPECT_EQ(registered(request({{"sip:a@c.example", 600}})).status, 200);
}

TEST_F(RegistrarTest, GuessingManyAccountsIsLimitedToo) {
  for (int i = 0; i < 50; ++i)
    registered(request({{"sip:a@b.example", 600}}, "nobody" + std::to_string(i)), "guess");
  EXPECT_EQ(registered(request({{"sip:a@b.example", 600}})).status, 503);
}

TEST_F(RegistrarTest, WhoNeverHeardTheChallengeLocksNobodyOut) {
  const std::string old = nonce();
  now_ += 5min + 1s;
  const std::string elsewhere = nonce("192.0.2.66");
  for (int i = 0; i < 100; ++i) {
    // Under the phone's address: with no nonce, one made up, a stranger's own, and an old one.
    for (const std::string &nonce : {std::string(), std::string(64, 'a'), elsewhere, old}) {
      RegisterRequest forged = request({{"sip:a@b.example", 600}});
      sign(forged, nonce, "alice", "guess");
      const RegisterReply reply = registrar_->handle(forged, now_);
      EXPECT_EQ(reply.status, 401);
      EXPECT_EQ(reply.delay, 0s);
    }
  }
  EXPECT_EQ(registered(request({{"sip:a@b.example", 600}})).status, 200);
}

TEST_F(RegistrarTest, WithoutAGoodNonceNothingIsToldOfThePassword) {
  RegisterRequest right = request({{"sip:a@b.example", 600}}), wrong = right;
  const std::string old = nonce();
  now_ += 5min + 1s;
  sign(right, old, "alice", "wonder");
  sign(wrong, old, "alice", "guess");
  for (const RegisterRequest &each : {right, wrong}) {
    const RegisterReply reply = registrar_->handle(each, now_);
    EXPECT_EQ(reply.status, 401);
    EXPECT_THAT(reply.challenge, HasSubstr("stale=true"));
  }
}

TEST_F(RegistrarTest, ANonceIsGoodForItsAddressAlone) {
  RegisterRequest moved = request({{"sip:alice@a.example", 600}});
  sign(moved, nonce(), "alice", "wonder");
  moved.source.address = "192.0.2.51";
  EXPECT_EQ(registrar_->handle(moved, now_).status, 401);
  moved.source = {"192.0.2.50", 40001};  // another port of the same is another flow of it
  EXPECT_EQ(registrar_->handle(moved, now_).status, 200);
}

TEST_F(RegistrarTest, NothingIsAcceptedTwice) {
  RegisterRequest first = request({{"sip:alice@a.example", 600}});
  const std::string used = nonce();
  sign(first, used, "alice", "wonder");
  EXPECT_EQ(registrar_->handle(first, now_).status, 200);
  RegisterRequest replayed = request({{"sip:alice@evil.example", 600}});
  sign(replayed, used, "alice", "wonder");
  const RegisterReply stale = registrar_->handle(replayed, now_);
  EXPECT_EQ(stale.status, 401);
  EXPECT_THAT(stale.challenge, HasSubstr("stale=true"));
  sign(replayed, used, "alice", "wonder", "00000002");
  EXPECT_EQ(registrar_->handle(replayed, now_).status, 200);
}

TEST_F(RegistrarTest, NoncesAgeAndAreOurOwn) {
  RegisterRequest late = request({{"sip:alice@a.example", 600}});
  sign(late, nonce(), "alice", "wonder");
  now_ += 5min + 1s;
  EXPECT_THAT(registrar_->handle(late, now_).challenge, HasSubstr("stale=true"));
  RegisterRequest forged = request({{"sip:alice@a.example", 600}});
  sign(forged, std::string(64, 'a'), "alice", "wonder");
  EXPECT_EQ(registrar_->handle(forged, now_).status, 401);
  sign(forged, "", "alice", "wonder");
  EXPECT_EQ(registrar_->handle(forged, now_).status, 401);
  EXPECT_NE(nonce(), nonce());
  EXPECT_TRUE(contacts().empty());
}

TEST_F(RegistrarTest, MalformedCredentialsAreRefused) {
  for (const auto &[key, value] :
       {std::pair{"realm", "elsewhere"}, std::pair{"algorithm", "SHA-256"},
        std::pair{"qop", "auth-int"}, std::pair{"nc", "zz"}, std::pair{"nc", "00000000"},
        std::pair{"response", ""}, std::pair{"username", ""}}) {
    RegisterRequest bad = request({{"sip:alice@a.example", 600}});
    sign(bad, nonce(), "alice", "wonder");
    bad.credentials[key] = value;
    EXPECT_EQ(registrar_->handle(bad, now_).status, 403) << key << '=' << value;
  }
  RegisterRequest empty = request({{"sip:alice@a.example", 600}});
  empty.has_credentials = true;
  EXPECT_EQ(registrar_->handle(empty, now_).status, 401);
}

TEST_F(RegistrarTest, IsBounded) {
  Registrar::Options options;
  options.max_contacts = 2;
  options.max_accounts = 3;
  make(options);
  for (int i = 0; i < 4; ++i) {
    RegisterRequest next = request(
        {{"sip:alice@" + std::to_string(i) + ".example", 600u + static_cast<std::uint32_t>(i)}});
    next.call_id = std::to_string(i);
    EXPECT_EQ(registered(next).status, 200);
  }
  EXPECT_THAT(contacts(), ElementsAre("sip:alice@3.example", "sip:alice@2.example"));
  for (int i = 0; i < 3; ++i) {
    const RegisterReply reply =
        registered(request({{"sip:u@a.example", 600}}, "user" + std::to_string(i)), "x");
    EXPECT_EQ(reply.status, i < 2 ? 200 : 503);
  }
  std::vector<RegisterRequest::Contact> many(17, {"sip:alice@a.example", 600});
  EXPECT_EQ(registered(request(many)).status, 400);
}

TEST(Causes, MapStatusesToReasons) {
  struct Row {
    int code;
    EndReason reason;
  };
  for (const Row row : {Row{486, EndReason::Busy},          Row{600, EndReason::Busy},
                        Row{603, EndReason::Declined},      Row{480, EndReason::NoAnswer},
                        Row{487, EndReason::NoAnswer},      Row{408, EndReason::Unreachable},
                        Row{404, EndReason::Unreachable},   Row{410, EndReason::Unreachable},
                        Row{503, EndReason::Unreachable},   Row{500, EndReason::Unreachable},
                        Row{599, EndReason::Unreachable},   Row{302, EndReason::Unreachable},
                        Row{488, EndReason::NotAcceptable}, Row{606, EndReason::NotAcceptable},
                        Row{415, EndReason::NotAcceptable}, Row{401, EndReason::Unauthorized},
                        Row{403, EndReason::Unauthorized},  Row{407, EndReason::Unauthorized},
                        Row{904, EndReason::Unauthorized},  Row{499, EndReason::Unreachable},
                        Row{699, EndReason::Declined},      Row{900, EndReason::Internal},
                        Row{0, EndReason::Internal}})
    EXPECT_EQ(reason_of(row.code), row.reason) << row.code;
}

TEST(Causes, AreListedOnce) {
  std::vector<int> codes;
  for (const Cause &cause : causes()) codes.push_back(cause.code);
  std::ranges::sort(codes);
  EXPECT_EQ(std::ranges::adjacent_find(codes), codes.end());
}

TEST(Uris, TakeApart) {
  const auto uri = Uri::parse("sip:bob%20b@[2001:db8::1]:5070;Transport=TCP;lr");
  ASSERT_TRUE(uri);
  EXPECT_EQ(uri->user, "bob%20b");
  EXPECT_EQ(uri->host, "2001:db8::1");
  EXPECT_EQ(uri->port, 5070);
  EXPECT_EQ(uri->transport, "tcp");
  EXPECT_EQ(uri->to_string(), "sip:bob%20b@[2001:db8::1]:5070;Transport=TCP;lr");
  EXPECT_EQ(percent_decode(uri->user), "bob b");
  EXPECT_EQ(escape_user("bob b@\r\n<"), "bob%20b%40%0D%0A%3C");
  EXPECT_EQ(quoted("a\"b\\c\r\n"), "\"a\\\"b\\\\c\"");
}

TEST(Uris, Hosts) {
  for (const char *good : {"a", "example.com", "example.com.", "x-1.example", "127.0.0.1", "::1",
                           "0.0.0.0", "1.2.3.x", "xn--bcher-kva.example"})
    EXPECT_TRUE(is_host(good)) << good;
  for (const char *bad : {"", ".", "a..b", "-a", "a-", "1.2.3", "1.2.3.4.5", "300.1.1.1", "a b",
                          "a_b", "[::1]", "a.b..", "é", "1234"})
    EXPECT_FALSE(is_host(bad)) << bad;
  EXPECT_FALSE(is_host(std::string(64, 'a')));
  EXPECT_FALSE(is_host(std::string(254, 'a')));
}

TEST(SofiaLogText, LosesCredentials) {
  EXPECT_EQ(without_secrets("x Authorization: Digest response=\"12\""), "x [credentials]");
  EXPECT_EQ(without_secrets("RESPONSE=\"12\""), "[credentials]");
  EXPECT_EQ(without_secrets("nothing here"), "nothing here");
}

}  // namespace
}  // namespace junctor::sip
