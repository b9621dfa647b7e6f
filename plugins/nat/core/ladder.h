// SPDX-License-Identifier: LGPL-2.1-or-later
// Which way the media of a channel goes: directly, through a node, or through a relay.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/clock.h"

namespace junctor::nat {

/// The better ones first.
enum class Rung : std::uint8_t { P2p, Sfu, Relay };
std::string_view to_string(Rung rung);  ///< "p2p", "sfu", "relay"
std::optional<Rung> rung_from_string(std::string_view text);

enum class LadderOrder : std::uint8_t {
  /// The next rung is prepared while one is tried; one that is up carries when the better ones have
  /// failed or had their head start.
  Parallel,
  /// One after the other, each for its own time.
  Strict,
};

/// For a way that carried, and may do so again.
inline constexpr Duration kLadderPatience = std::chrono::seconds(10);

struct LadderOptions {
  std::vector<Rung> rungs{Rung::P2p, Rung::Sfu, Rung::Relay};  ///< others are not tried
  LadderOrder order = LadderOrder::Parallel;
  Duration p2p_timeout = std::chrono::seconds(3);
  /// The same where it is not to be expected and the others wait for it (Strict): what is known of
  /// NATs may be wrong, but nobody is to wait long for that.
  Duration unexpected_timeout = std::chrono::seconds(1);
  Duration node_timeout = std::chrono::milliseconds(1500);  ///< of each node
  Duration relay_timeout = std::chrono::seconds(5);
  /// How long nobody may name a node, nor say that there is none. Who names them asks the nodes
  /// first, and the next where one does not answer.
  Duration naming_timeout = std::chrono::milliseconds(2500);
  /// While a relay carries nodes are asked for again, after so long at first and twice as long each
  /// time up to the second: one may have come.
  Duration ask_again = std::chrono::seconds(15), longest_ask_again = std::chrono::minutes(2);
  /// How long worse rungs leave the media to one that is tried (Parallel).
  Duration p2p_head_start = std::chrono::milliseconds(300),
           sfu_head_start = std::chrono::seconds(1);
  /// The same for both after a channel that carried was lost: each moment of it is silence. None
  /// for a direct path that there never was, also where what carries is only leaving.
  Duration recovery_head_start = std::chrono::milliseconds(300);
  /// And for so long all is tried again before that is the end, for the peer may be without a
  /// network for a moment; after pauses of twice the length each time up to the second.
  Duration patience = kLadderPatience, pause = std::chrono::milliseconds(500),
           longest_pause = std::chrono::seconds(2);
  /// A node that is tried for so long has the next prepared beside it (Parallel).
  Duration node_stagger = std::chrono::milliseconds(300);
  /// What no longer carries is kept for so long: the other side moves a little later.
  Duration settle = std::chrono::seconds(2);
  /// For how long a node is kept that is named while a way carries that is as good: the other side
  /// may have lost it a moment earlier.
  Duration named_wait = std::chrono::seconds(1);
  std::size_t most_nodes = 8;  ///< that are tried between two times of carrying
};

/// One try to reach the peer.
struct Attempt {
  Rung rung = Rung::P2p;
  std::string node;  ///< of Rung::Sfu: its name
  bool operator==(const Attempt &) const = default;
};
std::string to_string(const Attempt &attempt);  ///< "p2p", "node n7", "relay"

/// What the owner of a Ladder shall do.
struct LadderAction {
  enum class Kind : std::uint8_t {
    AskForNode,  ///< name the next node by offer_node(), or say no_node()
    Prepare,     ///< make this channel: then up() or failed()
    Carry,       ///< send media over this one from now on
    Stop,        ///< this one is not needed any more
    End,         ///< nothing is left to try: `why` tells
  };
  Kind kind{};
  Attempt attempt{};
  std::string why{};
};

/// A line of the log.
struct LadderEntry {
  enum class State : std::uint8_t { Trying, Up, Carrying, Failed, Lost, Stopped };
  Duration at{};  ///< since the start
  Attempt attempt{};
  State state{};
  Duration took{};  ///< Up, Failed: since it was tried
  std::string why{};
};
std::string_view to_string(LadderEntry::State state);  ///< "trying", "up", …

/// Decides for one end; the other end has one of its own and comes to the same, a little earlier or
/// later: each takes media from every channel that is up. Does nothing itself. One thread.
class Ladder {
 public:
  static constexpr std::size_t kMostEntries = 200;  ///< of the log; older ones are dropped

  explicit Ladder(LadderOptions options);

