# Calls in a laboratory of NATs, and the way that carries them. SPDX-License-Identifier: LGPL-2.1-or-later
import typing

from .case import FULL
from .phonelab import ALICE, BOB, PhoneLab
from .process import wait_until


class Pauses(typing.NamedTuple):
    """In ms, of each phone."""
    silence: list
    still: list

    def __str__(self):
        return ("silence of {:.0f} and {:.0f} ms, pictures stood for {:.0f} and {:.0f} ms"
                .format(*self.silence, *self.still))


class LadderTest(PhoneLab):
    """No tests of its own."""

    def up(self, phones, rung, node=None, guard=30):
        events = [each.wait("channel", guard, state="up") for each in phones]
        for each in events:
            self.assertEqual((each["rung"], each["node"] or None), (rung, node))
        return events

    def moved(self, phones, rung, node=None, guard=30):
        """Both carry on by another rung."""
        def there(phone):
            last = [each for each in phone.events("channel") if each["state"] in ("up", "moved")][-1]
            return (last["rung"], last["node"] or None) == (rung, node)
        wait_until(lambda: all(map(there, phones)), guard, f"{rung} {node or ''} at both", every=0.1)

    def see_each_other(self, phones):
        alice, bob = phones
        self.sees(alice, BOB)
        self.sees(bob, ALICE)

    def pauses(self, phones, since, change=0.0, most=1000):
        """How long nothing came to each and its picture stood, in the lines of figures from `since`
        on, once all is well again. `change`: for so long, in seconds, the laboratory itself was at
        work. `most`: of the first, in ms, with --full."""
        # The line that tells of a silence comes up to a second after its end.
        self.figures(phones)
        silence, still = ([max(each[figure] for each in phone.events("stats")[first:])
                           - 1000 * change for phone, first in zip(phones, since)]
                          for figure in ("longest_pause_ms", "longest_still_ms"))
        if FULL:
            self.assertLess(max(silence), most)
            self.assertLess(max(still), most + 500)
        return Pauses(silence, still)

    def figures(self, phones, more=1):
        """Waits until each has said `more` lines of figures; how many it has."""
        before = self.lines(phones)
        wait_until(lambda: all(now >= one + more for now, one in zip(self.lines(phones), before)),
                   20 + more, f"{more} lines of figures", every=0.1)
        return self.lines(phones)

    def lines(self, phones):
        return [len(each.events("stats")) for each in phones]

    def log_of(self, phones):
        return self.junctor("channels", phones[0].wait("answered")["session"])
