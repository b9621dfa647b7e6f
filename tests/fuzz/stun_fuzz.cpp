// SPDX-License-Identifier: LGPL-2.1-or-later
// STUN messages, and what the server answers to them.
#include "input.h"
#include "nat/core/stun_responder.h"
#include "rtp/core/stun.h"

using namespace junctor;
using namespace junctor::rtp::stun;

namespace {

void ask_server(ByteSpan input) {
  const nat::Doors doors = {Endpoint{"192.0.2.1", 3478}, Endpoint{"192.0.2.1", 3479},
                            Endpoint{"192.0.2.2", 3478}, Endpoint{"192.0.2.2", 3479}};
  const Endpoint source{"198.51.100.7", 40000};
  nat::StunResponder responder(doors);
  const auto answer = responder.datagram(input, source, 0, *doors[0], Time());
  if (!answer.reply) return;
  // To who asked, with little more than it sent, and never something that is answered again.
  fuzz::require(answer.reply->to.address == source.address);
  fuzz::require(answer.reply->bytes.size() <= input.size() + 48);
  fuzz::require(Message::parse(answer.reply->bytes).has_value());
  fuzz::require(!responder.datagram(answer.reply->bytes, source, 0, *doors[0], Time()).reply);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const ByteSpan input = fuzz::input(data, size);
  ask_server(input);
  const auto length = framed_length(input);
  const auto message = Message::parse(input);
  if (!message) return 0;
  fuzz::require(length == size && size <= kMaxMessage);
  fuzz::require(message->attributes().size() <= kMaxAttributes);
  Writer writer(message->kind(), message->method(), message->id());
  for (const Attribute &attribute : message->attributes()) {
    for (const auto &address :
         {message->address(attribute.type), message->xor_address(attribute.type)})
      if (address) fuzz::require(static_cast<bool>(address->to_sockaddr()));
    static_cast<void>(message->text(attribute.type));
    static_cast<void>(message->u32(attribute.type));
    static_cast<void>(message->u64(attribute.type));
    if (attribute.type != Type::Fingerprint) writer.bytes(attribute.type, attribute.value);
  }
  static_cast<void>(message->response_port());
  static_cast<void>(message->unknown_attributes());
  if (const auto error = message->error()) fuzz::require(error->code >= 300 && error->code < 700);
  // Nobody has this key, but for inputs that were made with it.
  static_cast<void>(message->integrity_fits(as_bytes("key")));
  static_cast<void>(message->integrity_sha256_fits(as_bytes("key")));
  // What was read can be written, and reads the same again.
  const Bytes again = writer.finish();
  if (again.size() > kMaxMessage) return 0;
  const auto same = Message::parse(again);
  fuzz::require(same && same->id() == message->id() && same->kind() == message->kind() &&
                same->unknown_required() == message->unknown_required());
  return 0;
}
