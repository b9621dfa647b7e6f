# RTMP clients that are not ours: ffmpeg, rtmpdump, rtmp2sink and rtmp2src.
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Push and pull terminals. Each is one process; what a pull terminal sees and hears is kept."""

import array
import fcntl
import os
import subprocess
import threading
import time

from . import marks, tones
from .process import Process, wait_until

_F_SETPIPE_SZ = 1031
X264 = ["-c:v", "libx264", "-profile:v", "baseline", "-preset", "ultrafast", "-tune", "zerolatency",
        "-x264-params", "threads=1:sliced-threads=0", "-g", str(marks.FPS), "-b:v", "600k",
        "-pix_fmt", "yuv420p"]


# How ffmpeg writes each codec that FLV has, by our names of them.
VIDEO_ENCODERS = {
    "h264": X264,
    "sorenson": ["-c:v", "flv1", "-g", str(marks.FPS), "-b:v", "800k", "-pix_fmt", "yuv420p"],
    # One of its five sizes; as it is shown, a picture of 16:9 has borders above and below.
    "h263": ["-vf", "scale=352:216,pad=352:288:0:36,setsar=12/11", "-c:v", "h263", "-strict", "-1",
             "-g", str(marks.FPS), "-b:v", "800k", "-pix_fmt", "yuv420p"],
}
AUDIO_ENCODERS = {"aac": ("aac", 44100), "pcma": ("pcm_alaw", 8000), "pcmu": ("pcm_mulaw", 8000),
                  "speex": ("libspeex", 16000)}


class FfmpegPush:
    """Publishes a Camera and a tone: H.264 baseline with AAC or G.711 (`audio` aac, pcm_alaw,
    pcm_mulaw, libspeex, libmp3lame or None), `video` false for sound alone; `video_encoder` are
    other arguments of ffmpeg than H.264's."""

    IDENTITY = 0xA1

    def __init__(self, workspace, url, *, name="alice", frequency=440, audio="aac", video=True,
                 identity=None, log_name=None, fps=marks.FPS, extra=(), video_encoder=None):
        self.camera = None
        self.frequency = frequency
        argv = ["ffmpeg", "-hide_banner", "-nostats", "-loglevel", "info"]
        if video:
            self.picture = marks.Picture(identity or self.IDENTITY, name)
            self.camera = marks.Camera(self.picture, fps)
            argv += ["-probesize", "32", "-analyzeduration", "0", "-fflags", "nobuffer", "-f",
                     "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{marks.WIDTH}x{marks.HEIGHT}",
                     "-r", str(fps), "-i", "pipe:0"]
        if audio:
            rate = {"aac": 44100, "libmp3lame": 44100, "libspeex": 16000}.get(audio, 8000)
            pace = [] if video else ["-re"]
            argv += pace + ["-f", "lavfi", "-i",
                            f"sine=frequency={frequency}:sample_rate={rate}:samples_per_frame="
                            f"{rate // 100},volume=4"]
            argv += ["-c:a", audio, "-ar", str(rate), "-ac", "1"]
            if audio == "aac":
                argv += ["-b:a", "64k"]
        if video:
            argv += video_encoder or X264
        argv += [*extra, "-flush_packets", "1", "-f", "flv", url]
        self.process = Process("ffmpeg push", argv,
                               workspace.file(log_name or f"push-{name}.log"),
                               stdin=subprocess.PIPE if video else subprocess.DEVNULL)
        if video:
            pipe = self.process.popen.stdin
            fcntl.fcntl(pipe.fileno(), _F_SETPIPE_SZ, 512 * 1024)
            self.camera.feed(_writer(pipe), pipe.close)

    def stop(self):
        """Ends as a person who presses "stop" does: the stream is closed, then the connection."""
        if self.camera is not None:
            self.camera.stop()
        return self.process.stop(2)  # SIGINT: ffmpeg writes its trailer, which is deleteStream

    def drop(self):
        """Ends as a cut cable or a crash does. The camera comes last: one that sends nothing but
        pictures would end well at their end."""
        status = self.process.kill()
        if self.camera is not None:
            self.camera.stop()
        return status


