// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/stun.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <string>

#include "rtp/core/demux.h"
#include "rtp/core/retransmission.h"

namespace junctor::rtp::stun {
namespace {

using namespace std::chrono_literals;

Bytes hex(std::string_view text) {
  Bytes out;
  std::string digits;
  for (const char c : text)
    if (c != ' ' && c != '\n') digits += c;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    out.push_back(static_cast<std::byte>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  return out;
}

const char *const kPassword = "VOkJxbRl1RmTxUk/WvJxBt";

/// RFC 5769 section 2.1.
Bytes sample_request() {
  return hex(
      "00010058 2112a442 b7e7a701 bc34d686 fa87dfae 80220010 5354554e 20746573 7420636c 69656e74"
      "00240004 6e0001ff 80290008 932ff9b1 51263b36 00060009 6576746a 3a683676 59202020 00080014"
      "9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2 80280004 e57a3bcf");
}

TransactionId id_of_samples() {
  TransactionId id;
  const Bytes bytes = hex("b7e7a701 bc34d686 fa87dfae");
  std::copy(bytes.begin(), bytes.end(), id.begin());
  return id;
}

TEST(Stun, SampleRequest) {
  const Bytes bytes = sample_request();
  const auto message = Message::parse(bytes);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->kind(), Class::Request);
  EXPECT_EQ(message->method(), Method::Binding);
  EXPECT_EQ(message->id(), id_of_samples());
  EXPECT_EQ(message->text(Type::Software), "STUN test client");
  EXPECT_EQ(message->text(Type::Username), "evtj:h6vY");
  EXPECT_EQ(message->u32(Type::Priority), 0x6e0001ffU);
  EXPECT_EQ(message->u64(Type::IceControlled), 0x932ff9b151263b36U);
  EXPECT_FALSE(message->has(Type::IceControlling));
  EXPECT_TRUE(message->has(Type::Fingerprint));
  EXPECT_TRUE(message->unknown_required().empty());
  EXPECT_TRUE(message->integrity_fits(as_bytes(kPassword)));
  EXPECT_FALSE(message->integrity_fits(as_bytes("VOkJxbRl1RmTxUk/WvJxBu")));
  EXPECT_FALSE(message->integrity_fits({}));
}

TEST(Stun, SampleResponses) {
  // RFC 5769 sections 2.2 and 2.3.
  const Bytes v4 = hex(
      "0101003c 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220 00200008"
      "0001a147 e112a643 00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7 80280004 c07d4c96");
  const auto first = Message::parse(v4);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->kind(), Class::Success);
  EXPECT_EQ(first->text(Type::Software), "test vector");
  EXPECT_EQ(first->mapped_address(), (Endpoint{"192.0.2.1", 32853}));
  EXPECT_TRUE(first->integrity_fits(as_bytes(kPassword)));

  const Bytes v6 = hex(
      "01010048 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220 00200014"
      "0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9 00080014 a382954e 4be67bf1 1784c97c 8292c275"
      "bfe3ed41 80280004 c8fb0b4c");
  const auto second = Message::parse(v6);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->mapped_address(), (Endpoint{"2001:db8:1234:5678:11:2233:4455:6677", 32853}));
  EXPECT_TRUE(second->integrity_fits(as_bytes(kPassword)));
}

TEST(Stun, SampleRequestWithLongTermCredentials) {
  // RFC 5769 section 2.4.
  const Bytes bytes = hex(
      "00010060 2112a442 78ad3433 c6ad72c0 29da412e 00060012 e3839ee3 8388e383 aae38383 e382afe3"
      "82b90000 0015001c 662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 36347341 0014000b"
      "6578616d 706c652e 6f726700 00080014 f6702465 6dd64a3e 02b8e071 2e85c9a2 8ca89666");
  const auto message = Message::parse(bytes);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->text(Type::Realm), "example.org");
  EXPECT_EQ(message->text(Type::Nonce), "f//499k954d6OL34oL9FSTvy64sA");
  const auto key = long_term_key(*message->text(Type::Username), "example.org", "TheMatrIX");
  EXPECT_TRUE(message->integrity_fits(key));
  EXPECT_FALSE(message->integrity_fits(
      long_term_key(*message->text(Type::Username), "example.org", "TheMatrix")));
}

