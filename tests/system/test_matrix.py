# G7: every codec of a terminal against every format of a phone, both ways, with encoders and decoders
# at the ends that are not ours: coded marks in the pictures and tones in the sound arrive. A sample
# of the pairs, or all of them with JUNCTOR_FULL=1. The table of what was tried is printed.
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
import unittest

from support import flvpeer, gstphone, media, rtmp, tones
from support.baresip import Baresip
from support.case import FULL, SystemTest
from support.gstphone import GstPhone
from support.junctor import SOURCE, Junctor
from support.process import wait_until

ALICE, BOB = rtmp.FfmpegPush.IDENTITY, Baresip.IDENTITY
ALICE_TONE, BOB_TONE = 440, 1000
# Within an H.263 picture the borders of one that was 16:9 are left out.
WITHIN_BORDERS = "iw:ih*3/4"
RTMP_VIDEO, RTMP_AUDIO = ("h264", "h263", "sorenson", "vp8"), ("aac", "pcma", "pcmu", "speex")
# What baresip calls the formats that it has.
BARESIP = {"h264": "h264", "vp8": "vp8", "h263": "h263", "pcma": "PCMA/8000/1",
           "pcmu": "PCMU/8000/1"}

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
# Each codec once with each format, to the phone and back.
EVERY_PAIR = [
    ((RTMP_VIDEO[i], RTMP_AUDIO[i]), (video, audio),
     (RTMP_VIDEO[(i + 1) % 4], RTMP_AUDIO[(i + 1) % 4]))
    for video, audio in zip(gstphone.VIDEO, gstphone.AUDIO) for i in range(4)]


def codec_of(form):
    """The codec that a format of SIP carries."""
    name = re.split("[-/ ]", form)[0]
    return {"mpeg4": "aac", "mp4a": "aac"}.get(name, name)


def crop_of(*codecs):
    """What of a picture is looked at that was or is H.263 on its way."""
    return WITHIN_BORDERS if "h263" in codecs else None


class Table:
    """What was tried: (medium, codec of RTMP, format of SIP) → {way: how}."""

    cells = {}

    @classmethod
    def note(cls, call, phone):
        for step in call["plan"]:
            back = step["direction"] == "callee-to-caller"
            key = (step["medium"], step["to" if back else "from"],
                   phone[step["medium"] == "audio"])
            how = f"{step['cpu_percent']:g} %" if step["transcoded"] else "passed"
            cls.cells.setdefault(key, {})["back" if back else "there"] = how

    @classmethod
    def lines(cls):
        """In Markdown, as docs/codecs.md has it."""
        lines = []
        for medium, ours, theirs in (("video", RTMP_VIDEO, gstphone.VIDEO),
                                     ("audio", RTMP_AUDIO, gstphone.AUDIO)):
            lines += [f"| {medium} | " + " | ".join(theirs) + " |", "|---" * (len(theirs) + 1) + "|"]
            for codec in ours:
                cells = [cls.cells.get((medium, codec, form), {}) for form in theirs]
                lines.append(f"| {codec} | " + " | ".join(
                    f"→ {ways.get('there', '?')}, ← {ways.get('back', '?')}" for ways in cells)
                    + " |")
        return lines

    @classmethod
    def print(cls):
        if not cls.cells:
            return
        wanted = 2 * (len(RTMP_VIDEO) * len(gstphone.VIDEO) + len(RTMP_AUDIO) * len(gstphone.AUDIO))
        for line in cls.lines() + [f"{sum(map(len, cls.cells.values()))} of {wanted} ways"]:
            print(f"# {line}", flush=True)


