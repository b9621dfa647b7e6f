# HTTP clients that misbehave, each kind while a call runs whose media must not notice.
# SPDX-License-Identifier: LGPL-2.1-or-later
import re
import socket
import time

from support.hostile import BesideACall, HalfRequests, RunningCall
from support.hostile_sip import crlf
from support.ports import HOST, is_closed
from support.process import wait_until

GUESS = "a-guessed-secret-"


def setUpModule():
    BesideACall.running = RunningCall('[sip]\nallow = ["sip:*@127.0.0.1:*"]\n')
    port = BesideACall.running.junctor.http_port
    # These take their time: begun first, looked at last.
    BesideACall.running.stop_half_way((
        (port, b"POST /api/v1/calls HTTP/1.1\r\nHost: x\r\nX-Slow: "),
        (port, b""),
        (port, b"POST /api/v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")))


def tearDownModule():
    BesideACall.running.close_half()
    BesideACall.running.stop()


class E_Http(BesideACall):
    def say(self, data, seconds=3.0, source=HOST):
        """What is answered to raw bytes, until the server closes or answers completely."""
        with socket.create_connection((HOST, self.junctor.http_port), 5, (source, 0)) as made:
            made.settimeout(seconds)
            heard = b""
            try:
                made.sendall(data)
            except OSError:
                pass  # it has refused before the end
            try:
                while b"\r\n\r\n" not in heard or not self.complete(heard):
                    more = made.recv(65536)
                    if not more:
                        break
                    heard += more
            except OSError:
                pass
            return heard

    @staticmethod
    def complete(heard):
        length = re.search(rb"content-length: *(\d+)", heard, re.I)
        return not length or len(heard.partition(b"\r\n\r\n")[2]) >= int(length.group(1))

    def request(self, method, path, body=b"", token=None, more=""):
        token = token or self.junctor._admin_token()
        head = f"{method} {path} HTTP/1.1\nHost: {HOST}\nConnection: close\n"
        if token:
            head += f"Authorization: Bearer {token}\n"
        if body:
            head += f"Content-Type: application/json\nContent-Length: {len(body)}\n"
        return crlf(head + more + "\n") + body

    def status(self, data, source=HOST):
        found = re.match(rb"HTTP/1\.1 (\d+)", self.say(data, source=source))
        return int(found.group(1)) if found else 0

    def test_bodies_that_are_too_large(self):
        self.assertEqual(self.status(self.request("POST", "/api/v1/calls", b"x" * 300_000)), 413)
        self.assertEqual(self.status(self.request("POST", "/api/v1/calls", b"[" * 65537)), 413)
        chunk = b"8000\r\n" + b"y" * 0x8000 + b"\r\n"
        before = self.junctor.process.usage().rss
        head = crlf(f"POST /api/v1/accounts HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n"
                    f"Content-Type: application/json\n"
                    f"Authorization: Bearer {self.junctor._admin_token()}\n\n")
        self.assertIn(self.status(head + chunk * 300 + b"0\r\n\r\n"), (413, 0))
        if not self.running.sanitized():
            self.assertLess(self.junctor.process.usage().rss - before, 5e6)

    def test_methods_and_paths(self):
        for method, path, wanted in (
                ("PUT", "/api/v1/calls", 405), ("DELETE", "/api/v1/calls", 405),
                ("BREW", "/api/v1/health", 405), ("GET", "/", 404), ("GET", "/api/v1/nothing", 404),
                ("GET", "/api/v1/calls/../../etc/passwd", 404), ("GET", "/" + "a" * 8000, 404),
                ("GET", "/api/v1/calls/%00%ff%0d%0aX", 404), ("GET", "/api/v1/calls/x?" + "a=b&" * 2000, 404)):
            with self.subTest(method=method, path=path[:40]):
                self.assertIn(self.status(self.request(method, path)), (wanted, 400, 414))

    def test_bodies_that_are_no_json(self):
        for body in (b"{", b"[]", b"null", b"\xff\xfe", b"1e99999", b"[" * 60000,
                     b'{"from":' * 7000, b'{"from": 1, "to": []}', b'{"from": "alice"}',
                     b'{"from": "alice", "to": "' + b"x" * 60000 + b'"}',
                     b'{"from": "alice", "to": "sip:x@elsewhere.example"}',
                     b'{"from": "nobody", "to": "alice"}', b'{"from": "alice\\u0000", "to": "bob"}'):
            with self.subTest(body=body[:40]):
                self.assertIn(self.status(self.request("POST", "/api/v1/calls", body)),
                              (400, 403, 404, 409, 422))
        for body in (b'{"name": "../x"}', b'{"name": ""}', b'{"name": 7}', b"{}",
                     b'{"name": "a b"}', b'{"name": "' + b"n" * 5000 + b'"}'):
            self.assertIn(self.status(self.request("POST", "/api/v1/accounts", body)), (400, 422))

    def test_credentials(self):
        path = "/api/v1/calls"
        right = self.junctor._admin_token()
        self.assertEqual(self.status(crlf(f"GET {path} HTTP/1.1\nHost: x\n\n")), 401)
        began = time.monotonic()
        for index, wrong in enumerate((GUESS, right[:-1], right + "0", right.upper(), " ", "x" * 9000)):
            with self.subTest(index=index):
                self.assertIn(self.status(self.request("GET", path, token=wrong)), (401, 400, 431))
                # The right one is not delayed meanwhile.
                now = time.monotonic()
                self.assertEqual(self.status(self.request("GET", path)), 200)
                self.assertLess(time.monotonic() - now, self.at_once(0.5, now))
        self.assertGreater(time.monotonic() - began, 0.3, "guessing costs nothing")
        self.logged(r"http 127\.0\.0\.1:\d+: refused at GET /api/v1/calls: wrong credentials")

    def test_what_is_no_http(self):
        for data in (b"\x16\x03\x01\x02\0\x01\0" + bytes(200), b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                     b"\0" * 3000, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 9000 + b"\r\n",
                     b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n",
                     b"GET / HTTP/1.1\r\nX: " + b"z" * 200000 + b"\r\n\r\n",
                     b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\nx",
                     b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\nx",
                     b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                     b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx"):
            with self.subTest(data=data[:30]):
                answer = self.say(data, 0.5)
                self.assertNotRegex(answer, rb"^HTTP/1\.1 2")

    def test_more_connections_than_there_may_be(self):
        clients = []
        try:
            for _ in range(400):
                clients.append(socket.create_connection((HOST, self.junctor.http_port), 5))
            # One address has 128.
            wait_until(lambda: sum(map(is_closed, clients)) >= 400 - 128, 5, "the others to be parted")
            self.assertEqual(self.status(self.request("GET", "/api/v1/health"), "127.0.0.2"), 200)
            self.assertGreater(sum(not is_closed(each) for each in clients), 100)
            for client in clients:
                client.close()
            clients = []
            self.assertEqual(wait_until(lambda: self.status(self.request("GET", "/api/v1/health")),
                                        5, "an answer", every=0.2), 200)
        finally:
            for client in clients:
                client.close()


class Y_HalfRequests(HalfRequests, BesideACall):
    """Beside what is complete."""


class Z_Afterwards(BesideACall):
    def test_everything_is_back_at_its_level_and_the_call_had_no_gap(self):
        self.began = self.running.began
        self.running.close_half()
        self.running.back_at_level(self, 10)

    def test_nothing_secret_was_logged(self):
        log = self.junctor.log()
        for secret in [*self.running.secrets(), GUESS]:
            self.assertNotIn(secret, log)
