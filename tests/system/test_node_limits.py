# N7: what an owner allows, while the node carries a call. SPDX-License-Identifier: LGPL-2.1-or-later
"""A node whose bytes are used up."""
from support.case import FULL
from support.ladderlab import LadderTest


class N7_Limits(LadderTest):
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
        self.see_each_other(phones)
        self.assertTrue(other.running())
        print("# its bytes were used up:", self.pauses(phones, [1, 1]))
