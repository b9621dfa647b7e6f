// SPDX-License-Identifier: LGPL-2.1-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <jwt.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "../temporary_directory.h"
#include "accounts/book.h"
#include "accounts/busy.h"
#include "accounts/secrets.h"
#include "accounts/token.h"
#include "book_fixture.h"

using namespace junctor;
using namespace junctor::accounts;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

std::string content(const std::string &path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

unsigned mode(const std::string &path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return status.st_mode & 0777;
}

}  // namespace

TEST(Secrets, DigestOfRfc2617Section35) {
  // The HA1 behind the example: its response is 6629fae49393a05397450978507c4ef1.
  EXPECT_EQ(digest_ha1("Mufasa", "testrealm@host.com", "Circle Of Life"),
            "939e7578ed9e3c518a452acee763bce9");
}

TEST(Secrets, RandomOnesDifferAndHaveTheirLength) {
  EXPECT_EQ(random_hex(32).size(), 64U);
  EXPECT_NE(random_hex(32), random_hex(32));
  EXPECT_EQ(random_password().size(), 20U);
  EXPECT_NE(random_password(), random_password());
  EXPECT_EQ(from_hex("00ff41"), std::string("\0\xff\x41", 3));
  EXPECT_EQ(from_hex("0g"), "");
  EXPECT_EQ(from_hex("0"), "");
}

TEST(Secrets, SameOnlyIfEqual) {
  EXPECT_TRUE(same_secret("abc", "abc"));
  EXPECT_FALSE(same_secret("abd", "abc"));
  EXPECT_FALSE(same_secret("abcd", "abc"));
  EXPECT_FALSE(same_secret("", ""));
}

TEST(Secrets, FileIsMadeOnceWithModeSixHundred) {
  const TemporaryDirectory dir;
  const std::string path = dir.path() + "/key";
  auto first = load_or_make_secret(path, [] { return std::string("one"); });
  auto second = load_or_make_secret(path, [] { return std::string("two"); });
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, "one");
  EXPECT_EQ(*second, "one");
  EXPECT_EQ(mode(path), 0600U);
}

TEST(Secrets, ManyAtOnceAgreeOnOneSecret) {
  const TemporaryDirectory dir;
  const std::string path = dir.path() + "/key";
  std::vector<std::string> got(8);
  std::vector<std::thread> threads;
  for (auto &text : got)
    threads.emplace_back([&] {
      auto secret = load_or_make_secret(path, [] { return random_hex(16); });
      if (secret) text = *secret;
    });
  for (auto &thread : threads) thread.join();
  for (const auto &text : got) EXPECT_EQ(text, got.front());
  EXPECT_EQ(got.front().size(), 32U);
}

TEST(Secrets, FileOpenToOthersIsRefusedWithTheFix) {
  const TemporaryDirectory dir;
  const std::string path = dir.path() + "/key";
  ASSERT_TRUE(write_private_file(path, "secret"));
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  auto read = read_private_file(path, 100);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().detail.find("chmod 600 " + path), std::string::npos);
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  EXPECT_TRUE(read_private_file(path, 6));
  EXPECT_FALSE(read_private_file(path, 5));
}

TEST(Secrets, DirectoryThatWasThereIsClosedToOthers) {
  const TemporaryDirectory dir;
  ASSERT_TRUE(write_private_file(dir.path() + "/accounts.json", "{}"));
  ASSERT_EQ(::chmod(dir.path().c_str(), 0755), 0);
  ASSERT_TRUE(make_private_directory(dir.path()));
  EXPECT_EQ(mode(dir.path()), 0700U);
  // Others may count on one that holds more than our files.
  ASSERT_TRUE(write_private_file(dir.path() + "/letter.txt", "x"));
  ASSERT_TRUE(make_private_directory(dir.path())) << "closed, it will do";
  ASSERT_EQ(::chmod(dir.path().c_str(), 0755), 0);
  const auto shared = make_private_directory(dir.path());
  ASSERT_FALSE(shared);
  EXPECT_NE(shared.error().detail.find("chmod 700 " + dir.path()), std::string::npos);
  EXPECT_EQ(mode(dir.path()), 0755U);
}

