# G5: the M × N rule on the push terminal's media. SPDX-License-Identifier: LGPL-2.1-or-later
import re
import subprocess
import threading
import time

from support import media, rtmp
from support.baresip import Baresip
from support.case import SystemTest
from support.junctor import Junctor
from support.process import wait_until
from support.rtmp_raw import RawRtmp, flv_tags

INTERVAL, TRIES = 400, 10  # 4 s in all
LIMIT = INTERVAL * TRIES / 1000
CONFIG = """
[watchdog]
interval-ms = {}
tries = {}
"""
# Each check of the rule is told in the log.
TELL_CHECKS = {"GST_DEBUG": "mediawatchdog:6", "GST_DEBUG_NO_COLOR": "1"}
ALICE, BOB = rtmp.FfmpegPush.IDENTITY, Baresip.IDENTITY


class WatchdogTest(SystemTest):
    interval, tries = INTERVAL, TRIES

    def setUp(self):
        super().setUp()
        self.junctor = self.start(Junctor(self.workspace, CONFIG.format(self.interval, self.tries),
                                          environment_extra=TELL_CHECKS))
        self.alice, bob = self.junctor.account("alice"), self.junctor.account("bob")
        self.bob = self.start(Baresip(self.workspace, "bob", registrar=self.junctor.sip_address,
                                      password=bob.password))
        self.bob.wait_registered()

    def call_without_push(self):
        """bob answers a call for which nobody publishes; a player watches."""
        self.pull = self.start(rtmp.FfmpegPull(self.workspace, self.alice.pull_url()))
        self.call_id = self.junctor.post("calls", {"from": "alice", "to": "bob"})["id"]
        self.bob.wait_event("CALL_ESTABLISHED")
        self.junctor.wait_state(self.call_id, "answered")

    def checks(self):
        """How many checks in a row were silent at each check so far; 0 is one that found media."""
        return [int(n) for n in re.findall(r"on_timer.*> *\w+, (\d+) silent checks",
                                           self.junctor.log())]

    def wait_checks(self, count):
        """Waits for so many more checks; returns them."""
        before = len(self.checks())
        wait_until(lambda: len(self.checks()) >= before + count,
                   20 + 2 * count * self.interval / 1000, f"{count} more checks")
        return self.checks()[before:]

    def call_with_push(self):
        self.pull = self.start(rtmp.FfmpegPull(self.workspace, self.alice.pull_url()))
        self.push = rtmp.FfmpegPush(self.workspace, self.alice.push_url("bob"))
        self.addCleanup(self.push.drop)
        self.call_id = self.junctor.find_call("alice")
        self.bob.wait_event("CALL_ESTABLISHED")
        self.junctor.wait_state(self.call_id, "answered")
        self.pull.wait_picture(BOB)
        self.wait_phone_sees(0)

    def wait_phone_sees(self, since):
        """A picture of alice at the phone; frames decoded before `since` do not count."""
        def look():
            shot = self.bob.snapshot(guard=1)
            mark = shot and shot[1] > since and media.mark_of(shot[0])
            return mark and mark[0] == ALICE
        wait_until(look, 15, "a picture of alice at the phone")


class G5_LastTry(WatchdogTest):
    """Tries so long that what happens in the last one is surely in it."""
    interval, tries = 1500, 3

    def test_media_in_the_last_try_saves_the_call(self):
        recording = self.workspace.file("push.flv")
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i",
                        "testsrc2=size=320x240:rate=25", *rtmp.X264, "-t", "30", recording],
                       check=True, timeout=60)
        tags = flv_tags(recording)
        self.call_without_push()
        push = RawRtmp(self.junctor.rtmp_port)
        self.addCleanup(push.close)
        push.connect(f"call?token={self.alice.token}", self.junctor.rtmp_port)
        push.create_stream()
        push.publish("alice")  # and says nothing: a publisher alone is no media
        wait_until(lambda: self.checks()[-1:] == [self.tries - 1], 20, "the last try")
        threading.Thread(target=push.send_tags, args=(tags,), daemon=True).start()
        # The line is made anew for the tracks that are known now, with the tries that are left.
        self.junctor.process.wait_log(r"flowing after .* of silence", 20)
        self.assertEqual(self.checks()[:self.tries - 1], list(range(1, self.tries)))
        self.assertEqual(set(self.wait_checks(self.tries + 1)), {0})
        self.assertEqual(self.junctor.call(self.call_id)["state"], "answered")
        push.close()
        self.assertEqual(self.junctor.wait_ended(self.call_id)["reason"], "no-push-media")
        self.assertEqual(self.checks()[-self.tries:], list(range(1, self.tries + 1)),
                         "who is saved has all tries again")


