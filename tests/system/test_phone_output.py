# N3: what `junctor phone` prints for people. SPDX-License-Identifier: LGPL-2.1-or-later
"""The lines are those that the documents show; pictures come by themselves."""
import glob
import os
import re
import statistics

from support.case import FULL
from support.junctor import SOURCE
from support.media import mark_of
from support.phonelab import ALICE, BOB, PhoneLab
from support.process import wait_until

# What differs from call to call in what a document shows: fingerprints, ends, times and counts.
_CHANGING = [r"[0-9a-f]{4}(?: [0-9a-f]{4}){3}", r"\d+(?:\.\d+){3}:\d+",
             r"\b\d+(?:\.\d)?(?= (?:ms|s|kB)\b)", r"(?<=lost )\d+", r"(?<=pictures )\d+"]
_STATS = re.compile(r"(\d+) s  p2p  round trip (\d+(?:\.\d)?) ms  sent (\d+) kB  received (\d+) kB  "
                    r"lost \d+  pictures (\d+)")


def as_documented(line):
    """A pattern of what is like this line."""
    pattern, at = "", 0
    for found in re.finditer("|".join(f"({each})" for each in _CHANGING), line):
        pattern += re.escape(line[at:found.start()]) + _CHANGING[found.lastindex - 1]
        at = found.end()
    return re.compile(pattern + re.escape(line[at:]))


class N3_Output(PhoneLab):
    def shown(self):
        """The lines that the document shows of a call."""
        with open(os.path.join(SOURCE, "docs", "operations.md"), encoding="utf-8") as file:
            blocks = re.findall(r"^```\w*\n(.*?)^```", file.read(), re.DOTALL | re.MULTILINE)
        return next(each for each in blocks if "fingerprint" in each).splitlines()

    def test_the_lines_are_those_of_the_document(self):
        self.serve()
        self.node("n7")
        sites = [self.lab.site(name, "symmetric") for name in ("left", "right")]
        bob = self.phone("bob", sites[1])
        bob.wait("nat")
        alice = self.phone("alice", sites[0], "--call", "bob", "--stats", words=True)
        patterns = [as_documented(line) for line in self.shown()]
        self.assertGreater(len(patterns), 5)

        def missing():
            """The first that has not come, behind those before it."""
            lines = iter(alice.lines())
            return next((each.pattern for each in patterns
                         if not any(each.fullmatch(line) for line in lines)), None)
        wait_until(lambda: not missing() or not alice.process.running(), 20,
                   "the lines of the document", every=0.2)
        self.assertIsNone(missing(), alice.said())

    def test_ways_figures_and_pictures(self):
        self.serve()
        sites = [self.lab.site(name, "port-restricted") for name in ("left", "right")]
        bob = self.phone("bob", sites[1], *self.media_of(BOB, "BOB"), words=True)
        self.line(bob, "this machine: behind a NAT .*")
        alice = self.phone("alice", sites[0], "--call", "bob", *self.media_of(ALICE, "ALICE"),
                           "--stats", "--save-every", "1", words=True)
        count = 12 if FULL else 3
        wait_until(lambda: len(self.pictures(alice)) >= count and
                   len(self.figures(alice)) >= count, 40, "pictures and figures", every=0.2)
        alice.hang_up()
        self.assertEqual(alice.ended(), 0)
        for each, calls in ((alice, ("calling bob", "ringing at 1 device", "bob answers")),
                            (bob, ("alice calls", "answered"))):
            for line in (f"connected as {each.name}", *calls, "direct way: probes: .+",
                         "channel trying", "first picture, .* ms after the start",
                         r"channel up by p2p in \S+ ms, \S+:\d+ to \S+:\d+",
                         *(rf"  \S+ ms: p2p {state}" for state in ("trying", "up", "carrying")),
                         "ended: caller-hangup: The caller hung up."):
                with self.subTest(f"{each.name}: {line}"):
                    self.line(each, line)
            self.assertNotIn("{", "".join(each.lines()), "JSON is for programs")
        self.assertEqual(*(self.line(each, "fingerprint .*: the same at both ends, .*")
                           for each in (alice, bob)))
        self.assertEqual([each for each in bob.lines() if _STATS.fullmatch(each)], [],
                         "figures are for who asks for them")
        self.check_figures(self.figures(alice))
        self.check_pictures(alice)

    @staticmethod
    def line(phone, pattern):
        """The first that is like this."""
        return wait_until(lambda: next((each for each in phone.lines()
                                        if re.fullmatch(pattern, each)), None), 20,
                          f"/{pattern}/ at {phone.name}", every=0.05)

    @staticmethod
    def figures(phone):
        """(seconds, round trip, sent, received, pictures) of each line."""
        found = [_STATS.fullmatch(each) for each in phone.lines()]
        return [tuple(float(value) for value in each.groups()) for each in found if each]

    @staticmethod
    def pictures(phone):
        return [each.removeprefix("saved ") for each in phone.lines() if each.startswith("saved ")]

    def check_figures(self, figures):
        """A line each second, which no busy machine makes two of."""
        seconds = [each[0] for each in figures]
        steps = [later - earlier for earlier, later in zip(seconds, seconds[1:])]
        self.assertGreaterEqual(min(steps), 1, seconds)
        self.assertEqual(statistics.median(steps), 1, seconds)
        if FULL:
            self.assertLessEqual(max(steps), 2, seconds)
        for value in zip(*figures):
            self.assertGreater(statistics.median(value), 0, figures)

    def check_pictures(self, phone):
        """One by one, each a later one of the peer's."""
        saved = self.pictures(phone)
        self.assertEqual([os.path.basename(each) for each in saved],
                         [f"picture-{number:04}.png" for number in range(1, len(saved) + 1)])
        self.assertEqual(sorted(saved), sorted(glob.glob(os.path.join(phone.pictures, "*"))))
        marks = [mark_of(each) for each in saved]
        self.assertEqual({identity for identity, _ in marks}, {BOB})
        counters = [counter for _, counter in marks]
        self.assertEqual(sorted(counters), counters)
        self.assertGreater(len(set(counters)), len(counters) / 2)
