# What a callee can do, with SIPp as the callee: each way ends with the right reason everywhere.
# SPDX-License-Identifier: LGPL-2.1-or-later
import hashlib
import re
import socket
import struct
import time
import unittest

from support import marks, media, rtmp, rtp, tones
from support.case import FULL, SystemTest
from support.hostile import Heart
from support.junctor import Junctor
from support.ports import free_port
from support.process import wait_until
from support.sipp import Sipp

CALLEE = 0xC0
CALLEE_TONE, PUSH_TONE = 1000, 440
# What clients are told with each reason, in the form `reason: sentence`.
SENTENCES = {
    "caller-hangup": "The caller hung up.",
    "callee-hangup": "The callee hung up.",
    "busy": "The callee is busy.",
    "declined": "The callee declined the call.",
    "no-answer": "The callee did not answer.",
    "unreachable": "The callee cannot be reached.",
    "not-acceptable": "The callee accepts none of the offered codecs.",
}
GOOD_ENDS = ("caller-hangup", "callee-hangup")
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
        self.pull = self.dump = None
        if pull:
            self.pull = self.start(rtmp.FfmpegPull(self.workspace, self.alice.pull_url()))
            self.dump = self.start(rtmp.rtmpdump_pull(self.workspace, self.alice.pull_url()))
            # The first to come when a call is over is told of it, not all.
            wait_until(lambda: self.junctor.log().count(" pull publish/play as alice: accepted") == 2,
                       20, "two players")
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
            self.players_are_told(reason)
        self.sipp.wait(20)
        listed = [call for call in self.junctor.calls() if call["id"] == self.call_id]
        self.assertEqual(listed[0]["reason"], reason)
        return record

    def players_are_told(self, reason):
        """Both end. rtmpdump shows the code and the words, ffmpeg the words of a failure."""
        words = f"{reason}: {SENTENCES[reason]}"
        code = "Complete" if reason in GOOD_ENDS else "Failed"
        self.dump.wait(15)
        self.assertRegex(self.dump.log(), rf"Name: +code, STRING:\s+NetStream\.Play\.{code}>")
        self.assertRegex(self.dump.log(), rf"Name: +description, STRING:\s+{re.escape(words)}>")
        self.pull.process.wait(15)
        if reason in GOOD_ENDS:
            self.assertNotIn("Server error", self.pull.process.log())
        else:
            self.assertIn(f"Server error: {words}", self.pull.process.log())

    def push_is_told(self, reason):
        """ffmpeg, the publisher, ends with an error; with our words if the call failed."""
        self.assertNotEqual(self.push.process.wait(15), 0)
        if reason not in GOOD_ENDS:
            self.assertIn(f"Server error: {reason}: {SENTENCES[reason]}", self.push.process.log())


class G9_SilentPhone(CalleeTest):
    """A phone that only watches, and somebody else who sends to its ports at ours."""

    def test_its_media_cannot_be_drawn_away_from_it(self):
        self.call("callee_answer.xml", sends=False, pull=False)
        wait_until(lambda: self.peer.count(rtp.AUDIO) > 50, 15, "sound at the phone")
        audio, video = self.peer.target[rtp.AUDIO], self.peer.target[rtp.VIDEO]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
            thief.bind(("127.0.0.2", 0))
            tone = rtp.tone_packets(2000)
            before = self.peer.count(rtp.AUDIO)
            for index in range(75):
                for to, kind in ((audio, rtp.PCMA), (video, 96)):
                    thief.sendto(struct.pack("!BBHII", 0x80, kind, index, index * 160, 0xBAD) +
                                 tone[index % 50], to)
                time.sleep(0.02)
            thief.settimeout(0.2)
            with self.assertRaises(TimeoutError):
                thief.recv(2000)
        self.assertGreater(self.peer.count(rtp.AUDIO) - before, 60)
        self.push.stop()
        self.junctor.wait_ended(self.call_id)


