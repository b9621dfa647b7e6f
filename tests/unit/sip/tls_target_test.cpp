// SPDX-License-Identifier: LGPL-2.1-or-later
// Where TLS connections lead, as far as that can be told.
#include "sip/core/tls_target.h"

#include <gtest/gtest.h>

namespace junctor::sip::test {
namespace {

TlsTarget target(const char *uri) {
  const auto parsed = Uri::parse(uri);
  EXPECT_TRUE(parsed);
  return tls_target(*parsed).value_or(TlsTarget{"none", 0});
}

TEST(TlsTargets, AnAddressIsInOnePlace) {
  const TlsTarget phone = target("sip:bob@192.0.2.1:7061;transport=TLS");
  EXPECT_TRUE(phone.may_be_at({"192.0.2.1", 7061}));
  EXPECT_FALSE(phone.may_be_at({"192.0.2.1", 5061})) << "another server of that host";
  EXPECT_FALSE(phone.may_be_at({"192.0.2.2", 7061}));
  EXPECT_TRUE(target("sips:192.0.2.1").may_be_at({"192.0.2.1", 5061}));
  EXPECT_FALSE(target("sips:192.0.2.1").may_be_at({"192.0.2.1", 5062}));
}

TEST(TlsTargets, ANameMayBeAnywhere) {
  EXPECT_TRUE(target("sips:phone.example").may_be_at({"192.0.2.1", 7061})) << "by SRV";
  EXPECT_TRUE(target("sips:phone.example:7061").may_be_at({"192.0.2.1", 7061}));
  EXPECT_FALSE(target("sips:phone.example:7061").may_be_at({"192.0.2.1", 5061}));
}

TEST(TlsTargets, WhatGoesOverSomethingElseIsNone) {
  EXPECT_EQ(target("sip:bob@192.0.2.1").host, "none");
  EXPECT_EQ(target("sip:bob@192.0.2.1;transport=tcp").host, "none");
}

}  // namespace
}  // namespace junctor::sip::test