def _writer(pipe):
    def write(data):
        pipe.write(data)
        pipe.flush()
    return write


class FfmpegPull:
    """Plays a stream. `frames` has (time, mark or None) of each picture decoded, `sound` what was
    heard (8 kHz) with the arrival time of each piece; `recording` is what came over the wire."""

    GRAY_WIDTH, GRAY_HEIGHT = 320, 180
    RATE = 8000

    def __init__(self, workspace, url, *, name="pull", extra_input=(), crop=None):
        """`crop` is ffmpeg's: what of each picture is looked at."""
        self.recording = workspace.file(f"{name}.flv")
        self.frames, self.sound = [], []
        self._lock = threading.Lock()
        sound_read, sound_write = os.pipe()
        argv = ["ffmpeg", "-hide_banner", "-nostats", "-nostdin", "-loglevel", "info", "-y",
                "-threads", "1", "-flags", "low_delay", "-probesize", "500000",
                "-analyzeduration", "3000000", *extra_input, "-i", url,
                "-map", "0:v?", *(["-vf", f"crop={crop}"] if crop else []), "-f", "rawvideo",
                "-pix_fmt", "gray", "-s", f"{self.GRAY_WIDTH}x{self.GRAY_HEIGHT}",
                "-fps_mode", "passthrough",
                "-enc_time_base", "-1", "-flush_packets", "1", "pipe:1",
                "-map", "0:a?", "-f", "s16le", "-ac", "1", "-ar", str(self.RATE),
                "-flush_packets", "1", f"pipe:{sound_write}",
                "-map", "0", "-c", "copy", "-flush_packets", "1", "-f", "flv", self.recording]
        self.process = Process("ffmpeg pull", argv, workspace.file(f"{name}.log"),
                               stdout=subprocess.PIPE, pass_fds=(sound_write,))
        os.close(sound_write)
        self._threads = [
            threading.Thread(target=self._watch, daemon=True),
            threading.Thread(target=self._listen, args=(sound_read,), daemon=True)]
        for thread in self._threads:
            thread.start()

    def _watch(self):
        size = self.GRAY_WIDTH * self.GRAY_HEIGHT
        pipe = self.process.popen.stdout
        while True:
            picture = pipe.read(size)
            if len(picture) < size:
                return
            now = time.monotonic()
            mark = marks.read_mark(picture, self.GRAY_WIDTH, self.GRAY_HEIGHT)
            with self._lock:
                self.frames.append((now, mark))

    def _listen(self, descriptor):
        with os.fdopen(descriptor, "rb", buffering=0) as pipe:
            rest = b""
            while True:
                data = pipe.read(16384)
                if not data:
                    return
                data = rest + data
                even = len(data) // 2 * 2
                rest = data[even:]
                with self._lock:
                    self.sound.append((time.monotonic(), array.array("h", data[:even])))

    def seen(self, identity, since=0.0):
        """[(time, counter)] of the pictures of one source."""
        with self._lock:
            return [(at, mark[1]) for at, mark in self.frames
                    if mark and mark[0] == identity and at >= since]

    def pictures(self, since=0.0):
        """How many pictures came, of whatever source."""
        with self._lock:
            return sum(at >= since for at, _ in self.frames)

    def heard(self, since=0.0, until=float("inf")):
        """The samples that arrived in a stretch of time."""
        result = array.array("h")
        with self._lock:
            for at, samples in self.sound:
                if since <= at <= until:
                    result.extend(samples)
        return result

    def wait_picture(self, identity, guard=20.0, since=0.0):
        """Waits for the first picture of a source; returns (time, counter)."""
        def look():
            if not self.process.running() and not self.seen(identity, since):
                raise AssertionError(f"the player ended with {self.process.returncode}:\n"
                                     f"{self.process.tail()}")
            return (self.seen(identity, since) or [None])[0]
        return wait_until(look, guard, f"a picture of source {identity:#x} at the player")

    def wait_tone(self, frequency, seconds=0.5, guard=20.0, since=0.0):
        """Waits until the last `seconds` heard are that tone."""
        count = int(self.RATE * seconds)

        def look():
            samples = self.heard(since)[-count:]
            return len(samples) >= count and \
                tones.strength(samples, self.RATE, frequency) > 0.5
        wait_until(look, guard, f"{frequency} Hz at the player", every=0.1)

    def latencies(self, camera, identity, since=0.0):
        """Seconds from a picture's hand-over to the pushing program to its decoding here."""
        return [at - camera.given[counter] for at, counter in self.seen(identity, since)
                if counter in camera.given]

    def stop(self):
        return self.process.stop(2)

    def drop(self):
        return self.process.kill()


