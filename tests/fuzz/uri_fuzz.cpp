// SPDX-License-Identifier: LGPL-2.1-or-later
// SIP URIs: of messages, and of callees as RTMP terminals name them.
#include <string>

#include "accounts/dialling.h"
#include "common/percent.h"
#include "input.h"
#include "sip/core/uri.h"

using namespace junctor;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char *>(data), size);
  fuzz::require(percent_decode(sip::escape_user(text)) == text);
  fuzz::require(sip::clean_text(text).size() <= 120);
  const std::string quoted = sip::quoted(text);
  fuzz::require(quoted.find_first_of("\r\n") == std::string::npos);

  if (const auto uri = sip::Uri::parse(text)) {
    fuzz::require(sip::is_host(uri->host));
    const std::string written = uri->to_string();
    const auto again = sip::Uri::parse(written);
    fuzz::require(again && again->to_string() == written);
    fuzz::require(again->secure == uri->secure && again->user == uri->user &&
                  again->host == uri->host && again->port == uri->port &&
                  again->transport == uri->transport && again->parameters == uri->parameters);
  }
  if (const auto callee = accounts::SipUri::parse(text)) {
    // What is dialled is a URI to the SIP side too, and nothing more than was checked.
    const std::string written = callee->to_string();
    const auto dialled = sip::Uri::parse(written);
    fuzz::require(dialled && dialled->user == callee->user &&
                  sip::bracketed(dialled->host) == callee->host);
    // The scheme that it came without may make it too long to be read again.
    const auto again = accounts::SipUri::parse(written);
    fuzz::require(again ? again->to_string() == written : written.size() > size);
  }
  return 0;
}
