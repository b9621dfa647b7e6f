// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/end_reason.h"

#include <array>

namespace junctor {

namespace {

struct Row {
  EndReason reason;
  std::string_view name;
  std::string_view sentence;
};

constexpr std::array kRows{
    Row{EndReason::CallerHangup, "caller-hangup", "The caller hung up."},
    Row{EndReason::CalleeHangup, "callee-hangup", "The callee hung up."},
    Row{EndReason::Busy, "busy", "The callee is busy."},
    Row{EndReason::Declined, "declined", "The callee declined the call."},
    Row{EndReason::NoAnswer, "no-answer", "The callee did not answer."},
    Row{EndReason::NoPushMedia, "no-push-media",
        "No sound or picture came from the push terminal."},
    Row{EndReason::Unreachable, "unreachable", "The callee cannot be reached."},
    Row{EndReason::NotAcceptable, "not-acceptable",
        "The callee accepts none of the offered codecs."},
    Row{EndReason::Unauthorized, "unauthorized", "The VoIP side refused our credentials."},
    Row{EndReason::Overloaded, "overloaded", "There is no room for one more call."},
    Row{EndReason::Admin, "admin", "An operator ended the call."},
    Row{EndReason::Shutdown, "shutdown", "The server is shutting down."},
    Row{EndReason::Internal, "internal", "The server failed; its log says why."},
};

}  // namespace

std::string_view to_string(EndReason reason) {
  for (const Row &row : kRows)
    if (row.reason == reason) return row.name;
  return "internal";
}

std::optional<EndReason> end_reason_from_string(std::string_view name) {
  for (const Row &row : kRows)
    if (row.name == name) return row.reason;
  return std::nullopt;
}

std::string_view describe(EndReason reason) {
  for (const Row &row : kRows)
    if (row.reason == reason) return row.sentence;
  return "";
}

}  // namespace junctor
