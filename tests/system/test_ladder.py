# The NAT ladder: directly, over a node, over a relay. SPDX-License-Identifier: LGPL-2.1-or-later
"""Two phones in the laboratory reach each other by the best rung that their NATs allow; nodes and
relays die in mid-call. Figures are printed."""

import collections
import json
import re
import signal
import statistics
import time

from natlab import TYPES, Nat, direct
from natlab.nat import ADDRESS_PORT, INDEPENDENT
from natlab.theory import node_serves
from support.case import FULL
from support.coturn import Coturn
from support.ladderlab import LadderTest
from support.phone import film
from support.phonelab import ALICE, BOB, TONES
from support.process import Timeout, wait_until
from support.refusingnode import REASON

STRICT = ("--ladder", "strict", "--timeout", "800")  # ms for each rung


class N7_EveryPair(LadderTest):
    """Each type of access with each, with a public node and a relay: the best rung that theory
    allows carries. Where that needs a foretold port, the node may: how often is printed."""

    CALLS = 4  # at once

    def test_by_default(self):
        self.walk()

    def test_one_after_the_other(self):
        self.walk("--ladder", "strict", "--timeout", "1200")

    def walk(self, *order):
        self.serve("--turn", "auto")
        self.node("n7")
        self.media = ("--video", film(self.workspace, BOB, "BOB", 20), "--audio", "off")
        self.order, self.phones, self.sites = order, {}, {}
        self.media_ms, self.foretold = collections.defaultdict(list), collections.Counter()
        kinds = list(TYPES)
        pairs = [(left, right) for left in kinds for right in kinds]
        if not FULL:
            # Each type once on each side, at least.
            turn = self.chance().randrange(len(kinds))
            pairs = [(left, kinds[(at + turn) % len(kinds)]) for at, left in enumerate(kinds)]
        rounds = 5 if FULL else 1
        for number in range(rounds):
            left_over = list(pairs)
            while left_over:
                self.calls(self.some(left_over), number)
        print(f"# {' '.join(order) or 'by default'}: {len(pairs)} pairs, {rounds} times; ms from "
              "the answer to the first picture:")
        for rung, times in sorted(self.media_ms.items()):
            print(f"#   {rung:6} {len(times):5} ends, median {statistics.median(times):.0f}, "
                  f"worst {max(times):.0f}")
        if self.foretold:
            print("#   where the port is foretold: " + ", ".join(
                f"{rung} {count}" for rung, count in sorted(self.foretold.items())))
        if FULL and not order:
            # Nothing is lost on the way, and no server is far. In strict order what each rung is
            # given adds up.
            self.assertLess(max(map(max, self.media_ms.values())), 3000)

    def some(self, left_over):
        """Takes pairs in which nobody is twice, for a phone has one call at a time."""
        taken = []
        for pair in list(left_over):
            if len(taken) < self.CALLS and all(pair[1] != other[1] for other in taken):
                taken.append(pair)
                left_over.remove(pair)
        return taken

    def at(self, side, kind):
        name = f"{side}-{kind}"
        if name not in self.sites:
            self.sites[name] = self.lab.site(name, kind)
            self.account(name)
        return name, self.sites[name]

    def callee(self, kind):
        if kind not in self.phones:
            name, site = self.at("right", kind)
            self.phones[kind] = self.phone(name, site, *self.media, *self.order)
            self.phones[kind].wait("nat", 30)
        return self.phones[kind]

    def calls(self, pairs, number):
        ends = []
        for left, right in pairs:
            callee = self.callee(right)
            before = len(callee.events())
            name, site = self.at("left", left)
            caller = self.phone(name, site, "--call", callee.name, *self.media, *self.order,
                                log=f"{name}-{right}-{number}")
            ends.append(((caller, 0), (callee, before)))
        for (left, right), both in zip(pairs, ends):
            with self.subTest(f"{left} to {right}, {number}"):
                self.check(left, right, both)
        for (caller, _), (callee, before) in ends:
            caller.hang_up()
            self.assertEqual(caller.ended(), 0)
            callee.wait("ended", after=before)

    def check(self, left, right, both):
        verdict = direct(left, right)
        best = ("p2p" if verdict.prediction else
                "sfu" if node_serves("open", left, right) else "relay")
        for phone, before in both:
            phone.wait("picture", 30, after=before)
        try:
            wait_until(lambda: all(self.carries(*end) == best for end in both), 8, best, every=0.1)
        except Timeout:
            self.assertFalse(verdict.plain or not verdict.prediction, self.told(both))
            best = "sfu"
            self.assertEqual([self.carries(*end) for end in both], ["sfu"] * 2, self.told(both))
        if verdict.prediction and not verdict.plain:
            self.foretold[best] += 1
        for phone, before in both:
            answered = phone.wait("answered", after=before)
            picture = phone.wait("picture", after=before)
            first = phone.wait("channel", after=before, state="up")
            self.media_ms[first["rung"]].append(1000 * (picture["at"] - answered["at"]))

    @staticmethod
    def carries(phone, before):
        said = [each["rung"] for each in phone.events()[before:]
                if each["event"] == "channel" and each["state"] in ("up", "moved")]
        return said[-1] if said else None

    @staticmethod
    def told(both):
        return "\n".join(phone.said() for phone, _ in both)