TEST(Stun, SampleRequestWithSha256) {
  // RFC 8489 appendix B.1 with its verified erratum 6268.
  const Bytes bytes = hex(
      "00010090 2112a442 78ad3433 c6ad72c0 29da412e 001e0020 4a3cf38f ef6992bd a952c678 0417da0f"
      "24819415 569e60b2 05c46e41 407f1704 00150029 6f624d61 744a6f73 32414141 43662f2f 3439396b"
      "39353464 364f4c33 346f4c39 46535476 79363473 41000000 0014000b 6578616d 706c652e 6f726700"
      "001d0004 00020000 001c0020 b5c7bf00 5b6c52a2 1c51c5e8 92f81924 136296cb 927c4314 9309278c"
      "c6518e65");
  const auto message = Message::parse(bytes);
  ASSERT_TRUE(message);
  const std::string text = "\u30DE\u30C8\u30EA\u30C3\u30AF\u30B9:example.org:TheMatrIX";
  std::array<std::byte, 32> key{};
  EVP_Digest(text.data(), text.size(), reinterpret_cast<unsigned char *>(key.data()), nullptr,
             EVP_sha256(), nullptr);
  EXPECT_TRUE(message->has(Type::Userhash));
  EXPECT_TRUE(message->integrity_sha256_fits(key));
  EXPECT_FALSE(message->integrity_sha256_fits(as_bytes("another key")));
}

TEST(Stun, WritesWhatItReads) {
  const Bytes written = Writer(Class::Success, Method::Binding, id_of_samples())
                            .text(Type::Software, "test vector")
                            .xor_address(Type::XorMappedAddress, {"192.0.2.1", 32853})
                            .integrity(as_bytes(kPassword))
                            .fingerprint()
                            .finish();
  // As section 2.2, but that it pads with spaces, which the integrity covers.
  const auto message = Message::parse(written);
  ASSERT_TRUE(message);
  EXPECT_EQ(written.size(), 80U);
  EXPECT_EQ(Bytes(written.begin() + 36, written.begin() + 48), hex("00200008 0001a147 e112a643"));
  EXPECT_TRUE(message->integrity_fits(as_bytes(kPassword)));
}

TEST(Stun, EveryAttributeComesBack) {
  const Endpoint v4{"198.51.100.7", 40000}, v6{"2001:db8::5", 1};
  const std::uint16_t unknown[] = {0x0031, 0x7fff};
  const Bytes written = Writer(Class::Error, Method::Allocate, random_transaction_id())
                            .address(Type::MappedAddress, v6)
                            .xor_address(Type::XorMappedAddress, v6)
                            .address(Type::ResponseOrigin, v4)
                            .address(Type::OtherAddress, v6)
                            .address(Type::AlternateServer, v4)
                            .u32(Type::ChangeRequest, kChangeIp | kChangePort)
                            .response_port(4711)
                            .bytes(Type::Padding, Bytes(7))
                            .error(kUnknownAttribute, "Unknown Attribute")
                            .unknown_attributes(unknown)
                            .flag(Type::UseCandidate)
                            .u64(Type::IceControlling, ~0ULL)
                            .text(Type::Realm, "r")
                            .text(Type::Nonce, "n")
                            .integrity(as_bytes("key"))
                            .integrity_sha256(as_bytes("key"))
                            .fingerprint()
                            .finish();
  const auto message = Message::parse(written);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->kind(), Class::Error);
  EXPECT_EQ(message->method(), Method::Allocate);
  EXPECT_EQ(message->address(Type::MappedAddress), v6);
  EXPECT_EQ(message->xor_address(Type::XorMappedAddress), v6);
  EXPECT_EQ(message->address(Type::ResponseOrigin), v4);
  EXPECT_EQ(message->address(Type::OtherAddress), v6);
  EXPECT_EQ(message->address(Type::AlternateServer), v4);
  EXPECT_EQ(message->u32(Type::ChangeRequest), 6U);
  EXPECT_EQ(message->response_port(), 4711);
  EXPECT_EQ(message->find(Type::Padding)->value.size(), 7U);
  ASSERT_TRUE(message->error());
  EXPECT_EQ(message->error()->code, 420);
  EXPECT_EQ(message->error()->reason, "Unknown Attribute");
  EXPECT_EQ(message->unknown_attributes(), std::vector<std::uint16_t>({0x0031, 0x7fff}));
  EXPECT_TRUE(message->has(Type::UseCandidate));
  EXPECT_EQ(message->u64(Type::IceControlling), ~0ULL);
  EXPECT_TRUE(message->integrity_fits(as_bytes("key")));
  EXPECT_TRUE(message->integrity_sha256_fits(as_bytes("key")));
  EXPECT_FALSE(message->integrity_sha256_fits(as_bytes("kez")));
}

