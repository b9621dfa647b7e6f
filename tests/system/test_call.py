# G1 to G6 and G8: whole calls with ffmpeg on one side and baresip on the other.
# SPDX-License-Identifier: LGPL-2.1-or-later
import re
import statistics
import time
import unittest

from support import media, rtmp, tones
from support.baresip import Baresip
from support.case import FULL, SystemTest
from support.junctor import Junctor
from support.process import Workspace, wait_until

ALICE, BOB = rtmp.FfmpegPush.IDENTITY, Baresip.IDENTITY
ALICE_TONE, BOB_TONE = 440, 1000


def transcoded(call):
    """{(direction, medium): (from, to, transcoded)} of a call's plan."""
    return {(step["direction"], step["medium"]): (step["from"], step["to"], step["transcoded"])
            for step in call["plan"]}


class WholeCall(unittest.TestCase):
    """One call, made once: alice pushes and pulls, bob's phone rings, is answered by hand, talks,
    and alice stops. The tests look at what came of it."""

    audio = "aac"
    pull_query = ""
    phone = {}

    @classmethod
    def setUpClass(cls):
        cls.workspace = Workspace()
        cls.workspace.keep = True  # until it has gone well
        try:
            cls.run_call()
            cls.workspace.keep = False
        except BaseException:
            print(f"# files and logs: {cls.workspace.path}", flush=True)
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        for thing in reversed(getattr(cls, "running", [])):
            try:
                thing.stop()
            except AssertionError as error:
                print(f"# {error}")
        cls.workspace.close()

    @classmethod
    def start(cls, thing):
        cls.running.append(thing)
        return thing

    @classmethod
    def run_call(cls):
        cls.running = []
        cls.junctor = cls.start(Junctor(cls.workspace))
        cls.alice, bob = cls.junctor.account("alice"), cls.junctor.account("bob")
        cls.secrets = (cls.alice.token, cls.alice.password, bob.password)
        cls.bob = cls.start(Baresip(cls.workspace, "bob", frequency=BOB_TONE, answer="manual",
                                    registrar=cls.junctor.sip_address, password=bob.password,
                                    **cls.phone))
        cls.bob.wait_registered()
        cls.pull = cls.start(rtmp.FfmpegPull(cls.workspace, cls.alice.pull_url(cls.pull_query)))
        cls.push = cls.start(rtmp.FfmpegPush(cls.workspace, cls.alice.push_url("bob"),
                                             frequency=ALICE_TONE, audio=cls.audio))
        cls.call_id = cls.junctor.find_call("alice")
        cls.junctor.wait_state(cls.call_id, "ringing")
        cls.bob.wait_event("CALL_INCOMING")
        cls.rang = time.monotonic()
        wait_until(lambda: cls.pull.pictures() > 5, 15, "ring pictures at the player")
        wait_until(lambda: tones.loudness(cls.pull.heard()[-8000:]) > 100, 15,
                   "a ring tone at the player")
        time.sleep(1)  # so that there is ring media to look at, not a race
        cls.bob.answer()
        cls.bob.wait_event("CALL_ESTABLISHED")
        cls.answered = time.monotonic()
        cls.junctor.wait_state(cls.call_id, "answered")
        if cls.phone.get("video", True):
            cls.pull.wait_picture(BOB)
        cls.pull.wait_tone(BOB_TONE)
        cls.snapshots = []
        if cls.phone.get("video", True):
            for _ in range(8):
                shot = cls.bob.snapshot()
                if shot:
                    cls.snapshots.append((media.mark_of(shot[0]), *shot))
        wait_until(lambda: len(cls.bob.heard()[0]) > 4 * cls.bob.heard()[1], 15,
                   "four seconds of sound at the phone")
        cls.during = cls.junctor.call(cls.call_id)
        cls.push.stop()
        cls.push_stopped = time.monotonic()
        cls.bob.wait_event("CALL_CLOSED")
        cls.record = cls.junctor.wait_ended(cls.call_id)
        cls.pull_status = cls.pull.process.wait(15)
        # The phone closes its recording when the call is over.
        cls.bob.stop()
        cls.log = cls.junctor.log()
        cls.junctor.stop()


