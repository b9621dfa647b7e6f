# RTMP spoken by hand, to say what no client would say. SPDX-License-Identifier: LGPL-2.1-or-later
"""A client of the wire: simple handshake, chunks of type 0, AMF0. Nothing here checks anything."""

import socket
import struct
import time

from .ports import HOST

HANDSHAKE = 1536


def number(value):
    return b"\x00" + struct.pack("!d", value)


def text(value):
    data = value.encode()
    return b"\x02" + struct.pack("!H", len(data)) + data


def name(value):
    return text(value)[1:]


def amf_object(**members):
    """Of texts, and of lists of texts, which are strict arrays."""
    return b"\x03" + b"".join(name(k) + (
        text(v) if isinstance(v, str) else
        b"\x0a" + struct.pack("!I", len(v)) + b"".join(map(text, v)))
        for k, v in members.items()) + b"\0\0\x09"


NULL = b"\x05"


def message(chunk_stream, kind, stream, body, chunk_size=128, timestamp=0, length=None):
    """One message; `length` may lie."""
    head = bytes([chunk_stream]) + timestamp.to_bytes(3, "big") + \
        (len(body) if length is None else length).to_bytes(3, "big") + bytes([kind]) + \
        struct.pack("<I", stream)
    parts = [body[i:i + chunk_size] for i in range(0, len(body), chunk_size)] or [b""]
    return head + bytes([0xC0 | chunk_stream]).join(parts)


def flv_tags(path):
    """[(milliseconds, type, body)] of an FLV file: bodies are those of RTMP messages."""
    with open(path, "rb") as file:
        data = file.read()
    tags, at = [], 9 + 4
    while at + 11 <= len(data):
        size = int.from_bytes(data[at + 1:at + 4], "big")
        when = int.from_bytes(data[at + 4:at + 7], "big") | data[at + 7] << 24
        tags.append((when, data[at], data[at + 11:at + 11 + size]))
        at += 11 + size + 4
    return tags


def write_flv(path, tags):
    """An FLV file of such tags."""
    with open(path, "wb") as file:
        file.write(b"FLV\1\5\0\0\0\x09\0\0\0\0")
        for when, kind, body in tags:
            file.write(bytes([kind]) + len(body).to_bytes(3, "big")
                       + (when & 0xFFFFFF).to_bytes(3, "big") + bytes([when >> 24, 0, 0, 0]) + body
                       + (len(body) + 11).to_bytes(4, "big"))
    return path


class RawRtmp:
    def __init__(self, port, handshake=True, receive_buffer=None):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(10)
        self.socket.connect((HOST, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.heard = b""
        if handshake:
            self.handshake()

    def handshake(self):
        self.send(b"\x03" + bytes(8) + b"j" * (HANDSHAKE - 8))
        answer = b""
        while len(answer) < 1 + 2 * HANDSHAKE:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("closed during the handshake")
            answer += data
        self.send(answer[1:1 + HANDSHAKE])
        self.heard = answer[1 + 2 * HANDSHAKE:]

    def send(self, data):
        self.socket.sendall(data)

    def command(self, stream, *parts):
        self.send(message(3, 20, stream, b"".join(parts)))

    def await_word(self, word, guard=10):
        deadline = time.monotonic() + guard
        while word not in self.heard:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError(f"closed before {word}: {self.heard[-300:]}")
            self.heard += data

    def connect(self, app, port, **more):
        self.command(0, text("connect"), number(1),
                     amf_object(app=app, type="nonprivate", tcUrl=f"rtmp://{HOST}:{port}/{app}",
                                **more))
        self.await_word(b"NetConnection.Connect.Success")

    def create_stream(self):
        self.command(0, text("createStream"), number(2), NULL)
        self.await_word(b"_result" + number(2))
        self.heard = b""

    def publish(self, stream):
        self.command(1, text("publish"), number(0), NULL, text(stream), text("live"))
        self.await_word(b"NetStream.Publish.Start")

    def play(self, stream):
        self.command(1, text("play"), number(0), NULL, text(stream), number(-2000))
        self.await_word(b"NetStream.Play.Start")

    def send_tags(self, tags):
        """Sends tags of type audio and video in their own time; ends when the connection does."""
        began = time.monotonic()
        try:
            for when, kind, body in tags:
                time.sleep(max(0.0, began + when / 1000 - time.monotonic()))
                if kind in (8, 9):
                    self.send(message(4, kind, 1, body, timestamp=when))
        except OSError:
            pass

    def end_stream(self):
        """Ends what it publishes by itself, and closes."""
        try:
            self.command(0, text("deleteStream"), number(0), NULL, number(1))
        except OSError:
            pass
        self.close()

    def closed_within(self, seconds):
        """How long it takes the server to close; None if it does not within `seconds`."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            self.socket.settimeout(max(0.01, seconds - (time.monotonic() - began)))
            try:
                if not self.socket.recv(65536):
                    return time.monotonic() - began
            except TimeoutError:
                return None
            except OSError:  # reset: closed as well
                return time.monotonic() - began
        return None

    def close(self):
        self.socket.close()
