# A laboratory of hosts, routers and cables. SPDX-License-Identifier: LGPL-2.1-or-later
"""One private mount, pid and net namespace (and user namespace, unless we are root) for the whole
laboratory; in it a net namespace for each host. Nothing of it is seen outside, and when its first
process ends everything in it is gone."""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading

from support.process import Process, Timeout, Workspace

from .capture import Capture
from .hosts import Host, Internet, Router, prepared
from .nat import TYPES

_HERE = os.path.dirname(os.path.abspath(__file__))
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
_TOOLS = {"ip": "iproute2", "tc": "iproute2", "nft": "nftables", "conntrack": "conntrack",
          "unshare": "util-linux", "nsenter": "util-linux", "setpriv": "util-linux"}


class Unavailable(Exception):
    """This machine cannot have a laboratory; says why."""


class Inside(Process):
    """A program in a host. `pid` is its own, as seen from outside: signals go straight to it, and
    usage() is its."""

    @property
    def pid(self):
        around = self.popen.pid
        try:
            with open(f"/proc/{around}/task/{around}/children", encoding="ascii") as file:
                return int(file.read().split()[0])
        except (OSError, IndexError):
            return around                           # it has not begun yet, or has ended

    def stop(self, number=signal.SIGTERM, guard=8.0):
        try:
            return super().stop(number, guard)
        except ProcessLookupError:                  # it ended as we looked
            self.popen.wait(guard)
            return super().stop(number, guard)


