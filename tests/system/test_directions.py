# G7 in the other directions of calling: phones call terminals, and terminals each other. As in
# test_matrix.py the ends are not ours, and marks and tones are looked at on both sides.
# SPDX-License-Identifier: LGPL-2.1-or-later
import unittest

from support import rtmp
from support.baresip import Baresip
from support.case import FULL
from support.gstphone import GstPhone
from support.junctor import Junctor
from support.linphone import Linphone
from support.matrix import (EVERY_PHONE_PAIR, MatrixTest, RTMP_AUDIO, RTMP_VIDEO, TO_CALLEE,
                            TO_CALLER, WalkedTable, add_rows, codec_of, crop_back, crop_of,
                            phone_table, terminal_table, wait_for_both)
from support.ports import HOST
from support.process import wait_until

ALICE, BOB = rtmp.FfmpegPush.IDENTITY, Baresip.IDENTITY
ALICE_TONE, BOB_TONE = 440, 700
ANYONE = '[sip]\nincoming = "anyone"\n'

# (video, audio) of the push terminal, the phone and the pull terminal.
WITH_BARESIP = [
    (("h263", "aac"), ("h264", "pcmu"), ("sorenson", "speex")),
    (("sorenson", "pcma"), ("vp8", "pcmu"), ("vp8", "pcmu")),
    (("vp8", "speex"), ("h263", "pcma"), ("h264", "aac")),
]
SAMPLE = [
    (("h264", "speex"), ("h264 mode 0", "mpeg4-generic"), ("h263", "pcma")),
    (("h263", "pcmu"), ("h263-1998", "speex/16000"), ("sorenson", "aac")),
]
WITH_LINPHONE = [((None, codec), (None, form), ("h264", codec))
                 for form in ("speex/8000", "speex/16000") for codec in RTMP_AUDIO]

# (video, audio) of who calls and of who is called; each publishes and plays what it speaks.
TERMINALS = [(("h263", "pcma"), ("vp8", "speex")), (("sorenson", "aac"), ("h263", "pcmu")),
             (("h264", "speex"), ("sorenson", "pcma"))]
EVERY_TERMINAL = [((RTMP_VIDEO[i], RTMP_AUDIO[i]), (RTMP_VIDEO[j], RTMP_AUDIO[j]))
                  for i in range(4) for j in range(4)]


class G7_PhoneCallsTerminal(WalkedTable, MatrixTest):
    """The terminal plays, is rung, and answers by publishing. The table is that of test_matrix.py."""

    table, title = phone_table(), "a phone calls a terminal"

    def wait_for_calls(self, push, pull, crop, config=""):
        self.prepare("alice", push, ALICE_TONE)
        self.junctor = self.start(Junctor(self.workspace, config))
        self.alice = self.junctor.account("alice")
        self.player = self.pull(self.alice, pull, crop)
        wait_until(lambda: " pull publish/play as alice: accepted" in self.junctor.log(), 20,
                   "alice's player")

    def answer(self, caller, push):
        identifier = self.junctor.find_call(caller)
        self.junctor.wait_state(identifier, "ringing")
        self.publisher = self.push(self.alice, push, ALICE_TONE)
        self.assertEqual(self.junctor.wait_state(identifier, "answered")["direction"], "incoming")
        return identifier

    def finish(self, identifier, push, phone, pull, **more):
        """Looks at the plan and ends the call."""
        self.check_with_phone(identifier, self.table, push, phone, pull, phone_calls=True, **more)
        self.publisher.stop()
        self.assertEqual(self.junctor.wait_ended(identifier)["reason"], "callee-hangup")

    def with_gstreamer(self, push, phone, pull):
        self.wait_for_calls(push, pull, crop_back(phone[0], pull[0]), ANYONE)
        bob = self.start(GstPhone(
            self.workspace, audio=phone[1], video=phone[0], frequency=BOB_TONE,
            crop=crop_of(push[0], codec_of(phone[0])), calls=True))
        bob.dial("alice", self.junctor.sip_address)
        identifier = self.answer(f"sip:carol@{HOST}", push)
        bob.start_media()
        wait_for_both((self.player, ALICE, ALICE_TONE), (bob, BOB, BOB_TONE))
        self.finish(identifier, push, phone, pull, began=bob.began)

    def with_baresip(self, push, phone, pull):
        self.wait_for_calls(push, pull, crop_back(phone[0], pull[0]))
        bob = self.baresip(phone, BOB_TONE)
        bob.dial(f"sip:alice@{self.junctor.sip_address}")
        identifier = self.answer("bob", push)
        self.player.wait_picture(BOB)
        self.player.wait_tone(BOB_TONE)
        self.wait_at_baresip(bob, ALICE, ALICE_TONE, crop_of(push[0], phone[0]))
        self.finish(identifier, push, phone, pull)

    def with_linphone(self, push, phone, pull):
        self.wait_for_calls(push, pull, None, ANYONE)
        rate = int(phone[1].partition("/")[2])
        carol = self.start(Linphone(self.workspace, codecs=[("speex", rate)], frequency=BOB_TONE))
        carol.dial(f"sip:alice@{self.junctor.sip_address}")
        identifier = self.answer(f"sip:carol@{HOST}", push)
        self.player.wait_tone(BOB_TONE)
        wait_until(lambda: carol.hears(ALICE_TONE, rate), 20, "alice's tone at linphone", every=0.2)
        self.finish(identifier, push, phone, pull)


