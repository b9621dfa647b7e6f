# Same codec at both ends: what arrives is what was sent, byte for byte, on the wire. From tags of a
# publisher to RTP at the phone, from RTP of the phone to tags at a player, and from publishers to
# players where both ends are terminals. SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
import threading
import time
import unittest

from support import elementary, gstphone, player, rtp
from support.case import FULL, SystemTest, only_full
from support.junctor import SOURCE, Junctor
from support.process import wait_until
from support.sipp import Sipp

ALICE, BOB = 0xA1, 0xB0
SECONDS = 6
# Each NAL unit in a packet: what is sent so passes, and what is to arrive so is made so.
MODE_0 = "h264 mode 0"
# (video, audio) of the phone; the terminals speak the same codecs. "avc1" is H.264 whose terminals
# speak Enhanced RTMP, and offer that FourCC.
SAMPLE = [("h264", "mpeg4-generic"), ("vp8", "pcma"), ("avc1", "mpeg4-generic")]
ALL = [*SAMPLE, ("h263", "pcmu"), ("h263-1998", "mp4a-latm"), ("h263-2000", "speex/16000"),
       (MODE_0, "pcma")]
# (video, audio) of two terminals.
TERMINAL_SAMPLE = [("sorenson", "pcmu")]
EVERY_TERMINAL = [*TERMINAL_SAMPLE, ("h264", "aac"), ("h263", "pcma"), ("vp8", "speex")]
# How much of what was sent must have arrived: what came after the answer.
FRAMES = {"video": 50, "audio": 50}
TO_CALLEE = "caller-to-callee"
# What was compared: cells of the tables in docs/codecs.md, as promised() has them.
COMPARED = set()


def joined(frames):
    return b"".join(frames)


def promised():
    """The cells that say "passed" in docs/codecs.md: (kind of callee, medium, row, column, way)."""
    cells, callee, columns = set(), "phone", []
    with open(os.path.join(SOURCE, "docs", "codecs.md"), encoding="utf-8") as file:
        for line in file:
            fields = [field.strip() for field in line.strip().strip("|").split("|")]
            if line.startswith("Between two terminals"):
                callee = "terminal"
            elif fields[0] in ("video", "audio"):
                medium, columns = fields[0], fields[1:]
            elif "→" in line and line.startswith("| "):
                cells |= {(callee, medium, fields[0], column, way)
                          for column, cell in zip(columns, fields[1:])
                          for way in "→←" if f"{way} passed" in cell}
    return cells


class PassthroughTest(SystemTest):
    def streams(self, form, identity):
        return elementary.STREAMS[form][1](self.workspace, re.sub(r"\W", "-", form), SECONDS,
                                           identity)

    def encode(self, forms):
        """What alice sends, and what bob says, by medium."""
        self.sent = {m: self.streams(f, ALICE) for m, f in zip(("video", "audio"), forms)}
        self.said = {m: self.streams(f, BOB) for m, f in zip(("video", "audio"), forms)}

    def publish(self, junctor, url, streams):
        push = self.start(player.Publisher(junctor.rtmp_port, url))
        push.send(sorted((tag for stream in streams.values() for tag in stream.tags()),
                         key=lambda tag: tag[0]))
        return push

    def finish(self, junctor, call, *publishers):
        """Ends the call by the first of them, once all is sent; its record while it ran."""
        for each in publishers:
            each.thread.join(SECONDS + 10)
        time.sleep(0.5)  # for what is on its way
        during = junctor.call(call)
        publishers[0].stop()
        self.assertEqual(junctor.wait_ended(call)["reason"], "caller-hangup")
        return during

    def same(self, stream, arrived, what, anew=0):
        """`arrived` is an unbroken part of the stream, and most of it. So often it may begin `anew`
        in the first seconds: pictures with those since the last keyframe, sound with what comes."""
        sent = [frame for _, frame in stream.frames]
        medium = "video" if stream.kind == player.VIDEO else "audio"
        self.assertGreater(len(arrived), FRAMES[medium], f"{what}: {len(arrived)} frames came")
        if isinstance(stream, elementary.G711):
            whole, part = joined(sent), joined(arrived)
            for n in range(FRAMES[medium] if anew else 0):
                if joined(arrived[:n]) in whole and joined(arrived[n:]) in whole:
                    return len(part)
            begin = whole.find(part[:320])
            self.assertGreaterEqual(begin, 0, f"{what}: its beginning was never sent")
            self.assertEqual(whole[begin:begin + len(part)], part, what)
            return len(part)
        self.assertIn(arrived[0], sent, f"{what}: the first frame was never sent")
        at = sent.index(arrived[0])
        for n, frame in enumerate(arrived):
            if anew and n < FRAMES[medium] and frame != sent[at] and frame in sent:
                anew, at = anew - 1, sent.index(frame)
            self.assertEqual(frame, sent[at], f"{what}: frame {n} of {len(arrived)}")
            at += 1
        return len(arrived)

    def live(self, stream, tags):
        """What of a player's tags is the other side's: from the first frame of it on."""
        frames = stream.frames_of_tags([body for _, _, _, body in tags])
        if isinstance(stream, elementary.G711):
            whole = joined(frame for _, frame in stream.frames)
            first = next((n for n, frame in enumerate(frames) if frame in whole), len(frames))
        else:
            known = {frame for _, frame in stream.frames}
            first = next((n for n, frame in enumerate(frames) if frame in known), len(frames))
        return frames[first:]

    def at_player(self, stream, watching, what, **more):
        return self.same(stream, self.live(stream, watching.tags(stream.kind)), what, **more)

    @staticmethod
    def note(callee, medium, row, column, way):
        COMPARED.add((callee, medium, row, column, way))

    @staticmethod
    def tell(told):
        print("# " + "; ".join(told) + " arrived as they were sent", flush=True)


