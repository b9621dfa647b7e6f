# What peers' users complain about, and must not here: a medium that falls silent, begins late or is not
# there at all, a long hold, a push that drops and comes back. SPDX-License-Identifier: LGPL-2.1-or-later
import os
import subprocess
import threading
import time
import unittest

from support import marks, media, player, rawphone, rtmp, rtmp_raw, rtp, tones
from support.case import FULL, SystemTest, only_full
from support.hostile import Heart
from support.junctor import Junctor
from support.process import wait_until
from support.sipp import SCENARIOS

ALICE, BOB = rtmp.FfmpegPush.IDENTITY, 0xC0
TONE, PUSH_TONE = 1000, 440
CLOCKS = {rtp.AUDIO: 8000, rtp.VIDEO: 90000}
# How long a hold lasts, and for how long a push is gone.
HOLD = 15 * 60 if FULL else 5
GONE = 20 if FULL else 6
# When a session of half an hour is refreshed by INVITE.
REFRESH = 12 * 60
# The phone's answer to that while it holds the call, and what is left of the hold.
REFRESHED = """
  <recv request="INVITE"/>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:callee@[local_ip]:[local_port];transport=[transport]>
Content-Type: application/sdp
Content-Length: [len]

v=0
o=callee 1 2 IN IP4 [local_ip]
s=-
c=IN IP4 [local_ip]
t=0 0
m=audio [audio_port] RTP/AVP 8
a=rtpmap:8 PCMA/8000
a=[hold]
m=video [video_port] RTP/AVP [$video_type]
a=rtpmap:[$video_type] H264/90000
a=fmtp:[$video_type] profile-level-id=42e01f;packetization-mode=1
a=[hold]
]]></send>
  <recv request="ACK"/>
"""


class PromiseTest(SystemTest):
    def begin(self, config="", pull_query="", **phone):
        self.junctor = self.start(Junctor(
            self.workspace, '[sip]\nallow = ["sip:*@127.0.0.1:*"]\n' + config))
        self.alice = self.junctor.account("alice")
        self.phone = self.start(rawphone.RawPhone(self.workspace, **phone))
        self.player = self.start(self.play(self.alice.pull_url(pull_query)))
        self.units = rtp.encode_pictures(marks.Picture(BOB, "bob"), 50,
                                         self.workspace.file("bob.h264"))

    def play(self, url):
        return player.Player(self.junctor.rtmp_port, url)

    def answered(self):
        self.call_id = self.junctor.find_call("alice")
        self.junctor.wait_state(self.call_id, "answered")

    def talk(self, media_of=(rtp.AUDIO, rtp.VIDEO)):
        targets = self.phone.targets()
        if rtp.AUDIO in media_of:
            self.phone.peer.send(rtp.AUDIO, frequency=TONE, to=targets[rtp.AUDIO][0])
        if rtp.VIDEO in media_of:
            self.phone.peer.send(rtp.VIDEO, units=self.units, payload_type=targets[rtp.VIDEO][1],
                                 to=targets[rtp.VIDEO][0])

    def flows(self, count, seconds, least, what):
        """So many more come within that time of the medium's own clock, and a generous guard."""
        before = count()
        wait_until(lambda: count() - before >= least, 5 * seconds + 10, f"{least} more {what}")

    def running(self):
        self.assertEqual(self.junctor.call(self.call_id)["state"], "answered")

    def steps_of(self, tags):
        """Milliseconds between the timestamps of tags that follow each other."""
        return [b[1] - a[1] for a, b in zip(tags, tags[1:])]

    def steps_at_phone(self, medium):
        """Seconds between the timestamps of frames that follow each other."""
        packets, clock = self.phone.peer.packets(medium), CLOCKS[medium]
        return [(b.timestamp - a.timestamp) % 2**32 / clock
                for a, b in zip(packets, packets[1:]) if b.timestamp != a.timestamp]

    def told_at_phone(self, medium):
        """Seconds from the first frame to the last, as their timestamps tell."""
        return sum(self.steps_at_phone(medium))

    def nals_at_phone(self, since=0.0):
        return rtp.h264_nals(self.phone.peer.packets(rtp.VIDEO, since=since))

    def stands_alone(self, since):
        """The first picture at the phone can be shown: it needs none that came before."""
        pictures = [nal[0] & 31 for nal in self.nals_at_phone(since) if nal[0] & 31 in (1, 5)]
        self.assertEqual(pictures[0], 5)

    def seen_at_phone(self, least):
        """The phone's pictures decode to alice's, and to more than so many of them."""
        path = self.workspace.file("phone.h264")
        with open(path, "wb") as file:
            file.write(b"".join(b"\0\0\0\1" + nal for nal in self.nals_at_phone()))
        seen = media.marks_of(path)
        self.assertEqual({mark and mark[0] for mark in seen}, {ALICE})
        self.assertGreater(len({mark[1] for mark in seen}), least)

    def recorded(self, seconds, codec="aac"):
        """Tags of H.264 and a tone for that long."""
        path = self.workspace.file("push.flv")
        picture = marks.Picture(ALICE, "alice")
        encoder, rate = rtmp.AUDIO_ENCODERS[codec]
        subprocess.run(
            ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p",
             "-s", f"{marks.WIDTH}x{marks.HEIGHT}", "-r", str(marks.FPS), "-i", "-", "-f", "lavfi",
             "-i", f"sine=frequency={PUSH_TONE}:sample_rate={rate}:duration={seconds}", *rtmp.X264,
             "-c:a", encoder, "-ac", "1", path], check=True, timeout=60,
            input=b"".join(picture.frame(n) for n in range(seconds * marks.FPS)))
        return [tag for tag in rtmp_raw.flv_tags(path) if tag[1] in (player.AUDIO, player.VIDEO)]


