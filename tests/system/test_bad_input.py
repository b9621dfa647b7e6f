# Bad input, each kind while a call runs whose media must not notice.
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import random
import socket
import struct
import time
import unittest

from support import marks, rtmp, rtp
from support.case import FULL
from support.junctor import Junctor
from support.ports import HOST
from support.process import Workspace, wait_until
from support.rtmp_raw import (HANDSHAKE, NULL, RawRtmp, amf_object, message, number, text)
from support.sipp import Sipp

HANDSHAKE_LIMIT = 2.0
START_LIMIT = 3.0
CONFIG = f"""
[rtmp]
handshake-ms = {int(HANDSHAKE_LIMIT * 1000)}
start-ms = {int(START_LIMIT * 1000)}
streams-per-account = 100
[sip]
allow = ["sip:*@127.0.0.1:*"]
"""
IDLE_CONNECTIONS = 1000
LONGEST_GAP = 0.5  # seconds without a packet; the machine may be busy, the call may not stop


class BadInputTest(unittest.TestCase):
    """A call from alice to SIPp runs through all the tests of a class."""

    @classmethod
    def setUpClass(cls):
        cls.workspace = Workspace()
        cls.junctor = Junctor(cls.workspace, CONFIG)
        cls.alice = cls.junctor.account("alice")
        cls.mallory = cls.junctor.account("mallory")
        cls.peer = rtp.RtpPeer()
        cls.sipp = Sipp(cls.workspace, "callee_answer_at_once.xml", keys=cls.peer.keys())
        cls.pull = rtmp.FfmpegPull(cls.workspace, cls.alice.pull_url())
        cls.push = rtmp.FfmpegPush(cls.workspace, cls.alice.push_url(cls.sipp.uri()))
        cls.call = cls.junctor.find_call("alice")
        cls.junctor.wait_state(cls.call, "answered")
        wait_until(lambda: cls.peer.count(rtp.VIDEO) > 25, 15, "pictures at the callee")
        cls.peer.send(rtp.AUDIO, frequency=1000)
        cls.peer.send(rtp.VIDEO, units=rtp.encode_pictures(
            marks.Picture(0xC0, "sipp"), 50, cls.workspace.file("sipp.h264")))
        cls.pull.wait_picture(0xC0)

    @classmethod
    def tearDownClass(cls):
        for thing in (cls.push, cls.pull, cls.sipp):
            thing.stop()
        cls.peer.close()
        try:
            cls.junctor.stop()
        finally:
            cls.workspace.close()

    def setUp(self):
        self.began = time.monotonic()
        self.port = self.junctor.rtmp_port

    def tearDown(self):
        self.assertTrue(self.junctor.process.running(), self.junctor.process.tail())
        self.assertEqual(self.junctor.get("health")["status"], "ok")
        self.assertEqual(self.junctor.call(self.call)["state"], "answered")
        time.sleep(2 * LONGEST_GAP)  # what the input did may show only now
        for medium in (rtp.AUDIO, rtp.VIDEO):
            self.assertLess(self.peer.largest_gap(medium, self.began), LONGEST_GAP, medium)
        shown = [at for at, _ in self.pull.seen(0xC0, self.began)]
        self.assertTrue(shown, "the player has stopped")
        self.assertLess(max((b - a for a, b in zip(shown, shown[1:])), default=9), LONGEST_GAP)

    def raw(self, handshake=True, **more):
        client = RawRtmp(self.port, handshake, **more)
        self.addCleanup(client.close)
        return client

    def connected(self, **more):
        client = self.raw(**more)
        client.connect(f"call?token={self.mallory.token}", self.port)
        return client

    def refused(self, client, seconds):
        self.assertIsNotNone(client.closed_within(seconds),
                             f"the connection is still open after {seconds} s")


