# What sends into a transcoder and receives from it. SPDX-License-Identifier: LGPL-2.1-or-later
"""One call at a time, in threads of the bench: none of this is in the figures."""

import collections
import select
import socket
import struct
import threading
import time

from support import rtmp_raw, rtp
from support.ports import HOST, free_range
from support.process import wait_until

from . import payloads

Unit = collections.namedtuple("Unit", "at seconds data key")  # when it was here; its own time


class Sender:
    """Sends sources in their own time, from start() until stop(); `began` is when time 0 went."""

    def __init__(self):
        self.began = None
        self.failure = None
        self._stop = threading.Event()
        self._thread = None

    def start(self, sources):
        timed = sorted(((at, source, unit, key) for source in sources
                        for at, unit, key in source.units), key=lambda entry: entry[0])
        self._thread = threading.Thread(target=self._run, args=(timed,), daemon=True)
        self.began = time.monotonic() + 0.05
        self._thread.start()

    def _run(self, timed):
        try:
            for at, source, unit, key in timed:
                if self._stop.wait(max(0.0, self.began + at / 1000 - time.monotonic())):
                    return
                self.send(at, source, unit, key)
        except OSError as error:
            self.failure = error

    def sending(self):
        return self._thread is not None and self._thread.is_alive()

    def stop(self):
        self._stop.set()
        if self._thread is not None:
            self._thread.join()


class RtmpSender(Sender):
    """A publisher."""

    CHUNK = 60000

    def __init__(self, port, app, stream, sources):
        super().__init__()
        self.peer = rtmp_raw.RawRtmp(port)
        self.peer.connect(app, port)
        self.peer.send(rtmp_raw.message(2, 1, 0, struct.pack("!I", self.CHUNK)))
        self.peer.create_stream()
        self.peer.publish(stream)
        for source in sources:
            for at, kind, body in payloads.tags_of_units(source.codec, source.config, []):
                self._tag(at, kind, body)

    def _tag(self, at, kind, body):
        self.peer.send(rtmp_raw.message(4, kind, 1, body, chunk_size=self.CHUNK, timestamp=at))

    def send(self, at, source, unit, key):
        for when, kind, body in payloads.tags_of_units(source.codec, b"", [(at, unit, key)])[-1:]:
            self._tag(when, kind, body)

    def stop(self):
        super().stop()
        self.peer.close()


class RtpSender(Sender):
    """A phone's sending half: each medium to its target, from its socket, with its payload type."""

    def __init__(self, targets, types, sockets):
        super().__init__()
        self._targets, self._types, self._sockets = targets, types, sockets
        self._sequence = collections.Counter()

    def send(self, at, source, unit, key):
        medium = "video" if payloads.is_video(source.codec) else "audio"
        parts = payloads.pack(source.codec, source.config, unit, key)
        stamp = round(at * payloads.clock(source.codec) / 1000) & 0xFFFFFFFF
        if source.codec == "aac":  # milliseconds are too coarse for its frames
            stamp = self._sequence[medium] * payloads.FRAME
        for place, payload in enumerate(parts):
            # Of a picture's last packet, and of each with all of an AAC frame (RFC 3640, 3.1).
            marker = place == len(parts) - 1 and source.codec not in ("pcma", "speex")
            head = struct.pack("!BBHII", 0x80, marker << 7 | self._types[medium],
                               self._sequence[medium] & 0xFFFF, stamp, 0xBE7C4 + len(medium))
            self._sockets[medium].sendto(head + payload, self._targets[medium])
            self._sequence[medium] += 1


class RtpSink:
    """A phone's receiving half: two ports, and all packets that came with the time when the kernel
    had them."""

    def __init__(self):
        low = free_range(4)
        self.ports = {"audio": low, "video": low + 2}
        self.sockets, self._packets = {}, {"audio": [], "video": []}
        for medium, port in self.ports.items():
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            made.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS of Linux
            made.bind((HOST, port))
            self.sockets[medium] = made
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            for ready in select.select(list(self.sockets.values()), [], [], 0.1)[0]:
                data, extra, _, source = ready.recvmsg(2048, 64)
                now, wall = time.monotonic(), time.time()
                for _, kind, value in extra:
                    if kind == 35:
                        seconds, nanoseconds = struct.unpack("qq", value)
                        now -= wall - seconds - nanoseconds / 1e9
                medium = "audio" if ready is self.sockets["audio"] else "video"
                if len(data) > 12 and data[1] & 127 not in range(72, 77):  # not RTCP
                    self._packets[medium].append(rtp.Packet(now, data, source))

    def lost(self, medium):
        numbers = [packet.sequence for packet in self._packets[medium]]
        steps = [(b - a) & 0xFFFF for a, b in zip(numbers, numbers[1:])]
        return sum(step - 1 for step in steps if step < 0x8000)

    def units(self, medium, codec):
        """All complete units so far."""
        result, group, time_of, last = [], [], 0, None
        for packet in list(self._packets[medium]):
            if last is not None:
                time_of += ((packet.timestamp - last + 0x80000000) & 0xFFFFFFFF) - 0x80000000
            last = packet.timestamp
            group.append(packet)
            if packet.marker or medium == "audio":
                clock = payloads.clock(codec)
                result += [Unit(packet.at, (time_of + place * payloads.FRAME) / clock, data, None)
                           for place, data in enumerate(payloads.unpack(codec, group))]
                group = []
        return result

    def stop(self):
        self._stop.set()
        self._thread.join()
        for made in self.sockets.values():
            made.close()


