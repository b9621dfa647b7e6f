// SPDX-License-Identifier: LGPL-2.1-or-later
#include "accounts/book.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "accounts/secrets.h"
#include "common/handle.h"
#include "rtmp/core/adobe.h"

namespace junctor::accounts {

namespace {

using nlohmann::json;

constexpr std::size_t kMaxAccounts = 1000000;
constexpr std::size_t kMaxRevoked = 1000;
constexpr std::size_t kMaxPasswordBytes = 256;
constexpr std::size_t kSaltBytes = 8;
constexpr std::size_t kTokenIdBytes = 12;
constexpr int kFormat = 1;

std::string accounts_path(const std::string &data_dir) { return data_dir + "/accounts.json"; }
std::string key_path(const std::string &data_dir) { return data_dir + "/token-key"; }

bool is_missing(const std::string &path) {
  return ::access(path.c_str(), F_OK) != 0 && errno == ENOENT;
}

json to_json(const Account &account) {
  json value = {{"created", account.created}, {"realm", account.realm}, {"ha1", account.ha1}};
  if (!account.id.empty()) value["id"] = account.id;
  if (!account.adobe_hash.empty()) {
    value["adobe_salt"] = account.adobe_salt;
    value["adobe_hash"] = account.adobe_hash;
  }
  if (account.srtp) value["srtp"] = std::string(to_string(*account.srtp));
  if (account.not_before != 0) value["not_before"] = account.not_before;
  if (!account.revoked.empty()) value["revoked"] = account.revoked;
  return value;
}

Account from_json(const std::string &name, const json &value) {
  Account account;
  account.name = name;
  account.id = value.value("id", "");
  account.created = value.at("created").get<std::int64_t>();
  account.realm = value.at("realm").get<std::string>();
  account.ha1 = value.at("ha1").get<std::string>();
  account.adobe_salt = value.value("adobe_salt", "");
  account.adobe_hash = value.value("adobe_hash", "");
  account.srtp = rtp::srtp_policy_from_string(value.value("srtp", ""));
  account.not_before = value.value("not_before", std::int64_t{0});
  if (value.contains("revoked"))
    for (const auto &[id, until] : value.at("revoked").items())
      account.revoked[id] = until.get<std::int64_t>();
  return account;
}

Error unknown_account(const std::string &name) {
  return bad_input("There is no account '" + name + "'. `junctor account list` shows them all.");
}

constexpr int kOverflow = 406;  // nlohmann's id

/// `where` repeats nothing of the file, where passwords' hashes are: what parsers say themselves
/// does.
Error damaged(const std::string &path, const std::string &where) {
  return bad_input(path + " is damaged (" + where + "); put a copy in its place");
}

Result<TokenKey> read_key(const std::string &path, const Result<std::string> &text) {
  if (!text) return text.error();
  auto key = TokenKey::from_text(*text);
  if (!key)
    return bad_input(path + ": " + key.error().detail +
                     "; put a copy in its place, or move it away and start again: tokens that "
                     "were given are void then");
  return key;
}

std::vector<Voided> compare(const Snapshot &before, const Snapshot &after) {
  std::vector<Voided> voided;
  for (const auto &[name, account] : before.accounts) {
    const Account *now = after.find(name);
    const bool removed = !now || now->id != account.id;
    if (removed || now->not_before != account.not_before) voided.push_back({name, removed, ""});
    if (removed) continue;
    for (const auto &[id, until] : now->revoked)
      if (!account.revoked.contains(id)) voided.push_back({name, false, id});
  }
  return voided;
}

}  // namespace

Result<void> check_name(std::string_view name) {
  const auto letter_or_digit = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  };
  const auto allowed = [&](char c) {
    return letter_or_digit(c) || c == '.' || c == '_' || c == '-';
  };
  if (!name.empty() && name.size() <= 64 && letter_or_digit(name.front()) &&
      std::all_of(name.begin(), name.end(), allowed))
    return {};
  return bad_input(
      "An account name has 1 to 64 of a-z 0-9 . _ - and begins with a letter or a digit.");
}

