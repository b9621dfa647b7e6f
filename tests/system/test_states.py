# What is seen and heard of a call that rings, does not come about, or is held: a picture that says
# so and the tone of the configured country, on the stream that rang, until the player is parted.
# SPDX-License-Identifier: LGPL-2.1-or-later
import itertools
import re
import subprocess
import time
import unittest

from support import marks, media, rtmp, rtp, tones
from support.baresip import Baresip
from support.case import FULL, SystemTest
from support.junctor import Junctor
from support.ports import HOST, free_port
from support.process import wait_until
from support.sipp import Sipp

CALLEE = 0xC0
OWN = 0x5A
CONFIG = """
[sip]
answer-timeout-s = {timeout}
allow = ["sip:*@127.0.0.1:*"]
[media]
{media}
"""
FAILED, HOLD, RINGING = "#b0553f", "#5b7083", "#2f80c0"


def card(workspace, colour, name, caption):
    """The picture of a state, drawn here: raw I420."""
    path = workspace.write(
        "card.svg",
        '<svg xmlns="http://www.w3.org/2000/svg" width="640" height="360">'
        '<rect width="640" height="360" fill="#1b2733"/>'
        f'<circle cx="320" cy="125" r="64" fill="{colour}"/>'
        '<g font-family="sans-serif" text-anchor="middle" fill="#ffffff">'
        f'<text x="320" y="147" font-size="62">{name[0]}</text>'
        f'<text x="320" y="248" font-size="34">{name}</text>'
        f'<text x="320" y="296" font-size="20" fill="#9fb3c8">{caption}</text></g></svg>')
    return subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-f", "rawvideo",
                           "-pix_fmt", "yuv420p", "-"], stdout=subprocess.PIPE, check=True,
                          timeout=30).stdout


def cadence(samples, rate=8000, window=0.02):
    """[(sounding, milliseconds)] of what is heard, without its beginning and its end."""
    size = int(rate * window)
    loud = [tones.loudness(samples[i:i + size]) > 300
            for i in range(0, len(samples) - size + 1, size)]
    runs = [(value, round(1000 * window * len(list(group)))) for value, group in
            itertools.groupby(loud)]
    return runs[1:-1]


class States(SystemTest):
    def begin(self, settings, callee, *, timeout=30, keys=None):
        """Alice, who watches, calls `callee`: a scenario of SIPp, or a URI."""
        self.junctor = self.start(Junctor(
            self.workspace, CONFIG.format(timeout=timeout, media=settings)))
        self.alice = self.junctor.account("alice")
        self.peer = rtp.RtpPeer()
        self.addCleanup(self.peer.close)
        self.pull = self.start(rtmp.FfmpegPull(self.workspace, self.alice.pull_url()))
        self.call(callee, keys)

    def call(self, callee, keys=None):
        if callee.endswith(".xml"):
            self.sipp = self.start(Sipp(self.workspace, callee,
                                        keys={**self.peer.keys(), **(keys or {})}))
            callee = self.sipp.uri()
        self.name = re.sub("^sip:", "", callee)
        self.push = self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url(callee),
                                               log_name=f"push-{time.monotonic_ns()}.log"))
        self.call_id = self.junctor.find_call("alice", known=getattr(self, "known", ()))

    def ended(self, reason, seconds=1.0):
        """The call is over at once; the player is shown and told why afterwards. Returns what it
        heard of that, from when it was heard on, for `seconds`."""
        self.assertEqual(self.junctor.wait_ended(self.call_id)["reason"], reason)
        over = time.monotonic()
        self.assertNotEqual(self.push.process.wait(20), 0)
        wait_until(lambda: tones.loudness(self.pull.heard(over)[-800:]) > 300, 15, "a tone")
        since = time.monotonic()
        self.assertTrue(self.pull.process.running(), "parted without a word")
        wait_until(lambda: len(self.pull.heard(since)) > 8000 * seconds, 15, "more of the tone")
        self.pull.process.wait(20)
        self.assertIn(reason + ": ", self.junctor.log())
        return self.pull.heard(since)

    def shown(self, colour, caption, others, names=()):
        """The last picture that the player had is that card with that name, and none of the others
        or of other `names`."""
        path = self.workspace.file("last.png")
        pictures = media.packets(self.pull.recording, "v")
        self.assertTrue(media.picture_at(self.pull.recording,
                                         pictures[-3][0] - pictures[0][0], path))
        cards = [(self.name, caption), *((self.name, text) for text in others),
                 *((name, caption) for name in names)]
        likeness = {(name, text): media.ssim(path, card(self.workspace, colour, name[:28] + (
            "…" if len(name) > 28 else ""), text)) for name, text in cards}
        self.assertGreater(likeness[cards[0]], 0.97, likeness)
        self.assertEqual(max(likeness, key=likeness.get), cards[0], likeness)

    def unbroken(self):
        """Picture and sound go on across all that was shown: none earlier than the one before, or
        much later; where a call takes over, one may have the time of the last of the call before."""
        for stream in "va":
            times = [at for at, _ in media.packets(self.pull.recording, stream)]
            steps = [after - before for before, after in zip(times, times[1:])]
            self.assertGreater(len(steps), 40)
            self.assertGreaterEqual(min(steps), 0, stream)
            self.assertLessEqual(steps.count(0), 1, stream)
            self.assertLess(max(steps), 1.0, stream)

    def lengths(self, heard, sounding):
        """What stretches of sound (or silence) are heard, in ms, from the first sound on."""
        stretches = cadence(heard)
        if stretches and not stretches[0][0]:
            stretches = stretches[1:]
        return [ms for loud, ms in stretches if loud == sounding]

    def assert_lengths(self, heard, on, off):
        for sounding, wanted in ((True, on), (False, off)):
            seen = self.lengths(heard, sounding)
            self.assertTrue(seen)
            for ms in seen[:2]:
                self.assertAlmostEqual(ms, wanted, delta=45, msg=str(cadence(heard)))


