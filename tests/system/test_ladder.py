# The NAT ladder: directly, over a node, over a relay. SPDX-License-Identifier: LGPL-2.1-or-later
"""Two phones in the laboratory reach each other by the best rung that their NATs allow; nodes and
relays die in mid-call. Figures are printed."""

import re
import signal

from support.phonelab import ALICE, BOB, PhoneLab
from support.process import wait_until


class LadderTest(PhoneLab):
    def up(self, phones, rung, node=None, guard=30):
        events = [each.wait("channel", guard, state="up") for each in phones]
        for each in events:
            self.assertEqual((each["rung"], each["node"] or None), (rung, node))
        return events

    def moved(self, phones, rung, node=None):
        """Both carry on by another rung."""
        def there(phone):
            last = [each for each in phone.events("channel") if each["state"] in ("up", "moved")][-1]
            return (last["rung"], last["node"] or None) == (rung, node)
        wait_until(lambda: all(map(there, phones)), 30, f"{rung} {node or ''} at both", every=0.1)

    def see_each_other(self, phones):
        alice, bob = phones
        self.sees(alice, BOB)
        self.sees(bob, ALICE)

    def pauses(self, phones, since):
        """The longest silence of each, in ms, in the lines of figures from `since` on."""
        return [max(each["longest_pause_ms"] for each in phone.events("stats")[first:])
                for phone, first in zip(phones, since)]

    def lines(self, phones):
        return [len(each.events("stats")) for each in phones]

    def log_of(self, phones):
        return self.junctor("channels", phones[0].wait("answered")["session"])


class N4_Nodes(LadderTest):
    def test_a_node_where_there_is_no_direct_way(self):
        self.serve()
        node = self.node("n7")
        phones = self.join("symmetric", "symmetric")
        up = self.up(phones, "sfu", "n7")
        self.see_each_other(phones)
        print(f"# over a node in {up[0]['ms']:.0f} and {up[1]['ms']:.0f} ms")
        log = self.log_of(phones)
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

    def test_one_after_the_other(self):
        self.serve()
        self.node("n7")
        phones = self.join("symmetric", "port-restricted", "--ladder", "strict", "--timeout", "800")
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
        since = self.lines(phones)
        nodes[first].send_signal(signal.SIGKILL)
        self.moved(phones, "sfu", other)
        self.see_each_other(phones)
        print("# a node died: silence of {:.0f} and {:.0f} ms".format(*self.pauses(phones, since)))

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
        print("# a node stopped: silence of {:.0f} and {:.0f} ms".format(*self.pauses(phones, since)))
        self.assertEqual(nodes[first].wait(30), 0)


class N6_LastResort(LadderTest):
    def test_a_relay_when_the_nodes_are_gone(self):
        self.serve("--turn", "auto", config=self.relay_config())
        node = self.node("n1")
        phones = self.join("symmetric", "symmetric")
        self.up(phones, "sfu", "n1")
        self.see_each_other(phones)
        since = self.lines(phones)
        node.send_signal(signal.SIGKILL)
        self.moved(phones, "relay")
        self.see_each_other(phones)
        print("# the last node died: silence of {:.0f} and {:.0f} ms".format(
            *self.pauses(phones, since)))

    def test_a_node_that_one_side_cannot_pass_is_not_asked(self):
        self.serve("--turn", "auto", config=self.relay_config())
        self.node("n1", kind="port-restricted")
        phones = self.join("symmetric", "symmetric")
        self.up(phones, "relay")
        self.see_each_other(phones)
        self.assertRegex(self.log_of(phones), "both clients' NATs reach none")

    def test_without_udp_over_tcp_or_tls(self):
        self.serve("--turn", "auto", config=self.relay_config())
        phones = self.join("udp-blocked", "port-restricted")
        self.up(phones, "relay")
        self.see_each_other(phones)

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
