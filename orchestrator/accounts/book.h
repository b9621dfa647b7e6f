// SPDX-License-Identifier: LGPL-2.1-or-later
// The accounts of this orchestrator, in one file and in memory.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "accounts/token.h"
#include "common/handle.h"
#include "common/result.h"
#include "rtp/core/srtp.h"

namespace junctor::accounts {

/// What is kept of one account. No password: only what SIP digest and the `adobe` login of RTMP
/// need to verify one. A slow hash beside that would protect nothing, for who has the file tries
/// passwords on the HA1; so the passwords that we make have 100 random bits.
struct Account {
  std::string name;
  /// Random; differs from that of every earlier account of this name. Its tokens bear it.
  std::string id;
  std::int64_t created = 0;  ///< seconds since 1970
  std::string realm;         ///< that `ha1` was made for
  std::string ha1;           ///< SIP digest, RFC 2617
  /// For rtmp::adobe_response(). Empty for accounts made before there was that login.
  std::string adobe_salt, adobe_hash;
  /// Of its phones' media; with Require its RTMP terminals come by RTMPS only. Nothing: as the
  /// configuration says.
  std::optional<rtp::SrtpPolicy> srtp;
  /// Tokens issued before this second are void.
  std::int64_t not_before = 0;
  /// Tokens revoked one by one: their ids, and when they can be forgotten.
  std::map<std::string, std::int64_t, std::less<>> revoked;
};

/// All accounts at one moment. Immutable; any thread.
struct Snapshot {
  std::string realm;  ///< of accounts that are added
  std::map<std::string, Account, std::less<>> accounts;
  const Account *find(std::string_view name) const {
    const auto found = accounts.find(name);
    return found == accounts.end() ? nullptr : &found->second;
  }
};

/// What was good and is void.
struct Voided {
  std::string account;
  bool removed = false;  ///< the account is gone, or another has its name
  std::string token;     ///< the one token's id; empty for all of the account
};

struct NewAccount {
  std::string name;
  std::string password;  ///< shown once, then forgotten
  bool generated = false;
};

struct Token {
  std::string text;
  Claims claims;
};

inline constexpr std::string_view kDefaultRealm = "junctor";
inline constexpr std::int64_t kDay = 24L * 60 * 60;
inline constexpr std::int64_t kDefaultTokenLife = 30 * kDay;
inline constexpr std::int64_t kMaxTokenLife = 3660 * kDay;

/// Whether a token that was issued can have this id.
bool is_token_id(std::string_view id);

/// Names have 1 to 64 of a-z 0-9 . _ - and begin with a letter or a digit.
Result<void> check_name(std::string_view name);

/// Reads and writes `accounts.json` and `token-key` in the data directory. Several processes may
/// do so at once: each change is made under a lock on the newest file.
/// Thread-safe. What changes something reads and writes files: not for the signalling thread or a
/// reactor. snapshot(), issue(), verify(), verify_password(), ha1() and adobe_salt() only look into
/// memory.
class Book {
 public:
  static constexpr std::size_t kMaxFileBytes = 256U << 20;
  /// Makes what is not there. `realm` empty: the one that the file names, else kDefaultRealm;
  /// otherwise the file names this one from now on. `most_bytes`: a larger `accounts.json` is
  /// neither read nor written.
  static Result<std::shared_ptr<Book>> open(const std::string &data_dir, std::string realm,
                                            std::size_t most_bytes = kMaxFileBytes);

  /// What open() would read, which fails where that would. Makes and changes nothing.
  static Result<Snapshot> look(const std::string &data_dir);

  /// Fails where another process has opened a book there, and `accounts.json` is gone since: who
  /// opens one now makes another, without accounts, which that process would read.
  static Result<void> check_not_moved(const std::string &data_dir);

  std::shared_ptr<const Snapshot> snapshot() const;
  const std::string &realm() const { return realm_; }
  /// The file to watch for changes by other processes; then reload().
  const std::string &path() const { return path_; }
  /// Never puts back what is older than a change that this process has made. Fails where the file
  /// had accounts and is gone: whoever removes them all leaves a file without any.
  Result<void> reload();
  /// What other processes have voided since the last call, as far as this one has read it: by
  /// reload(), or on the way to a change of its own.
  std::vector<Voided> take_voided();

  // What changes something fails with Internal where the files are at fault.
  /// Without a password one is made. Times are seconds since 1970.
  Result<NewAccount> add(const std::string &name, std::optional<std::string> password,
                         std::int64_t now, std::optional<rtp::SrtpPolicy> srtp = {});
  Result<void> remove(const std::string &name);
  Result<Token> issue(const std::string &name, Rights rights, std::int64_t seconds,
                      std::int64_t now) const;
  /// Voids every token of the account that was issued until now.
  Result<void> revoke_all(const std::string &name, std::int64_t now);
  Result<void> revoke(const std::string &name, const std::string &token_id, std::int64_t now);

  /// The claims of a token that is signed by us, not expired, not revoked, and whose account is
  /// there. The error is a sentence for its bearer.
  Result<Claims> verify(std::string_view token, std::int64_t now) const;
  /// For SIP digest; nothing for unknown users, or when the realm has changed since.
  std::optional<std::string> ha1(std::string_view name) const;
  /// For the `adobe` login. A name that is no account, or has no such login, gets one too, always
  /// the same: nobody learns from it which accounts there are.
  std::string adobe_salt(std::string_view name) const;
  /// Whether this is the account's password.
  bool verify_password(std::string_view name, std::string_view password) const;

 private:
  Book(const std::string &data_dir, std::string realm, TokenKey key, std::size_t most_bytes);
  template <class Change>
  Result<void> change(Change &&apply);
  Result<Snapshot> read() const;
  static Result<Snapshot> read_file(const std::string &path, std::size_t most_bytes);
  /// Held as long as the descriptor is open. `operation` as for flock().
  Result<UniqueFd> lock(int operation) const;
  void replace(Snapshot snapshot, std::vector<Voided> voided);

  const std::string path_;
  const std::string lock_path_;
  std::string realm_;  // fixed once open
  const TokenKey key_;
  const std::size_t most_bytes_;
  mutable std::mutex mutex_;  // guards what follows
  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<Snapshot>();
  std::vector<Voided> voided_;
};

}  // namespace junctor::accounts