class N3_Prediction(LadderTest):
    def test_phones_foretell_the_ports_of_a_nat_that_counts(self):
        self.serve()
        phones = self.join("sequential", "port-restricted")
        self.up(phones, "p2p")
        self.assertEqual(phones[0].wait("reach")["direct"], "prediction")
        self.see_each_other(phones)


class N4_Nodes(LadderTest):
    def test_a_node_where_there_is_no_direct_way(self):
        self.serve()
        node = self.node("n7")
        phones = self.join("symmetric", "symmetric")
        up = self.up(phones, "sfu", "n7")
        self.see_each_other(phones)
        print(f"# over a node in {up[0]['ms']:.0f} and {up[1]['ms']:.0f} ms")
        log = self.log_of(phones)
        self.assertRegex(log, "direct +none: both sides' NATs take another port")
        self.assertRegex(log, "p2p (failed|trying)")
        self.assertRegex(log, "sfu n7 carrying")
        wait_until(lambda: re.search("n7 .* 2/", self.junctor("nodes")), 20, "its legs in the list",
                   every=0.5)
        self.assertNotRegex(node.log(), "refused")
        phones[0].hang_up()
        self.assertEqual(phones[0].ended(), 0)
        phones[1].wait("ended")
        self.heard(phones[0], BOB)
        self.heard(phones[1], ALICE)
        wait_until(lambda: re.search("n7 .* 0/", self.junctor("nodes")), 20, "it to be free again",
                   every=0.5)

    def test_a_server_of_one_address_knows_that_there_is_no_direct_way(self):
        self.serve(addresses=1)
        self.node("n7")
        phones = self.join("symmetric", "symmetric")
        self.up(phones, "sfu", "n7")
        self.assertEqual(phones[0].wait("reach")["direct"], "none")
        since = [phone.wait("picture")["at"] - phone.wait("answered")["at"] for phone in phones]
        print("# first pictures " + " and ".join(f"{1000 * each:.0f}" for each in since) +
              " ms after the answer")
        if FULL:
            self.assertLess(max(since), 0.5)

    def test_what_is_lost_comes_from_the_node(self):
        self.serve()
        node = self.node("n7", "carol", "open", None, "--json")
        phones = self.join("symmetric", "symmetric")
        self.up(phones, "sfu", "n7")
        self.see_each_other(phones)
        # From the node to Bob only: what he misses has reached the node.
        self.lab.hosts["right"].link.loss(0, 0.05)

        def again():
            lines = [json.loads(line) for line in node.log().splitlines() if line.startswith("{")]
            return lines and lines[-1]["retransmitted"]
        wait_until(lambda: again() > 20, 20, "packets to come once more", every=0.5)
        self.sees(phones[1], ALICE)
        print(f"# of 5 % lost from node to client, {again()} packets came once more")

    def test_one_after_the_other(self):
        self.serve()
        self.node("n7")
        phones = self.join("symmetric", "port-restricted", *STRICT)
        up = self.up(phones, "sfu", "n7")
        self.assertGreater(min(each["ms"] for each in up), 800, "the direct way had its whole time")
        self.see_each_other(phones)

    def test_a_node_that_dies_and_another(self):
        self.serve()
        nodes = {name: self.node(name) for name in ("n1", "n2")}
        phones = self.join("symmetric", "symmetric")
        first = phones[0].wait("channel", state="up")["node"]
        self.up(phones, "sfu", first)
        self.see_each_other(phones)
        other = ({"n1", "n2"} - {first}).pop()
        # One that was named as well, and not needed, has not waited for the two.
        for phone in phones:
            phone.wait("rung", rung="p2p", state="failed")
        wait_until(lambda: min(self.lines(phones)) >= 5, 20, "figures", every=0.2)
        since = self.lines(phones)
        nodes[first].send_signal(signal.SIGKILL)
        self.moved(phones, "sfu", other)
        self.see_each_other(phones)
        print("# a node died:", self.pauses(phones, since))

    def test_in_strict_order_the_next_node_and_then_the_relay(self):
        self.serve("--turn", "auto")
        nodes = {name: self.node(name) for name in ("n1", "n2")}
        phones = self.join("symmetric", "symmetric", *STRICT)
        first = phones[0].wait("channel", state="up")["node"]
        self.up(phones, "sfu", first)
        self.see_each_other(phones)
        for name, rung, node in ((first, "sfu", ({"n1", "n2"} - {first}).pop()),
                                 (({"n1", "n2"} - {first}).pop(), "relay", None)):
            since = self.lines(phones)
            nodes[name].send_signal(signal.SIGKILL)
            self.moved(phones, rung, node)
            self.see_each_other(phones)
            print(f"# strict: {name} died, {rung} carries:", self.pauses(phones, since))

    def test_an_owner_stops_a_node(self):
        self.serve()
        nodes = {name: self.node(name) for name in ("n1", "n2")}
        phones = self.join("symmetric", "symmetric")
        first = phones[0].wait("channel", state="up")["node"]
        self.up(phones, "sfu", first)
        self.see_each_other(phones)
        since = self.lines(phones)
        nodes[first].send_signal(signal.SIGINT)
        self.moved(phones, "sfu", ({"n1", "n2"} - {first}).pop())
        self.see_each_other(phones)
        print("# a node stopped:", self.pauses(phones, since))
        # It has not waited for the rest of the time of --drain, 15 s.
        moved = time.monotonic()
        self.assertEqual(nodes[first].wait(6), 0)
        print(f"# it ended {time.monotonic() - moved:.1f} s later")