TEST(Token, RoundTrip) {
  auto key = TokenKey::from_text(random_hex(32));
  ASSERT_TRUE(key);
  const Claims claims{"alice", "id1", {true, false}, kNow, kNow + 60, "a1"};
  auto read = key->read(key->sign(claims), kNow);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->subject, "alice");
  EXPECT_EQ(read->id, "id1");
  EXPECT_EQ(read->account, "a1");
  EXPECT_EQ(read->rights, (Rights{true, false}));
  EXPECT_EQ(read->issued, kNow);
  EXPECT_EQ(read->expires, kNow + 60);
}

TEST(Token, ExpiresInItsSecond) {
  auto key = TokenKey::from_text(random_hex(32));
  ASSERT_TRUE(key);
  const std::string token = key->sign({"alice", "id1", {true, true}, kNow, kNow + 60, ""});
  EXPECT_TRUE(key->read(token, kNow + 59));
  const auto late = key->read(token, kNow + 60);
  ASSERT_FALSE(late);
  EXPECT_NE(late.error().detail.find("2023-11-14 22:14 UTC"), std::string::npos)
      << late.error().detail;
}

TEST(Token, ForeignDamagedAndUnsignedAreRefused) {
  auto key = TokenKey::from_text(std::string(64, 'a'));
  auto other = TokenKey::from_text(std::string(64, 'b'));
  ASSERT_TRUE(key && other);
  const Claims claims{"alice", "id1", {true, true}, kNow, kNow + 60, ""};
  const std::string good = key->sign(claims);
  ASSERT_TRUE(key->read(good, kNow));
  EXPECT_FALSE(key->read(other->sign(claims), kNow));
  EXPECT_FALSE(key->read("", kNow));
  EXPECT_FALSE(key->read("a.b.c", kNow));
  EXPECT_FALSE(key->read(good + '\0', kNow));
  EXPECT_FALSE(key->read(good.substr(0, good.size() - 1), kNow));
  EXPECT_FALSE(key->read(good + std::string(kMaxTokenBytes, 'x'), kNow));
  // {"alg":"none"} with the same payload and no signature.
  const auto dot = good.find('.');
  const std::string payload = good.substr(dot, good.rfind('.') - dot);
  EXPECT_FALSE(key->read("eyJhbGciOiJub25lIn0" + payload + ".", kNow));
  // A right signature under another algorithm than ours.
  const std::string bytes(32, '\xaa');
  jwt_t *jwt = nullptr;
  ASSERT_EQ(jwt_new(&jwt), 0);
  jwt_add_grant(jwt, "sub", "alice");
  jwt_add_grant(jwt, "jti", "id1");
  jwt_add_grant_int(jwt, "exp", kNow + 60);
  jwt_set_alg(jwt, JWT_ALG_HS512, reinterpret_cast<const unsigned char *>(bytes.data()), 32);
  char *text = jwt_encode_str(jwt);
  EXPECT_FALSE(key->read(text, kNow));
  free(text);
  jwt_set_alg(jwt, JWT_ALG_HS256, reinterpret_cast<const unsigned char *>(bytes.data()), 32);
  text = jwt_encode_str(jwt);
  EXPECT_TRUE(key->read(text, kNow)) << "the same token in our algorithm is right";
  free(text);
  jwt_free(jwt);
}

TEST(Token, KeyMustBeLong) {
  EXPECT_FALSE(TokenKey::from_text("abcd"));
  EXPECT_FALSE(TokenKey::from_text(std::string(64, 'x')));
}

TEST(Book, NamesAreChecked) {
  for (const char *name : {"alice", "a", "4711", "a.b_c-d"}) EXPECT_TRUE(check_name(name)) << name;
  for (const std::string &name :
       {std::string(), std::string("Alice"), std::string("-a"), std::string("a b"),
        std::string("a/b"), std::string("a@b"), std::string("a\0b", 3), std::string(65, 'a')})
    EXPECT_FALSE(check_name(name)) << name;
}

