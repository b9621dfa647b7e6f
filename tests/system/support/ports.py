# Ports that nobody uses at the moment. SPDX-License-Identifier: LGPL-2.1-or-later
"""Asks the kernel for a port, then lets it go: it may be taken by another, which then fails loudly.
A port is handed out once in the life of this program."""

import random
import socket

HOST = "127.0.0.1"
_given = set()


def _free(port, kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port():
    """A port that is free for TCP and for UDP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
        if port not in _given and _free(port, socket.SOCK_DGRAM):
            _given.add(port)
            return port


def free_range(count):
    """The first of `count` UDP ports in a row, even, below the kernel's ephemeral range."""
    for attempt in range(1000):
        low = random.randrange(10000, 32000 - count, 2)
        wanted = range(low, low + count)
        # When fresh ones run out, those given before are taken again if nobody holds them.
        fresh = attempt > 300 or not _given.intersection(wanted)
        if fresh and all(_free(port, socket.SOCK_DGRAM) for port in wanted):
            _given.update(wanted)
            return low
    raise OSError(f"no {count} free UDP ports in a row")
