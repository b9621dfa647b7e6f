// SPDX-License-Identifier: LGPL-2.1-or-later
#include "accounts/secrets.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "common/handle.h"

namespace junctor::accounts {

namespace {

std::string random_bytes(std::size_t count) {
  std::string bytes(count, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char *>(bytes.data()), static_cast<int>(count)) != 1)
    throw std::runtime_error("the system gives no random bytes");
  return bytes;
}

std::string to_hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Error file_error(const std::string &what, const std::string &path) {
  return internal_error("cannot " + what + " " + path + ": " + std::strerror(errno));
}

Result<void> write_all(int fd, std::string_view content, const std::string &path) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return file_error("write", path);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(fd) < 0) return file_error("write", path);
  return {};
}

/// Makes what happened to the names in the directory of `path` outlive a crash of the machine.
Result<void> sync_directory_of(const std::string &path) {
  const auto parent = std::filesystem::path(path).parent_path().string();
  const UniqueFd fd(
      ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // EINVAL: a file system that cannot do it for directories.
  if (!fd || (::fsync(fd.get()) < 0 && errno != EINVAL))
    return file_error("write to the directory of", path);
  return {};
}

/// Whether nothing but Junctor's files are in it, so that closing it to others surprises nobody.
bool is_ours_alone(const std::string &directory) {
  constexpr std::array<std::string_view, 6> kOurs{"accounts.", "token-key", "admin-token",
                                                  "calls.db",  "api-url",   "serve.lock"};
  std::error_code failure;
  for (const auto &entry : std::filesystem::directory_iterator(directory, failure)) {
    const std::string name = entry.path().filename();
    if (std::ranges::none_of(kOurs, [&](auto ours) { return name.starts_with(ours); }))
      return false;
  }
  return !failure;
}

/// Nobody else may list, read or replace what is in the data directory.
Result<void> close_to_others(const std::string &directory) {
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) < 0) return file_error("read", directory);
  if ((status.st_mode & 077) == 0) return {};
  if (is_ours_alone(directory) && ::fchmod(fd.get(), 0700) == 0) return {};
  return refused(directory + " is open to other users; close it with: chmod 700 " + directory +
                 ", or choose another directory with --data-dir");
}

/// Writes `content` beside `path`; returns the name of the new file.
Result<std::string> write_beside(const std::string &path, std::string_view content) {
  std::string name = path + ".XXXXXX";
  const UniqueFd fd(::mkostemp(name.data(), O_CLOEXEC));  // mode 0600
  if (!fd) return file_error("create a file beside", path);
  if (auto written = write_all(fd.get(), content, path); !written) {
    ::unlink(name.c_str());
    return written.error();
  }
  return name;
}

}  // namespace

std::string random_hex(std::size_t bytes) { return to_hex(random_bytes(bytes)); }

std::string random_password() {
  constexpr std::string_view kAlphabet = "abcdefghijkmnpqrstuvwxyz23456789";
  static_assert(kAlphabet.size() == 32);
  std::string password = random_bytes(20);
  for (char &c : password) c = kAlphabet[static_cast<unsigned char>(c) & 31];
  return password;
}

std::string digest_ha1(std::string_view user, std::string_view realm, std::string_view password) {
  std::string text(user);
  text.append(":").append(realm).append(":").append(password);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_md5(), nullptr) != 1)
    throw std::runtime_error("OpenSSL has no MD5, which SIP digest authentication needs");
  OPENSSL_cleanse(text.data(), text.size());
  return to_hex({reinterpret_cast<const char *>(digest.data()), length});
}

std::string keyed_hash(std::string_view key, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (!HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
            reinterpret_cast<const unsigned char *>(text.data()), text.size(), digest.data(),
            &length))
    throw std::runtime_error("OpenSSL has no HMAC-SHA256");
  return to_hex({reinterpret_cast<const char *>(digest.data()), length});
}

bool same_secret(std::string_view offered, std::string_view secret) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> a{}, b{};
  SHA256(reinterpret_cast<const unsigned char *>(offered.data()), offered.size(), a.data());
  SHA256(reinterpret_cast<const unsigned char *>(secret.data()), secret.size(), b.data());
  return !secret.empty() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return {};
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    unsigned value = 0;
    const auto [end, failure] = std::from_chars(text.data() + i, text.data() + i + 2, value, 16);
    if (failure != std::errc() || end != text.data() + i + 2) return {};
    bytes += static_cast<char>(value);
  }
  return bytes;
}

Result<void> make_private_directory(const std::string &directory) {
  std::error_code failure;
  if (std::filesystem::is_directory(directory, failure)) return close_to_others(directory);
  const std::filesystem::path parent = std::filesystem::path(directory).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, failure);
  if (::mkdir(directory.c_str(), 0700) == 0) return {};
  if (errno == EEXIST && std::filesystem::is_directory(directory, failure))
    return close_to_others(directory);
  return internal_error("cannot make the directory " + directory + ": " + std::strerror(errno) +
                        "; choose another one with --data-dir");
}

Result<void> write_private_file(const std::string &path, std::string_view content) {
  auto name = write_beside(path, content);
  if (!name) return name.error();
  if (::rename(name->c_str(), path.c_str()) == 0) return sync_directory_of(path);
  const Error error = file_error("replace", path);
  ::unlink(name->c_str());
  return error;
}

Result<std::string> read_private_file(const std::string &path, std::size_t limit) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return file_error("read", path);
  struct stat status {};
  if (::fstat(fd.get(), &status) < 0) return file_error("read", path);
  if ((status.st_mode & 077) != 0)
    return refused(path + " can be read or written by others; close it with: chmod 600 " + path);
  if (static_cast<std::size_t>(status.st_size) > limit)
    return bad_input(path + " is larger than " + std::to_string(limit) + " bytes");
  std::string content(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t have = 0;
  while (have < content.size()) {
    const ssize_t got = ::read(fd.get(), content.data() + have, content.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_error("read", path);
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  content.resize(have);
  return content;
}

Result<std::string> read_secret_line(const std::string &path) {
  constexpr std::size_t kLimit = 4096;
  auto line = read_private_file(path, kLimit);
  if (!line) return line;
  while (line->ends_with('\n') || line->ends_with('\r')) line->pop_back();
  const bool one = std::ranges::none_of(*line, [](char c) {
    constexpr char kDelete = 0x7f;
    return (c >= 0 && c < ' ') || c == kDelete;
  });
  if (line->empty() || !one) return bad_input(path + " must hold the secret alone, in one line");
  return line;
}

Result<std::string> read_secret(const std::string &path) {
  constexpr std::size_t kLimit = 4096;
  auto content = read_private_file(path, kLimit);
  if (!content) return content.error();
  while (!content->empty() && (content->back() == '\n' || content->back() == '\r'))
    content->pop_back();
  if (content->empty())
    return bad_input(path + " is empty; remove it, and a new one is made at the next start");
  return content;
}

Result<std::string> load_or_make_secret(const std::string &path,
                                        const std::function<std::string()> &make) {
  if (::access(path.c_str(), F_OK) != 0) {
    auto name = write_beside(path, make() + "\n");
    if (!name) return name.error();
    // link() fails if another process was faster; then its secret counts.
    const bool linked = ::link(name->c_str(), path.c_str()) == 0 || errno == EEXIST;
    const Error error = file_error("create", path);
    ::unlink(name->c_str());
    if (!linked) return error;
    if (auto synced = sync_directory_of(path); !synced) return synced.error();
  }
  return read_secret(path);
}

}  // namespace junctor::accounts
