// SPDX-License-Identifier: LGPL-2.1-or-later
// The states of a call and the moves between them.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "calls/service.h"

namespace junctor::calls {

/// What can happen to a call.
enum class Event : std::uint8_t {
  Dial,        ///< callees are about to be rung
  Alert,       ///< one of them rings: 180, or a terminal
  EarlyMedia,  ///< a provisional answer with SDP
  Answer,      ///< 200 with media, or a terminal's publish
  End,         ///< any end, whatever its reason
};
std::string_view to_string(Event event);

inline constexpr std::array kStates{State::Idle, State::Trying, State::Ringing, State::Answered,
                                    State::Ended};
inline constexpr std::array kEvents{Event::Dial, Event::Alert, Event::EarlyMedia, Event::Answer,
                                    Event::End};

/// Where `event` leads from `state`; nothing if it means nothing there.
std::optional<State> next_state(State state, Event event);

/// The table of moves in Markdown, as the documentation shows it.
std::string moves_as_markdown();

/// The life of one call. Plain; any one thread.
class Machine {
 public:
  State state() const { return state_; }
  /// Set once Ended; the first reason stays.
  std::optional<EndReason> reason() const { return reason_; }
  /// True if the state changed.
  bool handle(Event event);
  /// The same for Event::End, with its reason.
  bool end(EndReason reason);

 private:
  State state_ = State::Idle;
  std::optional<EndReason> reason_;
};

}  // namespace junctor::calls