class B_Handshake(BadInputTest):
    def test_garbage(self):
        client = self.raw(handshake=False)
        client.send(random.Random(1).randbytes(4000))
        self.refused(client, HANDSHAKE_LIMIT + 2)

    def test_http(self):
        client = self.raw(handshake=False)
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.refused(client, HANDSHAKE_LIMIT + 2)

    def test_truncated(self):
        client = self.raw(handshake=False)
        client.send(b"\x03" + bytes(700))
        self.refused(client, HANDSHAKE_LIMIT + 2)

    def test_silent(self):
        self.refused(self.raw(handshake=False), HANDSHAKE_LIMIT + 2)

    def test_a_byte_at_a_time(self):
        client = self.raw(handshake=False)
        began = time.monotonic()
        with self.assertRaises(OSError):
            for byte in b"\x03" + bytes(HANDSHAKE):
                client.send(bytes([byte]))
                time.sleep(0.05)
                if time.monotonic() - began > HANDSHAKE_LIMIT + 3:
                    break
        self.assertLess(time.monotonic() - began, HANDSHAKE_LIMIT + 3)

    def test_handshake_and_then_nothing(self):
        self.refused(self.raw(), HANDSHAKE_LIMIT + 2)

    def test_connect_and_then_nothing(self):
        self.refused(self.connected(), START_LIMIT + 2)

    def test_a_thousand_idle_connections(self):
        clients = []
        for _ in range(IDLE_CONNECTIONS):
            client = RawRtmp(self.port, handshake=False)
            clients.append(client)
        # A real client still gets in among them.
        other = self.connected()
        other.create_stream()
        deadline = time.monotonic() + HANDSHAKE_LIMIT + 5
        opened = 0
        for client in clients:
            if client.closed_within(max(0.05, deadline - time.monotonic())) is None:
                opened += 1
            client.close()
        self.assertEqual(opened, 0)

    def test_connections_beyond_the_limit_of_an_address_are_closed(self):
        clients = []
        try:
            for _ in range(1100):
                clients.append(RawRtmp(self.port, handshake=False))
            self.refused(clients[-1], 1.0)
        except OSError:
            pass  # refused even earlier
        finally:
            for client in clients:
                client.close()


