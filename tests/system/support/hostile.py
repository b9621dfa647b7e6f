# A call that must notice nothing, and peers that misbehave beside it.
# SPDX-License-Identifier: LGPL-2.1-or-later
"""RunningCall is one real call: ffmpeg pushes and pulls, SIPp and an RtpPeer are the phone. Its media
is looked at where it arrives. Attacker is an RTMP client that keeps to nothing."""

import random
import re
import resource
import socket
import struct
import threading
import time
import unittest

from . import marks, rtmp, rtp, tones
from .junctor import Junctor
from .ports import HOST
from .process import Workspace, wait_until
from .rtmp_raw import HANDSHAKE, RawRtmp, message
from .sipp import Sipp

PUSH_TONE, PHONE_TONE, PHONE = 440, 1000, 0xC0
PICTURES = 50           # the phone's pictures, over and over
LONGEST_GAP = 0.5       # s without a packet, on a machine that does not itself stand still
SETTLED = 0.6           # s after the input in which its effect would show
HALF_LIMIT = 30.0       # s until a request that stops half-way is closed; not for configuring
MEMORY_LEVEL = 40e6     # bytes: far less than what any of the attacks sends or holds
TIGHT_MALLOC = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "65536",
                "MALLOC_MMAP_THRESHOLD_": "65536", "G_SLICE": "always-malloc"}


class Heart:
    """Beats each 10 ms. When it is late, the machine or this program stood still, not the call."""

    def __init__(self):
        self._late = []  # (when, by how many seconds)
        self._stop = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self):
        before = time.monotonic()
        while not self._stop.wait(0.01):
            now = time.monotonic()
            if now - before > 0.05:
                self._late.append((now, now - before))
            before = now

    def longest(self, since):
        return max((late for at, late in self._late if at >= since), default=0.0)

    def altogether(self, since):
        """Seconds that it stood still: each beat that was late may have made others wait."""
        return sum(late for at, late in self._late if at >= since)

    def stop(self):
        self._stop.set()


class Phone(rtp.RtpPeer):
    """An RtpPeer that can say what no phone says."""

    def send_raw(self, medium, kind, data):
        """From its own port, to where its media goes; kind is rtp or rtcp."""
        out = next(s for s, use in self._sockets.items() if use == (medium, kind))
        host, port = self.target[medium]
        out.sendto(data, (host, port + (kind == "rtcp")))


