# A picture that says whose it is and which frame of it. SPDX-License-Identifier: LGPL-2.1-or-later
"""The coded mark: two rows of big black and white cells at the top of the picture, a bit each:
`1010`, 8 bits of identity, 4 bits of check; below it 16 bits of frame counter. It survives scaling
and every codec, and it is the same on every run, so that a received frame can be compared with the
one that was sent (SSIM). The rest is a coloured field with a name in it and a square that moves."""

import socket
import threading
import time

WIDTH, HEIGHT, FPS = 640, 360, 25
_COLUMNS, _ROWS = 16, 9
_BLACK, _WHITE = 30, 220

# 5 x 7 letters, a row a number, the leftmost pixel the highest bit.
_FONT = {
    "A": (14, 17, 17, 31, 17, 17, 17), "B": (30, 17, 17, 30, 17, 17, 30),
    "C": (14, 17, 16, 16, 16, 17, 14), "D": (30, 17, 17, 17, 17, 17, 30),
    "E": (31, 16, 16, 30, 16, 16, 31), "F": (31, 16, 16, 30, 16, 16, 16),
    "H": (17, 17, 17, 31, 17, 17, 17), "I": (14, 4, 4, 4, 4, 4, 14),
    "L": (16, 16, 16, 16, 16, 16, 31), "N": (17, 25, 21, 21, 19, 17, 17),
    "O": (14, 17, 17, 17, 17, 17, 14), "P": (30, 17, 17, 30, 16, 16, 16),
    "R": (30, 17, 17, 30, 20, 18, 17), "S": (15, 16, 16, 14, 1, 1, 30),
    "T": (31, 4, 4, 4, 4, 4, 4), "U": (17, 17, 17, 17, 17, 17, 14), " ": (0,) * 7,
}


def _check(identity, counter):
    return (identity ^ identity >> 4 ^ counter ^ counter >> 4 ^ counter >> 8 ^ counter >> 12) & 15


class Picture:
    """Frames of one source, raw I420. `identity` 0–255, `name` letters of the font above."""

    def __init__(self, identity, name, width=WIDTH, height=HEIGHT):
        self.identity, self.width, self.height = identity, width, height
        self._cell_w, self._cell_h = width // _COLUMNS, height // _ROWS
        self._cells = {bit: bytes([_WHITE if bit else _BLACK]) * self._cell_w for bit in (0, 1)}
        colour_u, colour_v = 60 + identity * 67 % 140, 60 + identity * 151 % 140
        chroma = width * height // 4
        self._chroma = bytes([colour_u]) * chroma + bytes([colour_v]) * chroma
        self._fields = [self._field(name.upper(), step) for step in range(FPS)]

    def _field(self, name, step):
        top = 2 * self._cell_h
        rows = []
        for y in range(top, self.height):
            shade = 70 + 90 * (y - top) // (self.height - top)
            rows.append(bytearray([shade]) * self.width)
        size = self.height // 30
        x0 = (self.width - len(name) * 6 * size) // 2
        for index, letter in enumerate(name):
            for line, bits in enumerate(_FONT.get(letter, _FONT[" "])):
                for column in range(5):
                    if bits >> (4 - column) & 1:
                        for y in range(size):
                            start = x0 + (index * 6 + column) * size
                            rows[top // 2 + line * size + y][start:start + size] = \
                                bytes([235]) * size
        square = self.height // 9
        x = (self.width - square) * step // FPS
        for y in range(len(rows) - 2 * square, len(rows) - square):
            rows[y][x:x + square] = bytes([235]) * square
        return b"".join(bytes(row) for row in rows)

    def frame(self, counter):
        counter &= 0xFFFF
        first = 0b1010 << 12 | self.identity << 4 | _check(self.identity, counter)
        bands = []
        for bits in (first, counter):
            row = b"".join(self._cells[bits >> (15 - i) & 1] for i in range(_COLUMNS))
            bands.append(row * self._cell_h)
        return bands[0] + bands[1] + self._fields[counter % FPS] + self._chroma


def read_mark(gray, width, height):
    """(identity, counter) of a grey frame (bytes, width x height), or None if it has no mark."""
    cell_w, cell_h = width // _COLUMNS, height // _ROWS
    words = []
    for row in range(2):
        word = 0
        lines = range(row * cell_h + cell_h // 4, row * cell_h + cell_h - cell_h // 4)
        for column in range(_COLUMNS):
            left = column * cell_w + cell_w // 4
            count = cell_w - 2 * (cell_w // 4)
            total = sum(sum(gray[y * width + left:y * width + left + count]) for y in lines)
            mean = total / (count * len(lines))
            if 95 < mean < 160:
                return None  # neither black nor white: this picture has no mark
            word = word << 1 | (mean >= 128)
        words.append(word)
    identity, counter = words[0] >> 4 & 0xFF, words[1]
    if words[0] >> 12 != 0b1010 or words[0] & 15 != _check(identity, counter):
        return None
    return identity, counter


class Camera:
    """Gives a Picture's frames in real time, and remembers when it gave each.

    `write` takes bytes and may block; it runs in a thread of the camera's own until it fails
    (the taker has gone) or stop() is called."""

    def __init__(self, picture, fps=FPS, y4m=False):
        self.picture, self.fps, self._y4m = picture, fps, y4m
        self.given = {}        # counter → time.monotonic() at which it was handed over
        self._origin = time.monotonic()
        self._stop = threading.Event()
        self._threads = []
        self._server = None
        self.late = 0          # frames skipped because the taker blocked

    def feed(self, write, close=None):
        thread = threading.Thread(target=self._run, args=(write, close), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self, write, close):
        try:
            if self._y4m:
                write(b"YUV4MPEG2 W%d H%d F%d:1 Ip A1:1 C420jpeg\n"
                      % (self.picture.width, self.picture.height, self.fps))
            counter = int((time.monotonic() - self._origin) * self.fps) + 1
            while not self._stop.is_set():
                due = self._origin + counter / self.fps
                delay = due - time.monotonic()
                if delay > 0 and self._stop.wait(delay):
                    break
                frame = self.picture.frame(counter)
                self.given[counter & 0xFFFF] = time.monotonic()
                if self._y4m:
                    write(b"FRAME\n")
                write(frame)
                counter += 1
                behind = int((time.monotonic() - self._origin) * self.fps) - counter
                if behind > self.fps // 2:
                    self.late += behind
                    counter += behind
        except (OSError, ValueError):
            pass  # the taker has gone
        finally:
            if close is not None:
                try:
                    close()
                except OSError:
                    pass

    def serve(self):
        """Gives the frames to whoever connects, as a YUV4MPEG stream; returns the TCP port."""
        self._y4m = True
        self._server = socket.create_server(("127.0.0.1", 0))

        def accept():
            while not self._stop.is_set():
                try:
                    taker, _ = self._server.accept()
                except OSError:
                    return
                taker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                taker.settimeout(10)
                self.feed(taker.sendall, taker.close)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        return self._server.getsockname()[1]

    def stop(self):
        self._stop.set()
        if self._server is not None:
            try:
                self._server.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self._server.close()
