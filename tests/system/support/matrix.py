# G7: every codec against every other, with ends that are not ours. SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests that walk the matrix have in common: terminals of any codec, the check of a call's
plan, and the table of what was tried, which is printed and compared with docs/codecs.md."""

import datetime
import os
import re

from . import flvpeer, gstphone, media, rtmp, tones
from .baresip import Baresip
from .case import FULL, SystemTest, only_full
from .junctor import SOURCE
from .process import wait_until

RTMP_VIDEO, RTMP_AUDIO = ("h264", "h263", "sorenson", "vp8"), ("aac", "pcma", "pcmu", "speex")
TO_CALLEE, TO_CALLER = "caller-to-callee", "callee-to-caller"
# What baresip calls the formats that it has.
BARESIP = {"h264": "h264", "vp8": "vp8", "h263": "h263", "pcma": "PCMA/8000/1",
           "pcmu": "PCMU/8000/1"}
# Within an H.263 picture the borders of one that was 16:9 are left out.
_WITHIN_BORDERS = "iw:ih*3/4"
# Each codec of a terminal once with each format of a phone, there and back: (video, audio) of the
# push terminal, the phone and the pull terminal.
EVERY_PHONE_PAIR = [
    ((RTMP_VIDEO[i], RTMP_AUDIO[i]), (video, audio),
     (RTMP_VIDEO[(i + 1) % 4], RTMP_AUDIO[(i + 1) % 4]))
    for video, audio in zip(gstphone.VIDEO, gstphone.AUDIO) for i in range(4)]


def codec_of(form):
    """The codec that a format of SIP carries."""
    name = re.split("[-/ ]", form)[0]
    return {"mpeg4": "aac", "mp4a": "aac"}.get(name, name)


def crop_of(*codecs):
    """What of a picture is looked at that was or is H.263 on its way."""
    return _WITHIN_BORDERS if "h263" in codecs else None


def crop_back(phone, pull):
    """The same at the player: a phone fills the whole of its CIF picture, what is made of another
    keeps its aspect."""
    return None if codec_of(phone) == "h263" else crop_of(pull)


class Table:
    """What was tried: rows are a push terminal's codecs, columns the other end's."""

    def __init__(self, columns, file=os.path.join(SOURCE, "docs", "codecs.md")):
        """`columns`: {medium: names}."""
        self._columns, self._file, self._cells = columns, file, {}

    def note(self, medium, row, column, way, step):
        """`way`: "there", from the row's end to the column's, or "back"."""
        how = f"{step['cpu_percent']:g} %" if step["transcoded"] else "passed"
        self._cells.setdefault((medium, row, column), {})[way] = how

    def lines(self):
        """In Markdown."""
        lines = []
        for medium, rows in (("video", RTMP_VIDEO), ("audio", RTMP_AUDIO)):
            columns = self._columns[medium]
            lines += [f"| {medium} | " + " | ".join(columns) + " |",
                      "|---" * (len(columns) + 1) + "|"]
            for row in rows:
                cells = [self._cells.get((medium, row, column), {}) for column in columns]
                lines.append(f"| {row} | " + " | ".join(
                    f"→ {ways.get('there', '?')}, ← {ways.get('back', '?')}" for ways in cells)
                    + " |")
        return lines

    def print(self, title):
        if not self._cells:
            return
        wanted = 2 * 4 * sum(len(columns) for columns in self._columns.values())
        seen = sum(len(ways) for ways in self._cells.values())
        for line in [title, *self.lines(), f"{seen} of {wanted} ways"]:
            print(f"# {line}", flush=True)

    def missing(self):
        """The lines that the documents have not."""
        with open(self._file, encoding="utf-8") as file:
            written = file.read().splitlines()
        return [line for line in self.lines() if line not in written]


def phone_table():
    return Table({"video": tuple(gstphone.VIDEO), "audio": tuple(gstphone.AUDIO)})


def terminal_table():
    return Table({"video": RTMP_VIDEO, "audio": RTMP_AUDIO})


class WalkedTable:
    """For a test class whose tests fill `table`: prints it under `title`, and compares it with the
    documents when it is whole. No test itself, for what a test file imports would be run with it."""

    table, title = None, ""

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.table.print(cls.title)

    @only_full("of a sample there is no whole table")
    def test_zzz_the_documents_have_this_table(self):
        """Last by its name: after all calls."""
        self.assertEqual(self.table.missing(), [])


def wait_for_both(one, other):
    """Until each end sees and hears the other. An end is (receiver, its sender's identity in the
    picture, its tone)."""
    for (receiver, _, _), (_, identity, tone) in ((one, other), (other, one)):
        receiver.wait_picture(identity)
        receiver.wait_tone(tone)


class MatrixTest(SystemTest):
    """Terminals that speak what a row says; `self.junctor` is running."""

    def pull(self, account, codecs, crop, name="pull"):
        """Plays an account's stream; `crop` is what of the pictures is looked at."""
        # ffmpeg reads H.263 (id 8) from FLV as a stream for each picture, and VP8 not at all.
        kind = flvpeer.TagPull if codecs[0] in ("h263", "vp8") else rtmp.FfmpegPull
        return self.start(kind(self.workspace,
                               account.pull_url(f"video={codecs[0]}&audio={codecs[1]}"), crop=crop,
                               name=name))

    @staticmethod
    def prepare(name, codecs, tone, identity=flvpeer.Vp8Push.IDENTITY):
        """What push() would do at its beginning, and others not wait for."""
        if codecs[0] == "vp8":
            flvpeer.vp8_tags(identity, name, codecs[1], tone)

    def push(self, account, codecs, tone, callee=None, identity=None):
        """Publishes as an account; codecs[0] is None for sound alone."""
        url, (video, audio) = account.push_url(callee), codecs
        if video == "vp8":
            return self.start(flvpeer.Vp8Push(self.junctor.rtmp_port, url, frequency=tone,
                                              audio=audio, identity=identity, name=account.name))
        return self.start(rtmp.FfmpegPush(
            self.workspace, url, frequency=tone, audio=rtmp.AUDIO_ENCODERS[audio][0],
            video=video is not None, video_encoder=rtmp.VIDEO_ENCODERS.get(video),
            identity=identity, name=account.name))

    def baresip(self, form, tone):
        """A phone of account bob that speaks this format, once it is registered."""
        phone = self.start(Baresip(
            self.workspace, "bob", frequency=tone, registrar=self.junctor.sip_address,
            password=self.junctor.account("bob").password, codecs=BARESIP[form[1]],
            video_codecs=BARESIP[form[0]], size=(352, 288) if form[0] == "h263" else None))
        phone.wait_registered()
        return phone

    @staticmethod
    def wait_at_baresip(phone, identity, tone, crop):
        """Until it sees that source and hears that tone."""
        def seen():
            taken = phone.snapshot()
            mark = taken and media.mark_of(taken[0], crop)
            return mark and mark[0] == identity
        wait_until(seen, 20, f"a picture of source {identity:#x} at the phone", every=0.2)

        def heard():
            samples, rate = phone.heard()
            return tones.longest_with_tone(samples[-2 * rate:], rate, tone) > 1.0
        wait_until(heard, 20, f"{tone} Hz at the phone", every=0.2)

    @staticmethod
    def plan(call):
        return {(step["direction"], step["medium"]): step for step in call["plan"]}

    def check_coding(self, call):
        """Of all that is decoded and encoded on the way it is told how long that takes."""
        stages = {(route["direction"], route["medium"]): route["stages"]
                  for route in call["latency"]}
        for way, step in self.plan(call).items():
            if not step["transcoded"]:
                continue
            for name in ("decode", "encode"):
                self.assertGreater(stages[way].get(name, {}).get("count", 0), 0, (name, step))

    def check_first_pictures(self, call, began=None):
        """How long after the answer the callee and the caller saw the first picture; judged in the
        full form only. `began` is {side: time.time()} where what it sees began only then."""
        answered = datetime.datetime.fromisoformat(call["answered"]).timestamp()
        for side in ("callee", "caller"):
            ms = call[f"first_picture_to_{side}_ms"]
            self.assertIsNotNone(ms, side)
            late = ms - 1000 * max(0, (began or {}).get(side, 0) - answered)
            print(f"# first picture to the {side} {ms} ms after the answer, {late:.0f} ms after it "
                  "could come", flush=True)
            if FULL:
                self.assertLess(late, 1000, side)

    def check_step(self, step, before, after, phone=""):
        """A step goes from and to these codecs, and passes through where they are the same, unless
        the format of a `phone` that it goes to, or comes from, is another kind of it."""
        self.assertEqual((step["from"], step["to"]), (before, after))
        # What the other side cannot take of the same codec: one NAL unit a packet, 16 kHz.
        other_kind = phone in ("h264 mode 0", "speex/8000")
        self.assertEqual(step["transcoded"], before != after or other_kind, step)

    def check_with_phone(self, identifier, table, push, phone, pull, *, phone_calls=False,
                         began=None):
        """The plan of a call between a terminal and a phone: its steps are noted. `began` is when
        the phone sent its first picture (time.time()), if that was its own time."""
        call = self.junctor.call(identifier)
        plan = self.plan(call)
        self.check_coding(call)
        if phone[0] is not None:
            self.check_first_pictures(call, {"callee" if phone_calls else "caller": began or 0})
        there, back = (TO_CALLER, TO_CALLEE) if phone_calls else (TO_CALLEE, TO_CALLER)
        for index, medium in enumerate(("video", "audio")):
            form = phone[index]
            if form is None:
                continue
            # A picture of mode 0 is one that everybody takes.
            self.check_step(plan[there, medium], push[index], codec_of(form), form)
            self.check_step(plan[back, medium], codec_of(form), pull[index],
                            "" if form == "h264 mode 0" else form)
            table.note(medium, push[index], form, "there", plan[there, medium])
            table.note(medium, pull[index], form, "back", plan[back, medium])


def add_rows(test, walk, rows):
    """A test for each row: the method `walk` is called with what is in it."""
    for row in rows:
        name = "__".join(re.sub(r"\W", "_", "_".join(map(str, side))) for side in row)

        def one(self, row=row):
            getattr(self, walk)(*row)
        setattr(test, f"test_{name}_{walk}", one)
