# Packets to measure a network with. SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: traffic.py echo ADDRESS PORT              answers every packet; ADDRESS: 0.0.0.0 or ::
          traffic.py ping HOST PORT COUNT GAP     prints round trips in ms, null where none came
          traffic.py send HOST PORT COUNT GAP SIZE

GAP is in seconds. Round trips are taken by the clock of the one that asks, answers may be late."""

import json
import select
import socket
import struct
import sys
import time

_GRACE = 1.0


def udp(address):
    """A socket for packets to or at a numeric address."""
    return socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)


def echo(address, port):
    with udp(address) as sock:
        sock.bind((address, int(port)))
        print("ready", flush=True)
        while True:
            data, source = sock.recvfrom(2048)
            sock.sendto(data, source)


def ping(host, port, count, gap):
    sent, took = {}, {}
    with udp(host) as sock:
        sock.setblocking(False)

        def hear(until):
            while len(took) < int(count):
                left = max(0.0, until - time.monotonic())
                if not select.select([sock], [], [], left)[0]:
                    return
                number = struct.unpack("!I", sock.recv(2048))[0]
                took.setdefault(number, (time.monotonic() - sent[number]) * 1000)

        for number in range(int(count)):
            sent[number] = time.monotonic()
            try:
                sock.sendto(struct.pack("!I", number), (host, int(port)))
            except OSError:
                pass
            hear(sent[number] + float(gap))
        hear(time.monotonic() + _GRACE)
    print(json.dumps([took.get(number) for number in range(int(count))]))


def send(host, port, count, gap, size):
    with udp(host) as sock:
        begun = time.monotonic()
        for number in range(int(count)):
            sock.sendto(struct.pack("!I", number).ljust(int(size), b"."), (host, int(port)))
            time.sleep(max(0.0, begun + (number + 1) * float(gap) - time.monotonic()))


if __name__ == "__main__":
    {"echo": echo, "ping": ping, "send": send}[sys.argv[1]](*sys.argv[2:])
