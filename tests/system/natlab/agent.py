# The first process of a laboratory. SPDX-License-Identifier: LGPL-2.1-or-later
"""Pid 1 of the laboratory's pid namespace: sets up what is common to all its hosts, runs the
scripts that come in, reaps orphans. Its end is the end of every process in the laboratory, and with
them of the namespaces. It ends by itself when the other side of its standard input is gone.

A line in: JSON {"host": name or null, "argv": [...], "input": text}. A line out: JSON {"status",
"output"}.
The first line out is {"pid": the agent's pid as the world outside sees it} or {"error": text}."""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys

_COMMON = """
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/netns
# A name looked up here must fail at once, not after the time-outs of a name server out of reach.
touch /run/empty
if [ -e /etc/resolv.conf ]; then mount --bind /run/empty /etc/resolv.conf; fi
"""


_libc = ctypes.CDLL(None)


def run(argv, given="", host=None):
    def join():
        with open(f"/run/netns/{host}", encoding="ascii") as namespace:
            if _libc.setns(namespace.fileno(), 0) != 0:
                raise OSError(f"cannot join {host}")

    done = subprocess.run(argv, input=given.encode(), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False, preexec_fn=host and join)
    return {"status": done.returncode, "output": done.stdout.decode("utf-8", "replace")}


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0] > 0:
            pass
    except ChildProcessError:
        pass


def say(answer):
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main():
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    # The old /proc still tells what we are called outside.
    outside = int(os.readlink("/proc/self"))
    begun = run(["sh", "-ec", _COMMON])
    if begun["status"] != 0:
        say({"error": begun["output"].strip()})
        return
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    # ^C in a terminal is for the program that runs the laboratory, which closes us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    say({"pid": outside})
    pending = b""
    while True:
        ready = select.select([0, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 4096)
            reap()
        if 0 not in ready:
            continue
        data = os.read(0, 65536)
        if not data:
            return
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            asked = json.loads(line)
            say(run(asked["argv"], asked["input"], asked["host"]))


main()