class Lab:
    """Use as `with Lab() as lab:`, or stop() it. Logs go to `workspace` if one is given. With
    `ipv6` every host has an address of that kind too, and routers are firewalls for it."""

    def __init__(self, workspace=None, ipv6=False):
        missing = sorted({package for tool, package in _TOOLS.items()
                          if shutil.which(tool, path=_PATH) is None})
        if missing:
            raise FileNotFoundError(f"not installed: {', '.join(missing)}")
        if ipv6 and not os.path.exists("/proc/sys/net/ipv6"):
            raise Unavailable("the kernel has no IPv6")
        self._own_workspace = workspace is None
        self.workspace = workspace or Workspace("junctor-natlab-")
        self.hosts, self.processes = {}, []
        self.ipv6 = ipv6
        self.pid = None  # of its first process, once that has greeted
        self._number = 0
        self._lock = threading.Lock()
        self._answers = b""
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        self._agent = Process(
            "laboratory",
            ["unshare", *user, "--mount", "--pid", "--net", "--fork", "--kill-child",
             sys.executable, "-IS", os.path.join(_HERE, "agent.py")],
            self._log("laboratory"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            greeting = self._answer()
            if "error" in greeting:
                raise Unavailable(greeting["error"])
            self.pid = greeting["pid"]
            self.tool(["ip", "netns", "add", "wires"])
            self.script(prepared(self), "wires")
            self.internet = Internet(self)
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # What there is in it.

    def host(self, name, behind=None, addresses=1):
        """A host on the internet, or in the network of the router `behind`; `addresses` for one
        that has several (public hosts only)."""
        return Host(self, name, behind or self.internet, addresses)

    def router(self, name, nat, behind=None):
        """A router that treats its hosts as `nat` (a natlab.Nat) says."""
        return Router(self, name, nat, behind or self.internet)

    def site(self, name, kind):
        """A host called `name` with one of the accesses of natlab.TYPES. Its routers are called
        after it, the nearest to it `NAME-router`."""
        place, routers = self.internet, TYPES[kind].routers
        for index, nat in enumerate(routers):
            last = index == len(routers) - 1
            place = self.router(f"{name}-router" if last else f"{name}-carrier", nat, place)
        return self.host(name, place)

    # Programs.

    def prefix(self, host):
        """What to put in front of a program's arguments so that it runs in this host: for the
        helpers of tests that start programs themselves."""
        return [sys.executable, "-IS", os.path.join(_HERE, "enter.py"), str(self.pid), str(host)]

    def run(self, host, argv, *, name=None, log=None, **options):
        """Starts a program in a host; returns its Process. It is killed at the end at the latest.
        `options` are those of Process."""
        name = name or os.path.basename(argv[0])
        process = Inside(f"{name} in {host}", self.prefix(host) + list(argv),
                         log or self._log(f"{host}-{name}"), **options)
        self.processes.append((str(host), process))
        return process

    def output(self, host, argv, guard=30.0, **options):
        """Runs a program in a host to its end; returns what it wrote to standard output."""
        name = f"{host}-{os.path.basename(argv[0])}-{self.next_number()}"
        path = self.workspace.file(name + ".out")
        with open(path, "wb") as out:
            process = self.run(host, argv, stdout=out, **options)
            try:
                status = process.wait(guard)
            finally:
                process.kill()
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        if status != 0:
            raise AssertionError(f"{process.name} ended with {status}: {process.tail()}\n{text}")
        return text

    def kill(self, host):
        """Kills every program that was started in a host."""
        for where, process in self.processes:
            if where == str(host):
                process.kill()

    def script(self, text, host=None):
        """Runs text as a shell script, as the laboratory's root, in a host's network; returns what
        it wrote. For setting up: programs belong to run()."""
        return self.tool(["sh", "-e"], text, host)

    def ip(self, lines, host):
        """Lines for `ip -batch` in a host."""
        return self.tool(["ip", "-batch", "-"], "\n".join(lines) + "\n", host)

    def tool(self, argv, given="", host=None):
        with self._lock:
            asked = json.dumps({"host": None if host is None else str(host), "argv": argv,
                                "input": given})
            self._agent.popen.stdin.write(asked.encode() + b"\n")
            self._agent.popen.stdin.flush()
            answer = self._answer()
        if answer["status"] != 0:
            raise RuntimeError(f"{' '.join(argv)} in {host}: status {answer['status']}\n{given}\n"
                               f"{answer['output']}")
        return answer["output"]

    # What goes where.

    def capture(self, host, interface="any"):
        """Takes down every packet of a host (of one interface) until its stop()."""
        return Capture(self, host, interface)

    def counters(self, host):
        """{interface: {"rx": (packets, bytes), "tx": (packets, bytes)}} of a host."""
        links = json.loads(self.tool(["ip", "-s", "-j", "link", "show"], host=host))
        return {each["ifname"]: {way: (each["stats64"][way]["packets"],
                                       each["stats64"][way]["bytes"]) for way in ("rx", "tx")}
                for each in links}

    def map(self):
        """A picture of the laboratory in text."""
        return self.internet.drawn()

    # For the parts of it.

    def next_number(self):
        self._number += 1
        return self._number

    def add(self, host):
        """Makes the namespace of a new host."""
        if not re.fullmatch("[a-z][a-z0-9-]*", host.name) or host.name in ("wires", *self.hosts):
            raise ValueError(f"'{host.name}': a host wants a name of its own of small letters")
        self.tool(["ip", "netns", "add", host.name])
        self.hosts[host.name] = host

    def _log(self, name):
        return self.workspace.file(f"{name}-{self.next_number()}.log")

    def _answer(self, guard=30.0):
        while b"\n" not in self._answers:
            if not select.select([self._agent.popen.stdout], [], [], guard)[0]:
                raise Timeout(f"the laboratory did not answer within {guard:g} s")
            data = os.read(self._agent.popen.stdout.fileno(), 65536)
            if not data:
                said = self._agent.tail() or "the laboratory's first process ended"
                # Until it has greeted the machine may be at fault, which lets it make no namespaces.
                raise (Unavailable if self.pid is None else AssertionError)(said)
            self._answers += data
        line, _, self._answers = self._answers.partition(b"\n")
        return json.loads(line)

    def stop(self):
        """Ends every process in the laboratory, and it."""
        if self._agent.running():
            self._agent.popen.stdin.close()
            try:
                self._agent.wait(8.0)
            except Timeout:
                pass
        self._agent.kill()
        self._agent.popen.stdout.close()
        for _, process in self.processes:
            process.kill()
        if self._own_workspace:
            self.workspace.close()
