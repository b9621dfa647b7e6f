// SPDX-License-Identifier: LGPL-2.1-or-later
// Datagrams to a puncher, from a candidate and from a stranger.
#include "input.h"
#include "nat/core/puncher.h"

using namespace junctor;
using namespace junctor::nat;

namespace {

/// A key that the seeds were made with.
ProbeKey key_of(int number) {
  ProbeKey key{};
  key.fill(static_cast<std::byte>(number));
  return key;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const ByteSpan input = fuzz::input(data, size);
  const Endpoint known{"192.0.2.1", 4000}, stranger{"198.51.100.7", 4000};
  PuncherOptions options;
  options.probe_own = key_of(1);
  options.probe_peer = key_of(2);
  options.own_tag = "000000000000aaaa";
  options.peer_tag = "000000000000bbbb";
  Puncher puncher(options);
  const Time now = Time() + std::chrono::hours(1);
  puncher.add_socket(0, false, now);
  puncher.add_remote({CandidateKind::External, known}, now);
  static_cast<void>(puncher.poll(now));
  for (const Endpoint &from : {stranger, known}) {
    puncher.received(0, from, input, now);
    std::size_t back = 0;
    for (const Outgoing &out : puncher.poll(now))
      if (out.to == from) back += out.bytes.size();
    fuzz::require(from == known || back <= size);
  }
  // A datagram that came before has no effect.
  const auto counts = puncher.counts();
  puncher.received(0, stranger, input, now);
  fuzz::require(puncher.poll(now).empty() && puncher.counts().acks_sent == counts.acks_sent);
  // An ACK takes an identifier that nobody can guess.
  fuzz::require(puncher.state() == Puncher::State::Trying);
  return 0;
}
