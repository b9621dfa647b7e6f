# A browser at the other end of stunpunch. SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import sys

from support import browserpeer
from support.case import SystemTest
from support.junctor import environment
from support.process import Process, wait_until

_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream",
          "--use-fake-ui-for-media-stream", "--autoplay-policy=no-user-gesture-required",
          "--allow-loopback-in-peer-connection", "--no-first-run", "--disable-background-networking")


class N3_Browser(SystemTest):
    def said(self):
        """By the peer: its objects so far."""
        return [json.loads(line) for line in self.peer.log().splitlines() if line.startswith("{")]

    def page(self):
        return [each["page"] for each in self.said() if "page" in each]

    def test_chromium_and_stunpunch_hear_each_other(self):
        """Chromium's ICE and DTLS, GStreamer's DTLS-SRTP, and stunpunch between the two."""
        self.peer = self.start(Process("peer", [sys.executable, browserpeer.__file__],
                                       self.workspace.file("peer.log"), env=environment()))
        url = self.peer.wait_log(r'"url": "(.*?)"').group(1)
        profile = self.workspace.file("chromium")
        os.makedirs(profile, exist_ok=True)
        self.start(Process("chromium", [
            "/usr/lib/chromium/chromium", *_FLAGS, f"--user-data-dir={profile}", url],
            self.workspace.file("chromium.log"), env={"HOME": profile}))

        def both_heard():
            errors = [each for each in self.said() + self.page() if "error" in each]
            self.assertEqual(errors, [])
            heard = [each["heard"] for each in self.said() if "heard" in each]
            tones = [each for each in self.page() if each.get("db") is not None]
            return (any(each["strength"] > 0.9 for each in heard) and
                    any(abs(each["hz"] - browserpeer.OF_PEER) < 20 for each in tones))

        wait_until(both_heard, 40, "the two to hear each other")
        heard = [each["heard"] for each in self.said() if "heard" in each]
        self.assertTrue(all(each["is-the-page"] for each in heard), "fingerprint of the page's SDP")
        self.assertEqual(heard[-1]["refused"], 0)
        self.assertIn({"connection": "connected"}, self.page())