TEST(Book, ADamagedKeyOfTheTokensSaysWhatToDo) {
  const TemporaryDirectory dir;
  ASSERT_TRUE(write_private_file(dir.path() + "/token-key", "garbage\n"));
  const auto book = Book::open(dir.path(), "");
  ASSERT_FALSE(book);
  EXPECT_NE(book.error().detail.find("token-key: "), std::string::npos);
  EXPECT_NE(book.error().detail.find("move it away and start again"), std::string::npos)
      << book.error().detail;
}

TEST(Book, WhatADamagedFileHoldsIsNotRepeated) {
  const TemporaryDirectory dir;
  const auto book = open_book(dir);
  ASSERT_TRUE(book);
  const std::string path = dir.path() + "/accounts.json";
  const std::string begin = R"({"format": 1, "accounts": {"alice": {"created": )";
  for (const std::string rest :
       {R"(1, "ha1": "5f4dcc3b)", "1, \"ha1\": \"5f4dcc3b\n\"}}}", R"(1, "ha1": 5f4dcc3b"}}})",
        R"(5e4000}}})", R"("5f4dcc3b"}}})", R"(1, "realm": 5}}})"}) {
    ASSERT_TRUE(write_private_file(path, begin + rest));
    const auto loaded = book->reload();
    ASSERT_FALSE(loaded) << rest;
    EXPECT_NE(loaded.error().detail.find(path + " is damaged ("), std::string::npos);
    EXPECT_EQ(loaded.error().detail.find("5f4"), std::string::npos) << loaded.error().detail;
    EXPECT_EQ(loaded.error().detail.find("5e4"), std::string::npos) << loaded.error().detail;
  }
}

TEST(Book, KeepsNoPassword) {
  const TemporaryDirectory dir;
  auto book = open_book(dir);
  auto made = book->add("alice", std::nullopt, kNow);
  ASSERT_TRUE(made);
  EXPECT_TRUE(made->generated);
  EXPECT_EQ(made->password.size(), 20U);
  auto chosen = book->add("bob", "correct horse", kNow);
  ASSERT_TRUE(chosen);
  EXPECT_FALSE(chosen->generated);
  const std::string file = content(book->path());
  EXPECT_EQ(file.find(made->password), std::string::npos);
  EXPECT_EQ(file.find("correct horse"), std::string::npos);
  EXPECT_EQ(mode(book->path()), 0600U);
  EXPECT_EQ(mode(dir.path() + "/token-key"), 0600U);
  EXPECT_EQ(book->ha1("bob"), digest_ha1("bob", "junctor", "correct horse"));
  EXPECT_FALSE(book->ha1("carol"));
  EXPECT_TRUE(book->verify_password("bob", "correct horse"));
  EXPECT_FALSE(book->verify_password("bob", "correct horsf"));
  EXPECT_FALSE(book->verify_password("carol", "correct horse"));
}

TEST(Book, RefusesShortPasswordsAndDoubles) {
  const TemporaryDirectory dir;
  auto book = open_book(dir);
  EXPECT_FALSE(book->add("alice", "short", kNow));
  EXPECT_TRUE(book->add("alice", std::nullopt, kNow));
  const auto again = book->add("alice", std::nullopt, kNow);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().fault, Fault::Refused);
  EXPECT_FALSE(book->remove("bob"));
}

TEST(Book, SurvivesARestartAndKeepsItsRealm) {
  const TemporaryDirectory dir;
  std::string token;
  {
    auto book = open_book(dir, "example.org");
    ASSERT_TRUE(book->add("alice", "correct horse", kNow));
    token = issue(*book, "alice");
  }
  auto book = open_book(dir);
  EXPECT_EQ(book->realm(), "example.org");
  EXPECT_TRUE(book->verify(token, kNow));
  EXPECT_EQ(book->ha1("alice"), digest_ha1("alice", "example.org", "correct horse"));
  // Under another realm the old digest would be wrong: better none.
  auto moved = open_book(dir, "example.net");
  EXPECT_FALSE(moved->ha1("alice"));
  EXPECT_TRUE(moved->verify(token, kNow));
}

