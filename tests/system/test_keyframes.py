# Keyframes when they matter: a phone is asked for one at the answer, when a player joins and after a
# loss, by what it knows; a phone that asks gets one from our encoder, and what a push terminal sent
# since its last one. SPDX-License-Identifier: LGPL-2.1-or-later
import functools
import tempfile
import time
import unittest

from support import marks, media, player, rawphone, rtmp, rtp
from support.case import FULL, SystemTest
from support.junctor import Junctor
from support.process import wait_until

ALICE, BOB = rtmp.FfmpegPush.IDENTITY, 0xC0
FRAME = 90000 // marks.FPS
# Of the phone's keyframes, and of the push terminal's where it says so: ten seconds, in which
# nobody sees anything without one that was asked for, or kept.
RARE = 250
# Our encoder's own distance is 60 pictures.
LONG_BEFORE_ITS_TIME = 40

# As many as come.
INFOS_ACCEPTED = """\
  <nop next="1"/>
  <label id="2"/>
  <send next="1">
    <![CDATA[
      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:callee@[local_ip]:[local_port];transport=[transport]>
      Content-Length: [len]

    ]]>
  </send>
  <label id="1"/>
  <recv request="INFO" optional="true" next="2"/>
"""
INFO_SENT = """\
  <pause milliseconds="3000"/>
  <send retrans="500">
    <![CDATA[
      INFO [next_url] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
      [routes]
      From:[$callee];tag=[pid]t[call_number]
      To:[$caller]
      [last_Call-ID:]
      CSeq: 1 INFO
      Contact: <sip:callee@[local_ip]:[local_port];transport=[transport]>
      Max-Forwards: 70
      Content-Type: application/media_control+xml
      Content-Length: [len]

      <?xml version="1.0"?><media_control><vc_primitive><to_encoder><picture_fast_update/></to_encoder></vc_primitive></media_control>
    ]]>
  </send>
  <recv response="200"/>
"""


@functools.cache
def rare_pictures():
    """What the phone sends: the first is a keyframe."""
    with tempfile.NamedTemporaryFile(suffix=".h264") as file:
        return rtp.encode_pictures(marks.Picture(BOB, "bob"), RARE, file.name, key_every=RARE)


class KeyframeTest(SystemTest):
    def call(self, pull=True, query="", encoder=None, **phone):
        rare_pictures()  # it takes a while
        self.junctor = self.start(Junctor(self.workspace,
                                          '[sip]\nallow = ["sip:*@127.0.0.1:*"]\n'))
        self.alice = self.junctor.account("alice")
        self.phone = self.start(rawphone.RawPhone(self.workspace, **phone))
        self.pull = None
        if pull:
            self.pull = self.start(rtmp.FfmpegPull(self.workspace, self.alice.pull_url(query)))
        self.push = self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url(self.phone.uri()),
                                               video_encoder=encoder))
        self.call_id = self.junctor.find_call("alice")
        self.junctor.wait_state(self.call_id, "answered")
        self.answered = time.monotonic()

    def talk(self, first=0):
        """The phone sends sound, and pictures from that one on."""
        targets = self.phone.targets()
        self.phone.peer.send(rtp.AUDIO, frequency=1000, to=targets[rtp.AUDIO][0])
        self.phone.peer.send(rtp.VIDEO, units=rare_pictures(),
                             payload_type=targets[rtp.VIDEO][1], to=targets[rtp.VIDEO][0],
                             first=first)

    def asked(self, before=0):
        """When the phone was asked for the first time after so many."""
        def look():
            return sorted([at for at, _ in self.phone.requests()] + self.phone.info_requests())
        return wait_until(lambda: look()[before:], 10, "a request at the phone")[0]

    def end(self):
        self.push.stop()
        self.assertEqual(self.junctor.wait_ended(self.call_id)["reason"], "caller-hangup")
        self.phone.sipp.wait(20)


