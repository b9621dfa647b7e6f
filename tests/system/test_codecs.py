# G6 and G7 with phones that speak little: G.711 µ-law alone, H.264 one NAL unit a packet, and H.264
# of a lower profile or level than the push terminal's. What arrives is decoded.
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
import unittest

from support import media, rtmp, rtp, tones
from support.baresip import Baresip
from support.case import SystemTest
from support.junctor import Junctor
from support.process import wait_until
from support.sipp import SCENARIOS, Sipp

ALICE, BOB = rtmp.FfmpegPush.IDENTITY, Baresip.IDENTITY
ALICE_TONE, BOB_TONE = 440, 1000
PICTURES = 60


def steps(call):
    """{(direction, medium): (from, to, transcoded)} of a call's plan."""
    return {(step["direction"], step["medium"]): (step["from"], step["to"], step["transcoded"])
            for step in call["plan"]}


class G2_WhatCannotBePlayed(SystemTest):
    def test_a_play_that_asks_for_it_is_refused_with_what_there_is(self):
        junctor = self.start(Junctor(self.workspace))
        alice = junctor.account("alice")
        for query, choice in (("audio=opus", "choose one of: pcma, pcmu, aac"),
                              ("video=vp9", "choose one of: h264")):
            with self.subTest(query=query):
                pull = self.start(rtmp.ffmpeg_pull_short(self.workspace, alice.pull_url(query),
                                                         name=query))
                self.assertNotEqual(pull.wait(15), 0)
                self.assertIn(f"{query} cannot be played here; {choice}", pull.log())
                junctor.process.wait_log(f"{query} cannot be played here", 5)


class G7_WhatIsLeftOut(SystemTest):
    """A publisher's codec that nobody here knows: the call goes on with what is left."""

    def test_the_plan_names_the_codec_that_cannot_be_used(self):
        junctor = self.start(Junctor(self.workspace))
        alice, bob = junctor.account("alice"), junctor.account("bob")
        phone = self.start(Baresip(self.workspace, "bob", frequency=BOB_TONE,
                                   registrar=junctor.sip_address, password=bob.password))
        phone.wait_registered()
        self.start(rtmp.FfmpegPull(self.workspace, alice.pull_url()))
        push = self.start(rtmp.FfmpegPush(self.workspace, alice.push_url("bob"),
                                          frequency=ALICE_TONE, audio="libmp3lame"))
        phone.wait_event("CALL_ESTABLISHED")
        identifier = junctor.find_call("alice")

        def reason():
            return next(step["reason"] for step in junctor.call(identifier)["plan"]
                        if (step["direction"], step["medium"]) == ("caller-to-callee", "audio"))

        wait_until(lambda: "cannot be used" in reason(), 10, "the plan's word on the sound")
        self.assertIn("codec, MP3, is not supported; use", reason())
        self.assertEqual(steps(junctor.call(identifier))["caller-to-callee", "video"][0], "h264")
        push.stop()
        junctor.wait_ended(identifier)


