// SPDX-License-Identifier: LGPL-2.1-or-later
// The state machine of calls: every state by every event.
#include "calls/machine.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace junctor::calls {
namespace {

struct Row {
  State from;
  Event event;
  std::optional<State> to;
};

class EveryMove : public testing::TestWithParam<Row> {};

TEST_P(EveryMove, LeadsWhereTheTableSays) {
  const Row &row = GetParam();
  EXPECT_EQ(next_state(row.from, row.event), row.to)
      << to_string(row.from) << " + " << to_string(row.event);
}

constexpr auto I = State::Idle, T = State::Trying, R = State::Ringing, A = State::Answered,
               E = State::Ended;
const std::nullopt_t none = std::nullopt;

INSTANTIATE_TEST_SUITE_P(
    All, EveryMove,
    testing::Values(Row{I, Event::Dial, T}, Row{I, Event::Alert, none},
                    Row{I, Event::EarlyMedia, none}, Row{I, Event::Answer, none},
                    Row{I, Event::End, E}, Row{T, Event::Dial, none}, Row{T, Event::Alert, R},
                    Row{T, Event::EarlyMedia, R}, Row{T, Event::Answer, A}, Row{T, Event::End, E},
                    Row{R, Event::Dial, none}, Row{R, Event::Alert, none},
                    Row{R, Event::EarlyMedia, none}, Row{R, Event::Answer, A},
                    Row{R, Event::End, E}, Row{A, Event::Dial, none}, Row{A, Event::Alert, none},
                    Row{A, Event::EarlyMedia, none}, Row{A, Event::Answer, none},
                    Row{A, Event::End, E}, Row{E, Event::Dial, none}, Row{E, Event::Alert, none},
                    Row{E, Event::EarlyMedia, none}, Row{E, Event::Answer, none},
                    Row{E, Event::End, none}));

TEST(Machine, LivesOneLifeAndKeepsItsFirstReason) {
  Machine machine;
  EXPECT_EQ(machine.state(), State::Idle);
  EXPECT_TRUE(machine.handle(Event::Dial));
  EXPECT_TRUE(machine.handle(Event::Alert));
  EXPECT_FALSE(machine.handle(Event::Alert)) << "a repeated 180 changes nothing";
  EXPECT_TRUE(machine.handle(Event::Answer));
  EXPECT_FALSE(machine.reason().has_value());
  EXPECT_TRUE(machine.end(EndReason::CalleeHangup));
  EXPECT_FALSE(machine.end(EndReason::NoPushMedia));
  EXPECT_EQ(machine.reason(), EndReason::CalleeHangup);
}

TEST(Machine, DocumentationShowsTheTable) {
  const char *source = std::getenv("JUNCTOR_SOURCE");
  ASSERT_NE(source, nullptr) << "set JUNCTOR_SOURCE to the source directory";
  std::stringstream text;
  for (const char *name : {"/docs/architecture-calls.md", "/docs/architecture.md"})
    text << std::ifstream(std::string(source) + name).rdbuf();
  EXPECT_NE(text.str().find(moves_as_markdown()), std::string::npos)
      << "put this table into docs/architecture.md:\n"
      << moves_as_markdown();
}

}  // namespace
}  // namespace junctor::calls