class P_OneSilentMedium(PromiseTest):
    """Either medium stops at either end; the other goes on as if nothing had been."""

    def test_a_phone_that_stops_one_medium(self):
        self.silent_phone("audio=pcma")

    def test_a_phone_that_stops_one_medium_with_sound_transcoded(self):
        self.silent_phone("audio=aac")

    def silent_phone(self, query):
        heart = self.start(Heart())
        self.begin(pull_query=query)
        push = self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url(self.phone.uri()),
                                          audio="pcm_alaw"))
        self.answered()
        self.talk()
        wait_until(lambda: self.player.count(player.VIDEO) > 50, 20, "the phone's pictures")
        for silent, other, kind in ((rtp.VIDEO, player.AUDIO, player.VIDEO),
                                    (rtp.AUDIO, player.VIDEO, player.AUDIO)):
            self.phone.peer.stop_sending(silent)
            stopped = time.monotonic()
            self.flows(lambda o=other: self.player.count(o), 2.5, 60, f"tags of type {other}")
            self.assertLess(max(self.steps_of(self.player.tags(other, since=stopped))), 200)
            quiet = stopped + 0.5 + heart.longest(stopped)
            self.assertLessEqual(self.player.count(kind, since=quiet), 1,
                                 "the silent one is silent")
            self.running()
            self.talk()
            self.flows(lambda k=kind: self.player.count(k), 1, 15, "of what was silent")
        push.stop()
        self.assertEqual(self.junctor.wait_ended(self.call_id)["reason"], "caller-hangup")
        self.phone.sipp.wait(20)

    def test_a_push_terminal_that_stops_one_medium(self):
        self.begin()
        tags = self.recorded(12)
        push = self.start(player.Publisher(self.junctor.rtmp_port,
                                           self.alice.push_url(self.phone.uri())))
        # Pictures are missing from the fourth to the seventh second, sound from the eighth on.
        kinds = {player.VIDEO: (4000, 7000), player.AUDIO: (8000, 11000)}
        push.send([tag for tag in tags
                   if not kinds[tag[1]][0] <= tag[0] < kinds[tag[1]][1]])
        self.answered()
        self.talk()
        push.thread.join(30)
        time.sleep(0.5)
        self.running()
        for medium in CLOCKS:
            gaps = [step for step in self.steps_at_phone(medium) if step > 0.2]
            self.assertEqual(len(gaps), 1, f"{medium} has the one gap that was made: {gaps}")
            self.assertAlmostEqual(gaps[0], 3.0, delta=0.15)
            self.assertEqual(self.phone.peer.lost(medium), 0)
        push.stop()
        self.assertEqual(self.junctor.wait_ended(self.call_id)["reason"], "caller-hangup")


