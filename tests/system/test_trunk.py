# A trunk to somebody else's SIP server, which is Kamailio with a baresip registered behind it.
# SPDX-License-Identifier: LGPL-2.1-or-later
import json

from support import media, rtmp, tones
from support.baresip import Baresip
from support.case import SystemTest
from support.junctor import ApiError, Junctor
from support.kamailio import Kamailio
from support.ports import HOST
from support.process import wait_until

ALICE = rtmp.FfmpegPush.IDENTITY
ALICE_TONE, PHONE_TONE = 440, 1000
NUMBER = "4930123"
CONFIG = """
[[sip.trunks]]
name = "carrier"
uri = "sip:{address}"
user = "trunk1"
password-file = "{password}"
dial = ["49*", "302*"]
accounts = ["alice"]
account = "alice"
asserted = "sip:4989@{address}"
{more}
"""


class TrunkTest(SystemTest):
    def begin(self, password=Kamailio.PASSWORD, more="", numbers=None, **kamailio):
        self.carrier = self.start(Kamailio(self.workspace, numbers or {NUMBER: "phone"},
                                           **kamailio))
        secret = self.workspace.write("carrier-password", password + "\n", 0o600)
        self.junctor = self.start(Junctor(self.workspace, CONFIG.format(
            address=self.carrier.address, password=secret, more=more)))
        self.alice = self.junctor.account("alice")

    def trunk(self):
        return self.junctor.get("trunks")["trunks"][0]

    def wait_trunk(self, state):
        wait_until(lambda: self.trunk()["state"] == state, 20, f"the trunk to be {state}")
        return self.trunk()

    def phone(self):
        phone = self.start(Baresip(self.workspace, "phone", frequency=PHONE_TONE,
                                   registrar=self.carrier.address, password="ph0ne"))
        phone.wait_registered()
        return phone

    def call(self, to):
        self.push = self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url(to),
                                               frequency=ALICE_TONE))
        self.call_id = self.junctor.find_call("alice")
        return self.junctor.wait_state(self.call_id, "answered")


class Registration(TrunkTest):
    def test_it_is_made_by_digest_and_taken_back(self):
        self.begin()
        trunk = self.wait_trunk("registered")
        self.assertEqual(trunk["sip_code"], 200)
        self.assertGreater(trunk["expires_in"], 500)
        self.assertEqual(self.carrier.registrations("trunk1"), ["600"])
        status, output = self.junctor.command("trunks")
        self.assertEqual(status, 0)
        self.assertRegex(output, r"carrier +registered +sip:127\.0\.0\.1:\d+ +for \d+ s")
        self.assertIn('junctor_sip_trunks{state="registered"} 1',
                      self.junctor.request("GET", "/metrics"))
        self.junctor.stop()
        wait_until(lambda: self.carrier.registrations("trunk1") == ["600", "0"], 10,
                   "the registration to be taken back")
        self.assertNotIn(Kamailio.PASSWORD, self.junctor.log())

    def test_a_wrong_password_is_seen_and_not_tried_over_and_over(self):
        self.begin(password="n0t-it")
        trunk = self.wait_trunk("failed")
        self.assertEqual(trunk["sip_code"], 401)
        self.assertIn("refused our user and password", trunk["detail"])
        self.assertGreater(trunk["retry_in"], 200)
        status, output = self.junctor.command("trunks")
        self.assertEqual(status, 0)
        self.assertIn("refused our user and password", output)
        self.assertIn('junctor_sip_trunks{state="failed"} 1',
                      self.junctor.request("GET", "/metrics"))
        self.assertNotIn("n0t-it", self.junctor.log())
        self.assertEqual(len(self.carrier.seen("REGISTER")), 2)

    def test_it_is_refreshed_as_long_as_the_registrar_grants(self):
        self.begin(min_expires=1, max_expires=3)
        self.wait_trunk("registered")
        wait_until(lambda: len(self.carrier.registrations("trunk1")) >= 3, 20, "two refreshes")
        self.assertEqual(self.trunk()["state"], "registered")


