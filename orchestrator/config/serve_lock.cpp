// SPDX-License-Identifier: LGPL-2.1-or-later
#include "config/serve_lock.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>

namespace junctor::config {

namespace {

std::string lock_path(const std::string &data_dir) { return data_dir + "/serve.lock"; }

/// Of the whole file, and of the open file: flock() could not be asked without being taken, and
/// the older locks of fcntl() belong to the process, which may close the file elsewhere.
struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

}  // namespace

Result<UniqueFd> take_serve_lock(const std::string &data_dir) {
  UniqueFd file(::open(lock_path(data_dir).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return internal_error("cannot write to " + data_dir + ": " + std::strerror(errno));
  struct flock lock = whole_file();
  if (::fcntl(file.get(), F_OFD_SETLK, &lock) == 0) return file;
  if (errno == EAGAIN || errno == EACCES)
    return refused("another `junctor serve` runs with the data directory " + data_dir +
                   "; end it, or choose another directory with --data-dir");
  return internal_error("cannot lock " + lock_path(data_dir) + ": " + std::strerror(errno));
}

bool serve_lock_held(const std::string &data_dir) {
  const UniqueFd file(::open(lock_path(data_dir).c_str(), O_RDWR | O_CLOEXEC));
  struct flock lock = whole_file();
  return file && ::fcntl(file.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

}  // namespace junctor::config
