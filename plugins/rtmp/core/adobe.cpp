// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtmp/core/adobe.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>
#include <initializer_list>
#include <stdexcept>

namespace junctor::rtmp {

namespace {

std::string parameter(const std::map<std::string, std::string> &parameters, const char *name) {
  const auto found = parameters.find(name);
  return found == parameters.end() ? std::string() : found->second;
}

std::string base64_md5(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const auto part : parts) text += part;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_md5(), nullptr) != 1)
    throw std::runtime_error("OpenSSL has no MD5, which passwords in RTMP URLs need");
  OPENSSL_cleanse(text.data(), text.size());
  std::array<unsigned char, 32> encoded{};  // 16 bytes give 24 characters and a zero
  const int size = EVP_EncodeBlock(encoded.data(), digest.data(), static_cast<int>(length));
  return {reinterpret_cast<const char *>(encoded.data()), static_cast<std::size_t>(size)};
}

constexpr std::string_view kMode = "[ AccessManager.Reject ] : [ authmod=adobe ] : ";

}  // namespace

std::optional<AdobeLogin> adobe_login(const std::map<std::string, std::string> &parameters) {
  if (parameter(parameters, "authmod") != "adobe") return std::nullopt;
  return AdobeLogin{parameter(parameters, "user"), parameter(parameters, "challenge"),
                    parameter(parameters, "response"), parameter(parameters, "opaque")};
}

std::string adobe_invitation(std::string_view reason) {
  // ffmpeg takes what stands between "authmod=" and a space for the mode.
  return "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : " +
         std::string(reason);
}

std::string adobe_challenge(std::string_view user, std::string_view salt,
                            std::string_view challenge, std::string_view opaque) {
  std::string text(kMode);
  text.append("?reason=needauth&user=").append(user).append("&salt=").append(salt);
  return text.append("&challenge=").append(challenge).append("&opaque=").append(opaque);
}

std::string adobe_failure(std::string_view opaque) {
  return std::string(kMode).append("?reason=authfailed&opaque=").append(opaque);
}

std::string adobe_hash(std::string_view user, std::string_view salt, std::string_view password) {
  return base64_md5({user, salt, password});
}

std::string adobe_response(std::string_view hash, std::string_view opaque,
                           std::string_view challenge) {
  return base64_md5({hash, opaque, challenge});
}

}  // namespace junctor::rtmp
