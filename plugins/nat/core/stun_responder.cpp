// SPDX-License-Identifier: LGPL-2.1-or-later
#include "nat/core/stun_responder.h"

#include <algorithm>

namespace junctor::nat {

namespace stun = rtp::stun;
using stun::Class;
using stun::Type;

namespace {

/// Answers that are sent elsewhere than to the port that asked cost more, so that whoever shares an
/// address with others (a carrier's NAT) cannot bother them much.
constexpr unsigned kElsewhere = 4;
constexpr std::uint16_t kLowestResponsePort = 1024;
constexpr std::size_t kMostPadding = 1920;  // so that clients of our kind read it too
constexpr Duration kBetweenCleanings = std::chrono::seconds(1);

StunAnswer dropped() { return {StunOutcome::Dropped, std::nullopt}; }

}  // namespace

StunResponder::StunResponder(Doors doors, StunLimits limits)
    : doors_(std::move(doors)), limits_(limits) {
  limits_.per_second = std::max(limits_.per_second, 1U);
  behaviour_ = doors_[kOtherPort].has_value();
  full_ = behaviour_ && doors_[kOtherAddress].has_value();
}

StunAnswer StunResponder::datagram(ByteSpan bytes, const Endpoint &source, unsigned door,
                                   const Endpoint &local, Time now) {
  if (source.port == 0 || door >= kDoors || !doors_[door]) return dropped();
  return answer(bytes, {source, local, door, false, now});
}

StunAnswer StunResponder::stream(ByteSpan message, const Endpoint &source, const Endpoint &local,
                                 Time now) {
  return answer(message, {source, local, 0, true, now});
}

StunAnswer StunResponder::answer(ByteSpan bytes, const Asked &asked) {
  const auto request = stun::Message::parse(bytes);
  if (!request || request->kind() != Class::Request || request->method() != stun::Method::Binding)
    return dropped();
  const bool elsewhere = request->has(Type::ResponsePort);
  if (!may(address_group(asked.source.address), elsewhere ? kElsewhere : 1, asked.now))
    return {StunOutcome::Limited, std::nullopt};

  const auto refuse = [&](int code, std::string_view reason,
                          std::span<const std::uint16_t> unknown = {}) -> StunAnswer {
    stun::Writer writer(Class::Error, *request);
    writer.error(code, reason);
    if (code == stun::kUnknownAttribute) writer.unknown_attributes(unknown);
    // Who asked for another address may want to know that there is another port.
    if (code == stun::kUnknownAttribute && behaviour_ && !full_ && !asked.stream &&
        request->has(Type::ChangeRequest))
      writer.address(Type::OtherAddress, address_of(asked.door ^ kOtherPort, asked));
    return {StunOutcome::Refused, reply(writer, *request, asked, asked.door, asked.source.port)};
  };
  std::vector<std::uint16_t> unknown = request->unknown_required();
  const bool tests = behaviour_ && !asked.stream;
  for (const Type type : {Type::ChangeRequest, Type::Padding, Type::ResponsePort})
    if (!tests && request->has(type)) unknown.push_back(static_cast<std::uint16_t>(type));
  unsigned door = asked.door;
  if (tests && request->has(Type::ChangeRequest)) {
    const auto change = request->u32(Type::ChangeRequest);
    if (!change) return refuse(stun::kBadRequest, "Bad Request");
    if (*change & stun::kChangePort) door ^= kOtherPort;
    if (*change & stun::kChangeIp) door ^= kOtherAddress;
    // With one address, say, the other cannot be answered from.
    if (!doors_[door]) unknown.push_back(static_cast<std::uint16_t>(Type::ChangeRequest));
  }
  if (!unknown.empty()) return refuse(stun::kUnknownAttribute, "Unknown Attribute", unknown);
  std::uint16_t port = asked.source.port;
  if (elsewhere) {
    const auto wanted = request->response_port();
    // RFC 5780 section 7.6 forbids both together.
    if (!wanted || *wanted < kLowestResponsePort || request->has(Type::Padding))
      return refuse(stun::kBadRequest, "Bad Request");
    port = *wanted;
  }

  stun::Writer writer(Class::Success, *request);
  writer.xor_address(Type::XorMappedAddress, asked.source);
  // RFC 5780 section 6.1. Clients take OTHER-ADDRESS for another address: with one they would
  // compare what cannot differ, and wait for what never comes.
  if (full_) {
    writer.address(Type::MappedAddress, asked.source);
    writer.address(Type::ResponseOrigin, address_of(door, asked));
    writer.address(Type::OtherAddress,
                   address_of(asked.door ^ (kOtherAddress | kOtherPort), asked));
  }
  // As much as was asked with, and not as much as the link could carry: nobody is to be hit with
  // more than somebody sent.
  if (const auto *padding = request->find(Type::Padding))
    writer.bytes(Type::Padding, Bytes(std::min(padding->value.size(), kMostPadding)));
  return {StunOutcome::Answered, reply(writer, *request, asked, door, port)};
}

std::optional<StunReply> StunResponder::reply(stun::Writer &writer, const stun::Message &request,
                                              const Asked &asked, unsigned door,
                                              std::uint16_t port) const {
  if (request.has(Type::Fingerprint)) writer.fingerprint();
  return StunReply{writer.finish(), door, address_of(door, asked), {asked.source.address, port}};
}

Endpoint StunResponder::address_of(unsigned door, const Asked &asked) const {
  if (door == asked.door) return asked.local;
  const bool same_address = ((door ^ asked.door) & kOtherAddress) == 0;
  return {same_address ? asked.local.address : doors_[door]->address, doors_[door]->port};
}

bool StunResponder::may(const std::string &address, unsigned count, Time now) {
  auto found = sources_.find(address);
  if (found == sources_.end()) {
    // Looking through all of them is not done for each stranger.
    if (sources_.size() >= limits_.sources && now - cleaned_ >= kBetweenCleanings) {
      cleaned_ = now;
      std::erase_if(sources_, [now](const auto &each) { return each.second.idle(now); });
    }
    const Duration interval = Duration(std::chrono::seconds(1)) / limits_.per_second;
    const bool room = sources_.size() < limits_.sources;
    found = sources_.try_emplace(room ? address : "others", limits_.burst, interval).first;
  }
  // Something that costs more waits until there is room for all of it.
  Throttle after = found->second;
  for (unsigned i = 0; i < count; ++i) {
    if (!after.may(now)) return false;
    after.take(now);
  }
  found->second = after;
  return true;
}

}  // namespace junctor::nat
