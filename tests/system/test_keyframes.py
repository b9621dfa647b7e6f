# Keyframes when they matter: a phone is asked for one after a loss, by what it knows; a phone that
# asks gets one from our encoder. SPDX-License-Identifier: LGPL-2.1-or-later
import time
import unittest

from support import marks, player, rawphone, rtmp, rtp
from support.case import SystemTest
from support.junctor import Junctor
from support.process import wait_until

BOB = 0xC0
FRAME = 90000 // marks.FPS
# Our encoder's own distance is 60 pictures.
LONG_BEFORE_ITS_TIME = 40

INFO_ACCEPTED = """\
  <recv request="INFO"/>
  <send>
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


class KeyframeTest(SystemTest):
    def call(self, pull=True, **phone):
        self.junctor = self.start(Junctor(self.workspace,
                                          '[sip]\nallow = ["sip:*@127.0.0.1:*"]\n'))
        self.alice = self.junctor.account("alice")
        self.phone = self.start(rawphone.RawPhone(self.workspace, **phone))
        self.pull = None
        if pull:
            self.pull = self.start(rtmp.FfmpegPull(self.workspace, self.alice.pull_url()))
        self.push = self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url(self.phone.uri())))
        self.call_id = self.junctor.find_call("alice")
        self.junctor.wait_state(self.call_id, "answered")

    def end(self):
        self.push.stop()
        self.assertEqual(self.junctor.wait_ended(self.call_id)["reason"], "caller-hangup")
        self.phone.sipp.wait(20)


class K_AfterALoss(KeyframeTest):
    """The phone's picture goes to the player as it is."""

    def lose(self, **phone):
        picture = marks.Picture(BOB, "bob")
        # One keyframe in ten seconds: what is shown again was asked for, or never broke.
        units = rtp.encode_pictures(picture, 250, self.workspace.file("bob.h264"), key_every=250)
        self.call(**phone)
        targets = self.phone.targets()
        self.phone.peer.send(rtp.AUDIO, frequency=1000, to=targets[rtp.AUDIO][0])
        self.phone.peer.send(rtp.VIDEO, units=units, payload_type=targets[rtp.VIDEO][1],
                             to=targets[rtp.VIDEO][0])
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
        self.lose(feedback=[], steps=INFO_ACCEPTED)
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


class K_Joining(KeyframeTest):
    def test_a_second_player_begins_with_a_keyframe_of_the_running_call(self):
        picture = marks.Picture(BOB, "bob")
        units = rtp.encode_pictures(picture, 50, self.workspace.file("bob.h264"))
        self.call()
        targets = self.phone.targets()
        self.phone.peer.send(rtp.VIDEO, units=units, payload_type=targets[rtp.VIDEO][1],
                             to=targets[rtp.VIDEO][0])
        self.pull.wait_picture(BOB)
        late = self.start(player.Player(self.junctor.rtmp_port, self.alice.pull_url()))
        wait_until(lambda: late.count(player.VIDEO) > 10, 10, "pictures at the second player")
        pictures = [body for _, _, _, body in late.tags(player.VIDEO) if body[1] == 1]
        self.assertEqual(pictures[0][0] >> 4, 1, "the first picture stands alone")
        self.end()


if __name__ == "__main__":
    unittest.main()
