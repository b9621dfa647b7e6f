// SPDX-License-Identifier: LGPL-2.1-or-later
// A whole connection to the RTMP server, from the handshake on.
#include <algorithm>
#include <deque>
#include <set>

#include "input.h"
#include "rtmp/core/session.h"

using namespace junctor;
using namespace junctor::rtmp;

namespace {

/// Keeps the books of what a session tells, and of what it must not tell.
class Books : public SessionEvents {
 public:
  void on_check(std::uint64_t check, const Request &) override {
    fuzz::require(pending_ == 0);
    pending_ = check;
  }
  void on_checked(const Request &, const Verdict &) override {}
  void on_publish(std::uint32_t stream, const Request &request) override {
    fuzz::require(request.stage == Stage::Start && request.role == Role::Push);
    fuzz::require(!playing_.contains(stream) && publishing_.insert(stream).second);
  }
  void on_media(std::uint32_t stream, const Message &) override {
    fuzz::require(publishing_.contains(stream));
  }
  void on_unpublish(std::uint32_t stream) override {
    fuzz::require(publishing_.erase(stream) == 1);
  }
  void on_play(std::uint32_t stream, const Request &request) override {
    fuzz::require(request.stage == Stage::Start && request.role == Role::Pull);
    fuzz::require(!publishing_.contains(stream) && playing_.insert(stream).second);
  }
  void on_play_state(std::uint32_t stream, const PlayState &) override {
    fuzz::require(playing_.contains(stream));
  }
  void on_play_stopped(std::uint32_t stream) override {
    fuzz::require(playing_.erase(stream) == 1);
  }

  std::uint64_t take_check() { return std::exchange(pending_, 0); }

 private:
  std::uint64_t pending_ = 0;
  std::set<std::uint32_t> publishing_, playing_;
};

/// What the session says is a chunk stream behind its part of the handshake.
void listen(const Bytes &said) {
  constexpr std::size_t kHandshake = 1 + 2 * kHandshakeBlock;
  if (said.size() <= kHandshake) return;
  ChunkReader reader;
  const ByteSpan chunks = ByteSpan(said).subspan(kHandshake);
  const auto taken = reader.push(chunks, [](Message &&) { return ChunkReader::Flow::Continue; });
  fuzz::require(taken && *taken == chunks.size() && reader.pending_bytes() == 0);
}

}  // namespace

// A byte that says how the rest is cut and which checks are refused, then what the peer sends.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  if (size == 0) return 0;
  const unsigned choices = data[0];
  const std::size_t piece = choices & 8 ? 1 + (choices >> 4) * 37 : size;
  ByteSpan input = fuzz::input(data, size).subspan(1);

  SessionOptions options;
  options.connection = 1;
  options.peer = {"192.0.2.1", 4711};
  options.limits.command_bytes = 8192;
  options.limits.media_bytes = 32768;
  options.limits.connection_bytes = 65536;
  options.random = [](std::span<std::byte> bytes) {
    std::fill(bytes.begin(), bytes.end(), std::byte{0x5a});
  };
  const std::size_t bound = options.limits.connection_bytes;
  Time now{std::chrono::seconds(1)};
  Books books;
  Session session(options, books, now);
  Bytes said;
  unsigned checks = 0;
  while (!input.empty() && !session.closing()) {
    if (!session.wants_input()) {
      const std::uint64_t check = books.take_check();
      fuzz::require(check != 0);
      Verdict verdict;
      verdict.accepted = checks >= 3 || (choices >> checks & 1) == 0;
      verdict.identity = "alice";
      verdict.reason = "not today";
      ++checks;
      session.decide(check, verdict, now);
      continue;
    }
    const ByteSpan part = input.first(std::min(piece, input.size()));
    const std::size_t taken = session.receive(part, now);
    fuzz::require(taken <= part.size());
    fuzz::require(taken == part.size() || !session.wants_input());
    fuzz::require(session.pending_bytes() <= bound);
    input = input.subspan(taken);
    now += std::chrono::milliseconds(1);
    ByteWriter(said).raw(session.take_output());
  }
  session.tick(now);
  ByteWriter(said).raw(session.take_output());
  fuzz::require(!session.closing() || !session.close_reason().detail.empty());
  listen(said);
  return 0;
}
