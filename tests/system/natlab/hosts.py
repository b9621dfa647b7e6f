# Hosts, routers and the internet between them. SPDX-License-Identifier: LGPL-2.1-or-later
"""The internet is one router that knows the way to every public address and nothing else: what is
sent elsewhere (a peer's private address, one that was given up) vanishes without an answer."""

import ipaddress

from .link import Link
from .nat import described, rules, rules6

_GATEWAY, _GATEWAY6 = "203.0.113.1", "fe80::1"
_PREPARED = """
ip link set lo up
# Where br_netfilter is loaded, bridged packets would meet the rules meant for routed ones.
for each in /proc/sys/net/bridge/bridge-nf-call-*; do
  if [ -e $each ]; then echo 0 >$each; fi
done
for each in all default; do
  echo 0 >/proc/sys/net/ipv4/conf/$each/rp_filter
  echo 0 >/proc/sys/net/ipv4/conf/$each/send_redirects
  echo 0 >/proc/sys/net/ipv4/conf/$each/accept_redirects
  if [ -e /proc/sys/net/ipv6 ]; then
    echo %d >/proc/sys/net/ipv6/conf/$each/disable_ipv6
    echo 1 >/proc/sys/net/ipv6/conf/$each/addr_gen_mode     # no link-local addresses but ours
  fi
done
"""


def prepared(lab):
    """What every namespace of the laboratory begins with."""
    return _PREPARED % (not lab.ipv6)


_FORWARDING = """
echo 1 >/proc/sys/net/ipv4/ip_forward
if [ -e /proc/sys/net/ipv6 ]; then echo 1 >/proc/sys/net/ipv6/conf/all/forwarding; fi
"""


class Place:
    """Where hosts can be: gives them a cable and addresses. `gateway` and `length` (of a prefix)
    are what its hosts are told."""

    gateway, length = _GATEWAY, 32

    def connect(self, host, count):
        """Hangs a host on a cable and gives it `count` addresses."""
        raise NotImplementedError

    def lease(self, host, count):
        """Gives other addresses to a host that hangs here."""
        raise NotImplementedError

    def disconnect(self, host):
        self.members.remove(host)
        host.link.remove()

    def settle(self, host):
        """Sets addresses and default route of a host, as DHCP would."""
        lines = [f"addr flush dev {host.interface}", f"link set {host.interface} up"]
        lines += [f"addr add {each}/{self.length} dev {host.interface}"
                  for each in host.addresses]
        lines.append(f"route replace default via {self.gateway} dev {host.interface} onlink")
        if host.lab.ipv6:
            lines += [f"addr add {host.local6}/64 dev {host.interface} nodad",
                      f"addr add {host.address6}/128 dev {host.interface} nodad",
                      f"route replace default via {_GATEWAY6} dev {host.interface}"]
        host.lab.ip(lines, host)

    def gateway6(self, interface):
        return f"addr replace {_GATEWAY6}/64 dev {interface} nodad"


class Internet(Place):
    def __init__(self, lab):
        self.lab, self.name, self.members = lab, "internet", []
        self._next, self._next_network, self._routed6 = 10, 1, set()
        lab.add(self)
        lab.script(prepared(lab) + _FORWARDING + f"""
            ip addr add {_GATEWAY}/32 dev lo
            ip route add blackhole default
            """, self)
        if lab.ipv6:
            lab.ip(["route add blackhole ::/0"], self)

    def __str__(self):
        return self.name

    def connect(self, host, count):
        host.link = Link(self.lab, host, host.interface, self)
        self.members.append(host)
        self.lease(host, count)

    def lease(self, host, count):
        far = host.link.far_interface
        if self._next + count > 255:
            raise ValueError("no public addresses are left")
        host.addresses = [f"203.0.113.{self._next + index}" for index in range(count)]
        self._next += count
        # What was there before (also a network behind a router) goes; its owner asks again.
        self.lab.ip([f"link set {far} up", f"route flush dev {far}"] + [
            f"route add {each}/32 dev {far}" for each in host.addresses], self)
        if self.lab.ipv6:
            lines = [self.gateway6(far)]
            if host.prefix6 is not None and host in self._routed6:
                lines.append(f"route del {host.prefix6}")
            host.prefix6 = ipaddress.ip_network(f"2001:db8:{self._next:x}::/48")
            host.address6 = str(host.prefix6[1])
            self._routed6.add(host)
            self.lab.ip([*lines, f"route add {host.prefix6} via {host.local6} dev {far}"], self)
        self.settle(host)

    def disconnect(self, host):
        super().disconnect(host)                    # and the routes through the cable go with it
        self._routed6.discard(host)

    def public_network(self):
        """A network of public addresses for the inside of a firewall."""
        network = ipaddress.ip_network(f"198.51.100.{16 * self._next_network}/28")
        self._next_network += 1
        return network

    def route(self, network, router):
        self.lab.ip([f"route replace {network} via {router.address} "
                     f"dev {router.link.far_interface} onlink"], self)

    def drawn(self):
        lines = [f"internet ({_GATEWAY})"]
        for index, member in enumerate(self.members):
            lines += _branch(member.drawn(), index == len(self.members) - 1)
        return "\n".join(lines)


def _branch(lines, last):
    corner, below = ("└─ ", "   ") if last else ("├─ ", "│  ")
    return [corner + lines[0]] + [below + each for each in lines[1:]]