class N4_RefusingNodes(LadderTest):
    """Who refuses is passed over, for the next node and then for the relay; in both orders."""

    def test_the_nearest_refuses(self):
        self.one_refuses()

    def test_the_nearest_refuses_in_strict_order(self):
        self.one_refuses(*STRICT)

    def one_refuses(self, *order):
        self.serve("--turn", "auto")
        refusing, node = self.refusing_node("n0"), self.node("n1")
        phones = self.join("symmetric", "symmetric", *order)
        self.up(phones, "sfu", "n1")
        self.see_each_other(phones)
        session = phones[0].wait("answered")["session"]
        self.assertEqual(refusing.log().count(f"refused {session}\n"), 1)
        self.assertIn(f"channel {session}: node n0: it refuses: {REASON}", self.serving.log())
        since = self.lines(phones)
        node.send_signal(signal.SIGKILL)
        self.moved(phones, "relay")
        self.see_each_other(phones)
        # It may have room by now: asked once more, and not again and again.
        self.assertLessEqual(refusing.log().count("refused"), 3)
        print("# the only node that does not refuse died:", self.pauses(phones, since))

    def test_what_their_owners_lend_is_in_use(self):
        self.all_in_use()

    def test_what_their_owners_lend_is_in_use_in_strict_order(self):
        self.all_in_use(*STRICT)

    def all_in_use(self, *order):
        self.serve("--turn", "auto")
        nodes = {"n1", "n2"}
        for name in nodes:
            self.node(name, "carol", "open", None, "--max-users", "2")
        calls, used = [], []
        for number in (1, 2):
            calls.append(self.sound_call(number, *order))
            used.append(calls[-1][0].wait("channel", state="up")["node"])
            # The other one, prepared beside it, is let go a second later and says so in one more.
            self.speak_for_a_while(calls[-1])
        self.assertEqual(set(used), nodes)
        for phones, node in zip(calls, used):
            self.up(phones, "sfu", node)
        third = self.sound_call(3, *order)
        self.up(third, "relay")
        self.assertRegex(self.log_of(third), "2 nodes online those .* are full or stopping")
        for phones in (*calls, third):
            self.speak_for_a_while(phones)
            phones[0].hang_up()
            self.assertEqual(phones[0].ended(), 0)
            phones[1].wait("ended")
            self.heard(phones[0], BOB)
            self.heard(phones[1], ALICE)

    def speak_for_a_while(self, phones):
        wait_until(lambda: min(self.lines(phones)) >= 4, 20, "seconds of sound", every=0.2)

    def sound_call(self, number, *order):
        """Between two who have not called yet."""
        phones = []
        for side, identity in (("right", BOB), ("left", ALICE)):
            name = f"{side}-{number}"
            self.account(name)
            call = ("--call", f"right-{number}") if phones else ()
            phones.insert(0, self.phone(name, self.lab.site(name, "symmetric"), *call, "--video",
                                        "off", "--audio", f"test:{TONES[identity]}", "--stats",
                                        *order))
            if not call:
                phones[0].wait("nat")
        return phones


