# Ports that nobody uses at the moment. SPDX-License-Identifier: LGPL-2.1-or-later
"""Ports below the kernel's ephemeral range, so that no outgoing connection takes one between our
look and the start of the program that it is for, and below those that our elements take for media.
A port is handed out once in the life of this program, while there are fresh ones."""

import random
import socket

HOST = "127.0.0.1"
_LOWEST, _HIGHEST = 10000, 20000
_given = set()


def _free(port, kinds):
    for kind in kinds:
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                return False
    return True


def _range(count, kinds):
    for attempt in range(1000):
        low = random.randrange(_LOWEST, _HIGHEST - count, 2)
        wanted = range(low, low + count)
        # When fresh ones run out, those given before are taken again if nobody holds them.
        fresh = attempt > 300 or not _given.intersection(wanted)
        if fresh and all(_free(port, kinds) for port in wanted):
            _given.update(wanted)
            return low
    raise OSError(f"no {count} free ports in a row from {_LOWEST} to {_HIGHEST}")


def free_port(count=1):
    """The first of `count` ports in a row that are free for TCP and for UDP."""
    return _range(count, (socket.SOCK_STREAM, socket.SOCK_DGRAM))


def free_range(count):
    """The first of `count` UDP ports in a row, even as RTP wants it."""
    return _range(count, (socket.SOCK_DGRAM,))


def bound_udp(port=0):
    """A UDP socket on this port; 0: on any."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    made.bind((HOST, port))
    return made


def is_closed(made):
    """Whether the other side of a TCP connection has closed it. It does not block from now on."""
    made.setblocking(False)
    try:
        return made.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