TEST(Book, NoticesWhatAnotherProcessDid) {
  const TemporaryDirectory dir;
  auto running = open_book(dir);
  auto offline = open_book(dir);
  ASSERT_TRUE(offline->add("alice", std::nullopt, kNow));
  EXPECT_FALSE(running->snapshot()->find("alice"));
  ASSERT_TRUE(running->reload());
  EXPECT_TRUE(running->snapshot()->find("alice"));
  // A change is made on the newest file, not on what this one knew.
  ASSERT_TRUE(offline->add("bob", std::nullopt, kNow));
  ASSERT_TRUE(running->add("carol", std::nullopt, kNow));
  EXPECT_TRUE(running->snapshot()->find("bob"));
  EXPECT_TRUE(running->snapshot()->find("carol"));
}

TEST(Book, TellsWhatAnotherProcessVoidedOnceAndNothingOfItsOwn) {
  const TemporaryDirectory dir;
  auto running = open_book(dir);
  for (const char *name : {"alice", "bob", "carol"})
    ASSERT_TRUE(running->add(name, std::nullopt, kNow));
  auto offline = open_book(dir);
  const auto told = [&] {
    EXPECT_TRUE(running->reload());
    std::vector<std::string> all;
    for (const Voided &each : running->take_voided())
      all.push_back(each.account + (each.removed ? " removed" : "") +
                    (each.token.empty() ? "" : " token " + each.token));
    return all;
  };
  EXPECT_THAT(told(), testing::IsEmpty());
  ASSERT_TRUE(offline->revoke_all("alice", kNow));
  ASSERT_TRUE(offline->remove("bob"));
  ASSERT_TRUE(offline->revoke("carol", "1a", kNow));
  // Here they are read by a change, before anybody has asked for them.
  ASSERT_TRUE(running->add("dave", std::nullopt, kNow));
  EXPECT_THAT(told(), testing::ElementsAre("alice", "bob removed", "carol token 1a"));
  EXPECT_THAT(told(), testing::IsEmpty());
  ASSERT_TRUE(running->revoke_all("alice", kNow));
  ASSERT_TRUE(running->remove("carol"));
  EXPECT_THAT(told(), testing::IsEmpty());
  ASSERT_TRUE(offline->remove("alice"));
  EXPECT_THAT(told(), testing::ElementsAre("alice removed"));
}

TEST(Book, ChangesFromManyThreadsAllArrive) {
  const TemporaryDirectory dir;
  auto book = open_book(dir);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      auto own = Book::open(dir.path(), "");
      for (int n = 0; n < 5; ++n)
        EXPECT_TRUE((*own)->add("a" + std::to_string(i * 10 + n), std::nullopt, kNow));
    });
  for (auto &thread : threads) thread.join();
  ASSERT_TRUE(book->reload());
  EXPECT_EQ(book->snapshot()->accounts.size(), 20U);
}

TEST(Book, DamagedFileIsAnErrorAndChangesNothing) {
  const TemporaryDirectory dir;
  auto book = open_book(dir);
  ASSERT_TRUE(book->add("alice", std::nullopt, kNow));
  for (const char *text : {"{", "[]", R"({"format": 99, "accounts": {}})",
                           R"({"format": 1, "accounts": {"bob": {}}})"}) {
    ASSERT_TRUE(write_private_file(book->path(), text));
    EXPECT_FALSE(book->reload()) << text;
    EXPECT_TRUE(book->snapshot()->find("alice"));
    EXPECT_FALSE(book->add("carol", std::nullopt, kNow)) << text;
    EXPECT_EQ(content(book->path()), text);
  }
}