class P_PictureAlone(PromiseTest):
    """No sound flows, either way: the picture does, and the watchdog is content with it."""

    INTERVAL, TRIES = 300, 10

    def play(self, url):
        return rtmp.FfmpegPull(self.workspace, url)

    def watch(self, audio, **phone):
        """Longer than the watchdog waits."""
        limit = self.INTERVAL * self.TRIES / 1000
        self.begin(f"[watchdog]\ninterval-ms = {self.INTERVAL}\ntries = {self.TRIES}\n", **phone)
        push = self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url(self.phone.uri()),
                                          audio=audio))
        self.answered()
        self.talk([rtp.VIDEO])
        self.player.wait_picture(BOB)
        wait_until(lambda: self.told_at_phone(rtp.VIDEO) > limit + 2, 5 * limit + 20,
                   "pictures at the phone")
        wait_until(lambda: len(self.player.seen(BOB)) > marks.FPS * limit, 5 * limit + 20,
                   "pictures at the player")
        self.running()
        self.seen_at_phone(marks.FPS * limit)
        self.assertEqual(self.phone.peer.count(rtp.AUDIO), 0)
        plan = {(step["direction"], step["medium"]): step
                for step in self.junctor.call(self.call_id)["plan"]}
        push.stop()
        self.assertEqual(self.junctor.wait_ended(self.call_id)["reason"], "caller-hangup")
        self.phone.sipp.wait(20)
        for direction in ("caller-to-callee", "callee-to-caller"):
            step = plan[direction, "video"]
            self.assertEqual((step["from"], step["to"]), ("h264", "h264"), step)
        return plan

    def test_neither_end_sends_sound(self):
        plan = self.watch(audio=None)
        step = plan["caller-to-callee", "audio"]
        self.assertEqual(step["from"], "none")
        self.assertIn("sends no audio", step["reason"])

    def test_a_phone_that_has_no_sound(self):
        # Port 0: it refuses that medium.
        plan = self.watch(audio="aac", keys={"audio_port": 0})
        step = plan["caller-to-callee", "audio"]
        self.assertEqual(step["from"], "none")
        self.assertIn("takes no audio", step["reason"])


