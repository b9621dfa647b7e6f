// SPDX-License-Identifier: LGPL-2.1-or-later
// Where things are on this machine.
#pragma once

#include <cstdint>
#include <string>

#include "common/endpoint.h"
#include "config/config.h"

namespace junctor::config {

/// Files in the data directory that `serve` and the other commands share.
std::string admin_token_path(const std::string &data_dir);
std::string api_url_path(const std::string &data_dir);
std::string calls_path(const std::string &data_dir);

/// The host by which others reach what listens on `listen`: the configured one, else the address
/// itself, else this machine's first address that is not loopback.
std::string public_host(const Config &config, const Endpoint &listen);
/// As an address is written outside of URLs.
std::string without_brackets(const std::string &host);

/// "HOST", or "HOST:PORT" when it is not the usual port.
std::string host_and_port(const std::string &host, std::uint16_t port, std::uint16_t usual);

/// The addresses that ready-made URLs name.
struct PublicAddresses {
  std::string rtmp;  ///< "192.0.2.1" or "192.0.2.1:19350"; empty when RTMP is off
  std::string sip;   ///< the same for SIP
  std::string application = "call";
  std::string rtmps;   ///< the same for RTMPS
  std::string sips{};  ///< the same for SIP over TLS
  /// Whether name and password open RTMP, so that URLs with them are worth printing.
  bool passwords = true;
};
/// By the ports that the configuration names: one that is 0 must have become the one that was got.
PublicAddresses public_addresses(const Config &config);

/// The directory of the running program.
std::string program_dir();

/// Where the *.launch templates are: $JUNCTOR_PIPELINES, else beside the build that the program is
/// in, else where they were installed.
std::string pipelines_dir();

}  // namespace junctor::config
