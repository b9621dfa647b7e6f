# G9, RTMPS: ffmpeg pushes and pulls under TLS. SPDX-License-Identifier: LGPL-2.1-or-later
import os
import socket
import ssl

from support import rtmp
from support.baresip import Baresip
from support.case import SystemTest
from support.junctor import Junctor
from support.ports import HOST, free_port
from support.process import wait_until
from support.rtmp_raw import RawRtmp
from support.tls import self_signed, shown
from support.wire import Wire

ALICE, BOB = rtmp.FfmpegPush.IDENTITY, Baresip.IDENTITY


class G9_Rtmps(SystemTest):
    def serve(self, config="", flags=()):
        self.port = free_port()
        self.junctor = self.start(Junctor(self.workspace, config,
                                          ["--rtmps", f"{HOST}:{self.port}", *flags]))
        return self.junctor

    def secure(self, url):
        return url.replace(f"rtmp://{HOST}:{self.junctor.rtmp_port}", f"rtmps://{HOST}:{self.port}")

    def test_a_call_under_tls(self):
        self.serve()
        made = self.junctor.post("accounts", {"name": "alice"})
        bob = self.junctor.account("bob")
        phone = self.start(Baresip(self.workspace, "bob", registrar=self.junctor.sip_address,
                                   password=bob.password))
        phone.wait_registered()
        capture = Wire([self.port])
        try:
            pull = self.start(rtmp.FfmpegPull(self.workspace, made["rtmps_pull_url"]))
            push = self.start(rtmp.FfmpegPush(self.workspace,
                                              made["rtmps_push_url"].replace("CALLEE", "bob")))
            call = self.junctor.find_call("alice")
            self.junctor.wait_state(call, "answered")
            pull.wait_picture(BOB)
            pull.wait_tone(1000)
            wait_until(lambda: self.junctor.call(call)["video"]["sent_packets"] > 60, 20, "packets")
            push.stop()
            self.assertEqual(self.junctor.wait_ended(call)["reason"], "caller-hangup")
            pull.process.wait(15)
        finally:
            seen = bytes(capture.stop().tcp)
        self.assertGreater(len(seen), 100000, "the capture has not seen the media")
        for word in (b"createStream", b"alice", made["token"].encode()[:20], b"onMetaData",
                     b"x264"):
            self.assertNotIn(word, seen)

    def test_the_certificate_is_renewed_without_a_restart(self):
        certificate, key, first = self_signed(self.workspace.path, "one")
        self.serve(f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n')
        self.assertEqual(shown(self.port), first)
        alice = self.junctor.account("alice")
        pull = self.start(rtmp.FfmpegPull(self.workspace, self.secure(alice.pull_url())))
        wait_until(lambda: "pull publish/play as alice: accepted" in self.junctor.log(), 10, "the play")
        renewed, new_key, second = self_signed(self.workspace.path, "two")
        os.replace(new_key, key)
        os.replace(renewed, certificate)
        wait_until(lambda: shown(self.port) == second, 10, "the renewed certificate", every=0.3)
        self.assertTrue(pull.process.running(), "who is connected stays so")
        with open(key, "w", encoding="ascii") as file:
            file.write("broken")
        wait_until(lambda: shown(self.port) and "the old one stays in use" in self.junctor.log(),
                   10, "the complaint about the broken key", every=0.3)
        self.assertEqual(shown(self.port), second)

    def test_without_a_certificate_one_is_made_with_a_warning(self):
        self.serve(flags=["--rtmp", "off"])
        self.assertIn("no client trusts", self.junctor.log())
        first = shown(self.port)
        key = os.path.join(self.junctor.data_dir, "tls-key.pem")
        self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)
        self.assertEqual(shown(self.port, ssl.TLSVersion.TLSv1_2), first)
        made = self.junctor.post("accounts", {"name": "alice"})
        self.assertNotIn("push_url", made, "RTMP in clear is off")
        self.assertTrue(made["rtmps_push_url"].startswith(f"rtmps://{HOST}:{self.port}/call?token="))

    def test_rtmp_in_clear_is_refused_at_the_tls_port(self):
        self.serve()
        alice = self.junctor.account("alice")
        raw = RawRtmp(self.port, handshake=False)
        self.addCleanup(raw.close)
        raw.socket.sendall(b"\x03" + bytes(1536))
        raw.socket.settimeout(10)
        answer = b""
        try:
            while data := raw.socket.recv(4096):
                answer += data
        except ConnectionResetError:
            pass  # closed while there was more to read than one record
        self.assertNotIn(b"\x03" + bytes(8), answer, "no RTMP is spoken there")
        wait_until(lambda: "no TLS client" in self.junctor.log(), 10, "the reason in the log")
        # and TLS at the port in clear
        with self.assertRaises((ssl.SSLError, OSError)):
            shown(self.junctor.rtmp_port)
        wrong = rtmp.ffmpeg_pull_short(self.workspace, self.secure(alice.pull_url(token="wrong")))
        self.assertNotEqual(wrong.wait(20), 0)
        self.assertIn("The token is not one of this server", wrong.log())

    def test_files_that_cannot_be_used_stop_the_start(self):
        certificate, key, _ = self_signed(self.workspace.path, "one")
        for config, words in ((f'certificate = "{certificate}"', "belong together"),
                              (f'certificate = "{certificate}"\nkey = "{certificate}"', "the key "),
                              ('certificate = "/nonexistent"\nkey = "/nonexistent"',
                               "the certificate /nonexistent")):
            with self.assertRaisesRegex(AssertionError, words):
                self.serve(f"[tls]\n{config}\n")
