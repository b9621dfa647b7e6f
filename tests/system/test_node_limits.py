# N7: what an owner allows, while the node carries a call. SPDX-License-Identifier: LGPL-2.1-or-later
"""A node whose bytes are used up."""
from support.case import FULL
from support.phonelab import ALICE, BOB, PhoneLab
from support.process import wait_until


class N7_Limits(PhoneLab):
    def test_a_node_whose_bytes_are_used_up_lets_its_call_move_and_ends(self):
        most = 1_000_000 if FULL else 100_000
        self.serve()
        near, far = (self.lab.host(name) for name in ("near", "far"))
        far.link.delay(0.01)
        # The server would let go of it ten seconds after the call has moved.
        used = self.node("near", "carol", None, near, "--max-bytes", f"{most // 1000}k", "--drain",
                         "2")
        other = self.node("far", "carol", None, far)
        phones = self.join("symmetric", "symmetric")
        for phone in phones:
            self.assertEqual(phone.wait("channel", 30, state="up")["node"], "near")
        for phone in phones:
            phone.wait("channel", 40, state="moved", rung="sfu", node="far")
        self.assertEqual(used.wait(20), 1)
        why = f"the {most} bytes that it may forward are used up"
        self.assertIn(f"rests: {why}\n", used.log())
        self.assertIn(f"\njunctor: {why}\n", used.log())
        self.assertNotRegex(self.junctor("nodes"), "(?m)^near (?!.*takes nothing new)")
        alice, bob = phones
        for phone, identity in ((alice, BOB), (bob, ALICE)):
            # Pictures that need what the move has lost stand until one comes that stands alone.
            before = self.mark(phone)
            wait_until(lambda: self.mark(phone)[1] > before[1], 20,
                       f"later pictures at {phone.name}", every=0.5)
            self.sees(phone, identity)
        self.assertTrue(other.running())
        pauses = [max(each["longest_pause_ms"] for each in phone.events("stats")[1:])
                  for phone in phones]
        print("# its bytes were used up: silence of {:.0f} and {:.0f} ms".format(*pauses))
        if FULL:
            self.assertLess(max(pauses), 1000)
