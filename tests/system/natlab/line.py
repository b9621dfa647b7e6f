# A line with delay between two interfaces. SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: line.py INTERFACE INTERFACE

What comes in at one goes out at the other after the delay, in order. Commands on standard input:
`delay SECONDS`, `pause`, `resume`; each is answered with `done`. Kernels without netem are the
reason; it carries some thousands of packets a second."""

import collections
import errno
import fcntl
import os
import select
import socket
import sys
import time

# From linux/if_packet.h.
_PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING = 15, 23
_SOL_PACKET = 263
_ALL = 3                                                        # ETH_P_ALL
_WAITING = 20000                                                # packets each way


def opened(interface):
    """A packet socket. The header in front of each packet keeps what the kernel put off: checksums
    and the cutting of large segments."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    made.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    made.setblocking(False)
    made.bind((interface, _ALL))
    return made


class Line:
    def __init__(self, first, second):
        one, other = opened(first), opened(second)
        self.ways = {one: (other, collections.deque(maxlen=_WAITING)),
                     other: (one, collections.deque(maxlen=_WAITING))}
        self.delay, self.paused = 0.0, False

    def take(self, source):
        queue = self.ways[source][1]
        for _ in range(64):
            try:
                data = source.recv(1 << 17)
            except OSError as error:
                # An interface that is down tells so once, and again when it comes up.
                if error.errno not in (errno.EAGAIN, errno.ENETDOWN):
                    raise
                return
            queue.append((time.monotonic() + self.delay, data))

    def give(self):
        now = time.monotonic()
        for out, queue in self.ways.values():
            while queue and queue[0][0] <= now:
                try:
                    out.send(queue.popleft()[1])
                except OSError:
                    pass                                        # lost, as on any line that is full

    def due(self):
        heads = [queue[0][0] for _, queue in self.ways.values() if queue]
        if self.paused or not heads:
            return None
        return max(0.0, min(heads) - time.monotonic())

    def command(self, words):
        if words[0] == "delay":
            self.delay = float(words[1])
        elif words[0] in ("pause", "resume"):
            self.paused = words[0] == "pause"
        else:
            raise ValueError(f"no such command: {words[0]}")
        print("done", flush=True)


def main():
    line = Line(*sys.argv[1:3])
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_NONBLOCK)
    print("ready", flush=True)
    while True:
        # select, for epoll from here would wait in whole milliseconds.
        ready = select.select([0, *line.ways], [], [], line.due())[0]
        if 0 in ready:
            commands = os.read(0, 4096)
            if not commands:
                return
            for each in commands.decode("ascii").splitlines():
                line.command(each.split())
        for source in ready:
            if source != 0:
                line.take(source)
        if not line.paused:
            line.give()


main()