class K_AfterALoss(KeyframeTest):
    """The phone's picture goes to the player as it is."""

    def lose(self, **phone):
        self.call(**phone)
        self.talk()
        self.pull.wait_picture(BOB)
        # One may have been asked for at the answer.
        time.sleep(1)
        self.before = len(self.phone.requests())
        self.phone.peer.lose(rtp.VIDEO)

    def test_by_pli(self):
        self.lose(feedback=[rawphone.PLI, rawphone.FIR])
        wait_until(lambda: len(self.phone.requests()) > self.before, 10, "a request at the phone")
        self.assertEqual({what for _, what in self.phone.requests()}, {"pli"})
        self.end()

    def test_by_fir_with_rising_numbers(self):
        self.lose(feedback=[rawphone.FIR])
        wait_until(lambda: len(self.phone.requests()) > self.before, 10, "a request at the phone")
        first = self.phone.requests()[-1][1]
        count = len(self.phone.requests())
        self.phone.peer.lose(rtp.VIDEO)
        wait_until(lambda: len(self.phone.requests()) > count, 10, "another request")
        self.assertEqual(self.phone.requests()[count][1], (first + 1) % 256)
        self.end()

    def test_by_info_where_the_phone_knows_neither(self):
        self.lose(feedback=[], steps=INFOS_ACCEPTED)
        wait_until(self.phone.info_requests, 10, "an INFO at the phone")
        self.assertEqual(self.phone.requests(), [])
        self.end()


class K_Asked(KeyframeTest):
    """Our encoder makes the phone's picture, for the phone takes one NAL unit a packet."""

    def key_times(self):
        """RTP times of pictures that stand alone (IDR), each once."""
        times = []
        for packet in self.phone.peer.packets(rtp.VIDEO):
            if packet.payload[0] & 31 == 5 and packet.timestamp not in times:
                times.append(packet.timestamp)
        return times

    def watch(self, ask, **phone):
        self.call(pull=False, mode=0, **phone)
        # A keyframe of its own accord, and then the request, long before the next is due.
        wait_until(lambda: len(self.key_times()) >= 2, 20, "two keyframes at the phone")
        natural = len(self.key_times())
        ask()
        wait_until(lambda: len(self.key_times()) > natural, 10, "a keyframe at the phone")
        before, asked = self.key_times()[natural - 1:natural + 1]
        frames = (asked - before) % 2**32 // FRAME
        self.assertLess(frames, LONG_BEFORE_ITS_TIME)
        print(f"# a keyframe {frames} pictures after the one before it", flush=True)
        self.end()

    def test_by_pli(self):
        self.watch(lambda: self.phone.ask("pli"))

    def test_by_fir(self):
        self.watch(lambda: self.phone.ask("fir", 9))

    def test_by_info(self):
        self.call(pull=False, mode=0, steps=INFO_SENT)
        sent = wait_until(lambda: [at for at, way, text in self.phone.sipp.messages_seen()
                                   if way == "sent" and text.startswith("INFO")], 15, "the INFO")[0]
        wait_until(lambda: [p for p in self.phone.peer.packets(rtp.VIDEO, since=sent)
                            if p.payload[0] & 31 == 5], 10, "a keyframe at the phone")
        keys = self.key_times()
        asked = next(keys.index(p.timestamp) for p in self.phone.peer.packets(rtp.VIDEO, since=sent)
                     if p.payload[0] & 31 == 5)
        self.assertGreater(asked, 0, "a keyframe of the encoder's own comes first")
        frames = (keys[asked] - keys[asked - 1]) % 2**32 // FRAME
        print(f"# a keyframe {frames} pictures after the one before it", flush=True)
        self.assertLess(frames, LONG_BEFORE_ITS_TIME)
        self.end()


class K_AtTheAnswer(KeyframeTest):
    """Of the phone's pictures the first that come cannot be shown: the keyframe was sent before
    anybody listened."""

    def begin(self, **call):
        self.call(**call)
        self.talk(first=1)
        asked = self.asked()
        self.phone.peer.begin_again(rtp.VIDEO)
        seen, _ = self.pull.wait_picture(BOB)
        began = self.phone.peer.began[rtp.VIDEO]
        ms = self.junctor.call(self.call_id)["first_picture_to_caller_ms"]
        print(f"# the phone is asked {(asked - began) * 1000:.0f} ms after its first packet; the first "
              f"picture goes to the player {ms} ms after the answer, and is seen "
              f"{(seen - self.answered) * 1000:.0f} ms after it", flush=True)
        self.assertIsNotNone(ms)
        if FULL:
            self.assertLess(asked - began, 1)
            self.assertLess(ms, 1000)
        self.end()

    def test_by_pli(self):
        self.begin()
        self.assertEqual({what for _, what in self.phone.requests()}, {"pli"})

    def test_by_info_where_the_phone_knows_nothing_else(self):
        self.begin(feedback=[], steps=INFOS_ACCEPTED)

    def test_for_a_picture_that_is_transcoded(self):
        self.begin(query="video=sorenson")


