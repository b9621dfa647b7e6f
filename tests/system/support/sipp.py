# SIPp as the callee, told by a scenario. SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a scenario of tests/system/sipp. Media is not SIPp's: it names the ports of an RtpPeer."""

import datetime
import os
import re
import time

from .ports import HOST, free_port
from .process import Process, wait_until

SCENARIOS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sipp")


class Sipp:
    """One SIPp. `keys` become [name] in the scenario; `calls` is after how many it ends by itself
    (0: never)."""

    def __init__(self, workspace, scenario, *, keys=None, calls=1, transport="u1", port=None,
                 limit=None, extra=(), trace=True):
        self.port = port or free_port()
        name = os.path.basename(scenario).removesuffix(".xml")
        path = scenario if os.path.isabs(scenario) else os.path.join(SCENARIOS, scenario)
        self.directory = os.path.dirname(workspace.file(f"sipp-{name}-{self.port}", "x"))
        self.errors = os.path.join(self.directory, "errors.log")
        self.messages = os.path.join(self.directory, "messages.log")
        argv = ["sipp", "-sf", path, "-i", HOST, "-p", str(self.port), "-t", transport,
                "-cp", str(free_port()), "-trace_err", "-error_file", self.errors,
                "-nostdin", "-timer_resol", "5"]
        if trace:
            argv += ["-trace_msg", "-message_file", self.messages]
        if calls:
            argv += ["-m", str(calls)]
        if limit:
            argv += ["-l", str(limit)]
        for key, value in (keys or {}).items():
            argv += ["-key", key, str(value)]
        argv += list(extra)
        self.process = Process(f"sipp {name}", argv, os.path.join(self.directory, "log"),
                               cwd=self.directory)

    def wait_listening(self, guard=10.0):
        """Until an INVITE over UDP finds it."""
        def look():
            with open("/proc/net/udp", encoding="ascii") as file:
                return f":{self.port:04X} " in file.read()
        wait_until(look, guard, "SIPp's socket", every=0.02)

    def uri(self, user="callee", transport=None):
        suffix = f";transport={transport}" if transport else ""
        return f"sip:{user}@{HOST}:{self.port}{suffix}"

    def trace(self):
        """All SIP messages so far, as text."""
        try:
            with open(self.messages, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def messages_seen(self):
        """[(time.monotonic(), "sent" or "received", text)] of all SIP messages so far."""
        found = re.finditer(r"^-{40,} (?P<at>[-\d]+ [:\d]+\.\d+)\n\S+ message (?P<way>sent|received) "
                            r".*\n\n(?P<text>(?:(?!-{40,}).*\n?)*)", self.trace(), re.MULTILINE)
        since = time.time() - time.monotonic()
        return [(datetime.datetime.fromisoformat(m["at"]).timestamp() - since, m["way"], m["text"])
                for m in found]

    def problems(self):
        try:
            with open(self.errors, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def wait(self, guard=30.0):
        """Waits until all calls are done; raises unless each went by the scenario."""
        status = self.process.wait(guard)
        if status != 0:
            raise AssertionError(f"{self.process.name} ended with {status}:\n"
                                 f"{self.problems()[:2000]}\n"
                                 f"{self.trace()[-6000:]}")

    def stop(self):
        return self.process.stop()