class G6_AacAndH264(WholeCall):
    def accepted(self, role):
        """The stages at which the connection of one role was accepted, in order."""
        lines = re.findall(r"rtmp (\S+) (\w+) (\S+) as alice: accepted", self.log)
        peers = {peer for peer, of, _ in lines if of == role}
        return [stage for peer, _, stage in lines if peer in peers]

    def test_G1_push_is_checked_three_times_with_success(self):
        self.assertEqual(self.accepted("push"), ["connect", "createStream", "publish/play"])

    def test_G2_pull_is_checked_three_times_with_success(self):
        self.assertEqual(self.accepted("pull"), ["connect", "createStream", "publish/play"])

    def test_G3_the_phone_is_asked_for_sound_and_picture(self):
        plan = transcoded(self.during)
        self.assertIn(("caller-to-callee", "audio"), plan)
        self.assertIn(("caller-to-callee", "video"), plan)
        self.assertIn("callee-to-caller", {direction for direction, _ in plan})

    def test_G4_ring_picture_and_tone_before_the_answer(self):
        before = [mark for at, mark in self.pull.frames if at < self.answered]
        self.assertGreater(len(before), 5)
        self.assertFalse([mark for mark in before if mark and mark[0] == BOB])
        heard = self.pull.heard(until=self.answered)
        self.assertGreater(tones.loudness(heard), 100)
        self.assertLess(tones.share_with_tone(heard, rtmp.FfmpegPull.RATE, BOB_TONE), 0.1)

    def test_G4_timestamps_rise_without_a_break_from_ring_to_live(self):
        for stream, widest in (("v", 1.0), ("a", 0.3)):
            times = [at for at, _ in media.packets(self.pull.recording, stream)]
            steps = [b - a for a, b in zip(times, times[1:])]
            self.assertGreater(len(times), 20, stream)
            self.assertGreaterEqual(min(steps), 0, stream)
            self.assertLess(max(steps), widest, stream)

    def test_G4_every_picture_decodes_and_the_first_live_one_is_a_keyframe(self):
        packets = media.packets(self.pull.recording, "v")
        seen = media.marks_of(self.pull.recording)
        self.assertEqual(len(seen), len(packets), "pictures, and packets with one each")
        self.assertEqual(media.decoding_errors(self.pull.recording), "")
        live = next(i for i, mark in enumerate(seen) if mark and mark[0] == BOB)
        self.assertIn("K", packets[live][1])
        first = self.pull.seen(BOB)[0][0]
        print(f"# first live picture {(first - self.answered) * 1000:.0f} ms after the answer")

    def test_G6_picture_at_the_phone_is_the_pushers(self):
        self.assertGreaterEqual(len(self.snapshots), 5)
        for mark, path, _ in self.snapshots:
            self.assertIsNotNone(mark, path)
            self.assertEqual(mark[0], ALICE)
            self.assertGreater(media.ssim(path, self.push.picture.frame(mark[1])), 0.9)
        counters = [mark[1] for mark, _, _ in self.snapshots]
        self.assertEqual(counters, sorted(counters))
        self.assertGreater(counters[-1], counters[0])

    def test_G6_sound_at_the_phone_is_the_pushers(self):
        samples, rate = self.bob.heard()
        self.assertGreater(tones.longest_with_tone(samples, rate, ALICE_TONE), 3.0)

    def test_G6_picture_at_the_player_is_the_phones(self):
        counters = [counter for _, counter in self.pull.seen(BOB)]
        self.assertGreater(len(counters), 50)
        self.assertEqual(counters, sorted(counters))
        missing = counters[-1] - counters[0] + 1 - len(set(counters))
        self.assertLess(missing, len(counters) // 20 + 2)
        path = self.workspace.file("player.png")
        at = len(media.packets(self.pull.recording, "v"))
        self.assertGreater(at, 0)
        duration = media.packets(self.pull.recording, "v")[-1][0]
        self.assertTrue(media.picture_at(self.pull.recording, duration - 1.0, path))
        mark = media.mark_of(path)
        self.assertIsNotNone(mark)
        self.assertEqual(mark[0], BOB)
        self.assertGreater(media.ssim(path, self.bob.picture.frame(mark[1])), 0.9)

    def test_G6_sound_at_the_player_is_the_phones(self):
        first = self.pull.seen(BOB)[0][0]
        heard = self.pull.heard(since=first + 0.5, until=self.push_stopped)
        self.assertGreater(tones.longest_with_tone(heard, rtmp.FfmpegPull.RATE, BOB_TONE), 2.0)

    def test_G7_H264_passes_through_and_sound_is_transcoded(self):
        plan = transcoded(self.during)
        for direction in ("caller-to-callee", "callee-to-caller"):
            self.assertEqual(plan[direction, "video"], ("h264", "h264", False))
            self.assertTrue(plan[direction, "audio"][2])
        for step in self.during["plan"]:
            self.assertTrue(step["reason"].strip(), step)

    def test_G8_latency_is_low_and_does_not_grow(self):
        """Told always; judged in the full form only, which has the machine to itself."""
        late = self.pull.latencies(self.bob.camera, BOB)
        to_phone = [seen - self.push.camera.given[mark[1]] for mark, _, seen in self.snapshots
                    if mark and mark[1] in self.push.camera.given]
        self.assertGreater(len(late), 50)
        self.assertGreaterEqual(len(to_phone), 5)
        third = len(late) // 3
        begin, end = statistics.median(late[third:-third]), statistics.median(late[-third:])
        phone = statistics.median(to_phone)
        print(f"# camera to screen: {end * 1000:.0f} ms to the player "
              f"({(end - begin) * 1000:+.0f} ms since the middle), {phone * 1000:.0f} ms to the phone")
        if FULL:
            self.assertLess(end, 0.5)
            self.assertLess(end - begin, 0.1)
            self.assertLess(phone, 0.5)

    def test_G8_latency_is_told_step_by_step(self):
        routes = {(route["direction"], route["medium"]): route["stages"]
                  for route in self.during["latency"]}
        coding = ["decode", "encode"]
        for (direction, medium), stages in routes.items():
            there = direction == "caller-to-callee"
            wanted = ["receive", *([] if there else ["reorder"]),
                      *(coding if medium == "audio" else []),
                      *(["packetize"] if there or medium == "video" else []), "send"]
            self.assertEqual(sorted(stages), sorted(wanted), (direction, medium))
            for name, stage in stages.items():
                self.assertGreater(stage["count"], 0, name)
                self.assertLessEqual(0, stage["median_ms"], name)
                self.assertLessEqual(stage["median_ms"], stage["p99_ms"], name)
                self.assertLessEqual(stage["p99_ms"], stage["most_ms"], name)
            told = ", ".join(f"{name} {stages[name]['median_ms']:.2f}/{stages[name]['p99_ms']:.2f}"
                             for name in wanted)
            print(f"# {direction} {medium}, ms median/p99: {told}", flush=True)
        self.assertEqual(len(routes), 4)
        # AAC begins when its 1024 samples are there; a frame waits in the encoder for the next.
        self.assertGreater(routes["callee-to-caller", "audio"]["encode"]["most_ms"], 10)
        # What passes through is decoded nowhere, and nothing came out of order.
        self.assertLessEqual(self.during["video"]["reorder_wait_ms"], 20)
        self.assertTrue(self.record["latency"])

    def test_first_pictures_come_within_a_second_of_the_answer(self):
        """Told always; judged in the full form only."""
        first = [self.during[f"first_picture_to_{side}_ms"] for side in ("caller", "callee")]
        print(f"# first picture {first[0]} ms after the answer to the player, {first[1]} ms to the "
              "phone")
        for ms in first:
            self.assertIsNotNone(ms)
            if FULL:
                self.assertLess(ms, 1000)

    def test_plan_says_how_long_a_lost_picture_is_missed(self):
        """ffmpeg sends a keyframe each second, and cannot be asked for one."""
        steps = {(step["direction"], step["medium"]): step for step in self.during["plan"]}
        step = steps["caller-to-callee", "video"]
        self.assertEqual(step["first_picture_ms"], 1000)
        self.assertIn("keyframes come each 1.0 s", step["reason"])
        self.assertIsNone(steps["callee-to-caller", "video"]["first_picture_ms"])

    def test_end_is_told_to_all_and_recorded(self):
        self.assertEqual(self.record["reason"], "caller-hangup")
        self.assertEqual((self.record["from"], self.record["to"]), ("alice", "bob"))
        for moment in ("created", "ringing", "answered", "ended"):
            self.assertTrue(self.record[moment], moment)
        for medium in ("audio", "video"):
            self.assertGreater(self.record[medium]["sent_packets"], 50, medium)
            self.assertGreater(self.record[medium]["received_packets"], 50, medium)
            self.assertEqual(self.record[medium]["lost"], 0, medium)
        self.assertEqual(self.pull_status, 0)

    def test_no_secret_in_the_log(self):
        for secret in self.secrets:
            self.assertNotIn(secret, self.log)


class G7_G711ThroughoutIsPassedThrough(WholeCall):
    audio = "pcm_alaw"
    pull_query = "audio=pcma"

    def test_nothing_is_transcoded(self):
        plan = transcoded(self.during)
        self.assertEqual(len(plan), 4)
        for key, (before, after, changed) in plan.items():
            self.assertFalse(changed, key)
            self.assertEqual(before, after)

    def test_no_thread_is_added_for_it(self):
        self.assertNotRegex(self.during["launch"], r"x264enc|avdec_|voaacenc|alawenc|mulawdec")

    def test_media_arrives_both_ways(self):
        samples, rate = self.bob.heard()
        self.assertGreater(tones.longest_with_tone(samples, rate, ALICE_TONE), 3.0)
        heard = self.pull.heard(since=self.answered + 1, until=self.push_stopped)
        self.assertGreater(tones.longest_with_tone(heard, rtmp.FfmpegPull.RATE, BOB_TONE), 2.0)
        self.assertTrue(all(mark and mark[0] == ALICE for mark, _, _ in self.snapshots))
        self.assertGreater(len(self.pull.seen(BOB)), 50)

    def test_player_got_the_codecs_it_asked_for(self):
        kinds = {s["codec_type"]: s["codec_name"] for s in media.probe(self.pull.recording)}
        self.assertEqual(kinds, {"video": "h264", "audio": "pcm_alaw"})


class G6_PhoneWithoutVideo(WholeCall):
    phone = {"video": False}

    def test_it_is_a_call_with_sound_both_ways(self):
        samples, rate = self.bob.heard()
        self.assertGreater(tones.longest_with_tone(samples, rate, ALICE_TONE), 3.0)
        heard = self.pull.heard(since=self.answered + 1, until=self.push_stopped)
        self.assertGreater(tones.longest_with_tone(heard, rtmp.FfmpegPull.RATE, BOB_TONE), 2.0)

    def test_the_player_still_gets_a_picture(self):
        self.assertGreater(self.pull.pictures(since=self.answered + 1), 1)


class Starts(SystemTest):
    """Calls that are asked for, not pushed with a callee's name."""

    def setUp(self):
        super().setUp()
        self.junctor = self.start(Junctor(self.workspace))
        self.alice = self.junctor.account("alice")
        bob = self.junctor.account("bob")
        self.bob = self.start(Baresip(self.workspace, "bob", registrar=self.junctor.sip_address,
                                      password=bob.password))
        self.bob.wait_registered()
        self.push = self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url()))
        self.push.process.wait_log(r"Output #0", 20)

    def test_by_http(self):
        made = self.junctor.post("calls", {"from": "alice", "to": "bob"})
        self.bob.wait_event("CALL_ESTABLISHED")
        self.junctor.wait_state(made["id"], "answered")
        self.junctor.hangup(made["id"])
        self.assertEqual(self.junctor.wait_ended(made["id"])["reason"], "admin")
        self.bob.wait_event("CALL_CLOSED")

    def test_by_command_line(self):
        status, output = self.junctor.command("call", "alice", "bob")
        self.assertEqual(status, 0, output)
        self.bob.wait_event("CALL_ESTABLISHED")
        identifier = self.junctor.find_call("alice")
        self.junctor.wait_state(identifier, "answered")
        self.bob.hangup()
        self.assertEqual(self.junctor.wait_ended(identifier)["reason"], "callee-hangup")

