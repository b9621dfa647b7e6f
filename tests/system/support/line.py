# A bad line between a phone and the gateway: loss, reordering and delay of UDP on loopback.
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same packets fare the same on every run: what happens to a packet is told by a generator with
a fixed seed, in the order in which they come."""

import heapq
import random
import select
import threading
import time

from .ports import HOST, bound_udp, free_range


class Line:
    """Relays ports of a phone: what comes from the gateway to `port(medium)` goes to the phone's
    own, and back. `loss` and `reordered` are shares of RTP packets; one that is reordered comes
    `late` seconds later. `delay` is for all, RTCP is spared loss and reordering."""

    def __init__(self, ports, *, loss=0.0, reordered=0.0, late=0.03, delay=0.0, seed=1):
        """`ports` are the phone's: {medium: RTP port}, RTCP is the next."""
        self.loss, self.reordered, self.late, self.delay = loss, reordered, late, delay
        self.lost = {"there": 0, "back": 0}
        self.passed = {"there": 0, "back": 0}
        self.overtaken = {"there": 0, "back": 0}
        self._random = {}
        self._seed = seed
        self._pairs, self._ports = {}, {}
        self._stop = threading.Event()
        low = free_range(2 * len(ports))
        for index, (medium, phone) in enumerate(ports.items()):
            self._ports[medium] = low + 2 * index
            for offset in (0, 1):
                outer = bound_udp(low + 2 * index + offset)
                inner = bound_udp()
                state = {"gateway": None, "phone": (HOST, phone + offset), "rtp": offset == 0}
                self._pairs[outer] = (inner, state, "there", medium)
                self._pairs[inner] = (outer, state, "back", medium)
        self._inner = {(medium, state["rtp"]): way for way, (_, state, name, medium)
                       in self._pairs.items() if name == "back"}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def port(self, medium):
        """What the phone's SDP names."""
        return self._ports[medium]

    def entrance(self, medium, rtp=True):
        """Where the phone sends to."""
        return self._inner[medium, rtp].getsockname()[1]

    def target(self, medium, port):
        """Where the gateway listens, before anything came from it."""
        for _, state, _, its in self._pairs.values():
            if its == medium and state["gateway"] is None:
                state["gateway"] = (HOST, port if state["rtp"] else port + 1)

    def _run(self):
        waiting, number = [], 0
        while not self._stop.is_set():
            due = waiting[0][0] - time.monotonic() if waiting else 0.1
            ready = select.select(list(self._pairs), [], [], max(0.0, min(due, 0.1)))[0]
            now = time.monotonic()
            for source in ready:
                try:
                    data, sender = source.recvfrom(65536)
                except OSError:
                    continue
                out, state, way, medium = self._pairs[source]
                if way == "there":
                    state["gateway"] = sender
                to = state["phone" if way == "there" else "gateway"]
                at = self._fate(way, medium, now) if state["rtp"] else now + self.delay
                if at is None or to is None:
                    continue
                number += 1
                heapq.heappush(waiting, (at, number, out, data, to))
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, _, out, data, to = heapq.heappop(waiting)
                try:
                    out.sendto(data, to)
                except OSError:
                    pass
        for each in self._pairs:
            each.close()

    def _fate(self, way, medium, now):
        """When a packet leaves; None if it is lost."""
        dice = self._random.setdefault((way, medium), random.Random(f"{self._seed} {way} {medium}"))
        roll = dice.random()
        if roll < self.loss:
            self.lost[way] += 1
            return None
        self.passed[way] += 1
        if roll < self.loss + self.reordered:
            self.overtaken[way] += 1
            return now + self.delay + self.late
        return now + self.delay

    def stop(self):
        self._stop.set()
        self._thread.join()
