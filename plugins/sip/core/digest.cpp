// SPDX-License-Identifier: LGPL-2.1-or-later
// Digest authentication, the server's side.
#include "sip/core/digest.h"

#include <glib.h>
#include <sys/random.h>

#include <charconv>
#include <cstdlib>

#include "common/secret.h"

namespace junctor::sip {

namespace {

constexpr std::size_t kTimeDigits = 16, kRandomDigits = 16, kSignDigits = 32;

void fill_random(void *out, std::size_t size) {
  // Up to 256 bytes arrive whole once the system's pool is ready; without it nothing here is safe.
  if (::getrandom(out, size, 0) != static_cast<ssize_t>(size)) std::abort();
}

std::string hex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

std::string get(const std::map<std::string, std::string> &parameters, const char *name) {
  const auto found = parameters.find(name);
  return found == parameters.end() ? std::string() : found->second;
}

std::string lower(std::string text) {
  for (char &c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

template <class Number>
std::optional<Number> from_hex(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string md5_hex(std::string_view text) {
  gchar *sum = g_compute_checksum_for_data(
      G_CHECKSUM_MD5, reinterpret_cast<const guchar *>(text.data()), text.size());
  std::string out(sum);
  g_free(sum);
  return out;
}

std::string digest_ha1(std::string_view user, std::string_view realm, std::string_view password) {
  std::string text(user);
  text.append(":").append(realm).append(":").append(password);
  return md5_hex(text);
}

std::string digest_response(std::string_view ha1, std::string_view nonce, std::string_view nc,
                            std::string_view cnonce, std::string_view qop, std::string_view method,
                            std::string_view uri) {
  std::string ha2(method);
  ha2.append(":").append(uri);
  std::string text(ha1);
  text.append(":").append(nonce).append(":");
  if (!qop.empty()) text.append(nc).append(":").append(cnonce).append(":").append(qop).append(":");
  return md5_hex(text + md5_hex(ha2));
}

DigestVerifier::DigestVerifier(Options options) : options_(std::move(options)) {
  fill_random(secret_.data(), secret_.size());
  unknown_ = sign("unknown");
}

std::string DigestVerifier::sign(std::string_view text) const {
  gchar *sum = g_compute_hmac_for_data(G_CHECKSUM_SHA256, secret_.data(), secret_.size(),
                                       reinterpret_cast<const guchar *>(text.data()), text.size());
  std::string out(sum, kSignDigits);
  g_free(sum);
  return out;
}

std::string DigestVerifier::sign_nonce(std::string_view body, std::string_view client) const {
  // The body has one length: the two cannot run into each other.
  return sign(std::string(body).append(client));
}

std::string DigestVerifier::challenge(std::string_view client, Time now, bool stale) {
  std::uint64_t random = 0;
  fill_random(&random, sizeof random);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch());
  const std::string body = hex(static_cast<std::uint64_t>(ms.count())) + hex(random);
  return "Digest realm=\"" + options_.realm + "\", nonce=\"" + body + sign_nonce(body, client) +
         "\", algorithm=MD5, qop=\"auth\"" + (stale ? ", stale=true" : "");
}

std::optional<Time> DigestVerifier::issue_time(std::string_view nonce,
                                               std::string_view client) const {
  if (nonce.size() != kTimeDigits + kRandomDigits + kSignDigits) return std::nullopt;
  const std::string_view body = nonce.substr(0, kTimeDigits + kRandomDigits);
  if (!equal_secret(nonce.substr(body.size()), sign_nonce(body, client))) return std::nullopt;
  const auto ms = from_hex<std::uint64_t>(body.substr(0, kTimeDigits));
  if (!ms) return std::nullopt;
  return Time{std::chrono::milliseconds(*ms)};
}

bool DigestVerifier::use(const std::string &nonce, std::uint32_t count, Time expires, Time now) {
  // Nonces sort by their time of issue: what has expired is at the front.
  while (!used_.empty() && (used_.begin()->second.expires < now ||
                            (used_.size() >= options_.max_nonces && !used_.contains(nonce))))
    used_.erase(used_.begin());
  Used &used = used_[nonce];
  if (count <= used.count) return false;
  used = {count, expires};
  return true;
}

DigestVerifier::Verdict DigestVerifier::verify(const std::map<std::string, std::string> &parameters,
                                               std::string_view method, const Ha1 &ha1,
                                               std::string_view client, Time now) {
  const std::string user = get(parameters, "username"), nonce = get(parameters, "nonce");
  // First of all: only who has heard the challenge at this address is judged.
  const std::optional<Time> issued = issue_time(nonce, client);
  if (!issued || now < *issued || now - *issued > options_.nonce_life) return Verdict::Stale;
  const std::string qop = lower(get(parameters, "qop"));
  const std::string algorithm = lower(get(parameters, "algorithm"));
  if (get(parameters, "realm") != options_.realm) return Verdict::Refused;
  if (!algorithm.empty() && algorithm != "md5") return Verdict::Refused;
  if (!qop.empty() && qop != "auth") return Verdict::Refused;
  const auto count = qop.empty() ? std::optional<std::uint32_t>(1)
                                 : from_hex<std::uint32_t>(get(parameters, "nc"));
  if (!count || *count == 0) return Verdict::Refused;

  const std::optional<std::string> known = ha1 ? ha1(user) : std::nullopt;
  const std::string expected =
      digest_response(lower(known.value_or(unknown_)), nonce, get(parameters, "nc"),
                      get(parameters, "cnonce"), qop, method, get(parameters, "uri"));
  const bool right = equal_secret(expected, lower(get(parameters, "response")));
  if (!known || !right) return Verdict::Refused;
  if (!use(nonce, *count, *issued + options_.nonce_life, now)) return Verdict::Stale;
  return Verdict::Accepted;
}

}  // namespace junctor::sip
