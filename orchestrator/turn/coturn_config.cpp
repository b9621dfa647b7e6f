// SPDX-License-Identifier: LGPL-2.1-or-later
#include "turn/coturn_config.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <sstream>

#include "common/address_range.h"

namespace junctor::turn {

namespace {

/// Networks that a client of a relay has no business in (RFC 6890, RFC 5735): who could reach them
/// by it would reach what stands behind the operator's own firewall. Those for documentation are
/// left out: nobody is there. coturn compares addresses of IPv6 byte by byte, each for itself, so a
/// range is one of prefixes; and one that begins with `::` would have all of IPv4 in it for coturn,
/// which refuses `::` whatever is written here.
struct Network {
  const char *first, *last;
};
constexpr std::array<Network, 19> kPrivate{{
    {"0.0.0.0", "0.255.255.255"},
    {"10.0.0.0", "10.255.255.255"},
    {"100.64.0.0", "100.127.255.255"},
    {"127.0.0.0", "127.255.255.255"},
    {"169.254.0.0", "169.254.255.255"},
    {"172.16.0.0", "172.31.255.255"},
    {"192.0.0.0", "192.0.0.255"},
    {"192.88.99.0", "192.88.99.255"},
    {"192.168.0.0", "192.168.255.255"},
    {"198.18.0.0", "198.19.255.255"},
    {"240.0.0.0", "255.255.255.255"},
    {"::1", "::ff"},
    {"::100", "::ffff"},
    {"::ffff:0:0", "::ffff:ffff:ffff"},
    {"64:ff9b::", "64:ff9b::ffff:ffff"},
    {"100::", "100::ffff:ffff:ffff:ffff"},
    {"2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    {"fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    {"fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
}};

bool within(const std::string &bytes, const Network &network) {
  const std::string first = address_bytes(network.first), last = address_bytes(network.last);
  return bytes.size() == first.size() &&
         std::memcmp(bytes.data(), first.data(), bytes.size()) >= 0 &&
         std::memcmp(bytes.data(), last.data(), bytes.size()) <= 0;
}

bool is_any(const std::string &address) { return address == "0.0.0.0" || address == "::"; }

/// One line; what it holds must not begin another.
bool is_line(const std::string &text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < ' '; });
}

bool is_zero(const std::string &bytes) {
  return std::ranges::all_of(bytes, [](char c) { return c == 0; });
}

/// Whether addresses between the two are those whose every byte is between theirs.
bool is_range_by_bytes(const AddressRange &range) {
  const auto differs = std::ranges::mismatch(range.low, range.high);
  if (differs.in1 == range.low.end()) return true;
  const auto all = [](auto begin, auto end, unsigned char value) {
    return std::all_of(begin, end, [&](char c) { return static_cast<unsigned char>(c) == value; });
  };
  return all(differs.in1 + 1, range.low.end(), 0) && all(differs.in2 + 1, range.high.end(), 0xff);
}

bool has_loopback(const AddressRange &range) {
  const auto overlaps = [&](const char *first, const char *last) {
    const std::string low = address_bytes(first), high = address_bytes(last);
    return low.size() == range.low.size() &&
           std::memcmp(range.low.data(), high.data(), low.size()) <= 0 &&
           std::memcmp(low.data(), range.high.data(), low.size()) <= 0;
  };
  return overlaps("127.0.0.0", "127.255.255.255") || overlaps("::1", "::1");
}

}  // namespace

bool is_public(const std::string &address) {
  const std::string bytes = address_bytes(address);
  return !bytes.empty() && !is_any(address) &&
         std::ranges::none_of(kPrivate, [&](const Network &each) { return within(bytes, each); });
}

Result<AddressRange> parse_allowed_peers(const std::string &text) {
  auto range = parse_address_range(text);
  if (!range) return range;
  // For coturn an end of zeros is none, and all of IPv4 comes before IPv6.
  if (is_zero(range->high) || (range->low.size() == 16 && is_zero(range->low)))
    return bad_input("'" + text + "' would be all addresses for coturn");
  if (range->low.size() == 16 && !is_range_by_bytes(*range))
    return bad_input("'" + text + "': coturn compares IPv6 byte by byte; write it as CIDR");
  return range;
}

Result<std::string> coturn_config(const CoturnOptions &options) {
  for (const std::string *text : {&options.directory, &options.certificate, &options.key,
                                  &options.external, &options.secret, &options.realm})
    if (!is_line(*text)) return bad_input("a value for coturn must not hold a line break");
  std::ostringstream out;
  const auto line = [&](const char *name, const auto &value) {
    out << name << "=" << value << "\n";
  };
  out << "# Written by junctor serve at each start: changes are lost.\n";
  if (!is_any(options.listen.address)) {
    line("listening-ip", options.listen.address);
    line("relay-ip", options.listen.address);
  }
  line("listening-port", options.listen.port);
  if (options.tls) {
    line("tls-listening-port", options.tls->port);
    line("cert", options.certificate);
    line("pkey", options.key);
    out << "no-tlsv1\nno-tlsv1_1\nno-dtls\n";
  } else {
    out << "no-tls\nno-dtls\n";
  }
  if (!options.external.empty()) line("external-ip", options.external);
  line("min-port", options.low);
  line("max-port", options.high);

  out << "fingerprint\nuse-auth-secret\n";
  line("static-auth-secret", options.secret);
  line("realm", options.realm);
  // A nonce that is good for ever could be used by who reads one login.
  line("stale-nonce", 600);
  line("user-quota", options.allocations_per_user);
  line("total-quota", options.allocations);
  if (options.bytes_per_second > 0) line("max-bps", options.bytes_per_second);

  // Its ports for tests of NAT behaviour (RFC 5780), which our own STUN server is for.
  out << "no-rfc5780\n";
  out << "no-multicast-peers\nno-tcp-relay\n";
  for (const Network &each : kPrivate)
    out << "denied-peer-ip=" << each.first << "-" << each.last << "\n";
  bool loopback = false;
  for (const std::string &each : options.allowed_peers) {
    const auto range = parse_allowed_peers(each);
    if (!range) return range.error();
    loopback |= has_loopback(*range);
    // It knows addresses and LOW-HIGH, no CIDR.
    const std::string low = address_text(range->low), high = address_text(range->high);
    line("allowed-peer-ip", low == high ? low : low + "-" + high);
  }
  if (loopback) out << "allow-loopback-peers\n";

  out << "no-cli\nlog-file=stdout\nsimple-log\nno-stdout-log\n";
  line("pidfile", options.directory + "/turnserver.pid");
  line("userdb", options.directory + "/turndb");
  return out.str();
}

}  // namespace junctor::turn
