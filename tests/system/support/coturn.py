# coturn as somebody else's STUN server. SPDX-License-Identifier: LGPL-2.1-or-later
"""With two addresses and two ports, as RFC 5780 wants it."""

import socket

from .process import Process, wait_until

PORT, OTHER_PORT = 3478, 3479


class Coturn:
    """coturn in a host of a laboratory that has two addresses; with `relay` it has the account
    user, password secret, and `relay_url` names it; with `secret` it takes what is made from that
    by the REST scheme."""

    def __init__(self, lab, host, relay=False, secret=None):
        self.host = host
        self.relay_url = f"turn://user:secret@{host.address}:{PORT}?transport=udp"
        kind = ["--stun-only"]
        if relay or secret:
            kind = [*(["--use-auth-secret", f"--static-auth-secret={secret}"] if secret else
                      ["-a", "-u", "user:secret"]), "-r", "laboratory", f"-E{host.address}",
                    "--min-port=50000", "--max-port=50999"]
        self.server = host.address, PORT
        path = lab.workspace.file("coturn", "turnserver.log")
        self._process: Process = lab.run(
            host, ["turnserver", "-n", *(f"-L{each}" for each in host.addresses),
                   "-p", str(PORT), f"--alt-listening-port={OTHER_PORT}", *kind,
                   "--no-tls", "--no-dtls", "--no-cli", "--log-file=stdout", "--simple-log",
                   f"--pidfile={path}.pid", f"--userdb={path}.db"], log=path)
        wait_until(self._listens, what="coturn to listen on two addresses and two ports")

    def _listens(self):
        """Its threads open their sockets one after another."""
        if not self._process.running():
            raise AssertionError(f"coturn ended:\n{self._process.tail()}")
        bound = self.host.lab.script("cat /proc/net/udp", self.host)
        ends = {(socket.inet_aton(each)[::-1].hex().upper(), port)
                for each in self.host.addresses for port in (PORT, OTHER_PORT)}
        return all(f" {address}:{port:04X} " in bound for address, port in ends)

    def stop(self):
        self._process.stop()

    def kill(self):
        self._process.kill()