TEST(Stun, EveryMethodAndClassComesBack) {
  for (const Class kind : {Class::Request, Class::Indication, Class::Success, Class::Error})
    for (unsigned method = 0; method < 0x1000; ++method) {
      const Bytes bytes = Writer(kind, static_cast<Method>(method), {}).finish();
      const auto message = Message::parse(bytes);
      ASSERT_TRUE(message) << method;
      EXPECT_EQ(message->kind(), kind);
      EXPECT_EQ(static_cast<unsigned>(message->method()), method);
    }
}

TEST(Stun, WhatFollowsTheIntegrityDoesNotCount) {
  const Bytes bytes = Writer(Class::Request, Method::Binding, {})
                          .integrity(as_bytes("key"))
                          .flag(Type::UseCandidate)
                          .bytes(static_cast<Type>(0x7777), {})
                          .fingerprint()
                          .finish();
  const auto message = Message::parse(bytes);
  ASSERT_TRUE(message);
  EXPECT_FALSE(message->has(Type::UseCandidate));
  EXPECT_TRUE(message->unknown_required().empty());
  EXPECT_TRUE(message->has(Type::Fingerprint));
}

TEST(Stun, UnknownAttributesAreRequiredBelow0x8000) {
  const Bytes bytes = Writer(Class::Request, Method::Binding, {})
                          .bytes(static_cast<Type>(0x0031), hex("0102"))
                          .bytes(static_cast<Type>(0xffff), {})
                          .bytes(static_cast<Type>(0x7fff), {})
                          .finish();
  const auto message = Message::parse(bytes);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->unknown_required(), std::vector<std::uint16_t>({0x0031, 0x7fff}));
}

TEST(Stun, RefusesWhatIsNoMessage) {
  const Bytes good = sample_request();
  ASSERT_TRUE(Message::parse(good));
  EXPECT_FALSE(Message::parse({}));
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(Message::parse(ByteSpan(good).first(size))) << size;
  for (std::size_t at = 0; at < good.size(); ++at) {
    // The fingerprint covers every byte; one that is not found any more protects nothing.
    Bytes wrong = good;
    wrong[at] ^= std::byte{0x41};
    const auto message = Message::parse(wrong);
    EXPECT_FALSE(message && message->has(Type::Fingerprint)) << at;
  }
  Bytes longer = good;
  longer.resize(longer.size() + 4);
  EXPECT_FALSE(Message::parse(longer));
}

TEST(Stun, AttributesAreBounded) {
  const auto with = [](std::size_t count) {
    Writer writer(Class::Request, Method::Binding, {});
    for (std::size_t i = 0; i < count; ++i) writer.flag(Type::UseCandidate);
    return writer.finish();
  };
  EXPECT_TRUE(Message::parse(with(kMaxAttributes)));
  EXPECT_FALSE(Message::parse(with(kMaxAttributes + 1)));
  const auto of_size = [](std::size_t size) {
    return Writer(Class::Request, Method::Binding, {}).bytes(Type::Padding, Bytes(size)).finish();
  };
  EXPECT_TRUE(Message::parse(of_size(kMaxMessage - kHeaderSize - 4)));
  EXPECT_FALSE(Message::parse(of_size(kMaxMessage - kHeaderSize)));
  Bytes beyond = of_size(4);
  beyond[kHeaderSize + 3] = std::byte{200};
  EXPECT_FALSE(Message::parse(beyond));
}

TEST(Stun, MalformedValuesAreNothing) {
  const Bytes bytes = Writer(Class::Error, Method::Binding, {})
                          .bytes(Type::MappedAddress, hex("0003 1234 01020304"))
                          .bytes(Type::XorMappedAddress, hex("0002 1234 01020304"))
                          .bytes(Type::ErrorCode, hex("0000 0763"))
                          .bytes(Type::ChangeRequest, hex("06"))
                          .bytes(Type::MessageIntegritySha256, Bytes(12))
                          .finish();
  const auto message = Message::parse(bytes);
  ASSERT_TRUE(message);
  EXPECT_FALSE(message->mapped_address());
  EXPECT_FALSE(message->error());
  EXPECT_FALSE(message->u32(Type::ChangeRequest));
  EXPECT_FALSE(message->integrity_sha256_fits(as_bytes("key")));
}

