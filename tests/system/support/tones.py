# Tones: making them, finding them. SPDX-License-Identifier: LGPL-2.1-or-later
"""16-bit PCM, one channel. Strength is a share of the whole signal's energy, 0 to 1."""

import array
import math
import random
import struct
import wave

_NOISE = 0.02  # of the amplitude


def write_wav(path, frequency, seconds, rate=8000, amplitude=10000):
    """A tone; its length is a whole number of periods of one second, so it repeats cleanly. A faint
    noise is under it (-31 dB): of a pure tone, a Speex decoder that lacks one frame makes a roar that
    does not end, for nothing in it is new."""
    chance = random.Random(frequency)
    second = array.array("h", (int(amplitude * math.sin(2 * math.pi * frequency * n / rate) +
                                   chance.gauss(0, amplitude * _NOISE)) for n in range(rate)))
    with wave.open(path, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        for _ in range(seconds):
            out.writeframes(second.tobytes())


def read_wav(path):
    """(samples, rate) of a WAV file, also of one whose writer never came to fill in its length."""
    with open(path, "rb") as file:
        data = file.read()
    rate, channels, at = 8000, 1, 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        if kind == b"fmt ":
            channels, rate = struct.unpack_from("<HI", data, at + 10)
        if kind == b"data":
            body = data[at + 8:]
            if 0 < size < len(body):
                body = body[:size]
            samples = array.array("h", body[:len(body) // 2 * 2])
            return samples[::channels], rate
        at += 8 + size + (size & 1)
    return array.array("h"), rate


def strength(samples, rate, frequency):
    """Goertzel: how much of the energy of `samples` lies at `frequency`."""
    energy = sum(s * s for s in samples)
    if not samples or energy / len(samples) < 100:  # below -70 dB: silence has no tone
        return 0.0
    coefficient = 2 * math.cos(2 * math.pi * frequency / rate)
    one = two = 0.0
    for sample in samples:
        one, two = sample + coefficient * one - two, one
    power = one * one + two * two - coefficient * one * two
    return min(1.0, 2 * power / (len(samples) * energy))


def loudness(samples):
    """Root mean square, 0 to 32768."""
    return math.sqrt(sum(s * s for s in samples) / len(samples)) if samples else 0.0


def share_with_tone(samples, rate, frequency, window=0.1, threshold=0.5):
    """The share of windows in which `frequency` is the main thing heard."""
    size = int(window * rate)
    parts = [samples[i:i + size] for i in range(0, len(samples) - size + 1, size)]
    return sum(strength(p, rate, frequency) > threshold for p in parts) / len(parts) if parts else 0.0


def longest_with_tone(samples, rate, frequency, window=0.05, threshold=0.5):
    """Seconds of the longest unbroken stretch of the tone."""
    size = int(window * rate)
    best = run = 0
    for i in range(0, len(samples) - size + 1, size):
        run = run + 1 if strength(samples[i:i + size], rate, frequency) > threshold else 0
        best = max(best, run)
    return best * window
