// SPDX-License-Identifier: LGPL-2.1-or-later
// Owning types for foreign pointers and descriptors.
#pragma once

#include <unistd.h>

#include <memory>
#include <utility>

namespace junctor {

/// Deleter that calls a C release function:
/// `using CapsRef = std::unique_ptr<GstCaps, Releaser<gst_caps_unref>>;`
template <auto Release>
struct Releaser {
  template <class T>
  void operator()(T *pointer) const {
    Release(pointer);
  }
};

/// Owns one file descriptor; -1 means none.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd &&other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd &operator=(UniqueFd &&other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

}  // namespace junctor
