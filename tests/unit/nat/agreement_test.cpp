// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/agreement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace junctor::nat {
namespace {

Bytes hex(std::string_view text) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  return bytes;
}
PublicKey key(std::string_view text) {
  PublicKey key{};
  std::ranges::copy(hex(text), key.begin());
  return key;
}
Bytes count(unsigned first, unsigned last) {
  Bytes bytes;
  for (unsigned i = first; i <= last; ++i) bytes.push_back(static_cast<std::byte>(i));
  return bytes;
}
KeyPair pair(std::string_view text) { return *KeyPair::from_private(hex(text)); }

// RFC 7748 section 6.1.
constexpr std::string_view kAlice =
    "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
constexpr std::string_view kBob =
    "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";

TEST(X25519, OfTheStandardsExample) {
  const KeyPair alice = pair(kAlice), bob = pair(kBob);
  EXPECT_EQ(alice.public_key(),
            key("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
  EXPECT_EQ(bob.public_key(),
            key("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
  const Bytes shared = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
  EXPECT_EQ(*alice.shared_secret(bob.public_key()), shared);
  EXPECT_EQ(*bob.shared_secret(alice.public_key()), shared);
}

TEST(X25519, RefusesKeysThatGiveEverybodyTheSameSecret) {
  // RFC 7748 section 6.1: points of small order make zeros.
  for (const auto *bad : {"0000000000000000000000000000000000000000000000000000000000000000",
                          "0100000000000000000000000000000000000000000000000000000000000000",
                          "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                          "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"})
    EXPECT_FALSE(pair(kAlice).shared_secret(key(bad))) << bad;
}

// RFC 5869 appendix A.
TEST(Hkdf, OfTheStandardsExamples) {
  const auto derived = hkdf_sha256(Bytes(22, std::byte{0x0b}), count(0, 12),
                                   "\xf0\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9", 42);
  EXPECT_EQ(*derived, hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208"
                          "d5b887185865"));
  const Bytes info = count(0xb0, 0xff);
  EXPECT_EQ(*hkdf_sha256(count(0, 0x4f), count(0x60, 0xaf),
                         {reinterpret_cast<const char *>(info.data()), info.size()}, 82),
            hex("b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271"
                "cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d8"
                "7"));
  EXPECT_EQ(*hkdf_sha256(Bytes(22, std::byte{0x0b}), {}, {}, 42),
            hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96"
                "c8"));
}

TEST(Agreement, BothEndsHaveTheSameKeysCrossedOver) {
  const KeyPair alice = pair(kAlice), bob = pair(kBob);
  const auto caller = agree(alice, bob.public_key(), Side::Caller, "s1");
  const auto callee = agree(bob, alice.public_key(), Side::Callee, "s1");
  ASSERT_TRUE(caller && callee);
  EXPECT_EQ(caller->probe_own, callee->probe_peer);
  EXPECT_EQ(caller->probe_peer, callee->probe_own);
  EXPECT_EQ(caller->srtp.local, callee->srtp.remote);
  EXPECT_EQ(caller->srtp.remote, callee->srtp.local);
  EXPECT_EQ(caller->srtcp.local, callee->srtcp.remote);
  EXPECT_EQ(caller->srtcp.remote, callee->srtcp.local);
  EXPECT_TRUE(rtp::Srtp::make(caller->srtp));
  EXPECT_EQ(fingerprint(alice.public_key(), bob.public_key()).size(), 19U);
}

TEST(Agreement, NoTwoKeysAreTheSame) {
  const KeyPair alice = pair(kAlice), bob = pair(kBob);
  std::set<std::string> seen;
  std::size_t keys = 0;
  for (const auto *session : {"s1", "s2"})
    for (const Side side : {Side::Caller, Side::Callee}) {
      const auto made = agree(alice, bob.public_key(), side, session);
      ASSERT_TRUE(made);
      for (const ByteSpan each :
           {ByteSpan(made->probe_own), ByteSpan(made->probe_peer),
            ByteSpan(made->srtp.local.master), ByteSpan(made->srtp.remote.master),
            ByteSpan(made->srtcp.local.master), ByteSpan(made->srtcp.remote.master)}) {
        ++keys;
        seen.emplace(reinterpret_cast<const char *>(each.data()), 16);
      }
    }
  EXPECT_EQ(seen.size(), keys);
}

TEST(Agreement, WhoIsWhoIsPartOfTheKeys) {
  const KeyPair alice = pair(kAlice), bob = pair(kBob);
  const auto one = agree(alice, bob.public_key(), Side::Caller, "s1");
  const auto other = agree(bob, alice.public_key(), Side::Caller, "s1");
  EXPECT_NE(one->probe_own, other->probe_peer);
  EXPECT_NE(fingerprint(alice.public_key(), bob.public_key()),
            fingerprint(bob.public_key(), alice.public_key()));
}

TEST(Agreement, RefusesOurOwnKey) {
  const KeyPair alice = pair(kAlice);
  const auto refused = agree(alice, alice.public_key(), Side::Caller, "s1");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, testing::HasSubstr("own description"));
}

TEST(Agreement, FreshKeysDiffer) {
  EXPECT_NE(KeyPair::generate()->public_key(), KeyPair::generate()->public_key());
}

}  // namespace
}  // namespace junctor::nat
