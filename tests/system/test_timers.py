# Session timers (RFC 4028): with SIPp, which does what it is told, and with a phone that knows nothing of
# them behind Kamailio. What takes as long as the shortest timer of the RFC, 90 s, is for JUNCTOR_FULL=1.
# SPDX-License-Identifier: LGPL-2.1-or-later
import re
import time

from support import rtmp, rtp
from support.baresip import Baresip
from support.case import SystemTest, only_full
from support.junctor import Junctor
from support.kamailio import Kamailio
from support.process import wait_until
from support.sipp import Sipp

CONFIG = """
[sip]
allow = ["sip:*@127.0.0.1:*"]
incoming = "anyone"
"""
TIMER = 90
BY_UPDATE, BY_INVITE = "INVITE, ACK, BYE, CANCEL, UPDATE", "INVITE, ACK, BYE, CANCEL"


def requests(phone, method):
    """[(time, text)] of the requests of this method that SIPp got, each once."""
    found = {}
    for at, way, text in phone.messages_seen():
        if way == "received" and text.startswith(method + " "):
            found.setdefault(re.search(r"^CSeq: *(.*?)\s*$", text, re.MULTILINE)[1], (at, text))
    return list(found.values())


class TimersTest(SystemTest):
    def phone(self, scenario, calls=None, **keys):
        """A SIPp, beside its media; `calls` is the account that it calls."""
        peer = rtp.RtpPeer()
        self.addCleanup(peer.close)
        extra = ("-s", calls, self.junctor.sip_address) if calls else ()
        return self.start(Sipp(self.workspace, scenario, keys={**peer.keys(), **keys},
                               extra=extra)), peer

    def push(self, name, to=None):
        account = self.junctor.account(name)
        pushed = self.start(rtmp.FfmpegPush(self.workspace, account.push_url(to), name=name,
                                            audio="pcm_alaw", video=False))
        wait_until(lambda: f" push publish/play as {name}: accepted" in self.junctor.log(), 20,
                   f"the publish of {name}")
        return pushed

    def call_out(self, name, session, allow):
        """A terminal calls a phone, which answers with this timer."""
        phone, peer = self.phone("callee_session.xml", session=session, allow=allow)
        phone.wait_listening()
        self.push(name, phone.uri())
        call = self.junctor.find_call(name)
        self.junctor.wait_state(call, "answered")
        return call, phone, peer

    def call_in(self, name, session, allow):
        """A phone calls a terminal with this timer; the API answers."""
        self.push(name)
        # Who refreshes is named by what they are in the request: ours make us the UAC.
        phone, peer = self.phone(
            "caller_session.xml", name, session=session, allow=allow,
            refreshed=session.replace("uas", "uac"))
        call = wait_until(lambda: [c["id"] for c in self.junctor.calls() if c["to"] == name], 20,
                          f"the call to {name}")[0]
        self.junctor.wait_state(call, "ringing")
        self.junctor.post(f"calls/{call}/answer")
        self.junctor.wait_state(call, "answered")
        return call, phone, peer

    def carries_sound(self, peer):
        before = peer.count(rtp.AUDIO)
        wait_until(lambda: peer.count(rtp.AUDIO) > before + 20, 10, "more sound at the phone")


class TimesThatDoNotFit(TimersTest):
    def test_a_longer_time_is_asked_for_and_the_refresh_of_the_phone_answered(self):
        junctor = self.start(Junctor(self.workspace, '[sip]\nallow = ["sip:*@127.0.0.1:*"]\n'))
        alice = junctor.account("alice")
        peer = rtp.RtpPeer()
        self.addCleanup(peer.close)
        phone = self.start(Sipp(self.workspace, "callee_timer.xml", keys=peer.keys()))
        self.start(rtmp.FfmpegPush(self.workspace, alice.push_url(phone.uri())))
        call = junctor.find_call("alice")
        junctor.wait_state(call, "answered")
        wait_until(lambda: phone.trace().count("CSeq: 1 UPDATE") >= 2, 15, "the refresh")
        # The media go on as if nothing had been.
        before = peer.count(rtp.AUDIO)
        wait_until(lambda: peer.count(rtp.AUDIO) > before + 20, 10, "more sound")
        time.sleep(0.2)
        junctor.hangup(call)
        junctor.wait_ended(call)
        phone.wait()
        messages = [text for _, _, text in phone.messages_seen()]
        invites = [text for text in messages if text.startswith("INVITE ")]
        self.assertIn("Session-Expires: 1800", invites[0])
        self.assertIn("Session-Expires: 3600", invites[1])
        self.assertIn("Min-SE: 3600", invites[1])
        answers = [text for text in messages
                   if text.startswith("SIP/2.0 200") and "CSeq: 1 UPDATE" in text]
        self.assertRegex(answers[0], r"Session-Expires: \d+;refresher=uac")

    def test_a_phone_that_asks_for_less_than_the_least_is_told_so(self):
        """And asks again: a call from a phone to a terminal."""
        self.junctor = self.start(Junctor(self.workspace, CONFIG))
        call, phone, _ = self.call_in("alice", f"{TIMER};refresher=uac", BY_UPDATE)
        agreed = wait_until(lambda: [text for _, way, text in phone.messages_seen()
                                     if way == "received" and text.startswith("SIP/2.0 200")], 10,
                            "the answer")[0]
        self.assertIn(f"Session-Expires: {TIMER};refresher=uac", agreed)
        self.assertRegex(agreed, r"Require:.*timer")
        self.junctor.hangup(call)
        phone.wait()


