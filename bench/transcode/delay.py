# How long a unit of media was on its way. SPDX-License-Identifier: LGPL-2.1-or-later
"""Times of what comes out begin anywhere. What is in it tells: the counter in the pictures, the bursts
in the sound."""

import array
import statistics
import subprocess

from support import media

from . import payloads, sources

_RATE = 8000
_WINDOW = _RATE // 1000


def picture_times(path, row, units, from_rtp):
    """[(seconds in the stream, seconds in the source)] of decoded pictures with a mark."""
    seen = media.marks_of(path, crop=row.crop or None, form=payloads.form_of(row.codec, from_rtp))
    if len(seen) != len(units):
        raise AssertionError(f"{len(units)} pictures came, {len(seen)} of them can be decoded")
    return [(unit.seconds, mark[1] / sources.RATE) for unit, mark in zip(units, seen) if mark]


def burst_times(path, units):
    """The same for sound: where a burst begins. The sources are of whole seconds, which lag nowhere
    by half of one, so the second is known from `units`' place."""
    done = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-f", "s16le", "-ac", "1",
                           "-ar", str(_RATE), "-"], stdout=subprocess.PIPE, timeout=60, check=True)
    samples = array.array("h", done.stdout[:len(done.stdout) // 2 * 2])
    level = [max(map(abs, samples[i:i + _WINDOW]), default=0)
             for i in range(0, len(samples) - _WINDOW, _WINDOW)]
    loud, found, quiet = max(level, default=0) / 4, [], 0
    for place, value in enumerate(level):
        if value > loud:
            if quiet > 300:
                found.append((units[0].seconds + place * _WINDOW / _RATE, None))
            quiet = 0
        else:
            quiet += 1
    return found


def came(workspace, row, from_rtp):
    """Where the beginning of what came is kept for a look."""
    return workspace.file("came." + payloads.form_of(row.codec, from_rtp))


def delays(workspace, row, units, config, began, from_rtp):
    """Seconds on the way of each of `units`, from the sending of its content to its arrival; `began`
    is when second 0 of the source was sent."""
    first = next((i for i, unit in enumerate(units) if unit.key is not False), 0)
    some = units[first:first + (60 if payloads.is_video(row.codec) else 200)]
    path = came(workspace, row, from_rtp)
    payloads.write(path, row.codec, config, [(u.seconds, u.data, u.key) for u in some], from_rtp)
    if payloads.is_video(row.codec):
        known = picture_times(path, row, some, from_rtp)
        if len(known) < len(some) / 2:
            raise AssertionError(f"only {len(known)} of {len(some)} pictures have their mark")
        offset = statistics.median(there - here for here, there in known)
        return [unit.at - began - (unit.seconds + offset) for unit in units]
    found = [here for here, _ in burst_times(path, some)]
    if not found:
        raise AssertionError("no burst in the sound")
    # A burst begins at a whole second of the source: which one, its arrival says.
    offsets = []
    for here in found:
        unit = max((u for u in some if u.seconds <= here), key=lambda u: u.seconds)
        second = round(unit.at - began - 0.3)
        offsets.append(second - here)
    offset = statistics.median(offsets)
    return [unit.at - began - (unit.seconds + offset) for unit in units]
