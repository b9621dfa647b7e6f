# Phones call terminals: baresip and SIPp call, ffmpeg rings, answers, sees and hears.
# SPDX-License-Identifier: LGPL-2.1-or-later
import time

from support import media, rtmp, rtp, tones
from support.baresip import Baresip
from support.case import SystemTest
from support.junctor import ApiError, Junctor
from support.process import wait_until
from support.ports import HOST
from support.sipp import Sipp

ALICE, BOB = rtmp.FfmpegPush.IDENTITY, Baresip.IDENTITY
ALICE_TONE, BOB_TONE, RING_TONE = 440, 700, 1000
ANYONE = "[sip]\nincoming = \"anyone\"\n"


class Incoming(SystemTest):
    def begin(self, config="", pull=True):
        self.junctor = self.start(Junctor(self.workspace, config))
        self.alice = self.junctor.account("alice")
        if pull:
            self.play()

    def play(self):
        self.pull = self.start(rtmp.FfmpegPull(self.workspace, self.alice.pull_url()))
        wait_until(lambda: " pull publish/play as alice: accepted" in self.junctor.log(), 20,
                   "alice's player")

    def phone(self, name="bob", password=None, registered=True, **more):
        account = self.junctor.account(name)
        phone = self.start(Baresip(self.workspace, name, frequency=BOB_TONE,
                                   registrar=self.junctor.sip_address,
                                   password=password or account.password, **more))
        if registered:
            phone.wait_registered()
        return phone

    def dial(self, phone, user="alice"):
        phone.dial(f"sip:{user}@{self.junctor.sip_address}")

    def push(self, **more):
        return self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url(),
                                          frequency=ALICE_TONE, **more))

    def sipp(self, scenario, **more):
        self.peer = rtp.RtpPeer()
        self.addCleanup(self.peer.close)
        return self.start(Sipp(self.workspace, scenario, keys=self.peer.keys(),
                               extra=(self.junctor.sip_address,), **more))

    def ended(self, call, reason):
        record = self.junctor.wait_ended(call)
        self.assertEqual(record["reason"], reason, record["detail"])
        self.assertEqual(record["direction"], "incoming")
        return record

    def test_a_phone_rings_and_is_answered_by_publishing(self):
        self.begin()
        bob = self.phone()
        self.dial(bob)
        call = self.junctor.find_call("bob")
        self.assertEqual(self.junctor.wait_state(call, "ringing")["to"], "alice")
        bob.wait_event("CALL_RINGING")
        self.pull.wait_tone(RING_TONE)
        wait_until(lambda: self.pull.pictures() > 5, 15, "the card of the incoming call")
        self.assertFalse(self.pull.seen(BOB))
        push = self.push()
        self.junctor.wait_state(call, "answered")
        bob.wait_event("CALL_ESTABLISHED")
        self.pull.wait_picture(BOB)
        self.pull.wait_tone(BOB_TONE)

        def seen_at_the_phone():
            shot = bob.snapshot()
            mark = shot and media.mark_of(shot[0])
            return mark and mark[0] == ALICE
        wait_until(seen_at_the_phone, 20, "alice's picture at the phone")
        wait_until(lambda: tones.share_with_tone(bob.heard()[0][-8000:], 8000, ALICE_TONE) > 0.5,
                   20, "alice's tone at the phone")
        plan = {(step["direction"], step["medium"]): step for step in
                self.junctor.call(call)["plan"]}
        self.assertFalse(plan["caller-to-callee", "video"]["transcoded"])
        push.stop()
        self.ended(call, "callee-hangup")
        bob.wait_event("CALL_CLOSED")
        self.assertEqual(self.pull.process.wait(15), 0, "its stream is complete")

    def test_the_phone_hangs_up(self):
        self.begin()
        bob = self.phone(video=False)
        self.dial(bob)
        call = self.junctor.find_call("bob")
        self.junctor.wait_state(call, "ringing")
        push = self.push()
        self.junctor.wait_state(call, "answered")
        self.pull.wait_tone(BOB_TONE)
        bob.hangup()
        self.ended(call, "caller-hangup")
        push.process.wait(15)

    def test_the_api_answers_for_who_publishes_already(self):
        self.begin()
        push = self.push()
        wait_until(lambda: " push publish/play as alice: accepted" in self.junctor.log(), 20,
                   "alice's publish")
        bob = self.phone(video=False)
        self.dial(bob)
        call = self.junctor.find_call("bob")
        self.junctor.wait_state(call, "ringing")
        self.assertEqual(self.junctor.post(f"calls/{call}/answer")["state"], "answered")
        bob.wait_event("CALL_ESTABLISHED")
        self.pull.wait_tone(BOB_TONE)
        with self.assertRaises(ApiError) as again:
            self.junctor.post(f"calls/{call}/answer")
        self.assertEqual(again.exception.status, 409)
        self.assertEqual(self.junctor.command("hangup", call)[0], 0)
        self.ended(call, "admin")
        push.process.wait(15)

    def test_the_command_line_declines(self):
        self.begin()
        bob = self.phone(video=False)
        self.dial(bob)
        call = self.junctor.find_call("bob")
        self.junctor.wait_state(call, "ringing")
        status, output = self.junctor.command("decline", call)
        self.assertEqual((status, output.strip()), (0, f"Call {call} is declined."))
        self.ended(call, "declined")
        bob.wait_event("CALL_CLOSED")
        self.assertIn("603", bob.process.log())

    def test_busy_absent_and_unknown(self):
        self.begin(pull=False)
        bob = self.phone(video=False)
        self.dial(bob, "alice")
        bob.wait_event("CALL_CLOSED")
        record = next(c for c in self.junctor.calls() if c["to"] == "alice")
        self.assertEqual((record["reason"], record["direction"]), ("unreachable", "incoming"))
        self.dial(bob, "nobody")
        bob.wait_event("CALL_CLOSED", count=2)
        self.assertIn("480", bob.process.log())
        self.assertEqual([c["to"] for c in self.junctor.calls()], ["alice"],
                         "nobody has missed the other one")
        self.assertIn("from bob to nobody is refused", self.junctor.log())
        self.play()
        carol = self.phone("carol", video=False)
        known = [call["id"] for call in self.junctor.calls()]
        self.dial(bob)
        first = self.junctor.find_call("bob", known=known)
        self.junctor.wait_state(first, "ringing")
        self.dial(carol)
        carol.wait_event("CALL_CLOSED")
        self.assertIn("486", carol.process.log())
        self.assertEqual(self.junctor.call(first)["state"], "ringing")

    def test_a_wrong_password_calls_nobody(self):
        self.begin()
        mallory = self.phone("mallory", password="wrong", registered=False, video=False)
        self.dial(mallory)
        mallory.wait_event("CALL_CLOSED")
        self.assertIn("403", mallory.process.log())
        self.assertEqual(self.junctor.calls(), [])
        self.assertIn("refused at INVITE: 403", self.junctor.log())

    def test_an_invite_without_an_offer(self):
        self.begin(ANYONE)
        sipp = self.sipp("caller_offerless.xml")
        call = self.junctor.find_call(f"sip:carol@{HOST}")
        self.junctor.wait_state(call, "ringing")
        self.push()
        self.junctor.wait_state(call, "answered")
        wait_until(lambda: self.peer.count(rtp.AUDIO) > 50, 20, "alice's sound at the phone")
        self.junctor.hangup(call)
        sipp.wait()
        self.ended(call, "admin")

    def test_the_caller_gives_up(self):
        self.begin(ANYONE)
        sipp = self.sipp("caller_cancels.xml")
        sipp.wait()
        call = self.junctor.find_call(f"sip:carol@{HOST}")
        self.ended(call, "caller-hangup")

    def test_who_missed_a_call_is_rung_by_the_next_and_answers_it(self):
        """One player all the while."""
        self.begin(ANYONE)
        self.sipp("caller_cancels.xml").wait()
        quiet = time.monotonic()
        missed = self.junctor.find_call(f"sip:carol@{HOST}")
        self.ended(missed, "caller-hangup")
        wait_until(lambda: tones.longest_with_tone(self.pull.heard(), self.pull.RATE,
                                                   RING_TONE) > 0.3, 20, "the ring at the player")
        # Who has called is shown, silently, and then nothing.
        wait_until(lambda: self.pull.pictures(since=time.monotonic() - 1) == 0, 20,
                   "the end of the card")
        self.assertGreater(self.pull.pictures(since=quiet), 25)
        self.assertLess(tones.share_with_tone(self.pull.heard(since=quiet + 1), self.pull.RATE,
                                              RING_TONE), 0.1)
        self.assertTrue(self.pull.process.running())

        again = time.monotonic()
        bob = self.phone()
        self.dial(bob)
        call = self.junctor.find_call(f"sip:bob@{HOST}")
        self.junctor.wait_state(call, "ringing")
        self.pull.wait_tone(RING_TONE, since=again)
        push = self.push()
        self.junctor.wait_state(call, "answered")
        self.pull.wait_picture(BOB)
        self.pull.wait_tone(BOB_TONE)
        self.assertEqual(self.junctor.log().count(" pull publish/play as alice: accepted"), 1)
        push.stop()
        self.ended(call, "callee-hangup")
        self.assertEqual(self.pull.process.wait(15), 0, "its stream is complete")
        for stream in ("v", "a"):
            times = [at for at, _ in media.packets(self.pull.recording, stream)]
            self.assertEqual(times, sorted(times))
            # It was quiet for so long, and says so.
            self.assertGreater(max(b - a for a, b in zip(times, times[1:])), 0.8)