class G5_Watchdog(WatchdogTest):
    def test_no_push_media_ends_the_call_after_m_times_n(self):
        self.call_without_push()  # bob talks all the while, which does not help
        self.pull.wait_picture(BOB)
        record = self.junctor.wait_ended(self.call_id, LIMIT + 10)
        self.assertEqual(record["reason"], "no-push-media")
        self.assertEqual(self.checks(), list(range(1, TRIES + 1)))
        silence = re.search(r"lost after \d:\d\d:([\d.]+) of silence", self.junctor.log())
        self.assertGreaterEqual(float(silence.group(1)), LIMIT)
        self.bob.wait_event("CALL_CLOSED")  # by BYE
        self.pull.process.wait(15)

    def test_ringing_does_not_count(self):
        self.bob.stop()
        bob2 = self.junctor.account("carol")
        carol = self.start(Baresip(self.workspace, "carol", answer="manual",
                                   registrar=self.junctor.sip_address, password=bob2.password))
        carol.wait_registered()
        call = self.junctor.post("calls", {"from": "alice", "to": "carol"})["id"]
        carol.wait_event("CALL_INCOMING")
        time.sleep(LIMIT + 1.5)
        self.assertEqual(self.junctor.call(call)["state"], "ringing")
        self.assertEqual(self.checks(), [])
        self.junctor.hangup(call)
        self.assertEqual(self.junctor.wait_ended(call)["reason"], "admin")

    def test_a_push_that_drops_and_comes_back_goes_on(self):
        self.call_with_push()
        self.push.drop()
        dropped = time.monotonic()
        wait_until(lambda: self.checks()[-1:] == [TRIES // 3], 20, "a third of the limit")
        self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url("bob"),
                                   log_name="push-again.log"))
        self.wait_phone_sees(dropped + 0.5)
        self.wait_checks(TRIES + 1)
        self.assertEqual(self.junctor.call(self.call_id)["state"], "answered")
        self.assertEqual(len(self.junctor.calls()), 1, "the same call goes on")
        self.assertTrue(self.pull.process.running())
        self.assertTrue(self.pull.seen(BOB, since=time.monotonic() - 1))
        self.assertEqual(len(self.bob.event_times("CALL_CLOSED")), 0)

    def test_a_push_that_drops_for_good_ends_the_call(self):
        self.call_with_push()
        self.push.drop()
        record = self.junctor.wait_ended(self.call_id, LIMIT + 10)
        self.assertEqual(record["reason"], "no-push-media")
        self.bob.wait_event("CALL_CLOSED")

    def test_sound_alone_is_not_silence(self):
        self.pull = self.start(rtmp.FfmpegPull(self.workspace, self.alice.pull_url()))
        self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url("bob"), video=False))
        call = self.junctor.find_call("alice")
        self.junctor.wait_state(call, "answered")
        self.wait_checks(TRIES + 2)
        self.assertEqual(self.junctor.call(call)["state"], "answered")

    def test_a_picture_that_the_phone_does_not_take_is_not_silence(self):
        carol = self.junctor.account("carol")
        phone = self.start(Baresip(self.workspace, "carol", video=False,
                                   registrar=self.junctor.sip_address, password=carol.password))
        phone.wait_registered()
        push = self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url("carol"),
                                          audio=None))
        call = self.junctor.find_call("alice")
        self.junctor.wait_state(call, "answered")
        self.wait_checks(TRIES + 2)
        record = self.junctor.call(call)
        self.assertEqual(record["state"], "answered", record)
        push.drop()
        self.assertEqual(self.junctor.wait_ended(call, LIMIT + 10)["reason"], "no-push-media")