class Host:
    """A device. `address` is the first of its `addresses`, `link` the cable that it hangs on; in a
    laboratory with IPv6 `address6` is its address and `prefix6` what is routed to it."""

    def __init__(self, lab, name, place, addresses=1):
        self.lab, self.name, self.place = lab, name, place
        self.link, self.addresses = None, []
        self.address6, self.prefix6 = None, None
        self.local6 = f"fe80::{lab.next_number() + 0x100:x}"
        self._moves = 0
        self.interface = self._interface()
        lab.add(self)
        lab.script(self._prepared(), self)
        place.connect(self, addresses)

    def __str__(self):
        return self.name

    def _prepared(self):
        """A script that sets up what does not depend on the place."""
        return prepared(self.lab)

    def _interface(self):
        return f"eth{self._moves}"

    @property
    def address(self):
        return self.addresses[0]

    def run(self, argv, **options):
        return self.lab.run(self, argv, **options)

    def output(self, argv, **options):
        return self.lab.output(self, argv, **options)

    def readdress(self):
        """Other addresses in the same place, as after a new lease. The old ones are gone."""
        self.place.lease(self, len(self.addresses))

    def move(self, place):
        """Leaves for another place, with another interface: from Wi-Fi to mobile."""
        self.place.disconnect(self)
        self.place = place
        self._moves += 1
        self.interface = self._interface()
        place.connect(self, len(self.addresses))

    def down(self):
        """Switches its interface off; its routes go too."""
        self.lab.ip([f"link set {self.interface} down"], self)

    def up(self):
        """Switches it on again, with the addresses that it had."""
        self.place.settle(self)

    def drawn(self):
        said = self.link.conditions()
        addresses = self.addresses + [self.address6] * (self.address6 is not None)
        return [f"{self.name} {', '.join(addresses)}{f' ({said})' if said else ''}"]


_PAUSE = """table ip pause {
  chain everything { type filter hook prerouting priority raw - 1; policy drop; }
}
"""


class Router(Host, Place):
    """A router: a host of the place that it hangs in, and a place for its own hosts."""

    length = 24

    def __init__(self, lab, name, nat, place):
        self.nat, self.members = nat, []
        self._lan6, self._given6 = None, 0
        if nat.mapping is None:
            if place is not lab.internet:
                raise ValueError("a firewall has a public network: it hangs on the internet")
            self.network = place.public_network()
            self.length = self.network.prefixlen
        else:
            self.network = ipaddress.ip_network(f"192.168.{len(lab.hosts)}.0/24")
        self._free = list(self.network.hosts())
        self.gateway = str(self._free.pop(0))
        super().__init__(lab, name, place)
        self.apply()

    def _prepared(self):
        return prepared(self.lab) + _FORWARDING + f"""
            ip link add lan type bridge forward_delay 0 mcast_snooping 0
            ip addr add {self.gateway}/{self.length} dev lan
            ip link set lan up
            """

    def _interface(self):
        return "wan"

    def apply(self):
        """Tells the kernel what passes and how; it remembers no mapping of before."""
        if self.nat.mapping is None:
            self.place.route(self.network, self)
        # Nothing passes meanwhile: a packet of a connection that conntrack still knows would write
        # its old mapping into the new maps.
        self.lab.tool(["nft", "-f", "-"], _PAUSE + rules(self.nat, self.address, self.network),
                      self)
        if self.lab.ipv6:
            self.lab.tool(["nft", "-f", "-"], rules6(self.nat), self)
            self._delegated()
        # The rules bring conntrack with them, and it brings its settings.
        self.lab.script(f"""
            conntrack --flush
            nft delete table ip pause
            for each in udp_timeout udp_timeout_stream; do
              echo {self.nat.lifetime} >/proc/sys/net/netfilter/nf_conntrack_$each
            done
            """, self)

    def connect(self, host, count):
        if count != 1:
            raise ValueError("a host behind a router has one address")
        host.link = Link(self.lab, host, host.interface, self)
        self.lab.ip([f"link set {host.link.far_interface} up master lan"], self)
        self.members.append(host)
        self.lease(host, count)

    def lease(self, host, count):
        host.addresses = [str(self._free.pop(0))]
        if self.lab.ipv6:
            self._lease6(host)
        self.settle(host)

    def _lease6(self, host):
        self._given6 += 1
        host.address6 = str(self._lan6[self._given6 + 1])
        lines = [f"route replace {host.address6} dev lan"]
        if self.prefix6.prefixlen < 56:
            host.prefix6 = list(self.prefix6.subnets(8))[self._given6]
            lines.append(f"route replace {host.prefix6} via {host.local6} dev lan")
        self.lab.ip(lines, self)

    def _delegated(self):
        """Numbers the network inside from what is routed to us: the second /64, for the first has
        our own address."""
        lan = list(self.prefix6.subnets(new_prefix=64))[1]
        if lan == self._lan6:
            return
        self._lan6, self._given6 = lan, 0
        self.lab.ip([self.gateway6("lan")], self)
        for member in self.members:
            self._lease6(member)
            self.settle(member)
            if isinstance(member, Router):
                member.apply()

    def readdress(self):
        super().readdress()
        self.apply()

    def move(self, place):
        if self.nat.mapping is None:
            raise ValueError("a firewall stays where its network is")
        super().move(place)
        self.apply()

    def flush(self):
        """Forgets every mapping, as after a restart or a table that is full."""
        self.apply()

    def drawn(self):
        lines = super().drawn()
        lines[0] += f" [{described(self.nat)}] {self.network}"
        for index, member in enumerate(self.members):
            lines += _branch(member.drawn(), index == len(self.members) - 1)
        return lines
