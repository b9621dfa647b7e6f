# What a router does to UDP. SPDX-License-Identifier: LGPL-2.1-or-later
"""A NAT's behaviour in the words of RFC 4787, and nftables rules that behave so.

conntrack alone maps by address and port and filters by address and port (sections 4.1 and 5). What
is more open than that is kept in maps that the packets themselves fill: `out` holds the external
port of an internal one, `in` the reverse, `peers` whom a port has sent to."""

from dataclasses import dataclass, field, replace
from typing import Optional

INDEPENDENT = "endpoint-independent"
ADDRESS = "address-dependent"
ADDRESS_PORT = "address-and-port-dependent"


@dataclass(frozen=True)
class Nat:
    """`mapping` None: no translation, the hosts have public addresses. `ports` says how an
    external port is chosen: `random`, `preserved` (the internal one, if it is free) or `sequential`
    (`step` apart). `lifetime` is that of a mapping without traffic, in seconds. `udp` False: no UDP
    passes, TCP does. `hairpin`: two hosts behind it reach each other by their external addresses.
    IPv6, where the laboratory has it, is not translated; `open6` lets it in unasked."""

    mapping: Optional[str] = INDEPENDENT
    filtering: str = ADDRESS_PORT
    ports: str = "random"
    step: int = 1
    hairpin: bool = False
    udp: bool = True
    lifetime: int = 300
    open6: bool = False

    def __post_init__(self):
        if self.mapping is None and self.filtering != ADDRESS_PORT:
            raise ValueError("a firewall without NAT filters by address and port")
        if not 1 <= self.step <= 10:
            raise ValueError("steps of a sequence are from 1 to 10")
        if self.ports not in ("random", "preserved", "sequential"):
            raise ValueError(f"no way to choose ports: {self.ports}")


# Wraps around after this many ports; each is one element of a map in the kernel.
_SEQUENCE = 512


def _key(mapping):
    """What a mapping is looked up by: type, of a packet on its way out, of one that has left."""
    key = ("ipv4_addr . inet_service", "ip saddr . udp sport",
           "ct original ip saddr . ct original proto-src")
    if mapping == ADDRESS:
        more = (" . ipv4_addr", " . ip daddr", " . ct original ip daddr")
        key = tuple(a + b for a, b in zip(key, more))
    return key


def _peer(filtering):
    """Whom a port has sent to: type, of a packet out, of an answer out, the sender of one in."""
    peer = ("inet_service . ipv4_addr", "udp sport . ct original ip daddr", "udp sport . ip daddr",
            "ct original proto-dst . ip saddr")
    if filtering == ADDRESS_PORT:
        more = (" . inet_service", " . ct original proto-dst", " . udp dport", " . udp sport")
        peer = tuple(a + b for a, b in zip(peer, more))
    return peer


def _first_packet(nat, wan):
    if nat.ports == "sequential":
        # numgen's own offset would count in steps of 256: its number is in the host's byte order.
        first = 20000 + int(wan.rpartition(".")[2]) * 97
        ports = ", ".join(f"{index} : {first + index * nat.step}" for index in range(_SEQUENCE))
        return f"snat ip to {wan} : numgen inc mod {_SEQUENCE} map {{ {ports} }}"
    return f"snat ip to {wan}:1024-65535{' fully-random' if nat.ports == 'random' else ''}"


def _translation(nat, wan, lan):
    kept = f"flags dynamic,timeout; timeout {nat.lifetime}s; size 65536;"
    # Without `in` nothing unasked finds its way: conntrack's own filter, by address and port.
    reachable = nat.filtering != ADDRESS_PORT or nat.hairpin
    remembers = nat.mapping != ADDRESS_PORT
    key_type, key, key_left = _key(nat.mapping)
    peer_type, peer_out, peer_answer, peer_in = _peer(nat.filtering)
    # Hairpin: what comes back to the inside has left by the external address all the same.
    ways = [f"{way} meta l4proto udp" for way in ['oifname "wan"']
            + [f'oifname "lan" ct original ip saddr {lan} ct status dnat'] * nat.hairpin]

    declared, arriving, leaving, noted = [], [], [], []
    if remembers:
        declared.append(f"map out {{ type {key_type} : ipv4_addr . inet_service; {kept} }}")
    if reachable:
        declared += [f"map in {{ type inet_service : ipv4_addr . inet_service; {kept} }}",
                     f"set peers {{ type {peer_type}; {kept} }}"]
        entries = ['iifname "wan"'] + ['iifname "lan"'] * nat.hairpin
        arriving += [f"{entry} ip daddr {wan} dnat ip to udp dport map @in" for entry in entries]
    for way in ways:
        if remembers:
            leaving.append(f"{way} snat ip to {key} map @out")
            noted.append(f"{way} ct direction original update @out "
                         f"{{ {key_left} : ip saddr . udp sport }}")
        leaving.append(f"{way} {_first_packet(nat, wan)}")
        if reachable:
            noted += [f"{way} ct direction original update @in "
                      "{ udp sport : ct original ip saddr . ct original proto-src }",
                      f"{way} ct direction original update @peers {{ {peer_out} }}",
                      f"{way} ct direction reply update @peers {{ {peer_answer} }}"]
    leaving.append(f'oifname "wan" snat ip to {wan}')
    if reachable and nat.filtering != INDEPENDENT:
        noted.append(f'oifname "lan" meta l4proto udp ct direction original ct status dnat '
                     f"{peer_in} != @peers drop")
    return declared + _chain("arriving", "nat", "prerouting", "dstnat", arriving) \
        + _chain("leaving", "nat", "postrouting", "srcnat", leaving) \
        + _chain("noted", "filter", "postrouting", "srcnat + 10", noted)


