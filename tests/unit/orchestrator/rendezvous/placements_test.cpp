// SPDX-License-Identifier: LGPL-2.1-or-later
// What becomes of a session at a node when it is brought there more than once.
#include <gmock/gmock.h>

#include "nodes_fixture.h"

namespace junctor::rendezvous {
namespace {

using testing::HasSubstr;

TEST_F(Nodes, ANodeIsNotResumedUnderAnotherName) {
  const LinkId first = node("a");
  const std::string secret = last<wire::Welcome>(first).resume;
  call();
  need(alice);
  say(first, wire::Refuse{session, ""});
  const std::size_t came = got(first);
  rendezvous->disconnected(first, now);
  const LinkId renamed = node("b", 10, "", secret, came);
  EXPECT_EQ(heard[renamed].closed, kPolicy);
  EXPECT_THAT(heard[renamed].why, HasSubstr("node a is not resumed under another name"));
  say(renamed, wire::Load{10, 0});  // it would have no room

  // Who comes by the name meanwhile leaves nothing of the session behind.
  const LinkId second = node("a");
  now += 2s;
  need(alice);
  EXPECT_EQ(count<wire::Serve>(second), 1U);
  say(alice, wire::Bye{session, "", ""});
  EXPECT_EQ(count<wire::Release>(second), 2U);
  EXPECT_EQ(view("a").sessions, 0U);
  for (const LinkId each : {renamed, second}) rendezvous->disconnected(each, now);
  pass(40s);
  EXPECT_TRUE(rendezvous->nodes().empty());
}

TEST_F(Nodes, OneThatIsResumedHasWhatItHad) {
  const LinkId first = node("a");
  const std::string secret = last<wire::Welcome>(first).resume;
  call_over(first);
  const std::size_t came = got(first);
  rendezvous->disconnected(first, now);
  const LinkId again = node("a", 10, "", secret, came);
  EXPECT_TRUE(last<wire::Welcome>(again).resumed);
  EXPECT_EQ(view("a").sessions, 1U);
  EXPECT_EQ(count<wire::NodeFailed>(alice), 0U);
}

}  // namespace
}  // namespace junctor::rendezvous
