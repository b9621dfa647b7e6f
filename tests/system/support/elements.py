# A gst-launch-1.0 line among real clients. SPDX-License-Identifier: LGPL-2.1-or-later
"""A test case with a phone, a pusher and a player at hand, each when it is asked for."""

from . import media, rtmp, tones
from .baresip import Baresip
from .case import SystemTest
from .junctor import environment
from .process import Process, wait_until

PUSHER, PHONE = rtmp.FfmpegPush.IDENTITY, Baresip.IDENTITY
TONES = {"pusher": 440, "phone": 1000}
IDENTITIES = {"pusher": PUSHER, "phone": PHONE}


class ElementsTest(SystemTest):
    def setUp(self):
        super().setUp()
        self.phone = self.push = self.player = None

    def make_phone(self):
        self.phone = self.start(Baresip(self.workspace, "bob", frequency=TONES["phone"],
                                        codecs="PCMA/8000/1"))
        return self.phone

    def make_push(self, url):
        self.push = self.start(rtmp.FfmpegPush(self.workspace, url, audio="pcm_alaw",
                                               frequency=TONES["pusher"]))
        return self.push

    def run_line(self, command, log="line.log"):
        """Runs a shell line with the freshly built plugin."""
        return self.start(Process(log.removesuffix(".log"), ["bash", "-c", "exec " + command],
                                  self.workspace.file(log), env=environment()))

    def port_open(self, port):
        def look():
            wanted = f":{port:04X} "
            with open("/proc/net/tcp", encoding="ascii") as file:
                return any(wanted in line and " 0A " in line for line in file)
        wait_until(look, 20, f"a server on port {port}")

    def phone_sees(self, identity):
        def look():
            shot = self.phone.snapshot(guard=1)
            mark = shot and media.mark_of(shot[0])
            return mark and mark[0] == identity
        wait_until(look, 20, f"a picture of {identity:#x} at the phone")

    def phone_hears(self, frequency, seconds=0.5):
        def look():
            samples, rate = self.phone.heard()
            last = samples[-int(rate * seconds):]
            return len(last) >= int(rate * seconds) and \
                tones.strength(last, rate, frequency) > 0.5
        wait_until(look, 20, f"{frequency} Hz at the phone")
