# A WebSocket client (RFC 6455), as small as tests want it. SPDX-License-Identifier: LGPL-2.1-or-later
"""Also says what a proper client would not: frames of any kind, without masks, half of one."""
import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import time

from .ports import HOST

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Refused(Exception):
    """An answer other than 101."""

    def __init__(self, status, body):
        super().__init__(f"{status}: {body}")
        self.status, self.body = status, body


class Closed(Exception):
    """A close frame, or the end of the connection: `code` is then None."""

    def __init__(self, code, reason):
        super().__init__(f"closed with {code} {reason}")
        self.code, self.reason = code, reason


class WebSocket:
    def __init__(self, port, path, protocol=None, headers=None, trust=None, host=HOST, guard=20):
        self.socket = socket.create_connection((host, port), guard)
        if trust:
            self.socket = ssl.create_default_context(cafile=trust).wrap_socket(
                self.socket, server_hostname=host)
        self.data = b""
        self.got = 0  # messages but welcomes, as a hello that resumes tells
        key = base64.b64encode(os.urandom(16))
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}:{port}", "Upgrade: websocket",
                 "Connection: Upgrade", f"Sec-WebSocket-Key: {key.decode()}",
                 "Sec-WebSocket-Version: 13"]
        if protocol:
            lines.append(f"Sec-WebSocket-Protocol: {protocol}")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        while b"\r\n\r\n" not in self.data:
            self._more()
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        status = int(head.split(b" ", 2)[1])
        if status != 101:
            try:
                while True:
                    self._more()
            except Closed:
                pass
            raise Refused(status, self.data.decode())
        accepted = base64.b64encode(hashlib.sha1(key + GUID).digest())
        assert accepted.lower() in head.lower(), head

    def _more(self):
        try:
            piece = self.socket.recv(65536)
        except ConnectionResetError:
            piece = b""
        if not piece:
            raise Closed(None, "without a word")
        self.data += piece

    def _take(self, count):
        while len(self.data) < count:
            self._more()
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def send_frame(self, kind, payload, final=True, masked=True):
        mask = os.urandom(4)
        if masked:
            payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        size, bit = len(payload), 0x80 if masked else 0
        head = bytes([(0x80 if final else 0) | kind])
        if size < 126:
            head += bytes([bit | size])
        elif size < 65536:
            head += bytes([bit | 126]) + struct.pack("!H", size)
        else:
            head += bytes([bit | 127]) + struct.pack("!Q", size)
        self.socket.sendall(head + (mask if masked else b"") + payload)

    def send(self, **message):
        self.send_frame(TEXT, json.dumps(message).encode())

    def frame(self):
        first, second = self._take(2)
        size = second & 0x7F
        if size == 126:
            size = struct.unpack("!H", self._take(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self._take(8))[0]
        return first & 0x0F, self._take(size)

    def receive(self, pong=True):
        """The next message; answers pings."""
        while True:
            kind, payload = self.frame()
            if kind == PING:
                if pong:
                    self.send_frame(PONG, payload)
            elif kind == CLOSE:
                code = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else None
                raise Closed(code, payload[2:].decode())
            elif kind == TEXT:
                message = json.loads(payload)
                self.got += message["type"] != "welcome"
                return message

    def expect(self, kind):
        """The next message of this type; what comes before is left out."""
        while True:
            message = self.receive()
            if message["type"] == kind:
                return message

    def expect_close(self, guard=12):
        deadline = time.monotonic() + guard
        try:
            while time.monotonic() < deadline:
                self.receive()
        except Closed as closed:
            return closed
        raise AssertionError(f"not closed within {guard} s")

    def stop(self):
        self.socket.close()


class Rendezvous(WebSocket):
    """A client of the rendezvous that has said hello."""

    def __init__(self, port, token, hello=True, **more):
        super().__init__(port, "/api/v1/rendezvous", "junctor.rendezvous.1",
                         {"Authorization": f"Bearer {token}", **more.pop("headers", {})}, **more)
        self.welcome = None
        if hello:
            self.send(type="hello", version=1, role="client",
                      **(hello if isinstance(hello, dict) else {}))
            self.welcome = self.expect("welcome")
