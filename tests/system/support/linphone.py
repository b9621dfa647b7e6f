# linphonec, a SIP phone that knows Speex. SPDX-License-Identifier: LGPL-2.1-or-later
"""Headless linphone: sends a tone from a file, records what it hears into another."""

import array
import os
import subprocess

from . import tones
from .ports import HOST, free_port, free_range
from .process import Process

_CONFIG = """\
[sip]
sip_port={sip}
sip_tcp_port=0
sip_tls_port=0
guess_hostname=0
contact=sip:{name}@{host}:{sip}
register_only_when_network_is_up=0
auto_net_state_mon=0
default_proxy=-1
[rtp]
audio_rtp_port={rtp}
audio_jitt_comp=40
[sound]
echocancellation=0
[video]
enabled=0
capture=0
display=0
"""
_CODEC = """\
[audio_codec_{index}]
mime={mime}
rate={rate}
channels={channels}
enabled={enabled}
"""
# All that this build of it has; one that is not named would come back by itself.
_CODECS = [("opus", 48000, 2), ("speex", 16000, 1), ("speex", 8000, 1), ("PCMU", 8000, 1),
           ("PCMA", 8000, 1), ("speex", 32000, 1), ("GSM", 8000, 1), ("G722", 8000, 1),
           ("BV16", 8000, 1), ("L16", 44100, 2), ("L16", 44100, 1)]


class Linphone:
    """A phone that answers by itself, or by answer(). `codecs`: of (mime, rate), those that it
    knows."""

    def __init__(self, workspace, name="carol", *, codecs, frequency=1000, seconds=120, auto=True):
        self.name = name
        self.home = os.path.dirname(workspace.file(f"linphone-{name}", "rc"))
        os.makedirs(os.path.join(self.home, ".local", "share", "linphone"))
        self.sip_port = free_port()
        tone = os.path.join(self.home, "tone.wav")
        tones.write_wav(tone, frequency, seconds, rate=16000)
        self.recording = os.path.join(self.home, "heard.wav")
        with open(os.path.join(self.home, "rc"), "w", encoding="utf-8") as out:
            out.write(_CONFIG.format(name=name, host=HOST, sip=self.sip_port, rtp=free_range(2)))
            for index, (mime, rate, channels) in enumerate(_CODECS):
                out.write(_CODEC.format(index=index, mime=mime, rate=rate, channels=channels,
                                        enabled=int((mime, rate) in codecs)))
        self.process = Process(f"linphone {name}", ["linphonec", *(["-a"] if auto else []), "-c", "rc"],
                               os.path.join(self.home, "log"), cwd=self.home,
                               env={"HOME": self.home}, stdin=subprocess.PIPE)
        for line in ("soundcard use files", f"play {tone}", f"record {self.recording}"):
            self._say(line)
        self.process.wait_log(f"record {self.recording}", 20)

    @property
    def uri(self):
        return f"sip:{self.name}@{HOST}:{self.sip_port}"

    def _say(self, line):
        self.process.popen.stdin.write(line.encode() + b"\n")
        self.process.popen.stdin.flush()

    def answer(self):
        self._say("answer")

    def dial(self, uri):
        self._say(f"call {uri}")

    def hears(self, frequency, rate, seconds=0.5):
        """Whether the last that it heard, at the clock rate of its codec, is that tone."""
        if not os.path.exists(self.recording):
            return False
        with open(self.recording, "rb") as file:
            data = file.read()[44:]  # the header is written when the call is over
        last = array.array("h", data[:len(data) // 2 * 2])[-int(rate * seconds):]
        return len(last) >= int(rate * seconds) and tones.strength(last, rate, frequency) > 0.5

    def stop(self):
        try:
            self._say("quit")
            self.process.wait(5)
        except (OSError, AssertionError):
            pass
        self.process.popen.stdin.close()
        return self.process.stop()
