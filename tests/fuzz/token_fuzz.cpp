// SPDX-License-Identifier: LGPL-2.1-or-later
// Tokens: no text that we have not signed is one, and what we have signed reads back, whatever its
// claims are.
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <string>

#include "accounts/token.h"
#include "input.h"

using namespace junctor;
using accounts::Claims;

namespace {

constexpr std::int64_t kNow = 1700000000;
constexpr std::string_view kHex =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

std::string base64url(std::string_view text) {
  std::string out(4 * (text.size() / 3 + 1) + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char *>(out.data()),
                                     reinterpret_cast<const unsigned char *>(text.data()),
                                     static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(length));
  for (char &c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return out.substr(0, out.find('='));
}

/// A token that whoever has the key could make.
std::string forge(std::string_view header, std::string_view payload) {
  unsigned char key[32];
  for (unsigned i = 0; i < sizeof key; ++i) key[i] = static_cast<unsigned char>(i);
  const std::string text = base64url(header) + '.' + base64url(payload);
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  HMAC(EVP_sha256(), key, sizeof key, reinterpret_cast<const unsigned char *>(text.data()),
       text.size(), mac, &length);
  return text + '.' + base64url({reinterpret_cast<const char *>(mac), length});
}

void check(const accounts::TokenKey &key, const std::string &token) {
  const auto claims = key.read(token, kNow);
  if (!claims) {
    fuzz::require(!claims.error().detail.empty());
    return;
  }
  fuzz::require(token.size() <= accounts::kMaxTokenBytes);
  fuzz::require(!claims->subject.empty() && !claims->id.empty() && claims->expires > kNow);
  const std::string own = key.sign(*claims);
  if (own.size() > accounts::kMaxTokenBytes) return;
  const auto again = key.read(own, kNow);
  fuzz::require(again && again->subject == claims->subject && again->id == claims->id &&
                again->rights == claims->rights && again->issued == claims->issued &&
                again->expires == claims->expires && again->account == claims->account);
}

}  // namespace

// A header, a line feed, and a payload.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  static const auto key = accounts::TokenKey::from_text(kHex);
  const std::string text(reinterpret_cast<const char *>(data), size);
  fuzz::require(!key->read(text, kNow));
  const auto end = text.find('\n');
  if (end == std::string::npos) return 0;
  const std::string header = text.substr(0, end), payload = text.substr(end + 1);
  fuzz::require(!key->read(base64url(header) + '.' + base64url(payload) + '.', kNow));
  check(*key, forge(header, payload));
  // Most headers are no good: the payload has its chance with the right one.
  check(*key, forge(R"({"alg":"HS256","typ":"JWT"})", payload));
  return 0;
}
