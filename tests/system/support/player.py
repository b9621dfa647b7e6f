# An RTMP player of the test's own: every tag with the time at which it came.
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Chunks are joined by RTMP 1.0, 5.3; what is in the messages is left to the test."""

import re
import struct
import threading
import time

from . import rtmp_raw
from .ports import HOST

AUDIO, VIDEO = 8, 9
_SET_CHUNK_SIZE, _ACKNOWLEDGEMENT = 1, 3


class _Chunks:
    """Messages of a byte stream: (type, timestamp, body)."""

    def __init__(self):
        self.size = 128
        self._data = b""
        self._streams = {}  # of chunks: [timestamp, length, type, step, body, extended]

    def feed(self, data):
        self._data += data
        while True:
            taken, message = self._chunk()
            if taken == 0:
                return
            self._data = self._data[taken:]
            if message:
                if message[0] == _SET_CHUNK_SIZE:
                    self.size = int.from_bytes(message[2][:4], "big")
                yield message

    def _chunk(self):
        """One chunk: (bytes of it, message that it completes or None); 0 if it is not whole."""
        data, at = self._data, 1
        if not data:
            return 0, None
        form, stream = data[0] >> 6, data[0] & 63
        if stream < 2:
            at += 1 + stream
            stream = -int.from_bytes(data[1:at], "big")  # apart from the small ones
        need = (11, 7, 3, 0)[form]
        if len(data) < at + need:
            return 0, None
        state = list(self._streams.get(stream, [0, 0, 0, 0, b"", False]))
        value = None
        if form < 3:
            value = int.from_bytes(data[at:at + 3], "big")
            state[5] = value == 0xFFFFFF
        if form < 2:
            state[1], state[2] = int.from_bytes(data[at + 3:at + 6], "big"), data[at + 6]
        at += need
        if state[5]:
            if len(data) < at + 4:
                return 0, None
            if value is not None:
                value = struct.unpack_from("!I", data, at)[0]
            at += 4
        begins = not state[4]
        if value is not None:
            state[3] = 0 if form == 0 else value
            state[0] = value if form == 0 else state[0] + value & 0xFFFFFFFF
        elif begins:
            state[0] = state[0] + state[3] & 0xFFFFFFFF
        part = min(self.size, state[1] - len(state[4]))
        if len(data) < at + part:
            return 0, None
        state[4] += data[at:at + part]
        message = None
        if len(state[4]) == state[1]:
            message = (state[2], state[0], state[4])
            state[4] = b""
        self._streams[stream] = state
        return at + part, message


class Player:
    """Plays `url`'s stream. `tags()` are (arrival, milliseconds, type, body), arrival by
    time.monotonic(). `fourccs` are what it offers at connect (Enhanced RTMP v2, fourCcList)."""

    def __init__(self, port, url, fourccs=()):
        app, _, stream = url.split("/", 3)[3].partition("/")
        self.peer = rtmp_raw.RawRtmp(port)
        self.peer.connect(app, port, **({"fourCcList": fourccs} if fourccs else {}))
        self.answer = self.peer.heard
        # Whole messages so far; the size of chunks is told among them.
        told = re.findall(rb"\x02\0\0\0\0\0\x04\x01\0\0\0\0(....)", self.peer.heard, re.DOTALL)
        self._chunk_size = int.from_bytes(told[-1], "big") if told else 128
        self.peer.create_stream()
        self._lock = threading.Lock()
        self._tags, self.ended = [], False
        self.peer.command(1, rtmp_raw.text("play"), rtmp_raw.number(0), rtmp_raw.NULL,
                          rtmp_raw.text(stream), rtmp_raw.number(-2000))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        chunks, acknowledged, got = _Chunks(), 0, 0
        chunks.size = self._chunk_size
        self.peer.socket.settimeout(None)
        try:
            while True:
                data = self.peer.socket.recv(1 << 18)
                if not data:
                    break
                now = time.monotonic()
                got += len(data)
                for kind, timestamp, body in chunks.feed(data):
                    if kind in (AUDIO, VIDEO):
                        with self._lock:
                            self._tags.append((now, timestamp, kind, body))
                if got - acknowledged > 500_000:
                    acknowledged = got
                    self.peer.send(rtmp_raw.message(2, _ACKNOWLEDGEMENT, 0,
                                                    struct.pack("!I", got & 0xFFFFFFFF)))
        except OSError:
            pass
        self.ended = True

    def tags(self, kind=None, since=0.0):
        with self._lock:
            return [tag for tag in self._tags if tag[0] >= since and kind in (None, tag[2])]

    def count(self, kind, since=0.0):
        with self._lock:
            return sum(tag[2] == kind and tag[0] >= since for tag in self._tags)

    def stop(self):
        self.peer.close()


class Publisher:
    """Publishes tags (milliseconds, type, body) in their own time."""

    def __init__(self, port, url):
        self.host, self.port = HOST, port
        app, _, stream = url.split("/", 3)[3].partition("/")
        self.peer = rtmp_raw.RawRtmp(port)
        self.peer.connect(app, port)
        self.peer.create_stream()
        self.peer.publish(stream)
        self.thread = None

    def send(self, tags):
        self.thread = threading.Thread(target=self.peer.send_tags, args=(tags,), daemon=True)
        self.thread.start()

    def stop(self):
        self.peer.end_stream()
