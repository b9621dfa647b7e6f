# A call that goes on by another way. SPDX-License-Identifier: LGPL-2.1-or-later
"""Phones whose network changes while they speak. Figures are printed."""

import time

from natlab import Nat
from natlab.nat import ADDRESS_PORT
from support.case import FULL
from support.ladderlab import LadderTest
from support.process import wait_until


class N7_Changes(LadderTest):
    """A client's address changes: media is back within a second, over what carried before. The
    direct way is in test_phone.py."""

    _GUARD = 1000 if FULL else 8000                 # ms

    def test_over_a_node(self):
        self.serve()
        self.node("n7")
        way = "sfu", "n7"
        phones, router = self.changes(*way)
        if FULL:
            self.back(phones, way, router.readdress, "another external address")
            self.back(phones, way, router.flush, "a NAT that forgets")

    def test_over_a_relay(self):
        self.serve("--turn", "auto")
        self.changes("relay")

    def changes(self, *way):
        phones = self.join("symmetric", "symmetric")
        self.up(phones, *way)
        host = self.lab.hosts["left"]
        mobile = self.lab.router("mobile", Nat(ADDRESS_PORT, ADDRESS_PORT))
        self.back(phones, way, lambda: host.move(mobile), "another network")
        return phones, mobile

    def back(self, phones, way, change, what):
        # Who does not know how far a relay is gives it more time to answer.
        wait_until(lambda: all(each.events("stats") and each.events("stats")[-1]["round_trip_ms"]
                               for each in phones), 20, "figures of the way", every=0.1)
        since, began = self.lines(phones), time.monotonic()
        change()
        took = time.monotonic() - began
        self.pictures(phones)
        self.moved(phones, *way)
        lasted = self.pauses(phones, since, took)
        print(f"# {' '.join(way)}, {what}: silence of {lasted[0]:.0f} and {lasted[1]:.0f} ms, beside "
              f"{1000 * took:.0f} ms of the change itself")
        self.assertLess(max(lasted), self._GUARD)

    def pictures(self, phones):
        """Waits for some that have come after the next line of figures: those before may be older."""
        def count():
            return [each.events("stats")[-1]["pictures"] for each in phones]
        self.figures(phones)
        before = count()
        wait_until(lambda: all(now >= one + 10 for now, one in zip(count(), before)), 30,
                   "pictures at both", every=0.1)
