# G1 and G2: names with passwords in RTMP URLs. SPDX-License-Identifier: LGPL-2.1-or-later
import base64
import hashlib
import re
import time
import unittest
import urllib.parse

from support import rtmp, rtmp_raw
from support.checks import CHECKS, PULLERS, PUSHERS, add_checks, end_of
from support.elements import PHONE, PUSHER, ElementsTest
from support.junctor import Junctor
from support.ports import HOST
from support.process import Workspace, wait_until


def answer_to(description, user, password):
    """The parameters of a connect, from the server's description: as the clients compute them."""
    asked = dict(urllib.parse.parse_qsl(description.split("?", 1)[1]))

    def digest(*parts):
        return base64.b64encode(hashlib.md5("".join(parts).encode()).digest()).decode()
    own = "4f5e6d7c"
    response = digest(digest(user, asked["salt"], password), asked["opaque"], own)
    return urllib.parse.urlencode({"authmod": "adobe", "user": user, "challenge": own,
                                   "response": response, "opaque": asked["opaque"]})


class A_Adobe(unittest.TestCase):
    """rtmp://NAME:PASSWORD@HOST/…"""

    @classmethod
    def setUpClass(cls):
        cls.workspace = Workspace()
        cls.junctor = Junctor(cls.workspace)
        cls.alice = cls.junctor.account("alice")

    @classmethod
    def tearDownClass(cls):
        try:
            cls.junctor.stop()
        finally:
            log = cls.junctor.log()
            cls.workspace.close()
        assert cls.alice.password not in log, "the log holds a password"
        assert "response=" not in log and "salt=" not in log, "the log holds a login"

    def url(self, password=None, user="alice"):
        return f"rtmp://{user}:{password or self.alice.password}@{HOST}:" \
               f"{self.junctor.rtmp_port}/call/alice"

    def setUp(self):
        self.before = len(self.junctor.log())

    def lines(self, word):
        return [line for line in self.junctor.log()[self.before:].splitlines() if word in line]

    def right(self, make, name):
        process = make(self.workspace, self.url(), name)
        try:
            wait_until(lambda: len(self.lines("accepted")) == 3, 20, "three accepted checks")
            time.sleep(1)
            self.assertTrue(process.running(), process.tail())
        finally:
            process.stop()
        self.assertTrue(all("as alice" in line for line in self.lines("accepted")))

    def logged(self, word):
        """Waits for it: a client may be told before the line is written."""
        wait_until(lambda: self.lines(word), 5, f"the log to say {word}")

    def wrong(self, make, name, sentence, **url):
        output, took = end_of(self, make(self.workspace, self.url(**url), name))
        self.assertLess(took, 15)
        self.assertRegex(output, sentence)
        self.logged("refused at connect: Wrong name or password")
        self.assertFalse(self.lines("accepted"))

    FFMPEG = "Incorrect username/password"
    RTMP2 = "authentication failed|[Nn]ot authori[sz]ed|send_connect_error"

    def test_ffmpeg_pushes(self):
        self.right(rtmp.ffmpeg_push_short, "push")
        self.before = len(self.junctor.log())
        self.wrong(rtmp.ffmpeg_push_short, "push-wrong", self.FFMPEG, password="not-this-one")

    def test_ffmpeg_pulls(self):
        self.right(rtmp.ffmpeg_pull_short, "pull")
        self.before = len(self.junctor.log())
        self.wrong(rtmp.ffmpeg_pull_short, "pull-wrong", self.FFMPEG, password="not-this-one")

    def test_rtmp2sink_pushes(self):
        self.right(rtmp.rtmp2sink_push, "sink")
        self.before = len(self.junctor.log())
        self.wrong(rtmp.rtmp2sink_push, "sink-wrong", self.RTMP2, password="not-this-one")

    def test_rtmp2src_pulls(self):
        self.right(rtmp.rtmp2src_pull, "src")
        self.before = len(self.junctor.log())
        self.wrong(rtmp.rtmp2src_pull, "src-wrong", self.RTMP2, password="not-this-one")

    def test_an_unknown_name_is_a_wrong_password(self):
        self.wrong(rtmp.ffmpeg_pull_short, "nobody", self.FFMPEG, user="nobody")

    def ask(self, user):
        """The description of a connect that asks for a challenge."""
        raw = rtmp_raw.RawRtmp(self.junctor.rtmp_port)
        try:
            raw.command(0, rtmp_raw.text("connect"), rtmp_raw.number(1),
                        rtmp_raw.amf_object(app=f"call?authmod=adobe&user={user}"))
            raw.await_word(b"\0\0\x09")
        finally:
            raw.close()
        heard = raw.heard.replace(b"\xc3", b"")  # the heads of further chunks
        return re.search(rb"\[ AccessManager.*?opaque=[0-9a-f]+", heard)[0].decode()

    def test_rtmpdump_pulls_with_an_answer_of_ours(self):
        # It shows no password by itself; librtmp does so for publishers only, and overruns a
        # buffer of its own. The answer to a challenge can be put into its URL, once.
        query = answer_to(self.ask("alice"), "alice", self.alice.password)
        self.alice_url = f"rtmp://{HOST}:{self.junctor.rtmp_port}/call?{query}/alice"
        self.url = lambda: self.alice_url
        self.right(rtmp.rtmpdump_pull, "dump")
        output, _ = end_of(self, rtmp.rtmpdump_pull(self.workspace, self.alice_url, "dump-again"))
        self.assertRegex(output, "authfailed")
        self.logged("was used before")
        query = answer_to(self.ask("alice"), "alice", "not-this-one")
        wrong = f"rtmp://{HOST}:{self.junctor.rtmp_port}/call?{query}/alice"
        output, _ = end_of(self, rtmp.rtmpdump_pull(self.workspace, wrong, "dump-wrong"))
        self.assertRegex(output, "authfailed")

    def test_the_same_salt_and_another_challenge_each_time(self):
        def salt_and_opaque(user):
            return re.search(r"salt=(\w+)&challenge=\w+&opaque=(\w+)", self.ask(user)).groups()
        for user in ("alice", "nobody"):
            first, second = salt_and_opaque(user), salt_and_opaque(user)
            self.assertEqual(first[0], second[0])
            self.assertNotEqual(first[1], second[1])

    def test_the_command_line_prints_urls_that_work(self):
        status, output = self.junctor.command("account", "add", "carol")
        self.assertEqual(status, 0, output)
        push = re.search(r"^or push +(rtmp://carol:\S+)\?to=CALLEE$", output, re.M)[1]
        pull = re.search(r"^or pull +(rtmp://carol:\S+)$", output, re.M)[1]
        for make, printed in ((rtmp.rtmp2sink_push, push), (rtmp.ffmpeg_pull_short, pull)):
            printed = re.sub(r"@[^/]*/", f"@{HOST}:{self.junctor.rtmp_port}/", printed)
            self.before = len(self.junctor.log())
            process = make(self.workspace, printed, "carol")
            try:
                wait_until(lambda: len(self.lines("accepted")) == 3, 20, "three accepted checks")
            finally:
                process.stop()


