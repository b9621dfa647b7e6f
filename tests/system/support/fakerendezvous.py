# A rendezvous of ours to speak to nodes and clients. SPDX-License-Identifier: LGPL-2.1-or-later
"""The server's end of the WebSocket (RFC 6455), as much as a test needs: text frames of up to 64 KiB."""

import base64
import hashlib
import json
import queue
import socket
import struct
import threading

from .ports import HOST

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Connection:
    """One client; `request` has its headers."""

    def __init__(self, sock, token):
        self.sock = sock
        self.messages = queue.Queue()
        self.closed = threading.Event()
        self._input = sock.makefile("rb")
        lines = iter(lambda: self._input.readline().decode().strip(), "")
        self.line = next(lines)
        self.request = dict(line.lower().split(": ", 1) for line in lines)
        if self.request.get("authorization") != f"bearer {token}".lower():
            sock.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
            sock.close()
            raise PermissionError(self.request)

    def accept(self, key):
        digest = hashlib.sha1(key.encode() + _GUID).digest()
        self.sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                          b"Connection: Upgrade\r\nSec-WebSocket-Protocol: junctor.rendezvous.1\r\n"
                          b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n")

    def read(self):
        while True:
            head = self._input.read(2)
            if len(head) < 2:
                return
            opcode, length = head[0] & 15, head[1] & 127
            if length == 126:
                length, = struct.unpack("!H", self._input.read(2))
            mask = self._input.read(4)
            data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(self._input.read(length)))
            if opcode == 1:
                self.messages.put(json.loads(data))
            elif opcode == 9:
                self._frame(10, data)
            elif opcode == 8:
                return

    def _frame(self, opcode, data):
        size = len(data)
        head = bytes([0x80 | opcode, size]) if size < 126 else \
            bytes([0x80 | opcode, 126]) + struct.pack("!H", size)
        self.sock.sendall(head + data)

    def send(self, **message):
        self._frame(1, json.dumps(message).encode())

    def wait(self, kind, guard=20):
        """The next message of this kind; others are passed over."""
        while True:
            message = self.messages.get(timeout=guard)
            if message["type"] == kind:
                return message

    def drop(self):
        """As a crash does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class FakeRendezvous:
    def __init__(self, token="let-me-in"):
        self.token = token
        self.connections = queue.Queue()
        self.refused = 0
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(sock,), daemon=True).start()

    def _one(self, sock):
        key = _peek_key(sock)
        try:
            connection = Connection(sock, self.token)
        except (PermissionError, StopIteration):
            self.refused += 1
            return
        connection.accept(key)
        self.connections.put(connection)
        try:
            connection.read()
        except OSError:
            pass
        connection.closed.set()

    def wait(self, guard=20):
        return self.connections.get(timeout=guard)

    def stop(self):
        self._listener.close()


def _peek_key(sock):
    """Header values are case-sensitive here alone."""
    while True:
        data = sock.recv(65536, socket.MSG_PEEK).decode(errors="replace")
        if "\r\n\r\n" in data or not data:
            break
    for line in data.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "sec-websocket-key":
            return value.strip()
    return ""
