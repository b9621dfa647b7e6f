// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/ladder.h"

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

namespace junctor::nat {

namespace {

using Kind = LadderAction::Kind;

long milliseconds(Duration duration) {
  return std::chrono::round<std::chrono::milliseconds>(duration).count();
}

}  // namespace

std::string_view to_string(Rung rung) {
  static constexpr std::array<std::string_view, 3> kNames{"p2p", "sfu", "relay"};
  return kNames[static_cast<std::size_t>(rung)];
}

std::optional<Rung> rung_from_string(std::string_view text) {
  for (const Rung rung : {Rung::P2p, Rung::Sfu, Rung::Relay})
    if (to_string(rung) == text) return rung;
  return std::nullopt;
}

std::string to_string(const Attempt &attempt) {
  return attempt.rung == Rung::Sfu ? "node " + attempt.node : std::string(to_string(attempt.rung));
}

std::string_view to_string(LadderEntry::State state) {
  static constexpr std::array<std::string_view, 6> kNames{"trying", "up",   "carrying",
                                                          "failed", "lost", "stopped"};
  return kNames[static_cast<std::size_t>(state)];
}

Ladder::Ladder(LadderOptions options) : options_(std::move(options)) {
  for (const Rung rung : {Rung::P2p, Rung::Relay})
    if (wanted(rung)) tries_.push_back({{rung, {}}});
}

bool Ladder::wanted(Rung rung) const { return std::ranges::count(options_.rungs, rung) > 0; }

Ladder::Try *Ladder::find(const Attempt &attempt) {
  const auto found = std::ranges::find(tries_, attempt, &Try::attempt);
  return found == tries_.end() ? nullptr : &*found;
}

Duration Ladder::timeout(Rung rung) const {
  switch (rung) {
    case Rung::P2p:
      if (options_.order == LadderOrder::Strict && !direct_expected_)
        return std::min(options_.p2p_timeout, options_.unexpected_timeout);
      return options_.p2p_timeout;
    case Rung::Sfu:
      return options_.node_timeout;
    case Rung::Relay:
      break;
  }
  return options_.relay_timeout;
}

Duration Ladder::head_start(Rung rung) const {
  if (rung == Rung::P2p && !direct_expected_) return Duration::zero();
  if (recovery_ && rung == Rung::P2p && !p2p_was_up_) return Duration::zero();
  if (recovery_ && !carrying_) return options_.recovery_head_start;
  return rung == Rung::P2p ? options_.p2p_head_start : options_.sfu_head_start;
}

void Ladder::note(const Attempt &attempt, LadderEntry::State state, Time now, Duration took,
                  const std::string &why) {
  if (log_.size() == kMostEntries) log_.erase(log_.begin());
  log_.push_back({now - start_, attempt, state, took, why});
  if (news_.size() < kMostEntries) news_.push_back(log_.back());
}

void Ladder::start(Time now) {
  if (started_) return;
  started_ = true;
  start_ = now;
  begin_round(now, false);
}

void Ladder::begin_round(Time now, bool recovery) {
  round_ = now;
  recovery_ = recovery;
  nodes_tried_ = 0;
  no_node_why_.clear();
  again_.reset();
  again_wait_ = options_.ask_again;
  forget_failed_nodes();
  // One after the other, what never was up would be silence for its whole time once more.
  const bool skip = recovery && options_.order == LadderOrder::Strict && !p2p_was_up_;
  for (Try &one : tries_)
    if (one.state == State::Failed && !(skip && one.attempt.rung == Rung::P2p))
      one.state = State::Idle;
}

/// Who names nodes knows which of them are worth another try.
void Ladder::forget_failed_nodes() {
  std::erase_if(tries_, [](const Try &one) {
    return one.attempt.rung == Rung::Sfu && one.state == State::Failed;
  });
}

bool Ladder::offer_node(const std::string &name, Time now) {
  const Attempt attempt{Rung::Sfu, name};
  asked_.reset();
  if (ended_ || !wanted(Rung::Sfu)) return false;
  const Try *known = find(attempt);
  if (!known) tries_.push_back({.attempt = attempt, .since = now});
  if (!known || known->state != State::Failed) return true;
  // Named again after it had failed: there is no other.
  no_node(known->why, now);
  return false;
}

void Ladder::no_node(const std::string &why, Time now) {
  if (ended_ || !wanted(Rung::Sfu) || !no_node_why_.empty()) return;
  asked_.reset();
  no_node_why_ = why.empty() ? "there is no node" : why;
  if (nodes_tried_ == 0 && !carries_for_good())
    note({Rung::Sfu, {}}, LadderEntry::State::Failed, now, now - round_, no_node_why_);
}

void Ladder::prepare(Try &one, Time now) {
  one.state = State::Trying;
  one.since = now;
  one.deadline = now + timeout(one.attempt.rung);
  if (one.attempt.rung == Rung::Sfu) ++nodes_tried_;
  note(one.attempt, LadderEntry::State::Trying, now);
  actions_.push_back({Kind::Prepare, one.attempt});
}

void Ladder::begun_anew(const Attempt &attempt, Time now) {
  if (Try *one = find(attempt); one && one->state == State::Trying)
    one->deadline = now + timeout(attempt.rung);
}

void Ladder::expect_direct(bool expected) {
  direct_expected_ = expected;
  if (Try *p2p = single(Rung::P2p); p2p && p2p->state == State::Trying)
    p2p->deadline = p2p->since + timeout(Rung::P2p);
}

void Ladder::up(const Attempt &attempt, Time now) {
  Try *one = find(attempt);
  if (!one || one->state != State::Trying) return;
  note(attempt, LadderEntry::State::Up, now, now - one->since);
  p2p_was_up_ |= attempt.rung == Rung::P2p;
  one->state = State::Up;
  one->since = now;
}

void Ladder::fail(Try &one, const std::string &why, Time now) {
  one.state = State::Failed;
  one.why = why;
  note(one.attempt, LadderEntry::State::Failed, now, now - one.since, why);
  actions_.push_back({Kind::Stop, one.attempt, why});
}

void Ladder::failed(const Attempt &attempt, const std::string &why, Time now, Time silent) {
  Try *one = find(attempt);
  if (!one) return;
  if (one->state == State::Up) return lost(attempt, why, now, silent);
  if (one->state == State::Trying) return fail(*one, why, now);
  if (one->state != State::Idle || attempt.rung != Rung::Sfu) return;
  // It was kept for later.
  actions_.push_back({Kind::Stop, attempt, why});
  tries_.erase(tries_.begin() + (one - tries_.data()));
}

void Ladder::explain_silence(const Attempt &attempt, std::string meaning) {
  if (Try *one = find(attempt)) one->silence = std::move(meaning);
}

void Ladder::lost(const Attempt &attempt, const std::string &why, Time now, Time silent) {
  Try *one = find(attempt);
  if (!one || one->state != State::Up) return;
  one->state = State::Failed;
  one->why = why;
  note(attempt, LadderEntry::State::Lost, now, {}, why);
  actions_.push_back({Kind::Stop, attempt, why});
  if (carrying_ != attempt) return;
  carrying_.reset();
  lost_ = now;
  patient_until_ = silent + options_.patience;
  pause_ = options_.pause;
  begin_round(now, true);
}

void Ladder::leaving(const Attempt &attempt, const std::string &why, Time now) {
  Try *one = find(attempt);
  if (!one || one->state != State::Up || carrying_ != attempt) return failed(attempt, why, now);
  if (std::exchange(one->leaving, true)) return;
  one->why = why;
  begin_round(now, true);
}

bool Ladder::carries_for_good() const {
  return carrying_ && std::ranges::none_of(tries_, [this](const Try &one) {
           return one.leaving && one.attempt == *carrying_;
         });
}

void Ladder::retry_p2p(const std::string &why, Time now) {
  Try *p2p = single(Rung::P2p);
  if (!p2p || ended_ || p2p->state == State::Trying || p2p->state == State::Up) return;
  prepare(*p2p, now);
  log_.back().why = news_.back().why = why;
}

void Ladder::time_out(Time now) {
  for (Try &one : tries_)
    if (one.state == State::Trying && now >= one.deadline)
      fail(one,
           "no answer within " + std::to_string(milliseconds(timeout(one.attempt.rung))) + " ms" +
               (one.silence.empty() ? "" : ": " + one.silence),
           now);
  if (asked_ && now >= *asked_ + options_.naming_timeout) no_node("nobody named a node", now);
}

bool Ladder::over(Rung rung) const {
  if (!wanted(rung)) return true;
  if (rung == Rung::Sfu && no_node_why_.empty() && nodes_tried_ < options_.most_nodes) return false;
  return std::ranges::none_of(tries_, [&](const Try &one) {
    return one.attempt.rung == rung && one.state != State::Failed && !one.leaving;
  });
}

bool Ladder::gives_way(Rung rung, Time now) const {
  if (over(rung)) return true;
  return options_.order == LadderOrder::Parallel && now >= round_ + head_start(rung);
}

const Ladder::Try *Ladder::best_up(Rung rung) const {
  const auto found = std::ranges::find_if(tries_, [&](const Try &one) {
    return one.attempt.rung == rung && one.state == State::Up && !one.leaving;
  });
  return found == tries_.end() ? nullptr : &*found;
}

void Ladder::prepare_nodes(Time now) {
  if (!wanted(Rung::Sfu) || best_up(Rung::Sfu)) return;
  const bool parallel = options_.order == LadderOrder::Parallel;
  std::size_t trying = 0;
  Time last{};
  for (const Try &one : tries_)
    if (one.attempt.rung == Rung::Sfu && one.state == State::Trying) {
      ++trying;
      last = std::max(last, one.since);
    }
  if (trying >= (parallel ? 2U : 1U) || (trying == 1 && now < last + options_.node_stagger)) return;
  if (nodes_tried_ >= options_.most_nodes) return;
  for (Try &one : tries_)
    if (one.attempt.rung == Rung::Sfu && one.state == State::Idle) return prepare(one, now);
  if (asked_ || !no_node_why_.empty()) return;
  asked_ = now;
  actions_.push_back({Kind::AskForNode});
}

void Ladder::ask_again(Time now) {
  if (!carrying_ || carrying_->rung != Rung::Relay || !wanted(Rung::Sfu) || !over(Rung::Sfu))
    return again_.reset();
  if (!again_) again_ = now + again_wait_;
  if (now < *again_) return;
  again_.reset();
  again_wait_ = std::min(2 * again_wait_, options_.longest_ask_again);
  nodes_tried_ = 0;
  no_node_why_.clear();
  forget_failed_nodes();
}

void Ladder::prepare_what_is_due(Time now) {
  const bool parallel = options_.order == LadderOrder::Parallel;
  if (Try *p2p = single(Rung::P2p); p2p && p2p->state == State::Idle) prepare(*p2p, now);
  // Better ones than a relay are worth another try while it carries.
  if (carries_for_good() && carrying_->rung != Rung::Relay) return;
  if (!parallel && !over(Rung::P2p)) return;
  ask_again(now);
  prepare_nodes(now);
  Try *relay = single(Rung::Relay);
  if (!relay || relay->state != State::Idle) return;
  // An allocation costs the relay something; most calls never need it. Those do for which no direct
  // way is to be expected and no node is left.
  const bool needed = recovery_ || over(Rung::Sfu);
  const bool late = needed ? gives_way(Rung::P2p, now)
                           : over(Rung::P2p) || now >= round_ + options_.p2p_head_start;
  if (parallel ? late : over(Rung::Sfu)) prepare(*relay, now);
}

void Ladder::choose(Time now) {
  bool may_carry = true;
  for (const Rung rung : {Rung::P2p, Rung::Sfu, Rung::Relay}) {
    if (carries_for_good() && carrying_->rung <= rung) return;
    const Try *one = best_up(rung);
    // What was up before another was lost need not wait for better ones once more.
    if (!one && !gives_way(rung, now)) may_carry = false;
    if (one && (may_carry || one->since < round_)) {
      carrying_ = one->attempt;
      carrying_since_ = now;
      lost_.reset();
      if (rung != Rung::Relay) asked_.reset();
      note(*carrying_, LadderEntry::State::Carrying, now);
      actions_.push_back({Kind::Carry, *carrying_});
      return;
    }
  }
}

void Ladder::stop_the_rest(Time now) {
  if (!carries_for_good()) return;
  const bool settled = now >= carrying_since_ + options_.settle;
  std::vector<Attempt> let_go;
  for (Try &one : tries_) {
    const bool better = one.attempt.rung < carrying_->rung && !one.leaving;
    if (one.attempt == *carrying_ || better) continue;
    // Worse ones, and other nodes. What is only tried will not be needed; what is up may still
    // carry the other side's media. A node that was named too late does not wait for us for long:
    // it is to be free, and asked again when it is needed.
    const bool named = one.state == State::Idle && one.attempt.rung == Rung::Sfu &&
                       now >= one.since + options_.named_wait;
    if (one.state != State::Trying && !named && !(one.state == State::Up && settled)) continue;
    one.state = State::Idle;
    if (one.attempt.rung == Rung::Sfu) let_go.push_back(one.attempt);
    note(one.attempt, LadderEntry::State::Stopped, now, {}, to_string(*carrying_) + " carries");
    actions_.push_back({Kind::Stop, one.attempt, to_string(*carrying_) + " carries"});
  }
  // A node that is let go lets go of us: somebody is there only when it is named again.
  std::erase_if(tries_,
                [&](const Try &one) { return std::ranges::count(let_go, one.attempt) > 0; });
}

void Ladder::try_again(Time now) {
  if (!retry_ || now < *retry_) return;
  retry_.reset();
  if (!carrying_) begin_round(now, true);
}

void Ladder::end_if_nothing_is_left(Time now) {
  if (carrying_ || ended_ || retry_) return;
  for (const Rung rung : {Rung::P2p, Rung::Sfu, Rung::Relay})
    if (!over(rung)) return;
  if (lost_ && now + pause_ < patient_until_) {
    retry_ = now + pause_;
    pause_ = std::min(2 * pause_, options_.longest_pause);
    return;
  }
  ended_ = true;
  actions_.push_back({Kind::End, {}, why_over()});
}

std::vector<LadderAction> Ladder::poll(Time now) {
  polled_ = now;
  if (started_ && !ended_) {
    time_out(now);
    try_again(now);
    choose(now);
    prepare_what_is_due(now);
    stop_the_rest(now);
    end_if_nothing_is_left(now);
  }
  return std::exchange(actions_, {});
}

std::optional<Time> Ladder::next() const {
  if (!started_ || ended_) return std::nullopt;
  std::optional<Time> next;
  const auto at = [&](Time when) {
    if (when > polled_ && (!next || when < *next)) next = when;
  };
  for (const Try &one : tries_) {
    if (one.state == State::Idle && one.attempt.rung == Rung::Sfu && carrying_)
      at(one.since + options_.named_wait);
    if (one.state != State::Trying) continue;
    at(one.deadline);
    if (one.attempt.rung == Rung::Sfu) at(one.since + options_.node_stagger);
  }
  if (asked_) at(*asked_ + options_.naming_timeout);
  if (again_) at(*again_);
  if (retry_) at(*retry_);
  if (carries_for_good()) {
    at(carrying_since_ + options_.settle);
  } else {
    for (const Rung rung : {Rung::P2p, Rung::Sfu}) at(round_ + head_start(rung));
    at(round_ + options_.p2p_head_start);  // for a relay's preparation
  }
  return next;
}

std::string Ladder::why_over() const {
  const auto is_failure = [](const LadderEntry &entry) {
    return entry.state == LadderEntry::State::Failed || entry.state == LadderEntry::State::Lost;
  };
  const Duration since = lost_.value_or(round_) - start_;
  std::ostringstream text;
  const char *between = "";
  for (auto entry = log_.begin(); entry != log_.end(); ++entry) {
    if (!is_failure(*entry)) continue;
    // What was not tried again since then has failed before; what was, each time for itself.
    const auto again = [&](const LadderEntry &later) {
      if (entry->at < since) return is_failure(later) && later.attempt.rung == entry->attempt.rung;
      return later.state == entry->state && later.attempt == entry->attempt;
    };
    if (std::any_of(entry + 1, log_.end(), again)) continue;
    const std::string name = entry->attempt.rung == Rung::Sfu && entry->attempt.node.empty()
                                 ? "node"
                                 : to_string(entry->attempt);
    const bool lost = entry->state == LadderEntry::State::Lost;
    text << between << name << (lost ? " was lost: " : " failed: ") << entry->why;
    between = "; ";
  }
  return text.str();
}

}  // namespace junctor::nat