class B_ChunksAndCommands(BadInputTest):
    def hostile(self, data, seconds=3.0, client=None):
        client = client or self.raw()
        try:
            client.send(data)
        except OSError:
            return  # closed while it was still being sent
        self.refused(client, seconds)

    def test_chunk_size_of_zero(self):
        self.hostile(message(2, 1, 0, struct.pack("!I", 0)))

    def test_chunk_size_of_two_gigabytes(self):
        client = self.raw()
        client.send(message(2, 1, 0, struct.pack("!I", 0x7FFFFFFF)))
        # Either refused or bounded; a message of that size must never be waited for.
        try:
            client.send(message(4, 9, 1, b"x" * 1000, chunk_size=1 << 24, length=0xFFFFFF))
        except OSError:
            return
        self.refused(client, HANDSHAKE_LIMIT + 3)

    def test_command_that_claims_sixteen_megabytes(self):
        self.hostile(message(3, 20, 0, b"\x02\0\x07connect" + bytes(500), length=0xFFFFFF))

    def test_chunk_of_a_message_that_never_began(self):
        self.hostile(b"\xc5" + bytes(500))

    def test_unknown_message_types(self):
        client = self.raw()
        try:
            for kind in range(7, 256):
                if kind not in (8, 9, 15, 17, 18, 20):
                    client.send(message(3, kind, 0, b"abc"))
        except OSError:
            return  # closed already
        self.refused(client, HANDSHAKE_LIMIT + 3)

    def test_hundreds_of_chunk_streams(self):
        client = self.raw()
        data = b""
        for number_ in range(64, 320):
            data += bytes([0, number_ - 64]) + bytes(3) + (1000).to_bytes(3, "big") + b"\x09" + \
                bytes(4) + bytes(128)
        self.hostile(data, HANDSHAKE_LIMIT + 3, client)

    def test_a_hundred_thousand_nested_arrays(self):
        body = text("connect") + number(1) + b"\x0a\0\0\0\x01" * 100000
        self.hostile(message(3, 20, 0, body))

    def test_nested_just_below_the_size_limit(self):
        body = text("connect") + number(1) + b"\x0a\0\0\0\x01" * 12000
        self.hostile(message(3, 20, 0, body))

    def test_an_array_that_claims_four_billion_values(self):
        self.hostile(message(3, 20, 0, text("connect") + number(1) + b"\x0a\xff\xff\xff\xff\x05"))

    def test_a_text_that_is_longer_than_its_message(self):
        self.hostile(message(3, 20, 0, b"\x02\xff\xffconnect"))

    def test_connect_without_an_object(self):
        self.hostile(message(3, 20, 0, text("connect") + number(1)))

    def test_commands_out_of_order(self):
        self.hostile(message(3, 20, 1, text("publish") + number(0) + NULL + text("mallory") +
                             text("live")))

    def test_media_before_publish(self):
        client = self.connected()
        for _ in range(50):
            try:
                client.send(message(4, 9, 1, b"\x17\x01\0\0\0" + bytes(200)))
            except OSError:
                return
        self.refused(client, START_LIMIT + 2)

    def test_names_of_kilobytes_and_odd_letters(self):
        for odd in ("x" * 60000, "../../etc/passwd", "a\0b", "\u202e\U0001f4a9", "%00%ff?to=%0d%0a"):
            with self.subTest(odd=odd[:20]):
                client = self.connected()
                client.create_stream()
                client.command(1, text("publish"), number(0), NULL, text(odd[:60000]), text("live"))
                self.refused(client, 5)

    def test_wrong_tokens_cost_the_guesser_time(self):
        began = time.monotonic()
        for guess in range(8):
            client = self.raw()
            client.command(0, text("connect"), number(1),
                           amf_object(app=f"call?token=guess{guess}",
                                      tcUrl=f"rtmp://{HOST}/call?token=guess{guess}"))
            client.await_word(b"NetConnection.Connect.Rejected", 10)
            self.refused(client, 5)
        self.assertGreater(time.monotonic() - began, 2.0)


class B_Media(BadInputTest):
    def publisher(self):
        client = self.connected()
        client.create_stream()
        client.publish("mallory")
        return client

    def test_tags_of_noise(self):
        chance = random.Random(7)
        client = self.publisher()
        for size in [0, 1, 2, 3, 4, 5, 6, 7, 11, 40, 300, 5000] * 10:
            kind = chance.choice((8, 9, 18))
            try:
                client.send(message(4, kind, 1, chance.randbytes(size)))
            except OSError:
                return  # parted: as good as ignored

    def test_lying_configurations(self):
        configurations = [
            b"\x17\0\0\0\0", b"\x17\0\0\0\0\x01\x42\xc0\x1e\xff\xe1\xff\xff\x67",
            b"\x17\0\0\0\0\x01\x42\xc0\x1e\xff\xff" + b"\0\x04\x67\x42\xc0\x1e" * 3,
            b"\x17\0\0\0\0\x01\x42\xc0\x1e\xff\xe1\0\0\x01\0\0",
            b"\xaf\0", b"\xaf\0\xff\xff\xff\xff", b"\xaf\0\0\0", b"\x17\x01\0\0\0\xff\xff\xff\xff\x65",
            b"\x17\x01\0\0\0\0\0\0\0", b"\x90vp08", b"\x91avc1" + bytes(9), b"\x2f\x01"]
        for configuration in configurations:
            with self.subTest(configuration=configuration[:12].hex()):
                client = self.publisher()
                kind = 8 if configuration[0] in (0xAF, 0x2F) else 9
                try:
                    for _ in range(3):
                        client.send(message(4, kind, 1, configuration))
                        client.send(message(4, 9, 1, b"\x27\x01\0\0\0\0\0\0\x04\x41\x9a\0\0"))
                except OSError:
                    pass
                client.close()

    def test_timestamps_that_jump(self):
        client = self.publisher()
        for timestamp in (0, 0xFFFFFE, 5, 0x7FFFFF, 1, 0x800000):
            client.send(message(4, 8, 1, b"\x72" + bytes(160), timestamp=timestamp))

    def test_a_flood_that_nobody_reads(self):
        client = self.publisher()
        block = message(4, 9, 1, b"\x27\x01\0\0\0" + struct.pack("!I", 60000) + bytes(60000))
        end = time.monotonic() + 2
        try:
            while time.monotonic() < end:
                client.send(block)
                time.sleep(0.002)
        except OSError:
            pass
        usage = self.junctor.process.usage()
        self.assertLess(usage.rss, 400e6)

    def test_a_player_that_does_not_read(self):
        client = self.raw(receive_buffer=4096)
        client.connect(f"call?token={self.alice.token}", self.port)
        client.create_stream()
        client.play("alice")
        before = self.junctor.process.usage().rss
        time.sleep(15 if FULL else 5)
        self.assertLess(self.junctor.process.usage().rss - before, 50e6)

    def test_players_that_come_and_go(self):
        before = self.junctor.process.usage().descriptors
        for _ in range(30):
            client = self.raw()
            client.connect(f"call?token={self.alice.token}", self.port)
            client.create_stream()
            client.play("alice")
            client.close()
        wait_until(lambda: self.junctor.process.usage().descriptors <= before + 2, 10,
                   "descriptors back to their level")