class G7_PcmuPhone(SystemTest):
    """A phone that has nothing but G.711 µ-law."""

    def call(self, audio, query=""):
        self.junctor = self.start(Junctor(self.workspace))
        alice, bob = self.junctor.account("alice"), self.junctor.account("bob")
        self.bob = self.start(Baresip(self.workspace, "bob", frequency=BOB_TONE, video=False,
                                      registrar=self.junctor.sip_address, password=bob.password,
                                      codecs="PCMU/8000/1"))
        self.bob.wait_registered()
        self.pull = self.start(rtmp.FfmpegPull(self.workspace, alice.pull_url(query)))
        self.push = self.start(rtmp.FfmpegPush(self.workspace, alice.push_url("bob"),
                                               frequency=ALICE_TONE, audio=audio))
        self.bob.wait_event("CALL_ESTABLISHED")
        identifier = self.junctor.find_call("alice")
        self.pull.wait_tone(BOB_TONE)
        wait_until(lambda: len(self.bob.heard()[0]) > 2 * self.bob.heard()[1], 15,
                   "two seconds of sound at the phone")
        during = self.junctor.call(identifier)
        self.push.stop()
        self.assertEqual(self.junctor.wait_ended(identifier)["reason"], "caller-hangup")
        self.pull.process.wait(15)
        self.bob.stop()
        samples, rate = self.bob.heard()
        self.assertGreater(tones.longest_with_tone(samples, rate, ALICE_TONE), 1.0)
        return steps(during)

    def test_aac_is_made_of_it_and_it_of_aac(self):
        plan = self.call("aac")
        self.assertEqual(plan["caller-to-callee", "audio"], ("aac", "pcmu", True))
        self.assertEqual(plan["callee-to-caller", "audio"], ("pcmu", "aac", True))

    def test_it_is_passed_through_where_both_terminals_have_it_too(self):
        plan = self.call("pcm_mulaw", "audio=pcmu")
        self.assertEqual(plan["caller-to-callee", "audio"], ("pcmu", "pcmu", False))
        self.assertEqual(plan["callee-to-caller", "audio"], ("pcmu", "pcmu", False))
        kinds = {s["codec_type"]: s["codec_name"] for s in media.probe(self.pull.recording)}
        self.assertEqual(kinds["audio"], "pcm_mulaw")

    def test_a_law_is_made_of_it_and_it_of_a_law(self):
        plan = self.call("pcm_alaw", "audio=pcma")
        self.assertEqual(plan["caller-to-callee", "audio"], ("pcma", "pcmu", True))
        self.assertEqual(plan["callee-to-caller", "audio"], ("pcmu", "pcma", True))


