# What scripts/demo shows and prints. SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
import signal

from support import rtmp
from support.baresip import Baresip
from support.case import SystemTest
from support.junctor import SOURCE
from support.process import Process

PHONE, DORA_TONE = Baresip.IDENTITY, 700


class D_Demo(SystemTest):
    def test_kept_it_prints_what_really_works(self):
        demo = self.start(Process(
            "demo", [os.path.join(SOURCE, "scripts", "demo"), "--no-setup", "--keep", "--seconds",
                     "3", "--output", os.path.dirname(self.workspace.file("out", "x"))],
            self.workspace.file("demo.log")))
        demo.wait_log(r"Ctrl-C ends it\.", 120)

        def printed(pattern):
            return re.search(pattern, demo.log()).group(1)
        looker = self.start(rtmp.FfmpegPull(
            self.workspace, printed(r"what alice sees +(rtmp:\S+)"), name="looker"))
        looker.wait_picture(PHONE)
        looker.stop()

        # ffmpeg in OBS's place: it puts the key behind the server as OBS does.
        player = self.start(rtmp.FfmpegPull(self.workspace, printed(r"player, first +(rtmp:\S+)")))
        obs = self.start(rtmp.FfmpegPush(
            self.workspace, printed(r"server +(rtmp:\S+)") + "/" + printed(r"key +(\S+)"),
            log_name="obs.log"))
        player.wait_picture(PHONE)
        player.wait_tone(DORA_TONE)
        obs.stop()
        player.process.wait(15)

        demo.send_signal(signal.SIGINT)
        self.assertEqual(demo.wait(60), 0, demo.tail(60))
        self.assertIn("The demo went well", demo.log())
