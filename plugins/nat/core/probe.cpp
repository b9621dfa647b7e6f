// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/probe.h"

#include "common/secret.h"

namespace junctor::nat {

namespace stun = rtp::stun;

Bytes make_probe(const stun::TransactionId &id, std::string_view receiver, std::uint64_t number,
                 bool padded, const ProbeKey &key) {
  Bytes numbered;
  ByteWriter(numbered).u64(number);
  if (padded) numbered.resize(numbered.size() + kPaddedProbeSize - kProbeSize);
  return stun::Writer(stun::Class::Request, stun::Method::Binding, id)
      .text(stun::Type::Username, receiver)
      .bytes(kProbeNumber, numbered)
      .integrity_sha256(key)
      .fingerprint()
      .finish();
}

std::optional<std::uint64_t> read_probe(const stun::Message &message, std::string_view own_tag,
                                        const ProbeKey &key) {
  if (message.kind() != stun::Class::Request || message.method() != stun::Method::Binding)
    return std::nullopt;
  const auto name = message.text(stun::Type::Username);
  if (!name || !equal_secret(*name, own_tag)) return std::nullopt;
  const stun::Attribute *numbered = message.find(kProbeNumber);
  if (numbered == nullptr || numbered->value.size() < 8 || !message.integrity_sha256_fits(key))
    return std::nullopt;
  return ByteReader(numbered->value).u64();
}

Bytes make_ack(const stun::Message &request, const Endpoint &from, const ProbeKey &key) {
  return stun::Writer(stun::Class::Success, request)
      .xor_address(stun::Type::XorMappedAddress, from)
      .integrity_sha256(key)
      .fingerprint()
      .finish();
}

std::optional<Endpoint> read_ack(const stun::Message &message, const ProbeKey &key) {
  if (message.kind() != stun::Class::Success || message.method() != stun::Method::Binding ||
      !message.integrity_sha256_fits(key))
    return std::nullopt;
  return message.xor_address(stun::Type::XorMappedAddress);
}

}  // namespace junctor::nat