bool is_token_id(std::string_view id) {
  return id.size() == 2 * kTokenIdBytes && std::ranges::all_of(id, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Book::Book(const std::string &data_dir, std::string realm, TokenKey key, std::size_t most_bytes)
    : path_(accounts_path(data_dir)),
      lock_path_(data_dir + "/accounts.lock"),
      realm_(std::move(realm)),
      key_(std::move(key)),
      most_bytes_(most_bytes) {}

Result<std::shared_ptr<Book>> Book::open(const std::string &data_dir, std::string realm,
                                         std::size_t most_bytes) {
  if (auto made = make_private_directory(data_dir); !made) return made.error();
  const std::string key_file = key_path(data_dir);
  auto key = read_key(key_file, load_or_make_secret(key_file, [] { return random_hex(32); }));
  if (!key) return key.error();
  std::shared_ptr<Book> book(new Book(data_dir, std::move(realm), std::move(*key), most_bytes));
  if (auto loaded = book->reload(); !loaded) return loaded.error();
  const std::string stored = book->snapshot()->realm;
  if (book->realm_.empty()) book->realm_ = stored.empty() ? std::string(kDefaultRealm) : stored;
  if (stored != book->realm_) {
    // An empty change writes the realm down.
    auto written = book->change([](Snapshot &) -> Result<void> { return {}; });
    if (!written) return written.error();
  }
  return book;
}

std::shared_ptr<const Snapshot> Book::snapshot() const {
  const std::lock_guard lock(mutex_);
  return snapshot_;
}

Result<Snapshot> Book::look(const std::string &data_dir) {
  const std::string key_file = key_path(data_dir);
  if (::access(key_file.c_str(), F_OK) == 0)
    if (const auto key = read_key(key_file, read_secret(key_file)); !key) return key.error();
  return read_file(accounts_path(data_dir), kMaxFileBytes);
}

Result<void> Book::check_not_moved(const std::string &data_dir) {
  const std::string path = accounts_path(data_dir);
  // The key is made first, and stays.
  if (is_missing(key_path(data_dir)) || !is_missing(path)) return {};
  return internal_error(path +
                        " is gone while `junctor serve` runs. Put it back, or stop that to " +
                        "begin without accounts.");
}

Result<Snapshot> Book::read() const {
  if (const std::size_t known = snapshot()->accounts.size(); known > 0 && is_missing(path_))
    return internal_error(path_ + ", which had " + std::to_string(known) +
                          " accounts, is gone. Put it back, or restart to begin without any");
  return read_file(path_, most_bytes_);
}

Result<Snapshot> Book::read_file(const std::string &path, std::size_t most_bytes) {
  Snapshot snapshot;
  if (is_missing(path)) return snapshot;
  auto content = read_private_file(path, most_bytes);
  if (!content) return content.error();
  try {
    const json file = json::parse(*content);
    if (file.at("format").get<int>() != kFormat)
      return bad_input(path + " was written by another version of Junctor");
    snapshot.realm = file.value("realm", "");
    for (const auto &[name, value] : file.at("accounts").items())
      snapshot.accounts.emplace(name, from_json(name, value));
  } catch (const json::parse_error &failure) {
    return damaged(path, "at byte " + std::to_string(failure.byte));
  } catch (const json::exception &failure) {
    return damaged(path, failure.id == kOverflow ? "a number is too large" : failure.what());
  }
  return snapshot;
}

Result<void> Book::reload() {
  // Or a change between the reading and the replacing would be undone in memory. Not shared, or
  // two of this process would both find what is new.
  const auto locked = lock(LOCK_EX);
  if (!locked) return locked.error();
  auto now = read();
  if (!now) return now.error();
  auto voided = compare(*snapshot(), *now);
  replace(std::move(*now), std::move(voided));
  return {};
}

std::vector<Voided> Book::take_voided() {
  const std::lock_guard lock(mutex_);
  return std::exchange(voided_, {});
}

void Book::replace(Snapshot snapshot, std::vector<Voided> voided) {
  auto shared = std::make_shared<const Snapshot>(std::move(snapshot));
  const std::lock_guard lock(mutex_);
  snapshot_ = std::move(shared);
  voided_.insert(voided_.end(), voided.begin(), voided.end());
}

Result<UniqueFd> Book::lock(int operation) const {
  UniqueFd file(::open(lock_path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return internal_error("cannot open " + lock_path_ + ": " + std::strerror(errno));
  // Every open file has a lock of its own, so this keeps threads of this process apart as well as
  // processes.
  while (::flock(file.get(), operation) < 0)
    if (errno != EINTR)
      return internal_error("cannot lock " + lock_path_ + ": " + std::strerror(errno));
  return file;
}

template <class Change>
Result<void> Book::change(Change &&apply) {
  const auto locked = lock(LOCK_EX);
  if (!locked) return locked.error();
  auto snapshot = read();
  // Whoever asks for the change has not done it.
  if (!snapshot) return internal_error(snapshot.error().detail);
  auto voided = compare(*this->snapshot(), *snapshot);
  if (Result<void> applied = apply(*snapshot); !applied) return applied.error();
  json list = json::object();
  for (const auto &[name, account] : snapshot->accounts) list[name] = to_json(account);
  snapshot->realm = realm_;
  const json file = {{"format", kFormat}, {"realm", realm_}, {"accounts", std::move(list)}};
  std::string text;
  try {
    text = file.dump(1) + "\n";
  } catch (const json::exception &failure) {
    // Replacing what is no UTF-8 could make one name of two.
    return internal_error("The accounts cannot be written (" + std::string(failure.what()) + ").");
  }
  if (text.size() > most_bytes_)
    return refused("The accounts would fill more than " + std::to_string(most_bytes_) +
                   " bytes; remove some first.");
  if (auto written = write_private_file(path_, text); !written) return written.error();
  replace(std::move(*snapshot), std::move(voided));
  return {};
}

Result<NewAccount> Book::add(const std::string &name, std::optional<std::string> password,
                             std::int64_t now, std::optional<rtp::SrtpPolicy> srtp) {
  if (auto valid = check_name(name); !valid) return valid.error();
  NewAccount made{name, password ? *password : random_password(), !password};
  if (made.password.size() < 8 || made.password.size() > kMaxPasswordBytes)
    return bad_input("A password has 8 to 256 characters. Leave it out, and a good one is made.");
  Account account;
  account.name = name;
  account.id = random_hex(8);
  account.created = now;
  account.realm = realm_;
  account.srtp = srtp;
  account.ha1 = digest_ha1(name, realm_, made.password);
  account.adobe_salt = random_hex(kSaltBytes);
  account.adobe_hash = rtmp::adobe_hash(name, account.adobe_salt, made.password);
  const auto changed = change([&](Snapshot &snapshot) -> Result<void> {
    if (snapshot.accounts.size() >= kMaxAccounts)
      return refused("There are a million accounts already; remove some first.");
    if (!snapshot.accounts.emplace(name, account).second)
      return refused("The account '" + name + "' is there already. Remove it first, or ask for " +
                     "a new token with `junctor account token " + name + "`.");
    return {};
  });
  if (!changed) return changed.error();
  return made;
}

Result<void> Book::remove(const std::string &name) {
  return change([&](Snapshot &snapshot) -> Result<void> {
    if (snapshot.accounts.erase(name) == 0) return unknown_account(name);
    return {};
  });
}

Result<Token> Book::issue(const std::string &name, Rights rights, std::int64_t seconds,
                          std::int64_t now) const {
  const auto current = snapshot();
  const Account *account = current->find(name);
  if (!account) return unknown_account(name);
  if (seconds < 1 || seconds > kMaxTokenLife)
    return bad_input("A token lives from one second to ten years.");
  if (!rights.push && !rights.pull) return bad_input("A token needs the right push, pull or both.");
  Token token;
  token.claims.subject = name;
  token.claims.id = random_hex(kTokenIdBytes);
  token.claims.account = account->id;
  token.claims.rights = rights;
  // not_before can lie one second ahead: see revoke_all().
  token.claims.issued = std::max(now, account->not_before);
  token.claims.expires = now + seconds;
  token.text = key_.sign(token.claims);
  return token;
}

Result<void> Book::revoke_all(const std::string &name, std::int64_t now) {
  return change([&](Snapshot &snapshot) -> Result<void> {
    const auto found = snapshot.accounts.find(name);
    if (found == snapshot.accounts.end()) return unknown_account(name);
    // Times are whole seconds: what was issued in this second is void as well, and what will be
    // issued in it from now on bears the next one.
    found->second.not_before = std::max(now, found->second.not_before) + 1;
    found->second.revoked.clear();
    return {};
  });
}

Result<void> Book::revoke(const std::string &name, const std::string &token_id, std::int64_t now) {
  const auto visible = [](char c) { return c > ' ' && c <= '~'; };
  if (token_id.empty() || token_id.size() > 64 || !std::ranges::all_of(token_id, visible))
    return bad_input("That is no token's id.");
  return change([&](Snapshot &snapshot) -> Result<void> {
    const auto found = snapshot.accounts.find(name);
    if (found == snapshot.accounts.end()) return unknown_account(name);
    auto &revoked = found->second.revoked;
    std::erase_if(revoked, [&](const auto &entry) { return entry.second <= now; });
    if (revoked.size() >= kMaxRevoked)
      return refused("Too many tokens of '" + name + "' are revoked one by one; revoke them all.");
    revoked[token_id] = now + kMaxTokenLife;
    return {};
  });
}

Result<Claims> Book::verify(std::string_view token, std::int64_t now) const {
  auto claims = key_.read(token, now);
  if (!claims) return claims.error();
  const auto current = snapshot();
  const Account *account = current->find(claims->subject);
  // One of the same name that was made since is another account.
  if (!account || account->id != claims->account)
    return refused("The account of this token is no longer there.");
  if (claims->issued < account->not_before || account->revoked.contains(claims->id))
    return refused("The token was revoked. Ask for a new one.");
  return claims;
}

std::optional<std::string> Book::ha1(std::string_view name) const {
  const auto current = snapshot();
  const Account *account = current->find(name);
  if (!account || account->realm != realm_) return std::nullopt;
  return account->ha1;
}

std::string Book::adobe_salt(std::string_view name) const {
  const auto current = snapshot();
  const Account *account = current->find(name);
  if (account && !account->adobe_salt.empty()) return account->adobe_salt;
  return key_.keyed_hash("adobe salt of " + std::string(name)).substr(0, 2 * kSaltBytes);
}

bool Book::verify_password(std::string_view name, std::string_view password) const {
  const auto current = snapshot();
  const Account *account = current->find(name);
  return account && password.size() <= kMaxPasswordBytes &&
         same_secret(digest_ha1(name, account->realm, password), account->ha1);
}

}  // namespace junctor::accounts
