# The six checks of RTMP terminals, and the clients that meet them.
# SPDX-License-Identifier: LGPL-2.1-or-later
import time

from . import rtmp

PUSHERS = {"ffmpeg": rtmp.ffmpeg_push_short, "rtmp2sink": rtmp.rtmp2sink_push}
PULLERS = {"ffmpeg": rtmp.ffmpeg_pull_short, "rtmpdump": rtmp.rtmpdump_pull,
           "rtmp2src": rtmp.rtmp2src_pull}
CHECKS = {"push": ("connect", "createStream", "publish"),
          "pull": ("connect", "createStream", "play")}


def end_of(test, process, guard=25):
    """A client that is refused: its output, and how long it took to end with an error."""
    began = time.monotonic()
    try:
        status = process.wait(guard)  # else it hangs
        took = time.monotonic() - began
        output = process.log()
    finally:
        process.stop()
    test.assertNotEqual(status, 0, f"took the refusal for success:\n{output}")
    return output, took
