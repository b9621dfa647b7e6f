// SPDX-License-Identifier: LGPL-2.1-or-later
// A connected stream socket, in clear or under TLS, for a reactor.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "common/bytes.h"
#include "common/handle.h"

namespace junctor {

/// Never blocks, never raises SIGPIPE. Results and errno are those of recv(2) and sendmsg(2), with
/// EPROTO for what is no TLS. One thread.
class StreamSocket {
 public:
  explicit StreamSocket(UniqueFd fd);
  virtual ~StreamSocket() = default;
  StreamSocket(const StreamSocket &) = delete;
  StreamSocket &operator=(const StreamSocket &) = delete;

  int fd() const { return fd_.get(); }
  virtual ssize_t receive(std::span<std::byte> into);
  /// How long what the last receive() gave had been in the kernel, its last byte at least. Nothing
  /// where that is not known, as under TLS.
  std::optional<std::chrono::nanoseconds> waited() const { return waited_; }
  /// Whether a receive() that gave `got` of `asked` bytes may have left some that no event of the
  /// descriptor will tell of.
  virtual bool may_have_more(std::size_t got, std::size_t asked) const { return got == asked; }
  virtual ssize_t send(const msghdr &message);
  /// Sends on what send() took and the socket did not. False if there is some left: errno says why.
  virtual bool flush() { return true; }
  virtual bool has_unsent() const { return false; }
  /// Whether receive() goes on only when the socket is writable.
  virtual bool waits_to_write() const { return false; }
  /// Tells the peer that nothing more comes. False if that cannot be told.
  virtual bool end_sending();
  /// What the last failure was, for people.
  virtual std::string failure(int error) const;

 private:
  UniqueFd fd_;
  std::optional<std::chrono::nanoseconds> waited_;
};

}  // namespace junctor