class P_Passthrough(PassthroughTest):
    def call(self, forms):
        """A call in which all is passed through that can be, with media both ways until they have
        all been sent."""
        junctor = self.start(Junctor(self.workspace, '[sip]\nallow = ["sip:*@127.0.0.1:*"]\n'))
        alice = junctor.account("alice")
        self.encode(forms)
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
        push = self.publish(junctor, alice.push_url(sipp.uri()), self.sent)
        identifier = junctor.find_call("alice")
        junctor.wait_state(identifier, "answered")
        self.answer_back(sipp)
        during = self.finish(junctor, identifier, push)
        for step in during["plan"]:
            made = forms[0] == MODE_0 and (step["direction"], step["medium"]) == (TO_CALLEE, "video")
            self.assertEqual(step["transcoded"], made, step)
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

    def walk(self, forms):
        during = self.call(forms)
        told = []
        self.assertEqual(b"fourCcList" in self.player.answer, forms[0] == "avc1",
                         "who speaks of FourCCs is told ours")
        for medium, form in zip(("video", "audio"), forms):
            self.assertEqual(self.peer.lost(medium), 0)
            self.assertEqual(during[medium]["lost"], 0)
            cell = ("phone", medium, elementary.STREAMS[form][0], form.replace("avc1", "h264"))
            if form != MODE_0:
                there = self.same(self.sent[medium], self.sent[medium].frames_of_packets(
                    self.peer.packets(medium)), f"{form} to the phone")
                self.note(*cell, "→")
                told.append(f"{form}: {there} to the phone")
            back = self.at_player(self.said[medium], self.player, f"{form} to the player")
            self.note(*cell, "←")
            told.append(f"{form}: {back} to the player")
        self.tell(told)


class P_PassthroughBetweenTerminals(PassthroughTest):
    def walk(self, forms):
        junctor = self.start(Junctor(self.workspace))
        alice, bob = junctor.account("alice"), junctor.account("bob")
        self.encode(forms)
        query = f"video={forms[0]}&audio={forms[1]}"
        players = [self.start(player.Player(junctor.rtmp_port, each.pull_url(query)))
                   for each in (alice, bob)]
        wait_until(lambda: junctor.log().count(" pull publish/play as ") == 2, 20, "both players")
        push = self.publish(junctor, alice.push_url("bob"), self.sent)
        identifier = junctor.find_call("alice")
        junctor.wait_state(identifier, "ringing")
        answer = self.publish(junctor, bob.push_url(), self.said)
        junctor.wait_state(identifier, "answered")
        during = self.finish(junctor, identifier, push, answer)
        for step in during["plan"]:
            self.assertFalse(step["transcoded"], step)
            self.assertNotEqual(step["from"], "none", step)
        told = []
        for medium, form in zip(("video", "audio"), forms):
            for stream, watching, way, whose in (
                    (self.sent[medium], players[1], "→", "callee's"),
                    (self.said[medium], players[0], "←", "caller's")):
                # The way is made anew when the tracks of who answers are known, one after the other.
                came = self.at_player(stream, watching, f"{form} to the {whose} player", anew=2)
                self.note("terminal", medium, form, form, way)
                told.append(f"{form}: {came} to the {whose} player")
        self.tell(told)


class P_TheTables(unittest.TestCase):
    @only_full("of a sample there are no whole tables")
    def test_every_cell_that_says_passed_was_compared(self):
        """Last by the name of its class: after all calls."""
        self.assertTrue(promised(), "no tables in docs/codecs.md")
        self.assertEqual(promised() - COMPARED, set())
        self.assertEqual(COMPARED - promised(), set())


def _add(test, forms):
    def one(self):
        self.walk(forms)
    setattr(test, "test_" + re.sub(r"\W", "_", "__".join(forms)), one)


for _forms in ALL if FULL else SAMPLE:
    _add(P_Passthrough, _forms)
for _forms in EVERY_TERMINAL if FULL else TERMINAL_SAMPLE:
    _add(P_PassthroughBetweenTerminals, _forms)

if __name__ == "__main__":
    unittest.main()
