# What goes over loopback. SPDX-License-Identifier: LGPL-2.1-or-later
import socket
import struct
import threading


class Wire:
    """What goes over loopback to or from some TCP ports, and the UDP payloads that look like RTP to
    or from some UDP ports; other programs' traffic is not taken."""

    def __init__(self, tcp_ports, udp_ports=()):
        self.tcp_ports, self.udp_ports = set(tcp_ports), set(udp_ports)
        self.tcp, self.rtp = bytearray(), []
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
        self._socket.bind(("lo", 0x0800))
        self._socket.settimeout(0.2)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stopped:
            try:
                packet = self._socket.recv(1 << 18)
            except TimeoutError:
                continue
            head = (packet[0] & 15) * 4
            if packet[9] == socket.IPPROTO_TCP:
                if self.tcp_ports & set(struct.unpack_from("!HH", packet, head)):
                    self.tcp += packet[head + (packet[head + 12] >> 4) * 4:]
            elif packet[9] == socket.IPPROTO_UDP and len(packet) > head + 20:
                payload = packet[head + 8:]
                if self.udp_ports.isdisjoint(struct.unpack_from("!HH", packet, head)):
                    continue
                if payload[0] >> 6 == 2 and payload[1] & 0x7f not in range(64, 96):
                    self.rtp.append(payload)

    def stop(self):
        self._stopped = True
        self._thread.join()
        self._socket.close()
        return self

    def sounds(self):
        """Payloads of 20 ms of G.711."""
        return [packet[12:172] for packet in self.rtp if packet[1] & 0x7f in (0, 8)
                and len(packet) >= 172]

    def plain_sounds(self):
        """Those of them that a tone of 1000 Hz can be made out in: its sign, the first bit of both
        laws, comes again each 8 bytes, in noise by chance in half of the 152."""
        return [sound for sound in self.sounds()
                if sum((a ^ b) < 128 for a, b in zip(sound, sound[8:])) > 120]

    def plain_pictures(self):
        """Packets with the words that x264 leaves in its streams."""
        return [packet for packet in self.rtp if b"x264" in packet or b"H.264/MPEG-4" in packet]