class P_LateTrack(PromiseTest):
    """The publisher has one medium alone until the call has lasted a while, then the other too: it is
    added, and what was there goes on."""

    ALONE = 3.0  # seconds, by the timestamps of what is there

    def held_back(self, tags, kind):
        """The tags until `self.over`; of `kind` those from `self.begun` on, its configuration first,
        and of pictures the first that stands alone."""
        config, came = [], False
        for tag in tags:
            at, its, body = tag
            if self.over.is_set():
                return
            if its == kind and (its == player.VIDEO or body[0] >> 4 == 10) and body[1] == 0:
                config.append(tag)
                continue
            if its == kind and not came and self.begun.is_set() and \
                    (its == player.AUDIO or body[0] >> 4 == 1):
                came = True
                yield from ((at, *each[1:]) for each in config)
            if its != kind or came:
                yield tag

    def step_of(self, medium):
        return next(step for step in self.junctor.call(self.call_id)["plan"]
                    if (step["direction"], step["medium"]) == ("caller-to-callee", medium))

    def add_late(self, late, expected, codec="aac", **phone):
        """`expected` is the step of the plan for what comes late."""
        self.begun, self.over = threading.Event(), threading.Event()
        there, kind = (rtp.VIDEO, player.AUDIO) if late == rtp.AUDIO else (rtp.AUDIO, player.VIDEO)
        self.begin(**phone)
        tags = self.recorded(15, codec)
        push = self.start(player.Publisher(self.junctor.rtmp_port,
                                           self.alice.push_url(self.phone.uri())))
        push.send(self.held_back(tags, kind))
        self.answered()
        self.talk()
        wait_until(lambda: self.told_at_phone(there) > self.ALONE, 20, f"{there} at the phone")
        self.assertEqual(self.step_of(late)["from"], "none")
        self.assertIn(f"sends no {late}", self.step_of(late)["reason"])
        self.assertEqual(self.phone.peer.count(late), 0)
        for each in (player.AUDIO, player.VIDEO):
            wait_until(lambda k=each: self.player.count(k) > 25, 15, f"tags of type {each}")
        began = time.monotonic()
        self.begun.set()
        wait_until(lambda: self.told_at_phone(late) > 2, 20, f"{late} at the phone")
        self.arrives()
        self.over.set()
        step = self.step_of(late)
        self.assertEqual((step["from"], step["to"], step["transcoded"]), expected, step)
        self.assertEqual(self.step_of(there)["to"], {"audio": "pcma", "video": "h264"}[there])
        # What was there is the same stream, of which nothing is missing.
        packets = self.phone.peer.packets(there)
        self.assertEqual(len({packet.ssrc for packet in packets}), 1)
        self.assertEqual(self.phone.peer.lost(there), 0)
        largest = max(self.steps_at_phone(there))
        print(f"# largest step of the {there}: {1000 * largest:.0f} ms, and "
              f"{1000 * self.phone.peer.largest_gap(there, began):.0f} ms from packet to packet",
              flush=True)
        self.assertLess(largest, 0.2)
        # Nor much of what the player has of the phone: its picture goes on with its next keyframe, of
        # which this phone sends one a second, whatever it is asked.
        for each, most in ((player.AUDIO, 400), (player.VIDEO, 1400)):
            self.assertLess(max(self.steps_of(self.player.tags(each, since=began))), most)
        self.running()
        self.assertEqual(len(self.junctor.calls()), 1, "the same call")
        push.thread.join(10)
        push.stop()
        self.assertEqual(self.junctor.wait_ended(self.call_id)["reason"], "caller-hangup")
        self.phone.sipp.wait(20)

    def arrives(self):
        """Both media decode at the phone to what was sent."""
        def heard():
            last = self.phone.peer.heard()[-8000:]
            return len(last) == 8000 and tones.strength(last, 8000, PUSH_TONE) > 0.5
        wait_until(heard, 15, "the push terminal's tone at the phone", every=0.2)
        self.stands_alone(0)
        self.seen_at_phone(marks.FPS)

    def test_sound_that_begins_after_the_picture(self):
        self.add_late(rtp.AUDIO, ("aac", "pcma", True))

    def test_a_picture_that_begins_after_the_sound(self):
        self.add_late(rtp.VIDEO, ("h264", "h264", False))

    @only_full("the other kinds of route")
    def test_sound_that_is_passed_through(self):
        self.add_late(rtp.AUDIO, ("pcma", "pcma", False), codec="pcma")

    @only_full("the other kinds of route")
    def test_a_picture_that_is_transcoded(self):
        self.add_late(rtp.VIDEO, ("h264", "h264", True), mode=0)


