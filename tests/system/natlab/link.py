# A cable between two hosts, and what can befall it. SPDX-License-Identifier: LGPL-2.1-or-later
"""Both ends of a cable are veths whose other halves lie in a namespace of their own, `wires`, where
a bridge joins them. There a cable is pulled, made to lose packets, slowed down, or cut open to put
a line with delay in the place of the bridge. The hosts see nothing but the result.

`up` is from the near end (a host, a router's outside) to the far one, `down` the other way."""

import os
import subprocess
import sys

from support.process import wait_until

_HERE = os.path.dirname(os.path.abspath(__file__))


class Link:
    """A cable from the host `near`, where its end is called `interface`, to the host `far`, where
    it is `far_interface`."""

    def __init__(self, lab, near, interface, far):
        self._lab = lab
        self.number = lab.next_number()
        self.far_interface = f"p{self.number}"
        self._ends = f"n{self.number}", f"f{self.number}"
        self._near = near, interface
        self._line = None
        self.seconds = 0.0
        self.lost = self.limited = (0, 0)
        self.plugged = True
        bridge = f"b{self.number}"
        near_end, far_end = self._ends
        self._wires(f"link add {bridge} type bridge forward_delay 0 mcast_snooping 0",
                    f"link set {bridge} up",
                    f"link add {near_end} type veth peer name {interface} netns {near}",
                    f"link add {far_end} type veth peer name {self.far_interface} netns {far}",
                    f"link set {near_end} up master {bridge}",
                    f"link set {far_end} up master {bridge}")

    def _wires(self, *lines):
        self._lab.ip(lines, "wires")

    def delay(self, seconds):
        """Each packet takes that long, either way; the round trip grows by twice that."""
        if self._line is None and seconds > 0:
            self._wires(*(f"link set {end} nomaster" for end in self._ends))
            self._line = self._lab.run(
                "wires", [sys.executable, "-IS", os.path.join(_HERE, "line.py"), *self._ends],
                name=f"line-{self.number}", stdin=subprocess.PIPE)
            self._line.wait_log("^ready$")
        self.seconds = seconds
        if self._line is not None:
            self._tell(f"delay {seconds}")

    def pause(self):
        """Holds all packets (the last few seconds of them) until resume()."""
        if self._line is None:
            self.delay(1e-6)
        self._tell("pause")

    def resume(self):
        """What was held goes on at once, in its order."""
        self._tell("resume")

    def _tell(self, words):
        told = self._line.log().count("done")
        self._line.popen.stdin.write(words.encode() + b"\n")
        self._line.popen.stdin.flush()
        wait_until(lambda: self._line.log().count("done") > told, what=f"the line to {words}",
                   every=0.002)

    def loss(self, up, down=None):
        """The share of packets, 0 to 1, that vanish each way; `down` as `up` if not given."""
        down = up if down is None else down
        self.lost = (up, down)
        table = f"cable{self.number}"
        # Where a packet leaves the cable: what vanishes has been sent and never comes.
        chains = "\n".join(
            f"chain {name} {{ type filter hook egress device {end} priority 0;\n"
            f"meta protocol {{ ip, ip6 }} numgen random mod 10000 < {round(share * 10000)} drop\n}}"
            for name, end, share in (("up", self._ends[1], up), ("down", self._ends[0], down))
            if share > 0)
        self._lab.tool(["nft", "-f", "-"], f"table netdev {table}\ndelete table netdev {table}\n"
                       f"table netdev {table} {{\n{chains}\n}}\n", "wires")

    def rate(self, up, down=None):
        """Limits to so many bit/s each way, with a queue of 50 ms; None or 0: no limit."""
        self.limited = (up, up if down is None else down)
        for end, limit in zip(reversed(self._ends), self.limited):
            kind = "noqueue"
            if limit:
                burst = max(4000, int(limit * 0.005 / 8))
                kind = f"tbf rate {int(limit)}bit burst {burst} latency 50ms"
            self._lab.tool(["tc", "qdisc", "replace", "dev", end, "root", *kind.split()],
                           host="wires")

    def unplug(self):
        """Pulls the cable at the near end, which sees it: no carrier."""
        self._wires(f"link set {self._ends[0]} down")
        self.plugged = False

    def plug(self):
        """Puts it back; returns when the near end has seen that."""
        self._wires(f"link set {self._ends[0]} up")
        host, interface = self._near
        wait_until(lambda: "LOWER_UP" in self._lab.tool(
            ["ip", "link", "show", interface], host=host), what=f"{host}'s carrier")
        # A neighbour that did not answer meanwhile would be given up for seconds.
        self._lab.ip([f"neigh flush dev {interface}"], host)
        self.plugged = True

    def remove(self):
        if self._line is not None:
            self._line.stop()
            self._line.popen.stdin.close()
            self._line = None
        # A veth takes its other half with it, and with the device its qdiscs and chains.
        self._wires(*(f"link del {each}" for each in (*self._ends, f"b{self.number}")))

    def conditions(self):
        """In words, for a map."""
        said = []
        if self.seconds >= 0.0005:
            said.append(f"{self.seconds * 1000:g} ms each way")
        if any(self.lost):
            said.append("loss {:g} % up, {:g} % down".format(*(each * 100 for each in self.lost)))
        if any(self.limited):
            said.append("{:g}/{:g} kbit/s".format(*((each or 0) / 1000 for each in self.limited)))
        if not self.plugged:
            said.append("unplugged")
        return ", ".join(said)