TEST(Book, AFileThatIsMovedAwayVoidsNothing) {
  const TemporaryDirectory dir;
  const auto book = open_book(dir);
  EXPECT_TRUE(book->reload()) << "none was made yet";
  ASSERT_TRUE(book->add("alice", "correct horse", kNow));
  const std::string away = dir.path() + "/away.json";
  std::filesystem::rename(book->path(), away);
  for (const Result<void> &failed : {book->reload(), book->revoke_all("alice", kNow)}) {
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().fault, Fault::Internal);
    EXPECT_EQ(failed.error().detail, book->path() +
                                         ", which had 1 accounts, is gone. Put it back, "
                                         "or restart to begin without any");
  }
  EXPECT_FALSE(book->add("bob", std::nullopt, kNow));
  EXPECT_NE(book->snapshot()->find("alice"), nullptr);
  EXPECT_TRUE(book->take_voided().empty());
  std::filesystem::rename(away, book->path());
  EXPECT_TRUE(book->reload());
  ASSERT_TRUE(book->remove("alice"));
  EXPECT_TRUE(book->reload()) << "an empty one is no missing one";
}

TEST(Book, WhatCannotBeWrittenIsAnError) {
  const TemporaryDirectory dir;
  EXPECT_FALSE(Book::open(dir.path(), "realm \xff"));
}

TEST(Book, WritesNoLargerFileThanItReads) {
  const TemporaryDirectory dir;
  auto book = Book::open(dir.path(), "", 2000);
  ASSERT_TRUE(book);
  int added = 0;
  Result<NewAccount> made = (*book)->add("a0", std::nullopt, kNow);
  while (made && added < 100)
    made = (*book)->add("a" + std::to_string(++added), std::nullopt, kNow);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().fault, Fault::Refused);
  EXPECT_TRUE((*book)->reload());
  EXPECT_TRUE((*book)->remove("a0"));
  EXPECT_TRUE(Book::open(dir.path(), "", 2000));
}

TEST(Book, RevokesAllAndOne) {
  const TemporaryDirectory dir;
  auto book = open_book(dir);
  ASSERT_TRUE(book->add("alice", std::nullopt, kNow));
  auto one = book->issue("alice", {true, true}, 3600, kNow);
  auto two = book->issue("alice", {true, true}, 3600, kNow);
  ASSERT_TRUE(one && two);
  ASSERT_TRUE(book->revoke("alice", one->claims.id, kNow));
  const auto refused = book->verify(one->text, kNow);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().detail.find("revoked"), std::string::npos);
  EXPECT_TRUE(book->verify(two->text, kNow));
  // All at once, and twice in the same second: what is issued in between is void as well.
  ASSERT_TRUE(book->revoke_all("alice", kNow));
  EXPECT_FALSE(book->verify(two->text, kNow));
  const std::string between = issue(*book, "alice");
  EXPECT_TRUE(book->verify(between, kNow));
  ASSERT_TRUE(book->revoke_all("alice", kNow));
  EXPECT_FALSE(book->verify(between, kNow));
  EXPECT_TRUE(book->verify(issue(*book, "alice"), kNow));
  // Another process sees it too.
  EXPECT_FALSE(open_book(dir)->verify(between, kNow));
}

TEST(Book, TokenOfARemovedAccountStaysVoid) {
  const TemporaryDirectory dir;
  auto book = open_book(dir);
  ASSERT_TRUE(book->add("alice", std::nullopt, kNow));
  const std::string old = issue(*book, "alice");
  ASSERT_TRUE(book->verify(old, kNow));
  ASSERT_TRUE(book->remove("alice"));
  EXPECT_FALSE(book->verify(old, kNow));
  // Within the same second, and with the clock turned back.
  for (const std::int64_t now : {kNow, kNow + 10, kNow - 10}) {
    ASSERT_TRUE(book->add("alice", std::nullopt, now));
    EXPECT_FALSE(book->verify(old, now));
    const std::string young = issue(*book, "alice", {true, true}, 60, now);
    EXPECT_TRUE(book->verify(young, now));
    EXPECT_TRUE(open_book(dir)->verify(young, now)) << "the id is in the file";
    ASSERT_TRUE(book->remove("alice"));
  }
}