class G7_H264OfAPhone(SystemTest):
    """SIPp answers with the H.264 that a phone has; its ports keep what comes."""

    def scenario(self, fmtp, mode):
        """callee_answer.xml with another answer: of our payload types that of this mode."""
        with open(os.path.join(SCENARIOS, "callee_answer.xml"), encoding="utf-8") as file:
            text = file.read()
        for before, after in (
                ('regexp="a=rtpmap:([0-9]+) H264"',
                 f'regexp="a=fmtp:([0-9]+) profile-level-id=[0-9a-f]+;packetization-mode={mode}"'),
                ("profile-level-id=42e01f;packetization-mode=1", fmtp)):
            self.assertEqual(text.count(before), 1, before)
            text = text.replace(before, after)
        return self.workspace.write("phone.xml", text)

    def call(self, fmtp, mode=1, extra=()):
        """The plan's step of the picture to the phone, and the packets of some seconds of it."""
        self.junctor = self.start(Junctor(self.workspace,
                                          '[sip]\nallow = ["sip:*@127.0.0.1:*"]\n'))
        alice = self.junctor.account("alice")
        peer = rtp.RtpPeer()
        self.addCleanup(peer.close)
        sipp = self.start(Sipp(self.workspace, self.scenario(fmtp, mode), keys=peer.keys()))
        push = self.start(rtmp.FfmpegPush(self.workspace, alice.push_url(sipp.uri()),
                                          frequency=ALICE_TONE, extra=extra))
        identifier = self.junctor.find_call("alice")
        self.junctor.wait_state(identifier, "answered")
        wait_until(lambda: sum(p.marker for p in peer.packets(rtp.VIDEO)) > PICTURES, 20,
                   "pictures at the phone")
        during = self.junctor.call(identifier)
        push.stop()
        self.assertEqual(self.junctor.wait_ended(identifier)["reason"], "caller-hangup")
        sipp.wait(20)
        self.offer = next(text for _, way, text in sipp.messages_seen() if way == "received")
        self.assertEqual(peer.lost(rtp.VIDEO), 0)
        return steps(during)["caller-to-callee", "video"], peer.packets(rtp.VIDEO)

    def looked_at(self, packets, profile, level, pixels):
        """What arrived decodes to the pusher's pictures, and keeps to what the phone can do."""
        nals = rtp.h264_nals(packets)
        sets = [nal for nal in nals if nal[0] & 31 == 7]
        self.assertTrue(sets, "no sequence parameter set")
        for sps in sets:
            self.assertEqual(sps[1], profile)
            self.assertLessEqual(sps[3], level)
        path = self.workspace.file("phone.h264")
        with open(path, "wb") as file:
            file.write(b"".join(b"\0\0\0\1" + nal for nal in nals))
        picture, = media.probe(path)
        self.assertLessEqual(picture["width"] * picture["height"], pixels)
        self.assertAlmostEqual(picture["width"] / picture["height"], 16 / 9, delta=0.05)
        seen = media.marks_of(path)
        self.assertGreater(len(seen), PICTURES // 2)
        self.assertEqual({mark and mark[0] for mark in seen}, {ALICE})
        counters = [mark[1] for mark in seen]
        self.assertEqual(counters, sorted(counters))
        self.assertGreater(len(set(counters)), PICTURES // 2)

    def test_one_nal_unit_a_packet(self):
        (before, after, changed), packets = self.call("profile-level-id=42e01f", mode=0)
        self.assertEqual((before, after, changed), ("h264", "h264", True))
        kinds = {packet.payload[0] & 31 for packet in packets}
        self.assertTrue(kinds <= set(range(1, 24)), kinds)
        self.assertLessEqual(max(len(packet.payload) for packet in packets), 1400)
        self.looked_at(packets, 66, 31, 1280 * 720)

    def test_a_lower_level_gets_a_smaller_picture(self):
        step, packets = self.call("profile-level-id=42e00d;packetization-mode=1")
        self.assertEqual(step, ("h264", "h264", True))
        self.looked_at(packets, 66, 13, 352 * 288)

    def test_a_lower_profile_gets_its_own(self):
        high = ["-profile:v", "high", "-preset", "veryfast"]
        step, packets = self.call("profile-level-id=42e01f;packetization-mode=1", extra=high)
        self.assertEqual(step, ("h264", "h264", True))
        self.looked_at(packets, 66, 31, 1280 * 720)

    def test_an_upright_and_fast_picture_is_made_to_fit(self):
        extra = ["-vf", "scale=720:1280,fps=60", "-profile:v", "high", "-preset", "ultrafast"]
        step, packets = self.call("profile-level-id=42e01f;packetization-mode=1", extra=extra)
        self.assertEqual(step, ("h264", "h264", True))
        path = self.workspace.file("upright.h264")
        with open(path, "wb") as file:
            file.write(b"".join(b"\0\0\0\1" + nal for nal in rtp.h264_nals(packets)))
        picture, = media.probe(path)
        self.assertEqual((picture["width"], picture["height"]), (720, 1280))
        times = sorted({packet.timestamp for packet in packets})
        steps_of = [after - before for before, after in zip(times, times[1:])]
        # At most 30 a second, which the level allows at this size.
        self.assertGreater(min(steps_of), 90000 / 31)

    def test_what_the_phone_has_is_passed_through(self):
        step, packets = self.call("profile-level-id=42e01f;packetization-mode=1")
        self.assertEqual(step, ("h264", "h264", False))
        self.looked_at(packets, 66, 31, 1280 * 720)
        self.as_offered(packets)

    def test_a_higher_profile_that_the_phone_has_is_passed_through(self):
        high = ["-profile:v", "high", "-preset", "veryfast"]
        step, packets = self.call("profile-level-id=64001f;packetization-mode=1", extra=high)
        self.assertEqual(step, ("h264", "h264", False))
        self.looked_at(packets, 100, 31, 1280 * 720)
        self.as_offered(packets)

    def as_offered(self, packets):
        """Profile, constraints and level of what was sent are those of the offer."""
        number, = {packet.payload_type for packet in packets}
        offered = re.search(f"a=fmtp:{number} profile-level-id=([0-9a-f]{{6}});", self.offer)[1]
        sent = {nal[1:4].hex() for nal in rtp.h264_nals(packets) if nal[0] & 31 == 7}
        self.assertEqual(sent, {offered})


if __name__ == "__main__":
    unittest.main()
