// SPDX-License-Identifier: LGPL-2.1-or-later
#include "turn/credentials.h"

#include <glib.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <memory>

#include "common/handle.h"

namespace junctor::turn {

Credentials issue(std::string_view secret, std::string_view account, std::int64_t now,
                  std::chrono::seconds life) {
  Credentials made;
  made.expires = now + life.count();
  made.username = std::to_string(made.expires) + ":" + std::string(account);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha1(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char *>(made.username.data()), made.username.size(), digest,
       &size);
  const std::unique_ptr<char, Releaser<g_free>> text(g_base64_encode(digest, size));
  made.password = text.get();
  return made;
}

}  // namespace junctor::turn
