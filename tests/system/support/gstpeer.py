# GStreamer as the media of a callee. SPDX-License-Identifier: LGPL-2.1-or-later
"""RTP made and read by a gst-launch-1.0 line of GStreamer's own elements, behind one UDP port as
phones have it: udpsrc and udpsink cannot share one between them, so a relay stands in front. What
it sends waits until the other side has sent something, and goes to where that came from."""

import os
import select
import threading

from .ports import HOST, bound_udp, free_port, free_range
from .process import Process


class GstPeer:
    """`receive`: from udpsrc's caps on to a filesink, with `{out}` for its file; `send`: up to the
    payloader."""

    def __init__(self, workspace, receive, send, name="gstpeer"):
        self.port = free_range(2)
        inner = free_port()
        self.out = workspace.file(name + ".out")
        self._wire = bound_udp(self.port)
        self._from_inside = bound_udp()
        self._inner = (HOST, inner)
        self._stop = threading.Event()
        self.sent = self.received = 0
        self.target = None
        outside = self._from_inside.getsockname()[1]
        line = (f"gst-launch-1.0 udpsrc address={HOST} port={inner} {receive.format(out=self.out)} "
                f"{send} ! udpsink host={HOST} port={outside} sync=false async=false")
        self.process = Process(name, ["bash", "-c", "exec " + line], workspace.file(name + ".log"))
        self._thread = threading.Thread(target=self._relay, daemon=True)
        self._thread.start()

    def _relay(self):
        while not self._stop.is_set():
            for ready in select.select([self._wire, self._from_inside], [], [], 0.1)[0]:
                try:
                    data, source = ready.recvfrom(4096)
                    if ready is self._wire:
                        self.target = source
                        self.received += 1
                        self._wire.sendto(data, self._inner)
                    elif self.target is not None:
                        self.sent += 1
                        self._wire.sendto(data, self.target)
                except OSError:
                    continue  # the other end is not there yet, or not any more

    def size(self):
        """Bytes that it has decoded so far."""
        return os.path.getsize(self.out) if os.path.exists(self.out) else 0

    def stop(self):
        self._stop.set()
        self._thread.join()
        self._wire.close()
        self._from_inside.close()
        return self.process.stop()
