# G1 and G2: each of the six checks refuses alone, and every client ends with an error.
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import time
import unittest

from support import rtmp
from support.case import SystemTest
from support.checks import PULLERS, PUSHERS, add_checks, end_of
from support.junctor import Junctor
from support.process import Workspace, wait_until

# What a person must be told; rtmpdump shows it when asked for all that comes (-V).
REASONS = {
    "connect": r"The token is not one of this server",
    "createStream": r"(?i)streams running",
    "publish": r"(?i)may only pull",
    "play": r"(?i)may only push",
}


class G1_G2_Refusals(unittest.TestCase):
    """One junctor; alice may do everything, busy has as many streams as she may have."""

    @classmethod
    def setUpClass(cls):
        cls.workspace = Workspace()
        cls.junctor = Junctor(cls.workspace, "[rtmp]\nstreams-per-account = 1\n")
        cls.alice = cls.junctor.account("alice")
        cls.busy = cls.junctor.account("busy")
        cls.only_push = cls.junctor.token("alice", rights=["push"])
        cls.only_pull = cls.junctor.token("alice", rights=["pull"])
        cls.holder = rtmp.ffmpeg_pull_short(cls.workspace, cls.busy.pull_url(), "holder")
        wait_until(lambda: any("accepted" in line and " pull " in line
                               for line in cls.junctor.log().splitlines()), 15,
                   "the stream that keeps busy busy")

    @classmethod
    def tearDownClass(cls):
        cls.holder.stop()
        cls.junctor.stop()
        cls.workspace.close()

    def url(self, stage):
        return {
            "connect push": self.alice.push_url(token="wrong"),
            "createStream push": self.busy.push_url(),
            "publish push": self.alice.push_url(token=self.only_pull),
            "connect pull": self.alice.pull_url(token="wrong"),
            "createStream pull": self.busy.pull_url(),
            "play pull": self.alice.pull_url(token=self.only_push),
        }[stage]

    def refused(self, role, stage, client):
        clients = PUSHERS if role == "push" else PULLERS
        before = len(self.junctor.log())
        output, took = end_of(self, clients[client](
            self.workspace, self.url(f"{stage} {role}"), f"{client}-{role}-{stage}"))
        self.assertLess(took, 20, output)
        self.assertRegex(output, REASONS[stage])

        def since():
            return self.junctor.log()[before:].splitlines()
        # The client may be told before the line is written.
        wait_until(lambda: any("refused" in line and stage in line for line in since()), 5,
                   f"the log does not name {stage}")
        lines = since()
        accepted = [line for line in lines if "accepted" in line]
        earlier = {"connect": 0, "createStream": 1}.get(stage, 2)
        self.assertEqual(len(accepted), earlier, "\n".join(lines))


add_checks(G1_G2_Refusals)


class G1_G2_Accepted(SystemTest):
    """The same clients with a right token get through all three checks, and media flows."""

    def setUp(self):
        super().setUp()
        self.junctor = self.start(Junctor(self.workspace))
        self.alice = self.junctor.account("alice")

    def wait_accepted(self, stages):
        def look():
            log = self.junctor.log()
            return all(any("accepted" in line and stage in line for line in log.splitlines())
                       for stage in stages)
        wait_until(look, 20, f"acceptance at {', '.join(stages)}")

    def test_rtmp2sink_pushes(self):
        push = self.start(rtmp.rtmp2sink_push(self.workspace, self.alice.push_url()))
        self.wait_accepted(("connect", "createStream", "publish"))
        time.sleep(1)
        self.assertTrue(push.running(), push.tail())

    def test_rtmpdump_and_rtmp2src_play_what_ffmpeg_pushes_to_nobody(self):
        # Nobody is called, so a player gets Play.Start and waits: nothing is refused or ended.
        for name, client in (("rtmpdump", rtmp.rtmpdump_pull), ("rtmp2src", rtmp.rtmp2src_pull)):
            with self.subTest(client=name):
                pull = self.start(client(self.workspace, self.alice.pull_url()))
                self.wait_accepted(("connect", "createStream", "play"))
                time.sleep(1)
                self.assertTrue(pull.running(), pull.tail())

    def test_a_missing_token_is_named_as_such(self):
        url = f"{self.junctor.rtmp_base}/alice"
        process = self.start(rtmp.ffmpeg_push_short(self.workspace, url))
        self.assertNotEqual(process.wait(25), 0)
        self.assertRegex(process.log(), r"A token is missing")

    def test_files_with_secrets_are_closed_to_others(self):
        secrets = 0
        for folder, _, names in os.walk(self.junctor.data_dir):
            for name in names:
                mode = os.stat(os.path.join(folder, name)).st_mode & 0o777
                self.assertEqual(mode & 0o077, 0, f"{name} has mode {mode:o}")
                secrets += 1
        self.assertGreaterEqual(secrets, 3)