class RunningCall:
    """alice pushes and pulls; mallory is another account, for those who misbehave."""

    def __init__(self, config):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < 8192:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
        self.workspace = Workspace()
        self._stops, self.half = [], []
        try:
            self._start(config)
        except BaseException:
            self.workspace.keep = True
            print(f"# files and logs: {self.workspace.path}", flush=True)
            self.stop()
            raise

    def _keep(self, thing):
        self._stops.append(thing)
        return thing

    def _start(self, config):
        self.junctor = self._keep(Junctor(self.workspace, config, environment_extra=TIGHT_MALLOC))
        self.heart = self._keep(Heart())
        self.alice = self.junctor.account("alice")
        self.mallory = self.junctor.account("mallory")
        self.phone = Phone()
        self.sipp = self._keep(Sipp(self.workspace, "callee_answer_at_once.xml",
                                    keys=self.phone.keys()))
        self.pull = self._keep(rtmp.FfmpegPull(self.workspace, self.alice.pull_url()))
        self.push = self._keep(rtmp.FfmpegPush(self.workspace,
                                               self.alice.push_url(self.sipp.uri()),
                                               frequency=PUSH_TONE))
        self.id = self.junctor.find_call("alice")
        self.junctor.wait_state(self.id, "answered")
        wait_until(lambda: self.phone.count(rtp.VIDEO) > 25, 15, "pictures at the phone")
        self.phone.send(rtp.AUDIO, frequency=PHONE_TONE)
        self.phone.send(rtp.VIDEO, units=rtp.encode_pictures(
            marks.Picture(PHONE, "sipp"), PICTURES, self.workspace.file("sipp.h264")))
        self.pull.wait_picture(PHONE)
        self.pull.wait_tone(PHONE_TONE)
        time.sleep(1)
        self.began = time.monotonic()
        self.level = self.junctor.process.usage()

    def stop_half_way(self, requests):
        """Begins what is never gone on with: [(port, bytes)]."""
        for port, data in requests:
            made = socket.create_connection((HOST, port), 5)
            made.sendall(data)
            self.half.append((made, time.monotonic(), data))

    def close_half(self):
        for made, _, _ in self.half:
            made.close()

    def check(self, test, since):
        """Server alive, call answered, and no gap in what arrived at both ends since then."""
        junctor = self.junctor
        test.assertTrue(junctor.process.running(), junctor.process.tail(60))
        test.assertEqual(junctor.get("health")["status"], "ok")
        test.assertEqual(junctor.call(self.id)["state"], "answered")
        now = time.monotonic()
        longest = LONGEST_GAP * (2 if self.sanitized() else 1) + self.heart.longest(since)
        for medium in (rtp.AUDIO, rtp.VIDEO):
            packets = self.phone.packets(medium, since)
            test.assertGreater(len(packets), 5, medium)
            test.assertLess(now - packets[-1].at, longest, medium)
            test.assertLess(self.phone.largest_gap(medium, since), longest, medium)
            test.assertEqual(len({packet.ssrc for packet in packets}), 1, medium)
            # What one machine's loopback carries arrives: each missing number was not sent.
            numbers = [packet.sequence for packet in packets]
            steps = {(b - a) & 0xFFFF for a, b in zip(numbers, numbers[1:])}
            test.assertEqual(steps, {1}, f"{medium}: lost or repeated on the way to the phone")
        shown = self.pull.seen(PHONE, since)
        test.assertTrue(shown, "the player shows nothing")
        gaps = [b - a for (a, _), (b, _) in zip(shown, shown[1:])]
        test.assertLess(max(gaps, default=9), longest, "the player stood still")
        steps = [(b - a) % PICTURES for (_, a), (_, b) in zip(shown, shown[1:])]
        test.assertEqual(set(steps), {1}, "pictures are missing at the player")
        for where, samples, tone in (("phone", self.phone.heard(since), PUSH_TONE),
                                     ("player", self.pull.heard(since), PHONE_TONE)):
            # In windows of 0.1 s. A busy machine may cost one in three seconds.
            share = tones.share_with_tone(samples, 8000, tone, threshold=0.9)
            holes = round((1 - share) * (len(samples) // 800))
            test.assertLessEqual(holes, 1 + len(samples) // 24000,
                                 f"{tone} Hz at the {where} has holes")

    def back_at_level(self, test, guard=12.0):
        """Descriptors, threads and memory are what they were before anybody misbehaved."""
        process = self.junctor.process
        wait_until(lambda: process.usage().descriptors <= self.level.descriptors + 2, guard,
                   f"descriptors back to {self.level.descriptors}")
        test.assertLessEqual(process.usage().threads, self.level.threads + 2)
        if self.sanitized():
            return  # what is freed is kept, to find who uses it
        wait_until(lambda: process.usage().rss <= self.level.rss + MEMORY_LEVEL, guard,
                   f"memory back to {self.level.rss:.0f} + {MEMORY_LEVEL:.0f} bytes")

    def sanitized(self):
        with open(f"/proc/{self.junctor.pid}/maps", encoding="utf-8", errors="replace") as file:
            return "libasan" in file.read()

    def patience(self):
        """How much slower than usual it may be."""
        return 4 if self.sanitized() else 1

    def secrets(self):
        return [self.alice.token, self.alice.password, self.mallory.token, self.mallory.password,
                self.junctor._admin_token()]

    def stop(self):
        try:
            for thing in reversed(self._stops):
                thing.stop()
        finally:
            if hasattr(self, "phone"):
                self.phone.close()
            self.workspace.close()


class BesideACall(unittest.TestCase):
    """Each test misbehaves; after each the call is looked at. `running` is the module's call."""

    running = None

    def setUp(self):
        self.began = time.monotonic()
        self.junctor = self.running.junctor
        self.mallory = self.running.mallory
        self.port = self.junctor.rtmp_port
        self.log_at = len(self.junctor.log())

    def tearDown(self):
        time.sleep(SETTLED)
        try:
            self.running.check(self, self.began)
        except AssertionError:
            self.running.workspace.keep = True
            print(f"# files and logs: {self.running.workspace.path}", flush=True)
            raise

    def log(self):
        """What was logged since the test began."""
        return self.junctor.log()[self.log_at:]

    def logged(self, pattern, guard=3.0):
        """Waits for a line of the log that matches; returns the match."""
        compiled = re.compile(pattern, re.MULTILINE)
        try:
            return wait_until(lambda: compiled.search(self.log()), guard, f"the log to say {pattern}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it says:\n{self.log()[-3000:]}") from None

    # --- RTMP --------------------------------------------------------------------------------

    def attacker(self, handshake=True, **more):
        client = Attacker(self.port, handshake, **more)
        self.addCleanup(client.close)
        return client

    def connected(self, token=None, **more):
        client = self.attacker(**more)
        client.connect(f"call?token={token or self.mallory.token}", self.port)
        return client

    def publisher(self, **more):
        client = self.connected(**more)
        client.create_stream()
        client.publish("mallory")
        return client

    def at_once(self, seconds, since):
        """What a bound of so many seconds is for what has begun then: longer on a slow build, and
        by as long as the machine itself has stood still since."""
        return seconds * self.running.patience() + self.running.heart.altogether(since)

    def closed_at_once(self, client, seconds):
        """How long it took the server to close; None if it has not."""
        began = time.monotonic()
        took = client.closed_within(seconds * self.running.patience())
        if took is None and (late := self.running.heart.altogether(began)) > 0:
            took = client.closed_within(late)
        return took

    def assert_refused(self, client, stage, seconds=1.0):
        """Closed in time, and the log names peer and stage."""
        took = self.closed_at_once(client, seconds)
        self.assertIsNotNone(took, f"still open after {seconds} s")
        self.logged(rf"rtmp {re.escape(client.name)}: (closed|refused) at {stage}: \S")
        return took

    def assert_served(self):
        """A client that behaves is served meanwhile, and at once."""
        began = time.monotonic()
        client = self.connected()
        client.create_stream()
        client.close()
        self.assertLess(time.monotonic() - began, self.at_once(2.0, began))


class Attacker(RawRtmp):
    """`source` is the address it comes from, one of 127.0.0.0/8; `name` is how the log names it."""

    def __init__(self, port, handshake=True, receive_buffer=None, source=HOST):
        self.heard = b""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(10)
        self.socket.bind((source, 0))
        self.socket.connect((HOST, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.name = "%s:%d" % self.socket.getsockname()
        if handshake:
            self.handshake()

    def digest_handshake(self):
        """Claims to have a digest, which is noise; returns whether S2 echoes C1 as in the simple
        handshake."""
        noise = random.Random(5).randbytes(HANDSHAKE - 8)
        block = b"\0\0\0\0\x09\0\x7c\x02" + noise
        self.send(b"\x03" + block)
        answer = self.read(1 + 2 * HANDSHAKE)
        self.send(answer[1:1 + HANDSHAKE])
        return answer[1 + HANDSHAKE:] == block

    def read(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError("closed")
            data += more
        return data

    def try_send(self, data):
        """False if the server has closed meanwhile, which it may."""
        try:
            self.send(data)
            return True
        except OSError:
            return False

    def chunk_size(self, size):
        return self.try_send(message(2, 1, 0, struct.pack("!I", size)))


class HalfRequests:
    """Beside a BesideACall: what RunningCall.stop_half_way() has begun is closed."""

    def test_who_stops_in_the_middle_is_closed(self):
        self.assertTrue(self.running.half)
        for made, since, data in self.running.half:
            with self.subTest(data=data[:20]):
                made.settimeout(max(0.1, since + HALF_LIMIT + 5 - time.monotonic()))
                try:
                    heard = made.recv(65536)
                    while heard:
                        heard = made.recv(65536)
                except ConnectionError:
                    pass
                except TimeoutError:
                    self.fail("still open")
