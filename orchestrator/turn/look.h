// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether a relay that was started can be reached.
#pragma once

#include <glib.h>

#include <functional>
#include <memory>

#include "common/endpoint.h"
#include "common/handle.h"
#include "common/main_context.h"
#include "common/result.h"
#include "rtp/core/stun.h"

namespace junctor::turn {

/// Asks a STUN server over UDP (RFC 8489 section 6.2.1) until it answers, which a TURN server does
/// too, and asks it for no password. In the thread that iterates the context.
class Look {
 public:
  struct Options {
    Endpoint at;
    GMainContext *context = nullptr;  ///< null: the default one
    Duration pause = std::chrono::milliseconds(250);
    /// From here on it is told as silent, and asked less often.
    Duration patience = std::chrono::seconds(10), longest_pause = std::chrono::seconds(5);
  };
  /// Once false, if nothing has come in time; once true, when something comes: nothing is asked any
  /// more. It may destroy the look.
  using Told = std::function<void(bool answers)>;

  /// BadInput for an address that is none.
  static Result<std::unique_ptr<Look>> start(Options options, Told told);
  ~Look();
  Look(const Look &) = delete;
  Look &operator=(const Look &) = delete;

 private:
  Look(Options options, Told told, UniqueFd fd, sockaddr_storage address);
  void ask();
  bool answered() const;

  const Options options_;
  const Told told_;
  const UniqueFd fd_;
  const sockaddr_storage address_;
  const rtp::stun::TransactionId id_;
  const Time started_;
  bool silent_ = false;  ///< and that has been told
  GSource *source_ = nullptr;
  ContextTimer timer_;
};

/// Looks once, and waits for it.
bool answers(const Endpoint &at, Duration patience);

}  // namespace junctor::turn
