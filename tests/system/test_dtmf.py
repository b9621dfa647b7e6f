# Keys of a telephone, both ways: by RTP events with baresip and with GStreamer's elements, by INFO
# with SIPp. SPDX-License-Identifier: LGPL-2.1-or-later
import itertools
import json
import os
import re
import time

from support import dtmf, rtmp, rtp
from support.baresip import Baresip
from support.case import SystemTest
from support.junctor import ApiError, Junctor
from support.ports import HOST
from support.process import Process, wait_until
from support.sipp import Sipp


class DtmfTest(SystemTest):
    config = '[sip]\nallow = ["sip:*@127.0.0.1:*"]\n'

    def setUp(self):
        super().setUp()
        self.junctor = self.start(Junctor(self.workspace, self.config))
        self.alice = self.junctor.account("alice")
        self.watched = self.workspace.file("events.txt")
        with open(os.path.join(self.junctor.data_dir, "admin-token"), encoding="ascii") as file:
            token = file.read().strip()
        with open(self.watched, "wb") as out:
            self.start(Process("curl", [
                "curl", "-sSN", "--noproxy", "*", "-H", f"Authorization: Bearer {token}",
                f"http://{HOST}:{self.junctor.http_port}/api/v1/events"],
                self.workspace.file("curl.log"), stdout=out))

    def call(self, to):
        self.push = self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url(to)))
        self.call_id = self.junctor.find_call("alice")
        self.junctor.wait_state(self.call_id, "answered")

    def press(self, digits, **more):
        self.junctor.post(f"calls/{self.call_id}/dtmf", {"digits": digits, **more})

    def told(self):
        """What the live events say of keys."""
        with open(self.watched, encoding="utf-8") as file:
            blocks = file.read().split("\n\n")
        return [json.loads(block.partition("\ndata: ")[2]) for block in blocks
                if block.startswith("event: dtmf\n")]

    def wait_told(self, digits):
        wait_until(lambda: "".join(each["digit"] for each in self.told()) == digits, 20,
                   f"the keys {digits} in the events")

    def sipp(self, numbers):
        self.peer = rtp.RtpPeer()
        self.addCleanup(self.peer.close)
        self.phone = self.start(Sipp(self.workspace, "callee_dtmf.xml",
                                     keys={**self.peer.keys(), "numbers": numbers}))
        self.call(self.phone.uri())

    def hang_up(self):
        self.junctor.hangup(self.call_id)
        record = self.junctor.wait_ended(self.call_id)
        self.assertEqual(record["reason"], "admin", record["detail"])
        return record


class WithBaresip(DtmfTest):
    def test_keys_go_both_ways_by_rtp(self):
        account = self.junctor.account("bob")
        bob = self.start(Baresip(self.workspace, "bob", registrar=self.junctor.sip_address,
                                 password=account.password))
        bob.wait_registered()
        self.call("bob")
        status, output = self.junctor.command("dtmf", self.call_id, "159*#0")
        self.assertEqual(status, 0, output)

        def keys():
            return "".join(e["param"] for e in list(bob.events)
                           if e.get("type") == "CALL_DTMF_START")
        wait_until(lambda: keys() == "159*#0", 20, "the keys at baresip")
        bob.command("sndcode", "2580#")
        self.wait_told("2580#")
        for each in self.told():
            self.assertEqual((each["call"], each["leg"], each["method"]),
                             (self.call_id, "callee", "rtp-event"))
            self.assertGreater(each["duration_ms"], 0)
        # The call goes on, with sound in both directions.
        before = self.junctor.call(self.call_id)["audio"]
        wait_until(lambda: self.junctor.call(self.call_id)["audio"]["sent_packets"] >
                   before["sent_packets"] + 20, 10, "more sound to baresip")
        record = self.hang_up()
        self.assertEqual(record["digits"], "2580#")
        self.assertEqual(record["audio"]["lost"], 0)


