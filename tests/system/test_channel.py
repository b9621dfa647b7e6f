# Channels through NATs. SPDX-License-Identifier: LGPL-2.1-or-later
"""`stunpunch` in the laboratory: every pair of types comes up where theory allows it and says why
where not; picture and sound arrive; strangers and changes of the network do no harm."""

import array
import json
import statistics
import time

from natlab import TYPES, Nat, direct
from natlab.nat import ADDRESS_PORT, INDEPENDENT
from support.case import FULL
from support.channelpeer import Peer, join
from support.coturn import Coturn
from support.icepeer import IcePeer
from support.junctor import environment
from support.labcase import InLaboratory
from support.process import wait_until
from support.tones import strength


class ChannelTest(InLaboratory):
    def setUp(self):
        super().setUp()
        self.server = self.lab.host("stun", addresses=2)
        self.coturn = self.start(Coturn(self.lab, self.server, relay=True))
        self.stun = ",".join(self.server.addresses)

    def peer(self, host):
        return self.start(Peer(host, environment()))

    def pair(self, left, right):
        """Peers at two sites of these types."""
        return [self.peer(self.lab.site(name, kind))
                for name, kind in (("left", left), ("right", right))]

    def flows(self, peers, name, more=10):
        """Waits until both get packets, `more` than now."""
        before = [each.report(name)["arrived"] for each in peers]
        wait_until(lambda: all(each.report(name)["arrived"] >= count + more
                               for each, count in zip(peers, before)),
                   what=f"packets both ways of {name}", every=0.1)


class N3_EveryPair(ChannelTest):
    def test_comes_up_where_theory_allows_it_and_says_why_where_not(self):
        kinds = list(TYPES)
        lefts, rights = ([self.peer(self.lab.site(f"{side}-{kind}", kind)) for kind in kinds]
                         for side in ("left", "right"))
        # Each turn has each type once on each side.
        turns = range(len(kinds)) if FULL else self.chance().sample(range(len(kinds)), 4)
        times, self.predicted = [], []
        for run in range(5 if FULL else 1):
            for turn in turns:
                times += self.turn(lefts, rights, kinds, turn, f"{run}-{turn}")
        for what, took in (("plainly", times), ("by prediction", self.predicted)):
            if took:
                print(f"# {len(took)} ends up {what}, in ms: median "
                      f"{statistics.median(took):.1f}, worst {max(took):.1f}")

    def turn(self, lefts, rights, kinds, turn, number):
        pairs = [(index, (index + turn) % len(kinds)) for index in range(len(kinds))]
        names = [f"{number}/{kinds[i]}/{kinds[k]}" for i, k in pairs]
        for (i, k), name in zip(pairs, names):
            join(lefts[i], rights[k], name, self.stun, timeout=1500)
        times = []
        for (i, k), name in zip(pairs, names):
            with self.subTest(name):
                verdict = direct(kinds[i], kinds[k])
                took = self.check(lefts[i], rights[k], name, verdict.prediction)
                if verdict.plain:
                    times += took
                else:
                    self.predicted += took
        for (i, k), name in zip(pairs, names):
            lefts[i].close(name)
            rights[k].close(name)
        return times

    def check(self, left, right, name, expected):
        said = [each.wait(name, "up", "failed") for each in (left, right)]
        if not expected:
            self.assertEqual([each["is"] for each in said], ["failed"] * 2, said)
            for each in said:
                self.assertRegex(each["why"], "none was answered")
            return []
        self.assertEqual([each["is"] for each in said], ["up"] * 2, said)
        self.assertEqual({each["rung"] for each in said}, {"p2p"})
        self.flows((left, right), name, 3)
        reports = [each.report(name) for each in (left, right)]
        self.assertEqual([each["stats"]["packets-refused"] for each in reports], [0, 0])
        self.assertEqual(reports[0]["fingerprint"], reports[1]["fingerprint"])
        return [each["ms"] for each in said]


