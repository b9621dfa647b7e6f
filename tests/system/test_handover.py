# A call that goes on by another way. SPDX-License-Identifier: LGPL-2.1-or-later
"""Phones whose network changes while they speak, and better ways that come up later. Figures are
printed."""

import time

from natlab import Nat
from natlab.nat import ADDRESS_PORT
from support.case import FULL, only_full
from support.ladderlab import LadderTest
from support.process import wait_until


class N7_Changes(LadderTest):
    """A client's address changes: media is back within a second, over what carried before. The
    direct way is in test_phone.py."""

    _GUARD = 1000 if FULL else 8000                 # ms

    def test_over_a_node(self):
        self.serve()
        self.node("n7")
        self.changes("sfu", "n7")

    def test_over_a_relay(self):
        self.serve("--turn", "auto")
        self.changes("relay")

    def test_without_any_network_for_a_while_over_a_relay(self):
        self.serve("--turn", "auto")
        self.goes_without(self.join("symmetric", "symmetric"), "relay")

    def test_from_none_to_another_network_over_a_relay(self):
        """It is asked for from the new network."""
        self.serve("--turn", "auto")
        phones = self.join("symmetric", "symmetric")
        self.up(phones, "relay")
        host = self.lab.hosts["left"]
        mobile = self.lab.router("mobile", Nat(ADDRESS_PORT, ADDRESS_PORT))

        def travel():
            self.lab.ip([f"addr flush dev {host.interface}"], host)
            phones[0].wait("channel", state="trying", why="this machine has no network")
            time.sleep(0.3)
            host.move(mobile)
        self.back(phones, ("relay",), travel, "after a while without one")

    def test_without_any_network_for_a_while_over_a_node(self):
        self.serve()
        self.node("n7")
        self.goes_without(self.join("symmetric", "symmetric"), "sfu", "n7")

    def test_a_node_without_a_network_for_a_moment(self):
        """There is no other way, and it is there again: it is asked once more."""
        self.serve()
        self.node("n7")
        phones = self.join("symmetric", "symmetric")
        self.up(phones, "sfu", "n7")
        link = self.lab.hosts["n7"].link

        def cable():
            link.unplug()
            time.sleep(0.9)
            link.plug()
        self.back(phones, ("sfu", "n7"), cable, "a node that is gone for a moment", 8000)
        for phone in phones:
            self.assertEqual(phone.events("ended"), [])

    def test_without_any_network_for_a_while_directly(self):
        self.serve()
        self.goes_without(self.join("port-restricted", "port-restricted"), "p2p")

    def test_without_any_network_many_times(self):
        """More often than addresses are gathered for at once."""
        self.serve()
        phones = self.join("port-restricted", "port-restricted")
        self.up(phones, "p2p")
        link = self.lab.hosts["left"].link

        def loose_cable():
            for pause in (0.1,) * 14 + (1.0,):
                link.unplug()
                time.sleep(pause)
                link.plug()
                time.sleep(0.1)
        self.back(phones, ("p2p", None), loose_cable, "after many short times without one", 3000)
        wait_until(lambda: all(each.events("stats")[-1]["state"] == "up" for each in phones), 20,
                   "a way at both", every=0.2)
        self.see_each_other(phones)

    def goes_without(self, phones, rung, node=None):
        """What carried does so again once there is a network: nobody is given up meanwhile."""
        self.up(phones, rung, node)
        link = self.lab.hosts["left"].link

        def cable():
            link.unplug()
            time.sleep(7)
            link.plug()
        # The peer's relay may be between two tries.
        self.back(phones, (rung, node), cable, "after a while without one",
                  8000 if rung == "relay" else None)
        phones[0].wait("connected", resumed=True)
        for phone in phones:
            ways = {(each["rung"], each["node"] or None) for each in phone.events("channel")
                    if each["state"] in ("up", "moved")}
            self.assertEqual(ways, {(rung, node)})
            self.assertEqual(phone.events("ended"), [])

    def changes(self, *way):
        phones = self.join("symmetric", "symmetric")
        self.up(phones, *way)
        host = self.lab.hosts["left"]
        mobile = self.lab.router("mobile", Nat(ADDRESS_PORT, ADDRESS_PORT))
        self.back(phones, way, lambda: host.move(mobile), "another network")
        if FULL:
            self.back(phones, way, mobile.readdress, "another external address")
            self.back(phones, way, mobile.flush, "a NAT that forgets")

    def back(self, phones, way, change, what, most=None):
        # Who does not know how far a relay is gives it more time to answer.
        wait_until(lambda: all(each.events("stats") and each.events("stats")[-1]["round_trip_ms"]
                               for each in phones), 20, "figures of the way", every=0.1)
        since, began = self.lines(phones), time.monotonic()
        change()
        took = time.monotonic() - began
        self.pictures(phones)
        self.moved(phones, *way)
        most = most or self._GUARD
        lasted = self.pauses(phones, since, took, most)
        print(f"# {' '.join(filter(None, way))}, {what}: {lasted}, beside {1000 * took:.0f} ms of the change itself")
        self.assertLess(max(lasted.silence), most)

    def pictures(self, phones):
        """Waits for some that have come after the next line of figures: those before may be older."""
        def count():
            return [each.events("stats")[-1]["pictures"] for each in phones]
        self.figures(phones)
        before = count()
        wait_until(lambda: all(now >= one + 10 for now, one in zip(count(), before)), 30,
                   "pictures at both", every=0.1)


