# Phones in a laboratory of NATs, with a server on its internet. SPDX-License-Identifier: LGPL-2.1-or-later
from .case import SystemTest
from .labcase import InLaboratory
from .labserver import LabServer
from .media import mark_of
from .phone import film
from .process import wait_until
from .tones import read_wav, share_with_tone

ALICE, BOB = 11, 22
TONES = {ALICE: 440, BOB: 1000}


class PhoneTest(SystemTest):
    def media_of(self, identity, name):
        return ("--video", film(self.workspace, identity, name), "--audio",
                f"test:{TONES[identity]}")

    def sees(self, phone, identity):
        """Pictures of this identity, and a later one each time."""
        first = self.mark(phone)
        second = self.mark(phone, but=first)
        self.assertEqual((first[0], second[0]), (identity, identity))
        self.assertGreater(second[1], first[1])

    def mark(self, phone, but=None):
        def look():
            found = mark_of(phone.picture())
            return found if found != but else None
        return wait_until(look, 20, f"a mark in the picture at {phone.name}"
                          + (" but the one before" if but else ""), every=0.2)

    def heard(self, phone, identity):
        """After its end: most of what it saved is the other's tone."""
        samples, rate = read_wav(phone.sound)
        self.assertGreater(len(samples) / rate, 1)
        self.assertGreater(share_with_tone(samples[-rate:], rate, TONES[identity]), 0.8)


class PhoneLab(LabServer, InLaboratory, PhoneTest):
    """No tests of its own."""

    def join(self, left, right, *arguments):
        """A call between phones at sites of these types."""
        return self.join_at([self.lab.site(name, kind)
                             for name, kind in (("left", left), ("right", right))], *arguments)

    def join_at(self, sites, *arguments):
        bob = self.phone("bob", sites[1], *self.media_of(BOB, "BOB"), "--stats", *arguments)
        bob.wait("nat")
        alice = self.phone("alice", sites[0], "--call", "bob", *self.media_of(ALICE, "ALICE"),
                           "--stats", *arguments)
        return alice, bob
