# Who forwards packets: the relay, bare forwarders, rtpengine, coturn.
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each takes `streams`, a list of (sender's socket, receivers' sockets), and gives for each stream
where its sender is to send, and with what in front of each packet."""

import os
import socket
import struct
import subprocess

from support.junctor import BUILD
from support.ports import HOST, free_port, free_range
from support.process import Process, wait_until

COMMAND = {"rtpengine": "rtpengine", "coturn": "turnserver"}
# Which of them send what comes in once to many.
FAN_OUT = ("junctor", "floor", "floor-batch")
SYSTEMS = (*FAN_OUT, *COMMAND)


def tool(name):
    return os.path.join(BUILD, "bench", f"bench-{name}")


def port_of(sock):
    return sock.getsockname()[1]


class System:
    """One of them, running."""

    def __init__(self, workspace, name, streams):
        self.workspace, self.name, self.streams = workspace, name, streams
        self.log = workspace.file(f"{name}-{os.urandom(4).hex()}.log")
        self.targets = getattr(self, "start_" + name.replace("-", "_"))()

    def stop(self):
        self.process.stop()

    def _bare(self, argv):
        """What takes its routes as lines of ports."""
        port = free_port()
        self.process = Process(self.name, [argv[0], str(port), *argv[1:]], self.log,
                               stdin=subprocess.PIPE)
        lines = "".join(f"{port_of(sender)} {port_of(sink)}\n"
                        for sender, sinks in self.streams for sink in sinks)
        self.process.popen.stdin.write(lines.encode())
        self.process.popen.stdin.close()
        self.process.wait_log("listening")
        return [(port, b"")] * len(self.streams)

    def start_junctor(self):
        return self._bare([tool("relay")])

    def start_floor(self):
        return self._bare([tool("forward"), "segments"])

    def start_floor_batch(self):
        return self._bare([tool("forward"), "batch"])

    def start_rtpengine(self):
        control, low = free_port(), free_range(4 * len(self.streams) + 100)
        self.process = Process("rtpengine", [
            "rtpengine", "--foreground", "--log-stderr", "--log-level=4", "--table=-1",
            f"--interface={HOST}", f"--listen-ng={HOST}:{control}", f"--port-min={low}",
            f"--port-max={low + 4 * len(self.streams) + 99}",
            f"--pidfile={self.log}.pid"], self.log)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ng:
            ng.connect((HOST, control))
            ng.settimeout(1)

            def ask(message):
                try:
                    cookie = os.urandom(4).hex().encode() + b" "  # it answers one only once
                    ng.send(cookie + bencode(message))
                    answer = ng.recv(65536)
                    return bdecode(answer[len(cookie):])[0] if answer.startswith(cookie) else None
                except OSError:
                    return None
            wait_until(lambda: ask({"command": "ping"}), what="rtpengine to answer")
            targets = []
            for number, (sender, sinks) in enumerate(self.streams):
                ends = {"call-id": f"call{number}", "from-tag": "a"}
                offered = ask({"command": "offer", "sdp": sdp(port_of(sender)), **ends})
                answered = ask({"command": "answer", "sdp": sdp(port_of(sinks[0])), "to-tag": "b",
                                **ends})
                if not offered or not answered or b"sdp" not in answered:
                    raise AssertionError(f"rtpengine: {offered} {answered}")
                media = next(line for line in answered[b"sdp"].decode().splitlines()
                             if line.startswith("m=audio"))
                targets.append((int(media.split()[1]), b""))
        return targets

    def start_coturn(self):
        port, low = free_port(), free_range(2 * len(self.streams) + 20)
        self.process = Process("coturn", [
            "turnserver", "-n", f"-L{HOST}", f"-E{HOST}", f"--listening-port={port}", "--no-auth",
            "--realm=bench", "--allow-loopback-peers", "--no-tls", "--no-dtls", "--no-cli",
            "--no-tcp", "--no-tcp-relay", f"--min-port={low}",
            f"--max-port={low + 2 * len(self.streams) + 19}", "--log-file=stdout", "--simple-log",
            f"--pidfile={self.log}.pid", f"--userdb={self.log}.db"], self.log)
        targets = []
        for number, (sender, sinks) in enumerate(self.streams):
            sender.settimeout(0.5)
            channel = 0x4000 + number % 0x1000
            # Half an hour: no refresh while we measure.
            wait_until(lambda: turn(sender, port, 0x0003, (0x0019, b"\x11\0\0\0"),  # noqa: B023
                                    (0x000D, struct.pack("!I", 1800))), what="an allocation")
            if not turn(sender, port, 0x0009, (0x000C, struct.pack("!HH", channel, 0)),
                        (0x0012, xor_address(sinks[0]))):
                raise AssertionError("coturn binds no channel")
            sender.settimeout(None)
            targets.append((port, struct.pack("!H", channel)))
        return targets


def sdp(port):
    return (f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\na=sendrecv\r\n")


def bencode(value):
    if isinstance(value, dict):
        return b"d" + b"".join(bencode(key) + bencode(each)
                               for key, each in sorted(value.items())) + b"e"
    text = value.encode()
    return b"%d:%s" % (len(text), text)


def bdecode(data):
    """A value and what is behind it."""
    if data[:1] in (b"d", b"l"):
        items, rest = [], data[1:]
        while rest[:1] != b"e":
            item, rest = bdecode(rest)
            items.append(item)
        whole = dict(zip(items[::2], items[1::2])) if data[:1] == b"d" else items
        return whole, rest[1:]
    if data[:1] == b"i":
        number, _, rest = data[1:].partition(b"e")
        return int(number), rest
    length, _, rest = data.partition(b":")
    return rest[:int(length)], rest[int(length):]


def xor_address(sock):
    host, port = sock.getsockname()
    raw = struct.unpack("!I", socket.inet_aton(host))[0] ^ 0x2112A442
    return struct.pack("!BBHI", 0, 1, port ^ 0x2112, raw)


def turn(sock, port, method, *attributes):
    """One request; whether it was granted."""
    body = b"".join(struct.pack("!HH", kind, len(value)) + value for kind, value in attributes)
    identifier = os.urandom(12)
    sock.sendto(struct.pack("!HHI", method, len(body), 0x2112A442) + identifier + body,
                (HOST, port))
    try:
        answer = sock.recv(2048)
    except OSError:
        return False
    return answer[8:20] == identifier and \
        struct.unpack("!H", answer[:2])[0] == method | 0x0100
