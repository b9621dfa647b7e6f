# `junctor serve` in a laboratory of NATs. SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
import sys

from . import refusingnode
from .junctor import environment
from .phone import JUNCTOR, Phone
from .process import wait_until


class LabServer:
    """The program on a public host, and phones and nodes that know it. For classes that have a
    `lab`, a `workspace`, addCleanup() and start(), which remembers what is to be stopped."""

    def serve(self, *flags, config="", addresses=2):
        self.server = self.lab.host("public", addresses=addresses)
        if addresses == 2:
            config += f'[stun]\nalternate = "{self.server.addresses[1]}:3479"\n'
        path = self.workspace.write("public.toml", config)
        self.data = os.path.dirname(self.workspace.file("public-data", "x"))
        os.chmod(self.data, 0o700)
        self._argv = [
            JUNCTOR, "serve", "--data-dir", self.data, "--config", path, "--rtmp", "off", "--sip",
            "off", "--stun", f"{self.server.address}:3478", "--http", "127.0.0.1:8080", "--https",
            f"{self.server.address}:8443", *flags]
        self.serve_again()
        self.tokens = {}
        for name in ("alice", "bob"):
            self.account(name)

    def serve_again(self):
        """After its end, as it was: it remembers accounts, and no call."""
        self.serving = self.server.run(self._argv, env=environment(), name="serve")
        self.addCleanup(self.serving.stop_soundly)
        self.serving.wait_log("STUN ")

    @property
    def certificate(self):
        return os.path.join(self.data, "tls-cert.pem")

    def junctor(self, *arguments):
        return self.server.output([JUNCTOR, *arguments, "--data-dir", self.data],
                                  env=environment())

    def account(self, name):
        done = self.junctor("account", "add", name)
        self.tokens[name] = re.search(r"^token +(\S+)", done, re.MULTILINE)[1]

    def phone(self, name, site, *arguments, **more):
        return self.start(Phone(
            self.workspace, name, f"https://{self.server.address}:8443", self.tokens[name], "--ca",
            self.certificate, *arguments, host=site, **more))

    def token_file(self, name, account):
        if account not in self.tokens:
            self.account(account)
        return self.workspace.write(f"{name}.token", self.tokens[account], 0o600)

    def node(self, name, account="carol", kind="open", host=None, *arguments):
        """A device that is lent, once it serves: at a site of this type, or at a host."""
        process = self.run_node(name, account, host or self.lab.site(name, kind), *arguments)
        self._listed(rf"{name} (?!.*NAT not known)", f"node {name} to have told its NAT")
        return process

    def run_node(self, name, account, host, *arguments):
        """One that need not be taken."""
        return host.run([JUNCTOR, "node", "--url", f"https://{self.server.address}:8443",
                         "--token-file", self.token_file(name, account), "--ca",
                         self.certificate, "--name", name, "--every", "1", *arguments],
                        env=environment(), name=name)

    def refusing_node(self, name, account="carol"):
        """One that is asked first, and takes nothing."""
        process = self.lab.host(name).run(
            [sys.executable, refusingnode.PROGRAM, name, self.server.address, "8443",
             self.token_file(name, account), self.certificate], name=name)
        self._listed(name + " ", f"{name} to be listed")
        return process

    def _listed(self, pattern, what):
        wait_until(lambda: re.search("^" + pattern, self.junctor("nodes"), re.MULTILINE), 30, what,
                   every=0.2)
