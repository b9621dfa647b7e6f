# Processes that a test starts, watches and stops, each by its own pid.
# SPDX-License-Identifier: LGPL-2.1-or-later
"""One process each: its output goes to a log file, its end is waited for, nothing outlives us."""

import atexit
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

_running = []
_TICKS = os.sysconf("SC_CLK_TCK")


class Timeout(AssertionError):
    """Something promised did not happen within its guard."""


def wait_until(condition, guard=20.0, what="a condition", every=0.02):
    """Polls `condition` until it is true and returns its value; raises Timeout after `guard` s."""
    deadline = time.monotonic() + guard
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Timeout(f"{what}: not within {guard:g} s")
        time.sleep(every)


class Workspace:
    """A directory for the files and logs of one test; removed unless the test failed."""

    def __init__(self, prefix="junctor-test-"):
        self.path = tempfile.mkdtemp(prefix=prefix)
        self.keep = bool(os.environ.get("JUNCTOR_KEEP"))

    def file(self, *parts):
        path = os.path.join(self.path, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def write(self, name, text, mode=0o644):
        path = self.file(name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(path, mode)
        return path

    def close(self):
        if not self.keep:
            shutil.rmtree(self.path, ignore_errors=True)


class Process:
    """A child with its stderr (and stdout, unless asked for) in `log`. Dies with this program.

    Start it from a thread that lives as long as the child should: the kernel sends the death
    signal when the starting thread ends."""

    def __init__(self, name, argv, log, *, env=None, cwd=None, stdin=subprocess.DEVNULL,
                 stdout=None, pass_fds=()):
        self.name = name
        self.argv = list(argv)
        self.log_path = log
        self._log = open(log, "ab", buffering=0)
        self.started = time.monotonic()
        environment = dict(os.environ)
        environment.update(env or {})
        self.popen = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--"] + self.argv,
            stdin=stdin, stdout=self._log if stdout is None else stdout, stderr=self._log,
            env=environment, cwd=cwd, pass_fds=pass_fds, start_new_session=True)
        _running.append(self)

    @property
    def pid(self):
        return self.popen.pid

    @property
    def returncode(self):
        return self.popen.poll()

    def running(self):
        return self.popen.poll() is None

    def log(self):
        """All that it has written so far."""
        with open(self.log_path, "rb") as file:
            return file.read().decode("utf-8", "replace")

    def tail(self, lines=25):
        return "\n".join(self.log().splitlines()[-lines:])

    def wait(self, guard=20.0):
        """Waits for its own end; returns the exit status."""
        try:
            return self.popen.wait(guard)
        except subprocess.TimeoutExpired:
            raise Timeout(f"{self.name} (pid {self.pid}) still runs after {guard:g} s:\n"
                          f"{self.tail()}") from None

    def wait_log(self, pattern, guard=20.0):
        """Waits until its output matches the regular expression; returns the match."""
        compiled = re.compile(pattern, re.MULTILINE)

        def look():
            match = compiled.search(self.log())
            if match is None and not self.running():
                match = compiled.search(self.log())
                if match is None:
                    raise AssertionError(f"{self.name} ended with {self.returncode} before "
                                         f"/{pattern}/:\n{self.tail()}")
            return match

        try:
            return wait_until(look, guard, f"{self.name} to say /{pattern}/")
        except Timeout as error:
            raise Timeout(f"{error}\n{self.tail()}") from None

    def send_signal(self, number):
        if self.running():
            os.kill(self.pid, number)

    def stop(self, number=signal.SIGTERM, guard=8.0):
        """Asks it to end, and kills it if it does not; returns the exit status."""
        if self.running():
            os.kill(self.pid, number)
            try:
                self.popen.wait(guard)
            except subprocess.TimeoutExpired:
                os.kill(self.pid, signal.SIGKILL)
                self.popen.wait(guard)
        if self in _running:
            _running.remove(self)
        if not self._log.closed:
            self._log.close()
        return self.popen.returncode

    def stop_soundly(self, number=signal.SIGTERM, guard=15.0):
        """As stop(); raises if it does not end, or died by a signal that nobody sent it."""
        # Before, a test may have killed it.
        sent = (-number,) if self.running() else (-number, -signal.SIGKILL)
        status = self.stop(number, guard)
        if status < 0 and status not in sent:
            raise AssertionError(f"{self.name} ended by signal {-status}:\n{self.tail(60)}")
        return status

    def kill(self):
        return self.stop(signal.SIGKILL)

    def usage(self):
        return Usage.of(self.pid)


class Usage:
    """What a process costs at one moment."""

    def __init__(self, cpu, rss, peak, threads, descriptors):
        self.cpu = cpu                  # seconds of user and system time, all threads
        self.rss = rss                  # bytes resident of its own: heap, stacks, written data
        self.peak = peak                # bytes resident, shared ones too, at the worst moment
        self.threads = threads
        self.descriptors = descriptors

    @classmethod
    def of(cls, pid):
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            memory = file.read()
        # Not Private_Clean: a library's pages are that until another program maps them too.
        private = int(re.search(r"^Anonymous:\s+(\d+) kB", memory, re.MULTILINE).group(1))
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            peak = int(re.search(r"^VmHWM:\s+(\d+) kB", file.read(), re.MULTILINE).group(1))
        # utime and stime, fields 14 and 15 of proc(5); the first here is field 3.
        return cls((int(fields[11]) + int(fields[12])) / _TICKS, private * 1024, peak * 1024,
                   int(fields[17]), len(os.listdir(f"/proc/{pid}/fd")))


def run(argv, log, guard=60.0, env=None):
    """Runs one program to its end; returns the exit status. Its output is in `log`."""
    process = Process(os.path.basename(argv[0]), argv, log, env=env)
    try:
        return process.wait(guard)
    finally:
        process.stop()


@atexit.register
def _stop_all():
    for process in list(_running):
        process.kill()
