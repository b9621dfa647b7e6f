// SPDX-License-Identifier: LGPL-2.1-or-later
// Both sides of the RTMP handshake against any peer.
#include <algorithm>

#include "input.h"
#include "rtmp/core/handshake.h"

using namespace junctor;
using namespace junctor::rtmp;

namespace {

const RandomFill kFixed = [](std::span<std::byte> bytes) {
  std::fill(bytes.begin(), bytes.end(), std::byte{0x5a});
};

/// All that a side sends in answer to `input`, pushed in pieces; and whether it failed.
template <class Side>
Bytes answers(Side &side, ByteSpan input, std::size_t piece, bool &failed) {
  Bytes out;
  std::size_t taken_in_all = 0;
  while (!input.empty() && !side.done()) {
    const std::size_t size = std::min(piece, input.size());
    const auto taken = side.push(input.first(size), out);
    failed = !taken;
    if (failed) break;
    fuzz::require(*taken == size || side.done());
    taken_in_all += *taken;
    input = input.subspan(*taken);
  }
  fuzz::require(taken_in_all <= 1 + 2 * kHandshakeBlock);
  return out;
}

}  // namespace

// The first byte says how the rest is cut.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  if (size == 0) return 0;
  const ByteSpan input = fuzz::input(data, size).subspan(1);
  const std::size_t piece = data[0] + 1u;
  bool whole_failed = false, cut_failed = false;
  ServerHandshake whole(kFixed), cut(kFixed);
  const Bytes expected = answers(whole, input, input.size(), whole_failed);
  fuzz::require(answers(cut, input, piece, cut_failed) == expected);
  fuzz::require(whole_failed == cut_failed);
  fuzz::require(expected.empty() || expected.size() == 1 + 2 * kHandshakeBlock);
  for (const auto kind : {HandshakeKind::Simple, HandshakeKind::Digest0, HandshakeKind::Digest1}) {
    ClientHandshake client(kind, kFixed);
    Bytes hello;
    client.start(hello);
    answers(client, input, piece, cut_failed);
  }
  return 0;
}
