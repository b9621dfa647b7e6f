# Ports of hosts in a laboratory of NATs, reached from outside. SPDX-License-Identifier: LGPL-2.1-or-later
"""A socket stays in the network that it was made in, whoever has it. So a program in a host is given
one that listens outside, and for each connection that it takes there it makes one in its own network.
As a program: `labdoor.py DESCRIPTOR ADDRESS PORT`."""

import os
import socket
import sys
import threading
import time

_OUTSIDE = "127.0.0.1"
_PATIENCE = 10.0        # seconds until somebody listens inside


class Door:
    """`port` of this machine's loopback leads to a TCP port of a host; for a program that is told
    HOST and a port. Who comes before anybody listens there waits."""

    def __init__(self, host, port, address="127.0.0.1"):
        with socket.create_server((_OUTSIDE, 0)) as listening:
            self.port = listening.getsockname()[1]
            number = listening.fileno()
            host.run([sys.executable, "-IS", os.path.abspath(__file__), str(number), address,
                      str(port)], name=f"door-{port}", pass_fds=(number,))


def _opened(target):
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return socket.create_connection(target, 5)
        except OSError:
            if time.monotonic() > until:
                return None
            time.sleep(0.02)


def _carry(source, sink):
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for each in (source, sink):
            each.close()


def _serve(outside, target):
    inside = _opened(target)
    if inside is None:
        outside.close()
        return
    for each in (outside, inside):
        each.settimeout(None)
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    back = threading.Thread(target=_carry, args=(inside, outside), daemon=True)
    back.start()
    _carry(outside, inside)
    back.join()
    outside.close()
    inside.close()


def _main(number, address, port):
    listening = socket.socket(fileno=int(number))
    while True:
        outside, _ = listening.accept()
        threading.Thread(target=_serve, args=(outside, (address, int(port))), daemon=True).start()


if __name__ == "__main__":
    _main(*sys.argv[1:4])
