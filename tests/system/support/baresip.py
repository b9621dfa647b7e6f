# baresip, a SIP phone with a picture and a tone of its own. SPDX-License-Identifier: LGPL-2.1-or-later
"""Headless baresip 1.0: what it sends is a Camera and a tone, what it receives can be looked at
(snapshots) and listened to (a WAV file). Its events arrive over ctrl_tcp."""

import glob
import json
import os
import socket
import threading
import time

from . import marks, tones
from .ports import HOST, free_port, free_range
from .process import Process, wait_until

_CONFIG = """\
poll_method		epoll
sip_listen		{host}:{sip_port}
call_local_timeout	120
call_max_calls		4
audio_path		{sounds}
audio_player		aubridge,none
audio_source		aufile,{tone}
audio_alert		aufile,{alert}
audio_level		no
{video}
rtp_ports		{rtp_low}-{rtp_high}
rtp_bandwidth		0-0
jitter_buffer_delay	0-1
rtp_stats		yes
net_interface		{host}
module_path		/usr/lib/baresip/modules
module			stdio.so
module			g711.so
module			aufile.so
module			aubridge.so
module			sndfile.so
snd_path		{directory}
{more_modules}
module_tmp		uuid.so
module_tmp		account.so
module_app		menu.so
module_app		ctrl_tcp.so
ctrl_tcp_listen		{host}:{control}
"""

_VIDEO = """\
video_source		avformat,tcp://{host}:{camera}
video_display		fakevideo,default
video_size		{width}x{height}
video_bitrate		800000
video_fps		{fps}
video_fullscreen	no
videnc_format		yuv420p
"""

_VIDEO_MODULES = """\
module			avcodec.so
module			avformat.so
module			swscale.so
module			snapshot.so
module			fakevideo.so
"""


