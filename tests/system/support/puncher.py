# The least that punches through NATs. SPDX-License-Identifier: LGPL-2.1-or-later
"""As a program, `puncher.py SERVER PORT OTHER-SERVER`, it asks a STUN server for its external
address and prints a line {"external": [address, port] or null, "ports": those taken, in order}.
Then it reads a line {"external": …, "ports": …, "way": …, "seconds": …} of the peer's, punches for
so long, and prints {"reached": [address, port] or null, "ms": until then, "sent": probes}.

Ways: `plain`; `prediction`: the peer's next ports, if they follow one another; `open`: from many
sockets at once, `guess`: at random ports, which belong together.

Each probe carries a word that both sides share, an answer carries it back. As a module, punch()
lets two hosts of a laboratory do so."""

import json
import os
import random
import select
import socket
import struct
import subprocess
import sys
import time

_PACE = 0.02
_PREDICTED, _LARGEST_STEP = 8, 16
_SOCKETS, _GUESSES = 256, 2048


class Puncher:
    def __init__(self, word):
        self._word = word
        self._sockets = [self._socket()]
        self.reached, self.sent, self.began = None, 0, 0.0

    @property
    def first(self):
        return self._sockets[0]

    @staticmethod
    def _socket():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("0.0.0.0", 0))
        return made

    def _send(self, sock, kind, target):
        try:
            sock.sendto(kind + self._word, target)
        except OSError:
            pass            # a network that is gone for the moment; the next probe will tell

    def _hear(self, until):
        """Answers probes and takes answers. A probe from elsewhere than expected is answered where
        it came from, and that is the address to use."""
        found = []
        while True:
            left = max(0.0, until - time.monotonic())
            ready = select.select(self._sockets, [], [], left)[0]
            for sock in ready:
                try:
                    data, source = sock.recvfrom(100)
                except OSError:
                    continue
                if data == b"P" + self._word:
                    self._send(sock, b"A", source)
                    found.append((sock, source))
                elif data == b"A" + self._word and self.reached is None:
                    self.reached = source, (time.monotonic() - self.began) * 1000
            if not ready:
                return found

    def punch(self, peer, way, seconds):
        self.began = time.monotonic()
        targets = candidates(peer, way)
        if way == "open":
            self._sockets += [self._socket() for _ in range(_SOCKETS - 1)]
        pairs = [(sock, target) for sock in self._sockets for target in targets]
        guesses = random.sample(range(1024, 65536), _GUESSES) if way == "guess" else []
        end, lingers = self.began + seconds, None
        while time.monotonic() < (lingers or end):
            if self.reached is None:
                for sock, target in pairs:
                    self._send(sock, b"P", target)
                    self.sent += 1
            elif lingers is None:
                # The peer may still need an answer.
                lingers = min(end, time.monotonic() + 0.3)
            turn = time.monotonic() + _PACE
            while guesses and time.monotonic() < turn and self.reached is None:
                self._send(self.first, b"P", (targets[0][0], guesses.pop()))
                self.sent += 1
                pairs += self._hear(time.monotonic() + 0.0005)
            new = [pair for pair in self._hear(turn) if pair not in pairs]
            pairs += new[:10]
            # A probe that came shows the way at once; no need to wait for the next turn.
            for sock, target in new[:10]:
                self._send(sock, b"P", target)


def candidates(peer, way):
    if peer["external"] is None:
        return []
    host, port = peer["external"]
    ports = peer["ports"]
    step = ports[-1] - ports[-2] if len(ports) > 1 else 0
    if way == "prediction" and 0 < step <= _LARGEST_STEP:
        return [(host, ports[-1] + step * index) for index in range(1, _PREDICTED + 1)]
    return [(host, port)]


def external(sock, server):
    """What a STUN server sees of a socket, or None."""
    for _ in range(4):
        identifier = os.urandom(12)
        sock.sendto(struct.pack("!HHI", 1, 0, 0x2112a442) + identifier, server)
        sock.settimeout(0.35)
        try:
            data = sock.recv(2048)
        except OSError:
            continue
        at = data.find(struct.pack("!HHBB", 0x20, 8, 0, 1))
        if data[8:20] == identifier and at > 0:
            port, number = struct.unpack_from("!HI", data, at + 6)
            return [socket.inet_ntoa(struct.pack("!I", number ^ 0x2112a442)), port ^ 0x2112]
    return None


def _main(server, port, other):
    puncher = Puncher(b"word of two")
    mine = external(puncher.first, (server, int(port)))
    second = external(puncher.first, (other, int(port))) if mine else None
    taken = [each[1] for each in (mine, second) if each]
    print(json.dumps({"external": mine, "ports": taken}), flush=True)
    told = json.loads(sys.stdin.readline())
    puncher.punch(told, told["way"], told["seconds"])
    reached, took = puncher.reached or (None, None)
    print(json.dumps({"reached": reached, "ms": took, "sent": puncher.sent}), flush=True)


def punch(lab, server, left, right, ways=("plain", "plain"), seconds=3.0):
    """Lets two hosts punch to each other with the help of a host with two addresses that runs
    coturn; returns what each says at the end."""
    own = os.path.abspath(__file__)
    programs = [lab.run(host, [sys.executable, "-IS", own, server.address, "3478",
                               server.addresses[1]],
                        name="puncher", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                for host in (left, right)]
    try:
        said = [json.loads(each.popen.stdout.readline()) for each in programs]
        for each, peer, way in zip(programs, reversed(said), ways):
            each.popen.stdin.write(json.dumps({**peer, "way": way, "seconds": seconds}).encode()
                                   + b"\n")
            each.popen.stdin.flush()
        return [json.loads(each.popen.stdout.readline()) for each in programs]
    finally:
        for each in programs:
            each.kill()
            each.popen.stdin.close()
            each.popen.stdout.close()


if __name__ == "__main__":
    _main(*sys.argv[1:4])
