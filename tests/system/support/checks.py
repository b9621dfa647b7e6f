# The six checks of RTMP terminals, and the clients that meet them.
# SPDX-License-Identifier: LGPL-2.1-or-later
import time

from . import rtmp

PUSHERS = {"ffmpeg": rtmp.ffmpeg_push_short, "rtmp2sink": rtmp.rtmp2sink_push}
PULLERS = {"ffmpeg": rtmp.ffmpeg_pull_short, "rtmpdump": rtmp.rtmpdump_pull,
           "rtmp2src": rtmp.rtmp2src_pull}
CHECKS = {"push": ("connect", "createStream", "publish"),
          "pull": ("connect", "createStream", "play")}


def add_checks(test, without=()):
    """A test of `test` for each check of each client, which calls refused(role, stage, client)."""
    for role, clients in (("push", PUSHERS), ("pull", PULLERS)):
        for client in clients:
            for stage in CHECKS[role] if client not in without else ():
                def refuses(self, role=role, stage=stage, client=client):
                    self.refused(role, stage, client)
                setattr(test, f"test_{role}_{stage}_{client}", refuses)


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