class WhileItRings(States):
    def test_the_ringback_of_the_united_states(self):
        self.begin('country = "us"', "callee_no_answer.xml")
        self.junctor.wait_state(self.call_id, "ringing")
        # 0.2 s hold whole periods of each, so that none is heard in another.
        parts = wait_until(lambda: self.sounding(1600), 20, "a second of the ringback")
        for frequency, share in ((440, 0.5), (480, 0.5), (425, 0)):
            strengths = sorted(tones.strength(part, 8000, frequency) for part in parts)
            self.assertAlmostEqual(strengths[len(strengths) // 2], share, delta=0.15)
        if FULL:
            wait_until(lambda: self.lengths(self.pull.heard(), True) and
                       self.lengths(self.pull.heard(), False), 30, "a ring and the silence after it")
            self.assert_lengths(self.pull.heard(), 2000, 4000)

    def sounding(self, size):
        """What is heard in pieces, without the silent ones; nothing before there is a second."""
        heard = self.pull.heard()
        parts = [heard[at:at + size] for at in range(0, len(heard) - size + 1, size)]
        parts = [part for part in parts if tones.loudness(part) > 1500]
        return parts if len(parts) * size >= 8000 else None

    def test_the_card_of_an_incoming_call_says_who_calls(self):
        self.junctor = self.start(Junctor(self.workspace, '[sip]\nincoming = "anyone"\n'))
        self.alice = self.junctor.account("alice")
        self.peer = rtp.RtpPeer()
        self.addCleanup(self.peer.close)
        self.pull = self.start(rtmp.FfmpegPull(self.workspace, self.alice.pull_url()))
        wait_until(lambda: " pull publish/play as alice: accepted" in self.junctor.log(), 20,
                   "alice's player")
        self.sipp = self.start(Sipp(self.workspace, "caller.xml", keys=self.peer.keys(),
                                    extra=("-s", "alice", self.junctor.sip_address)))
        call = self.junctor.find_call(f"sip:carol@{HOST}")
        self.junctor.wait_state(call, "ringing")
        wait_until(lambda: self.pull.pictures() > 25, 20, "the card of the incoming call")
        self.assertEqual(self.junctor.call(call)["state"], "ringing")
        self.pull.stop()
        # Who it is by the address, which is known of a stranger, and what it calls itself.
        self.name = f"carol@{HOST} “Carol”"
        self.shown(RINGING, "is calling …", ["ringing …"],
                   [f"carol@{HOST}", f"carol@{HOST} “Karla”"])


class AFailedCall(States):
    CAPTIONS = ("is busy", "has declined the call", "does not answer", "cannot be reached")

    def others(self, caption):
        return [text for text in self.CAPTIONS if text != caption]

    def test_busy_in_germany(self):
        self.begin('country = "de"\nfarewell-ms = 6000',"callee_busy.xml")
        heard = self.ended("busy", 2.5)
        self.assert_lengths(heard, 480, 480)
        sounding = [heard[i:i + 160] for i in range(0, len(heard) - 160, 160)
                    if tones.loudness(heard[i:i + 160]) > 1500]
        self.assertGreater(sum(tones.strength(part, 8000, 425) > 0.8 for part in sounding),
                           0.9 * len(sounding))
        self.shown(FAILED, "is busy", self.others("is busy"))
        self.unbroken()

    def test_declined_in_the_united_states(self):
        self.begin('country = "us"\nfarewell-ms = 6000',"callee_decline.xml")
        heard = self.ended("declined", 2.5)
        self.assert_lengths(heard, 500, 500)
        for frequency in (480, 620):
            both = [tones.strength(heard[i:i + 800], 8000, frequency)
                    for i in range(0, len(heard) - 800, 800)
                    if tones.loudness(heard[i:i + 800]) > 1500]
            self.assertAlmostEqual(sorted(both)[len(both) // 2], 0.5, delta=0.15)
        self.shown(FAILED, "has declined the call", self.others("has declined the call"))
        self.unbroken()

    def test_unreachable(self):
        self.begin("farewell-ms = 6000", f"sip:nobody@{HOST}:{free_port()}")
        heard = self.ended("unreachable", 2.5)
        for frequency in (950, 1400, 1800):
            self.assertGreater(tones.longest_with_tone(heard, 8000, frequency), 0.2)
        self.shown(FAILED, "cannot be reached", self.others("cannot be reached"))
        self.unbroken()

    def test_no_answer_in_britain(self):
        self.begin('country = "gb"\nfarewell-ms = 6000', "callee_no_answer.xml", timeout=2)
        heard = self.ended("no-answer", 2.5)
        self.assertGreater(tones.longest_with_tone(heard, 8000, 400), 0.2)
        self.shown(FAILED, "does not answer", self.others("does not answer"))
        self.unbroken()

    def test_a_new_call_takes_the_player_over(self):
        self.begin("farewell-ms = 60000", "callee_busy.xml")
        self.junctor.wait_ended(self.call_id)
        self.push.process.wait(20)
        wait_until(lambda: tones.loudness(self.pull.heard()[-800:]) > 300, 15, "the busy tone")
        self.known = (self.call_id,)
        self.call("callee_answer.xml")
        self.junctor.wait_state(self.call_id, "answered")
        units = rtp.encode_pictures(marks.Picture(CALLEE, "sipp"), 50,
                                    self.workspace.file("sipp.h264"))
        offer = next(text for _, way, text in self.sipp.messages_seen() if way == "received")
        self.peer.send(rtp.AUDIO, frequency=1000,
                       to=int(re.search(r"m=audio (\d+)", offer).group(1)))
        self.peer.send(rtp.VIDEO, units=units,
                       payload_type=int(re.search(r"a=rtpmap:(\d+) H264", offer).group(1)),
                       to=int(re.search(r"m=video (\d+)", offer).group(1)))
        self.pull.wait_picture(CALLEE)
        self.pull.wait_tone(1000)
        self.push.stop()
        self.junctor.wait_ended(self.call_id)
        self.pull.process.wait(20)
        self.unbroken()


class OnHold(States):
    def test_a_held_call_shows_and_sounds_it(self):
        """SIPp answers, holds by `inactive` after two seconds, and resumes after two more; it sends
        nothing itself, so that between the two nothing but the hold is seen and heard."""
        self.begin("", "callee_hold.xml", keys={"hold": "inactive"})
        self.junctor.wait_state(self.call_id, "answered")
        self.pull.wait_tone(425, seconds=0.1)
        wait_until(lambda: "inactive" in self.sipp.trace(), 15, "the hold")
        time.sleep(1.5)  # of the two seconds that it lasts
        self.push.stop()
        self.junctor.wait_ended(self.call_id)
        self.pull.process.wait(20)
        heard = self.pull.heard()
        self.assertAlmostEqual(max(self.lengths(heard, True)), 200, delta=45)
        path = self.workspace.file("hold.png")
        likeness = []
        reference = card(self.workspace, HOLD, self.name, "on hold")
        first = media.packets(self.pull.recording, "v")[0][0]
        for at, _ in media.packets(self.pull.recording, "v")[40::20]:
            if max(likeness, default=0) < 0.97 and media.picture_at(self.pull.recording, at - first, path):
                likeness.append(media.ssim(path, reference))
        self.assertGreater(max(likeness), 0.97, likeness)
        self.unbroken()


    def test_a_phone_that_says_nothing_on_hold(self):
        """baresip holds by `sendonly`, as phones do that could send music, and sends nothing."""
        bob = self.start(Baresip(self.workspace))
        self.begin("", bob.uri)
        self.hold_and_resume(bob, "callee")

    def test_a_phone_that_called_and_says_nothing_on_hold(self):
        self.junctor = self.start(Junctor(self.workspace, CONFIG.format(timeout=30, media="")))
        self.alice, account = self.junctor.account("alice"), self.junctor.account("bob")
        self.pull = self.start(rtmp.FfmpegPull(self.workspace, self.alice.pull_url()))
        wait_until(lambda: " pull publish/play as alice: accepted" in self.junctor.log(), 20,
                   "alice's player")
        bob = self.start(Baresip(self.workspace, registrar=self.junctor.sip_address,
                                 password=account.password))
        bob.wait_registered()
        bob.dial(f"sip:alice@{self.junctor.sip_address}")
        self.call_id = self.junctor.find_call("bob")
        self.junctor.wait_state(self.call_id, "ringing")
        self.push = self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url()))
        self.junctor.wait_state(self.call_id, "answered")
        self.hold_and_resume(bob, "caller")

    def hold_and_resume(self, bob, side):
        self.pull.wait_tone(bob.frequency)
        self.assertEqual(self.junctor.call(self.call_id)["on_hold"], [])
        bob.hold()
        held = time.monotonic()
        wait_until(lambda: self.junctor.call(self.call_id)["on_hold"] == [side], 10,
                   "the hold")
        self.pull.wait_tone(425, since=held, seconds=0.1)
        self.assertIn(f"on hold   by the {side}", self.junctor.command("calls", self.call_id)[1])
        time.sleep(1)
        bob.resume()
        wait_until(lambda: self.junctor.call(self.call_id)["on_hold"] == [], 10, "the resume")
        resumed = time.monotonic()
        self.pull.wait_tone(bob.frequency, since=resumed)
        wait_until(lambda: self.pull.seen(bob.IDENTITY, since=resumed), 10, "bob's picture")
        self.push.stop()
        self.junctor.wait_ended(self.call_id)
        self.pull.process.wait(20)
        self.assertRegex(self.junctor.log(), f"the {side} holds(.|\n)*the {side} goes on")
        times = [at for at, _ in media.packets(self.pull.recording, "v")]
        self.assertLess(max(b - a for a, b in zip(times, times[1:])), 2.5, "a picture stood still")


class OfTheOperator(States):
    def test_own_picture_and_tone(self):
        picture = marks.Picture(OWN, "own")
        media.save_png(picture.frame(7), self.workspace.file("pictures", "busy.png"))
        tones.write_wav(self.workspace.file("tones", "busy.wav"), 700, 2)
        self.begin(f'pictures = "{self.workspace.file("pictures")}"\n'
                   f'tones = "{self.workspace.file("tones")}"', "callee_busy.xml")
        heard = self.ended("busy")
        self.assertGreater(tones.longest_with_tone(heard, 8000, 700), 0.8)
        self.assertIn((OWN, 7), {mark for _, mark in self.pull.frames})
        self.unbroken()

    def test_what_cannot_be_shown_is_told_at_the_start(self):
        path = self.workspace.file("pictures", "busy.png")
        with open(path, "w", encoding="ascii") as file:
            file.write("no picture")
        with self.assertRaises(AssertionError) as refused:
            self.start(Junctor(self.workspace, CONFIG.format(
                timeout=30, media=f'pictures = "{self.workspace.file("pictures")}"')))
        self.assertIn("busy.png: is no picture that can be shown", str(refused.exception))


if __name__ == "__main__":
    unittest.main()