class N4_NodesOutOfReach(LadderTest):
    """A node nearby that one side cannot pass is passed over for a public one, and that, once it is
    gone, for the relay; in both orders."""

    def test_one_whose_nat_is_known_is_not_asked(self):
        self.known()

    def test_one_whose_nat_is_known_is_not_asked_in_strict_order(self):
        self.known(*STRICT)

    def known(self, *order):
        self.serve("--turn", "auto")
        self.node("n1", kind="port-restricted")
        public = self.public_node()
        phones = self.join("symmetric", "symmetric", *order)
        self.public_carries(phones)
        self.assertNotIn("node n1,", self.serving.log())
        self.relay_carries(phones, public)
        self.assertNotIn("node n1,", self.serving.log())

    def test_one_that_does_not_let_in_whom_it_says_is_given_up(self):
        self.told_wrong()

    def test_one_that_does_not_let_in_whom_it_says_is_given_up_in_strict_order(self):
        self.told_wrong(*STRICT)

    def told_wrong(self, *order):
        self.serve("--turn", "auto")
        # To STUN servers alone it is as open as it seems.
        home = self.lab.router("home", Nat(INDEPENDENT, INDEPENDENT))
        self.lab.tool(["nft", "-f", "-"], f"""table ip narrow {{
            chain through {{
              type filter hook forward priority 0
              iifname "wan" ip saddr != {{ {', '.join(self.server.addresses)} }} ct state new drop
            }}
        }}
        """, home)
        node = self.node("n1", host=self.lab.host("n1", home))
        public = self.public_node()
        phones = self.join("symmetric", "port-restricted", *order)
        self.public_carries(phones)
        self.assertRegex(self.serving.log(), r"(?s)node n1, the nearest.*node n2, the nearest")
        self.assertRegex(node.log(), "callee: up at")
        self.assertNotRegex(node.log(), "caller: up at")
        self.relay_carries(phones, public)

    def public_node(self):
        """Further away than others."""
        host = self.lab.host("n2")
        host.link.delay(0.01)
        return self.node("n2", host=host)

    def public_carries(self, phones):
        self.up(phones, "sfu", "n2")
        self.see_each_other(phones)

    def relay_carries(self, phones, gone):
        since = self.lines(phones)
        gone.send_signal(signal.SIGKILL)
        self.moved(phones, "relay")
        self.see_each_other(phones)
        print("# the public node died:", self.pauses(phones, since))


