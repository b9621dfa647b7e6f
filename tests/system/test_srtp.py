# G9: SIP over TLS and SRTP, with baresip. SPDX-License-Identifier: LGPL-2.1-or-later
import hashlib
import os
import re
import socket
import ssl

from support import media, rtmp, tones
from support.baresip import Baresip
from support.case import SystemTest
from support.junctor import Junctor
from support.ports import HOST, free_port
from support.process import wait_until
from support.tls import self_signed, shown
from support.wire import Wire

ALICE, BOB = rtmp.FfmpegPush.IDENTITY, Baresip.IDENTITY
ALICE_TONE, BOB_TONE = 440, 1000


class SecureTest(SystemTest):
    def serve(self, config="", more=""):
        self.tls_port = free_port()
        self.certificate, self.key, self.first = self_signed(self.workspace.path, "own")
        self.junctor = self.start(Junctor(
            self.workspace, f'[tls]\ncertificate = "{self.certificate}"\nkey = "{self.key}"\n'
            f"[sip]\n{config}\n{more}", ["--sips", f"{HOST}:{self.tls_port}"]))
        self.alice = self.junctor.account("alice")

    def phone(self, encryption="", transport="tls", policy=None, **more):
        bob = self.junctor.account("bob", **({"srtp": policy} if policy else {}))
        port = self.tls_port if transport == "tls" else self.junctor.sip_port
        phone = self.start(Baresip(self.workspace, "bob", registrar=f"{HOST}:{port}",
                                   password=bob.password, transport=transport,
                                   encryption=encryption, **more))
        phone.wait_registered()
        return phone

    def call(self, to="bob"):
        self.pull = self.start(rtmp.FfmpegPull(self.workspace, self.alice.pull_url()))
        self.push = self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url(to)))
        return self.junctor.find_call("alice")

    def ended(self, call, reason, words):
        record = self.junctor.wait_ended(call)
        self.assertRegex(record["reason"], reason, record["detail"])
        self.assertRegex(record["detail"], words)
        return record


