# Pictures and streams looked at with ffmpeg. SPDX-License-Identifier: LGPL-2.1-or-later
"""Short runs of ffmpeg and ffprobe over files."""

import json
import re
import subprocess

from . import marks


def _ffmpeg(*arguments, stdin=None):
    return subprocess.run(["ffmpeg", "-nostdin", "-hide_banner", *arguments], input=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)


def gray(path, width=marks.WIDTH, height=marks.HEIGHT, crop=None):
    """The first picture of a file, or what `crop` (ffmpeg's) leaves of it, as grey bytes, scaled to
    width x height; empty if none."""
    cut = f"crop={crop}," if crop else ""
    done = _ffmpeg("-v", "error", "-i", path, "-frames:v", "1", "-f", "rawvideo", "-pix_fmt",
                   "gray", "-vf", f"{cut}scale={width}:{height}", "-")
    return done.stdout


def mark_of(path, crop=None):
    """(identity, counter) of the picture in a file, or None."""
    data = gray(path, crop=crop)
    size = marks.WIDTH * marks.HEIGHT
    return marks.read_mark(data, marks.WIDTH, marks.HEIGHT) if len(data) == size else None


def marks_of(path, crop=None, form=None):
    """What is in each picture of a file that decodes: (identity, counter), or None. `crop` is
    ffmpeg's: what of each picture is looked at; `form` is its format, if the name does not say."""
    cut = f"crop={crop}," if crop else ""
    named = ["-f", form] if form else []
    data = _ffmpeg("-v", "error", *named, "-i", path, "-f", "rawvideo", "-pix_fmt", "gray", "-vf",
                   f"{cut}scale={marks.WIDTH}:{marks.HEIGHT}", "-fps_mode", "passthrough", "-").stdout
    size = marks.WIDTH * marks.HEIGHT
    return [marks.read_mark(data[i:i + size], marks.WIDTH, marks.HEIGHT)
            for i in range(0, len(data) - size + 1, size)]


def ssim(path, frame, width=marks.WIDTH, height=marks.HEIGHT):
    """Structural similarity of luma, 0 to 1, of the picture in `path` and a raw I420 `frame`."""
    done = _ffmpeg("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{width}x{height}", "-i", "-",
                   "-i", path, "-lavfi",
                   f"[1:v]scale={width}:{height},format=yuv420p[seen];[0:v][seen]ssim",
                   "-frames:v", "1", "-f", "null", "-", stdin=frame)
    found = re.search(rb"SSIM Y:([0-9.]+)", done.stderr)
    return float(found.group(1)) if found else 0.0


def picture_at(recording, seconds, path):
    """Saves the picture `seconds` after the beginning of a recording; false if there is none."""
    done = _ffmpeg("-v", "error", "-y", "-ss", f"{seconds:.3f}", "-i", recording, "-frames:v", "1",
                   path)
    return done.returncode == 0


def decoding_errors(path):
    """What ffmpeg has to say against a recording when it decodes all of it; "" if nothing."""
    return _ffmpeg("-v", "error", "-i", path, "-fps_mode", "drop", "-f", "null",
                   "-").stderr.decode("utf-8", "replace")


def save_png(raw, path, width=marks.WIDTH, height=marks.HEIGHT, pixel_format="yuv420p"):
    """Saves one raw picture as PNG."""
    _ffmpeg("-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", pixel_format, "-s",
            f"{width}x{height}", "-i", "-", "-frames:v", "1", path, stdin=raw)


def probe(path):
    """ffprobe's streams of a file: a list of dictionaries (codec_type, codec_name, width …)."""
    done = subprocess.run(["ffprobe", "-v", "error", "-show_streams", "-of", "json", path],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    return json.loads(done.stdout or b"{}").get("streams", [])


def packets(path, stream):
    """(pts_time, flags) of each packet of stream "v" or "a" of a file."""
    done = subprocess.run(["ffprobe", "-v", "error", "-select_streams", stream, "-show_entries",
                           "packet=pts_time,flags", "-of", "csv=p=0", path],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    result = []
    for line in done.stdout.decode().split():
        fields = line.split(",")
        if fields[0] not in ("", "N/A"):
            result.append((float(fields[0]), fields[1] if len(fields) > 1 else ""))
    return result
