# Same codec at both ends: what arrives is what was sent, byte for byte, on the wire. From tags of a
# publisher to RTP at the phone, and from RTP of the phone to tags at a player.
# SPDX-License-Identifier: LGPL-2.1-or-later
import re
import threading
import time
import unittest

from support import elementary, gstphone, player, rtp
from support.case import FULL, SystemTest
from support.junctor import Junctor
from support.process import wait_until
from support.sipp import Sipp

ALICE, BOB = 0xA1, 0xB0
SECONDS = 6
# (video, audio) of the phone; the terminals speak the same codecs. "avc1" is H.264 whose terminals
# speak Enhanced RTMP, and offer that FourCC.
SAMPLE = [("h264", "mpeg4-generic"), ("vp8", "pcma"), ("avc1", "mpeg4-generic")]
ALL = [*SAMPLE, ("h263", "pcmu"), ("h263-1998", "mp4a-latm"), ("h263-2000", "speex/16000")]
# How much of what was sent must have arrived: what came after the answer.
FRAMES = {"video": 50, "audio": 50}


def joined(frames):
    return b"".join(frames)


class P_Passthrough(SystemTest):
    def streams(self, form, identity):
        return elementary.STREAMS[form][1](self.workspace, re.sub(r"\W", "-", form), SECONDS,
                                           identity)

    def call(self, forms):
        """A call in which all is passed through, with media both ways until they have all been
        sent."""
        junctor = self.start(Junctor(self.workspace, '[sip]\nallow = ["sip:*@127.0.0.1:*"]\n'))
        alice = junctor.account("alice")
        self.sent = {m: self.streams(f, ALICE) for m, f in zip(("video", "audio"), forms)}
        self.said = {m: self.streams(f, BOB) for m, f in zip(("video", "audio"), forms)}
        self.peer = rtp.RtpPeer()
        self.addCleanup(self.peer.close)
        scenario = gstphone.callee_scenario(self.workspace, gstphone.AUDIO[forms[1]],
                                            gstphone.VIDEO[forms[0].replace("avc1", "h264")])
        sipp = self.start(Sipp(self.workspace, scenario, keys=self.peer.keys()))
        sipp.wait_listening()
        codecs = [elementary.STREAMS[form][0] for form in forms]
        self.player = self.start(player.Player(
            junctor.rtmp_port, alice.pull_url(f"video={codecs[0]}&audio={codecs[1]}"),
            fourccs=["vp08", "avc1"] if forms[0] == "avc1" else ()))
        push = self.start(player.Publisher(junctor.rtmp_port, alice.push_url(sipp.uri())))
        push.send(sorted((tag for stream in self.sent.values() for tag in stream.tags()),
                         key=lambda tag: tag[0]))
        identifier = junctor.find_call("alice")
        junctor.wait_state(identifier, "answered")
        self.answer_back(sipp)
        push.thread.join(SECONDS + 10)
        time.sleep(0.5)  # for what is on its way
        during = junctor.call(identifier)
        push.stop()
        self.assertEqual(junctor.wait_ended(identifier)["reason"], "caller-hangup")
        for step in during["plan"]:
            self.assertFalse(step["transcoded"], step)
            self.assertNotEqual(step["from"], "none", step)
        return during

    def answer_back(self, sipp):
        """Sends the phone's streams to the ports of the offer."""
        offer = next(text for _, way, text in sipp.messages_seen()
                     if way == "received" and "m=audio" in text)
        answer = wait_until(lambda: next((text for _, way, text in sipp.messages_seen()
                                          if way == "sent" and "m=audio" in text), None), 5,
                            "SIPp's answer")
        for medium in ("audio", "video"):
            port = int(re.search(rf"m={medium} (\d+)", offer).group(1))
            number = int(re.search(rf"m={medium} \d+ RTP/AVP (\d+)", answer).group(1))
            stream = self.said[medium]
            threading.Thread(target=self.peer.send_timed, daemon=True, args=(
                medium, stream.timed_payloads(), stream.clock_rate, number, port)).start()

    def same(self, medium, sent, arrived, what):
        """`arrived` is an unbroken part of `sent`, and most of it."""
        self.assertGreater(len(arrived), FRAMES[medium], f"{what}: {len(arrived)} frames came")
        if medium == "audio" and isinstance(self.sent[medium], elementary.G711):
            whole, part = joined(sent), joined(arrived)
            begin = whole.find(part[:320])
            self.assertGreaterEqual(begin, 0, f"{what}: its beginning was never sent")
            self.assertEqual(whole[begin:begin + len(part)], part, what)
            return len(part)
        self.assertIn(arrived[0], sent, f"{what}: the first frame was never sent")
        begin = sent.index(arrived[0])
        for n, frame in enumerate(arrived):
            self.assertEqual(frame, sent[begin + n], f"{what}: frame {n} of {len(arrived)}")
        return len(arrived)

    def live(self, stream, tags):
        """What of a player's tags is the callee's: from the first frame of it on."""
        frames = stream.frames_of_tags([body for _, _, _, body in tags])
        if isinstance(stream, elementary.G711):
            whole = joined(frame for _, frame in stream.frames)
            first = next((n for n, frame in enumerate(frames) if frame in whole), len(frames))
        else:
            known = {frame for _, frame in stream.frames}
            first = next((n for n, frame in enumerate(frames) if frame in known), len(frames))
        return frames[first:]

    def walk(self, forms):
        during = self.call(forms)
        told = []
        self.assertEqual(b"fourCcList" in self.player.answer, forms[0] == "avc1",
                         "who speaks of FourCCs is told ours")
        for medium, kind, form in (("video", player.VIDEO, forms[0]),
                                   ("audio", player.AUDIO, forms[1])):
            self.assertEqual(self.peer.lost(medium), 0)
            self.assertEqual(during[medium]["lost"], 0)
            sent = [frame for _, frame in self.sent[medium].frames]
            packets = self.peer.packets(medium)
            there = self.same(medium, sent, self.sent[medium].frames_of_packets(packets),
                              f"{form} to the phone")
            said = [frame for _, frame in self.said[medium].frames]
            back = self.same(medium, said, self.live(self.said[medium], self.player.tags(kind)),
                             f"{form} to the player")
            told.append(f"{form}: {there} to the phone, {back} to the player")
        print("# " + "; ".join(told) + " arrived as they were sent", flush=True)


def _add(forms):
    def test(self):
        self.walk(forms)
    setattr(P_Passthrough, "test_" + re.sub(r"\W", "_", "__".join(forms)), test)


for _forms in ALL if FULL else SAMPLE:
    _add(_forms)

if __name__ == "__main__":
    unittest.main()
