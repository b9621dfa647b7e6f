# Sound and picture stay together, and late media do not get later: over a line that loses and
# reorders packets, and with a phone whose clock is not ours. A flash and a beep are sent at one moment;
# how far apart they are at the other end is read from timestamps.
# SPDX-License-Identifier: LGPL-2.1-or-later
import itertools
import statistics
import subprocess
import time
import unittest

from support import elementary, flashes, flvpeer, line, player, rawphone, rtmp_raw, rtp
from support.case import FULL, SystemTest, only_full
from support.junctor import Junctor
from support.process import wait_until

SECONDS = 60 if FULL else 12
SOAK = 20 * 60
LOSS = REORDERED = 0.03
LATE = 0.05            # of a packet that is overtaken
BOUND = 0.080          # between a flash and its beep
GROWTH = 0.100         # of the delay, in a soak
AUDIO_TAG, VIDEO_TAG = 8, 9


def bad_line(ports):
    return line.Line(ports, loss=LOSS, reordered=REORDERED, late=LATE, delay=0.02)


class SyncTest(SystemTest):
    def call(self, audio, video="h264", mode=1, make_line=bad_line):
        """The player asks for these codecs; with `mode` 0 the phone takes one NAL unit a packet, and
        the pushed picture is coded anew for it."""
        self.video, self.mode = video, mode
        # SIPp's phone here has no word to say when it is asked to refresh its session.
        self.junctor = self.start(Junctor(
            self.workspace, '[sip]\nallow = ["sip:*@127.0.0.1:*"]\nsession-expires-s = 0\n',
            log="info"))
        self.alice = self.junctor.account("alice")
        self.units = rtp.encode_pictures(flashes.Picture(), flashes.CYCLE * flashes.FPS,
                                         self.workspace.file("flashes.h264"))
        self.keys = flashes.keys_of(self.units)
        self.phone = self.start(rawphone.RawPhone(self.workspace, line=make_line, mode=mode))
        self.player = self.start(player.Player(
            self.junctor.rtmp_port, self.alice.pull_url(f"video={video}&audio={audio}")))
        self.push = self.start(player.Publisher(self.junctor.rtmp_port,
                                                self.alice.push_url(self.phone.uri())))

    def answered(self):
        self.call_id = self.junctor.find_call("alice")
        self.junctor.wait_state(self.call_id, "answered")

    def talk(self, ppm=0):
        media = (rtp.AUDIO, rtp.VIDEO)
        self.talker = self.start(flashes.Talker(
            self.phone.peer, self.phone.targets(), self.units,
            {medium: self.phone.rtcp_port(medium) for medium in media}, ppm))

    def end(self):
        self.push.stop()
        return self.junctor.wait_ended(self.call_id)

    def push_tags(self, audio, seconds):
        """Flashes and beeps for that long, as a publisher sends them."""
        stream = elementary.H264.__new__(elementary.H264)
        path = self.workspace.file("push.flv")
        picture = flashes.Picture()
        samples = flashes.pcm(flashes.beep_samples()).tobytes()
        raw = self.workspace.file("push.raw")
        with open(raw, "wb") as file:
            file.write(samples)
        codec = {"pcma": ["-c:a", "pcm_alaw"], "aac": ["-c:a", "aac", "-ar", "44100"]}[audio]
        subprocess.run(
            ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p",
             "-s", f"{picture.width}x{picture.height}", "-r", str(flashes.FPS), "-i", "-", "-f",
             "s16le", "-ar", "8000", "-ac", "1", "-stream_loop", "-1", "-i", raw, "-t",
             str(seconds), "-c:v", "libx264", "-profile:v", "baseline", "-preset", "ultrafast",
             "-tune", "zerolatency", "-x264-params", "threads=1:sliced-threads=0", "-g",
             str(flashes.FPS), *codec, path], check=True, timeout=120,
            input=b"".join(picture.frame(n) for n in range(seconds * flashes.FPS)))
        tags = [tag for tag in rtmp_raw.flv_tags(path) if tag[1] in (AUDIO_TAG, VIDEO_TAG)]
        self.sent_keys = flashes.keys_of(
            stream.frame_of(body) for _, kind, body in tags if kind == VIDEO_TAG)
        return tags

    # --- what came ---------------------------------------------------------------------------

    def flashes_at_player(self):
        """(arrival, seconds, which second) of the picture that each flash begins with."""
        tags = self.player.tags(player.VIDEO)
        if self.video == "h264":
            stream = elementary.H264.__new__(elementary.H264)
            keys = [(came, at / 1000, flashes.second_of(self.keys, stream.frame_of(body)))
                    for came, at, _, body in tags]
            return [key for key in keys if key[2] is not None]
        # Coded anew. Before the phone's picture there is a card.
        form, data = flvpeer.coded_pictures([tag[1:] for tag in tags])
        path = self.workspace.file(f"pictures.{form}")
        with open(path, "wb") as file:
            file.write(data)
        came = {at: came for came, at, _, _ in tags}
        seen = [(came[round(at * 1000)], at, second) for at, second in flashes.shown(path, form)]
        return [flash for flash in seen if flash[0] > self.talker.began]

    def beeps_at_player(self, audio, since):
        tags = [tag for tag in self.player.tags(player.AUDIO) if tag[1] / 1000 >= since]
        if audio == "pcma":
            return flashes.onsets(flashes.alaw_pieces(tags))
        # Decoded by ffmpeg, silence where timestamps leave a hole.
        path = self.workspace.file("sound.flv")
        configs = [tag for tag in self.player.tags(player.AUDIO) if tag[3][1] == 0][:1]
        first = tags[0][1]
        rtmp_raw.write_flv(path, [(max(0, at - first), kind, body) for _, at, kind, body
                                  in configs + [tag for tag in tags if tag[3][1] != 0]])
        done = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-af",
                               "aresample=async=1:first_pts=0:min_hard_comp=0.02", "-f", "s16le",
                               "-ac", "1", "-ar", "8000", "-"], stdout=subprocess.PIPE, timeout=60,
                              check=True)
        samples = flashes.pcm(())
        samples.frombytes(done.stdout[:len(done.stdout) // 2 * 2])
        return [(first / 1000 + at, second) for at, second in flashes.onsets([(0.0, samples)])]

    def flashes_at_phone(self):
        reports = flashes.sender_reports(self.phone.peer, rtp.VIDEO)
        if self.mode == 0:
            return self.coded_flashes_at_phone(reports)
        found = {}
        for packet in self.phone.peer.packets(rtp.VIDEO):
            second = flashes.second_of(self.sent_keys, rtp.h264_nals([packet]))
            if second is not None:
                found.setdefault(packet.timestamp, (
                    flashes.to_wall(reports, packet.timestamp, 90000), second))
        return sorted(found.values())

    def coded_flashes_at_phone(self, reports):
        packets = self.phone.peer.packets(rtp.VIDEO)
        first = packets[0].sequence
        packets = sorted({(p.sequence - first + 0x8000) % 0x10000: p for p in packets}.items())
        tags, whole, due, began = [], False, None, None
        for timestamp, group in itertools.groupby(packets, lambda row: row[1].timestamp):
            numbers, group = zip(*group)
            nals = rtp.h264_nals(group)
            kinds = [nal[0] & 31 for nal in nals]
            # After a loss a phone shows nothing until a picture that stands alone.
            whole = (7 in kinds and 5 in kinds or whole and numbers[0] == due) and \
                list(numbers) == list(range(numbers[0], numbers[0] + len(group))) and \
                group[-1].marker
            due = numbers[-1] + 1
            if not whole:
                continue
            at = flashes.to_wall(reports, timestamp, 90000)
            if began is None:
                began = at
                sps, pps = nals[kinds.index(7)], nals[kinds.index(8)]
                tags.append((0, VIDEO_TAG, b"\x17\0\0\0\0" + elementary.avc_record(sps, pps)))
            tags.append((round(1000 * (at - began)), VIDEO_TAG, (
                b"\x17" if 5 in kinds else b"\x27") + b"\1\0\0\0" + b"".join(
                    len(nal).to_bytes(4, "big") + nal for nal in nals)))
        path = rtmp_raw.write_flv(self.workspace.file("phone.flv"), tags)
        return [(began + at, second) for at, second in flashes.shown(path)]

    def beeps_at_phone(self):
        reports = flashes.sender_reports(self.phone.peer, rtp.AUDIO)
        packets = {packet.timestamp: packet for packet in self.phone.peer.packets(rtp.AUDIO)
                   if packet.payload_type == rtp.PCMA}
        return flashes.onsets(sorted((flashes.to_wall(reports, packet.timestamp, 8000),
                                      rtp.alaw_decode(packet.payload))
                                     for packet in packets.values()))

    def together(self, seen, heard, what, least):
        found = flashes.pairs(seen, heard)
        self.assertGreaterEqual(len(found), least, f"{what}: flashes with a beep")
        apart = [beep for _, beep in found]
        print(f"# {what}: beep after flash {statistics.median(apart) * 1000:+.0f} ms in the median "
              f"of {len(apart)}, {min(apart) * 1000:+.0f} to {max(apart) * 1000:+.0f} ms",
              flush=True)
        self.assertLess(max(map(abs, apart)), BOUND, what)


class S_LipSync(SyncTest):
    def both_ways(self, audio, seconds=SECONDS, least=SECONDS // 2, **more):
        self.call(audio, **more)
        self.push.send(self.push_tags(audio, seconds + 4))
        self.answered()
        self.talk()
        if self.mode == 0:
            self.phone.ask_after_losses()
        time.sleep(seconds)
        during = self.junctor.call(self.call_id)
        self.end()
        seen = [(at, second) for _, at, second in self.flashes_at_player()]
        self.assertTrue(seen, "no flash at the player")
        # The clocks of both media are related by the first reports.
        self.together([flash for flash in seen if flash[0] > seen[0][0] + 2],
                      self.beeps_at_player(audio, seen[0][0] + 1), f"{audio} at the player", least)
        # The first picture is the last keyframe from before the answer, stamped anew.
        seen = self.flashes_at_phone()
        self.assertTrue(seen, "no flash at the phone")
        self.together([flash for flash in seen if flash[0] > seen[0][0] + 1.5], self.beeps_at_phone(),
                      f"{audio} at the phone", least)
        bad = self.phone.line
        print(f"# the line: lost {bad.lost}, reordered {bad.overtaken}", flush=True)
        self.assertGreater(bad.lost["back"], 0)
        self.assertGreater(bad.overtaken["back"], 0)
        # What only came late was waited for, once the gateway had learnt how late packets come; a
        # busy machine makes a few later than all before.
        lost = sum(during[medium]["lost"] for medium in ("audio", "video"))
        self.assertLessEqual(lost, bad.lost["back"] + 4 + bad.overtaken["back"] // 20)
        # A packet is overtaken by those that follow it before it comes.
        for medium, period in (("audio", 0.02), ("video", 1 / flashes.FPS)):
            self.assertGreater(during[medium]["reorder_wait_ms"], 500 * (LATE - period), medium)
        return during

    def test_passed_through(self):
        self.both_ways("pcma")

    def test_sound_transcoded(self):
        self.both_ways("aac")

    def test_picture_transcoded(self):
        """In a thread of its own and behind a queue, beside sound that has neither. A flash is lost
        with any of the first pictures of it."""
        seconds = SECONDS if FULL else 7
        during = self.both_ways("aac", seconds, seconds // 3, video="vp8", mode=0)
        self.assertEqual([step["transcoded"] for step in during["plan"]], [True] * 4)


@only_full("it takes 20 minutes")
class S_Soak(SyncTest):
    def soak(self, ppm, **more):
        self.call("pcma", **more)
        tags = self.push_tags("pcma", flashes.CYCLE)
        self.push.send([(at + 1000 * flashes.CYCLE * turn, kind, body)
                        for turn in range(SOAK // flashes.CYCLE + 30)
                        for at, kind, body in tags])
        self.answered()
        self.talk(ppm)
        wait_until(lambda: len(self.flashes_at_player()) > 2, 20, "flashes at the player",
                   every=0.5)
        deadline = time.monotonic() + SOAK
        while time.monotonic() < deadline:
            time.sleep(10)
            self.assertEqual(self.junctor.call(self.call_id)["state"], "answered")
        self.end()
        arrivals = self.flashes_at_player()
        began, ended = arrivals[0][0], arrivals[-1][0]
        period = 1 - ppm / 1e6
        # From its sending to its arrival, and from its timestamp to its arrival.
        late = [(came, (came - self.talker.began - second * period) % (flashes.CYCLE * period),
                 came - at) for came, at, second in arrivals]

        def median(part, column):
            return statistics.median(row[column] for row in part)
        first = [row for row in late if began + 10 <= row[0] < began + 70]
        last = [row for row in late if row[0] > ended - 60]
        for column, what in ((1, "delay on the way"), (2, "arrival after timestamp")):
            growth = median(last, column) - median(first, column)
            print(f"# {ppm} ppm, {SOAK / 60:g} minutes: {what} {growth * 1000:+.1f} ms", flush=True)
            self.assertLess(abs(growth), GROWTH, what)
        seen = [(at, second) for _, at, second in arrivals]
        self.together([flash for flash in seen if flash[0] > seen[0][0] + 2],
                      self.beeps_at_player("pcma", seen[0][0] + 1), "at the player", SOAK // 2)

    def test_a_phone_whose_clock_is_ours(self):
        self.soak(0)

    def test_a_phone_whose_clock_is_fast(self):
        self.soak(200)

    def test_a_picture_that_is_transcoded(self):
        self.soak(200, video="vp8", mode=0)


@only_full("a minute must pass")
class S_CleanLine(SyncTest):
    def test_after_a_while_no_gap_is_waited_for(self):
        """What is missing on a line that reorders nothing is lost: waiting for it only delays."""
        self.call("pcma", make_line=None)
        tags = self.push_tags("pcma", flashes.CYCLE)
        self.push.send([(at + 1000 * flashes.CYCLE * turn, kind, body)
                        for turn in range(30) for at, kind, body in tags])
        self.answered()
        self.talk()
        self.assertGreater(self.waits()["audio"], 0, "at first nothing is known of the line")
        time.sleep(60)
        self.assertEqual(self.waits(), {"audio": 0, "video": 0})
        self.end()

    def waits(self):
        """How long a gap would wait now."""
        wait_until(lambda: self.junctor.call(self.call_id)["video"]["received_packets"] > 25, 10,
                   "pictures of the phone")
        during = self.junctor.call(self.call_id)
        return {medium: during[medium]["reorder_wait_ms"] for medium in ("audio", "video")}


if __name__ == "__main__":
    unittest.main()
