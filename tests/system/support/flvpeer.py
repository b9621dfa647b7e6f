# RTMP peers for what no stock client can: H.263 (id 8) and VP8 to a player, VP8 from a publisher.
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Written from the standards' text alone (Adobe FLV 10.1 E.4, Enhanced RTMP v2, the IVF container).
rtmpdump carries what a player gets, unread; what is in it is taken apart here and decoded by
ffmpeg."""

import array
import functools
import os
import struct
import subprocess
import tempfile
import threading

from . import marks, media, rtmp, rtmp_raw, tones
from .process import wait_until

_AUDIO, _VIDEO = 8, 9
_H263 = 8                       # VideoCodecID, E.4.3.1
_ENHANCED = 0x80                # Enhanced RTMP v2: IsExHeader
_SEQUENCE_START, _CODED_FRAMES = 0, 1
_KEY, _INTER = 1, 2             # frame types of both
_SECONDS = 40                   # that Vp8Push lasts


def ivf(frames, width=0, height=0, rate=1000):
    """An IVF file of VP8 frames [(timestamp, data)]."""
    head = b"DKIF" + struct.pack("<HH4sHHIIII", 0, 32, b"VP80", width, height, rate, 1,
                                 len(frames), 0)
    return head + b"".join(struct.pack("<IQ", len(data), at) + data for at, data in frames)


def ivf_frames(data):
    """The frames of an IVF file."""
    at, frames = struct.unpack_from("<H", data, 6)[0], []
    while at + 12 <= len(data):
        size = struct.unpack_from("<I", data, at)[0]
        frames.append(data[at + 12:at + 12 + size])
        at += 12 + size
    return frames


def vp8_tag(frame):
    """The body of the video message that carries one VP8 frame: no composition time."""
    key = not frame[0] & 1  # RFC 6386, 9.1
    return bytes([_ENHANCED | (_KEY if key else _INTER) << 4 | _CODED_FRAMES]) + b"vp08" + frame


# VPCodecConfigurationRecord behind the header of its full box: profile 0, 8 bits, 4:2:0.
VP8_SEQUENCE_START = bytes([_ENHANCED | _KEY << 4 | _SEQUENCE_START]) + b"vp08" + \
    bytes([1, 0, 0, 0, 0, 10, 0x82, 2, 2, 2, 0, 0])


def coded_pictures(tags):
    """(suffix of a file, its bytes) of the pictures in FLV tags: VP8 or H.263, else (None, b"")."""
    vp8, h263 = [], []
    for at, kind, body in tags:
        if kind != _VIDEO or not body:
            continue
        if body[0] & _ENHANCED:
            if body[1:5] == b"vp08" and body[0] & 15 == _CODED_FRAMES:
                vp8.append((at, body[5:]))
        elif body[0] & 15 == _H263:
            h263.append(body[1:])
    if vp8:
        return "ivf", ivf(vp8)
    return ("h263", b"".join(h263)) if h263 else (None, b"")


class TagPull:
    """Plays a stream into a file, and looks at what is in it."""

    RATE = 8000

    def __init__(self, workspace, url, *, name="pull", crop=None):
        self.workspace, self.name, self.crop = workspace, name, crop
        self.recording = workspace.file(f"{name}.flv")
        self.process = rtmp.rtmpdump_pull(workspace, url, name=name)

    def tags(self):
        return rtmp_raw.flv_tags(self.recording) if os.path.exists(self.recording) else []

    def marks(self, latest=50):
        """What is in the latest pictures that came since a keyframe."""
        suffix, data = coded_pictures(self.tags())
        if suffix is None:
            return []
        path = self.workspace.file(f"{self.name}.{suffix}")
        with open(path, "wb") as file:
            file.write(data)
        return media.marks_of(path, crop=self.crop, form=suffix)[-latest:]

    def wait_picture(self, identity, guard=20.0):
        def look():
            if not self.process.running():
                raise AssertionError(f"the player ended with {self.process.returncode}:\n"
                                     f"{self.process.tail()}")
            return any(mark and mark[0] == identity for mark in self.marks())
        wait_until(look, guard, f"a picture of source {identity:#x} at the player", every=0.3)

    def heard(self):
        """The samples of all sound so far."""
        done = subprocess.run(["ffmpeg", "-v", "quiet", "-nostdin", "-i", self._sound_alone(),
                               "-f", "s16le", "-ac", "1", "-ar", str(self.RATE), "-"],
                              stdout=subprocess.PIPE, timeout=30, check=False)
        return array.array("h", done.stdout[:len(done.stdout) // 2 * 2])

    def _sound_alone(self):
        """The recording without its pictures, which some ffmpeg cannot read."""
        path = self.workspace.file(f"{self.name}-sound.flv")
        with open(path, "wb") as file:
            file.write(b"FLV\1\4\0\0\0\x09\0\0\0\0")
            for at, kind, body in self.tags():
                if kind != _AUDIO:
                    continue
                tag = bytes([kind]) + len(body).to_bytes(3, "big") + \
                    (at & 0xFFFFFF).to_bytes(3, "big") + bytes([at >> 24, 0, 0, 0]) + body
                file.write(tag + struct.pack("!I", len(tag)))
        return path

    def wait_tone(self, frequency, seconds=0.5, guard=20.0):
        count = int(self.RATE * seconds)

        def look():
            samples = self.heard()[-count:]
            return len(samples) >= count and \
                tones.strength(samples, self.RATE, frequency) > 0.5
        wait_until(look, guard, f"{frequency} Hz at the player", every=0.3)

    def stop(self):
        return self.process.stop(2)


@functools.cache
def _vp8_frames(identity, name):
    """Four seconds of a Picture."""
    picture = marks.Picture(identity, name)
    coded = subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s",
         f"{picture.width}x{picture.height}", "-r", str(marks.FPS), "-i", "-", "-c:v",
         "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "800k", "-g", str(marks.FPS), "-f", "ivf", "-"], stdout=subprocess.PIPE,
        input=b"".join(picture.frame(n) for n in range(marks.FPS * 4)), check=True, timeout=60)
    return ivf_frames(coded.stdout)


@functools.cache
def _sound_tags(audio, frequency):
    codec, rate = rtmp.AUDIO_ENCODERS[audio]
    with tempfile.NamedTemporaryFile(suffix=".flv") as sound:
        subprocess.run(
            ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i",
             f"sine=frequency={frequency}:sample_rate={rate},volume=4", "-t", str(_SECONDS), "-c:a",
             codec, "-ar", str(rate), "-ac", "1", sound.name], check=True, timeout=60)
        return [tag for tag in rtmp_raw.flv_tags(sound.name) if tag[1] == _AUDIO]


def vp8_tags(identity, name, audio, frequency):
    """What Vp8Push sends. It takes a while the first time."""
    frames = _vp8_frames(identity, name)
    # The first second's keyframe begins each round anew.
    pictures = [(n * 1000 // marks.FPS, _VIDEO, vp8_tag(frames[n % len(frames)]))
                for n in range(_SECONDS * marks.FPS)]
    return sorted([(0, _VIDEO, VP8_SEQUENCE_START), *pictures, *_sound_tags(audio, frequency)],
                  key=lambda tag: tag[0])


class Vp8Push:
    """Publishes a Picture in VP8 and a tone, both encoded by ffmpeg beforehand."""

    IDENTITY = rtmp.FfmpegPush.IDENTITY

    def __init__(self, port, url, *, frequency=440, audio="aac", identity=None, name="alice"):
        tags = vp8_tags(identity or self.IDENTITY, name, audio, frequency)
        app, _, stream = url.split("/", 3)[3].partition("/")
        self.peer = rtmp_raw.RawRtmp(port)
        self.peer.connect(app, port)
        self.peer.create_stream()
        self.peer.publish(stream)
        threading.Thread(target=self.peer.send_tags, args=(tags,), daemon=True).start()

    def stop(self):
        self.peer.end_stream()
