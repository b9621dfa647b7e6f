# G7: every codec of a terminal against every format of a phone that it calls, both ways, with encoders
# and decoders at the ends that are not ours: coded marks in the pictures and tones in the sound arrive.
# A sample of the pairs, or all of them with JUNCTOR_FULL=1. The table of what was tried is printed.
# The other directions of calling are in test_directions.py. SPDX-License-Identifier: LGPL-2.1-or-later
import unittest

from support import rtmp
from support.baresip import Baresip
from support.case import FULL
from support.gstphone import GstPhone
from support.junctor import Junctor
from support.linphone import Linphone
from support.matrix import (EVERY_PHONE_PAIR, MatrixTest, RTMP_AUDIO, WalkedTable, add_rows, codec_of,
                            crop_back, crop_of, phone_table, wait_for_both)
from support.process import wait_until

ALICE, BOB = rtmp.FfmpegPush.IDENTITY, Baresip.IDENTITY
ALICE_TONE, BOB_TONE = 440, 1000

# (video, audio) of the push terminal, the phone and the pull terminal.
WITH_BARESIP = [
    (("sorenson", "speex"), ("h264", "pcma"), ("h263", "speex")),
    (("h263", "pcmu"), ("h264", "pcmu"), ("sorenson", "pcma")),
    (("h264", "aac"), ("vp8", "pcma"), ("h264", "pcma")),
    (("vp8", "speex"), ("vp8", "pcmu"), ("vp8", "speex")),
    (("h264", "aac"), ("h263", "pcma"), ("h264", "aac")),
]
SAMPLE = [
    (("sorenson", "speex"), ("h263-1998", "speex/16000"), ("h263", "speex")),
    (("h263", "aac"), ("h263-2000", "mpeg4-generic"), ("h264", "aac")),
    (("h264", "pcma"), ("h264 mode 0", "speex/8000"), ("sorenson", "pcmu")),
    (("h263", "speex"), ("h263", "mp4a-latm"), ("h263", "speex")),
    (("vp8", "pcma"), ("h264", "pcma"), ("vp8", "aac")),
]
# Sound alone, with a phone whose Speex is not GStreamer's.
WITH_LINPHONE = [((None, codec), (None, form), ("h264", codec))
                 for form in ("speex/16000", "speex/8000") for codec in RTMP_AUDIO]


class G7_Matrix(WalkedTable, MatrixTest):
    table, title = phone_table(), "a terminal calls a phone"

    def push_and_pull(self, push, pull, callee, crop):
        self.prepare("alice", push, ALICE_TONE)
        alice = self.junctor.account("alice")
        self.player = self.pull(alice, pull, crop)
        self.publisher = self.push(alice, push, ALICE_TONE, callee)

    def finish(self, identifier, push, phone, pull, **more):
        """Looks at the plan and ends the call."""
        self.check_with_phone(identifier, self.table, push, phone, pull, **more)
        self.publisher.stop()
        self.assertEqual(self.junctor.wait_ended(identifier)["reason"], "caller-hangup")

    def with_baresip(self, push, phone, pull):
        self.junctor = self.start(Junctor(self.workspace))
        bob = self.baresip(phone, BOB_TONE)
        self.push_and_pull(push, pull, "bob", crop_back(phone[0], pull[0]))
        bob.wait_event("CALL_ESTABLISHED")
        identifier = self.junctor.find_call("alice")
        self.player.wait_picture(BOB)
        self.player.wait_tone(BOB_TONE)
        self.wait_at_baresip(bob, ALICE, ALICE_TONE, crop_of(push[0], phone[0]))
        self.finish(identifier, push, phone, pull)

    def with_gstreamer(self, push, phone, pull):
        self.junctor = self.start(Junctor(self.workspace,
                                          '[sip]\nallow = ["sip:*@127.0.0.1:*"]\n'))
        bob = self.start(GstPhone(
            self.workspace, audio=phone[1], video=phone[0], frequency=BOB_TONE,
            crop=crop_of(push[0], codec_of(phone[0]))))
        self.push_and_pull(push, pull, bob.uri(), crop_back(phone[0], pull[0]))
        identifier = self.junctor.find_call("alice")
        self.junctor.wait_state(identifier, "answered")
        bob.start_media()
        wait_for_both((self.player, ALICE, ALICE_TONE), (bob, BOB, BOB_TONE))
        self.finish(identifier, push, phone, pull, began=bob.began)

    def with_linphone(self, push, phone, pull):
        self.junctor = self.start(Junctor(self.workspace,
                                          '[sip]\nallow = ["sip:*@127.0.0.1:*"]\n'))
        rate = int(phone[1].partition("/")[2])
        carol = self.start(Linphone(self.workspace, codecs=[("speex", rate)], frequency=BOB_TONE,
                                    auto=False))
        self.push_and_pull(push, pull, carol.uri, None)
        identifier = self.junctor.find_call("alice")
        self.junctor.wait_state(identifier, "ringing")
        # ffmpeg takes its time with a picture that comes after the sound.
        wait_until(lambda: self.player.pictures() > 5, 20, "the card at the player")
        carol.answer()
        self.junctor.wait_state(identifier, "answered")
        self.player.wait_tone(BOB_TONE)
        wait_until(lambda: carol.hears(ALICE_TONE, rate), 20, "the pusher's tone at linphone",
                   every=0.2)
        self.finish(identifier, push, phone, pull)


add_rows(G7_Matrix, "with_baresip", WITH_BARESIP)
add_rows(G7_Matrix, "with_gstreamer", EVERY_PHONE_PAIR if FULL else SAMPLE)
add_rows(G7_Matrix, "with_linphone", WITH_LINPHONE if FULL else WITH_LINPHONE[::5])

if __name__ == "__main__":
    unittest.main()