class N2_RendezvousAgain(LadderTest):
    """Who has lost the rendezvous, or is forgotten by it."""

    def test_an_idle_phone_and_a_node_are_there_as_soon_as_there_is_a_network(self):
        self.serve()
        site = self.lab.site("left", "symmetric")
        node = self.node("n7", host=self.lab.site("right", "open"))
        phone = self.phone("bob", site)
        phone.wait("connected")
        for each in ("left", "right"):
            self.lab.hosts[each].link.unplug()
        # It has failed often enough to wait for long.
        away = wait_until(lambda: [each for each in phone.events("away")
                                   if each["again_in_s"] >= 8], 40, "a long wait")[0]
        said = len(phone.events())
        self.lab.hosts["left"].link.plug()
        there = phone.wait("connected", after=said)
        self.assertLess(there["at"], away["at"] + away["again_in_s"])
        print(f"# a phone was to wait for {away['at'] + away['again_in_s'] - there['at']:.1f} s more")
        self.lab.hosts["right"].link.plug()
        node.wait_log("(?s)connected to .*connected to ")

    def test_who_hangs_up_over_a_node_is_missed_though_the_server_knows_nothing(self):
        self.serve()
        node = self.node("n7")
        phones = self.join("symmetric", "symmetric")
        self.up(phones, "sfu", "n7")
        self.serving.kill()
        self.serve_again()
        for phone in phones:
            phone.wait("forgotten")
        self.see_each_other(phones)
        alice, bob = phones
        node.wait_log("(?s)connected to .*connected to ")
        began = time.time()
        alice.hang_up()
        ended = bob.wait("ended", 60)
        print(f"# the other end was told after {ended['at'] - began:.1f} s")
        self.assertEqual(ended["reason"], "unreachable")
        self.assertIn("has forgotten the call", ended["detail"])
        self.assertEqual(bob.events("wrong"), [])
        # And is there for the next.
        again = self.phone("alice", self.lab.hosts["left"], "--call", "bob", log="alice-2")
        again.wait("channel", state="up")


class N7_BetterWays(LadderTest):
    """One that comes up while another carries takes over, and no packet is lost for that."""

    # In ms. A way that was lost would not be missed for 450.
    _GUARD = 300 if FULL else 2000

    def test_the_direct_way_takes_over_from_a_relay(self):
        self.serve("--turn", "auto")
        sites = [self.lab.site(name, "port-restricted") for name in ("left", "right")]
        one, other = (each.place.address for each in sites)
        self.lab.tool(["nft", "-f", "-"], f"""table ip cut {{
            chain between {{
              type filter hook forward priority 0
              ip saddr {one} ip daddr {other} drop
              ip saddr {other} ip daddr {one} drop
            }}
        }}
        """, self.lab.internet)
        phones = self.over_a_relay(sites)
        self.takes_over(phones, "p2p", None, lambda: self.lab.tool(
            ["nft", "delete", "table", "ip", "cut"], host=self.lab.internet))

    @only_full("nodes are asked for again after 15 s")
    def test_a_node_takes_over_from_a_relay(self):
        self.serve("--turn", "auto")
        phones = self.over_a_relay([self.lab.site(name, "symmetric") for name in ("left", "right")])
        self.takes_over(phones, "sfu", "n7", lambda: self.node("n7"))

    def over_a_relay(self, sites):
        for each in sites:
            each.link.delay(0.02)                   # there is always something on its way
        phones = self.join_at(sites)
        self.up(phones, "relay")
        return phones

    def takes_over(self, phones, rung, node, comes):
        since = self.figures(phones, 2)
        lost = self.lost(phones)
        comes()
        self.moved(phones, rung, node, 60)
        # What carried is kept for a while, for the other side moves a little later.
        for phone in phones:
            phone.wait("rung", rung="relay", state="stopped")
        self.gives_back(phones)
        self.see_each_other(phones)
        lasted = self.pauses(phones, since)
        print(f"# {rung} takes over: {lasted}")
        self.assertEqual(self.lost(phones), lost)
        self.assertLess(max(lasted.silence), self._GUARD)

    def gives_back(self, phones):
        """The relays, with the server's answer still to come: no reason to work."""
        before = [each.process.usage().cpu for each in phones]
        time.sleep(2)
        for phone, cpu in zip(phones, before):
            self.assertLess(phone.process.usage().cpu - cpu, 1, phone.name)

    @staticmethod
    def lost(phones):
        return [each.events("stats")[-1]["packets_lost"] for each in phones]