INVITE = ("INVITE sip:alice@{host} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{n}\r\n"
          "From: <sip:m@127.0.0.1>;tag={n}\r\nTo: <sip:alice@{host}>\r\nCall-ID: bad{n}@x\r\n"
          "CSeq: 1 INVITE\r\nMax-Forwards: 70\r\n{more}Content-Length: 0\r\n\r\n")


class B_Sip(BadInputTest):
    def setUp(self):
        super().setUp()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.udp.close)
        self.udp.bind((HOST, 0))
        self.sip = (HOST, self.junctor.sip_port)

    def options_are_answered(self):
        """Sent again each 500 ms, as RFC 3261 has it: a flood may push datagrams out."""
        number_ = os.urandom(6).hex()
        request = (f"OPTIONS sip:{HOST} SIP/2.0\r\nVia: SIP/2.0/UDP "
                   f"{HOST}:{self.udp.getsockname()[1]};branch=z9hG4bK{number_}\r\n"
                   f"From: <sip:x@{HOST}>;tag=1\r\nTo: <sip:{HOST}>\r\nCall-ID: {number_}\r\n"
                   "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n").encode()
        end = time.monotonic() + 5
        due = 0.0
        self.udp.settimeout(0.1)
        while time.monotonic() < end:
            if time.monotonic() >= due:
                self.udp.sendto(request, self.sip)
                due = time.monotonic() + 0.5
            try:
                if number_.encode() in self.udp.recv(65536):
                    return
            except TimeoutError:
                pass
        raise AssertionError("OPTIONS were not answered")

    def test_messages_that_are_none(self):
        chance = random.Random(3)
        good = INVITE.format(host=HOST, port=self.udp.getsockname()[1], n=1,
                             more="Contact: <sip:m@127.0.0.1:9>\r\n").encode()
        messages = [b"", b"\0", b"\r\n\r\n", b"INVITE", b"SIP/2.0 200 OK\r\n\r\n", b"\xff" * 1400]
        messages += [good[:cut] for cut in range(1, len(good), 7)]
        messages += [chance.randbytes(chance.randrange(1, 1400)) for _ in range(50)]
        for _ in range(200):
            broken = bytearray(good)
            for _ in range(chance.randrange(1, 12)):
                broken[chance.randrange(len(broken))] = chance.randrange(256)
            messages.append(bytes(broken))
        for data in messages:
            self.udp.sendto(data, self.sip)
        self.options_are_answered()

    def test_headers_that_lie(self):
        port = self.udp.getsockname()[1]
        mores = ["Content-Length: -1\r\n", "Content-Length: 4294967296\r\n", "Contact: *\r\n",
                 "Contact: <tel:+123>\r\n", "Contact: <http://x/>\r\n",
                 "Contact: <sip:m@127.0.0.1:9>\r\nRecord-Route: <tel:1>\r\n",
                 "Contact: <sip:m@[::::]:99999>\r\n", "Via: SIP/2.0/UDP " + "a" * 5000 + "\r\n",
                 "Contact: <sip:m@127.0.0.1:9>\r\n" + "X: y\r\n" * 3000,
                 "Expires: 99999999999999999999\r\nContact: <sip:m@127.0.0.1:9>\r\n",
                 "Contact: <sip:m@127.0.0.1:9>\r\nRequire: " + "z," * 2000 + "\r\n",
                 "Contact: <sip:m@127.0.0.1:9>\r\nContent-Type: application/sdp\r\n"]
        for index, more in enumerate(mores):
            self.udp.sendto(INVITE.format(host=HOST, port=port, n=100 + index,
                                          more=more).encode()[:60000], self.sip)
        self.options_are_answered()

    def test_tcp_that_never_ends_a_message(self):
        clients = []
        for _ in range(20):
            client = socket.create_connection(self.sip, 5)
            self.addCleanup(client.close)
            client.sendall(b"INVITE sip:x SIP/2.0\r\nVia: ")
            clients.append(client)
        for client in clients[:5]:
            try:
                client.sendall(b"a" * 200000)
            except OSError:
                pass
        self.options_are_answered()


