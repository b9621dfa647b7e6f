// SPDX-License-Identifier: LGPL-2.1-or-later
#include "common/endpoint.h"

#include <arpa/inet.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <iterator>

namespace junctor {

Result<Endpoint> Endpoint::parse(std::string_view text) {
  const auto colon = text.rfind(':');
  const std::string whole(text);
  if (colon == std::string_view::npos)
    return bad_input("'" + whole + "' is not ADDRESS:PORT; write for example 127.0.0.1:1935");
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  Endpoint endpoint;
  endpoint.address = host.empty() ? "0.0.0.0" : std::string(host);
  const auto [end, failure] =
      std::from_chars(digits.data(), digits.data() + digits.size(), endpoint.port);
  if (failure != std::errc() || end != digits.data() + digits.size() || digits.empty())
    return bad_input("'" + whole + "': the port must be a number from 0 to 65535");
  if (auto numeric = endpoint.to_sockaddr(); !numeric) return numeric.error();
  return endpoint;
}

std::string Endpoint::to_string() const {
  const bool v6 = address.find(':') != std::string::npos;
  return (v6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

Result<sockaddr_storage> Endpoint::to_sockaddr() const {
  sockaddr_storage storage{};
  auto *v4 = reinterpret_cast<sockaddr_in *>(&storage);
  auto *v6 = reinterpret_cast<sockaddr_in6 *>(&storage);
  if (inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    return storage;
  }
  if (inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    return storage;
  }
  return bad_input("'" + address + "' is not a numeric IPv4 or IPv6 address");
}

Endpoint Endpoint::from_sockaddr(const sockaddr *address) {
  Endpoint endpoint;
  char text[INET6_ADDRSTRLEN] = "";
  if (address->sa_family == AF_INET) {
    const auto *v4 = reinterpret_cast<const sockaddr_in *>(address);
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    endpoint.port = ntohs(v4->sin_port);
  } else if (address->sa_family == AF_INET6) {
    const auto *v6 = reinterpret_cast<const sockaddr_in6 *>(address);
    inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    endpoint.port = ntohs(v6->sin6_port);
  }
  endpoint.address = text;
  return endpoint;
}

std::string address_group(const std::string &address) {
  in6_addr parsed{};
  if (::inet_pton(AF_INET6, address.c_str(), &parsed) != 1 || IN6_IS_ADDR_V4MAPPED(&parsed))
    return address;
  std::fill(std::begin(parsed.s6_addr) + 8, std::end(parsed.s6_addr), std::uint8_t{0});
  char text[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(AF_INET6, &parsed, text, sizeof text);
  return text;
}

socklen_t sockaddr_length(const sockaddr_storage &address) {
  return address.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

namespace {

Result<UniqueFd> bound_socket(const Endpoint &endpoint, int type) {
  auto storage = endpoint.to_sockaddr();
  if (!storage) return storage.error();
  UniqueFd fd(::socket(storage->ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return Error{Fault::Internal, std::string("socket: ") + std::strerror(errno)};
  const int on = 1;
  if (type == SOCK_STREAM) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr *>(&*storage), sockaddr_length(*storage)) <
      0) {
    const Fault fault = errno == EADDRINUSE || errno == EACCES ? Fault::Refused : Fault::BadInput;
    return Error{fault, "cannot bind " + endpoint.to_string() + ": " + std::strerror(errno) +
                            "; choose another address or port"};
  }
  return fd;
}

}  // namespace

Result<UniqueFd> listen_tcp(const Endpoint &endpoint) {
  auto fd = bound_socket(endpoint, SOCK_STREAM);
  if (!fd) return fd.error();
  if (::listen(fd->get(), 1024) < 0)
    return Error{Fault::Internal,
                 "cannot listen on " + endpoint.to_string() + ": " + std::strerror(errno)};
  return fd;
}

Result<UniqueFd> bind_udp(const Endpoint &endpoint) { return bound_socket(endpoint, SOCK_DGRAM); }

Endpoint local_endpoint(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr *>(&storage), &length) < 0) return {};
  return Endpoint::from_sockaddr(reinterpret_cast<const sockaddr *>(&storage));
}

}  // namespace junctor
