# N3 and N6: what `junctor phone` is told about its ways. SPDX-License-Identifier: LGPL-2.1-or-later
"""Many sockets against a NAT that takes ports by chance; how long a relay leaves media to nodes."""
from support.phonelab import ALICE, BOB, TONES, PhoneLab
from support.process import wait_until


class WaysTest(PhoneLab):
    def talk(self, number, kinds, *arguments):
        """A call with sound, each time by other programs at the same sites."""
        if number == 0:
            self.sites = [self.lab.site(name, kind) for name, kind in zip(("left", "right"), kinds)]
        both = "--video", "off", "--stats", *arguments
        bob = self.phone("bob", self.sites[1], "--audio", f"test:{TONES[BOB]}", *both,
                         log=f"bob-{number}")
        bob.wait("nat")
        return self.phone("alice", self.sites[0], "--call", "bob", "--audio",
                          f"test:{TONES[ALICE]}", *both, log=f"alice-{number}"), bob

    def end(self, phones):
        for each in phones:
            each.hang_up()
            each.ended()


class N3_ManySockets(WaysTest):
    def test_phones_meet_a_random_port(self):
        self.serve()
        # Each has a chance of 98 %.
        for number in range(3):
            phones = self.talk(number, ("symmetric", "port-restricted"), "--rungs", "p2p",
                               "--many-sockets")
            self.assertEqual(phones[0].wait("reach")["direct"], "many-sockets")
            wait_until(lambda: phones[0].events("ended") or all(  # noqa: B023
                any(each["state"] == "up" for each in phone.events("channel"))
                for phone in phones), 20, "a way, or none", every=0.1)  # noqa: B023
            if not phones[0].events("ended"):
                break
            self.end(phones)
        alice, bob = phones
        self.assertEqual([each.wait("channel", state="up")["rung"] for each in phones],
                         ["p2p"] * 2)
        wait_until(lambda: min(len(each.events("stats")) for each in phones) >= 3, 20,
                   "seconds of sound", every=0.2)
        self.end(phones)
        self.heard(alice, BOB)
        self.heard(bob, ALICE)


class N6_HeadStart(WaysTest):
    def test_a_relay_leaves_media_to_nodes_for_as_long_as_it_is_told(self):
        self.serve("--turn", "auto")
        host = self.lab.host("n1")
        self.node("n1", "carol", None, host)
        # Now a relay is there long before it is.
        host.link.delay(0.25)
        for number, (most, first) in enumerate((("0", "relay"), ("10000", "sfu"))):
            with self.subTest(most):
                phones = self.talk(number, ("symmetric", "symmetric"), "--head-start", most)
                for each in phones:
                    self.assertEqual(each.wait("channel", state="up")["rung"], first)
                    # Who is worse carries until the better one is there.
                    if first == "relay":
                        each.wait("channel", state="moved", rung="sfu", node="n1")
                self.end(phones)
