# A flash and a beep at the same moment, each second, and which second it is. SPDX-License-Identifier: LGPL-2.1-or-later
"""What is seen and heard in sync can be measured by it at the other end: each flash begins with a
keyframe whose bytes are known, each beep with a sample that is loud after silence. Seconds differ in
the flash's brightness and the beep's pitch, CYCLE of them: what is whole seconds late is seen, too."""

import array
import math
import os
import re
import struct
import subprocess
import threading
import time

from . import rtp
from .ports import HOST

FPS = 25
CYCLE = 5            # seconds, after which all begins again
BEEP = 0.32          # seconds of each second
_PITCHES = [500 + 200 * second for second in range(CYCLE)]
_SHADES = [235 - 30 * second for second in range(CYCLE)]
_LOUD, _QUIET = 3000, 0.2
_ALIKE = 12          # shades that differ by less
_NTP = 2_208_988_800  # seconds from 1900 to 1970
_CLOCK = 90000       # of times in files, Hz


class Picture:
    """Bright for a third of each second, else black: a packet each."""

    width, height = 320, 180

    def frame(self, counter):
        shade = _SHADES[counter // FPS % CYCLE] if counter % FPS < FPS // 3 else 16
        size = self.width * self.height
        return bytes([shade]) * size + bytes([128]) * (size // 2)


def keys_of(pictures):
    """{NAL unit: second} of the keyframes of such pictures, as lists of NAL units in order."""
    found = [nal for picture in pictures for nal in picture or () if nal[0] & 31 == 5]
    seconds = {}
    for number, nal in enumerate(found):
        assert seconds.setdefault(nal, number % CYCLE) == number % CYCLE, "seconds look alike"
    return seconds


def second_of(keys, nals):
    """Which second's flash begins with these NAL units; None: no flash does."""
    return next((keys[nal] for nal in nals or () if nal in keys), None)


def shown(path, form=None):
    """[(seconds, second)] of the flashes in a file's pictures as they are decoded, which may be
    coded anew: by how bright they are. One that follows a hole may have begun in it, and counts not."""
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-copyts", *(["-f", form] if form else []), "-i", path,
         "-vf", f"settb=1/{_CLOCK},signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-",
         "-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-"],
        stdout=subprocess.PIPE, timeout=600, check=False)
    found, before, last = [], None, None
    # pts_time has six digits, which are too few from 1000 s on.
    for at, shade in re.findall(rb"pts:(\d+) .*\s+lavfi.signalstats.YAVG=(\S+)", done.stdout):
        at = int(at) / _CLOCK
        second = next((number for number, its in enumerate(_SHADES)
                       if abs(float(shade) - its) < _ALIKE), None)
        if second not in (None, before) and last is not None and at - last < 1.5 / FPS:
            found.append((at, second))
        before, last = second, at
    return found


def beep_samples(rate=8000):
    """One cycle."""
    return [int(10000 * math.sin(2 * math.pi * pitch * n / rate)) if n < BEEP * rate else 0
            for pitch in _PITCHES for n in range(rate)]


def beep_packets():
    coded = rtp.alaw_encode(beep_samples())
    return [coded[i:i + 160] for i in range(0, len(coded), 160)]


def onsets(pieces, rate=8000):
    """(time, second) of sound that begins after silence; `pieces` are (seconds, samples) in order."""
    found, quiet_since = [], None
    for at, samples in pieces:
        if quiet_since is None:
            quiet_since = at
        last = None
        for n, sample in enumerate(samples):
            if found and at + n / rate - found[-1][0] < BEEP / 2:
                # Of each piece by itself: some may be missing between them.
                if last is not None and (last < 0) != (sample < 0):
                    found[-1][1] += 1
                found[-1][2] += last is not None
                last = sample
            if abs(sample) < _LOUD:
                continue
            now = at + n / rate
            if now - quiet_since > _QUIET:
                found.append([now, 0, 0])
            quiet_since = now

    def second(crossings, samples):
        pitch = crossings * rate / 2 / max(samples, 1)
        return min(range(CYCLE), key=lambda each: abs(_PITCHES[each] - pitch))
    return [(at, second(crossings, samples)) for at, crossings, samples in found]


