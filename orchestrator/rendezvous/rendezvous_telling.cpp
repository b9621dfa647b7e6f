// SPDX-License-Identifier: LGPL-2.1-or-later
// What a rendezvous tells: its clients and nodes, the log, and who watches.
#include "common/text.h"
#include "rendezvous/rendezvous.h"

namespace junctor::rendezvous {

void Rendezvous::tell(Device &device, const wire::Message &message) {
  device.said.push_back(wire::write(message));
  device.said_bytes += device.said.back().size();
  if (device.link) door_.send(device.link->id, device.said.back());
  while (device.said.size() > options_.limits.kept_messages ||
         device.said_bytes > options_.limits.kept_bytes) {
    device.said_bytes -= device.said.front().size();
    device.said.pop_front();
    ++device.said_before;
  }
}

void Rendezvous::tell(const std::string &device, const wire::Message &message) {
  if (const auto found = devices_.find(device); found != devices_.end())
    tell(found->second, message);
}

void Rendezvous::wrong(Link &link, const std::string &session, const std::string &detail,
                       Time now) {
  ++wrongs_;
  if (++link.wrongs > options_.limits.wrongs)
    return close(link, kPolicy, "too many wrong messages; the last one: " + detail, now);
  const wire::Wrong said{session, std::string(shortened(detail, wire::kMostText))};
  if (link.device)
    tell(*link.device, said);
  else
    door_.send(link.id, wire::write(said));
}

void Rendezvous::wrong(Device &from, const std::string &session, const std::string &detail,
                       Time now) {
  if (from.link) wrong(*from.link, session, detail, now);
}

/// Whether it was logged: of what an account causes by its messages only so much is.
bool Rendezvous::say(LogLevel level, const std::string &text) {
  std::string more;
  if (speaker_ && level == LogLevel::Info) {
    const auto left_out = account_log_.take(speaker_->account, speaker_->now);
    if (!left_out) return false;
    if (*left_out > 0)
      more = " (" + std::to_string(*left_out) + " lines that " + speaker_->account +
             " caused before were left out)";
  }
  if (options_.log) options_.log(level, text + more);
  return true;
}

/// To who watches: at once, or in what it has become by the next tick.
void Rendezvous::show(Session &session, bool at_once) {
  session.unshown = !at_once;
  if (at_once) changed_(session.view);
}

}  // namespace junctor::rendezvous
