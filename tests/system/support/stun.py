# STUN requests, and NAT behaviour discovery by RFC 5780. SPDX-License-Identifier: LGPL-2.1-or-later
"""A client to judge others with: small, and with no word in common with the code under test.

As a program, `stun.py SERVER [PORT]`, it prints what it found of the NAT before it, as JSON; with
a third argument, `watch`, it keeps one socket and answers each line of input with the address that
the server sees, or null."""

import json
import os
import socket
import struct
import sys
import time

_COOKIE = 0x2112a442
_REQUEST, _SUCCESS = 0x0001, 0x0101
_MAPPED, _CHANGE, _XOR_MAPPED, _OTHER = 0x0001, 0x0003, 0x0020, 0x802c
_CHANGE_ADDRESS, _CHANGE_PORT = 4, 2
# Tries of one request, and seconds for each: a machine that is busy must not look like a NAT.
_TRIES, _PATIENCE = 4, 0.35


def request(identifier, change=0):
    attributes = struct.pack("!HHI", _CHANGE, 4, change) if change else b""
    return struct.pack("!HHI", _REQUEST, len(attributes), _COOKIE) + identifier + attributes


def response(data):
    """(identifier, {attribute: value}) of a success response; None for anything else."""
    if len(data) < 20 or struct.unpack_from("!H2xI", data) != (_SUCCESS, _COOKIE):
        return None
    attributes, at = {}, 20
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("!HH", data, at)
        attributes.setdefault(kind, data[at + 4:at + 4 + length])
        at += 4 + (length + 3 & ~3)
    return data[8:20], attributes


def address(value, xor):
    """An IPv4 MAPPED-ADDRESS or OTHER-ADDRESS, or XOR-MAPPED-ADDRESS."""
    family, port, number = struct.unpack("!xBHI", value)
    if family != 1:
        raise ValueError(f"not IPv4: family {family}")
    if xor:
        port, number = port ^ _COOKIE >> 16, number ^ _COOKIE
    return socket.inet_ntoa(struct.pack("!I", number)), port


class Answer:
    def __init__(self, attributes, source):
        self.source = source
        self.mapped = (address(attributes[_XOR_MAPPED], True) if _XOR_MAPPED in attributes
                       else address(attributes[_MAPPED], False))
        self.other = address(attributes[_OTHER], False) if _OTHER in attributes else None


def ask(sock, server, change=0, tries=_TRIES):
    """Sends a request until it is answered; None if it is not."""
    identifier = os.urandom(12)
    for _ in range(tries):
        sock.sendto(request(identifier, change), server)
        until = time.monotonic() + _PATIENCE
        while (left := until - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                data, source = sock.recvfrom(2048)
            except TimeoutError:
                break
            except ConnectionRefusedError:
                continue
            answered = response(data)
            if answered is not None and answered[0] == identifier:
                return Answer(answered[1], source)
    return None


def udp():
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("0.0.0.0", 0))
    return made


def own_address(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.connect(server)
        return made.getsockname()[0]


_INDEPENDENT, _ADDRESS, _BOTH = ("endpoint-independent", "address-dependent",
                                 "address-and-port-dependent")


def mapping(server):
    """RFC 5780, section 4.3: (mapping, external ports in the order in which they were taken)."""
    with udp() as sock:
        first = ask(sock, server)
        if first.mapped == (own_address(server), sock.getsockname()[1]):
            return "none", [first.mapped[1]]
        second = ask(sock, (first.other[0], server[1]))
        third = ask(sock, first.other)
        ports = [each.mapped[1] for each in (first, second, third)]
        if second.mapped == first.mapped:
            return _INDEPENDENT, ports
        return _ADDRESS if third.mapped == second.mapped else _BOTH, ports


def filtering(server):
    """RFC 5780, section 4.4."""
    with udp() as sock:
        ask(sock, server)
        if ask(sock, server, _CHANGE_ADDRESS | _CHANGE_PORT):
            return _INDEPENDENT
        return _ADDRESS if ask(sock, server, _CHANGE_PORT) else _BOTH


def ports(server, taken):
    """How external ports are chosen, told by six fresh mappings and by those `taken` before."""
    pairs = []
    for _ in range(6):
        with udp() as sock:
            pairs.append((sock.getsockname()[1], ask(sock, server).mapped[1]))
    if all(inside == outside for inside, outside in pairs):
        return "preserved"
    row = [outside for _, outside in pairs]
    steps = {after - before for before, after in zip(row, row[1:])}
    if len(set(taken)) == len(taken):
        steps |= {after - before for before, after in zip(taken, taken[1:])}
    return f"sequential {steps.pop()}" if len(steps) == 1 else "random"


def hairpin(server):
    """RFC 5780, section 4.5, for any filter: each of two sockets has sent to the other."""
    with udp() as one, udp() as other:
        ends = [ask(one, server).mapped, ask(other, server).mapped]
        other.settimeout(0.1)
        for _ in range(10):
            other.sendto(b"open", ends[0])
            one.sendto(b"hairpin", ends[1])
            try:
                data, source = other.recvfrom(100)
                if data == b"hairpin":
                    # Behind a NAT it must come from the external address (RFC 4787, REQ-9).
                    return "external source" if source[0] == ends[0][0] else "internal source"
            except TimeoutError:
                pass
        return "no"


def discover(server):
    with udp() as sock:
        if ask(sock, server) is None:
            return {"udp": False}
    found, taken = mapping(server)
    return {"udp": True, "mapping": found, "filtering": filtering(server),
            "ports": ports(server, taken), "hairpin": hairpin(server)}


def watch(server):
    with udp() as sock:
        for _ in sys.stdin:
            try:
                answer = ask(sock, server)
            except OSError:
                answer = None
            print(json.dumps(answer and answer.mapped), flush=True)


def main(name, port="3478", mode="discover"):
    server = name, int(port)
    if mode == "watch":
        watch(server)
    else:
        print(json.dumps(discover(server)))


if __name__ == "__main__":
    main(*sys.argv[1:])
