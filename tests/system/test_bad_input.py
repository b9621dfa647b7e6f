# RTMP peers that misbehave, each kind while a call runs whose media must not notice.
# SPDX-License-Identifier: LGPL-2.1-or-later
import random
import re
import resource
import struct
import time

from support.hostile import Attacker, BesideACall, RunningCall
from support.ports import HOST
from support.process import wait_until
from support.rtmp_raw import HANDSHAKE, NULL, amf_object, message, name, number, text

HANDSHAKE_LIMIT, START_LIMIT, LAG_LIMIT = 1.5, 1.5, 2.5
CONFIG = f"""
[rtmp]
handshake-ms = {int(HANDSHAKE_LIMIT * 1000)}
start-ms = {int(START_LIMIT * 1000)}
lag-part-ms = {int(LAG_LIMIT * 1000)}
streams-per-account = 100
[sip]
allow = ["sip:*@127.0.0.1:*"]
"""
IDLE_CONNECTIONS = 1000
GUESS = "a-guessed-token-"
CONNECT = text("connect") + number(1)


def setUpModule():
    BesideACall.running = RunningCall(CONFIG)


def tearDownModule():
    BesideACall.running.stop()


def command(body, **more):
    return message(3, 20, 0, body, **more)


class A_Handshake(BesideACall):
    def test_first_bytes_that_are_no_handshake(self):
        for label, data in {
                "noise": b"\x9b" + random.Random(1).randbytes(4000),
                "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
                "version 0": bytes(1 + HANDSHAKE), "version 6, which is RTMPE": b"\x06" + bytes(1536),
                "version 255": b"\xff" * (1 + HANDSHAKE)}.items():
            with self.subTest(label):
                client = self.attacker(handshake=False)
                client.try_send(data)
                self.assert_refused(client, "handshake")

    def test_handshakes_that_stop(self):
        whole = b"\x03" + bytes(8) + b"j" * (HANDSHAKE - 8)
        clients = []
        for length in (0, 1, 2, 700, HANDSHAKE, HANDSHAKE + 1, HANDSHAKE + 800, 2 * HANDSHAKE):
            client = self.attacker(handshake=False)
            client.send((whole + whole)[:length])
            clients.append(client)
        began = time.monotonic()
        for client in clients:
            self.assert_refused(client, "handshake", HANDSHAKE_LIMIT + 1)
        self.assertGreater(time.monotonic() - began, HANDSHAKE_LIMIT / 2)

    def test_a_byte_at_a_time_gains_no_time(self):
        client = self.attacker(handshake=False)
        began = time.monotonic()
        while client.try_send(b"\x03") and time.monotonic() - began < HANDSHAKE_LIMIT + 2:
            time.sleep(0.02)
        self.assertLess(time.monotonic() - began, HANDSHAKE_LIMIT + 1)
        self.assert_refused(client, "handshake")

    def test_a_wrong_digest_is_taken_as_the_simple_handshake(self):
        client = self.attacker(handshake=False)
        self.assertTrue(client.digest_handshake())
        client.connect(f"call?token={self.mallory.token}", self.port)
        silent = self.attacker(handshake=False)
        self.assertTrue(silent.digest_handshake())
        self.assert_refused(silent, "connect", HANDSHAKE_LIMIT + 1)

    def test_silence_after_each_step(self):
        shaken, connected, created = self.attacker(), self.connected(), self.connected()
        created.create_stream()
        self.assert_refused(shaken, "connect", HANDSHAKE_LIMIT + 1)
        self.assert_refused(connected, "createStream", START_LIMIT + 1)
        self.assert_refused(created, "publish/play", START_LIMIT + 1)


