// SPDX-License-Identifier: LGPL-2.1-or-later
// Random secrets, password hashes and the files that hold them.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace junctor::accounts {

/// `bytes` random bytes from the system's generator, as lower-case hex.
std::string random_hex(std::size_t bytes);

/// Twenty letters and digits that no reader confuses: 100 random bits.
std::string random_password();

/// RFC 2617 section 3.2.2.2: MD5(user:realm:password) as lower-case hex.
std::string digest_ha1(std::string_view user, std::string_view realm, std::string_view password);

/// RFC 2104: HMAC-SHA256 of `text`, as lower-case hex.
std::string keyed_hash(std::string_view key, std::string_view text);

/// Equality in a time that tells nothing about where they differ or how long the secret is.
bool same_secret(std::string_view offered, std::string_view secret);

/// Inverse of hex; empty for what is not hex.
std::string from_hex(std::string_view text);

/// Makes `directory` (and its parents) with mode 0700 if it is not there.
Result<void> make_private_directory(const std::string &directory);

/// Replaces a file in one step: mode 0600, on disk before the old one is gone.
Result<void> write_private_file(const std::string &path, std::string_view content);

/// The content of a file that only its owner may read; others' rights on it are an error that
/// names the fix. Fails for more than `limit` bytes.
Result<std::string> read_private_file(const std::string &path, std::size_t limit);

/// The one line of a private file, without its end: a password, which may hold any character but
/// control characters. Fails for more than 4096 bytes, for nothing, and for several lines.
Result<std::string> read_secret_line(const std::string &path);

/// The secret in `path` without its line end. Makes and changes nothing.
Result<std::string> read_secret(const std::string &path);

/// The same; `make` is called for a new one if there is no file.
/// Two processes that come at once agree on one secret.
Result<std::string> load_or_make_secret(const std::string &path,
                                        const std::function<std::string()> &make);

}  // namespace junctor::accounts