class G7_Matrix(SystemTest):
    @classmethod
    def tearDownClass(cls):
        Table.print()

    @unittest.skipUnless(FULL, "of a sample there is no whole table")
    def test_zzz_the_documents_have_this_table(self):
        """Last by its name: after all calls."""
        with open(os.path.join(SOURCE, "docs", "codecs.md"), encoding="utf-8") as file:
            written = file.read().splitlines()
        for line in Table.lines():
            self.assertIn(line, written)

    def push_and_pull(self, push, pull, callee, back):
        """The terminals; `back` is what of the pictures is looked at."""
        alice = self.junctor.account("alice")
        # ffmpeg reads H.263 (id 8) from FLV as a stream for each picture, and VP8 not at all.
        kind = flvpeer.TagPull if pull[0] in ("h263", "vp8") else rtmp.FfmpegPull
        self.pull = self.start(kind(
            self.workspace, alice.pull_url(f"video={pull[0]}&audio={pull[1]}"), crop=back))
        url = alice.push_url(callee)
        if push[0] == "vp8":
            self.push = self.start(flvpeer.Vp8Push(
                self.workspace, self.junctor.rtmp_port, url, frequency=ALICE_TONE, audio=push[1]))
            return
        audio, _ = rtmp.AUDIO_ENCODERS[push[1]]
        self.push = self.start(rtmp.FfmpegPush(
            self.workspace, url, frequency=ALICE_TONE, audio=audio,
            video_encoder=rtmp.VIDEO_ENCODERS[push[0]]))

    def finish(self, identifier, push, phone, pull):
        """Looks at the plan and ends the call."""
        during = self.junctor.call(identifier)
        Table.note(during, phone)
        plan = {(step["direction"], step["medium"]): step for step in during["plan"]}
        for index, medium in enumerate(("video", "audio")):
            theirs = codec_of(phone[index])
            for direction, before, after in (
                    ("caller-to-callee", push[index], theirs),
                    ("callee-to-caller", theirs, pull[index])):
                step = plan[direction, medium]
                self.assertEqual((step["from"], step["to"]), (before, after))
                # What the other side cannot take of the same codec: one NAL unit a packet, 16 kHz.
                other_kind = (phone[index] == "h264 mode 0" and direction == "caller-to-callee"
                              or phone[index] == "speex/8000")
                self.assertEqual(step["transcoded"], before != after or other_kind, step)
        self.push.stop()
        self.assertEqual(self.junctor.wait_ended(identifier)["reason"], "caller-hangup")

    def with_baresip(self, push, phone, pull):
        self.junctor = self.start(Junctor(self.workspace))
        bob = self.junctor.account("bob")
        self.bob = self.start(Baresip(
            self.workspace, "bob", frequency=BOB_TONE, registrar=self.junctor.sip_address,
            password=bob.password, codecs=BARESIP[phone[1]], video_codecs=BARESIP[phone[0]],
            size=(352, 288) if phone[0] == "h263" else None))
        self.bob.wait_registered()
        # baresip fills the whole of a CIF picture; what is made of another keeps its aspect.
        self.push_and_pull(push, pull, "bob",
                           None if phone[0] == "h263" else crop_of(pull[0]))
        self.bob.wait_event("CALL_ESTABLISHED")
        identifier = self.junctor.find_call("alice")
        self.pull.wait_picture(BOB)
        self.pull.wait_tone(BOB_TONE)

        def seen():
            taken = self.bob.snapshot()
            mark = taken and media.mark_of(taken[0], crop_of(push[0], phone[0]))
            return mark and mark[0] == ALICE
        wait_until(seen, 15, "the pusher's picture at the phone", every=0.2)
        wait_until(lambda: len(self.bob.heard()[0]) > 2 * self.bob.heard()[1], 15,
                   "two seconds of sound at the phone")
        self.finish(identifier, push, phone, pull)
        self.bob.stop()
        samples, rate = self.bob.heard()
        self.assertGreater(tones.longest_with_tone(samples, rate, ALICE_TONE), 1.0)

    def with_gstreamer(self, push, phone, pull):
        self.junctor = self.start(Junctor(self.workspace,
                                          '[sip]\nallow = ["sip:*@127.0.0.1:*"]\n'))
        h263_phone = codec_of(phone[0]) == "h263"
        self.bob = self.start(GstPhone(
            self.workspace, audio=phone[1], video=phone[0], frequency=BOB_TONE,
            crop=crop_of(push[0], codec_of(phone[0]))))
        self.push_and_pull(push, pull, self.bob.uri(), None if h263_phone else crop_of(pull[0]))
        identifier = self.junctor.find_call("alice")
        self.junctor.wait_state(identifier, "answered")
        self.bob.start_media()
        self.pull.wait_picture(BOB)
        self.pull.wait_tone(BOB_TONE)
        self.bob.wait_picture(ALICE)
        self.bob.wait_tone(ALICE_TONE)
        self.finish(identifier, push, phone, pull)


def _add(walk, rows):
    for row in rows:
        name = "__".join(re.sub(r"\W", "_", "_".join(side)) for side in row)

        def test(self, row=row):
            getattr(self, walk)(*row)
        setattr(G7_Matrix, f"test_{name}_{walk}", test)


_add("with_baresip", WITH_BARESIP)
_add("with_gstreamer", EVERY_PAIR if FULL else SAMPLE)

if __name__ == "__main__":
    unittest.main()