class _TagSink:
    """Tags with the time of their arrival."""

    def __init__(self):
        self.tags = []
        self._thread = threading.Thread(target=self._guarded, daemon=True)

    def _guarded(self):
        try:
            self.run()
        except OSError:
            pass

    def config_and_units(self, codec):
        """The codec's configuration and all units so far; a sequence header later on is an error."""
        config, units = b"", []
        for at, when, kind, body in list(self.tags):
            header, found = payloads.units_of_tags(codec, [(when, kind, body)])
            config = header or config
            units += [Unit(at, ms / 1000, data, key) for ms, data, key in found]
        return config, units


class FlvSink(_TagSink):
    """Takes what `ffmpeg -f flv tcp://…` sends."""

    def __init__(self):
        super().__init__()
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self._peer = None
        self._thread.start()

    def run(self):
        self._peer = self._listener.accept()[0]
        data = b""
        while True:
            while len(data) >= 9 and data[:3] == b"FLV":
                data = data[13:]
            while len(data) >= 11:
                size = int.from_bytes(data[1:4], "big")
                if len(data) < 11 + size + 4:
                    break
                when = int.from_bytes(data[4:7], "big") | data[7] << 24
                self.tags.append((time.monotonic(), when, data[0], data[11:11 + size]))
                data = data[11 + size + 4:]
            more = self._peer.recv(65536)
            if not more:
                return
            data += more

    def stop(self):
        for made in (self._listener, self._peer):
            if made is not None:
                try:
                    made.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                made.close()
        self._thread.join()


class RtmpSink(_TagSink):
    """A player: reads the chunk stream itself (RTMP 1.0, 5.3.1)."""

    def __init__(self, port, app, stream):
        super().__init__()
        self.peer = rtmp_raw.RawRtmp(port)
        self._chunk_size, self._streams, self._said = 128, {}, b""
        self._thread.start()
        self.peer.command(0, rtmp_raw.text("connect"), rtmp_raw.number(1), rtmp_raw.amf_object(
            app=app, type="nonprivate", tcUrl=f"rtmp://{HOST}:{port}/{app}"))
        self._wait_said(b"NetConnection.Connect.Success")
        self.peer.command(0, rtmp_raw.text("createStream"), rtmp_raw.number(2), rtmp_raw.NULL)
        self._wait_said(b"_result" + rtmp_raw.number(2))
        self.peer.command(1, rtmp_raw.text("play"), rtmp_raw.number(0), rtmp_raw.NULL,
                          rtmp_raw.text(stream), rtmp_raw.number(-2000))
        self._wait_said(b"NetStream.Play.Start")

    def _wait_said(self, word):
        wait_until(lambda: word in self._said, 10, f"the server to say {word}")

    def run(self):
        self.peer.socket.settimeout(None)
        data = bytearray(self.peer.heard)
        while True:
            now = time.monotonic()
            while (taken := self._chunk(data, now)) > 0:
                del data[:taken]
            more = self.peer.socket.recv(65536)
            if not more:
                return
            data += more

    def _chunk(self, data, now):
        """Takes one chunk off the front: how many bytes it has, 0 if it is not all there yet."""
        if not data:
            return 0
        form, number = data[0] >> 6, data[0] & 63
        if number < 2:
            raise OSError("this server needs no chunk stream of a number beyond 63")
        at = 1 + (11, 7, 3, 0)[form]
        if len(data) < at:
            return 0
        stream = self._streams.setdefault(number, _ChunkStream())
        time_field = int.from_bytes(data[1:4], "big") if form < 3 else 0
        size = int.from_bytes(data[4:7], "big") if form < 2 else stream.size
        kind = data[7] if form < 2 else stream.kind
        extended = time_field == 0xFFFFFF if form < 3 else stream.extended
        if extended:
            time_field = int.from_bytes(data[at:at + 4], "big")
            at += 4
        length = min(self._chunk_size, size - len(stream.body))
        if len(data) < at + length:
            return 0
        stream.size, stream.kind, stream.extended = size, kind, extended
        if form == 0:
            stream.time, stream.delta = time_field, 0
        elif not stream.body:
            stream.delta = time_field if form < 3 else stream.delta
            stream.time += stream.delta
        stream.body += data[at:at + length]
        if len(stream.body) == size:
            self._message(kind, stream.time, bytes(stream.body), now)
            stream.body.clear()
        return at + length

    def _message(self, kind, when, body, now):
        if kind == 1:
            self._chunk_size = int.from_bytes(body[:4], "big")
        elif kind == 20:
            self._said += body
        elif kind in (payloads.AUDIO_TAG, payloads.VIDEO_TAG):
            self.tags.append((now, when, kind, body))

    def stop(self):
        try:
            self.peer.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join()
        self.peer.close()


class _ChunkStream:
    def __init__(self):
        self.time = self.delta = self.size = self.kind = 0
        self.extended, self.body = False, bytearray()
