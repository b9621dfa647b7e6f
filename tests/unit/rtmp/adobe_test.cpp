// SPDX-License-Identifier: LGPL-2.1-or-later
// The adobe login: known answers, computed with Python's hashlib and base64, and what the programs
// that speak it read.
#include "rtmp/core/adobe.h"

#include <gtest/gtest.h>

#include <regex>

#include "rtmp/core/locator.h"

using namespace junctor::rtmp;

TEST(Adobe, HashAndResponseAsTheClientsComputeThem) {
  struct Row {
    const char *user, *salt, *password, *opaque, *challenge, *hash, *response;
  };
  for (const Row &row : {Row{"alice", "0123456789abcdef", "correct horse", "c2a1f4b0", "4f5e6d7c",
                             "zvW892k4Br8Dw8NI9PF54A==", "gJNuHMrNMfhm3xjgUcvFpw=="},
                         Row{"bob", "5ad0f7a54b7dd9f9", "54mi73u2t75cftbfrmin",
                             "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a", "deadbeef",
                             "eGWYKFKNNq5yxik6M5nOBw==", "llurzGVZNphdf4VJgCNXSw=="},
                         Row{"zoë", "s", "pässwörd", "o", "c",
                             "3bpycdG2n35zzzLaLcgYmQ==", "8d0IolmwJiyoAPYNzeHexQ=="}}) {
    EXPECT_EQ(adobe_hash(row.user, row.salt, row.password), row.hash);
    EXPECT_EQ(adobe_response(row.hash, row.opaque, row.challenge), row.response);
  }
}

TEST(Adobe, ReadsWhatClientsPutBehindTheApplication) {
  const auto login = [](std::string_view app) {
    return adobe_login(parse_locator(app)->parameters);
  };
  EXPECT_FALSE(login("call"));
  EXPECT_FALSE(login("call?authmod=llnw&user=alice"));
  const auto asks = login("call?authmod=adobe&user=alice");
  ASSERT_TRUE(asks);
  EXPECT_EQ(asks->user, "alice");
  EXPECT_FALSE(asks->answers());
  // As ffmpeg and GStreamer send it: nothing of the base64 is escaped.
  const auto answers = login(
      "call?authmod=adobe&user=alice&challenge=4f5e6d7c&response=gJ+uH/rNMfhm3xjgUcvFpw=="
      "&opaque=c2a1f4b0");
  ASSERT_TRUE(answers);
  EXPECT_TRUE(answers->answers());
  EXPECT_EQ(answers->challenge, "4f5e6d7c");
  EXPECT_EQ(answers->response, "gJ+uH/rNMfhm3xjgUcvFpw==");
  EXPECT_EQ(answers->opaque, "c2a1f4b0");
}

TEST(Adobe, ReadsLibrtmpsForm) {
  // It appends to what it sent at step 2, and its challenge is base64 as well.
  const auto answers = adobe_login(
      parse_locator(
          "call?authmod=adobe&user=alice&challenge=q83vAA==&response=/+NuHMrNMfhm3xjgUcvFpw=="
          "&opaque=c2a1f4b0")
          ->parameters);
  ASSERT_TRUE(answers);
  EXPECT_EQ(answers->challenge, "q83vAA==");
  EXPECT_EQ(answers->response, "/+NuHMrNMfhm3xjgUcvFpw==");
}

TEST(Adobe, DescriptionsAreWhatTheClientsLookFor) {
  const std::string invitation = adobe_invitation("A token is missing.");
  EXPECT_NE(invitation.find("code=403 need auth"), std::string::npos);
  EXPECT_NE(invitation.find("authmod=adobe "), std::string::npos) << "ffmpeg reads to the space";
  EXPECT_TRUE(invitation.ends_with("A token is missing."));
  // The expression of GStreamer's rtmp2 elements.
  const std::regex reject(R"(\[ *AccessManager.Reject *\] *: *\[ *authmod=(.*?) *\] *: *(\?.*))");
  std::smatch found;
  const std::string challenge = adobe_challenge("alice", "5a17", "c0ffee", "0fa9");
  ASSERT_TRUE(std::regex_match(challenge, found, reject)) << challenge;
  EXPECT_EQ(found[1], "adobe");
  EXPECT_EQ(found[2], "?reason=needauth&user=alice&salt=5a17&challenge=c0ffee&opaque=0fa9");
  const std::string failure = adobe_failure("0fa9");
  ASSERT_TRUE(std::regex_match(failure, found, reject)) << failure;
  EXPECT_EQ(found[2], "?reason=authfailed&opaque=0fa9");
}

TEST(Adobe, TheLongestChallengeFitsIntoFfmpegsBuffer) {
  EXPECT_LE(adobe_challenge(std::string(64, 'a'), std::string(16, '0'), std::string(8, '0'),
                            std::string(56, '0'))
                .size(),
            255U);
}