def _chain(name, kind, hook, priority, rules, policy="accept"):
    if not rules:
        return []
    return [f"chain {name} {{ type {kind} hook {hook} priority {priority}; policy {policy};"] \
        + rules + ["}"]


def rules(nat, wan, lan):
    """Text for `nft -f`. The router's interfaces are `wan` and `lan`; `wan` is its external
    address, `lan` the network inside. Whatever is refused is dropped in silence: an answer would
    end the other side's socket or leave a mark in conntrack that spoils the later punch."""
    body = _translation(nat, wan, lan) if nat.mapping else []
    forwarded = ["ct state established,related accept", 'iifname "lan" accept']
    if not nat.udp:
        forwarded.insert(0, "meta l4proto udp drop")
    if nat.mapping:
        forwarded.append('iifname "wan" ct status dnat accept')
    # Inbound packets that `peers` does not know are let through here and dropped as `noted` sees
    # them, when both their sides have been translated.
    body += _chain("forwarded", "filter", "forward", "filter", forwarded, "drop")
    body += _chain("own", "filter", "input", "filter", ['iifname "lan" accept'], "drop")
    inside = "\n  ".join(body)
    return f"table ip nat\ndelete table ip nat\ntable ip nat {{\n  {inside}\n}}\n"


def rules6(nat):
    """The same for IPv6: a firewall as of RFC 6092, without NAT."""
    forwarded = ["meta l4proto udp drop"] * (not nat.udp) + [
        "ct state established,related accept", 'iifname "lan" accept']
    body = _chain("forwarded", "filter", "forward", "filter", forwarded,
                  "accept" if nat.open6 else "drop")
    body += _chain("own", "filter", "input", "filter", ["icmpv6 type != echo-request accept"],
                   "drop")
    inside = "\n  ".join(body)
    return f"table ip6 wall\ndelete table ip6 wall\ntable ip6 wall {{\n  {inside}\n}}\n"


def described(nat):
    """In words, for a map."""
    if nat.mapping is None:
        said = ["stateful firewall"]
    else:
        said = [f"mapping {nat.mapping}", f"filtering {nat.filtering}", f"{nat.ports} ports"]
    return ", ".join(said + ["hairpin"] * nat.hairpin + ["no UDP"] * (not nat.udp))


@dataclass(frozen=True)
class Kind:
    """A kind of access that a device can have: the routers between it and the internet, the
    nearest to the internet first, and what people call it."""

    said: str
    routers: tuple = field(default=())


_PORT_RESTRICTED = Nat()
_SYMMETRIC = Nat(ADDRESS_PORT, ADDRESS_PORT)
_SEQUENTIAL = replace(_SYMMETRIC, ports="sequential")

TYPES = {
    "open": Kind("a public address, nothing between"),
    "firewall": Kind("a public address behind a stateful firewall", (Nat(None),)),
    "full-cone": Kind("full cone NAT", (Nat(INDEPENDENT, INDEPENDENT),)),
    "restricted": Kind("address-restricted cone NAT", (Nat(INDEPENDENT, ADDRESS),)),
    "port-restricted": Kind("port-restricted cone NAT", (_PORT_RESTRICTED,)),
    "preserving": Kind("port-restricted cone NAT that keeps ports",
                       (replace(_PORT_RESTRICTED, ports="preserved"),)),
    "address-mapped": Kind("mapping by address, filter by address and port",
                           (Nat(ADDRESS, ADDRESS_PORT),)),
    "address-both": Kind("mapping and filter by address", (Nat(ADDRESS, ADDRESS),)),
    "symmetric": Kind("symmetric NAT, random ports", (_SYMMETRIC,)),
    "sequential": Kind("symmetric NAT, ports one after another", (_SEQUENTIAL,)),
    "double": Kind("port-restricted cone NAT behind another (carrier grade)",
                   (_PORT_RESTRICTED, _PORT_RESTRICTED)),
    "double-symmetric": Kind("port-restricted cone NAT behind a symmetric one",
                             (_SYMMETRIC, _PORT_RESTRICTED)),
    "udp-blocked": Kind("NAT that lets no UDP pass", (replace(_PORT_RESTRICTED, udp=False),)),
}
