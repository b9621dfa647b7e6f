// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/rung_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace junctor::nat {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(RungList, IsReadInItsOrder) {
  EXPECT_THAT(*parse_rungs("p2p,sfu,relay"), ElementsAre(Rung::P2p, Rung::Sfu, Rung::Relay));
  EXPECT_THAT(*parse_rungs("relay,p2p,relay"), ElementsAre(Rung::Relay, Rung::P2p));
}

TEST(RungList, NamesTheWordsThatCanBe) {
  for (const char *wrong : {"", ",", "p2p,", "foo", "P2P", "p2p;sfu", "p2p, sfu"}) {
    const auto rungs = parse_rungs(wrong);
    ASSERT_FALSE(rungs) << wrong;
    EXPECT_THAT(rungs.error().detail, HasSubstr("p2p, sfu or relay"));
  }
}

}  // namespace
}  // namespace junctor::nat