class G9_Srtp(SecureTest):
    def seen_and_heard(self, phone):
        """Picture and sound arrive both ways."""
        self.pull.wait_picture(BOB)
        self.pull.wait_tone(BOB_TONE)

        def at_the_phone():
            found = phone.snapshot()
            mark = media.mark_of(found[0]) if found else None
            return mark is not None and mark[0] == ALICE
        wait_until(at_the_phone, 20, "alice's picture at the phone", every=0.5)
        wait_until(lambda: tones.longest_with_tone(*phone.heard(), ALICE_TONE) > 0.4, 20,
                   "alice's tone at the phone", every=0.5)

    def test_nothing_of_a_call_is_in_clear(self):
        self.serve()
        phone = self.phone("srtp-mand", policy="require")
        wire = Wire([self.tls_port], self.junctor.rtp_ports)
        try:
            call = self.call()
            self.junctor.wait_state(call, "answered")
            self.seen_and_heard(phone)
            security = self.junctor.call(call)["security"]
            self.push.stop()
            self.junctor.wait_ended(call)
        finally:
            wire.stop()
        self.assertEqual(security["callee"], {"signalling": "tls",
                                              "media": "srtp AES_CM_128_HMAC_SHA1_80"})
        self.assertEqual(security["caller"], {"signalling": "none", "media": "none"})
        self.assertEqual(self.junctor.call(call)["security"], security, "the record has it too")
        self.assertGreater(len(wire.sounds()), 100, "the capture has not seen the media")
        self.assertEqual(wire.plain_sounds(), [])
        self.assertEqual(wire.plain_pictures(), [])
        self.assertGreater(len(wire.tcp), 4000)
        for word in (b"INVITE", b"SIP/2.0", b"bob", b"inline:", b"a=crypto"):
            self.assertNotIn(word, wire.tcp)
        self.assertNotIn("inline:", self.junctor.log(), "keys are no matter for logs")
        _, shown_call = self.junctor.command("calls", call)
        self.assertIn("signalling tls, media srtp AES_CM_128_HMAC_SHA1_80", shown_call)
        self.assertIn("signalling clear, media clear", shown_call)

    def test_a_phone_that_calls_is_encrypted_too(self):
        self.serve()
        phone = self.phone("srtp-mand", policy="require")
        self.pull = self.start(rtmp.FfmpegPull(self.workspace, self.alice.pull_url()))
        wait_until(lambda: " pull publish/play as alice: accepted" in self.junctor.log(), 20,
                   "alice's player")
        phone.dial(f"sip:alice@{HOST}:{self.tls_port};transport=tls")
        call = self.junctor.find_call("bob")
        self.junctor.wait_state(call, "ringing")
        self.push = self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url()))
        self.junctor.wait_state(call, "answered")
        self.seen_and_heard(phone)
        security = self.junctor.call(call)["security"]
        self.assertEqual(security["caller"]["signalling"], "tls")
        self.assertRegex(security["caller"]["media"], "^srtp ")

    def test_what_is_preferred_falls_back_to_plain(self):
        self.serve('srtp = "prefer"')
        self.phone()
        wire = Wire([self.tls_port], self.junctor.rtp_ports)
        try:
            call = self.call()
            self.junctor.wait_state(call, "answered")
            self.pull.wait_tone(BOB_TONE)
            self.assertEqual(self.junctor.call(call)["security"]["callee"],
                             {"signalling": "tls", "media": "none"})
        finally:
            wire.stop()
        self.assertGreater(len(wire.plain_sounds()), 20, "the capture would show plain media")

    def test_what_is_preferred_is_taken_by_who_can(self):
        self.serve('srtp = "prefer"')
        phone = self.phone("srtp")
        call = self.call()
        self.junctor.wait_state(call, "answered")
        self.seen_and_heard(phone)
        self.assertRegex(self.junctor.call(call)["security"]["callee"]["media"], "^srtp ")

    def test_a_plain_answer_to_required_encryption_ends_the_call(self):
        self.serve()
        self.phone(policy="require")
        self.ended(self.call(), "not-acceptable", "SRTP")

    def test_required_encryption_is_not_offered_over_udp(self):
        self.serve()
        self.phone("srtp-mand", transport="udp", policy="require")
        self.ended(self.call(), "not-acceptable", "SRTP is required.*not reached over TLS")
        self.push.process.wait(20)
        self.assertIn("SRTP is required", self.push.process.log(), "its publisher is told why")

    def test_a_plain_call_to_a_terminal_that_requires_it_never_rings(self):
        self.serve()
        phone = self.phone(transport="udp", policy="require")
        pull = self.start(rtmp.FfmpegPull(self.workspace, self.alice.pull_url()))
        wait_until(lambda: " pull publish/play as alice: accepted" in self.junctor.log(), 20,
                   "alice's player")
        phone.dial(f"sip:alice@{HOST}:{self.junctor.sip_port}")
        phone.wait_event("CALL_CLOSED")
        record = self.junctor.get("calls")["calls"][0]
        self.assertEqual((record["reason"], record["ringing"]), ("not-acceptable", None))
        self.assertRegex(record["detail"], "SRTP is required.*has not come over TLS")
        self.assertEqual(phone.event_times("CALL_RINGING"), [])
        self.assertTrue(pull.process.running())

    def test_a_phone_that_requires_it_is_refused_where_it_is_off(self):
        self.serve('srtp = "off"')
        self.phone("srtp-mand")
        self.ended(self.call(), "^not-acceptable$", "488 Not Acceptable Here")

    def test_a_terminal_that_requires_encryption_comes_by_rtmps(self):
        self.serve()
        carol = self.junctor.account("carol", srtp="require")
        refused = rtmp.ffmpeg_pull_short(self.workspace, carol.pull_url())
        self.assertNotEqual(refused.wait(20), 0)
        self.assertIn("requires encryption: connect by rtmps://", refused.log())


