// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rtp/core/srtp.h"

#include <arpa/inet.h>
#include <srtp2/srtp.h>
#include <sys/random.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <string>
#include <utility>

#include "rtp/core/srtp_start.h"

namespace junctor::rtp {

namespace {

constexpr std::array kPolicies{
    std::pair{SrtpPolicy::Off, std::string_view("off")},
    std::pair{SrtpPolicy::Prefer, std::string_view("prefer")},
    std::pair{SrtpPolicy::Require, std::string_view("require")},
};

struct SuiteRow {
  SrtpSuite suite;
  std::string_view name;
  std::size_t master_size;
  void (*set_rtp)(srtp_crypto_policy_t *);
  void (*set_rtcp)(srtp_crypto_policy_t *);
};
void set_128_80(srtp_crypto_policy_t *policy) { srtp_crypto_policy_set_rtp_default(policy); }
constexpr std::array kRows{
    SuiteRow{SrtpSuite::AesCm128HmacSha1_80, "AES_CM_128_HMAC_SHA1_80",
             SRTP_AES_ICM_128_KEY_LEN_WSALT, set_128_80, set_128_80},
    SuiteRow{SrtpSuite::AesCm256HmacSha1_80, "AES_256_CM_HMAC_SHA1_80",
             SRTP_AES_ICM_256_KEY_LEN_WSALT, srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80,
             srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80},
    // SRTCP has the long tag here too (RFC 4568 section 6.2.2).
    SuiteRow{SrtpSuite::AesCm128HmacSha1_32, "AES_CM_128_HMAC_SHA1_32",
             SRTP_AES_ICM_128_KEY_LEN_WSALT, srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32,
             set_128_80},
};
const SuiteRow &row_of(SrtpSuite suite) {
  return *std::ranges::find(kRows, suite, &SuiteRow::suite);
}

constexpr std::size_t kLeastRtp = 12, kLeastRtcp = 8;

/// Once in a process; what has failed is tried again by the next who needs it.
Result<void> start_libsrtp() {
  static std::mutex mutex;
  static bool started = false;
  const std::lock_guard lock(mutex);
  if (started) return {};
  const srtp_err_status_t status = srtp_init();
  if (status != srtp_err_status_ok) {
    srtp_shutdown();  // what it has set up so far
    return internal_error("SRTP: libsrtp cannot be started, its error " + std::to_string(status));
  }
  started = true;
  return {};
}

std::uint32_t word_at(std::span<const std::byte> buffer, std::size_t offset) {
  std::uint32_t word = 0;
  for (std::size_t i = 0; i < 4; ++i)
    word = word << 8 | std::to_integer<std::uint32_t>(buffer[offset + i]);
  return word;
}

static_assert(Srtp::kMaxTrailer >= SRTP_MAX_TAG_LEN + 4);  // no MKI; SRTCP has its index

}  // namespace

std::string_view to_string(SrtpPolicy policy) {
  return std::ranges::find(kPolicies, policy, &decltype(kPolicies)::value_type::first)->second;
}

std::optional<SrtpPolicy> srtp_policy_from_string(std::string_view text) {
  for (const auto &[policy, name] : kPolicies)
    if (name == text) return policy;
  return std::nullopt;
}

std::string_view to_string(SrtpSuite suite) { return row_of(suite).name; }

std::optional<SrtpSuite> srtp_suite_from_string(std::string_view name) {
  for (const SuiteRow &row : kRows)
    if (row.name == name) return row.suite;
  return std::nullopt;
}

std::size_t master_size(SrtpSuite suite) { return row_of(suite).master_size; }

SrtpKey SrtpKey::random(SrtpSuite suite) {
  SrtpKey key{suite, Bytes(rtp::master_size(suite))};
  // Up to 256 bytes come whole or not at all.
  if (::getrandom(key.master.data(), key.master.size(), 0) !=
      static_cast<ssize_t>(key.master.size()))
    std::abort();
  return key;
}

void prepare_srtp() {
  // Never destroyed: NSS is unloaded with the last context, and loaded again for the next.
  [[maybe_unused]] static const auto *const kept = []() -> const Srtp * {
    const auto key = [] { return SrtpKey::random(kSrtpSuites.front()); };
    auto made = Srtp::make({key(), key()});
    return made ? made->release() : nullptr;
  }();
}

void Srtp::Release::operator()(srtp_ctx_t_ *context) const { srtp_dealloc(context); }

Srtp::~Srtp() = default;

Result<Srtp::Context> Srtp::create(const SrtpKey &key, bool inbound, std::optional<Source> source) {
  if (const auto started = start_libsrtp(); !started) return started.error();
  const SuiteRow &row = row_of(key.suite);
  if (key.master.size() != row.master_size)
    return bad_input("SRTP: a key of " + std::string(row.name) + " has " +
                     std::to_string(row.master_size) + " bytes with its salt, not " +
                     std::to_string(key.master.size()));
  Bytes master = key.master;  // libsrtp's pointer is not const
  srtp_policy_t policy{};
  row.set_rtp(&policy.rtp);
  row.set_rtcp(&policy.rtcp);
  policy.ssrc.type = source ? ssrc_specific : inbound ? ssrc_any_inbound : ssrc_any_outbound;
  if (source) policy.ssrc.value = source->ssrc;
  policy.key = reinterpret_cast<unsigned char *>(master.data());
  policy.window_size = kReplayWindow;
  srtp_t made = nullptr;
  if (const auto status = srtp_create(&made, &policy); status != srtp_err_status_ok)
    return internal_error("SRTP: libsrtp makes no context (error " + std::to_string(status) + ")");
  Context context(made);
  if (source && srtp_set_stream_roc(made, source->ssrc, source->rollover) != srtp_err_status_ok)
    return internal_error("SRTP: libsrtp takes no rollover counter");
  return context;
}

Result<std::unique_ptr<Srtp>> Srtp::make(SrtpKeys keys) {
  std::unique_ptr<Srtp> self(new Srtp);
  if (auto out = self->set_local(keys.local); !out) return out.error();
  if (auto in = self->set_remote(keys.remote); !in) return in.error();
  self->keys_ = std::move(keys);
  return self;
}

Result<void> Srtp::set_local(const SrtpKey &key) {
  if (const auto known = std::ranges::find(out_, key, &Sender::key); known != out_.end()) {
    std::rotate(known, known + 1, out_.end());
    return {};
  }
  if (out_.size() == kMaxLocalKeys)
    return refused("SRTP: the keys of one session have changed too often");
  auto context = create(key, false, std::nullopt);
  if (!context) return context.error();
  out_.push_back({key, std::move(*context)});
  return {};
}

Result<void> Srtp::set_remote(const SrtpKey &key) {
  std::vector<Context> contexts;
  auto fresh = create(key, true, std::nullopt);
  if (!fresh) return fresh.error();
  contexts.push_back(std::move(*fresh));
  std::uint32_t rollover = 0;
  for (const Context &before : in_)
    if (std::uint32_t counted = 0;
        heard_ && srtp_get_stream_roc(before.get(), *heard_, &counted) == srtp_err_status_ok)
      rollover = std::max(rollover, counted);
  if (rollover > 0) {
    auto continued = create(key, true, Source{*heard_, rollover});
    if (!continued) return continued.error();
    contexts.push_back(std::move(*continued));
  }
  in_ = std::move(contexts);
  sources_.clear();
  return {};
}

Result<void> Srtp::renew(SrtpKeys keys) {
  if (auto out = set_local(keys.local); !out) return out;
  if (keys.remote != keys_.remote)
    if (auto in = set_remote(keys.remote); !in) return in;
  keys_ = std::move(keys);
  return {};
}

bool Srtp::protect_rtp(std::span<std::byte> buffer, std::size_t &size) {
  if (size < kLeastRtp || buffer.size() < size + kMaxTrailer) return false;
  int length = static_cast<int>(size);
  if (srtp_protect(out_.back().context.get(), buffer.data(), &length) != srtp_err_status_ok)
    return false;
  size = static_cast<std::size_t>(length);
  return true;
}

bool Srtp::protect_rtcp(std::span<std::byte> buffer, std::size_t &size) {
  if (size < kLeastRtcp || buffer.size() < size + kMaxTrailer) return false;
  int length = static_cast<int>(size);
  if (srtp_protect_rtcp(out_.back().context.get(), buffer.data(), &length) != srtp_err_status_ok)
    return false;
  size = static_cast<std::size_t>(length);
  return true;
}

Srtp::Verdict Srtp::unprotect_rtp(std::span<std::byte> buffer, std::size_t &size) {
  return unprotect(buffer, size, false);
}

Srtp::Verdict Srtp::unprotect_rtcp(std::span<std::byte> buffer, std::size_t &size) {
  return unprotect(buffer, size, true);
}

void Srtp::note_source(std::uint32_t ssrc) {
  if (!sources_.empty() && sources_.back() == ssrc) return;
  if (const auto known = std::ranges::find(sources_, ssrc); known != sources_.end()) {
    std::rotate(known, known + 1, sources_.end());
    return;
  }
  if (sources_.size() == kMaxSources) {
    for (const Context &context : in_) srtp_remove_stream(context.get(), htonl(sources_.front()));
    sources_.erase(sources_.begin());
    ++forgotten_;
  }
  sources_.push_back(ssrc);
}

Srtp::Verdict Srtp::unprotect(std::span<std::byte> buffer, std::size_t &size, bool rtcp) {
  if (buffer.size() < (rtcp ? kLeastRtcp : kLeastRtp)) return Verdict::Unauthentic;
  const std::uint32_t ssrc = word_at(buffer, rtcp ? 4 : 8);
  Verdict verdict = Verdict::Unauthentic;
  for (std::size_t i = 0; i < in_.size(); ++i) {
    int length = static_cast<int>(buffer.size());
    const auto status = rtcp ? srtp_unprotect_rtcp(in_[i].get(), buffer.data(), &length)
                             : srtp_unprotect(in_[i].get(), buffer.data(), &length);
    if (status == srtp_err_status_ok) {
      size = static_cast<std::size_t>(length);
      note_source(ssrc);
      if (!rtcp) heard_ = ssrc;
      // Which one is right does not change from packet to packet.
      std::swap(in_[0], in_[i]);
      return Verdict::Authentic;
    }
    if (status == srtp_err_status_replay_fail || status == srtp_err_status_replay_old)
      verdict = Verdict::Replayed;
  }
  return verdict;
}

}  // namespace junctor::rtp
