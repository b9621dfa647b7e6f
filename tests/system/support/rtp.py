# RTP sent and received by a test. SPDX-License-Identifier: LGPL-2.1-or-later
"""The media of a SIPp callee: a tone in G.711 A-law, pictures as H.264 (RFC 6184), and a record of
all that arrives."""

import array
import math
import os
import select
import struct
import subprocess
import threading
import time

from . import marks
from .ports import HOST, bound_udp, free_range

AUDIO, VIDEO = "audio", "video"
PCMA, H264 = 8, 96


def _alaw_decode_table():
    table = []
    for code in range(256):
        value = code ^ 0x55
        exponent, mantissa = value >> 4 & 7, value & 15
        sample = (mantissa << 4) + 8
        if exponent:
            sample = (sample + 0x100) << (exponent - 1)
        table.append(sample if value & 0x80 else -sample)
    return table


_ALAW = _alaw_decode_table()
_ALAW_OF = {}


def alaw_decode(payload):
    return array.array("h", (_ALAW[b] for b in payload))


def alaw_encode(samples):
    out = bytearray()
    for sample in samples:
        if sample not in _ALAW_OF:
            _ALAW_OF[sample] = min(range(256), key=lambda c, s=sample: abs(_ALAW[c] - s))
        out.append(_ALAW_OF[sample])
    return bytes(out)


def tone_packets(frequency, amplitude=10000):
    """One second of a tone, as 50 payloads of 20 ms."""
    samples = [int(amplitude * math.sin(2 * math.pi * frequency * n / 8000)) for n in range(8000)]
    coded = alaw_encode(samples)
    return [coded[i:i + 160] for i in range(0, 8000, 160)]


def encode_pictures(picture, count, path, fps=marks.FPS, key_every=None):
    """Access units (lists of NAL units) of the first `count` frames of a Picture, a key each second
    or each so many pictures."""
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s",
         f"{picture.width}x{picture.height}", "-r", str(fps), "-i", "-", "-c:v", "libx264",
         "-profile:v", "baseline", "-preset", "ultrafast", "-tune", "zerolatency", "-x264-params",
         "threads=1:sliced-threads=0:aud=1", "-g", str(key_every or fps), "-f", "h264", path],
        input=b"".join(picture.frame(n) for n in range(count)), check=True, timeout=60)
    assert done.returncode == 0
    with open(path, "rb") as file:
        data = file.read()
    units, current = [], []
    for nal in data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]:
        if nal[0] & 31 == 9:  # access unit delimiter
            if current:
                units.append(current)
            current = []
        else:
            current.append(nal)
    units.append(current)
    return units


def h264_payloads(nals, mtu=1200):
    """RTP payloads of one access unit: single NAL units and FU-A (RFC 6184, 5.6 and 5.8)."""
    result = []
    for nal in nals:
        if len(nal) <= mtu:
            result.append(nal)
            continue
        header, body = nal[0], nal[1:]
        parts = [body[i:i + mtu - 2] for i in range(0, len(body), mtu - 2)]
        for index, part in enumerate(parts):
            start, end = index == 0, index == len(parts) - 1
            result.append(bytes([header & 0xE0 | 28, start << 7 | end << 6 | header & 31]) + part)
    return result


def h264_nals(packets):
    """The NAL units of RTP packets in the order of their numbers: single ones, STAP-A and FU-A."""
    result, part = [], None
    for packet in sorted(packets, key=lambda p: (p.sequence - packets[0].sequence) % 0x10000):
        data = packet.payload
        kind = data[0] & 31
        if kind == 24:
            at = 1
            while at + 2 <= len(data):
                size = int.from_bytes(data[at:at + 2], "big")
                result.append(data[at + 2:at + 2 + size])
                at += 2 + size
        elif kind == 28:
            if data[1] >> 7:
                part = bytes([data[0] & 0xE0 | data[1] & 31])
            if part is not None:
                part += data[2:]
                if data[1] >> 6 & 1:
                    result.append(part)
                    part = None
        else:
            result.append(data)
    return result


class Packet:
    __slots__ = ("at", "payload_type", "sequence", "timestamp", "ssrc", "marker", "payload",
                 "source")

    def __init__(self, at, data, source):
        self.at, self.source = at, source
        self.marker, self.payload_type = data[1] >> 7, data[1] & 127
        self.sequence, self.timestamp, self.ssrc = struct.unpack_from("!HII", data, 2)
        self.payload = data[12 + 4 * (data[0] & 15):]


