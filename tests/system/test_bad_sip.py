# SIP, SDP and RTP peers that misbehave, each kind while a call runs whose media must not
# notice. SPDX-License-Identifier: LGPL-2.1-or-later
import itertools
import random
import re
import socket
import struct
import time

from support import rtp, tones
from support.hostile import BesideACall, HalfRequests, RunningCall
from support.hostile_sip import (LyingPhone, SipPeer, crlf, header_of, response, status_of)
from support.ports import HOST, is_closed
from support.process import wait_until
from support.torture import ANSWERED, INVALID, VALID

CONFIG = """
[sip]
allow = ["sip:*@127.0.0.1:*"]
"""
GUESS = "a-guessed-secret-"
PEER_LIMIT = 1000  # requests of one peer that are kept at once
SDP = "v=0\no=x 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n"


def setUpModule():
    BesideACall.running = RunningCall(CONFIG)
    BesideACall.running.silent = []
    port = BesideACall.running.junctor.sip_port
    # These take their time: begun first, looked at last.
    BesideACall.running.stop_half_way((
        (port, b"INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/TCP h"),
        (port, b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 60000\r\n\r\nx")))


def tearDownModule():
    BesideACall.running.close_half()
    for made in BesideACall.running.silent:
        made.close()
    BesideACall.running.stop()


class SipTest(BesideACall):
    def setUp(self):
        super().setUp()
        self.sip = self.peer()

    def peer(self, **more):
        made = SipPeer(self.junctor.sip_port, **more)
        self.addCleanup(made.close)
        return made

    def assert_answers(self):
        """A well-formed request is answered, sent again each half second as RFC 3261 has it."""
        peer = self.peer()
        wait_until(lambda: peer.ask(0.5) == 200, 5, "OPTIONS to be answered", every=0)


class A_Messages(SipTest):
    def test_valid_messages_that_are_hard_to_read(self):
        for label, make in VALID.items():
            with self.subTest(label):
                peer = self.peer()
                call_id, data = make(peer, self.junctor.sip_address)
                peer.send(data)
                status = peer.final(call_id)
                wanted = ANSWERED.get(label, range(200, 500))
                self.assertIn(status, wanted)
        self.assert_answers()

    def test_invalid_messages(self):
        for label, make in INVALID.items():
            with self.subTest(label):
                peer = self.peer()
                _, data = make(peer, self.junctor.sip_address)
                peer.send(data)
                wanted = ANSWERED.get(label, range(400, 600))
                patience = 0.15 if 0 in wanted else 2.0 * self.running.patience()
                heard = [status_of(message) for message in peer.answers(
                    patience, lambda heard: any(status_of(m) >= 200 for m in heard))]
                self.assertIn(next((status for status in heard if status >= 200), 0), wanted, heard)
                self.assertLessEqual({status for status in heard if status < 200}, {100})
        self.assert_answers()

    def test_what_is_no_message(self):
        chance = random.Random(3)
        _, good = self.sip.request("INVITE", f"sip:alice@{HOST}", contact=f"<sip:h@{HOST}:9>",
                                   body=crlf(SDP), more="Content-Type: application/sdp\n")
        messages = [b"", b"\0", b"\r\n\r\n", b"\n" * 1000, b"INVITE", b"SIP/2.0 200 OK\r\n\r\n",
                    b"\xff" * 1400, bytes(60000), b"A" * 65000, b"SIP/2.0 999999999 X\r\n\r\n"]
        messages += [good[:cut] for cut in range(1, len(good), 11)]
        messages += [chance.randbytes(chance.randrange(1, 1400)) for _ in range(60)]
        for _ in range(250):
            broken = bytearray(good)
            for _ in range(chance.randrange(1, 12)):
                broken[chance.randrange(len(broken))] = chance.randrange(256)
            messages.append(bytes(broken))
        for data in messages:
            self.sip.send(data)
        self.assert_answers()

    def test_huge_headers(self):
        methods = itertools.cycle(("OPTIONS", "INVITE", "REGISTER"))
        before = self.junctor.process.usage().cpu
        for more in ("X-Long: " + "y" * 60000 + "\n", "X: y\n" * 8000, "X:\n" * 4000, "y\n" * 7000,
                     "m:\n" * 4000,
                     "Via: SIP/2.0/UDP h;branch=z9hG4bKx\n" * 1000, "Via: " + "h," * 20000 + "\n",
                     "Contact: " + "<sip:a@127.0.0.1>," * 2500 + "<sip:a@127.0.0.1>\n",
                     "Record-Route: " + "<sip:a@127.0.0.1;lr>," * 2500 + "<sip:b@127.0.0.1;lr>\n",
                     "Require: " + "z," * 20000 + "z\n", "Subject:\n" + " x\n" * 15000):
            self.sip.send(self.sip.request(next(methods), f"sip:alice@{HOST}", more=more)[1][:65000])
        self.assert_answers()
        # Some of them would cost the stack a second each.
        self.assertLess(self.junctor.process.usage().cpu - before, 1.0 * self.running.patience())

    def test_contacts_and_routes_that_crash_the_stack(self):
        """Answered positively and never acknowledged, these would end the process."""
        me = f"<sip:h@{self.sip.name}>"
        hostile = ["Contact: *\n", "m: *\n", f"Contact: {me}, <tel:+1>\n",
                   f"Contact: {me}\nContact: <tel:+1>\n", f"Record-Route: <tel:+1>\nContact: {me}\n",
                   f"Record-Route: <sip:{HOST};lr>, <http://x/>\nContact: {me}\n"]
        hostile += [f"Contact: <{uri}>\n" for uri in (
            "tel:+4930123", "http://x/", "mailto:a@b", "urn:service:sos", "foo:bar", "sip:",
            "sip:b@", "sip:b@1.2.3", "sip:b@300.1.1.1", "sip:b@[::::]:99999", "")]
        self.assertGreaterEqual(len(hostile), 15)
        for more in hostile:
            with self.subTest(more=more):
                status = self.sip.ask(method="INVITE", uri=f"sip:alice@{self.junctor.sip_address}",
                                      more=more, body=crlf(SDP + "m=audio 9000 RTP/AVP 8\n"))
                self.assertEqual(status, 400)
        self.logged(rf"sip {re.escape(self.sip.name)}: refused at parsing: its Contact")
        self.assert_answers()

    def test_dialogs_that_do_not_exist(self):
        for method, wanted in (("BYE", 481), ("CANCEL", 481), ("UPDATE", 481), ("INFO", 481),
                               ("PRACK", 481), ("NOTIFY", (405, 481, 489))):
            status = self.sip.ask(method=method, to=f"<sip:alice@{HOST}>;tag=gone",
                                  uri=f"sip:alice@{self.junctor.sip_address}")
            self.assertIn(status, wanted if isinstance(wanted, tuple) else (wanted,), method)
        self.sip.send(self.sip.request("ACK", to=f"<sip:alice@{HOST}>;tag=gone")[1])
        self.assert_answers()

    def test_strangers_in_the_running_call(self):
        """Its Call-ID and one tag, but not both."""
        trace = self.running.sipp.trace()
        invite = trace[trace.index("INVITE sip:"):].replace("\r\n", "\n").encode()
        call_id, from_ = header_of(invite, "Call-ID"), header_of(invite, "From")
        uri = f"sip:alice@{self.junctor.sip_address}"
        for method, to, sender in (("BYE", from_, "<sip:callee@x>;tag=wrong"),
                                   ("BYE", "<sip:alice@x>;tag=wrong", "<sip:callee@x>;tag=w"),
                                   ("CANCEL", from_, "<sip:callee@x>;tag=wrong"),
                                   ("INVITE", from_, "<sip:callee@x>;tag=wrong")):
            status = self.sip.ask(method=method, uri=uri, call_id=call_id, to=to, from_=sender,
                                  contact=f"<sip:h@{self.sip.name}>", cseq=77)
            self.assertEqual(status, 481, method)
        for status in ("200 OK", "180 Ringing", "486 Busy Here", "407 Proxy Authentication Required"):
            self.sip.send(response(invite, status, SDP))

    def test_tcp_that_never_ends_a_message(self):
        clients = []
        for index in range(30):
            client = socket.create_connection((HOST, self.junctor.sip_port), 5)
            self.addCleanup(client.close)
            client.sendall(b"INVITE sip:x SIP/2.0\r\nVia: ")
            clients.append(client)
        for client in clients[:5]:
            try:
                client.settimeout(0.5)
                for _ in range(20):
                    client.sendall(b"a" * 60000)
            except OSError:
                pass  # closed, or not read any more
        for client in clients[5:10]:
            client.sendall(random.Random(4).randbytes(3000) + b"\r\n\r\n")
        self.assert_answers()


class B_Floods(SipTest):
    REQUESTS = 700  # of each kind

    def test_a_flood_of_strays(self):
        before = self.junctor.process.usage()
        flooder = self.peer(source="127.0.0.21")
        for index in range(self.REQUESTS):
            for method in ("INVITE", "BYE", "SUBSCRIBE"):
                flooder.send(flooder.request(method, f"sip:nobody{index}@{HOST}",
                                             contact=f"<sip:h@{flooder.name}>")[1])
            if index % 50 == 0:
                flooder.answers(0.02)
        # What is refused stays for 32 s, at some 20 KB each, and there may be so many of one peer.
        flooder.answers(0.2)
        self.assertEqual(flooder.ask(), 503)
        self.assertIn(int(header_of(flooder.last, "Retry-After")), range(1, 33))
        self.assert_answers()
        if not self.running.sanitized():
            self.assertLess(self.junctor.process.usage().rss - before.rss, PEER_LIMIT * 25_000)
        self.logged(rf"sip {re.escape(flooder.name)}: refused at INVITE: 4\d\d")
        refusals = len(re.findall("refused at INVITE", self.log()))
        self.assertLess(refusals, self.REQUESTS / 2, "the log takes part in the flood")

    def test_connections_that_say_nothing(self):
        clients = []
        for index in range(600):
            clients.append(socket.create_connection((HOST, self.junctor.sip_port), 5,
                                                    source_address=("127.0.0.22", 0)))
            if index % 100 == 99:
                self.assert_answers()
        self.running.silent = clients
        # Of one address no more than a hundred stay, and those not for long either: see below.
        wait_until(lambda: sum(map(is_closed, clients)) >= 500, 5, "500 of them to be closed")
        with socket.create_connection((HOST, self.junctor.sip_port), 5) as made:
            host, port = made.getsockname()
            call_id, data = self.sip.request(via=f"SIP/2.0/TCP {host}:{port};branch=z9hG4bKtcp")
            made.sendall(data)
            made.settimeout(5)
            self.assertEqual(status_of(made.recv(65536)), 200)
        self.assert_answers()

    def test_guessing_passwords(self):
        guesser = self.peer(source="127.0.0.11")
        began = time.monotonic()
        statuses = [guesser.register("alice", GUESS + str(n)) for n in range(3)]
        self.assertEqual(statuses, [403, 403, 403])
        self.assertGreater(time.monotonic() - began, 2.5)
        self.logged(rf"sip {re.escape(guesser.name)}: refused at REGISTER: 403")
        # Whoever knows the password is not delayed, from elsewhere and from the same address.
        for source in ("127.0.0.12", "127.0.0.11"):
            began = time.monotonic()
            phone = self.peer(source=source)
            self.assertEqual(phone.register("mallory", self.mallory.password), 200)
            self.assertLess(time.monotonic() - began, self.at_once(0.8, began))

    def test_guessing_with_many_at_once(self):
        guessers = [self.peer(source="127.0.0.13") for _ in range(3)]
        for index in range(60):
            for guesser in guessers:
                guesser.send(guesser.request(
                    "REGISTER", f"sip:{HOST}", to=f"<sip:user{index}@{HOST}>",
                    contact=f"<sip:h@{guesser.name}>",
                    more=f'Authorization: Digest username="user{index}", realm="junctor", '
                         f'nonce="x{index}", uri="sip:x", response="{GUESS}"\n')[1])
        phone = self.peer(source="127.0.0.14")
        began = time.monotonic()
        self.assertEqual(phone.register("mallory", self.mallory.password), 200)
        self.assertLess(time.monotonic() - began, self.at_once(1.0, began))

    def test_registrations_that_lie(self):
        for more in ("Expires: 99999999999999999999\n", "Expires: -1\n", "Contact: *\nExpires: 5\n",
                     "Authorization: Digest\n", "Authorization: Digest " + 'a="b",' * 3000 + "\n",
                     "Authorization: Basic eDp5\n", 'Authorization: Digest username="\n'):
            status = self.sip.ask(method="REGISTER", to=f"<sip:alice@{HOST}>", more=more)
            self.assertIn(status, range(400, 500), more[:40])


class C_Answers(SipTest):
    """mallory calls phones that lie."""

    def call(self, answer):
        """Returns the phone and the call's id."""
        phone = LyingPhone(answer)
        self.addCleanup(phone.close)
        known = [call["id"] for call in self.junctor.calls()]
        client = self.connected()
        client.create_stream()
        client.publish(f"mallory?to={phone.uri}")
        self.addCleanup(client.close)
        return phone, self.junctor.find_call("mallory", known=known)

    def ends(self, answer, reason="not-acceptable"):
        phone, call = self.call(answer)
        try:
            ended = self.junctor.wait_ended(call, 3)
        except AssertionError:
            self.junctor.hangup(call)
            raise
        self.assertEqual(ended["reason"], reason, ended["detail"])
        self.assertTrue(ended["detail"])
        wait_until(lambda: "BYE" in phone.methods(), 3, "a BYE for the phone")

    def survives(self, answer):
        """Answered or not: it can be hung up, and nothing else happens."""
        phone, call = self.call(answer)
        try:
            wait_until(lambda: "ACK" in phone.methods(), 3, "an ACK for the phone")
            time.sleep(0.15)
        finally:
            if self.junctor.call(call)["state"] != "ended":
                self.junctor.hangup(call)
            ended = self.junctor.wait_ended(call, 5)
        return ended

    def test_descriptions_that_are_none(self):
        for sdp in ("", "\x01\x02 not sdp at all", SDP[:40], SDP.replace("v=0", "v=1"),
                    SDP.replace("127.0.0.1", "999.1.1.1"), SDP, SDP + "m=audio\n",
                    SDP + "m=audio 9 RTP/AVP 8\na=\0\0\n", SDP + "=\n" * 100):
            with self.subTest(sdp=sdp[-30:]):
                self.ends(lambda invite, sdp=sdp: response(
                    invite, "200 OK", sdp, contact=f"<sip:x@{HOST}:{port_of(invite)}>"))

    def test_media_that_cannot_be(self):
        for media in ("m=audio 0 RTP/AVP 8\nm=video 0 RTP/AVP 96\n", "m=audio 65536 RTP/AVP 8\n",
                      "m=audio -1 RTP/AVP 8\n", "m=audio 9 RTP/AVP 128 999999\n",
                      "m=audio 9 RTP/AVP 120\na=rtpmap:120 G7221/16000\n", "m=audio 9 RTP/SAVP 8\n",
                      "m=audio 9 RTP/AVP 8\na=rtpmap:8 PCMA/0\n", "m=audio 9 RTP/AVP 8\n" * 300,
                      "m=audio 9 RTP/AVP 8\na=fmtp:8 " + "z" * 12000 + "\n",
                      "m=audio 9 RTP/AVP 8\nc=IN IP4 ../../etc/passwd\n",
                      "m=audio 9 RTP/AVP 8\nc=IN IP4 evil.example.com\n"):
            with self.subTest(media=media[:40]):
                self.ends(lambda invite, media=media: response(
                    invite, "200 OK", SDP + media, contact=f"<sip:x@{HOST}:{port_of(invite)}>"))

    def test_groups_and_everybody_are_no_place_for_media(self):
        for address in ("IP4 224.0.0.251/127", "IP4 255.255.255.255", "IP6 ff02::fb"):
            with self.subTest(address):
                sdp = SDP.replace("IP4 127.0.0.1\nt", f"{address}\nt") + "m=audio 9 RTP/AVP 8\n"
                self.ends(lambda invite, sdp=sdp: response(
                    invite, "200 OK", sdp, contact=f"<sip:x@{HOST}:{port_of(invite)}>"))

    def test_addresses_that_lead_back_to_us(self):
        """Our own ports, of this call and of SIP, and a port that nobody has."""
        def own(invite):
            return int(re.search(rb"m=audio (\d+)", invite).group(1))
        for port in (own, lambda _: self.junctor.sip_port, lambda _: self.junctor.http_port,
                     lambda _: 1):
            before = self.junctor.process.usage()
            self.survives(lambda invite, port=port: response(
                invite, "200 OK", SDP + f"m=audio {port(invite)} RTP/AVP 8\n",
                contact=f"<sip:x@{HOST}:{port_of(invite)}>"))
            after = self.junctor.process.usage()
            self.assertLess(after.cpu - before.cpu, 1.0 * self.running.patience(), "media goes in circles")

    def test_thousands_of_lines(self):
        self.survives(lambda invite: response(
            invite, "200 OK", SDP + "m=audio 9 RTP/AVP 8\n" + "a=x\n" * 2500,
            contact=f"<sip:x@{HOST}:{port_of(invite)}>"))

    def test_answers_whose_headers_lie(self):
        sdp = SDP + "m=audio 9 RTP/AVP 8\n"
        for more in ("Contact: <tel:1>\n", "Contact: *\n", "Contact: <http://x/>\n", "",
                     "Contact: ME\nRecord-Route: <tel:1>\n",
                     "Contact: ME\nRecord-Route: <sip:[::::]:99999>, <sip:>\n"):
            with self.subTest(more):
                self.survives(lambda invite, more=more: response(
                    invite, "200 OK", sdp,
                    more=more.replace("ME", f"<sip:x@{HOST}:{port_of(invite)}>")))

    def test_responses_that_contradict_each_other(self):
        def many(invite):
            me = f"<sip:x@{HOST}:{port_of(invite)}>"
            good = response(invite, "200 OK", SDP + "m=audio 9 RTP/AVP 8\n", contact=me)
            return [response(invite, "180 Ringing", ""), response(invite, "183 Progress", "noise"),
                    response(invite, "999 Odd", ""), response(invite, "099 Odd", ""), b"SIP/2.0 200",
                    response(invite, "200 OK", "x", drop=("CSeq",)),
                    response(invite, "200 OK", "x", drop=("Via",)),
                    response(invite, "200 OK", SDP, contact=me, length=99999999),
                    good, response(invite, "486 Busy Here", ""),
                    good.replace(b";tag=liar", b";tag=other"), good, good]
        self.survives(many)

    def test_a_phone_that_floods_responses(self):
        self.survives(lambda invite: [response(invite, "180 Ringing", "")] * 100 + [response(
            invite, "200 OK", SDP + "m=audio 9 RTP/AVP 8\n",
            contact=f"<sip:x@{HOST}:{port_of(invite)}>")])


def port_of(invite):
    """The port at which the INVITE came in, as its Request-URI has it."""
    return int(re.search(rb"^INVITE sip:\S+?:(\d+)", invite).group(1))


class D_Rtp(BesideACall):
    """Into the ports of the running call."""

    def setUp(self):
        super().setUp()
        phone = self.running.phone
        self.ports = {medium: phone.target[medium][1] for medium in (rtp.AUDIO, rtp.VIDEO)}
        self.stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.stranger.close)
        self.stranger.bind((HOST, 0))

    def test_a_stranger_is_not_heard_and_gets_nothing(self):
        audio = rtp.tone_packets(2000, amplitude=30000)
        for index in range(75):
            header = struct.pack("!BBHII", 0x80, rtp.PCMA, index, index * 160, 0xBAD)
            self.stranger.sendto(header + audio[index % 50], (HOST, self.ports[rtp.AUDIO]))
            for burst in range(4):
                header = struct.pack("!BBHII", 0x80, 0x80 | rtp.H264, index * 4 + burst,
                                     index * 3600, 0xBAD)
                self.stranger.sendto(header + b"\x65" + bytes(900),
                                     (HOST, self.ports[rtp.VIDEO]))
            time.sleep(0.02)
        self.stranger.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            self.stranger.recv(2000)
        heard = self.running.pull.heard(self.began)
        self.assertLess(tones.share_with_tone(heard, 8000, 2000, threshold=0.1), 0.01)

    def test_a_strangers_rtcp(self):
        """BYE, reports and requests for the call's own sources, by somebody else."""
        own = self.running.phone.packets(rtp.VIDEO)[-1].ssrc
        bye = struct.pack("!BBHI", 0x81, 203, 1, own)
        report = struct.pack("!BBHI", 0x80, 201, 1, own)
        pli = struct.pack("!BBHII", 0x81, 206, 2, 0xBAD, own)
        chance = random.Random(9)
        for _ in range(30):
            for medium in (rtp.AUDIO, rtp.VIDEO):
                for data in (bye, report + bye, report + pli * 20, chance.randbytes(200), b"\x80",
                             b"\x80\xc9\xff\xff" + bytes(8), b"\x9f\xca\0\0", bytes(1400)):
                    for offset in (0, 1):
                        self.stranger.sendto(data, (HOST, self.ports[medium] + offset))
        time.sleep(0.3)

    def test_malformed_packets_from_the_phone_itself(self):
        phone = self.running.phone
        chance = random.Random(11)
        kinds = [b"", b"\x80", b"\x80\x08" + bytes(9), bytes(12), b"\xff" * 12, b"\x8f\x08" + bytes(20),
                 b"\x90\x08" + bytes(10) + b"\0\0\xff\xff", b"\xa0\x08" + bytes(9) + b"\xff",
                 b"\xa0\x08" + bytes(30) + b"\0", b"\x40\x08" + bytes(170), b"\x80\x7f" + bytes(170)]
        kinds += [chance.randbytes(chance.randrange(1, 1400)) for _ in range(60)]
        for data in kinds:
            for medium in (rtp.AUDIO, rtp.VIDEO):
                phone.send_raw(medium, "rtp", data)
                phone.send_raw(medium, "rtcp", data)
                phone.send_raw(medium, "rtcp", b"\x81\xc8" + data)
        time.sleep(0.3)

    def test_a_flood_of_keyframe_requests(self):
        phone = self.running.phone
        own = phone.packets(rtp.VIDEO)[-1].ssrc
        packet = struct.pack("!BBHI", 0x80, 201, 1, 1) + struct.pack("!BBHII", 0x81, 206, 2, 1, own)
        nack = struct.pack("!BBHI", 0x80, 201, 1, 1) + \
            struct.pack("!BBHII", 0x81, 205, 2 + 200, 1, own) + b"\0\0\xff\xff" * 200
        before = self.junctor.process.usage().cpu
        for _ in range(200):
            phone.send_raw(rtp.VIDEO, "rtcp", packet)
            phone.send_raw(rtp.VIDEO, "rtcp", nack)
        time.sleep(0.3)
        self.assertLess(self.junctor.process.usage().cpu - before, 1.5 * self.running.patience())


class Y_HalfRequests(HalfRequests, BesideACall):
    def test_who_says_nothing_is_closed(self):
        wait_until(lambda: all(map(is_closed, self.running.silent)), 30, "all to be closed")


class Z_Afterwards(BesideACall):
    def setUp(self):
        super().setUp()
        self.began = self.running.began

    def test_everything_is_back_at_its_level_and_the_call_had_no_gap(self):
        self.running.close_half()
        self.running.back_at_level(self, 35)  # what was refused stays for 32 s

    def test_nothing_secret_was_logged(self):
        log = self.junctor.log()
        for secret in [*self.running.secrets(), GUESS]:
            self.assertNotIn(secret, log)