class N3_Call(ChannelTest):
    def test_picture_and_sound_arrive_both_ways(self):
        left, right = self.pair("port-restricted", "port-restricted")
        for each in (left.host, right.host):
            each.link.delay(0.01)
        left.open("call", True, self.stun, media="call", identity=11, tone=440)
        right.open("call", False, self.stun, media="call", identity=22, tone=1000)
        left.speak_to(right, "call")
        right.speak_to(left, "call")
        for peer, identity, tone in ((left, 22, 1000), (right, 11, 440)):
            peer.wait("call", "up")
            report = wait_until(lambda peer=peer: self.enough(peer.report("call")),
                                what="20 pictures and a second of sound", every=0.2)
            marks = [each for each in report["marks"] if each]
            self.assertEqual({each[0] for each in marks}, {identity})
            counters = [each[1] for each in marks]
            # Nothing was lost: each picture that came is the one after the one before.
            self.assertEqual(counters, list(range(counters[0], counters[0] + len(counters))))
            sound = array.array("h", bytes.fromhex(report["sound"]))
            self.assertGreater(strength(sound[-8000:], 8000, tone), 0.9)
            self.assertGreater(report["stats"]["round-trip-ms"], 40)

    @staticmethod
    def enough(report):
        return report if len(report["marks"]) >= 20 and len(report["sound"]) >= 32000 else None

    def test_delay_and_loss(self):
        left, right = self.pair("port-restricted", "restricted")
        for each in (left.host, right.host):
            each.link.delay(0.02)
            each.link.loss(0.1)
        took = []
        for number in range(20 if FULL else 6):
            name = f"lossy-{number}"
            join(left, right, name, self.stun)
            took += [each.wait(name, "up")["ms"] for each in (left, right)]
            left.close(name), right.close(name)
        print(f"# 80 ms round trip, 10 % loss each way of each cable, ms to up: "
              f"median {statistics.median(took):.0f}, worst {max(took):.0f}")


class N3_Symmetric(ChannelTest):
    def up(self, peers, name, **properties):
        join(*peers, name, self.stun, properties=properties)
        said = [each.wait(name, "up", "failed") for each in peers]
        if said[0]["is"] == "up":
            self.flows(peers, name, 3)
        for each in peers:
            each.close(name)
        return [each["ms"] for each in said if each["is"] == "up"]

    def test_ports_that_follow_one_another_are_predicted(self):
        took = {}
        for pair in (("sequential", "port-restricted"), ("sequential", "sequential")):
            peers = [self.peer(self.lab.site(f"{side}-{pair[1]}", kind))
                     for side, kind in zip(("left", "right"), pair)]
            self.assertEqual(self.up(peers, "without", timeout=1000, prediction=False), [])
            for each in peers:
                each.host.link.delay(0.01)
            took[pair] = sum((self.up(peers, f"call-{number}") for number in range(4)), [])
            self.assertEqual(len(took[pair]), 8, pair)
            print(f"# {pair}, 40 ms round trip, in ms: {[round(each) for each in took[pair]]}")

    def test_many_sockets_meet_a_random_port(self):
        took = []
        for number, kind in enumerate(("symmetric", "address-mapped")):
            peers = [self.peer(self.lab.site(f"left-{number}", kind)),
                     self.peer(self.lab.site(f"right-{number}", "port-restricted"))]
            taken = [self.lab.capture(each.host) for each in peers]
            # Each has a chance of 98 %.
            tries = [self.up(peers, f"call-{number}-{again}", **{"many-sockets": True})
                     for again in range(3)]
            self.assertTrue(any(tries), kind)
            took += sum(tries, [])
            for each in taken:
                sent = [packet.time for packet in each.stop().udp(outgoing=True)]
                busiest = max(sum(start <= when < start + 1 for when in sent)
                              for start in sent[::50])
                self.assertLess(busiest, 1400, "the rate is limited")
            self.assertEqual(self.up(peers, "without", timeout=1000), [])
        print(f"# many sockets, in ms: {[round(each) for each in took]}")


class N3_Strangers(ChannelTest):
    def test_a_channel_is_not_disturbed_by_others_packets(self):
        left, right = self.pair("open", "open")
        join(left, right, "call", self.stun)
        ends = [each.wait("call", "up") for each in (left, right)]
        stranger = self.lab.host("stranger")
        taken = self.lab.capture(stranger)
        # STUN that nobody signed, RTP and RTCP in clear, and noise.
        flood = ("import os,socket,struct,sys,time\n"
                 "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                 "for i in range(600):\n"
                 "    kind = [struct.pack('!HHI', 1, 0, 0x2112a442) + os.urandom(12),\n"
                 "            struct.pack('!BBHII', 0x80, 8, i, i, 1) + bytes(160),\n"
                 "            struct.pack('!BBHI', 0x80, 201, 1, 1), os.urandom(200)][i % 4]\n"
                 "    for port in sys.argv[2:]:\n"
                 "        s.sendto(kind, (sys.argv[1], int(port)))\n"
                 "    time.sleep(0.001)\n")
        for end in ends:
            address, port = end["local"].rsplit(":", 1)
            stranger.output(["/usr/bin/python3", "-c", flood, address, port])
        self.flows((left, right), "call")
        for each in (left, right):
            report = each.report("call")
            self.assertGreaterEqual(report["stats"]["packets-refused"], 400)
            self.assertEqual(report["stats"]["packets-lost"], 0)
            self.assertEqual([state["is"] for state in each.states["call"]], ["trying", "up"])
        self.assertEqual(taken.stop().udp(outgoing=False), [], "a stranger gets no answer")


    def test_replayed_packets_of_a_call_have_no_effect(self):
        """Everything that one end was sent in a call, test packets and media, comes again from
        elsewhere: while the call goes on, and faster than it came the first time."""
        left, right = self.pair("open", "open")
        taken = self.lab.capture(right.host)
        join(left, right, "call", self.stun)
        right.wait("call", "up")
        self.flows((left, right), "call", 50)
        port = int(right.report("call")["stats"]["local"].rsplit(":", 1)[1])
        heard = [each.payload for each in taken.stop().udp(outgoing=False)
                 if each.target_port == port and each.source == left.host.address]
        self.assertGreater(len(heard), 50)
        path = self.workspace.write("heard.json", json.dumps([each.hex() for each in heard]))
        before = right.report("call")
        stranger = self.lab.host("stranger")
        watched = self.lab.capture(stranger)
        stranger.output(["/usr/bin/python3", "-c",
                         "import json,socket,sys,time\n"
                         "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                         "for each in json.load(open(sys.argv[3])):\n"
                         "    s.sendto(bytes.fromhex(each), (sys.argv[1], int(sys.argv[2])))\n"
                         "    time.sleep(0.0005)\n", right.host.address, str(port), path])
        self.flows((left, right), "call")
        after = right.report("call")
        refused = [each["stats"]["packets-refused"] for each in (before, after)]
        self.assertGreaterEqual(refused[1] - refused[0], 50)
        self.assertEqual(after["stats"]["remote"], before["stats"]["remote"])
        self.assertEqual([each["is"] for each in right.states["call"]], ["trying", "up"])
        self.assertEqual(watched.stop().udp(outgoing=False), [], "a replay gets no answer")