TEST(Stun, FramesAStream) {
  const Bytes message = sample_request();
  Bytes stream = message;
  stream.insert(stream.end(), message.begin(), message.begin() + 10);
  EXPECT_EQ(framed_length(stream), message.size());
  for (std::size_t size = 0; size < message.size(); ++size)
    EXPECT_EQ(framed_length(ByteSpan(stream).first(size)), 0U) << size;
  EXPECT_FALSE(framed_length(as_bytes("GET / HTTP/1.1\r\nHost: x\r\n")));
  EXPECT_FALSE(framed_length(hex("00010800 2112a442 000000000000000000000000")));
}

TEST(Stun, RetransmitsAsSection6_2_1) {
  // "requests will be sent at times 0 ms, 500 ms, 1500 ms, 3500 ms, 7500 ms, 15500 ms, and
  // 31500 ms. If the client has not received a response after 39500 ms, the client will consider
  // the transaction to have timed out."
  const Time start{};
  Retransmission request(start);
  using Step = Retransmission::Step;
  for (const auto when : {0ms, 500ms, 1500ms, 3500ms, 7500ms, 15500ms, 31500ms}) {
    EXPECT_EQ(request.next(), start + when);
    EXPECT_EQ(request.step(start + when - 1ms), Step::Wait);
    EXPECT_EQ(request.step(start + when), Step::Send);
    EXPECT_EQ(request.step(start + when), Step::Wait);
  }
  EXPECT_EQ(request.next(), start + 39500ms);
  EXPECT_EQ(request.step(start + 39499ms), Step::Wait);
  EXPECT_EQ(request.step(start + 39500ms), Step::GiveUp);
  EXPECT_EQ(request.sent(), 7U);
}

TEST(Stun, RetransmissionsDoNotPileUp) {
  const Time start{};
  Retransmission request(start, {.rto = 50ms, .requests = 4, .last_wait = 2, .longest = 80ms});
  using Step = Retransmission::Step;
  EXPECT_EQ(request.step(start + 1s), Step::Send);
  EXPECT_EQ(request.step(start + 1s), Step::Wait);
  EXPECT_EQ(request.next(), start + 1050ms);
  EXPECT_EQ(request.step(start + 1050ms), Step::Send);
  EXPECT_EQ(request.next(), start + 1130ms);
  EXPECT_EQ(request.step(start + 1130ms), Step::Send);
  EXPECT_EQ(request.next(), start + 1210ms);
  EXPECT_EQ(request.step(start + 1210ms), Step::Send);
  EXPECT_EQ(request.next(), start + 1310ms);
  EXPECT_EQ(request.step(start + 1310ms), Step::GiveUp);
}

TEST(Demux, TellsApartWhatSharesAPort) {
  // RFC 7983 section 7, and for RTCP RFC 5761 section 4.
  const auto kind = [](unsigned first, unsigned second = 0) {
    return packet_kind(Bytes{static_cast<std::byte>(first), static_cast<std::byte>(second),
                             std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0},
                             std::byte{0}});
  };
  EXPECT_EQ(packet_kind({}), PacketKind::Unknown);
  for (unsigned first = 0; first < 256; ++first) {
    const auto expected = first <= 3                     ? PacketKind::Stun
                          : first >= 16 && first <= 19   ? PacketKind::Zrtp
                          : first >= 20 && first <= 63   ? PacketKind::Dtls
                          : first >= 64 && first <= 79   ? PacketKind::TurnChannel
                          : first >= 128 && first <= 191 ? PacketKind::Rtp
                                                         : PacketKind::Unknown;
    EXPECT_EQ(kind(first), expected) << first;
  }
  EXPECT_EQ(kind(0x80, 200), PacketKind::Rtcp);
  EXPECT_EQ(packet_kind(sample_request()), PacketKind::Stun);
}

}  // namespace
}  // namespace junctor::rtp::stun
