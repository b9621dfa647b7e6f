// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/delays.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

using namespace junctor;
using namespace std::chrono_literals;

namespace {

class DelaysTest : public ::testing::Test {
 protected:
  std::function<void()> note(char letter) {
    return [this, letter] { called_ += letter; };
  }
  /// Until as many were called, or none is due any more.
  void run(std::size_t count) {
    const Time end = Clock::now() + 10s;
    while (called_.size() < count && Clock::now() < end) reactor_->run_once(100ms);
  }

  const std::shared_ptr<Reactor> reactor_ = *Reactor::create();
  std::optional<Delays> delays_{std::in_place, reactor_};
  std::string called_;
};

TEST_F(DelaysTest, AreCalledOnceInTheOrderOfTheirTimes) {
  delays_->after(3ms, note('c'));
  delays_->after(1ms, note('a'));
  delays_->after(2ms, note('b'));
  run(3);
  reactor_->run_once(10ms);
  EXPECT_EQ(called_, "abc");
}

TEST_F(DelaysTest, MayAskForMoreAndClearTheRest) {
  delays_->after(1ms, [this] {
    called_ += 'a';
    delays_->clear();
    delays_->after(1ms, note('b'));
  });
  delays_->after(2ms, note('x'));
  run(2);
  reactor_->run_once(10ms);
  EXPECT_EQ(called_, "ab");
}

TEST_F(DelaysTest, EndWithTheirOwner) {
  delays_->after(1ms, note('x'));
  delays_.reset();
  reactor_->run_once(10ms);
  EXPECT_EQ(called_, "");
}

}  // namespace