class B_Chunks(BesideACall):
    def hostile(self, data, stage="connect", seconds=1.0, client=None):
        client = client or self.attacker()
        client.try_send(data)
        self.assert_refused(client, stage, seconds)

    def test_chunk_sizes_that_lie(self):
        for size in (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
            with self.subTest(size=size):
                self.hostile(message(2, 1, 0, struct.pack("!I", size)))
        self.logged(r"A chunk size of 2147483647 bytes is refused")

    def test_lengths_that_lie(self):
        for kind in (20, 17, 15, 1, 8, 9):
            with self.subTest(kind=kind):
                self.hostile(message(3, kind, 0, b"\x02\0\x07connect" + bytes(500),
                                     length=0xFFFFFF))

    def test_control_messages_cut_short(self):
        for kind in (1, 2, 3, 4, 5, 6):
            with self.subTest(kind=kind):
                client = self.attacker()
                for cut in range(4):
                    client.try_send(message(2, kind, 0, b"\0\0\0"[:cut]))
                self.assertIsNotNone(client.closed_within(HANDSHAKE_LIMIT + 1))
                self.logged(rf"rtmp {client.name}: closed at connect")

    def test_chunk_headers_that_refer_to_nothing(self):
        for first in (b"\xc3", b"\xc5", b"\xc2", b"\x83", b"\xc0\xff", b"\x81\xff\xff"):
            with self.subTest(first=first.hex()):
                self.hostile(first + bytes(500))

    def test_a_message_that_begins_inside_another(self):
        self.hostile(message(3, 20, 0, bytes(128), length=1000) + message(3, 20, 0, bytes(128)))

    def test_seventy_chunk_streams(self):
        data = b"".join(bytes([0, id_]) + bytes(3) + (1000).to_bytes(3, "big") + b"\x09" +
                        bytes(4 + 128) for id_ in range(70))
        self.hostile(data)
        self.logged("More than 64 chunk streams")

    def test_unfinished_messages_beyond_the_budget(self):
        client = self.publisher()
        client.chunk_size(1 << 20)
        for id_ in range(5, 9):
            client.try_send(message(id_, 9, 1, bytes(7 << 20), chunk_size=1 << 20, length=8 << 20))
        self.assert_refused(client, "publishing", 2)

    def test_unknown_message_types(self):
        client = self.attacker()
        for kind in range(7, 256):
            if kind not in (8, 9, 15, 17, 18, 20):
                client.try_send(message(3, kind, 0, b"abc"))
        self.assert_refused(client, "connect", HANDSHAKE_LIMIT + 1)


class C_Amf(BesideACall):
    def hostile(self, body, stage="connect", seconds=1.5):
        client = self.attacker()
        client.chunk_size(65536)
        client.try_send(command(body, chunk_size=65536))
        self.assert_refused(client, stage, seconds)

    def test_a_hundred_thousand_nested_arrays(self):
        body = CONNECT + b"\x0a\0\0\0\x01" * 100000
        self.hostile(body)
        self.hostile(body[:65000])  # just within what a command may have
        self.hostile(CONNECT + b"\x03" + (name("a") + b"\x03") * 12000)

    def test_counts_and_lengths_that_lie(self):
        for body in (CONNECT + b"\x0a\xff\xff\xff\xff\x05",             # strict array
                     CONNECT + b"\x08\xff\xff\xff\xff\0\x01a\x05",      # ECMA array
                     CONNECT + b"\x0c\xff\xff\xff\xffabc",              # long string
                     b"\x02\xff\xffconnect", CONNECT + b"\x03\xff\xffapp",
                     CONNECT + b"\x03" + name("app"), CONNECT + b"\x03\0\0",
                     CONNECT + b"\x00\x3f", CONNECT + b"\x0b\0\0", b"\x02", b""):
            with self.subTest(body=body[-12:].hex()):
                self.hostile(body, seconds=HANDSHAKE_LIMIT + 1)

    def test_markers_of_every_kind(self):
        client = None
        for marker in (1, 4, 6, 7, 9, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x7f, 0xff):
            client = self.attacker()
            client.try_send(command(CONNECT + bytes([marker]) + bytes(40)))
            self.assertIsNotNone(client.closed_within(HANDSHAKE_LIMIT + 1), f"{marker:#x}")
            self.logged(rf"rtmp {client.name}: (closed|refused) at connect")

    def test_huge_texts(self):
        huge = "x" * 60000
        self.hostile(CONNECT + amf_object(app=huge))
        self.hostile(text(huge) + number(1), seconds=HANDSHAKE_LIMIT + 1)
        self.hostile(CONNECT + b"\x0c" + struct.pack("!I", 60000) + b"y" * 60000)
        self.hostile(CONNECT + b"\x03" + b"".join(name(f"k{i}") + b"\x05" for i in range(6000)) +
                     b"\0\0\x09")
        self.assertNotIn("x" * 1000, self.log())

    def test_connect_without_an_object(self):
        self.hostile(CONNECT)


class D_Commands(BesideACall):
    def test_commands_out_of_order(self):
        client = self.attacker()
        client.send(message(3, 20, 1, text("publish") + number(0) + NULL + text("mallory") +
                            text("live")))
        self.assert_refused(client, "connect", HANDSHAKE_LIMIT + 1)

    def test_media_before_publish(self):
        client = self.connected()
        for _ in range(50):
            client.try_send(message(4, 9, 1, b"\x17\x01\0\0\0" + bytes(200)))
        self.assert_refused(client, "createStream", START_LIMIT + 1)

    def test_names_of_kilobytes_and_odd_letters(self):
        for odd in ("x" * 60000, "../../etc/passwd", "a\0b", "\u202e\U0001f4a9", "alice",
                    "mallory?to=%0d%0aX", "mallory?to=sip:" + "a" * 3000, "line\r\nrtmp 1.2.3.4: fake"):
            for verb in ("publish", "play"):
                with self.subTest(odd=odd[:20], verb=verb):
                    if verb == "play" and odd.startswith("mallory"):
                        continue  # `to` means nothing to a player
                    client = self.connected()
                    client.create_stream()
                    client.chunk_size(65536)
                    client.try_send(message(3, 20, 1, text(verb) + number(0) + NULL + text(odd) +
                                            text("live"), chunk_size=65536))
                    self.assertIsNotNone(client.closed_within(2))
                    self.logged(rf"rtmp {client.name}: (closed|refused) at \S*(publish|play)")
        self.assertNotRegex(self.log(), r"(?m)^rtmp 1\.2\.3\.4")
        self.assertNotIn("x" * 1000, self.log())

    def test_streams_without_end(self):
        client = self.connected()
        for transaction in range(2, 60):
            client.try_send(command(text("createStream") + number(transaction) + NULL))
        self.assertIsNotNone(client.closed_within(START_LIMIT + 1))
        self.logged(rf"rtmp {client.name}: (closed|refused) at ")

    def test_floods_of_commands_whose_answers_nobody_reads(self):
        ping = message(2, 4, 0, b"\0\x06\0\0\0\x01")
        check = command(text("_checkbw") + number(2) + NULL)
        release = command(text("releaseStream") + number(3) + NULL + text("mallory"))
        unknown = command(text("noSuchCommand") + number(4) + NULL)
        before = self.junctor.process.usage().rss
        for flood in (ping, check, release, unknown):
            client = self.connected(receive_buffer=4096)
            client.socket.settimeout(0.5)
            end = time.monotonic() + START_LIMIT + 3.5  # told, and parted at last
            while time.monotonic() < end:
                try:
                    client.socket.send(flood * 500)
                except TimeoutError:
                    pass  # it reads no more than it can answer
                except OSError:
                    break
            else:
                self.fail("it is still listened to")
            self.logged(rf"rtmp {client.name}: (closed|refused) at ")
        if not self.running.sanitized():
            self.assertLess(self.junctor.process.usage().rss - before, 10e6)

    def test_players_that_come_and_go(self):
        before = self.junctor.process.usage().descriptors
        for _ in range(30):
            client = self.connected(token=self.running.alice.token)
            client.create_stream()
            client.play("alice")
            client.close()
        wait_until(lambda: self.junctor.process.usage().descriptors <= before + 2, 10,
                   "descriptors back to their level")


class E_Tags(BesideACall):
    def test_noise(self):
        chance = random.Random(7)
        client = self.publisher()
        for size in [0, 1, 2, 3, 4, 5, 6, 7, 11, 40, 300, 5000] * 30:
            if not client.try_send(message(4, chance.choice((8, 9, 18, 22)), 1,
                                           chance.randbytes(size))):
                break
        self.assert_refused(client, "publishing")
        self.logged(rf"rtmp {client.name}: left out while publishing")

    def test_configurations_that_lie(self):
        good = b"\x17\0\0\0\0\x01\x42\xc0\x1e\xff\xe1\0\x09\x67\x42\xc0\x1e\xda\x02\x80\xbf\xe5\x01" \
               b"\0\x04\x68\xce\x3c\x80"
        torn = b"\x17\0\0\0\0\x01\x42\xc0\x1e\xff\xe1\0\x04\x67\xff\xff\xff\x01\0\x01\x68"
        # Of these nothing is said: no more comes of them, or only a decoder would know.
        silent = (b"", b"\x90vp08", b"\x91avc1" + bytes(9), torn, good + bytes(3000))
        for configuration in (
                b"\x17", b"\x17\0\0\0", b"\x17\0\0\0\0", b"\xaf", b"\xaf\0",
                b"\x17\0\0\0\0\x01\x42\xc0\x1e\xff\xe1\xff\xff\x67",
                b"\x17\0\0\0\0\x01\x42\xc0\x1e\xff\xff" + b"\0\x04\x67\x42\xc0\x1e" * 3,
                b"\x17\0\0\0\0\x01\x42\xc0\x1e\xff\xe1\0\0\x01\0\0",
                b"\xaf\0\xff\xff\xff\xff", b"\xaf\0\0\0", b"\xaf\0\x13", b"\x2f\x01",
                b"\x97", good[:-3], *silent):
            with self.subTest(configuration=configuration[:12].hex()):
                client = self.publisher()
                kind = 8 if configuration[:1] in (b"\xaf", b"\x2f") else 9
                for _ in range(3):
                    client.try_send(message(4, kind, 1, configuration))
                    client.try_send(message(4, 9, 1, b"\x27\x01\0\0\0\0\0\0\x04\x41\x9a\0\0"))
                    client.try_send(message(4, 8, 1, b"\xaf\x01" + bytes(20)))
                client.close()
                if configuration not in silent:
                    self.logged(rf"rtmp {client.name}: left out while publishing")

    def test_lengths_of_nal_units_that_lie(self):
        client = self.publisher()
        client.send(message(4, 9, 1, b"\x17\0\0\0\0\x01\x42\xc0\x1e\xff\xe1\0\x09\x67\x42\xc0\x1e"
                            b"\xda\x02\x80\xbf\xe5\x01\0\x04\x68\xce\x3c\x80"))
        for nals in (b"\xff\xff\xff\xff\x65", b"\x7f\xff\xff\xff\x65", b"\0\0\0\0", b"\0\0\0",
                     b"\0\0\0\x05\x65\x88", b"\0\0\0\x01\x65\0\0\x10\0\x41", b"\0\0\0\0" * 2000, b""):
            client.try_send(message(4, 9, 1, b"\x17\x01\0\0\0" + nals))
        self.logged(rf"rtmp {client.name}: left out while publishing")

    def test_timestamps_that_jump(self):
        client = self.publisher()
        for timestamp in (0, 0xFFFFFE, 5, 0x7FFFFF, 1, 0x800000):
            client.send(message(4, 8, 1, b"\x72" + bytes(160), timestamp=timestamp))
        self.assertIsNone(client.closed_within(0.5))

    def test_sound_that_comes_faster_than_it_can_be_heard(self):
        """Five minutes of it at once, in a call that transcodes it: the others go on."""
        carol = self.junctor.account("carol")
        player, answering = self.connected(carol.token), self.connected(carol.token)
        for client in (player, answering):
            client.create_stream()
        player.play("carol")
        client = self.connected()
        client.create_stream()
        client.publish("mallory?to=carol")
        call = self.junctor.find_call("mallory")
        self.junctor.wait_state(call, "ringing")
        answering.publish("carol")
        self.junctor.wait_state(call, "answered")
        client.chunk_size(4096)
        alaw = b"\x72" + b"\xd5\x55" * 400
        client.send(message(4, 8, 1, alaw, chunk_size=4096))
        wait_until(lambda: any(step["transcoded"] for step in self.junctor.call(call)["plan"]), 10,
                   "a plan that transcodes")
        before = self.surplus_sound()
        client.send(b"".join(message(4, 8, 1, alaw, timestamp=100 * n, chunk_size=4096)
                             for n in range(1, 3000)))
        wait_until(lambda: self.surplus_sound() > before + 2500, 20, "sound that is left out")
        client.send(message(4, 8, 1, b"\x72" + bytes(1 << 20), timestamp=300100, chunk_size=4096))
        self.logged(rf"rtmp {client.name}: left out while publishing.*An audio tag has 1048577 bytes")
        self.assertEqual(self.junctor.call(call)["state"], "answered")
        self.assertEqual(self.junctor.command("hangup", call)[0], 0)
        self.junctor.wait_ended(call)

    def surplus_sound(self):
        text = self.junctor.request("GET", "/metrics")
        return float(re.search(r"^junctor_surplus_sound_packets_total (\S+)", text, re.M).group(1))

    def test_messages_of_more_than_eight_megabytes(self):
        for length, closed in ((8 << 20, False), ((8 << 20) + 1, True)):
            with self.subTest(length=length):
                client = self.publisher()
                client.chunk_size(1 << 20)
                client.try_send(message(4, 9, 1, b"\x27\x01\0\0\0" + bytes(length - 5),
                                        chunk_size=1 << 20))
                if closed:
                    self.assert_refused(client, "publishing", 2)
                else:
                    self.assertIsNone(client.closed_within(0.5))

    def test_a_flood_that_nobody_reads(self):
        client = self.publisher()
        client.chunk_size(65536)
        before = self.junctor.process.usage().rss
        block = message(4, 9, 1, b"\x27\x01\0\0\0" + struct.pack("!I", 60000) + bytes(60000),
                        chunk_size=65536)
        end = time.monotonic() + 1.5
        while time.monotonic() < end and client.try_send(block):
            time.sleep(0.001)
        if not self.running.sanitized():
            self.assertLess(self.junctor.process.usage().rss - before, 30e6)


class F_Guessing(BesideACall):
    def guess(self, client, what):
        client.command(0, text("connect"), number(1),
                       amf_object(app=f"call?token={GUESS}{what}",
                                  tcUrl=f"rtmp://{HOST}/call?token={GUESS}{what}"))
        client.await_word(b"NetConnection.Connect.Rejected", 10)

    def test_guessing_costs_the_guesser_time_and_nobody_else(self):
        took = []
        for number_ in range(7):
            client = self.attacker(source="127.0.0.7")
            began = time.monotonic()
            self.guess(client, number_)
            took.append(time.monotonic() - began)
            self.assertIsNotNone(client.closed_within(2))
            self.logged(rf"rtmp {client.name} \w+ connect: refused|"
                        rf"rtmp {client.name}: refused at connect")
            # Who knows the token is served at once, from elsewhere and from the same address.
            began = time.monotonic()
            self.connected(source="127.0.0.8").close()
            self.connected(source="127.0.0.7").close()
            self.assertLess(time.monotonic() - began, self.at_once(0.5, began))
        self.assertLess(took[0], self.at_once(0.5, self.began))
        for least, each in zip((0.1, 0.2, 0.4, 0.8), took[2:]):
            self.assertGreater(each, 0.8 * least, took)
        self.assertLess(max(took), self.at_once(4, self.began))

    def test_guessing_with_many_connections_at_once(self):
        clients = [self.attacker(source="127.0.0.6") for _ in range(30)]
        began = time.monotonic()
        for client in clients:
            client.command(0, text("connect"), number(1),
                           amf_object(app=f"call?token={GUESS}9", tcUrl="rtmp://x/call"))
        self.assert_served()
        for client in clients:
            self.assert_refused(client, "connect", 5)
        self.assertGreater(time.monotonic() - began, 1.0)

    def test_tokens_that_are_none(self):
        right = self.mallory.token
        head, body, signature = right.split(".")
        none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"  # {"alg":"none","typ":"JWT"}
        for wrong in (f"{head}.{body}.", f"{none}.{body}.", f"{none}.{body}.{signature}", "..",
                      f"{head}.{body}.{signature[:-2]}AA", f"{head}.{body[:-2]}.{signature}",
                      right + "A", "%00", "A" * 3000, f"{head}.{body}.{signature}.{signature}"):
            with self.subTest(wrong=wrong[-20:]):
                client = self.attacker(source=f"127.0.1.{len(wrong) % 250 + 1}")
                client.command(0, CONNECT, amf_object(app=f"call?token={wrong}",
                                                      tcUrl=f"rtmp://{HOST}/call"))
                client.await_word(b"NetConnection.Connect.Rejected", 5)


class G_Slow(BesideACall):
    def test_a_player_that_does_not_read(self):
        clients = []
        for _ in range(3):
            client = self.connected(token=self.running.alice.token, receive_buffer=4096)
            client.create_stream()
            client.play("alice")
            clients.append(client)
        before = self.junctor.process.usage().rss
        for client in clients:
            self.logged(rf"rtmp {client.name}: closed at playing: .*too slowly",
                        LAG_LIMIT + 8)
        if not self.running.sanitized():
            self.assertLess(self.junctor.process.usage().rss - before, 20e6)

    def test_a_publisher_that_sends_a_byte_at_a_time(self):
        client = self.publisher()
        data = message(4, 9, 1, b"\x27\x01\0\0\0" + bytes(5000))
        end = time.monotonic() + 2.5
        for byte in data:
            client.send(bytes([byte]))
            time.sleep(0.1)
            if time.monotonic() > end:
                break
        self.assertIsNone(client.closed_within(0.01), "it is slow, and no more")
        self.assert_served()


class H_ManyConnections(BesideACall):
    def test_a_thousand_idle_connections(self):
        before = self.junctor.process.usage()
        clients = [Attacker(self.port, handshake=False) for _ in range(IDLE_CONNECTIONS)]
        try:
            self.assert_served()
            deadline = time.monotonic() + HANDSHAKE_LIMIT + 3
            still = sum(client.closed_within(max(0.01, deadline - time.monotonic())) is None
                        for client in clients)
        finally:
            for client in clients:
                client.close()
        self.assertEqual(still, 0)
        # Some are named; the rest is counted, so that a thousand do not fill the log.
        names = "|".join(re.escape(client.name) for client in clients)
        self.logged(rf"rtmp (?:{names}): closed at handshake")
        lines = len(re.findall(rf"rtmp (?:{names}): closed at handshake", self.log()))
        self.assertLess(lines, IDLE_CONNECTIONS // 2)
        wait_until(lambda: self.junctor.process.usage().descriptors <= before.descriptors + 2, 5,
                   "descriptors back to their level")

    def test_more_connections_than_an_address_may_have(self):
        clients = [Attacker(self.port, handshake=False, source="127.0.0.9") for _ in range(1030)]
        try:
            self.assertIsNotNone(self.closed_at_once(clients[-1], 1.0))
            self.assert_served()
            self.logged(r"rtmp 127\.0\.0\.9:\d+: closed at accept: too many connections")
        finally:
            for client in clients:
                client.close()

    def test_no_descriptors_left(self):
        process = self.junctor.process
        limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        clients = []
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE,
                         (process.usage().descriptors + 10, limits[1]))
        try:
            clients = [Attacker(self.port, handshake=False) for _ in range(60)]
            self.logged("cannot accept for now")
            time.sleep(0.5)
        finally:
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limits)
            for client in clients:
                client.close()
        wait_until(self.served, 5, "a client to be served again")

    def served(self):
        try:
            self.assert_served()
            return True
        except OSError:
            return False


class Z_Afterwards(BesideACall):
    def setUp(self):
        super().setUp()
        self.began = self.running.began

    def test_everything_is_back_at_its_level_and_the_call_had_no_gap(self):
        self.running.back_at_level(self)

    def test_nothing_secret_was_logged(self):
        log = self.junctor.log()
        for secret in [*self.running.secrets(), GUESS]:
            self.assertNotIn(secret, log)


class Z_End(BesideACall):
    def tearDown(self):
        pass  # there is no call left to look at

    def test_the_call_ends_as_it_should(self):
        self.running.push.stop()
        record = self.junctor.wait_ended(self.running.id)
        self.assertEqual(record["reason"], "caller-hangup", record["detail"])
        for medium in ("audio", "video"):
            self.assertEqual(record[medium]["lost"], 0, medium)
        self.running.sipp.wait()