class WithSipp(DtmfTest):
    def test_events_as_gstreamer_makes_and_hears_them(self):
        self.sipp("8 101")
        self.wait_told("5#")  # by INFO, from the scenario
        offer = self.phone.trace()
        self.assertRegex(offer, r"a=rtpmap:101 telephone-event/8000\s+a=fmtp:101 0-15")
        port = int(re.search(r"m=audio (\d+)", offer).group(1))
        dtmf.send_events(self.workspace, lambda data: self.peer.send_packet(rtp.AUDIO, data, port),
                         "7*D")
        self.wait_told("5#7*D")
        self.assertEqual([each["method"] for each in self.told()],
                         ["info", "info", "rtp-event", "rtp-event", "rtp-event"])

        since = time.monotonic()
        self.press("9081#A", duration_ms=120)

        def events():
            return [p for p in self.peer.packets(rtp.AUDIO, since) if p.payload_type == dtmf.EVENTS]
        wait_until(lambda: len(events()) == 6 * (6 + 2), 20, "the events")
        told, sounded = dtmf.heard_in(self.workspace, events())
        self.assertEqual(told, "9081#A")
        self.assertEqual("".join(key for key, _ in itertools.groupby(sounded)), "9081#A")
        self.on_one_time_line(since)
        record = self.hang_up()
        self.assertEqual(record["digits"], "5#7*D")
        self.assertNotIn("INFO sip:callee", self.phone.trace())
        self.phone.wait()

    def on_one_time_line(self, since):
        """Events and audio share SSRC and sequence; audio is silent while a key sounds."""
        packets = self.peer.packets(rtp.AUDIO, since)
        self.assertEqual(len({p.ssrc for p in packets}), 1)
        self.assertEqual(self.peer.lost(rtp.AUDIO), 0)
        begins = [p for p in packets if p.payload_type == dtmf.EVENTS and p.marker]
        self.assertEqual(len(begins), 6)
        for begin in begins:
            inside = [p for p in packets if p.payload_type == rtp.PCMA and
                      0 < (p.timestamp - begin.timestamp) % 2**32 < 120 * 8]
            self.assertEqual(inside, [])
        # Each begins where the sound is that comes just then, which comes unevenly.
        apart = [(after.timestamp - before.timestamp) % 2**32
                 for before, after in zip(begins, begins[1:])]
        self.assertGreaterEqual(min(apart), (120 + 20) * 8, apart)
        self.assertAlmostEqual(sum(apart), 5 * (120 + 100) * 8, delta=100 * 8, msg=apart)

    def test_info_where_the_phone_has_no_events(self):
        self.sipp("8")
        self.wait_told("5#")
        self.assertEqual([each["duration_ms"] for each in self.told()], [200, 160])
        self.press("4#")
        wait_until(lambda: self.phone.trace().count("Signal=") == 2 + 2, 20, "two INFO")
        bodies = re.findall(r"Signal=(\S+)\s+Duration=(\d+)", self.phone.trace())
        self.assertEqual(bodies[1:], [("4", "160"), ("#", "160")])
        self.assertFalse([p for p in self.peer.packets(rtp.AUDIO)
                          if p.payload_type == dtmf.EVENTS])
        self.refusals()
        self.hang_up()
        with self.assertRaises(ApiError) as error:
            self.press("1")
        self.assertEqual(error.exception.status, 409)
        self.phone.wait()

    def refusals(self):
        for digits, more in (("", {}), ("12x", {}), ("1" * 33, {}), ("1", {"duration_ms": 5})):
            with self.assertRaises(ApiError) as error:
                self.press(digits, **more)
            self.assertEqual(error.exception.status, 422, digits)
        with self.assertRaises(ApiError) as error:
            self.junctor.post("calls/none/dtmf", {"digits": "1"})
        self.assertEqual(error.exception.status, 404)
        status, output = self.junctor.command("dtmf", self.call_id, "x")
        self.assertEqual(status, 1)
        self.assertIn("0 to 9, *, # and A to D", output)