def rtmpdump_pull(workspace, url, name="rtmpdump"):
    """rtmpdump that plays into a file."""
    server, _, rest = url.partition("://")[2].partition("/")
    app, _, stream = _split(rest)
    return Process("rtmpdump", ["rtmpdump", "-V", "-r", f"rtmp://{server}/{app}", "-a", app, "-y",
                                stream, "--live", "-m", "10", "-o",
                                workspace.file(f"{name}.flv")],
                   workspace.file(f"{name}.log"))


def rtmp2src_pull(workspace, url, name="rtmp2src"):
    """GStreamer's rtmp2src that plays into a file."""
    return Process("rtmp2src", ["gst-launch-1.0", "-e", "rtmp2src", f"location={url}", "!",
                                "filesink", f"location={workspace.file(name + '.flv')}"],
                   workspace.file(f"{name}.log"))


def rtmp2sink_push(workspace, url, name="rtmp2sink", seconds=0):
    """GStreamer's rtmp2sink that publishes a test picture and a tone."""
    limit = [f"num-buffers={int(seconds * 25)}"] if seconds else []
    return Process("rtmp2sink", [
        "gst-launch-1.0", "-e", "flvmux", "streamable=true", "latency=0", "name=mux", "!",
        "rtmp2sink", f"location={url}",
        "videotestsrc", "is-live=true", *limit, "!",
        "video/x-raw,width=320,height=240,framerate=25/1,format=I420", "!", "x264enc",
        "tune=zerolatency", "speed-preset=ultrafast", "key-int-max=25", "threads=1", "!",
        "video/x-h264,profile=constrained-baseline", "!", "h264parse", "!", "mux.",
        "audiotestsrc", "is-live=true", "samplesperbuffer=1024", "!",
        "audio/x-raw,rate=44100,channels=1", "!", "voaacenc", "bitrate=64000", "!", "aacparse",
        "!", "mux."], workspace.file(f"{name}.log"))


def _split(path):
    """app and stream of what follows the host: the query of the app belongs to the app."""
    if "?" in path and "/" in path.partition("?")[2]:
        first, _, query = path.partition("?")
        token, _, stream = query.partition("/")
        return f"{first}?{token}", "/", stream
    return path.partition("/")


def ffmpeg_push_short(workspace, url, name="ffmpeg-push"):
    """ffmpeg that publishes a test picture until it is refused or stopped."""
    return Process("ffmpeg push", [
        "ffmpeg", "-hide_banner", "-nostats", "-nostdin", "-loglevel", "info", "-re", "-f", "lavfi",
        "-i", "testsrc2=size=320x240:rate=25", *X264, "-f", "flv", url],
        workspace.file(f"{name}.log"))


def ffmpeg_pull_short(workspace, url, name="ffmpeg-pull"):
    """ffmpeg that plays into nothing until it is refused or stopped."""
    return Process("ffmpeg pull", ["ffmpeg", "-hide_banner", "-nostats", "-nostdin", "-loglevel",
                                   "info", "-i", url, "-f", "null", "-"],
                   workspace.file(f"{name}.log"))
