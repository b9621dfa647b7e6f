# What a callee can do, with SIPp as the callee: each way ends with the right reason everywhere.
# SPDX-License-Identifier: LGPL-2.1-or-later
import hashlib
import re
import time
import unittest

from support import marks, media, rtmp, rtp, tones
from support.case import SystemTest
from support.junctor import Junctor
from support.ports import free_port
from support.process import wait_until
from support.sipp import Sipp

CALLEE = 0xC0
CALLEE_TONE, PUSH_TONE = 1000, 440
CONFIG = """
[sip]
answer-timeout-s = {timeout}
allow = [{{ uri = "sip:*@127.0.0.1:*", user = "trunk", password = "s3cret" }}]
"""


class CalleeTest(SystemTest):
    timeout = 30

    def call(self, scenario, *, transport="u1", sends=True, pull=True, keys=None):
        """Alice pushes to a SIPp that plays `scenario`, and pulls."""
        self.junctor = self.start(Junctor(self.workspace, CONFIG.format(timeout=self.timeout)))
        self.alice = self.junctor.account("alice")
        self.peer = rtp.RtpPeer()
        self.addCleanup(self.peer.close)
        self.picture = marks.Picture(CALLEE, "sipp")
        self.units = rtp.encode_pictures(self.picture, 50, self.workspace.file("sipp.h264")) \
            if sends else None
        self.sipp = self.start(Sipp(self.workspace, scenario, transport=transport,
                                    keys={**self.peer.keys(), **(keys or {})}))
        self.pull = None
        if pull:
            self.pull = self.start(rtmp.FfmpegPull(self.workspace, self.alice.pull_url()))
        to = self.sipp.uri(transport="tcp" if transport == "t1" else None)
        self.push = self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url(to),
                                               frequency=PUSH_TONE))
        self.call_id = self.junctor.find_call("alice")

    def send_from_callee(self, offered):
        """Sends a tone and a picture to the ports and payload type of our offer."""
        self.peer.send(rtp.AUDIO, frequency=CALLEE_TONE, to=offered["audio"])
        self.peer.send(rtp.VIDEO, units=self.units, payload_type=offered["h264"],
                       to=offered["video"])

    def offered(self):
        """Ports and the H.264 payload type of the last INVITE that SIPp received."""
        def look():
            offers = [part for part in self.sipp.trace().split("message received")
                      if "INVITE sip:" in part and "m=audio" in part]
            return offers and offers[-1]
        offer = wait_until(look, 10, "an INVITE with SDP at SIPp")
        h264 = re.search(r"a=rtpmap:(\d+) H264", offer)
        return {"audio": int(re.search(r"m=audio (\d+)", offer).group(1)),
                "video": int(re.search(r"m=video (\d+)", offer).group(1)),
                "h264": int(h264.group(1))}

    def ended(self, reason, code=None):
        """The call ends with this reason in the API, in the record and at the RTMP clients."""
        record = self.junctor.wait_ended(self.call_id)
        self.assertEqual(record["reason"], reason, record["detail"])
        if code is not None:
            self.assertEqual(record["sip_code"], code)
        self.assertTrue(record["ended"])
        if self.pull:
            self.pull.process.wait(15)
        self.sipp.wait(20)
        listed = [call for call in self.junctor.calls() if call["id"] == self.call_id]
        self.assertEqual(listed[0]["reason"], reason)
        return record

    def push_is_told(self):
        """ffmpeg, the publisher, ends with an error."""
        self.assertNotEqual(self.push.process.wait(15), 0)


class G3_Refusing(CalleeTest):
    def test_busy(self):
        self.call("callee_busy.xml")
        self.ended("busy", 486)
        self.push_is_told()

    def test_declined(self):
        self.call("callee_decline.xml")
        self.ended("declined", 603)
        self.push_is_told()

    def test_not_found_is_unreachable(self):
        self.call("callee_not_found.xml")
        self.ended("unreachable", 404)
        self.push_is_told()

    def test_not_acceptable(self):
        self.call("callee_not_acceptable.xml")
        self.ended("not-acceptable", 488)
        self.push_is_told()

    def test_nobody_listens(self):
        self.junctor = self.start(Junctor(self.workspace, CONFIG.format(timeout=30)))
        alice = self.junctor.account("alice")

        push = self.start(rtmp.FfmpegPush(self.workspace,
                                          alice.push_url(f"sip:x@127.0.0.1:{free_port()}")))
        identifier = self.junctor.find_call("alice")
        self.assertEqual(self.junctor.wait_ended(identifier)["reason"], "unreachable")
        self.assertNotEqual(push.process.wait(15), 0)


class G3_NoAnswer(CalleeTest):
    timeout = 4

    def test_no_answer_is_cancelled(self):
        self.call("callee_no_answer.xml")
        self.ended("no-answer")
        self.push_is_told()

    def test_publisher_who_stops_while_it_rings_cancels(self):
        self.timeout = 30
        self.call("callee_no_answer.xml")
        self.junctor.wait_state(self.call_id, "ringing")
        self.push.stop()
        self.ended("caller-hangup")


