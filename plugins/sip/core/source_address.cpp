// SPDX-License-Identifier: LGPL-2.1-or-later
// Our own address towards a peer.
#include "sip/core/source_address.h"

#include <sys/socket.h>

#include <optional>

#include "common/endpoint.h"
#include "common/handle.h"

namespace junctor::sip {

namespace {

std::optional<std::string> source_towards(const std::string &address) {
  const auto target = Endpoint{address, 9}.to_sockaddr();
  if (!target) return std::nullopt;
  const UniqueFd fd(::socket(target->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr *>(&*target),
                       sockaddr_length(*target)) != 0)
    return std::nullopt;
  return local_endpoint(fd.get()).address;
}

}  // namespace

std::string source_address_towards(const std::string &host) {
  constexpr const char *kLoopback = "127.0.0.1";
  // A host of the documentation range (RFC 5737) stands for "anywhere".
  constexpr const char *kAnywhere = "192.0.2.1";
  if (host == "localhost") return kLoopback;
  const auto direct = source_towards(host);
  return direct ? *direct : source_towards(kAnywhere).value_or(kLoopback);
}

}  // namespace junctor::sip
