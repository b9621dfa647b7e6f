# Takes down what a host sends and receives. SPDX-License-Identifier: LGPL-2.1-or-later
"""As a program, `capture.py INTERFACE FILE`, it writes each packet of the network it runs in to a
pcap file (any interface: `any`); as a module it starts that in a host and reads the file."""

import collections
import os
import select
import signal
import socket
import struct
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_LINKTYPE_LINUX_SLL = 113
_OUTGOING, _SO_TIMESTAMPNS = 4, 35
_ALL = 3                                                        # ETH_P_ALL

Packet = collections.namedtuple(
    "Packet", "time outgoing protocol source source_port target target_port payload")


class Capture:
    """Runs from its making to stop(); packets() then has them all."""

    def __init__(self, lab, host, interface):
        self.path = lab.workspace.file(f"{host}-{lab.next_number()}.pcap")
        self._process = lab.run(host, [sys.executable, "-IS", os.path.join(_HERE, "capture.py"),
                                       interface, self.path], name="capture")
        self._process.wait_log("^ready$")

    def stop(self):
        self._process.stop()
        return self

    def packets(self):
        """TCP and UDP over IPv4 and IPv6, in order; the payload is that above TCP or UDP."""
        with open(self.path, "rb") as file:
            data = file.read()
        taken, at = [], 24
        while at + 16 <= len(data):
            seconds, micros, length = struct.unpack_from("<III", data, at)
            packet = _parsed(seconds + micros / 1e6, data[at + 16:at + 16 + length])
            if packet is not None:
                taken.append(packet)
            at += 16 + length
        return taken

    def udp(self, outgoing=None):
        """The UDP packets, those of one way if it is told."""
        return [each for each in self.packets() if each.protocol == socket.IPPROTO_UDP
                and outgoing in (None, each.outgoing)]


def _parsed(moment, frame):
    way, ether = struct.unpack_from("!H12xH", frame)
    packet = frame[16:]
    if ether == 0x0800:
        head, protocol = (packet[0] & 15) * 4, packet[9]
        packet = packet[:struct.unpack_from("!H", packet, 2)[0] or None]
        ends = [socket.inet_ntop(socket.AF_INET, packet[at:at + 4]) for at in (12, 16)]
    elif ether == 0x86dd:
        head, protocol = 40, packet[6]
        ends = [socket.inet_ntop(socket.AF_INET6, packet[at:at + 16]) for at in (8, 24)]
    else:
        return None
    if protocol == socket.IPPROTO_UDP:
        above = head + 8
    elif protocol == socket.IPPROTO_TCP and len(packet) >= head + 20:
        above = head + (packet[head + 12] >> 4) * 4
    else:
        return None
    ports = struct.unpack_from("!HH", packet, head)
    return Packet(moment, way == _OUTGOING, protocol, ends[0], ports[0], ends[1], ports[1],
                  packet[above:])


def _main(interface, path):
    taking = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL))
    taking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    # The kernel's own time of each packet, however late we look.
    taking.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    taking.setblocking(False)
    if interface != "any":
        taking.bind((interface, _ALL))
    ended = []
    wake, woken = socket.socketpair()
    woken.setblocking(False)
    signal.set_wakeup_fd(woken.fileno())
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 1 << 17, _LINKTYPE_LINUX_SLL))
        print("ready", flush=True)
        while True:
            # Asked to end, it still takes down what has arrived.
            select.select([taking, wake], [], [])
            try:
                while True:
                    packet, told, _, (_, ether, way, hardware, _) = taking.recvmsg(1 << 17, 64)
                    seconds, nanoseconds = struct.unpack("ll", told[0][2])
                    head = struct.pack("!HHHQH", way, hardware, 0, 0, ether)
                    length = len(head) + len(packet)
                    file.write(struct.pack("<IIII", seconds, nanoseconds // 1000, length, length))
                    file.write(head + packet)
            except BlockingIOError:
                file.flush()
            if ended:
                return


if __name__ == "__main__":
    _main(*sys.argv[1:3])