class CallsOut(TrunkTest):
    def test_a_phone_behind_it_sees_and_hears(self):
        self.begin()
        self.wait_trunk("registered")
        phone = self.phone()
        pull = self.start(rtmp.FfmpegPull(self.workspace, self.alice.pull_url()))
        call = self.call(NUMBER)
        self.assertEqual(call["uri"], f"sip:{NUMBER}@{self.carrier.address}")
        pull.wait_picture(Baresip.IDENTITY)
        pull.wait_tone(PHONE_TONE)
        shot = wait_until(phone.snapshot, 15, "a picture at the phone")
        self.assertEqual(media.mark_of(shot[0])[0], ALICE)
        wait_until(lambda: len(phone.heard()[0]) > 3 * phone.heard()[1], 15, "sound at the phone")
        number, user, host, asserted = self.carrier.seen("INVITE")[0]
        self.assertEqual((number, user, host), (NUMBER, "trunk1", HOST))
        self.assertEqual(asserted, f"<sip:4989@{self.carrier.address}>")
        self.push.stop()
        self.assertEqual(self.junctor.wait_ended(self.call_id)["reason"], "caller-hangup")
        phone.stop()
        samples, rate = phone.heard()
        self.assertGreater(tones.longest_with_tone(samples, rate, ALICE_TONE), 1.0)
        shown = json.dumps(self.junctor.call(self.call_id))
        self.assertNotIn(Kamailio.PASSWORD, shown + self.junctor.log())

    def test_a_redirection_is_followed_within_the_trunk(self):
        self.begin()
        self.wait_trunk("registered")
        self.phone()
        call = self.call("302" + NUMBER)
        self.assertEqual(call["redirected_to"], f"sip:{NUMBER}@{self.carrier.address}")
        self.junctor.hangup(self.call_id)
        self.junctor.wait_ended(self.call_id)

    def test_encryption_that_it_requires_is_not_offered_in_clear(self):
        self.begin(more='srtp = "require"')
        self.wait_trunk("registered")
        self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url(NUMBER)))
        record = self.junctor.wait_ended(self.junctor.find_call("alice"))
        self.assertEqual(record["reason"], "not-acceptable")
        self.assertRegex(record["detail"], "SRTP is required.*not reached over TLS")
        self.assertEqual(self.carrier.seen("INVITE"), [])

    def test_who_may_not_use_it_calls_nobody(self):
        self.begin()
        self.wait_trunk("registered")
        self.junctor.account("bob")
        for to in (NUMBER, f"sip:{NUMBER}@{self.carrier.address}"):
            with self.assertRaises(ApiError) as error:
                self.junctor.post("calls", {"from": "bob", "to": to})
            self.assertEqual(error.exception.status, 403, error.exception.body)
        with self.assertRaises(ApiError) as error:
            self.junctor.post("calls", {"from": "alice", "to": "110"})
        self.assertEqual(error.exception.status, 403, "no trunk takes this number")
        self.assertEqual(self.carrier.seen("INVITE"), [])


class CallsIn(TrunkTest):
    def test_a_number_there_rings_the_account_here(self):
        self.begin(numbers={"4989": "trunk1"})
        self.wait_trunk("registered")
        phone = self.phone()
        pull = self.start(rtmp.FfmpegPull(self.workspace, self.alice.pull_url()))
        wait_until(lambda: " pull publish/play as alice: accepted" in self.junctor.log(), 20,
                   "alice's player")
        phone.dial(f"sip:4989@{self.carrier.address}")
        known = wait_until(self.junctor.calls, 20, "the call")
        call = known[0]["id"]
        ringing = self.junctor.wait_state(call, "ringing")
        self.assertEqual((ringing["to"], ringing["direction"]), ("alice", "incoming"))
        self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url(), frequency=ALICE_TONE))
        self.junctor.wait_state(call, "answered")
        pull.wait_tone(PHONE_TONE)
        pull.wait_picture(Baresip.IDENTITY)
        # Keys of a caller count too.
        phone.command("sndcode", "7#")
        wait_until(lambda: self.junctor.call(call)["digits"] == "7#", 20, "the keys")
        status, output = self.junctor.command("dtmf", call, "3")
        self.assertEqual(status, 0, output)
        wait_until(lambda: any(e.get("type") == "CALL_DTMF_START" and e["param"] == "3"
                               for e in list(phone.events)), 20, "the key at the phone")
        phone.hangup()
        self.assertEqual(self.junctor.wait_ended(call)["reason"], "caller-hangup")
