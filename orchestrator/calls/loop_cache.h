// SPDX-License-Identifier: LGPL-2.1-or-later
// Makes ring media with GStreamer and keeps what was made.
#pragma once

#include <glib.h>

#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "calls/launch_line.h"
#include "calls/loop.h"
#include "calls/state_media.h"
#include "common/log.h"

namespace junctor::calls {

/// Loops by what they show or sound and by codec, each encoded once. Encoding runs in GStreamer's
/// own threads, two loops at a time at most; the last used 64 are kept. Belongs to the thread that
/// iterates its context.
class LoopCache {
 public:
  /// Gets null if the loop could not be made; the log says why.
  using Ready = std::function<void(std::shared_ptr<const Loop>)>;

  /// `media`: what is shown and sounded in each state, as far as it is not drawn here.
  LoopCache(GMainContext *context, const Templates &templates, LogSink log,
            StateMedia media = StateMedia());
  ~LoopCache();
  LoopCache(const LoopCache &) = delete;
  LoopCache &operator=(const LoopCache &) = delete;

  /// `ready` is called at once if the loop is kept, else when it is made.
  void picture(Card card, const std::string &name, Codec codec, Ready ready);
  void tone(Tone tone, Codec codec, Ready ready);

  std::size_t kept() const { return entries_.size(); }
  std::uint64_t made() const { return made_; }  ///< for tests and figures

 private:
  class Job;
  struct Entry {
    std::shared_ptr<const Loop> loop;
    std::list<std::string>::iterator age;
  };
  /// What the line's `in` gets: equal pieces of raw media.
  struct Feed {
    std::string caps;
    std::vector<Bytes> pieces;
    std::uint64_t piece_ns = 0;  ///< how long each lasts
  };
  struct Wanted {
    std::string key;
    Fragment line;
    std::string drawing;  ///< SVG; empty where `feed` has what is wanted
    Feed feed;
    Loop loop;  ///< filled but for packets and what the caps tell
    std::size_t longest = 0;
  };

  std::vector<std::int16_t> samples_of(Tone tone, int rate, int unit) const;
  void begin(Wanted wanted, Result<Fragment> line, Ready ready);
  void want(Wanted wanted, Ready ready);
  void start_jobs();
  void finish(const std::string &key, const std::shared_ptr<const Loop> &loop,
              const std::string &problem);

  GMainContext *context_;
  const Templates &templates_;
  LogSink log_;
  const StateMedia media_;
  std::map<std::string, Entry> entries_;
  std::list<std::string> ages_;  ///< newest first
  std::map<std::string, std::vector<Ready>> waiting_;
  std::deque<Wanted> queue_;
  std::map<std::string, std::shared_ptr<Job>> jobs_;
  std::uint64_t made_ = 0;
  std::shared_ptr<LoopCache *> self_;  ///< emptied by the destructor, for what is still posted
};

}  // namespace junctor::calls