class G9_Sips(SecureTest):
    def test_the_certificate_is_renewed_while_a_call_goes_on(self):
        self.serve()
        self.phone("srtp-mand", video=False)
        call = self.call()
        self.junctor.wait_state(call, "answered")
        self.assertEqual(shown(self.tls_port), self.first)
        renewed, key, second = self_signed(self.workspace.path, "new")
        os.replace(key, self.key)
        os.replace(renewed, self.certificate)
        wait_until(lambda: shown(self.tls_port) == second, 10, "the renewed certificate", every=0.3)
        self.assertEqual(self.junctor.call(call)["state"], "answered")
        # BYE goes over the connection that the phone registered on, under the old one.
        self.junctor.hangup(call)
        self.assertEqual(self.junctor.wait_ended(call)["reason"], "admin")

    def test_a_phone_behind_a_nat_is_reached_over_its_connection(self):
        self.serve()
        bob = self.junctor.account("bob")
        phone = NatPhone(self.tls_port, "bob", bob.password)
        self.addCleanup(phone.close)
        phone.register()
        call = self.call()
        invite = phone.read("INVITE ")
        self.assertIn(f"INVITE sip:bob@{NatPhone.BEHIND}", invite)
        phone.answer(invite, "486 Busy Here")
        self.ended(call, "busy", ".")

    def server(self, believed):
        """A phone that is called as a server is; `believed`: by its own certificate."""
        certificate, key, _ = self_signed(self.workspace.path, "phone")
        both = ""
        for part in (certificate, key):
            with open(part, encoding="ascii") as file:
                both += file.read()
        both = self.workspace.write("phone.pem", both)
        ca = f'tls-ca = "{certificate}"' if believed else ""
        self.serve(f'allow = ["sip:*@{HOST}:*"]\n{ca}')
        phone = self.start(Baresip(self.workspace, "dave", transport="tls", video=False,
                                   config=f"sip_certificate\t{both}\n"))
        return f"sip:dave@{HOST}:{phone.sip_port + 1};transport=tls"

    def test_a_server_whose_certificate_is_believed_is_called(self):
        call = self.call(self.server(believed=True))
        self.junctor.wait_state(call, "answered")
        self.assertEqual(self.junctor.call(call)["security"]["callee"]["signalling"], "tls")

    def test_a_server_whose_certificate_is_not_believed_is_not_called(self):
        call = self.call(self.server(believed=False))
        self.ended(call, "unreachable", "its certificate is not believed: self-signed certificate")

    def test_more_than_a_message_may_have_ends_its_connection_alone(self):
        self.serve()
        self.phone()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        request = b"OPTIONS sip:x SIP/2.0\r\nX: "
        for size in (16000, 16384, 16385, 17000, 17408, 40000, 200000):
            for content in (b"a" * size, request + b"b" * size, b"a\r\n" * (size // 3)):
                with socket.create_connection((HOST, self.tls_port), 5) as plain, \
                        context.wrap_socket(plain) as encrypted:
                    try:
                        encrypted.sendall(content)
                        encrypted.settimeout(0.1)
                        encrypted.recv(1)
                    except OSError:
                        pass
                self.assertTrue(self.junctor.process.running(), f"{size} bytes ended the server")
        call = self.call()
        self.junctor.wait_state(call, "answered")
        self.pull.wait_picture(BOB)

    def test_what_phones_need_is_printed(self):
        self.serve()
        status, text = self.junctor.command("account", "add", "erin", "--srtp", "require")
        self.assertEqual(status, 0, text)
        self.assertIn(f"sip:erin@{HOST}:{self.tls_port};transport=tls", text)
        self.assertNotIn("rtmp://", text, "its terminals are refused there")
        self.assertIn("Its terminals come by RTMPS only, which is off", text)
        listed = {entry["name"]: entry for entry in self.junctor.get("accounts")["accounts"]}
        self.assertEqual(listed["erin"]["srtp"], "require")
        self.assertNotIn("srtp", listed["alice"])


class NatPhone:
    """A phone whose Contact leads nowhere, as behind a NAT."""

    BEHIND = "192.0.2.9:5061;transport=tls"

    def __init__(self, port, name, password):
        self.name, self.password, self.buffer = name, password, b""
        self.target = f"sip:{HOST}:{port}"
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(socket.create_connection((HOST, port), 5))
        self.socket.settimeout(20)

    def close(self):
        self.socket.close()

    def read(self, beginning):
        while True:
            head, mark, rest = self.buffer.partition(b"\r\n\r\n")
            size = re.search(rb"(?im)^(?:content-length|l): *(\d+)", head) if mark else None
            if mark and len(rest) >= int(size[1] if size else 0):
                length = int(size[1]) if size else 0
                message, self.buffer = head + mark + rest[:length], rest[length:]
                if message.startswith(beginning.encode()):
                    return message.decode()
                continue
            data = self.socket.recv(65536)
            assert data, "the connection was closed"
            self.buffer += data

    def register(self):
        authorization = ""
        for number in (1, 2):
            self.socket.sendall(
                f"REGISTER {self.target} SIP/2.0\r\nVia: SIP/2.0/TLS {self.BEHIND.split(';')[0]};"
                f"rport;branch=z9hG4bKnat{number}\r\nMax-Forwards: 70\r\nFrom: "
                f"<sip:{self.name}@{HOST}>;tag=n\r\nTo: <sip:{self.name}@{HOST}>\r\nCall-ID: nat\r\n"
                f"CSeq: {number} REGISTER\r\nContact: <sip:{self.name}@{self.BEHIND}>\r\n"
                f"Expires: 600\r\n{authorization}Content-Length: 0\r\n\r\n".encode())
            answer = self.read("SIP/2.0 ")
            if answer.startswith("SIP/2.0 200"):
                return
            realm, nonce = (re.search(rf'{word}="([^"]*)"', answer)[1] for word in ("realm", "nonce"))
            md5 = lambda text: hashlib.md5(text.encode()).hexdigest()  # noqa: E731
            tail = f"{nonce}:00000001:c:auth:" + md5(f"REGISTER:{self.target}")
            response = md5(md5(f"{self.name}:{realm}:{self.password}") + ":" + tail)
            authorization = (
                f'Authorization: Digest username="{self.name}", realm="{realm}", nonce="{nonce}", '
                f'uri="{self.target}", qop=auth, nc=00000001, cnonce="c", response="{response}"\r\n')
        raise AssertionError(answer)

    def answer(self, request, status):
        lines = [line for line in request.split("\r\n")
                 if re.match(r"(?i)(via|from|to|call-id|cseq|v|f|t|i):", line)]
        lines = [line + ";tag=nat" if re.match(r"(?i)(to|t):", line) else line for line in lines]
        self.socket.sendall(("\r\n".join([f"SIP/2.0 {status}", *lines, "Content-Length: 0"]) +
                             "\r\n\r\n").encode())
