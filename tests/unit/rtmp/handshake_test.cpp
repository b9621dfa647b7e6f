// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/handshake.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <algorithm>

#include "wire.h"

using namespace junctor;
using namespace junctor::rtmp;
using namespace junctor::test;

namespace {

/// The same bytes for the same calls, so that whole answers can be compared.
RandomFill repeatable() {
  return [call = 0](std::span<std::byte> bytes) mutable {
    for (std::size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<std::byte>(i * 7 + static_cast<std::size_t>(call) * 13 + 5);
    ++call;
  };
}

RandomFill seeded(unsigned seed) {
  return [seed](std::span<std::byte> bytes) mutable {
    for (std::byte &b : bytes) {
      seed = seed * 1664525 + 1013904223;
      b = static_cast<std::byte>(seed >> 24);
    }
  };
}

std::string sha256(ByteSpan bytes) {
  std::array<std::byte, 32> digest;
  SHA256(reinterpret_cast<const unsigned char *>(bytes.data()), bytes.size(),
         reinterpret_cast<unsigned char *>(digest.data()));
  return hex(digest);
}

/// C0 and C1 of the simple form.
Bytes simple_hello() { return wire("03 00 00 04 d2 00 00 00 00") + counting(1528); }

}  // namespace

// The expected hashes were computed by a second implementation (Python's hmac) from the same C1
// and the same random bytes.
TEST(Handshake, AnswersFfmpegInDigestForm) {
  const Bytes hello = test_file("fuzz/corpus/handshake/ffmpeg");
  ASSERT_EQ(hello.size(), 1537u);
  ServerHandshake server(repeatable());
  Bytes out;
  const auto taken = server.push(hello, out);
  ASSERT_TRUE(taken);
  EXPECT_EQ(*taken, hello.size());
  EXPECT_EQ(server.kind(), HandshakeKind::Digest1);
  EXPECT_EQ(sha256(out), "7f5abf751b3a6bf0a0b1169177a7fd6eba21cb49c13e90656dd0c55304d7932d");
  EXPECT_FALSE(server.done());
}

TEST(Handshake, SignsAndAnswersTheOtherSchema) {
  ClientHandshake client(HandshakeKind::Digest0, repeatable());
  Bytes hello;
  client.start(hello);
  EXPECT_EQ(sha256(ByteSpan(hello).subspan(1)),
            "93d72009d6e1c9995397573feb8cddd80eb99799348b66e3a3c24efff22269f4");
  ServerHandshake server(repeatable());
  Bytes out;
  ASSERT_TRUE(server.push(hello, out));
  EXPECT_EQ(server.kind(), HandshakeKind::Digest0);
  EXPECT_EQ(sha256(out), "18a41ec7e5e019cacfcd1e183835d9eb754d5f4ac2157d4723c8116372d89720");
}

// Blocks of one repeated byte put the digest where its offset has wrapped around (4 * 0xb7 is 732).
TEST(Handshake, PlacesTheDigestAfterTheOffsetHasWrapped) {
  const RandomFill same = [](std::span<std::byte> bytes) {
    std::fill(bytes.begin(), bytes.end(), std::byte{0xb7});
  };
  Bytes second_half, first_half;
  ClientHandshake(HandshakeKind::Digest0, same).start(second_half);
  ClientHandshake(HandshakeKind::Digest1, same).start(first_half);
  EXPECT_EQ(sha256(ByteSpan(second_half).subspan(1)),
            "7d0557b7f36be1a5a14f986fc7a728c2f951b51a52eb931a9842d665ff6150dc");
  EXPECT_EQ(sha256(ByteSpan(first_half).subspan(1)),
            "a19196e4e518e423d5fc78bb42adac9322cfed84fe0234cff51e76874661c584");
}

TEST(Handshake, AnswersSimpleClientsWithTheirEcho) {
  for (const Bytes &hello : {simple_hello(), test_file("fuzz/corpus/handshake/librtmp"),
                             test_file("fuzz/corpus/handshake/rtmp2sink")}) {
    ServerHandshake server(repeatable());
    Bytes out;
    ASSERT_TRUE(server.push(hello, out));
    EXPECT_EQ(server.kind(), HandshakeKind::Simple);
    ASSERT_EQ(out.size(), 1 + 2 * kHandshakeBlock);
    EXPECT_EQ(hex(ByteSpan(out).first(9)), "030000000000000000");
    EXPECT_EQ(hex(ByteSpan(out).subspan(1 + kHandshakeBlock)), hex(ByteSpan(hello).subspan(1)));
  }
}

TEST(Handshake, FallsBackIfTheDigestIsNotRight) {
  Bytes hello = test_file("fuzz/corpus/handshake/ffmpeg");
  hello[1000] ^= std::byte{1};
  ServerHandshake server;
  Bytes out;
  ASSERT_TRUE(server.push(hello, out));
  EXPECT_EQ(server.kind(), HandshakeKind::Simple);
  EXPECT_EQ(hex(ByteSpan(out).subspan(1 + kHandshakeBlock)), hex(ByteSpan(hello).subspan(1)));
}

TEST(Handshake, TakesAnyC2AndLeavesWhatFollows) {
  const Bytes input = simple_hello() + Bytes(kHandshakeBlock, std::byte{0xaa}) + wire("02 00 00");
  ServerHandshake server;
  Bytes out;
  const auto taken = server.push(input, out);
  ASSERT_TRUE(taken);
  EXPECT_EQ(*taken, 1 + 2 * kHandshakeBlock);
  EXPECT_TRUE(server.done());
  const auto more = server.push(input, out);
  ASSERT_TRUE(more);
  EXPECT_EQ(*more, 0u);
}

TEST(Handshake, EveryPieceSizeGivesTheSame) {
  const Bytes input = test_file("fuzz/corpus/handshake/ffmpeg") + counting(kHandshakeBlock + 10);
  Bytes whole;
  ServerHandshake reference(repeatable());
  ASSERT_TRUE(reference.push(input, whole));
  for (std::size_t piece = 1; piece < input.size(); piece = piece < 8 ? piece + 1 : piece * 3 / 2) {
    ServerHandshake server(repeatable());
    Bytes out;
    std::size_t position = 0;
    while (!server.done()) {
      const auto taken = server.push(
          ByteSpan(input).subspan(position, std::min(piece, input.size() - position)), out);
      ASSERT_TRUE(taken);
      ASSERT_GT(*taken, 0u);
      position += *taken;
      // Nothing before C1 is complete.
      ASSERT_EQ(out.empty(), position < 1 + kHandshakeBlock);
    }
    EXPECT_EQ(position, 1 + 2 * kHandshakeBlock);
    EXPECT_EQ(out, whole) << "in pieces of " << piece;
  }
}

TEST(Handshake, BothSidesOfThisLibraryAgree) {
  for (const auto kind : {HandshakeKind::Simple, HandshakeKind::Digest0, HandshakeKind::Digest1}) {
    for (unsigned seed = 0; seed < 50; ++seed) {
      ClientHandshake client(kind, seeded(seed));
      ServerHandshake server(seeded(seed + 1000));
      Bytes to_server, to_client;
      client.start(to_server);
      ASSERT_TRUE(server.push(to_server, to_client));
      ASSERT_EQ(server.kind(), kind) << "seed " << seed;
      to_server.clear();
      const auto read = client.push(to_client, to_server);
      ASSERT_TRUE(read) << read.error().detail;
      ASSERT_TRUE(client.done());
      ASSERT_TRUE(server.push(to_server, to_client));
      ASSERT_TRUE(server.done());
    }
  }
}

TEST(Handshake, ClientNoticesAServerThatCannotSign) {
  ClientHandshake client(HandshakeKind::Digest1, seeded(1));
  ServerHandshake server(seeded(2));
  Bytes to_server, to_client;
  client.start(to_server);
  ASSERT_TRUE(server.push(to_server, to_client));
  to_client[to_client.size() - 1] ^= std::byte{1};
  const auto read = client.push(to_client, to_server);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().fault, Fault::BadInput);
  EXPECT_FALSE(client.done());
}

TEST(Handshake, RefusesOtherVersionsByName) {
  const struct {
    const char *input;
    const char *named;
  } kRows[] = {{"06", "RTMPE"}, {"47", "HTTP"},      {"16", "TLS"},
               {"0a", "text"},  {"00", "version 0"}, {"ff", "255"}};
  for (const auto &row : kRows) {
    ServerHandshake server;
    Bytes out;
    const auto taken = server.push(wire(row.input), out);
    ASSERT_FALSE(taken) << row.input;
    EXPECT_EQ(taken.error().fault, Fault::BadInput);
    EXPECT_NE(taken.error().detail.find(row.named), std::string::npos) << taken.error().detail;
    EXPECT_TRUE(out.empty());
    EXPECT_FALSE(server.push(simple_hello(), out)) << "a failure is for good";
    ClientHandshake client;
    EXPECT_FALSE(client.push(wire(row.input), out));
  }
}
