# G1 and G2: the six checks as a webhook decides them. SPDX-License-Identifier: LGPL-2.1-or-later
import re
import select
import subprocess
import time
import unittest
import urllib.parse

from support import rtmp, rtmp_raw
from support.case import SystemTest
from support.checks import CHECKS, PULLERS, PUSHERS, add_checks, end_of
from support.elements import PHONE, PUSHER, ElementsTest
from support.hostile import Heart
from support.junctor import Junctor
from support.ports import HOST, free_port
from support.process import Workspace, wait_until
from support.webhook import Webhook

KEY = "a-key-of-the-operators-own-system"
BEARER = "what-the-webhook-knows-us-by"
TIMEOUT_MS = 1500


def config(hook_url, extra="", more=""):
    return f"""
[accounts]
webhook = "{hook_url}"
webhook-timeout-ms = {TIMEOUT_MS}
{extra}
{more}
"""


def url(junctor, name="alice", query="", key=KEY):
    """No account of the book: the key means something to the webhook alone."""
    return f"{junctor.rtmp_base}?key={key}/{name}{'?' + query if query else ''}"


class H_Webhook(unittest.TestCase):
    """One junctor and one webhook, which refuses what the test says."""

    @classmethod
    def setUpClass(cls):
        cls.workspace = Workspace()
        cls.hook = Webhook(lambda question: cls.refuse(question) or (200, {"account": "alice"}))
        secret = cls.workspace.write("secret", BEARER + "\n", 0o600)
        cls.junctor = Junctor(cls.workspace,
                              config(cls.hook.url, f'webhook-secret-file = "{secret}"'))

    @classmethod
    def tearDownClass(cls):
        try:
            cls.junctor.stop()
        finally:
            cls.hook.stop()
            log = cls.junctor.log()
            cls.workspace.close()
        for secret in (KEY, BEARER):
            assert secret not in log, f"the log holds {secret}"

    def setUp(self):
        type(self).refuse = staticmethod(lambda question: None)
        self.hook.questions.clear()
        self.hook.headers.clear()
        self.before = len(self.junctor.log())

    def lines(self):
        return self.junctor.log()[self.before:].splitlines()

    def refused(self, role, stage, client):
        reason = f"The operator says no to {stage}, case 4711"
        type(self).refuse = staticmethod(
            lambda question: (403, {"reason": reason}) if question["stage"] == stage else None)
        make = (PUSHERS if role == "push" else PULLERS)[client]
        output, took = end_of(self, make(self.workspace, url(self.junctor),
                                         f"{client}-{role}-{stage}"))
        self.assertLess(took, 20, output)
        self.assertIn(reason, output)
        # The client may be told before the line is written.
        wait_until(lambda: any(f"refused at {stage}: {reason}" in line for line in self.lines()), 5,
                   f"the log to name {stage}")
        asked = CHECKS[role][:CHECKS[role].index(stage) + 1]
        self.assertEqual(self.hook.stages(), list(asked))
        accepted = [line for line in self.lines() if "accepted" in line]
        self.assertEqual(len(accepted), len(asked) - 1)

    def accepted(self, role, client):
        make = (PUSHERS if role == "push" else PULLERS)[client]
        process = make(self.workspace, url(self.junctor), f"{client}-{role}")
        try:
            wait_until(lambda: len([line for line in self.lines() if "accepted" in line]) == 3, 20,
                       "three accepted checks")
            time.sleep(1)
            self.assertTrue(process.running(), process.tail())
        finally:
            process.stop()
        self.assertEqual(self.hook.stages(), list(CHECKS[role]))
        connect, create, start = self.hook.questions
        self.assertEqual([connect["account"], create["account"], start["account"]],
                         ["", "alice", "alice"])
        self.assertEqual([connect["stream"], create["stream"], start["stream"]],
                         ["", "", "alice"])
        self.assertEqual(start["role"], role)
        for question in self.hook.questions:
            self.assertEqual(question["address"], HOST)
            self.assertEqual(question["application"], "call")
            self.assertEqual(question["parameters"], {"key": KEY})
            self.assertEqual(question["connection"], connect["connection"])
        for headers in self.hook.headers:
            self.assertEqual(headers["Authorization"], f"Bearer {BEARER}")

    def test_what_the_house_forbids_is_never_asked(self):
        wrong = f"rtmp://{HOST}:{self.junctor.rtmp_port}/nothing?key={KEY}/alice"
        output, _ = end_of(self, rtmp.ffmpeg_push_short(self.workspace, wrong))
        self.assertIn("no such application", output)
        self.assertEqual(self.hook.stages(), [])

    def test_the_webhook_cannot_make_anybody_callable(self):
        output, _ = end_of(self, rtmp.ffmpeg_push_short(
            self.workspace, url(self.junctor, query="to=sip%3Ax%40192.0.2.1")))
        self.assertIn("sip.allow", output)

    def test_a_foreign_stream_is_refused(self):
        output, _ = end_of(self, rtmp.ffmpeg_push_short(self.workspace,
                                                        url(self.junctor, name="mallory")))
        self.assertIn("'alice' only", output)

    def test_a_redirect_is_a_refusal(self):
        def away(handler):
            handler.send_response(307)
            handler.send_header("Location", "/elsewhere")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        self.hook.misbehave = away
        self.addCleanup(setattr, self.hook, "misbehave", None)
        self.hook.paths.clear()
        output, _ = end_of(self, rtmp.ffmpeg_push_short(self.workspace, url(self.junctor)))
        self.assertIn("status 307", output)
        self.assertEqual(self.hook.paths, ["/check"])

    def test_guesses_are_answered_later_and_later(self):
        type(self).refuse = staticmethod(lambda question: (401, {"reason": "wrong key"}))
        took = []
        for _ in range(7):
            raw = rtmp_raw.RawRtmp(self.junctor.rtmp_port)
            began = time.monotonic()
            raw.command(0, rtmp_raw.text("connect"), rtmp_raw.number(1),
                        rtmp_raw.amf_object(app="call?key=guess"))
            raw.await_word(b"wrong key")
            took.append(time.monotonic() - began)
            raw.close()
        self.assertGreater(took[-1], 1.5, took)
        # The first is not held back; a machine that stood still may have made it late.
        self.assertGreater(took[-1] - min(took), 1.2, took)