TEST(Book, ReloadTakesNoChangeBack) {
  const TemporaryDirectory dir;
  auto book = open_book(dir);
  std::atomic<bool> over = false;
  std::thread reloading([&] {
    while (!over) EXPECT_TRUE(book->reload());
  });
  for (int i = 0; i < 100; ++i) {
    const std::string name = "a" + std::to_string(i);
    EXPECT_TRUE(book->add(name, std::nullopt, kNow));
    for (int look = 0; look < 50; ++look)
      if (!book->snapshot()->find(name)) {
        ADD_FAILURE() << name << " is gone again";
        break;
      }
  }
  over = true;
  reloading.join();
}

TEST(Busy, ForgetsTheCallThatEndedOnly) {
  BusyTable busy;
  const Time now{};
  busy.call_began("alice", "1", "bob");
  EXPECT_EQ(busy.claim("alice", 1, "dave", now), "bob");
  busy.call_began("alice", "2", "carol");
  busy.call_ended("alice", "1");
  EXPECT_EQ(busy.claim("alice", 1, "dave", now), "carol");
  busy.call_ended("alice", "2");
  EXPECT_FALSE(busy.claim("alice", 1, "dave", now));
}

TEST(Busy, AClaimHoldsUntilItsPublishEnds) {
  BusyTable busy;
  Time now{};
  EXPECT_FALSE(busy.claim("alice", 1, "bob", now));
  EXPECT_EQ(busy.claim("alice", 2, "carol", now), "bob");
  EXPECT_FALSE(busy.claim("alice", 3, "bob", now)) << "it may take over";
  EXPECT_FALSE(busy.claim("dave", 4, "carol", now)) << "another account";
  busy.publish_started("alice", 1);
  busy.publish_started("alice", 3);
  now += 1h;
  EXPECT_EQ(busy.claim("alice", 2, "carol", now), "bob");
  busy.publish_ended("alice", 1);
  EXPECT_EQ(busy.claim("alice", 2, "carol", now), "bob") << "the other still publishes";
  busy.publish_ended("alice", 2);
  EXPECT_EQ(busy.claim("alice", 2, "carol", now), "bob") << "a publish that made no claim";
  busy.publish_ended("alice", 3);
  EXPECT_FALSE(busy.claim("alice", 2, "carol", now));
}

TEST(Busy, AClaimWhosePublishNeverBeginsIsForgotten) {
  BusyTable busy;
  Time now{};
  EXPECT_FALSE(busy.claim("alice", 1, "bob", now));
  now += BusyTable::kStartPatience;
  EXPECT_EQ(busy.claim("alice", 2, "carol", now), "bob");
  now += 1ms;
  EXPECT_FALSE(busy.claim("alice", 2, "carol", now));
  busy.publish_started("alice", 1);
  now += BusyTable::kStartPatience + 1ms;
  EXPECT_FALSE(busy.claim("alice", 3, "bob", now));
}

TEST(Book, BoundsOfTokens) {
  const TemporaryDirectory dir;
  auto book = open_book(dir);
  ASSERT_TRUE(book->add("alice", std::nullopt, kNow));
  EXPECT_FALSE(book->issue("bob", {true, true}, 60, kNow));
  EXPECT_FALSE(book->issue("alice", {false, false}, 60, kNow));
  EXPECT_FALSE(book->issue("alice", {true, true}, 0, kNow));
  EXPECT_FALSE(book->issue("alice", {true, true}, kMaxTokenLife + 1, kNow));
  for (const char *id : {"", "\xff", "a b", "a\n", "\xc3\xa9"})
    EXPECT_FALSE(book->revoke("alice", id, kNow)) << id;
  // A thousand are revoked already; written at once, for each change waits for the disk.
  json file = json::parse(content(book->path()));
  for (int i = 0; i < 1000; ++i)
    file["accounts"]["alice"]["revoked"][std::to_string(i)] = kNow + kMaxTokenLife;
  ASSERT_TRUE(write_private_file(book->path(), file.dump()));
  EXPECT_FALSE(book->revoke("alice", "one-more", kNow));
  EXPECT_TRUE(book->revoke("alice", "later", kNow + kMaxTokenLife)) << "old ones are forgotten";
}
