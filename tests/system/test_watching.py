# What an operator watches: live events of calls with curl, and metrics as Prometheus's own parser
# reads them. SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import subprocess
import time

from prometheus_client.parser import text_string_to_metric_families
from support import rtmp
from support.baresip import Baresip
from support.case import SystemTest
from support.junctor import ApiError, Junctor
from support.ports import HOST
from support.process import Process, wait_until


class Watcher:
    """curl on the events; `states` has each change of each call, as told."""

    def __init__(self, workspace, junctor, name="events"):
        self.path = workspace.file(f"{name}.txt")
        with open(os.path.join(junctor.data_dir, "admin-token"), encoding="ascii") as file:
            token = file.read().strip()
        with open(self.path, "wb") as out:
            self.process = Process("curl", [
                "curl", "-sSN", "--noproxy", "*", "-H", f"Authorization: Bearer {token}",
                f"http://{HOST}:{junctor.http_port}/api/v1/events"],
                workspace.file(f"{name}.log"), stdout=out)

    def text(self):
        with open(self.path, encoding="utf-8") as file:
            return file.read()

    def calls(self):
        blocks = self.text().split("\n\n")
        return [json.loads(block.partition("\ndata: ")[2]) for block in blocks
                if block.startswith("event: call\n")]

    def states(self, call):
        """Without repetitions."""
        told = [each["state"] for each in self.calls() if each["id"] == call]
        return [state for i, state in enumerate(told) if i == 0 or told[i - 1] != state]

    def wait(self):
        wait_until(lambda: ": alive" in self.text(), 10, "the beginning of the events")

    def stop(self):
        return self.process.stop()


class Watching(SystemTest):
    def setUp(self):
        super().setUp()
        self.known = []
        self.junctor = self.start(Junctor(self.workspace))
        self.alice, bob = self.junctor.account("alice"), self.junctor.account("bob")
        self.bob = self.start(Baresip(self.workspace, "bob", registrar=self.junctor.sip_address,
                                      password=bob.password))
        self.bob.wait_registered()

    def metrics(self):
        """{(name, labels as sorted pairs): value}"""
        samples = {}
        for family in text_string_to_metric_families(self.junctor.request("GET", "/metrics")):
            self.assertTrue(family.documentation, family.name)
            self.assertNotEqual(family.type, "unknown", family.name)
            for sample in family.samples:
                samples[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
        return samples

    def call(self):
        push = self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url("bob"),
                                          log_name=f"push-{time.monotonic_ns()}.log"))
        call = self.junctor.find_call("alice", known=self.known)
        self.known.append(call)
        self.junctor.wait_state(call, "answered")
        wait_until(lambda: self.junctor.call(call)["video"]["sent_packets"] > 30, 20, "packets")
        return push, call

    def test_events_and_metrics_of_a_call(self):
        watcher = self.start(Watcher(self.workspace, self.junctor))
        watcher.wait()
        before = self.metrics()
        self.assertEqual(before["junctor_sip_phones", ()], 1)
        self.assertEqual(before["junctor_accounts", ()], 2)

        push, call = self.call()
        during = self.metrics()
        self.assertEqual(during["junctor_calls", (("state", "answered"),)], 1)
        self.assertEqual(during["junctor_rtmp_publishers", ()], 1)
        sent = ("junctor_rtp_sent_packets_total", (("medium", "video"),))
        self.assertGreater(during[sent], 30)
        late = self.start(Watcher(self.workspace, self.junctor, "late"))
        late.wait()
        wait_until(lambda: late.states(call), 10, "the running call, told to who comes late")

        push.stop()
        self.junctor.wait_ended(call)
        wait_until(lambda: "ended" in watcher.states(call), 10, "the event of the end")
        self.assertEqual(watcher.states(call), ["trying", "ringing", "answered", "ended"])
        self.assertEqual(watcher.calls()[-1]["reason"], "caller-hangup")
        self.assertEqual(late.states(call), ["answered", "ended"])

        after = self.metrics()
        record = self.junctor.call(call)
        self.assertEqual(after["junctor_calls", (("state", "answered"),)], 0)
        self.assertEqual(after["junctor_calls_ended_total", (("reason", "caller-hangup"),)], 1)
        self.assertEqual(after[sent], record["video"]["sent_packets"])
        self.assertEqual(after["junctor_call_setup_seconds_count", ()], 1)
        for stage in ("connect", "createStream", "publish/play"):
            self.assertGreaterEqual(
                after["junctor_rtmp_checks_total",
                      (("role", "unknown" if stage == "connect" else "push"), ("stage", stage),
                       ("verdict", "accepted"))], 1)
        with open(f"/proc/{self.junctor.pid}/stat", encoding="ascii") as file:
            threads = int(file.read().rpartition(")")[2].split()[17])
        self.assertAlmostEqual(self.metrics()["process_threads", ()], threads, delta=2)

    def test_who_may_not_watch_is_told(self):
        for path in ("events", "/metrics"):
            with self.assertRaises(ApiError) as caught:
                self.junctor.request("GET", path, headers={"Authorization": "Bearer wrong"})
            self.assertEqual(caught.exception.status, 401)

    def test_a_watcher_who_takes_nothing_hinders_nobody(self):
        """Stopped, it hinders nobody; the others and the calls go on, and the end is clean."""
        stuck = self.start(Watcher(self.workspace, self.junctor, "stuck"))
        stuck.wait()
        subprocess.run(["kill", "-STOP", str(stuck.process.pid)], check=True)
        watcher = self.start(Watcher(self.workspace, self.junctor))
        watcher.wait()
        push, call = self.call()
        push.stop()
        self.junctor.wait_ended(call)
        wait_until(lambda: "ended" in watcher.states(call), 10, "the event of the end")
        self.bob.stop()  # while there is somebody to unregister from
        self.junctor.stop()  # ends the watchers' answers; raises if it is not clean
        self.assertEqual(watcher.process.wait(10), 0)
        subprocess.run(["kill", "-CONT", str(stuck.process.pid)], check=True)