class A_AdobeChecks(unittest.TestCase):
    """Who logged in with a password is refused at each of the six checks, as with a token."""

    @classmethod
    def setUpClass(cls):
        cls.workspace = Workspace()
        cls.junctor = Junctor(cls.workspace, "[rtmp]\nstreams-per-account = 1\n")
        cls.accounts = {name: cls.junctor.account(name) for name in ("alice", "busy")}
        cls.holder = rtmp.ffmpeg_pull_short(cls.workspace, cls.url("busy", "busy"), "holder")
        wait_until(lambda: "pull publish/play as busy: accepted" in cls.junctor.log(), 15,
                   "the stream that keeps busy busy")

    @classmethod
    def tearDownClass(cls):
        cls.holder.stop()
        cls.junctor.stop()
        cls.workspace.close()

    @classmethod
    def url(cls, user, stream, password=None):
        return f"rtmp://{user}:{password or cls.accounts[user].password}@{HOST}:" \
               f"{cls.junctor.rtmp_port}/call/{stream}"

    def refused(self, role, stage, client):
        target, sentence = {
            "connect": (self.url("alice", "alice", "not-this-one"), "authfailed"),
            "createStream": (self.url("busy", "busy"), "streams running"),
        }.get(stage, (self.url("alice", "busy"), "'alice' only"))
        before = len(self.junctor.log())
        make = (PUSHERS if role == "push" else PULLERS)[client]
        output, took = end_of(self, make(self.workspace, target, f"{client}-{role}-{stage}"))
        self.assertLess(took, 20, output)
        self.assertIn(sentence, output)

        def lines():
            return self.junctor.log()[before:].splitlines()
        # The client may be told before the line is written.
        wait_until(lambda: [line for line in lines() if f"refused at {stage}: " in line and
                            "asked for" not in line and "is missing" not in line], 5,
                   f"the log to name {stage}")
        lines = lines()
        accepted = [line for line in lines if "accepted" in line]
        self.assertEqual(len(accepted), CHECKS[role].index(stage), lines)


add_checks(A_AdobeChecks, without=("rtmpdump",))  # it cannot log in by itself


class A_AdobeCall(ElementsTest):
    def test_a_call_with_a_password_at_both_ends(self):
        junctor = self.start(Junctor(self.workspace, '[sip]\nallow = ["sip:*@127.0.0.1:*"]'))
        alice = junctor.account("alice")
        base = f"rtmp://alice:{alice.password}@{HOST}:{junctor.rtmp_port}/call/alice"
        phone = self.make_phone()
        pull = self.start(rtmp.FfmpegPull(self.workspace, base))
        wait_until(lambda: "pull publish/play" in junctor.log(), 20, "the player's play")
        self.make_push(f"{base}?to={urllib.parse.quote(phone.uri, safe='')}")
        call = junctor.find_call("alice")
        junctor.wait_state(call, "answered")
        pull.wait_picture(PHONE)
        self.phone_sees(PUSHER)
        # The account goes, and with it what its password opened.
        junctor.delete("accounts/alice")
        self.assertEqual(junctor.wait_ended(call)["reason"], "admin")
        output, _ = end_of(self, rtmp.ffmpeg_pull_short(self.workspace, base))
        self.assertIn("Incorrect username/password", output)
        self.assertNotIn(alice.password, junctor.log())