class P_LongHold(PromiseTest):
    def test_media_flow_both_ways_again(self):
        with open(os.path.join(SCENARIOS, "callee_hold.xml"), encoding="utf-8") as file:
            text = file.read()
        begin = text.index('<pause milliseconds="2000"/>')
        end = text.index('<recv request="BYE"/>')
        steps = "  " + text[begin:end]
        # The first pause is before the hold, the second is the hold.
        head, _, tail = steps.partition('<recv response="200"/>')
        pause = '<pause milliseconds="{}"/>'
        hold = pause.format(HOLD * 1000)
        if HOLD > REFRESH:
            hold = REFRESHED + pause.format((HOLD - REFRESH) * 1000)
        steps = head + '<recv response="200"/>' + tail.replace(pause.format(2000), hold, 1)
        self.begin(steps=steps, keys={"hold": "inactive"})
        push = self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url(self.phone.uri())))
        self.answered()
        self.talk()
        self.flows(lambda: self.player.count(player.VIDEO), 2, 25, "pictures before the hold")
        # The phone keeps its media to itself while it holds.
        wait_until(lambda: self.messages("INVITE", "sent") >= 1, 20, "the hold")
        for medium in (rtp.AUDIO, rtp.VIDEO):
            self.phone.peer.stop_sending(medium)
        wait_until(lambda: time.monotonic() - self.phone.peer.last(rtp.VIDEO) > 1, HOLD,
                   "no more pictures at the phone")
        quiet = time.monotonic()
        wait_until(lambda: self.messages("INVITE", "sent") >= 2, HOLD + 30, "the end of the hold")
        resumed = time.monotonic()
        if HOLD > REFRESH:
            refresh = [text for _, way, text in self.phone.sipp.messages_seen()
                       if way == "received" and text.startswith("INVITE")][-1]
            self.assertEqual(refresh.count("a=inactive"), 2, "a refresh resumes nothing")
        self.talk()
        for medium in (rtp.AUDIO, rtp.VIDEO):
            wait_until(lambda m=medium: self.phone.peer.count(m, since=resumed) > 25, 15,
                       f"{medium} at the phone")
        for kind in (player.AUDIO, player.VIDEO):
            wait_until(lambda k=kind: self.player.count(k, since=resumed + 0.5) > 25, 15,
                       f"tags of type {kind} at the player")
        self.stands_alone(quiet)
        # Timestamps went on through all of it, without going back.
        for kind in (player.AUDIO, player.VIDEO):
            tags = self.player.tags(kind)
            back = [(a[1], b[1], a[3][:6].hex(), b[3][:6].hex())
                    for a, b in zip(tags, tags[1:]) if b[1] < a[1]]
            self.assertEqual(back, [])
        self.running()
        push.stop()
        self.assertEqual(self.junctor.wait_ended(self.call_id)["reason"], "caller-hangup")
        self.phone.sipp.wait(20)

    def messages(self, method, way):
        return sum(its == way and text.startswith(method)
                   for _, its, text in self.phone.sipp.messages_seen())


class P_PushThatDrops(PromiseTest):
    def test_it_comes_back_and_all_go_on(self):
        """With the watchdog as it is by default: 30 seconds."""
        self.begin()
        push = rtmp.FfmpegPush(self.workspace, self.alice.push_url(self.phone.uri()))
        self.addCleanup(push.drop)
        self.answered()
        self.talk()
        self.flows(lambda: self.phone.peer.count(rtp.VIDEO), 2, 50, "packets of the picture")
        push.drop()
        dropped = time.monotonic()
        ssrcs = {m: self.phone.peer.packets(m)[-1].ssrc for m in (rtp.AUDIO, rtp.VIDEO)}
        while time.monotonic() < dropped + GONE:
            time.sleep(1)
            self.running()
        # Whoever plays has seen and heard the phone all the while.
        for kind, least in ((player.AUDIO, 30), (player.VIDEO, 20)):
            self.assertGreater(self.player.count(kind, since=dropped), least * (GONE - 1))
            self.assertLess(max(self.steps_of(self.player.tags(kind, since=dropped))), 400)
        again = self.start(rtmp.FfmpegPush(self.workspace,
                                           self.alice.push_url(self.phone.uri()),
                                           log_name="push-again.log"))
        back = time.monotonic()
        for medium in (rtp.AUDIO, rtp.VIDEO):
            wait_until(lambda m=medium: self.phone.peer.count(m, since=back) > 50, 20,
                       f"{medium} at the phone again")
            packets = self.phone.peer.packets(medium)
            first = next(p for p in packets if p.at >= back)
            last = [p for p in packets if p.at < back][-1]
            self.assertEqual(first.ssrc, ssrcs[medium], "one stream to the phone")
            self.assertEqual(first.sequence, (last.sequence + 1) % 0x10000)
            # Its timestamps tell how long it was gone.
            gone = (first.timestamp - last.timestamp) % 2**32 / CLOCKS[medium]
            self.assertAlmostEqual(gone, first.at - last.at, delta=1.5, msg=medium)
        self.stands_alone(back)
        self.running()
        self.assertEqual(len(self.junctor.calls()), 1, "the same call")
        again.stop()
        self.assertEqual(self.junctor.wait_ended(self.call_id)["reason"], "caller-hangup")
        self.phone.sipp.wait(20)


if __name__ == "__main__":
    unittest.main()
