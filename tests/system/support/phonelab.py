# Phones in a laboratory of NATs, with a server on its internet. SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re

from .case import SystemTest
from .junctor import environment
from .labcase import InLaboratory
from .media import mark_of
from .phone import JUNCTOR, Phone, film
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
        first, second = (self.mark(phone) for _ in range(2))
        self.assertEqual((first[0], second[0]), (identity, identity))
        self.assertGreater(second[1], first[1])

    def mark(self, phone):
        def look():
            return mark_of(phone.picture())
        return wait_until(look, 20, f"a mark in the picture at {phone.name}", every=0.2)

    def heard(self, phone, identity):
        """After its end: most of what it saved is the other's tone."""
        samples, rate = read_wav(phone.sound)
        self.assertGreater(len(samples) / rate, 1)
        self.assertGreater(share_with_tone(samples[-rate:], rate, TONES[identity]), 0.8)


class PhoneLab(InLaboratory, PhoneTest):
    """No tests of its own."""

    def serve(self, *flags, config=""):
        self.server = self.lab.host("public", addresses=2)
        config += f'[stun]\nalternate = "{self.server.addresses[1]}:3479"\n'
        path = self.workspace.write("public.toml", config)
        self.data = os.path.dirname(self.workspace.file("public-data", "x"))
        os.chmod(self.data, 0o700)
        self.server.run([JUNCTOR, "serve", "--data-dir", self.data, "--config", path, "--rtmp",
                         "off", "--sip", "off", "--stun", f"{self.server.address}:3478", "--http",
                         "127.0.0.1:8080", "--https", f"{self.server.address}:8443", *flags],
                        env=environment()).wait_log("STUN ")
        self.tokens = {}
        for name in ("alice", "bob"):
            self.account(name)

    def junctor(self, *arguments):
        return self.server.output([JUNCTOR, *arguments, "--data-dir", self.data],
                                  env=environment())

    def account(self, name):
        done = self.junctor("account", "add", name)
        self.tokens[name] = re.search(r"^token +(\S+)", done, re.MULTILINE)[1]

    def phone(self, name, site, *arguments, log=None):
        return self.start(Phone(
            self.workspace, name, f"https://{self.server.address}:8443", self.tokens[name], "--ca",
            os.path.join(self.data, "tls-cert.pem"), *arguments, host=site, log=log))

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

    def node(self, name, account="carol", kind="open", host=None, *arguments):
        """A device that is lent, once it serves: at a site of this type, or at a host."""
        host = host or self.lab.site(name, kind)
        if account not in self.tokens:
            self.account(account)
        token = self.workspace.write(f"{name}.token", self.tokens[account], 0o600)
        process = host.run([JUNCTOR, "node", "--url", f"https://{self.server.address}:8443",
                            "--token-file", token, "--ca", os.path.join(self.data, "tls-cert.pem"),
                            "--name", name, "--every", "1", *arguments],
                           env=environment(), name=name)
        wait_until(lambda: re.search(rf"^{name} (?!.*NAT not known)", self.junctor("nodes"),
                                     re.MULTILINE), 30, f"node {name} to have told its NAT", every=0.2)
        return process