class G7_TerminalCallsTerminal(WalkedTable, MatrixTest):
    BOB = 0xB1

    table, title = terminal_table(), "a terminal calls a terminal"

    def between_terminals(self, ours, theirs):
        self.prepare("alice", ours, ALICE_TONE)
        self.prepare("bob", theirs, BOB_TONE, self.BOB)
        self.junctor = self.start(Junctor(self.workspace))
        alice, bob = self.junctor.account("alice"), self.junctor.account("bob")
        crop = crop_of(ours[0], theirs[0])
        alice_player = self.pull(alice, ours, crop, "alice-pull")
        bob_player = self.pull(bob, theirs, crop, "bob-pull")
        wait_until(lambda: self.junctor.log().count(" pull publish/play as ") == 2, 20,
                   "both players")
        publisher = self.push(alice, ours, ALICE_TONE, "bob", identity=ALICE)
        identifier = self.junctor.find_call("alice")
        self.junctor.wait_state(identifier, "ringing")
        self.push(bob, theirs, BOB_TONE, identity=self.BOB)
        self.junctor.wait_state(identifier, "answered")
        wait_for_both((alice_player, ALICE, ALICE_TONE), (bob_player, self.BOB, BOB_TONE))
        call = self.junctor.call(identifier)
        plan = self.plan(call)
        self.check_coding(call)
        self.check_first_pictures(call)
        for index, medium in enumerate(("video", "audio")):
            for way, direction, before, after in (
                    ("there", TO_CALLEE, ours[index], theirs[index]),
                    ("back", TO_CALLER, theirs[index], ours[index])):
                self.check_step(plan[direction, medium], before, after)
                self.table.note(medium, ours[index], theirs[index], way, plan[direction, medium])
        publisher.stop()
        self.assertEqual(self.junctor.wait_ended(identifier)["reason"], "caller-hangup")


add_rows(G7_PhoneCallsTerminal, "with_gstreamer", EVERY_PHONE_PAIR if FULL else SAMPLE)
add_rows(G7_PhoneCallsTerminal, "with_baresip", WITH_BARESIP if FULL else WITH_BARESIP[:1])
add_rows(G7_PhoneCallsTerminal, "with_linphone", WITH_LINPHONE if FULL else WITH_LINPHONE[::8])
add_rows(G7_TerminalCallsTerminal, "between_terminals", EVERY_TERMINAL if FULL else TERMINALS)

if __name__ == "__main__":
    unittest.main()
