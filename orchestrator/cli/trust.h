// SPDX-License-Identifier: LGPL-2.1-or-later
// Whom to believe about the certificate of an orchestrator.
#pragma once

#include <string>

namespace junctor::cli {

struct Trust {
  std::string ca_file;    ///< PEM; empty: the system's authorities
  bool insecure = false;  ///< whatever certificate it shows
};

}  // namespace junctor::cli
