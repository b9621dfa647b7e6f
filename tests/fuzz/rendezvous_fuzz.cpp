// SPDX-License-Identifier: LGPL-2.1-or-later
// Messages of the rendezvous: what is read is within its bounds, and is read again as it was
// written.
#include "input.h"
#include "nat/core/rendezvous_message.h"
#include "nat/core/session_media.h"

using namespace junctor;
using namespace junctor::nat;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  const auto message = rendezvous::read(text);
  if (!message) {
    fuzz::require(!message.error().detail.empty());
    return 0;
  }
  fuzz::require(size <= rendezvous::kMostBytes);
  const std::string written = rendezvous::write(*message);
  const auto again = rendezvous::read(written);
  // Numbers and escapes may be written longer than they came.
  if (!again) fuzz::require(written.size() > rendezvous::kMostBytes);
  if (again) fuzz::require(*again == *message);
  if (const auto *invite = std::get_if<rendezvous::Invite>(&*message))
    if (const auto media = parse_session_media(invite->media)) {
      const auto same = parse_session_media(to_string(*media));
      // Escapes may be written longer than they came.
      fuzz::require(!same || *same == *media);
    }
  return 0;
}