class N3_Ice(ChannelTest):
    def test_rfc_8445_finds_the_way_through_nats(self):
        """As the element does it, with all libraries of a plugin around libnice: one of them once
        took a function's name from it, and no STUN request ever left."""
        left, right = self.pair("port-restricted", "restricted")
        join(left, right, "call", self.stun, properties={"ice": True}, timeout=10000)
        for each in (left, right):
            self.assertEqual(each.wait("call", "up", "failed")["is"], "up", each.errors)
        self.flows((left, right), "call")
        named = [line for text in left.strings["call"]
                 for line in json.loads(text).get("candidates", [])]
        self.assertTrue(any("typ srflx" in line for line in named), named)

    def test_libnice_itself_is_the_peer(self):
        for caller, trickle, kind in ((True, False, "port-restricted"), (False, True, "restricted"),
                                      (True, True, "open"), (False, False, "full-cone")):
            name = f"{kind}, {'controlling' if caller else 'controlled'}" + ", trickles" * trickle
            with self.subTest(name):
                ours = self.peer(self.lab.site(f"ours-{kind}", "port-restricted"))
                theirs = self.start(
                    IcePeer(self.lab.site(f"theirs-{kind}", kind), environment()))
                theirs.open(name, caller, self.stun, trickle=trickle)
                ours.open(name, not caller, self.stun, timeout=10000,
                          properties={"ice": True, "encrypt": False})
                theirs.speak_to(ours, name)
                ours.speak_to(theirs, name)
                for each in (theirs, ours):
                    self.assertEqual(each.wait(name, "up", "failed")["is"], "up",
                                     f"{each.host}: {ours.states} {theirs.states}")
                self.flows((theirs, ours), name)
                self.assertEqual(ours.report(name)["stats"]["packets-refused"], 0)


