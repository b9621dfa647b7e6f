// SPDX-License-Identifier: LGPL-2.1-or-later
// The other end of a TCP connection to an agent.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>

#include "scripted_peer.h"

namespace junctor::sip::test {

class TcpClient {
 public:
  /// Takes a descriptor, but does not connect yet.
  TcpClient() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    EXPECT_TRUE(fd_);
  }
  explicit TcpClient(const Endpoint &agent) : TcpClient() { connect(agent); }

  void connect(const Endpoint &agent) {
    const auto address = agent.to_sockaddr();
    const int done = ::connect(fd_.get(), reinterpret_cast<const sockaddr *>(&*address),
                               sockaddr_length(*address));
    ASSERT_TRUE(done == 0 || errno == EINPROGRESS);
    wake_ = std::make_unique<Wake>(fd_.get());
  }
  Endpoint local() const { return local_endpoint(fd_.get()); }
  void send(std::string_view text) {
    ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  /// Reads what is there; true once the agent has closed the connection.
  bool closed() {
    while (!closed_) {
      char buffer[4000];
      const auto size = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
      if (size > 0) {
        heard_.append(buffer, static_cast<std::size_t>(size));
        continue;
      }
      closed_ = true;
      wake_.reset();  // readable for ever
    }
    return true;
  }
  const std::string &heard() {
    closed();
    return heard_;
  }
  /// Waits for an answer of that status.
  bool answered(int status) {
    const std::string line = "SIP/2.0 " + std::to_string(status);
    return run_until([&] { return heard().find(line) != std::string::npos; });
  }

 private:
  UniqueFd fd_;
  std::unique_ptr<Wake> wake_;
  std::string heard_;
  bool closed_ = false;
};

/// The same request as it goes over TCP.
inline std::string over_tcp(std::string request) {
  return request.replace(request.find("SIP/2.0/UDP"), 11, "SIP/2.0/TCP");
}

}  // namespace junctor::sip::test