def _add_accepted_tests():
    for role, clients in (("push", PUSHERS), ("pull", PULLERS)):
        for client in clients:
            def accepts(self, role=role, client=client):
                self.accepted(role, client)
            setattr(H_Webhook, f"test_{role}_accepted_{client}", accepts)


_add_accepted_tests()
add_checks(H_Webhook)


class H_BadWebhook(SystemTest):
    """It is away, slow or hostile: terminals are refused in time, and nothing else happens."""

    def begin(self, misbehave=None, extra="", hook_url=None):
        self.hook = self.start(Webhook(misbehave=misbehave))
        self.junctor = self.start(Junctor(self.workspace, config(hook_url or self.hook.url, extra)))

    def refused(self, client="ffmpeg", role="push", sentence="took too long", at_least=0.0):
        make = (PUSHERS if role == "push" else PULLERS)[client]
        output, took = end_of(self, make(self.workspace, url(self.junctor), f"{client}-{role}"))
        self.assertIn(sentence, output)
        self.assertLess(took, at_least + 8)
        self.assertGreaterEqual(took, at_least)
        self.junctor.process.wait_log(f"refused at connect: [^\n]*{sentence}", 5)
        self.junctor.get("health")

    def lets_go(self):
        """What is of no more use is closed, not read to its end."""
        wait_until(lambda: self.hook.connections() == 0, 10, "the connection to be closed")

    def test_no_answer_ends_every_client(self):
        self.begin(lambda handler: self.hook.stopping.wait(30))
        for role, clients in (("push", PUSHERS), ("pull", PULLERS)):
            for client in clients:
                with self.subTest(client=client, role=role):
                    self.refused(client, role, at_least=TIMEOUT_MS / 1000)
        self.junctor.process.wait_log(f"no answer within {TIMEOUT_MS} ms", 5)

    def test_nobody_there_ends_every_client(self):
        self.begin(hook_url=f"http://{HOST}:{free_port()}/check")
        for role, clients in (("push", PUSHERS), ("pull", PULLERS)):
            for client in clients:
                with self.subTest(client=client, role=role):
                    self.refused(client, role, "cannot be reached")
        self.junctor.process.wait_log("webhook http://[^ ]*/check: connect of .* is refused", 5)

    def test_it_may_go_between_two_checks(self):
        self.begin()

        def last_answer(question):
            if question["stage"] == "createStream":
                self.hook.misbehave = lambda handler: self.hook.stopping.wait(30)
            return 204, None
        self.hook.decide = last_answer
        output, _ = end_of(self, rtmp.ffmpeg_push_short(self.workspace, url(self.junctor)))
        self.assertIn("took too long", output)
        self.junctor.process.wait_log("refused at publish", 5)

    def resident(self):
        with open(f"/proc/{self.junctor.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmHWM:\s+(\d+) kB", file.read())[1]) / 1024

    def test_an_endless_body_is_cut(self):
        def endless(handler):
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.end_headers()
            handler.close_connection = True
            while not self.hook.stopping.is_set():
                handler.wfile.write(b"x" * 65536)
        self.begin(endless)
        before = self.resident()
        self.refused(sentence="too long")
        self.lets_go()
        self.assertLess(self.resident() - before, 40)

    def test_endless_headers_are_cut(self):
        def endless(handler):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            handler.close_connection = True
            line = b"X-Filler: " + b"x" * 60000 + b"\r\n"
            while not self.hook.stopping.is_set():
                handler.wfile.write(line)
        self.begin(endless)
        before = self.resident()
        output, took = end_of(self, rtmp.ffmpeg_push_short(self.workspace, url(self.junctor)))
        self.assertRegex(output, "took too long|cannot be reached")
        self.assertLess(took, 8)
        self.lets_go()
        print(f"# endless headers cost {self.resident() - before:.0f} MiB at most", flush=True)
        self.junctor.get("health")

    def test_a_body_that_drips_is_too_slow(self):
        def drips(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            while not self.hook.stopping.wait(0.1):
                handler.wfile.write(b"x")
        self.begin(drips)
        self.refused(at_least=TIMEOUT_MS / 1000)
        self.lets_go()

    def test_what_is_no_http_is_refused(self):
        def babbles(handler):
            handler.wfile.write(bytes(range(256)) * 10)
            handler.close_connection = True
        self.begin(babbles)
        self.refused(sentence="cannot be reached")

    def test_an_answer_that_breaks_off_is_refused(self):
        def breaks_off(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(b'{"acc')
            handler.close_connection = True
        self.begin(breaks_off)
        self.refused(sentence="cannot be reached")

    def test_a_hostile_reason_is_one_clean_line(self):
        self.begin()
        self.hook.decide = lambda question: (
            403, "no\r\n2026-01-01 error forged line\x1b[31m " + KEY + " " + "x" * 5000)
        self.refused(sentence=re.escape("no 2026-01-01 error forged line").replace("\\", ""))
        log = self.junctor.log()
        self.assertNotIn("\n2026-01-01 error forged", log)
        self.assertNotIn(KEY, log)
        self.assertNotIn("x" * 300, log)

    def test_more_at_once_than_allowed_are_refused_at_once(self):
        self.begin(lambda handler: self.hook.stopping.wait(30), "webhook-requests = 8")
        raws = [rtmp_raw.RawRtmp(self.junctor.rtmp_port) for _ in range(3)]
        for number, raw in enumerate(raws):
            self.addCleanup(raw.close)
            raw.command(0, rtmp_raw.text("connect"), rtmp_raw.number(1),
                        rtmp_raw.amf_object(app="call?key=x"))
            if number < 2:
                wait_until(lambda n=number: len(self.hook.questions) == n + 1, 5, "a question")
        raws[2].await_word(b"Too many of your address ask")
        # The others are still waited for, so this one was not.
        self.assertEqual([raw for raw in raws[:2] if select.select([raw.socket], [], [], 0)[0]], [])
        for raw in raws[:2]:
            raw.await_word(b"took too long")

    def test_https_is_verified(self):
        certificate = self.workspace.file("hook.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=IP:{HOST}",
                        "-keyout", certificate, "-out", certificate + ".crt"],
                       check=True, capture_output=True)
        with open(certificate + ".crt", encoding="ascii") as crt, \
                open(certificate, "a", encoding="ascii") as both:
            both.write(crt.read())
        self.hook = self.start(Webhook(lambda question: (403, "not today"),
                                       certificate=certificate))
        for name, extra, sentence in (
                ("stranger", "", "cannot be reached"),
                ("known", f'webhook-ca-file = "{certificate}.crt"', "not today")):
            with self.subTest(name):
                junctor = self.start(Junctor(self.workspace, config(self.hook.url, extra),
                                             name=name))
                output, _ = end_of(self, rtmp.ffmpeg_push_short(self.workspace, url(junctor)))
                self.assertIn(sentence, output)
                self.assertEqual(self.hook.stages(), [] if name == "stranger" else ["connect"])
                if name == "stranger":
                    junctor.process.wait_log("connect of [^\n]* is refused: .*certificate", 5)

    def test_an_open_question_does_not_hold_up_the_end(self):
        self.begin(lambda handler: self.hook.stopping.wait(30))
        raw = rtmp_raw.RawRtmp(self.junctor.rtmp_port)
        self.addCleanup(raw.close)
        raw.command(0, rtmp_raw.text("connect"), rtmp_raw.number(1),
                    rtmp_raw.amf_object(app="call?key=x"))
        wait_until(lambda: self.hook.questions, 5, "a question")
        self.junctor.stop()
        self.assertNotIn("no answer within", self.junctor.log())
        self.assertIsNotNone(raw.closed_within(1))

    def test_an_open_secret_is_told(self):
        secret = self.workspace.write("secret", BEARER, 0o644)
        with self.assertRaisesRegex(AssertionError, "webhook-secret-file: .*chmod 600"):
            Junctor(self.workspace, config("http://127.0.0.1:1/x",
                                           f'webhook-secret-file = "{secret}"'))

    def test_a_time_limit_beyond_that_of_the_check_is_told(self):
        with self.assertRaisesRegex(AssertionError, "must be less than rtmp.verdict-ms"):
            Junctor(self.workspace, config("http://127.0.0.1:1/x", "",
                                           "[rtmp]\nverdict-ms = 1000"))


class H_RunningCall(ElementsTest):
    """Who is in a call stays there, whatever becomes of the webhook."""

    def test_a_call_outlives_the_webhook(self):
        heart = self.start(Heart())
        hook = self.start(Webhook())
        junctor = self.start(Junctor(self.workspace, config(
            hook.url, more='[sip]\nallow = ["sip:*@127.0.0.1:*"]')))
        phone = self.make_phone()
        pull = self.start(rtmp.FfmpegPull(self.workspace, url(junctor)))
        wait_until(lambda: "pull publish/play" in junctor.log(), 20, "the player's play")
        to = urllib.parse.quote(phone.uri, safe="")
        self.make_push(url(junctor, query=f"to={to}"))
        call = junctor.find_call("alice")
        junctor.wait_state(call, "answered")
        pull.wait_picture(PHONE)
        self.phone_sees(PUSHER)
        # First it hangs, then it is gone; both times others ask to be let in.
        hook.misbehave = lambda handler: hook.stopping.wait(30)
        since = time.monotonic()
        end_of(self, rtmp.ffmpeg_pull_short(self.workspace, url(junctor, "carol"), "carol-1"))
        hook.stop()
        for number in range(2, 5):
            end_of(self, rtmp.ffmpeg_pull_short(self.workspace, url(junctor, "carol"),
                                                f"carol-{number}"))
        time.sleep(max(0.0, since + 5 - time.monotonic()))
        until = time.monotonic()
        self.assertEqual(junctor.call(call)["state"], "answered")
        seen = [at for at, _ in pull.seen(PHONE, since)]
        gaps = [b - a for a, b in zip([since] + seen, seen + [until])]
        self.assertLess(max(gaps), 1.0 + heart.longest(since), "the picture stood still")
        self.phone_sees(PUSHER)
        self.phone_hears(440)
        junctor.hangup(call)
        self.assertEqual(junctor.wait_ended(call)["reason"], "admin")