class K_Joining(KeyframeTest):
    def join(self, query=""):
        return self.start(player.Player(self.junctor.rtmp_port, self.alice.pull_url(query)))

    def begins_well(self, late):
        """Its first picture stands alone, and is of the time at which it came."""
        def pictures():
            return [(came, at / 1000, body) for came, at, _, body in late.tags(player.VIDEO)
                    if body[0] & 15 != 7 or body[1] == 1]
        wait_until(pictures, 10, "a picture at the second player")
        came, at, body = pictures()[0]
        self.assertEqual(body[0] >> 4, 1, "the first picture stands alone")
        wait_until(lambda: late.count(player.VIDEO, since=came + 0.5) > 0, 10, "more pictures")
        last = pictures()[-1]
        old = (last[1] - at) - (last[0] - came)
        print(f"# the first picture came {old * 1000:.0f} ms late", flush=True)
        if FULL:
            self.assertLess(old, 1)

    def test_a_second_player_begins_with_a_keyframe_that_the_phone_was_asked_for(self):
        self.call()
        self.talk()
        self.pull.wait_picture(BOB)
        # So that it matters which keyframe a player begins with.
        time.sleep(2)
        before = len(self.phone.requests())
        joined = time.monotonic()
        late = self.join()
        asked = self.asked(before)
        self.phone.peer.begin_again(rtp.VIDEO)
        print(f"# the phone is asked {(asked - joined) * 1000:.0f} ms after the second play",
              flush=True)
        if FULL:
            self.assertLess(asked - joined, 1)
        self.begins_well(late)
        self.end()

    def test_of_a_transcoded_picture_our_encoder_makes_one(self):
        self.call(pull=False)
        query = "video=sorenson"
        first = self.join(query)
        self.talk()

        def keys():
            return [number for number, (_, _, _, body) in enumerate(first.tags(player.VIDEO))
                    if body[0] >> 4 == 1]
        ring = first.count(player.VIDEO)
        wait_until(lambda: len([key for key in keys() if key > ring + 50]) >= 1, 20,
                   "a keyframe of our encoder's own")
        natural = len(keys())
        # Old enough not to begin with, and the next is not due for long.
        there = first.count(player.VIDEO)
        wait_until(lambda: first.count(player.VIDEO) > there + 15, 10, "more pictures")
        late = self.join(query)
        wait_until(lambda: len(keys()) > natural, 10, "a keyframe")
        pictures = keys()[natural] - keys()[natural - 1]
        print(f"# a keyframe {pictures} pictures after the one before it", flush=True)
        self.assertLess(pictures, LONG_BEFORE_ITS_TIME)
        self.begins_well(late)
        self.end()


class K_RareOnes(KeyframeTest):
    """A push terminal that cannot be asked sends one keyframe in ten seconds. What came since is
    kept: the phone that answers in between need not wait for the next."""

    ENCODER = [*rtmp.X264, "-g", str(RARE), "-sc_threshold", "0"]

    def pictures_at_phone(self, **phone):
        """The counters of what the phone shows."""
        self.call(pull=False, encoder=self.ENCODER, **phone)
        wait_until(lambda: sum(p.marker for p in self.phone.peer.packets(rtp.VIDEO)) > 50, 20,
                   "pictures at the phone")
        ms = self.junctor.call(self.call_id)["first_picture_to_callee_ms"]
        packets = self.phone.peer.packets(rtp.VIDEO)
        while not packets[-1].marker:
            packets.pop()
        self.end()
        print(f"# first picture {ms} ms after the answer to the phone", flush=True)
        self.assertIsNotNone(ms)
        if FULL:
            self.assertLess(ms, 1000)
        path = self.workspace.file("phone.h264")
        with open(path, "wb") as file:
            file.write(b"".join(b"\0\0\0\1" + nal for nal in rtp.h264_nals(packets)))
        seen = media.marks_of(path)
        self.assertEqual({mark and mark[0] for mark in seen}, {ALICE})
        counters = [counter for _, counter in seen]
        self.assertEqual(counters, sorted(counters))
        self.assertLess(counters[0], RARE, "it did not wait for the next keyframe")
        return counters

    def test_passed_through(self):
        counters = self.pictures_at_phone()
        self.assertLess(self.push.camera.given[counters[0]], self.answered)
        self.assertEqual(counters, [counter for counter in sorted(self.push.camera.given)
                                    if counters[0] <= counter <= counters[-1]],
                         "every picture that the others refer to")

    def test_transcoded(self):
        self.pictures_at_phone(mode=0)


if __name__ == "__main__":
    unittest.main()