class G3_Refusing(CalleeTest):
    def test_busy(self):
        self.call("callee_busy.xml")
        self.ended("busy", 486)
        self.push_is_told("busy")

    def test_declined(self):
        self.call("callee_decline.xml")
        self.ended("declined", 603)
        self.push_is_told("declined")

    def test_not_found_is_unreachable(self):
        self.call("callee_not_found.xml")
        self.ended("unreachable", 404)
        self.push_is_told("unreachable")

    def test_not_acceptable(self):
        self.call("callee_not_acceptable.xml")
        self.ended("not-acceptable", 488)
        self.push_is_told("not-acceptable")

    def test_nobody_listens(self):
        self.junctor = self.start(Junctor(self.workspace, CONFIG.format(timeout=30)))
        alice = self.junctor.account("alice")

        push = self.start(rtmp.FfmpegPush(self.workspace,
                                          alice.push_url(f"sip:x@127.0.0.1:{free_port()}")))
        identifier = self.junctor.find_call("alice")
        self.assertEqual(self.junctor.wait_ended(identifier)["reason"], "unreachable")
        self.assertNotEqual(push.process.wait(15), 0)
        self.assertIn("Server error: unreachable: " + SENTENCES["unreachable"], push.process.log())


class G3_NoAnswer(CalleeTest):
    timeout = 4

    def test_no_answer_is_cancelled(self):
        self.call("callee_no_answer.xml")
        self.ended("no-answer")
        self.push_is_told("no-answer")

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
        self.push_is_told("callee-hangup")

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
        took = seen - self.peer.began[rtp.VIDEO]
        print(f"# early media is seen {took * 1000:.0f} ms after its first packet", flush=True)
        if FULL:
            self.assertLess(took, 0.2)
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
    def hold_and_resume(self, direction, answer):
        """The callee offers `direction` for both media, then sendrecv; we answer `answer` and send
        nothing meanwhile (RFC 3264, 8.4 and 6.1)."""
        heart = self.start(Heart())
        self.call("callee_hold.xml", keys={"hold": direction})
        self.junctor.wait_state(self.call_id, "answered")
        self.send_from_callee(self.offered())
        self.pull.wait_picture(CALLEE)

        def answers():
            return [(at, re.findall(r"^a=(sendrecv|sendonly|recvonly|inactive)\s*$", text, re.M))
                    for at, way, text in self.sipp.messages_seen()
                    if way == "received" and text.startswith("SIP/2.0 200") and "m=audio" in text]
        wait_until(lambda: len(answers()) == 2, 20, "the answers to the hold and to the resume")
        (held, in_hold), (resumed, after) = answers()
        self.assertEqual(in_hold, [answer, answer])
        self.assertEqual(after, ["sendrecv", "sendrecv"])
        for medium, least in ((rtp.AUDIO, 25), (rtp.VIDEO, 10)):
            wait_until(lambda m=medium, n=least: self.peer.count(m, since=resumed) > n, 15,
                       f"{medium} after the resume")
            self.assertGreater(self.peer.count(medium) - self.peer.count(medium, since=held), least)
            # What was under way at the answer is over after a moment; the rest is two seconds.
            quiet = held + 0.5 + heart.longest(held)
            heard = [p.at - held for p in self.peer.packets(medium, since=quiet)
                     if p.at < resumed - 0.1]
            self.assertEqual(heard, [], f"{medium} was sent on hold")
        wait_until(lambda: self.pull.seen(CALLEE, since=resumed), 5, "the callee after the resume")
        self.push.stop()
        self.ended("caller-hangup")
        return held, resumed

    def test_hold_and_resume(self):
        held, resumed = self.hold_and_resume("sendonly", "recvonly")
        # What a callee sends on hold, its music, is heard and seen all the while.
        self.assertGreater(len(self.pull.seen(CALLEE, since=held)) -
                           len(self.pull.seen(CALLEE, since=resumed)), 10)

    def test_hold_of_both_ways_and_resume(self):
        self.hold_and_resume("inactive", "inactive")

    def test_media_follows_a_changed_address(self):
        moved = rtp.RtpPeer()
        self.addCleanup(moved.close)
        self.call("callee_moved.xml", keys={"audio_port2": moved.ports[rtp.AUDIO],
                                            "video_port2": moved.ports[rtp.VIDEO]})
        self.junctor.wait_state(self.call_id, "answered")
        wait_until(lambda: self.peer.count(rtp.AUDIO) > 25, 10, "sound at the first address")
        wait_until(lambda: moved.count(rtp.AUDIO) > 25 and moved.count(rtp.VIDEO) > 10, 15,
                   "sound and picture at the second address")
        # At once and without a gap: what follows the last packet there is the first one here.
        for medium in (rtp.AUDIO, rtp.VIDEO):
            last, first = self.peer.packets(medium)[-1], moved.packets(medium)[0]
            self.assertEqual(first.ssrc, last.ssrc, medium)
            self.assertEqual(first.sequence, (last.sequence + 1) % 0x10000, medium)
        self.push.stop()
        self.ended("caller-hangup")


if __name__ == "__main__":
    unittest.main()