class N6_Relay(ChannelTest):
    _GUARD = 1.5 if FULL else 8.0

    def join(self, peers, **options):
        properties = {"turn-server": self.coturn.relay_url, "rungs": "p2p,relay",
                      **options.pop("properties", {})}
        join(*peers, "call", self.stun, properties=properties, **options)
        return [each.wait("call", "up", "failed") for each in peers]

    def test_carries_where_there_is_no_direct_way(self):
        for kinds, transport in ((("symmetric", "symmetric"), "udp"),
                                 (("udp-blocked", "port-restricted"), "tcp")):
            with self.subTest(kinds):
                peers = [self.peer(self.lab.site(f"{side}-{transport}", kind))
                         for side, kind in zip(("left", "right"), kinds)]
                url = self.coturn.relay_url.replace("transport=udp", f"transport={transport}")
                said = self.join(peers, properties={"turn-server": url})
                self.assertEqual([each["rung"] for each in said], ["relay"] * 2, said)
                self.flows(peers, "call")
                print(f"# {kinds} by {transport}, in ms: {[round(each['ms']) for each in said]}")

    def test_takes_over_when_the_direct_way_is_cut_and_gives_it_back(self):
        peers = self.pair("port-restricted", "port-restricted")
        for each in peers:
            each.host.link.delay(0.001)
        self.assertEqual({each["rung"] for each in self.join(peers)}, {"p2p"})
        self.flows(peers, "call", 50)
        one, other = (each.host.place.address for each in peers)
        for each in peers:
            each.forget("call")
        self.lab.tool(["nft", "-f", "-"], f"""table ip cut {{
            chain between {{
              type filter hook forward priority 0
              ip saddr {one} ip daddr {other} drop
              ip saddr {other} ip daddr {one} drop
            }}
        }}
        """, self.lab.internet)
        for each in peers:
            self.assertEqual(each.wait("call", "moved", "failed")["rung"], "relay")
        self.flows(peers, "call", 50)
        gaps = [each.report("call")["longest_gap"] / 1000 for each in peers]
        # There is always something on its way.
        for each in peers:
            each.host.link.delay(0.03)
        self.flows(peers, "call", 25)
        before = [each.report("call") for each in peers]
        counts = [len(each.states["call"]) for each in peers]
        for each in peers:
            each.forget("call")
        self.lab.tool(["nft", "delete", "table", "ip", "cut"], host=self.lab.internet)
        for each, count in zip(peers, counts):
            self.assertEqual(each.wait("call", "moved", "failed", after=count)["rung"], "p2p")
        # The relay is let go 2 s later.
        self.flows(peers, "call", 125)
        after = [each.report("call") for each in peers]
        back = [each["longest_gap"] / 1000 for each in after]
        print(f"# to the relay after a silence of {gaps[0]:.2f} and {gaps[1]:.2f} s, back after "
              f"{back[0]:.2f} and {back[1]:.2f} s")
        self.assertLess(max(gaps), self._GUARD)
        for count in ("packets-lost", "packets-unsent"):
            self.assertEqual([each["stats"][count] for each in after],
                             [each["stats"][count] for each in before], "it goes back without a gap")
        self.assertLess(max(back), 0.3 if FULL else self._GUARD)


class N3_Ipv6(ChannelTest):
    ipv6 = True

    def test_two_symmetric_nats_are_passed_beside(self):
        """Where both have IPv6 its firewalls are all that stands between."""
        left, right = self.pair("symmetric", "symmetric")
        join(left, right, "call", self.stun)
        for each, peer in ((left, right), (right, left)):
            said = each.wait("call", "up", "failed")
            self.assertEqual(said["is"], "up", said)
            self.assertIn(peer.host.address6, said["remote"])
        self.flows((left, right), "call")


class N3_Changes(ChannelTest):
    """Figures are printed; what must hold is that media comes back without a new call."""

    _GUARD = 1.0 if FULL else 5.0

    def repaired(self, peers, change, what):
        left, right = peers
        self.flows(peers, "call", 50)
        for each in peers:
            each.forget("call")
        changed = time.monotonic()
        change()
        took = time.monotonic() - changed
        time.sleep(1.5)
        self.flows(peers, "call", 25)
        gaps = [each.report("call")["longest_gap"] / 1000 for each in peers]
        # The laboratory's own work (a cable pulled and another one plugged in) is not ours.
        print(f"# {what}: silence of {gaps[0]:.2f} and {gaps[1]:.2f} s, of it {took:.2f} s for "
              "the change itself")
        for each in gaps:
            self.assertLess(each - took, self._GUARD, what)
        for each in peers:
            self.assertNotIn("failed", [state["is"] for state in each.states["call"]])

    def call(self, left, right):
        peers = left, right
        join(left, right, "call", self.stun)
        for each in peers:
            each.wait("call", "up")
        return peers

    def test_from_one_network_to_another(self):
        home, mobile = self.lab.router("home", Nat()), self.lab.router("mobile", Nat())
        phone = self.lab.host("phone", home)
        right = self.lab.site("right", "port-restricted")
        peers = self.call(self.peer(phone), self.peer(right))
        self.repaired(peers, lambda: phone.move(mobile), "another network")
        self.assertIn("other addresses", peers[0].wait("call", "moved")["why"])
        self.assertIn("the peer has changed", peers[1].wait("call", "moved")["why"])
        self.repaired(peers, lambda: phone.move(self.lab.internet), "and another")

    def test_another_external_address(self):
        home = self.lab.router("home", Nat())
        peers = self.call(self.peer(self.lab.host("phone", home)),
                          self.peer(self.lab.site("right", "port-restricted")))
        self.repaired(peers, home.readdress, "another external address")

    def test_a_nat_that_forgets(self):
        for kind, filtering in (("port-restricted", ADDRESS_PORT), ("full cone", INDEPENDENT)):
            with self.subTest(kind):
                home = self.lab.router(f"home-{filtering[:3]}", Nat(INDEPENDENT, filtering))
                host = self.lab.host(f"phone-{filtering[:3]}", home)
                right = self.lab.site(f"right-{filtering[:3]}", "port-restricted")
                peers = self.call(self.peer(host), self.peer(right))
                self.repaired(peers, home.flush, f"a {kind} NAT forgets")