class N7_OneNetwork(LadderTest):
    def test_two_behind_one_symmetric_nat_meet_inside(self):
        self.serve("--turn", "auto")
        self.node("n7")
        home = self.lab.router("home", Nat(ADDRESS_PORT, ADDRESS_PORT))
        sites = [self.lab.host(name, home) for name in ("left", "right")]
        phones = self.join_at(sites)
        for each, one, other in zip(self.up(phones, "p2p"), sites, reversed(sites)):
            ends = [each[end].rsplit(":", 1)[0] for end in ("local", "remote")]
            self.assertEqual(ends, [one.address, other.address])
        why = "both are behind the same NAT, perhaps in one network"
        for phone in phones:
            self.assertEqual(phone.wait("reach", direct="probes")["why"], why)
        self.assertRegex(self.log_of(phones), f"direct +probes: {why}")
        self.see_each_other(phones)


class N7_NodesBehindNats(LadderTest):
    def test_serve_whom_theory_lets_them_reach(self):
        self.serve()
        clients = ("port-restricted", "restricted")
        sites = [self.lab.site(f"client-{kind}", kind) for kind in clients]
        for kind in TYPES if FULL else ("open", "port-restricted", "symmetric", "udp-blocked"):
            with self.subTest(kind):
                node = self.node(f"n-{kind}", kind=kind)
                phones = self.join_at(sites, "--rungs", "sfu", "--timeout", "1500")
                if node_serves(kind, *clients):
                    self.up(phones, "sfu", f"n-{kind}")
                    self.see_each_other(phones)
                else:
                    self.assertEqual(phones[0].ended(30), 1)
                    self.assertRegex(phones[0].events("ended")[0]["detail"], "NATs reach none")
                for phone in phones:
                    phone.stop()
                node.send_signal(signal.SIGINT)
                self.assertEqual(node.wait(30), 0)


