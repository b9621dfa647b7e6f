// SPDX-License-Identifier: LGPL-2.1-or-later
#include "config/places.h"

#include <ifaddrs.h>
#include <net/if.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#include "common/handle.h"

namespace junctor::config {

std::string admin_token_path(const std::string &data_dir) { return data_dir + "/admin-token"; }
std::string api_url_path(const std::string &data_dir) { return data_dir + "/api-url"; }
std::string calls_path(const std::string &data_dir) { return data_dir + "/calls.db"; }

std::string public_host(const Config &config, const Endpoint &listen) {
  if (!config.public_host.empty()) return config.public_host;
  if (listen.address.find(':') != std::string::npos && listen.address != "::")
    return "[" + listen.address + "]";
  if (listen.address != "0.0.0.0" && listen.address != "::") return listen.address;
  ifaddrs *raw = nullptr;
  if (::getifaddrs(&raw) == 0) {
    const std::unique_ptr<ifaddrs, Releaser<::freeifaddrs>> all(raw);
    for (const ifaddrs *each = raw; each; each = each->ifa_next)
      if (each->ifa_addr && each->ifa_addr->sa_family == AF_INET && (each->ifa_flags & IFF_UP) &&
          !(each->ifa_flags & IFF_LOOPBACK))
        return Endpoint::from_sockaddr(each->ifa_addr).address;
  }
  return "127.0.0.1";
}

std::string without_brackets(const std::string &host) {
  return host.starts_with('[') && host.ends_with(']') ? host.substr(1, host.size() - 2) : host;
}

std::string host_and_port(const std::string &host, std::uint16_t port, std::uint16_t usual) {
  return port == usual ? host : host + ":" + std::to_string(port);
}

PublicAddresses public_addresses(const Config &config) {
  const auto address = [&config](const std::optional<Endpoint> &listen, std::uint16_t usual) {
    return listen ? host_and_port(public_host(config, *listen), listen->port, usual)
                  : std::string();
  };
  PublicAddresses addresses;
  addresses.rtmp = address(config.listen.rtmp, 1935);
  addresses.rtmps = address(config.listen.rtmps, 443);
  addresses.sip = address(config.listen.sip, 5060);
  addresses.sips = address(config.listen.sips, 5061);
  if (!config.rtmp.applications.empty()) addresses.application = config.rtmp.applications.front();
  addresses.passwords = passwords_open_rtmp(config);
  return addresses;
}

std::string program_dir() {
  std::error_code failure;
  return std::filesystem::read_symlink("/proc/self/exe", failure).parent_path().string();
}

std::string pipelines_dir() {
  if (const char *dir = std::getenv("JUNCTOR_PIPELINES"); dir && *dir) return dir;
  const std::filesystem::path program = program_dir();
  std::error_code failure;
  for (const auto &dir : {program / "../../pipelines", program / "../share/junctor/pipelines"})
    if (std::filesystem::is_directory(dir, failure))
      return std::filesystem::canonical(dir, failure).string();
  return JUNCTOR_DATADIR "/pipelines";
}

}  // namespace junctor::config
