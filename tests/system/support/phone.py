# `junctor phone`, run and listened to. SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import signal
import subprocess

from . import marks
from .junctor import BUILD, environment
from .process import Process, wait_until

JUNCTOR = os.path.join(BUILD, "orchestrator", "junctor")
_WIDTH, _HEIGHT, _FPS = 320, 180, 10


def film(workspace, identity, name, seconds=60):
    """A file with a marked picture for --video; its path."""
    path = workspace.file(f"film-{identity}.mp4")
    picture = marks.Picture(identity, name, _WIDTH, _HEIGHT)
    frames = b"".join(picture.frame(number) for number in range(1, seconds * _FPS + 1))
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "rawvideo", "-pix_fmt",
                    "yuv420p", "-s", f"{_WIDTH}x{_HEIGHT}", "-r", str(_FPS), "-i", "-", "-c:v",
                    "libx264", "-preset", "ultrafast", "-g", "50", path], input=frames, check=True)
    return path


class Phone:
    """`host`: of a laboratory; None: this machine. What it prints are its events, or with `words`
    the lines for people."""

    def __init__(self, workspace, name, url, token, *arguments, host=None, log=None, words=False):
        self.name, self.workspace = name, workspace
        log = log or name
        self.pictures = os.path.dirname(workspace.file(f"{log}-pictures", "x"))
        self.sound = workspace.file(f"{log}-sound", "heard.wav")
        token_file = workspace.write(f"{log}.token", token, 0o600)
        self._events = workspace.file(f"{log}.events")
        argv = [JUNCTOR, "phone", "--url", url, "--token-file", token_file,
                *(() if words else ("--json",)), "--save-pictures", self.pictures, "--save-sound",
                self.sound, *arguments]
        with open(self._events, "wb") as out:
            if host is not None:
                self.process = host.run(argv, stdout=out, env=environment(), name=log)
            else:
                self.process = Process(log, argv, workspace.file(f"{log}.log"), env=environment(),
                                       stdout=out)

    def lines(self):
        with open(self._events, encoding="utf-8") as file:
            return file.read().split("\n")[:-1]

    def events(self, kind=None):
        found = [json.loads(line) for line in self.lines()]
        return found if kind is None else [each for each in found if each["event"] == kind]

    def wait(self, kind, guard=20.0, after=0, **fields):
        """The first event of this kind with these fields, but for the `after` first of all."""
        def look():
            for each in self.events()[after:]:
                if each["event"] == kind and all(each.get(key) == value
                                                 for key, value in fields.items()):
                    return each
            if not self.process.running():
                raise AssertionError(f"{self.name} ended with {self.process.returncode}: "
                                     f"{self.said()}")
            return None
        return wait_until(look, guard, f"{kind} {fields} of {self.name}", every=0.05)

    def said(self):
        return "\n".join(self.lines()[-12:]) + self.process.tail()

    def picture(self, guard=15.0):
        """The newest picture of the peer's, as a file."""
        before = len(self.events("picture-saved"))

        def saved():
            self.process.send_signal(signal.SIGUSR1)
            found = self.events("picture-saved")
            return found[-1]["path"] if len(found) > before else None
        return wait_until(saved, guard, f"a picture at {self.name}", every=0.3)

    def hang_up(self):
        self.process.send_signal(signal.SIGINT)

    def ended(self, guard=20.0):
        """The exit status, once it has ended."""
        return self.process.wait(guard)

    def stop(self):
        self.process.stop_soundly(signal.SIGINT)
