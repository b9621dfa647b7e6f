// SPDX-License-Identifier: LGPL-2.1-or-later
// SIP messages: through the fence into Sofia's parser, and a REGISTER on to the registrar.
#include <sofia-sip/msg.h>
#include <sofia-sip/sip.h>
#include <sofia-sip/sip_header.h>

#include <memory>
#include <string>

#include "common/handle.h"
#include "input.h"
#include "sip/core/fence.h"
#include "sip/core/register_message.h"
#include "sip/core/registrar.h"
#include "sip/core/uri.h"

using namespace junctor;

namespace {

constexpr const char *kRealm = "example.org";
const std::string kHa1 = sip::digest_ha1("alice", kRealm, "secret");

using MessageRef = std::unique_ptr<msg_t, Releaser<msg_destroy>>;

std::string quoted_after(const std::string &text, const std::string &name) {
  const auto start = text.find(name + "=\"");
  fuzz::require(start != std::string::npos);
  const auto from = start + name.size() + 2;
  return text.substr(from, text.find('"', from) - from);
}

sip::Registrar make_registrar() {
  sip::Registrar::Options options;
  options.realm = kRealm;
  options.ha1 = [](const std::string &user) {
    return user == "alice" ? std::optional(kHa1) : std::nullopt;
  };
  return sip::Registrar(options);
}

/// As the owner of the account, whatever else the request says.
void register_as_alice(sip::RegisterRequest request) {
  const Time now{std::chrono::seconds(1000)};
  sip::Registrar registrar = make_registrar();
  // As it came: nobody has got a nonce, so nobody is let in.
  fuzz::require(registrar.handle(request, now).status != 200);

  request.to_user = "alice";
  request.has_credentials = false;
  const sip::RegisterReply challenged = registrar.handle(request, now);
  if (challenged.challenge.empty()) return;
  const std::string nonce = quoted_after(challenged.challenge, "nonce");
  const std::string uri = std::string("sip:") + kRealm;
  request.has_credentials = true;
  request.credentials = {
      {"username", "alice"},
      {"realm", kRealm},
      {"nonce", nonce},
      {"uri", uri},
      {"nc", "00000001"},
      {"cnonce", "c"},
      {"qop", "auth"},
      {"algorithm", "MD5"},
      {"response", sip::digest_response(kHa1, nonce, "00000001", "c", "auth", "REGISTER", uri)}};
  const sip::RegisterReply reply = registrar.handle(request, now);
  fuzz::require(reply.status != 401 && reply.status != 403);
  const auto phones = registrar.find("alice", now);
  fuzz::require(phones.size() <= 10 && (reply.status == 200 || phones.empty()));
  for (const auto &phone : phones) fuzz::require(static_cast<bool>(sip::Uri::parse(phone.contact)));
}

void check_targets(const sip_t &sip) {
  // What made a stack overflow must not be in a request that is taken for good.
  for (const sip_contact_t *contact = sip.sip_contact; contact; contact = contact->m_next)
    fuzz::require(contact->m_url->url_type == url_sip || contact->m_url->url_type == url_sips ||
                  contact->m_url->url_type == url_any);
  for (const sip_record_route_t *route = sip.sip_record_route; route; route = route->r_next)
    fuzz::require(route->r_url->url_type == url_sip || route->r_url->url_type == url_sips);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  // What one datagram holds.
  if (size > 65507) return 0;
  sip::Fence fence([](const sip::FencedRequest &) { return true; },
                   [](const Endpoint &, bool, const std::string &) {});
  const MessageRef message(msg_make(fence.parser(), 0, data, static_cast<ssize_t>(size)));
  if (!message) return 0;
  const sip_t *sip = sip_object(message.get());
  if (!sip || !(sip->sip_request || sip->sip_status)) return 0;
  check_targets(*sip);
  if (sip->sip_request) register_as_alice(sip::read_register(*sip, {"192.0.2.1", 5060}));
  return 0;
}