  /// Both sides' addresses are known: what can begin begins.
  void start(Time now);
  /// The best of the nodes that were not named yet; known ones are ignored. False: it is not tried
  /// now, for it has failed already, or nodes are not wanted.
  bool offer_node(const std::string &name, Time now);
  /// There is no node, or none but those that were named: a part of a sentence about why.
  void no_node(const std::string &why, Time now);

  /// What both NATs are known to do, where it is known: a direct way that is not to be expected is
  /// tried all the same, but nothing waits for it (Parallel), or not for long (Strict).
  void expect_direct(bool expected);

  /// What became of an attempt; others than those under way are ignored. A channel is up when media
  /// passes both ways.
  void up(const Attempt &attempt, Time now);
  void failed(const Attempt &attempt, const std::string &why, Time now) {
    failed(attempt, why, now, now);
  }
  /// The owner has waited for this one since `silent`: the patience counts from there.
  void failed(const Attempt &attempt, const std::string &why, Time now, Time silent);
  /// Its owner has begun this one again, of itself: it has its whole time once more.
  void begun_anew(const Attempt &attempt, Time now);
  /// What it means if nothing more is heard of this attempt, for the reason: "nobody named a
  /// relay".
  void explain_silence(const Attempt &attempt, std::string meaning);
  /// It was up and is so no more. Where it carried, all that is not up is tried again.
  void lost(const Attempt &attempt, const std::string &why, Time now) {
    lost(attempt, why, now, now);
  }
  void lost(const Attempt &attempt, const std::string &why, Time now, Time silent);
  /// It will be no more, and still passes media on: where it carries it does so until another one
  /// can, and all that is not up is tried. Elsewhere it is lost.
  void leaving(const Attempt &attempt, const std::string &why, Time now);
  /// Something has changed that gives a direct path another chance: it is tried once more while
  /// what carries carries on.
  void retry_p2p(const std::string &why, Time now);

  /// Call it after each of the above and at next(). In this order.
  std::vector<LadderAction> poll(Time now);
  /// When to call poll() at the latest; nothing where only the owner can tell news.
  std::optional<Time> next() const;

  const std::optional<Attempt> &carrying() const { return carrying_; }
  const std::vector<LadderEntry> &log() const { return log_; }
  /// What has come to the log since it was asked last.
  std::vector<LadderEntry> take_news() { return std::exchange(news_, {}); }

 private:
  enum class State : std::uint8_t { Idle, Trying, Up, Failed };
  struct Try {
    Attempt attempt;
    State state = State::Idle;
    Time since{};     ///< of its state
    Time deadline{};  ///< while it is tried
    std::string why{};
    std::string silence{};  ///< what it would mean
    bool leaving = false;   ///< it is Up, and not for long
  };

  bool wanted(Rung rung) const;
  /// Why nothing is left: how the rungs failed, each at last.
  std::string why_over() const;
  Try *find(const Attempt &attempt);
  Try *single(Rung rung) { return find({rung, {}}); }
  void begin_round(Time now, bool recovery);
  void prepare(Try &one, Time now);
  void fail(Try &one, const std::string &why, Time now);
  void note(const Attempt &attempt, LadderEntry::State state, Time now, Duration took = {},
            const std::string &why = {});
  void time_out(Time now);
  void prepare_what_is_due(Time now);
  void prepare_nodes(Time now);
  void ask_again(Time now);
  void forget_failed_nodes();
  void choose(Time now);
  void stop_the_rest(Time now);
  void try_again(Time now);
  void end_if_nothing_is_left(Time now);

  bool carries_for_good() const;
  bool over(Rung rung) const;  ///< nothing of it is up, tried, or to come
  /// Worse rungs may carry.
  bool gives_way(Rung rung, Time now) const;
  Duration head_start(Rung rung) const;
  Duration timeout(Rung rung) const;
  const Try *best_up(Rung rung) const;

  LadderOptions options_;
  std::vector<Try> tries_;  ///< p2p and relay, and each node in the order of their naming
  std::vector<LadderAction> actions_;
  std::vector<LadderEntry> log_, news_;
  std::optional<Attempt> carrying_;
  Time start_{}, round_{}, carrying_since_{}, polled_{};
  std::optional<Time> asked_;  ///< for a node, and not told yet
  std::optional<Time> lost_;   ///< since when nothing carries, after something did
  Time patient_until_{};       ///< with that
  std::optional<Time> retry_;  ///< when all is tried once more
  Duration pause_{};
  std::optional<Time> again_;  ///< when nodes are asked for once more
  Duration again_wait_{};
  std::string no_node_why_;  ///< set: there is none any more
  std::size_t nodes_tried_ = 0;
  bool started_ = false, recovery_ = false, ended_ = false, p2p_was_up_ = false;
  bool direct_expected_ = true;
};

}  // namespace junctor::nat