class G3_Answering(CalleeTest):
    def answered(self):
        self.junctor.wait_state(self.call_id, "answered")
        wait_until(lambda: self.peer.count(rtp.AUDIO) > 25 and self.peer.count(rtp.VIDEO) > 25, 15,
                   "the pusher's sound and picture at the callee")

    def test_digest(self):
        self.call("callee_digest.xml", sends=False)
        self.answered()
        answer = re.search(r"^Authorization: Digest (.*)$", self.sipp.trace(), re.M).group(1)
        field = dict(re.findall(r'(\w+)="?([^",\s]+)"?', answer))
        self.assertEqual(field["username"], "trunk")

        def md5(text):
            return hashlib.md5(text.encode()).hexdigest()
        first = md5(f"trunk:{field['realm']}:s3cret")
        second = md5(f"INVITE:{field['uri']}")
        right = md5(f"{first}:{field['nonce']}:{field['nc']}:{field['cnonce']}:{field['qop']}:"
                    f"{second}") if "qop" in field else md5(f"{first}:{field['nonce']}:{second}")
        self.assertEqual(field["response"], right)
        self.assertNotIn("s3cret", self.junctor.log())
        self.push.stop()
        self.ended("caller-hangup")

    def test_caller_hangs_up_over_tcp(self):
        self.call("callee_answer.xml", transport="t1", sends=False)
        self.answered()
        self.push.stop()
        self.ended("caller-hangup")

    def test_callee_hangs_up(self):
        self.call("callee_bye.xml", sends=False)
        self.answered()
        self.ended("callee-hangup")
        self.push_is_told()

    def test_tones_and_pictures_both_ways(self):
        self.call("callee_answer.xml")
        self.answered()
        self.send_from_callee(self.offered())
        self.pull.wait_picture(CALLEE)
        self.pull.wait_tone(CALLEE_TONE)
        heard = self.peer.heard()
        self.assertGreater(tones.longest_with_tone(heard, 8000, PUSH_TONE), 0.3)
        self.assertEqual(self.peer.lost(rtp.AUDIO), 0)
        self.assertEqual(self.peer.lost(rtp.VIDEO), 0)
        self.push.stop()
        self.ended("caller-hangup")


class G4_EarlyMedia(CalleeTest):
    def test_early_media_replaces_the_ring(self):
        self.call("callee_early.xml")
        offered = self.offered()
        wait_until(lambda: self.pull.pictures() > 3, 15, "ring pictures before early media")
        self.send_from_callee(offered)
        seen, _ = self.pull.wait_picture(CALLEE)
        self.pull.wait_tone(CALLEE_TONE)
        call = self.junctor.call(self.call_id)
        self.assertIsNone(call["answered"], "early media came before the answer")
        self.junctor.wait_state(self.call_id, "answered")
        time.sleep(1)
        self.assertTrue(self.pull.seen(CALLEE, since=seen + 3))
        self.push.stop()
        self.ended("caller-hangup")
        times = [at for at, _ in media.packets(self.pull.recording, "v")]
        self.assertGreaterEqual(min(b - a for a, b in zip(times, times[1:])), 0)

    def test_183_without_media_still_rings(self):
        self.call("callee_183_then_180.xml", sends=False)
        wait_until(lambda: self.pull.pictures() > 3, 15, "ring pictures after a 183 without media")
        wait_until(lambda: tones.loudness(self.pull.heard()[-8000:]) > 100, 15, "a ring tone")
        self.assertIsNone(self.junctor.call(self.call_id)["answered"])
        self.junctor.wait_state(self.call_id, "answered")
        self.push.stop()
        self.ended("caller-hangup")


class G6_InDialog(CalleeTest):
    def test_hold_and_resume(self):
        self.call("callee_hold.xml")
        self.junctor.wait_state(self.call_id, "answered")
        self.send_from_callee(self.offered())
        answered = time.monotonic()
        wait_until(lambda: "a=sendonly" in self.sipp.trace().split("message sent")[-1] or
                   self.sipp.trace().count("m=audio") >= 4, 15, "the hold")
        # A callee on hold of its own (sendonly) goes on being heard; after the resume all flows.
        time.sleep(5)
        self.assertTrue(self.pull.seen(CALLEE, since=answered + 6))
        self.assertGreater(self.peer.count(rtp.AUDIO, since=time.monotonic() - 1), 25)
        self.assertGreater(self.peer.count(rtp.VIDEO, since=time.monotonic() - 1), 10)
        self.push.stop()
        self.ended("caller-hangup")

    def test_media_follows_a_changed_address(self):
        moved = rtp.RtpPeer()
        self.addCleanup(moved.close)
        self.call("callee_moved.xml", keys={"audio_port2": moved.ports[rtp.AUDIO],
                                            "video_port2": moved.ports[rtp.VIDEO]})
        self.junctor.wait_state(self.call_id, "answered")
        wait_until(lambda: self.peer.count(rtp.AUDIO) > 25, 10, "sound at the first address")
        wait_until(lambda: moved.count(rtp.AUDIO) > 25 and moved.count(rtp.VIDEO) > 10, 15,
                   "sound and picture at the second address")
        then = time.monotonic()
        time.sleep(1)
        self.assertEqual(self.peer.count(rtp.AUDIO, since=then + 0.2), 0)
        gap = moved.packets(rtp.AUDIO)[0].at - self.peer.last(rtp.AUDIO)
        self.assertLess(gap, 0.5)
        self.push.stop()
        self.ended("caller-hangup")


if __name__ == "__main__":
    unittest.main()