class B_Sdp(BadInputTest):
    BROKEN = {
        "nothing": "",
        "noise": "\x01\x02 not sdp at all",
        "no_media": "v=0\no=x 1 1 IN IP4 127.0.0.1\ns=-\nt=0 0",
        "all_refused": "v=0\no=x 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n"
                       "m=audio 0 RTP/AVP 8\nm=video 0 RTP/AVP 96",
        "port_too_large": "v=0\no=x 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n"
                          "m=audio 99999999 RTP/AVP 8\nm=video 7 RTP/AVP 999999",
        "no_address": "v=0\no=x 1 1 IN IP4 127.0.0.1\ns=-\nt=0 0\nm=audio 9 RTP/AVP 8",
        "name_for_address": "v=0\no=x 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 ../../etc/passwd\nt=0 0\n"
                            "m=audio 9 RTP/AVP 8",
        "codec_never_offered": "v=0\no=x 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n"
                               "m=audio 9 RTP/AVP 120\na=rtpmap:120 G7221/16000",
        "hundreds_of_media": "v=0\no=x 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n" +
                             "m=audio 9 RTP/AVP 8\n" * 300,
    }

    def answered_with(self, sdp):
        """mallory calls a SIPp whose 200 brings `sdp`; returns the ended call."""
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "sipp",
                               "callee_answer_at_once.xml"), encoding="utf-8") as file:
            scenario = file.read()
        head, _, rest = scenario.partition("      v=0\n")
        tail = rest[rest.index("    ]]>"):]
        path = self.workspace.write(f"broken-{time.monotonic_ns()}.xml",
                                    head + "      " + sdp.replace("\n", "\n      ") + "\n" + tail)
        sipp = Sipp(self.workspace, path)
        self.addCleanup(sipp.stop)
        known = [call["id"] for call in self.junctor.calls()]
        push = rtmp.ffmpeg_push_short(self.workspace, self.mallory.push_url(sipp.uri()),
                                      f"push-{time.monotonic_ns()}")
        self.addCleanup(push.stop)
        call = self.junctor.find_call("mallory", known=known)
        ended = self.junctor.wait_ended(call, 20)
        push.stop()
        return ended


def _add_sdp_tests():
    for label, sdp in B_Sdp.BROKEN.items():
        def test(self, sdp=sdp):
            ended = self.answered_with(sdp)
            self.assertEqual(ended["reason"], "not-acceptable", ended["detail"])
        setattr(B_Sdp, f"test_{label}", test)


_add_sdp_tests()
