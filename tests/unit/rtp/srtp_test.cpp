// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/srtp.h"

#include <gtest/gtest.h>
#include <link.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <string>

#include "rtp/core/packet.h"
#include "rtp/core/srtp_start.h"

namespace junctor::rtp::test {
namespace {

Bytes from_hex(std::string_view hex) {
  Bytes out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(std::byte(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return out;
}

const unsigned char *raw(const Bytes &bytes) {
  return reinterpret_cast<const unsigned char *>(bytes.data());
}

/// RFC 3711 appendix B.3: a master key and salt, and the session keys that follow from them.
const Bytes kMaster = from_hex("E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6");
const Bytes kCipherKey = from_hex("C61E7A93744F39EE10734AFE3FF7A087");
const Bytes kCipherSalt = from_hex("30CBBC08863D8C85D49DB34A9AE1");
const Bytes kAuthKey = from_hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4");

/// RFC 3711 sections 4.1.1 and 4.2, written out with OpenSSL and the session keys of the RFC.
Bytes encrypted_by_the_book(const Bytes &packet, std::uint32_t rollover, std::size_t tag_size) {
  Bytes iv = kCipherSalt;
  iv.resize(16);
  const auto mix = [&](std::size_t at, std::byte value) { iv[at] ^= value; };
  for (std::size_t i = 0; i < 4; ++i) mix(4 + i, packet[8 + i]);  // SSRC
  for (std::size_t i = 0; i < 4; ++i)
    mix(8 + i, std::byte(static_cast<unsigned char>(rollover >> (24 - 8 * i))));
  mix(12, packet[2]);
  mix(13, packet[3]);
  Bytes out = packet;
  EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
  EVP_EncryptInit_ex(cipher, EVP_aes_128_ctr(), nullptr, raw(kCipherKey), raw(iv));
  int length = 0;
  EVP_EncryptUpdate(cipher, reinterpret_cast<unsigned char *>(out.data()) + kFixedHeaderSize,
                    &length, raw(packet) + kFixedHeaderSize,
                    static_cast<int>(packet.size() - kFixedHeaderSize));
  EVP_CIPHER_CTX_free(cipher);
  Bytes covered = out;
  for (int shift = 24; shift >= 0; shift -= 8)
    covered.push_back(std::byte(static_cast<unsigned char>(rollover >> shift)));
  unsigned char digest[20];
  HMAC(EVP_sha1(), raw(kAuthKey), static_cast<int>(kAuthKey.size()), raw(covered), covered.size(),
       digest, nullptr);
  for (std::size_t i = 0; i < tag_size; ++i) out.push_back(std::byte(digest[i]));
  return out;
}

Bytes rtp(std::uint16_t sequence, std::uint32_t ssrc = 0xcafebabe) {
  return build_packet({15, false, sequence, 0xdecafbad, ssrc}, as_bytes("sixteen bytes of"));
}

Bytes protect(Srtp &srtp, Bytes packet, bool rtcp = false) {
  std::size_t size = packet.size();
  packet.resize(size + Srtp::kMaxTrailer);
  EXPECT_TRUE(rtcp ? srtp.protect_rtcp(packet, size) : srtp.protect_rtp(packet, size));
  packet.resize(size);
  return packet;
}

Srtp::Verdict unprotect(Srtp &srtp, Bytes &packet, bool rtcp = false) {
  std::size_t size = packet.size();
  const auto verdict = rtcp ? srtp.unprotect_rtcp(packet, size) : srtp.unprotect_rtp(packet, size);
  packet.resize(size);
  return verdict;
}
Srtp::Verdict judge(Srtp &srtp, Bytes packet) { return unprotect(srtp, packet); }

using Verdict = Srtp::Verdict;
using Made = std::unique_ptr<Srtp>;

Made make(const SrtpKey &local, const SrtpKey &remote) {
  auto made = Srtp::make({local, remote});
  EXPECT_TRUE(made) << made.error().detail;
  return std::move(*made);
}

TEST(SrtpTest, PacketsAreThoseOfTheStandardsKeys) {
  for (const auto &[suite, tag] : {std::pair{SrtpSuite::AesCm128HmacSha1_80, std::size_t{10}},
                                   std::pair{SrtpSuite::AesCm128HmacSha1_32, std::size_t{4}}}) {
    const SrtpKey key{suite, kMaster};
    const auto sender = make(key, SrtpKey::random(suite));
    const auto receiver = make(SrtpKey::random(suite), key);
    std::uint32_t rollover = 0;
    for (const std::uint16_t sequence : {0xfffe, 0xffff, 0, 1}) {
      if (sequence == 0) rollover = 1;
      Bytes packet = protect(*sender, rtp(sequence));
      EXPECT_EQ(packet, encrypted_by_the_book(rtp(sequence), rollover, tag));
      EXPECT_EQ(unprotect(*receiver, packet), Verdict::Authentic);
      EXPECT_EQ(packet, rtp(sequence));
    }
  }
}

/// How many libraries have been loaded so far.
unsigned long long loaded() {
  unsigned long long count = 0;
  dl_iterate_phdr(
      [](dl_phdr_info *info, std::size_t, void *into) {
        *static_cast<unsigned long long *>(into) = info->dlpi_adds;
        return 1;
      },
      &count);
  return count;
}

TEST(SrtpTest, PreparedItLoadsNothingForACall) {
  prepare_srtp();
  const auto before = loaded();
  for (int call = 0; call < 2; ++call) {
    const auto one = make(SrtpKey::random(kSrtpSuites[0]), SrtpKey::random(kSrtpSuites[0]));
    protect(*one, rtp(1));
  }
  EXPECT_EQ(loaded(), before);
}

TEST(SrtpTest, EachSuiteCarriesRtpAndRtcpBothWays) {
  for (const SrtpSuite suite : kSrtpSuites) {
    SCOPED_TRACE(to_string(suite));
    const SrtpKey ours = SrtpKey::random(suite), theirs = SrtpKey::random(suite);
    EXPECT_EQ(ours.master.size(), master_size(suite));
    EXPECT_NE(ours, theirs);
    EXPECT_EQ(srtp_suite_from_string(to_string(suite)), suite);
    const auto one = make(ours, theirs), other = make(theirs, ours);
    Bytes packet = protect(*one, rtp(1));
    const Bytes plain = rtp(1);
    EXPECT_TRUE(std::equal(plain.begin(), plain.begin() + 12, packet.begin()));
    EXPECT_FALSE(std::equal(plain.begin() + 12, plain.end(), packet.begin() + 12));
    EXPECT_EQ(unprotect(*other, packet), Verdict::Authentic);
    EXPECT_EQ(packet, rtp(1));
    const Bytes report = from_hex("80C900010000000000000000");
    Bytes encrypted = protect(*other, report, true);
    // The tag of SRTCP is the long one in each of them (RFC 4568 section 6.2.2).
    EXPECT_EQ(encrypted.size(), report.size() + 14);
    EXPECT_EQ(unprotect(*one, encrypted, true), Verdict::Authentic);
    EXPECT_EQ(encrypted, report);
  }
  EXPECT_EQ(srtp_suite_from_string("F8_128_HMAC_SHA1_80"), std::nullopt);
}

TEST(SrtpTest, NothingElseCounts) {
  const SrtpKey key = SrtpKey::random(SrtpSuite::AesCm128HmacSha1_80);
  const auto sender = make(key, key), receiver = make(key, key);
  EXPECT_EQ(judge(*receiver, rtp(1)), Verdict::Unauthentic) << "in clear";
  EXPECT_EQ(judge(*receiver, {}), Verdict::Unauthentic);
  EXPECT_EQ(judge(*receiver, from_hex("80")), Verdict::Unauthentic);
  const auto stranger = make(SrtpKey::random(key.suite), key);
  EXPECT_EQ(judge(*receiver, protect(*stranger, rtp(1))), Verdict::Unauthentic);
  const Bytes good = protect(*sender, rtp(1));
  for (std::size_t i = 1; i < good.size(); ++i) {
    Bytes changed = good;
    changed[i] ^= std::byte{1};
    Bytes kept = changed;
    EXPECT_NE(unprotect(*receiver, kept), Verdict::Authentic) << "byte " << i;
    EXPECT_EQ(kept, changed);
  }
  EXPECT_EQ(judge(*receiver, good), Verdict::Authentic);
  EXPECT_EQ(judge(*receiver, good), Verdict::Replayed);
  // Late within the window, then too late.
  const Bytes late = protect(*sender, rtp(2));
  EXPECT_EQ(judge(*receiver, protect(*sender, rtp(1000))), Verdict::Authentic);
  EXPECT_EQ(judge(*receiver, late), Verdict::Authentic);
  const Bytes too_late = protect(*sender, rtp(1001));
  EXPECT_EQ(judge(*receiver, protect(*sender, rtp(1002 + Srtp::kReplayWindow))),
            Verdict::Authentic);
  EXPECT_EQ(judge(*receiver, too_late), Verdict::Replayed);
}

TEST(SrtpTest, APacketIsNotEncryptedTwice) {
  const SrtpKey key = SrtpKey::random(SrtpSuite::AesCm128HmacSha1_80);
  const auto sender = make(key, key);
  protect(*sender, rtp(1));
  Bytes again = rtp(1);
  std::size_t size = again.size();
  EXPECT_FALSE(sender->protect_rtp(again, size)) << "no room for the tag";
  again.resize(size + Srtp::kMaxTrailer);
  EXPECT_FALSE(sender->protect_rtp(again, size)) << "a keystream used twice gives both texts away";
}

TEST(SrtpTest, OfTooManySourcesTheOneHeardLongestAgoIsForgotten) {
  const SrtpKey key = SrtpKey::random(SrtpSuite::AesCm128HmacSha1_80);
  const auto sender = make(key, key), receiver = make(key, key);
  const Bytes first = protect(*sender, rtp(1, 1)), second = protect(*sender, rtp(1, 2));
  for (const Bytes &packet : {first, second})
    EXPECT_EQ(judge(*receiver, packet), Verdict::Authentic);
  EXPECT_EQ(judge(*receiver, protect(*sender, rtp(2, 1))), Verdict::Authentic);
  for (std::uint32_t ssrc = 3; ssrc <= Srtp::kMaxSources + 1; ++ssrc)
    EXPECT_EQ(judge(*receiver, protect(*sender, rtp(1, ssrc))), Verdict::Authentic) << ssrc;
  EXPECT_EQ(receiver->forgotten(), 1U);
  EXPECT_EQ(judge(*receiver, first), Verdict::Replayed) << "heard since the second one";
  EXPECT_EQ(judge(*receiver, second), Verdict::Authentic) << "and its replay list is gone";
}

TEST(SrtpTest, AKeyOfOursThatComesBackStartsNothingAnew) {
  const SrtpSuite suite = SrtpSuite::AesCm128HmacSha1_80;
  const SrtpKey theirs = SrtpKey::random(suite), one = SrtpKey::random(suite),
                other = SrtpKey::random(suite);
  const auto sender = make(one, theirs), receiver = make(theirs, one);
  const Bytes report = from_hex("80C900010000000000000000");
  for (const std::uint16_t sequence : {0xffff, 0})
    EXPECT_EQ(judge(*receiver, protect(*sender, rtp(sequence))), Verdict::Authentic);
  const Bytes before = protect(*sender, report, true);
  EXPECT_TRUE(sender->renew({other, theirs}));
  EXPECT_EQ(judge(*receiver, protect(*sender, rtp(1))), Verdict::Unauthentic);
  EXPECT_TRUE(sender->renew({one, theirs}));
  EXPECT_EQ(judge(*receiver, protect(*sender, rtp(2))), Verdict::Authentic) << "its counter is 1";
  EXPECT_NE(protect(*sender, report, true), before) << "the same keystream twice";
  Bytes again = rtp(0);
  std::size_t size = again.size();
  again.resize(size + Srtp::kMaxTrailer);
  EXPECT_FALSE(sender->protect_rtp(again, size));
  bool refused = false;
  for (std::size_t i = 0; i < Srtp::kMaxLocalKeys; ++i)
    refused = !sender->renew({SrtpKey::random(suite), theirs});
  EXPECT_TRUE(refused);
}

/// The receiver has seen the sequence numbers wrap once when the sender changes its key.
struct Renewal : testing::Test {
  static constexpr SrtpSuite kSuite = SrtpSuite::AesCm128HmacSha1_80;
  const SrtpKey ours_ = SrtpKey::random(kSuite), before_ = SrtpKey::random(kSuite),
                after_ = SrtpKey::random(kSuite);
  const Made sender_ = make(before_, ours_), receiver_ = make(ours_, before_);

  void SetUp() override {
    for (const std::uint16_t sequence : {0xffff, 0})
      EXPECT_EQ(judge(*receiver_, protect(*sender_, rtp(sequence))), Verdict::Authentic);
    EXPECT_TRUE(receiver_->renew({ours_, after_}));
    EXPECT_EQ(judge(*receiver_, protect(*sender_, rtp(1))), Verdict::Unauthentic);
  }
};

TEST_F(Renewal, CountersThatBeginAnewAreUnderstood) {
  const auto renewed = make(after_, ours_);
  for (const std::uint16_t sequence : {2, 3})
    EXPECT_EQ(judge(*receiver_, protect(*renewed, rtp(sequence))), Verdict::Authentic);
}

TEST_F(Renewal, CountersThatGoOnAreUnderstood) {
  const auto renewed = make(after_, ours_);
  protect(*renewed, rtp(0xffff));
  protect(*renewed, rtp(0));  // its counter is 1 from here on
  for (const std::uint16_t sequence : {2, 3})
    EXPECT_EQ(judge(*receiver_, protect(*renewed, rtp(sequence))), Verdict::Authentic);
  EXPECT_EQ(judge(*receiver_, protect(*renewed, rtp(4, 99))), Verdict::Authentic) << "another SSRC";
}

TEST_F(Renewal, AnUnchangedKeyKeepsItsCounters) {
  Bytes sent = protect(*receiver_, rtp(0xffff));
  EXPECT_TRUE(receiver_->renew({ours_, before_}));
  EXPECT_EQ(judge(*sender_, sent), Verdict::Authentic);
  EXPECT_EQ(judge(*sender_, protect(*receiver_, rtp(0))), Verdict::Authentic);
  EXPECT_FALSE(receiver_->renew({ours_, {kSuite, Bytes(29)}}));
  EXPECT_FALSE(Srtp::make({{kSuite, Bytes(46)}, before_}));
}

}  // namespace
}  // namespace junctor::rtp::test