@only_full("it takes a minute and a half")
class NinetySeconds(TimersTest):
    # Who calls, the timer, what the phone lets itself be refreshed by, by what it is refreshed.
    REFRESHED = [
        ("call_out", "uac", BY_UPDATE, "UPDATE"),
        ("call_out", "uac", BY_INVITE, "INVITE"),
        ("call_in", "uas", BY_UPDATE, "UPDATE"),
        ("call_in", "uas", BY_INVITE, "INVITE"),
    ]
    SILENT = [("call_out", "uas", BY_UPDATE), ("call_in", "uac", BY_UPDATE)]

    def test_we_refresh_in_time_and_end_what_nobody_refreshes(self):
        """All at once: each has 90 s."""
        self.junctor = self.start(Junctor(self.workspace, CONFIG))
        calls = []
        for number, (begin, refresher, allow, *method) in enumerate(self.REFRESHED + self.SILENT):
            calls.append((time.monotonic(), *getattr(self, begin)(
                f"account{number}", f"{TIMER};refresher={refresher}", allow), *method))
        refreshed, silent = calls[:len(self.REFRESHED)], calls[len(self.REFRESHED):]
        for began, call, phone, _ in silent:
            record = self.junctor.wait_ended(call, TIMER + 20)
            self.assertEqual(record["reason"], "unreachable")
            self.assertIn("stopped refreshing", record["detail"])
            phone.wait()
            (ended, bye), = requests(phone, "BYE")
            print(f"# nobody refreshed: BYE after {ended - began:.0f} s", flush=True)
            self.assertRegex(bye, r"Reason: SIP *;.*Session timeout")
            # RFC 4028, 10: not at the last moment.
            self.assertLess(ended - began, TIMER - 5)
            self.assertGreater(ended - began, TIMER / 2)
        wait_until(lambda: time.monotonic() > calls[-1][0] + TIMER + 10, TIMER + 20,
                   "the timers that were agreed on first to be over", every=1)
        for began, call, phone, peer, method in refreshed:
            with self.subTest(call=call, method=method):
                self.assertEqual(self.junctor.call(call)["state"], "answered")
                self.carries_sound(peer)
                again = [(at, text) for at, text in requests(phone, method)
                         if re.search(r"^To:.*tag=", text, re.MULTILINE)]
                print(f"# refreshed by {method} after "
                      + ", ".join(f"{at - began:.0f} s" for at, _ in again), flush=True)
                self.assertGreaterEqual(len(again), 1)
                self.assertLess(again[0][0] - began, TIMER * 2 / 3)
                self.assertRegex(again[0][1], rf"Session-Expires: {TIMER} *;refresher=uac")
                other = "INVITE" if method == "UPDATE" else "UPDATE"
                self.assertFalse([text for _, text in requests(phone, other)
                                  if re.search(r"^To:.*tag=", text, re.MULTILINE)])
                self.junctor.hangup(call)
                phone.wait()

    def test_a_phone_behind_a_trunk_that_knows_no_timers_is_refreshed(self):
        carrier = self.start(Kamailio(self.workspace, {"4930123": "phone"}))
        secret = self.workspace.write("carrier-password", Kamailio.PASSWORD + "\n", 0o600)
        self.junctor = self.start(Junctor(self.workspace, f"""
[sip]
session-expires-s = {TIMER}
[[sip.trunks]]
name = "carrier"
uri = "sip:{carrier.address}"
user = "trunk1"
password-file = "{secret}"
dial = ["49*"]
accounts = ["alice"]
"""))
        phone = self.start(Baresip(self.workspace, "phone", registrar=carrier.address,
                                   password="ph0ne", video=False))
        phone.wait_registered()
        wait_until(lambda: self.junctor.get("trunks")["trunks"][0]["state"] == "registered", 20,
                   "the trunk")
        self.push("alice", "4930123")
        call = self.junctor.find_call("alice")
        self.junctor.wait_state(call, "answered")
        began, invites = time.monotonic(), len(carrier.seen("INVITE"))
        wait_until(lambda: len(carrier.seen("INVITE")) > invites, TIMER, "the refresh", every=0.5)
        print(f"# refreshed through the trunk after {time.monotonic() - began:.0f} s", flush=True)
        heard = len(phone.heard()[0])
        wait_until(lambda: len(phone.heard()[0]) > heard + 8000, 15, "more sound at the phone")
        self.assertEqual(self.junctor.call(call)["state"], "answered")
        self.assertEqual(phone.event_times("CALL_CLOSED"), [])
        self.junctor.hangup(call)
        phone.wait_event("CALL_CLOSED")
