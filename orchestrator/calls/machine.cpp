// SPDX-License-Identifier: LGPL-2.1-or-later
#include "calls/machine.h"

namespace junctor::calls {

namespace {

struct Move {
  State from;
  Event event;
  State to;
};

// What is not here is ignored: a peer may repeat or reorder what it sends.
constexpr std::array kMoves{
    Move{State::Idle, Event::Dial, State::Trying},
    Move{State::Idle, Event::End, State::Ended},
    Move{State::Trying, Event::Alert, State::Ringing},
    Move{State::Trying, Event::EarlyMedia, State::Ringing},
    Move{State::Trying, Event::Answer, State::Answered},
    Move{State::Trying, Event::End, State::Ended},
    Move{State::Ringing, Event::Answer, State::Answered},
    Move{State::Ringing, Event::End, State::Ended},
    Move{State::Answered, Event::End, State::Ended},
};

}  // namespace

std::string_view to_string(State state) {
  switch (state) {
    case State::Idle:
      return "idle";
    case State::Trying:
      return "trying";
    case State::Ringing:
      return "ringing";
    case State::Answered:
      return "answered";
    case State::Ended:
      return "ended";
  }
  return "ended";
}

std::string_view to_string(Direction direction) {
  switch (direction) {
    case Direction::Outgoing:
      return "outgoing";
    case Direction::Incoming:
      return "incoming";
    case Direction::Internal:
      return "internal";
  }
  return "outgoing";
}

std::string_view to_string(Event event) {
  switch (event) {
    case Event::Dial:
      return "dial";
    case Event::Alert:
      return "alert";
    case Event::EarlyMedia:
      return "early media";
    case Event::Answer:
      return "answer";
    case Event::End:
      return "end";
  }
  return "end";
}

std::optional<State> next_state(State state, Event event) {
  for (const Move &move : kMoves)
    if (move.from == state && move.event == event) return move.to;
  return std::nullopt;
}

std::string moves_as_markdown() {
  std::string text = "| state |";
  for (const Event event : kEvents) text += " " + std::string(to_string(event)) + " |";
  text += "\n|---|";
  for (std::size_t i = 0; i < kEvents.size(); ++i) text += "---|";
  for (const State state : kStates) {
    text += "\n| " + std::string(to_string(state)) + " |";
    for (const Event event : kEvents) {
      const auto next = next_state(state, event);
      text += next ? " " + std::string(to_string(*next)) + " |" : " |";
    }
  }
  return text + "\n";
}

bool Machine::handle(Event event) {
  const auto next = next_state(state_, event);
  if (!next || *next == state_) return false;
  state_ = *next;
  return true;
}

bool Machine::end(EndReason reason) {
  if (!handle(Event::End)) return false;
  reason_ = reason;
  return true;
}

}  // namespace junctor::calls
