# Two RTMP terminals call each other: ffmpeg at all four ends. SPDX-License-Identifier: LGPL-2.1-or-later
from support import rtmp
from support.case import SystemTest
from support.junctor import Junctor
from support.process import wait_until

ALICE, BOB = 0xA1, 0xB1
ALICE_TONE, BOB_TONE, RING_TONE, RINGBACK = 440, 700, 1000, 425


def plan_of(call):
    return {(step["direction"], step["medium"]): (step["from"], step["to"], step["transcoded"])
            for step in call["plan"]}


class TwoTerminals(SystemTest):
    def ring(self, config="", bob_pull="", alice_pull=""):
        """Alice calls bob, who only plays so far."""
        self.junctor = self.start(Junctor(self.workspace, config))
        self.alice, self.bob = self.junctor.account("alice"), self.junctor.account("bob")
        self.bob_pull = self.start(rtmp.FfmpegPull(self.workspace, self.bob.pull_url(bob_pull),
                                                   name="bob-pull"))
        self.alice_pull = self.start(rtmp.FfmpegPull(
            self.workspace, self.alice.pull_url(alice_pull), name="alice-pull"))
        wait_until(lambda: self.junctor.log().count(" pull publish/play as ") == 2, 20,
                   "both players")
        self.alice_push = self.start(rtmp.FfmpegPush(
            self.workspace, self.alice.push_url("bob"), frequency=ALICE_TONE, identity=ALICE))
        self.call_id = self.junctor.find_call("alice")
        self.junctor.wait_state(self.call_id, "ringing")

    def answer(self, **more):
        self.bob_push = self.start(rtmp.FfmpegPush(
            self.workspace, self.bob.push_url(), name="bob", frequency=BOB_TONE, identity=BOB,
            **more))
        return self.junctor.wait_state(self.call_id, "answered")

    def both_see_and_hear(self):
        self.bob_pull.wait_picture(ALICE)
        self.bob_pull.wait_tone(ALICE_TONE)
        self.alice_pull.wait_picture(BOB)
        self.alice_pull.wait_tone(BOB_TONE)

    def ended(self, reason, first):
        """Both players are told in their own words, and the other publisher is closed."""
        record = self.junctor.wait_ended(self.call_id)
        self.assertEqual(record["reason"], reason, record["detail"])
        for pull in (self.alice_pull, self.bob_pull):
            pull.process.wait(15)
        other = self.bob_push if first is self.alice_push else self.alice_push
        other.process.wait(15)
        return record

    def test_ring_then_see_and_hear_each_other(self):
        self.ring()
        self.bob_pull.wait_tone(RING_TONE)
        self.alice_pull.wait_tone(RINGBACK)
        wait_until(lambda: self.bob_pull.pictures() > 5, 15, "the card of the incoming call")
        self.assertFalse(self.bob_pull.seen(ALICE), "nothing of alice before the answer")
        self.answer()
        self.both_see_and_hear()
        call = self.junctor.call(self.call_id)
        self.assertEqual(call["direction"], "internal")
        plan = plan_of(call)
        for direction in ("caller-to-callee", "callee-to-caller"):
            self.assertEqual(plan[direction, "video"], ("h264", "h264", False))
            self.assertEqual(plan[direction, "audio"], ("aac", "aac", False))
        wait_until(lambda: self.junctor.call(self.call_id)["first_packet_to_callee_ms"] is not None,
                   10, "the first packets in the record")
        self.alice_push.stop()
        self.ended("caller-hangup", self.alice_push)

    def test_different_codecs_and_hangup_by_the_callee(self):
        self.ring(bob_pull="video=sorenson&audio=pcma")
        self.answer(audio="libspeex", video_encoder=rtmp.VIDEO_ENCODERS["sorenson"])
        self.both_see_and_hear()
        plan = plan_of(self.junctor.call(self.call_id))
        self.assertEqual(plan["caller-to-callee", "video"], ("h264", "sorenson", True))
        self.assertEqual(plan["caller-to-callee", "audio"], ("aac", "pcma", True))
        self.assertEqual(plan["callee-to-caller", "video"], ("sorenson", "h264", True))
        self.assertEqual(plan["callee-to-caller", "audio"], ("speex", "aac", True))
        self.bob_push.stop()
        self.ended("callee-hangup", self.bob_push)

    def test_each_sides_watchdog_counts(self):
        self.ring("[watchdog]\ninterval-ms = 200\ntries = 10\n")
        self.answer()
        self.both_see_and_hear()
        self.bob_push.drop()
        record = self.ended("no-push-media", self.bob_push)
        self.assertIn("the callee, bob,", record["detail"])

    def test_a_second_call_is_busy(self):
        self.ring()
        carol = self.junctor.account("carol")
        push = self.start(rtmp.FfmpegPush(self.workspace, carol.push_url("bob"), name="carol"))
        second = self.junctor.find_call("carol")
        record = self.junctor.wait_ended(second)
        self.assertEqual(record["reason"], "busy", record["detail"])
        self.assertNotEqual(push.process.wait(15), 0)
        self.assertIn("busy", push.process.log())
        self.assertEqual(self.junctor.call(self.call_id)["state"], "ringing")
