// SPDX-License-Identifier: LGPL-2.1-or-later
// When this machine has come to another network, or to one at all.
#pragma once

#include <glib.h>

#include <functional>
#include <string>
#include <vector>

#include "common/main_context.h"
#include "nat/core/host_addresses.h"

namespace junctor::rendezvous {

/// On the default GMainContext.
class NetworkWatch {
 public:
  /// `changed`: other addresses than at the last call, or another one is sent from; both also where
  /// none is left. It may destroy this. Where the system tells nothing it is never called.
  explicit NetworkWatch(std::function<void()> changed);
  ~NetworkWatch();
  NetworkWatch(const NetworkWatch &) = delete;
  NetworkWatch &operator=(const NetworkWatch &) = delete;

 private:
  struct Seen {
    std::vector<std::string> addresses = nat::host_addresses();
    std::string preferred = nat::preferred_address();
    bool operator==(const Seen &) const = default;
  };
  void look();

  const std::function<void()> changed_;
  nat::AddressChanges changes_;
  Seen seen_;
  GSource *source_ = nullptr;
  ContextTimer timer_;
};

}  // namespace junctor::rendezvous