class N6_LastResort(LadderTest):
    def test_a_relay_when_the_nodes_are_gone(self):
        self.serve("--turn", "auto")
        node = self.node("n1")
        phones = self.join("symmetric", "symmetric")
        self.up(phones, "sfu", "n1")
        self.see_each_other(phones)
        since = self.lines(phones)
        node.send_signal(signal.SIGKILL)
        self.moved(phones, "relay")
        self.see_each_other(phones)
        print("# the last node died:", self.pauses(phones, since))

    def test_the_relay_dies_and_comes_back(self):
        self.serve("--turn", "auto")
        phones = self.join("symmetric", "symmetric")
        self.up(phones, "relay")
        self.see_each_other(phones)
        # Who does not know how far a relay is, as in its first seconds, gives it more time to answer.
        wait_until(lambda: min(self.lines(phones)) >= 5, 20, "figures", every=0.2)
        since, events = self.lines(phones), [len(each.events()) for each in phones]
        self.server.output(["pkill", "-KILL", "turnserver"])
        for phone, before in zip(phones, events):
            phone.wait("rung", 30, after=before, rung="relay", state="carrying")
        self.see_each_other(phones)
        print("# the relay died and came back:", self.pauses(phones, since))

    def test_a_relay_that_is_far_away_stays_while_nobody_speaks(self):
        self.serve("--turn", "auto")
        sites = [self.lab.site(name, "symmetric") for name in ("left", "right")]
        for site in sites:
            site.link.delay(0.04)
        silent = "--video", "off", "--audio", "off", "--stats"
        bob = self.phone("bob", sites[1], *silent)
        bob.wait("nat")
        phones = self.phone("alice", sites[0], "--call", "bob", *silent), bob
        self.up(phones, "relay")
        # Each end asks each 2.5 s, and takes the way for dead 0.6 s after that.
        since = self.lines(phones)
        wait_until(lambda: all(now >= before + 10 for now, before in zip(self.lines(phones), since)),
                   60, "ten lines of figures", every=0.2)
        for phone in phones:
            self.assertEqual([each["state"] for each in phone.events("channel")], ["trying", "up"])
            last = phone.events("stats")[-1]
            self.assertEqual(last["rung"], "relay")
            self.assertGreaterEqual(last["round_trip_ms"], 80)

    def test_of_two_relays_one_dies(self):
        secret = "of both relays"
        hosts = [self.lab.host(name, addresses=2) for name in ("relay-1", "relay-2")]
        relays = {each.address: Coturn(self.lab, each, secret=secret) for each in hosts}
        file = self.workspace.write("turn.secret", secret, 0o600)
        self.serve("--turn", ",".join(f"turn:{each}:3478?transport=udp" for each in relays),
                   config=f'[turn]\nsecret-file = "{file}"\n')
        phones = self.join("symmetric", "symmetric")
        self.up(phones, "relay")
        self.see_each_other(phones)
        wait_until(lambda: min(self.lines(phones)) >= 5, 20, "figures", every=0.2)
        first = self.relay_of(phones[0])
        since, events = self.lines(phones), [len(each.events()) for each in phones]
        relays.pop(first).kill()
        for phone, before in zip(phones, events):
            phone.wait("rung", 30, after=before, rung="relay", state="carrying")
        self.see_each_other(phones)
        self.assertEqual([self.relay_of(each) for each in phones], list(relays) * 2)
        print("# one of two relays died:", self.pauses(phones, since))

    @staticmethod
    def relay_of(phone):
        """The address of the relay that its media goes by now."""
        return phone.events("stats")[-1]["local"].split(":")[0]

    def test_a_node_that_one_side_cannot_pass_is_not_asked(self):
        self.serve("--turn", "auto")
        self.node("n1", kind="port-restricted")
        phones = self.join("symmetric", "symmetric")
        self.up(phones, "relay")
        self.see_each_other(phones)
        self.assertRegex(self.log_of(phones), "both clients' NATs reach none")

    def test_without_udp_over_tcp_or_tls(self):
        self.serve("--turn", "auto")
        phones = self.join("udp-blocked", "port-restricted")
        self.up(phones, "relay")
        self.see_each_other(phones)

    def test_where_only_tls_passes(self):
        self.serve("--turn", "auto")
        sites = [self.lab.site("left", "udp-blocked"), self.lab.site("right", "udp-blocked")]
        for site in sites:
            self.lab.tool(["nft", "-f", "-"], """table ip narrow {
                chain through {
                  type filter hook forward priority 0
                  tcp dport 3478-3480 drop
                }
            }
            """, site.place)
        phones = self.join_at(sites)
        self.up(phones, "relay")
        self.see_each_other(phones)

    def test_nodes_and_relay_gone_is_a_clear_end(self):
        secret = "of a relay"
        relay = Coturn(self.lab, self.lab.host("relay-1", addresses=2), secret=secret)
        file = self.workspace.write("turn.secret", secret, 0o600)
        self.serve("--turn", f"turn:{relay.host.address}:3478?transport=udp",
                   config=f'[turn]\nsecret-file = "{file}"\n')
        node = self.node("n1")
        phones = self.join("symmetric", "symmetric", "--timeout", "1000")
        self.up(phones, "sfu", "n1")
        node.send_signal(signal.SIGKILL)
        self.moved(phones, "relay")
        relay.kill()
        self.assertEqual(phones[0].ended(60), 1)
        ended = phones[0].events("ended")[0]
        self.assertEqual(ended["reason"], "unreachable")
        self.assertRegex(ended["detail"], "^No way to the peer: relay was lost: .*; relay failed: "
                         "no TURN server gave a relayed address")
        self.assertNotRegex(ended["detail"], r" in \d+ ms(;|$)")

    def test_everything_gone_is_a_clear_end(self):
        self.serve()
        node = self.node("n1")
        phones = self.join("symmetric", "symmetric", "--timeout", "1000")
        self.up(phones, "sfu", "n1")
        node.send_signal(signal.SIGKILL)
        self.assertEqual(phones[0].ended(60), 1)
        ended = phones[0].events("ended")[0]
        self.assertEqual(ended["reason"], "unreachable")
        self.assertRegex(ended["detail"], "n1 was lost")
