# Many calls: at once and one after another; afterwards everything is back at its level.
# SPDX-License-Identifier: LGPL-2.1-or-later
"""JUNCTOR_FULL=1 makes 50 calls at once, six times, and 200 one after another; else fewer."""
import datetime
import json
import os
import signal
import subprocess
import time

from support import rtmp
from support.case import FULL, SystemTest
from support.junctor import BUILD, Junctor
from support.ports import free_range
from support.process import Process, wait_until
from support.sipp import Sipp

AT_ONCE, WAVES, IN_TURN = (50, 6, 200) if FULL else (20, 4, 40)
# What Sofia keeps of a finished call for 32 s, and how unevenly malloc fills its pages. Calls at
# once make the peak uneven; calls in turn show the small leaks.
KIB_PER_CALL, KIB_PER_CALL_AT_ONCE = 40, 150
CONFIG = """
[sip]
allow = ["sip:*@127.0.0.1:*"]
"""


def tool(name):
    return os.path.join(BUILD, "bench", f"bench-{name}")


class L_Load(SystemTest):
    def setUp(self):
        super().setUp()
        # An allocator that gives back what it can: what then stays is held by somebody.
        self.junctor = self.start(Junctor(
            self.workspace, CONFIG, rtp_ports=800, log="info",
            environment_extra={"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "65536",
                               "MALLOC_MMAP_THRESHOLD_": "65536", "G_SLICE": "always-malloc"}))
        self.accounts = [self.junctor.account(f"caller{i}") for i in range(AT_ONCE)]
        self.base = free_range(4 * AT_ONCE)
        self.recording = self.workspace.file("load.flv")
        subprocess.run(
            ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i",
             "testsrc2=size=320x240:rate=15", "-f", "lavfi", "-i",
             "sine=frequency=440:sample_rate=8000:samples_per_frame=160", "-t", "10",
             *rtmp.X264, "-b:v", "200k", "-c:a", "pcm_alaw", "-ac", "1", "-f", "flv",
             self.recording], check=True, timeout=60)

    def start_callee(self, rows, calls):
        ports = self.workspace.write(
            f"ports-{time.monotonic_ns()}.csv", "SEQUENTIAL\n" + "".join(
                f"{self.base + 4 * i};{self.base + 4 * i + 2}\n" for i in range(rows)))
        path = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(
            os.path.abspath(__file__)))), "bench", "load", "callee.xml")
        return self.start(Sipp(self.workspace, path, calls=calls, limit=calls + 10,
                               extra=("-inf", ports), trace=False))

    def start_publishers(self, accounts, sipp, seconds):
        lines = ""
        for account in accounts:
            app, _, stream = account.push_url(sipp.uri()).partition("/call?")[2].partition("/")
            lines += f"{self.junctor.rtmp_port} call?{app} {stream}\n"
        publishers = Process("publishers", [tool("publishers"), self.recording, str(seconds)],
                             self.workspace.file(f"publishers-{time.monotonic_ns()}.log"),
                             stdin=subprocess.PIPE)
        self.addCleanup(publishers.stop)
        publishers.popen.stdin.write(lines.encode())
        publishers.popen.stdin.close()
        return publishers

    def all_ended(self, before):
        """Waits until no call runs; returns the records that are new since `before`."""
        wait_until(lambda: not self.junctor.get("calls?state=running")["calls"], 30,
                   "all calls to be over", every=0.1)
        return [c for c in self.junctor.get("calls?limit=500")["calls"] if c["id"] not in before]

    def known(self):
        return {call["id"] for call in self.junctor.get("calls?limit=500")["calls"]}

    def check_records(self, records, callers, to):
        """One record for each of `callers`, in any order, of a call to `to` that the caller ended:
        50 packets of sound a second from the answer on, and at least 15 of pictures."""
        self.assertEqual(sorted(record["from"] for record in records), sorted(callers))
        for record in records:
            self.assertEqual((record["to"], record["state"], record["reason"]),
                             (to, "ended", "caller-hangup"), record["detail"])
            self.assertIsNone(record["ringing"], "this callee answers at once")
            moments = [record[name] for name in ("created", "answered", "ended")]
            self.assertTrue(all(moments), record)
            self.assertEqual(moments, sorted(moments), record)
            answered, ended = (datetime.datetime.fromisoformat(at) for at in moments[1:])
            seconds = (ended - answered).total_seconds()
            sound, pictures = (record[medium]["sent_packets"] for medium in ("audio", "video"))
            self.assertAlmostEqual(sound, 50 * seconds, delta=10 + 5 * seconds, msg=str(record))
            self.assertGreater(pictures, 15 * seconds * 0.9 - 5, record)
            for medium in ("audio", "video"):  # the callee only listens
                self.assertEqual((record[medium]["received_packets"], record[medium]["lost"]),
                                 (0, 0), record)

    def settled(self):
        """Usage when nothing has changed any more for a moment."""
        last = self.junctor.process.usage()
        for _ in range(60):
            time.sleep(0.5)
            now = self.junctor.process.usage()
            if (now.threads, now.descriptors) == (last.threads, last.descriptors) and \
                    abs(now.rss - last.rss) < 200_000:
                return now
            last = now
        return last

    def back_at_level(self, before, after, calls, allowed=KIB_PER_CALL):
        for name, usage in (("at level", before), (f"after {calls} calls more", after)):
            print(f"# {name}: {usage.rss / 1e6:.1f} MB own, {usage.peak / 1e6:.1f} MB peak, "
                  f"{usage.descriptors} descriptors, {usage.threads} threads")
        self.assertLessEqual(after.threads, before.threads + 1)
        self.assertLessEqual(after.descriptors, before.descriptors + 2)
        # What malloc keeps of a wave varies; a leak raises the peak of each wave that follows. The
        # peak alone could have been another's, at the start.
        for name in ("rss", "peak"):
            grown = (getattr(after, name) - getattr(before, name)) / 1024
            self.assertLess(grown, allowed * calls, f"memory ({name}) grew by {grown:.0f} KiB in "
                                                    f"{calls} calls")

    def wave(self):
        """AT_ONCE passthrough calls with their players; checks them while they run."""
        before = self.known()
        sinks = Process("sinks", [tool("sinks"), str(self.base), str(AT_ONCE)],
                        self.workspace.file(f"sinks-{time.monotonic_ns()}.log"),
                        stdout=subprocess.PIPE)
        self.addCleanup(sinks.stop)
        self.assertEqual(sinks.popen.stdout.readline(), b"ready\n")
        sipp = self.start_callee(AT_ONCE, AT_ONCE)
        players = [rtmp.rtmpdump_pull(self.workspace, account.pull_url("audio=pcma"),
                                      f"player-{account.name}-{time.monotonic_ns()}")
                   for account in self.accounts]
        for player in players:
            self.addCleanup(player.stop)
        wait_until(lambda: self.junctor.log().count(" pull publish/play as caller") >=
                   self.played + AT_ONCE, 30, "all players to play")
        self.played += AT_ONCE
        idle = self.junctor.process.usage()
        publishers = self.start_publishers(self.accounts, sipp, 600)
        wait_until(lambda: sum(call["state"] == "answered" for call in
                               self.junctor.get("calls?state=running")["calls"]) == AT_ONCE, 40,
                   f"{AT_ONCE} answered calls", every=0.2)
        time.sleep(3)
        sinks.send_signal(signal.SIGUSR1)
        time.sleep(4)
        sinks.send_signal(signal.SIGUSR2)
        figures = json.loads(sinks.popen.stdout.readline())
        busy = self.settled_threads()
        running = self.junctor.get("calls?state=running&limit=500")["calls"]
        plans = [self.junctor.call(call["id"])["plan"] for call in running[:5]]
        for thing in (publishers, *players, sinks):
            thing.stop()
        lost = figures["lost"]
        self.assertEqual(lost, 0)
        self.assertGreater(figures["audio_packets"], 0.95 * 50 * 4 * AT_ONCE)
        self.assertGreater(figures["pictures"], 0.95 * 15 * 4 * AT_ONCE)
        for plan in plans:
            self.assertFalse([step for step in plan if step["transcoded"]])
        print(f"# {AT_ONCE} calls at once: {busy - idle.threads:+d} threads")
        self.assertLessEqual(busy - idle.threads, max(1, AT_ONCE // 10),
                             "a passthrough call adds no thread")
        return before, sipp

    def settled_threads(self):
        return min(self.junctor.process.usage().threads for _ in range(3))

    def test_many_at_once(self):
        self.played = 0
        for number in range(WAVES):
            before, sipp = self.wave()
            self.check_records(self.all_ended(before), [a.name for a in self.accounts], sipp.uri())
            sipp.wait(30)
            usage = self.settled()
            if number == WAVES // 2 - 1:
                level = usage  # caches, pools and the allocator have their size now
        self.back_at_level(level, usage, (WAVES - WAVES // 2) * AT_ONCE, KIB_PER_CALL_AT_ONCE)

    def test_one_after_another(self):
        sipp = self.start_callee(AT_ONCE, IN_TURN)
        level = None
        for number in range(IN_TURN):
            if number == IN_TURN // 4:
                level = self.settled()
            before = self.known() if number in (0, IN_TURN // 4) else before
            publishers = self.start_publishers([self.accounts[number % AT_ONCE]], sipp, 0.8)
            self.assertEqual(publishers.wait(20), 0, publishers.tail())
            publishers.stop()
            wait_until(lambda: not self.junctor.get("calls?state=running")["calls"], 20,
                       "the call to be over")
        sipp.wait(30)
        rest = range(IN_TURN // 4, IN_TURN)
        self.check_records(self.all_ended(before), [self.accounts[n % AT_ONCE].name for n in rest],
                           sipp.uri())
        self.back_at_level(level, self.settled(), IN_TURN - IN_TURN // 4)