def pairs(seen, heard):
    """(flash, beep − flash) for each flash, of (time, second), with the beep of its second."""
    result = []
    for flash, second in seen:
        beep = min((at for at, its in heard if its == second), key=lambda at: abs(at - flash),
                   default=None)
        if beep is not None and abs(beep - flash) < CYCLE / 2:
            result.append((flash, beep - flash))
    return result


class Talker:
    """Sends flashes and beeps from an RtpPeer, with sender reports, by a clock that is `ppm` off."""

    def __init__(self, peer, targets, units, rtcp_ports, ppm=0):
        self.peer, self.targets, self.rtcp_ports = peer, targets, rtcp_ports
        self.payloads = {rtp.AUDIO: [[packet] for packet in beep_packets()],
                         rtp.VIDEO: [rtp.h264_payloads(unit) for unit in units]}
        self.ppm = ppm
        self._stop = threading.Event()
        self.began = time.monotonic()
        self._threads = [threading.Thread(target=self._run, args=row, daemon=True) for row in (
            (rtp.AUDIO, 0.02, 8000), (rtp.VIDEO, 1 / FPS, 90000))]
        for thread in self._threads:
            thread.start()

    def _run(self, medium, period, clock_rate):
        peer, (port, number) = self.peer, self.targets[medium]
        out = next(s for s, use in peer._sockets.items() if use == (medium, "rtp"))
        ssrc = int.from_bytes(os.urandom(4), "big")
        base = int.from_bytes(os.urandom(4), "big")
        frames, sequence, index = self.payloads[medium], 0, 0
        reported = -1.0
        # Not begun at the same moment, as with real phones.
        real = period * (1 - self.ppm / 1e6)
        while not self._stop.wait(max(0.0, self.began + index * real - time.monotonic())):
            at = index * period  # by its own clock
            timestamp = base + round(at * clock_rate) & 0xFFFFFFFF
            if at - reported >= 1.0:
                reported = at
                seconds = 1_700_000_000 + _NTP + at
                report = struct.pack("!BBHIQIII", 0x80, 200, 6, ssrc, int(seconds * 2**32),
                                     timestamp, sequence, 0)
                peer.send_rtcp(medium, report, self.rtcp_ports[medium])
            group = frames[index % len(frames)]
            for place, payload in enumerate(group):
                marker = medium == rtp.VIDEO and place == len(group) - 1 or index == 0
                header = struct.pack("!BBHII", 0x80, marker << 7 | number, sequence & 0xFFFF,
                                     timestamp, ssrc)
                try:
                    out.sendto(header + payload, (HOST, port))
                except OSError:
                    return
                sequence += 1
            index += 1

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def sender_reports(peer, medium):
    """[(NTP seconds, RTP timestamp)] of the reports that came."""
    found = []
    with peer._lock:
        packets = list(peer.rtcp[medium])
    for _, data in packets:
        if len(data) >= 28 and data[1] == 200:
            ntp, timestamp = struct.unpack_from("!QI", data, 8)
            found.append((ntp / 2**32, timestamp))
    return found


def to_wall(reports, timestamp, clock_rate):
    """The sender's time of an RTP timestamp, by the report that is nearest."""
    def ahead(report):
        return (timestamp - report[1] + 2**31) % 2**32 - 2**31
    nearest = min(reports, key=lambda report: abs(ahead(report)))
    return nearest[0] + ahead(nearest) / clock_rate


def alaw_pieces(tags):
    """(seconds, samples) of A-law tags (arrival, milliseconds, type, body)."""
    return [(at / 1000, rtp.alaw_decode(body[1:])) for _, at, _, body in tags if body[0] >> 4 == 7]


def pcm(samples):
    return array.array("h", samples)