class RtpPeer:
    """An audio and a video port (RTP, with RTCP beside each). Records what comes from the moment it
    is made; sends once it knows where to, which it learns from the packets that arrive."""

    def __init__(self):
        low = free_range(4)
        self.ports = {AUDIO: low, VIDEO: low + 2}
        self.received = {AUDIO: [], VIDEO: []}
        self.rtcp = {AUDIO: [], VIDEO: []}
        self.target = {AUDIO: None, VIDEO: None}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._sockets = {}
        for medium, port in self.ports.items():
            for kind, offset in (("rtp", 0), ("rtcp", 1)):
                self._sockets[bound_udp(port + offset)] = (medium, kind)
        self._sending = {}
        self._lose = {AUDIO: 0, VIDEO: 0}
        self._again = {AUDIO: False, VIDEO: False}
        self.began = {AUDIO: None, VIDEO: None}  # when send() sent its first packet
        threading.Thread(target=self._receive, daemon=True).start()

    def keys(self):
        """Keys of a SIPp scenario."""
        return {"audio_port": self.ports[AUDIO], "video_port": self.ports[VIDEO]}

    def _receive(self):
        while not self._stop.is_set():
            ready, _, _ = select.select(list(self._sockets), [], [], 0.1)
            now = time.monotonic()
            for which in ready:
                try:
                    data, source = which.recvfrom(4096)
                except OSError:
                    continue
                medium, kind = self._sockets[which]
                with self._lock:
                    if kind == "rtcp":
                        self.rtcp[medium].append((now, data))
                    elif len(data) >= 12:
                        self.received[medium].append(Packet(now, data, source))
                        if self.target[medium] is None:
                            self.target[medium] = source

    def count(self, medium, since=0.0):
        with self._lock:
            return sum(packet.at >= since for packet in self.received[medium])

    def last(self, medium):
        """When the newest packet came, or None."""
        with self._lock:
            return self.received[medium][-1].at if self.received[medium] else None

    def packets(self, medium, since=0.0):
        with self._lock:
            return [packet for packet in self.received[medium] if packet.at >= since]

    def heard(self, since=0.0):
        """What the A-law audio says, in the order of its arrival."""
        samples = array.array("h")
        for packet in self.packets(AUDIO, since):
            if packet.payload_type == PCMA:
                samples.extend(alaw_decode(packet.payload))
        return samples

    def lost(self, medium):
        """How many sequence numbers are missing between the first and the last packet."""
        seen = {}
        for packet in self.packets(medium):
            numbers = seen.setdefault(packet.ssrc, [packet.sequence, packet.sequence, 0])
            step = (packet.sequence - numbers[1] + 0x8000) % 0x10000 - 0x8000
            if step > 0:
                numbers[2] += step
                numbers[1] = packet.sequence
        total = sum(numbers[2] + 1 for numbers in seen.values())
        return total - len({(p.ssrc, p.sequence) for p in self.packets(medium)})

    def largest_gap(self, medium, since=0.0, until=float("inf")):
        """The longest time in seconds between two packets that follow each other."""
        times = [p.at for p in self.packets(medium, since) if p.at <= until]
        return max((b - a for a, b in zip(times, times[1:])), default=float("inf"))

    def send(self, medium, frequency=None, units=None, payload_type=None, to=None, fps=marks.FPS,
             first=0):
        """Sends a tone or access units over and over until stop_sending(), from number `first` on."""
        self.stop_sending(medium)
        stop = threading.Event()
        target = (HOST, to) if isinstance(to, int) else to
        if target is not None:
            self.target[medium] = target
        if medium == AUDIO:
            payloads = [[p] for p in tone_packets(frequency)]
            period, step = 0.02, 160
        else:
            payloads = [h264_payloads(unit) for unit in units]
            period, step = 1 / fps, 90000 // fps
        number = PCMA if medium == AUDIO else H264
        arguments = (medium, payloads, period, step, payload_type or number, stop, first)
        self._again[medium], self.began[medium] = False, None
        thread = threading.Thread(target=self._send, args=arguments, daemon=True)
        self._sending[medium] = (stop, thread)
        thread.start()

    def _send(self, medium, payloads, period, step, payload_type, stop, index):
        out = next(s for s, use in self._sockets.items() if use == (medium, "rtp"))
        ssrc, sequence, timestamp = int.from_bytes(os.urandom(4), "big"), 0, 0
        due = time.monotonic()
        while not stop.wait(max(0.0, due - time.monotonic())) and not self._stop.is_set():
            if self._again[medium]:
                index, self._again[medium] = 0, False
            if self.target[medium] is not None:
                self.began[medium] = self.began[medium] or time.monotonic()
                group = payloads[index % len(payloads)]
                for place, payload in enumerate(group):
                    marker = place == len(group) - 1 and (medium == VIDEO or index == 0)
                    header = struct.pack("!BBHII", 0x80, marker << 7 | payload_type,
                                         sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
                    try:
                        if self._lose[medium] == 0 or index % len(payloads) == 0:
                            out.sendto(header + payload, self.target[medium])
                        else:
                            self._lose[medium] -= 1
                    except OSError:
                        pass
                    sequence += 1
                index += 1
            timestamp += step
            due += period

    def begin_again(self, medium):
        """The next that is sent is the first of all: of pictures one that stands alone."""
        self._again[medium] = True

    def lose(self, medium, packets=1):
        """The next packets are numbered, and not sent: but of the first frame, which may be a key."""
        self._lose[medium] = packets

    def send_rtcp(self, medium, data, port):
        out = next(s for s, use in self._sockets.items() if use == (medium, "rtcp"))
        out.sendto(data, (HOST, port))

    def send_timed(self, medium, frames, clock_rate, payload_type, to):
        """Sends [(milliseconds, [payloads])] once, in their own time, the last payload of each with
        the marker; returns when all is sent."""
        out = next(s for s, use in self._sockets.items() if use == (medium, "rtp"))
        ssrc, sequence = int.from_bytes(os.urandom(4), "big"), 0
        began = time.monotonic()
        for at, payloads in frames:
            if self._stop.wait(max(0.0, began + at / 1000 - time.monotonic())):
                return
            timestamp = round(at * clock_rate / 1000)
            for place, payload in enumerate(payloads):
                marker = place == len(payloads) - 1
                header = struct.pack("!BBHII", 0x80, marker << 7 | payload_type,
                                     sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
                out.sendto(header + payload, (HOST, to))
                sequence += 1

    def send_packet(self, medium, data, to):
        """One packet as it is, from the port that the peer was told."""
        out = next(s for s, use in self._sockets.items() if use == (medium, "rtp"))
        out.sendto(data, (HOST, to))

    def stop_sending(self, medium):
        if medium in self._sending:
            stop, thread = self._sending.pop(medium)
            stop.set()
            thread.join()

    def close(self):
        for medium in list(self._sending):
            self.stop_sending(medium)
        self._stop.set()
        for made in self._sockets:
            made.close()
