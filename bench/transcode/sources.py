# What is transcoded: made by ffmpeg before the measurement. SPDX-License-Identifier: LGPL-2.1-or-later
"""A moving picture of 640x360, 30 a second, with the coded mark of tests/system/support/marks.py at
its top; and sound that bursts each second, so that what comes out tells when it went in."""

import os
import subprocess

from support import flvpeer, marks, rtmp_raw

from . import payloads

RATE = 30
WIDTH, HEIGHT = 640, 360
BURST = 0.1  # seconds, from each whole second on
_X264 = ["-c:v", "libx264", "-tune", "zerolatency", "-x264-params",
         "threads=1:sliced-threads=0:nal-hrd=none", "-b:v", "1000k", "-maxrate", "1000k", "-bufsize",
         "500k", "-g", "60"]
_BORDERS = "scale=352:216,pad=352:288:0:36,setsar=12/11"
_ENCODERS = {
    "h264": [*_X264, "-profile:v", "baseline", "-preset", "veryfast"],
    "h264 high": [*_X264, "-profile:v", "high", "-preset", "veryfast"],
    "sorenson": ["-c:v", "flv1", "-b:v", "1000k", "-g", "60"],
    "h263": ["-vf", _BORDERS, "-c:v", "h263", "-strict", "-1", "-b:v", "600k", "-g", "60"],
    "vp8": ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "1000k", "-g",
            "60"],
    "pcma": ["-af", "asetnsamples=160", "-c:a", "pcm_alaw"],
    "speex": ["-c:a", "libspeex"],
    "aac": ["-c:a", "aac", "-b:a", "64k"],
}


class Source:
    """`codec` in units that are due at their times: [(milliseconds, unit, key)], with the
    configuration of the codec."""

    def __init__(self, codec, config, units):
        self.codec, self.config, self.units = codec, config, units


def _pictures(path, kind, seconds):
    frames, picture = RATE * seconds, marks.Picture(0xB5, "bench")
    band = WIDTH * 2 * (HEIGHT // 9)
    argv = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "rawvideo", "-pix_fmt", "gray", "-s",
            f"{WIDTH}x{2 * (HEIGHT // 9)}", "-r", str(RATE), "-i", "pipe:0", "-f", "lavfi", "-i",
            f"testsrc2=size={WIDTH}x{HEIGHT}:rate={RATE}"]
    encoder = list(_ENCODERS[kind])
    graph = "[1:v][0:v]overlay=shortest=1,format=yuv420p"
    if "-vf" in encoder:
        at = encoder.index("-vf")
        graph += "," + encoder[at + 1]
        del encoder[at:at + 2]
    argv += ["-filter_complex", graph, *encoder, "-frames:v", str(frames), path]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:
        for number in range(frames):
            process.stdin.write(picture.frame(number)[:band])
        process.stdin.close()
        if process.wait(120) != 0:
            raise OSError("ffmpeg could not make the pictures")


def _sound(path, kind, seconds):
    rate = payloads.clock(kind)
    subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i",
         f"aevalsrc='0.4*sin(2*PI*1000*t)*lt(mod(t\\,1)\\,{BURST})':s={rate}:d={seconds}",
         *_ENCODERS[kind], path], check=True, timeout=120)


def make(workspace, kind, seconds):
    """`kind` is a codec, or "h264 high"."""
    codec = kind.partition(" ")[0]
    path = workspace.file(f"{kind.replace(' ', '-')}.{'ivf' if codec == 'vp8' else 'flv'}")
    if not os.path.exists(path):
        (_pictures if payloads.is_video(codec) else _sound)(path, kind, seconds)
    if codec != "vp8":
        return Source(codec, *payloads.units_of_tags(codec, rtmp_raw.flv_tags(path)))
    with open(path, "rb") as file:
        frames = flvpeer.ivf_frames(file.read())
    return Source(codec, b"", [(number * 1000 // RATE, frame, not frame[0] & 1)
                               for number, frame in enumerate(frames)])