class Baresip:
    """A phone. `answer` is auto, manual or early (183 with media, answered by command)."""

    IDENTITY = 0xB0

    def __init__(self, workspace, name="bob", *, frequency=1000, video=True, answer="auto",
                 registrar=None, password=None, seconds=600, codecs="", picture_name=None,
                 video_codecs="", size=None, transport="", encryption="", config="",
                 stun=None):
        """`stun` is HOST:PORT of the server that it asks for its address before each call.
        `transport` is what it registers over, `encryption` what it does about SRTP (srtp,
        srtp-mand, srtp-mandf); `config` are more lines of its configuration. `codecs` and `video_codecs` are baresip's names of what it may speak; `size` is that of
        the pictures it sends, where it is not the camera's."""
        self.name = name
        self.directory = os.path.dirname(workspace.file(f"baresip-{name}", "config"))
        self.workspace = workspace
        self.sip_port = free_port(2)  # it listens for SIP over TLS on the next one
        self.control_port = free_port()
        self.frequency = frequency
        tone = os.path.join(self.directory, "tone.wav")
        tones.write_wav(tone, frequency, seconds)
        self.camera = None
        video_lines = modules = ""
        if video:
            self.picture = marks.Picture(self.IDENTITY, picture_name or name)
            self.camera = marks.Camera(self.picture)
            video_lines = _VIDEO.format(host=HOST, camera=self.camera.serve(),
                                        width=(size or (marks.WIDTH, marks.HEIGHT))[0],
                                        height=(size or (marks.WIDTH, marks.HEIGHT))[1],
                                        fps=marks.FPS)
            modules = _VIDEO_MODULES + ("module			vp8.so" if "vp8" in video_codecs else "")
        low = free_range(20)
        with open(os.path.join(self.directory, "config"), "w", encoding="utf-8") as out:
            out.write(_CONFIG.format(host=HOST, sip_port=self.sip_port, sounds=self.directory,
                                     directory=self.directory, tone=tone,
                                     alert=os.path.join(self.directory, "alert.wav"),
                                     video=video_lines + config, rtp_low=low,
                                     more_modules=modules + ("module			srtp.so\n" if encryption else "") +
                                     ("module			stun.so\n" if stun else ""),
                                     rtp_high=low + 19, control=self.control_port))
        carried = f";transport={transport}" if transport else ""
        account = f"<sip:{name}@{registrar or f'{HOST}:{self.sip_port}'}{carried}>"
        account += f";answermode={answer}"
        if encryption:
            account += f";mediaenc={encryption}"
        account += f";regint={60 if registrar else 0}"
        if password:
            account += f";auth_user={name};auth_pass={password}"
        if stun:
            account += f";medianat=stun;stunserver=stun:{stun}"
        if codecs:
            account += f";audio_codecs={codecs}"
        if video_codecs:
            account += f";video_codecs={video_codecs}"
        with open(os.path.join(self.directory, "accounts"), "w", encoding="utf-8") as out:
            out.write(account + "\n")
        for empty in ("contacts", "current_contact"):
            open(os.path.join(self.directory, empty), "w", encoding="utf-8").close()
        self.events = []
        self._answers = []
        self._lock = threading.Lock()
        self.process = Process(f"baresip {name}", ["baresip", "-f", self.directory, "-v"],
                               os.path.join(self.directory, "log"), cwd=self.directory)
        self._control = wait_until(self._connect, 15, "baresip's control port")
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def uri(self):
        return f"sip:{self.name}@{HOST}:{self.sip_port}"

    def _connect(self):
        if not self.process.running():
            raise AssertionError(f"baresip ended with {self.process.returncode}:\n"
                                 f"{self.process.tail()}")
        try:
            return socket.create_connection((HOST, self.control_port), 2)
        except OSError:
            return None

    def _listen(self):
        buffered = b""
        self._control.settimeout(None)
        while True:
            try:
                data = self._control.recv(65536)
            except OSError:
                return
            if not data:
                return
            buffered += data
            while b":" in buffered:
                length, _, rest = buffered.partition(b":")
                size = int(length)
                if len(rest) < size + 1:
                    break
                message = json.loads(rest[:size])
                buffered = rest[size + 1:]
                message["at"] = time.monotonic()
                with self._lock:
                    (self.events if message.get("event") else self._answers).append(message)

    def command(self, command, params=""):
        """Sends one command; the answer comes later (see answers)."""
        body = json.dumps({"command": command, "params": params, "token": "t"}).encode()
        self._control.sendall(b"%d:%s," % (len(body), body))

    def event_times(self, kind):
        with self._lock:
            return [e["at"] for e in self.events if e.get("type") == kind]

    def wait_event(self, kind, guard=20.0, count=1):
        """Waits for the `count`-th event, e.g. CALL_INCOMING, CALL_ESTABLISHED, CALL_CLOSED."""
        def look():
            if not self.process.running():
                raise AssertionError(f"baresip ended with {self.process.returncode}:\n"
                                     f"{self.process.tail()}")
            times = self.event_times(kind)
            return times[count - 1] if len(times) >= count else None
        return wait_until(look, guard, f"baresip {self.name}: {kind}")

    def wait_registered(self, guard=15.0):
        # Its event may come before anybody listens for events; its log keeps it.
        self.process.wait_log(r"\} 200 .*\[\d+ bindings?\]", guard)

    def answer(self):
        self.command("accept")

    def hangup(self):
        self.command("hangup")

    def hold(self):
        self.command("hold")

    def resume(self):
        self.command("resume")

    def dial(self, uri):
        self.command("dial", uri)

    def snapshot(self, path=None, guard=5.0):
        """Saves the next picture it receives as PNG; returns (path, time at which it was there)."""
        path = path or os.path.join(self.directory, f"seen-{time.monotonic_ns()}.png")
        self.command("snapshot_recv", path)
        deadline = time.monotonic() + guard
        while not os.path.exists(path):
            if time.monotonic() > deadline:
                return None
            time.sleep(0.001)
        seen = time.monotonic()
        size = -1
        while size != os.path.getsize(path) or size == 0:  # until it is written to its end
            size = os.path.getsize(path)
            time.sleep(0.02)
        return path, seen

    def heard(self):
        """(samples, rate) of what it heard in its last call."""
        recordings = sorted(glob.glob(os.path.join(self.directory, "dump-*-dec.wav")))
        return tones.read_wav(recordings[-1]) if recordings else ([], 8000)

    def stop(self):
        if self.camera is not None:
            self.camera.stop()
        try:
            self.command("quit")
            self.process.wait(3)
        except (OSError, AssertionError):
            pass
        try:
            self._control.close()
        except OSError:
            pass
        return self.process.stop()
