# Elementary streams as FLV tags and as RTP payloads, and back: to compare what passes through, byte
# for byte. SPDX-License-Identifier: LGPL-2.1-or-later
"""Written from the standards alone: FLV 10.1 (E.4), Enhanced RTMP v2, RFC 3640, 3016, 3551, 5574,
6184, 2190, 4629 and 7741. A stream is a list of frames (milliseconds, bytes); an H.264 frame is the
tuple of its NAL units without parameter sets, delimiters and SEI, which may be moved."""

import subprocess

from . import flvpeer, marks, rtmp_raw

AUDIO, VIDEO = 8, 9
_MTU = 1200
_NOT_PICTURES = (6, 7, 8, 9)  # SEI, SPS, PPS, access unit delimiter


def _ffmpeg(path, *arguments, stdin=None):
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments, path], input=stdin,
                   check=True, timeout=120)
    return path


def _flv_pictures(workspace, name, picture, seconds, arguments):
    frames = b"".join(picture.frame(n) for n in range(seconds * marks.FPS))
    return _ffmpeg(workspace.file(f"{name}.flv"), "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s",
                   f"{picture.width}x{picture.height}", "-r", str(marks.FPS), "-i", "-", *arguments,
                   "-pix_fmt", "yuv420p", "-g", str(marks.FPS), stdin=frames)


def avc_record(sps, pps):
    """An AVCDecoderConfigurationRecord (ISO 14496-15, 5.2.4.1)."""
    return b"\1" + sps[1:4] + b"\xff\xe1" + len(sps).to_bytes(2, "big") + sps + b"\1" + \
        len(pps).to_bytes(2, "big") + pps


def _noise(workspace, name, seconds, rate, arguments):
    """Noise: no two frames of it are the same. Of another seed for each name."""
    seed = sum(name.encode())
    return _ffmpeg(workspace.file(f"{name}.flv"), "-f", "lavfi", "-i",
                   f"anoisesrc=sample_rate={rate}:amplitude=0.3:seed={seed}:duration={seconds}",
                   *arguments, "-ar", str(rate), "-ac", "1")


class Stream:
    """One codec. `frames` are (milliseconds, frame); `config` are the tags before them."""

    kind = AUDIO
    clock_rate = 8000

    def __init__(self, workspace, name, seconds, identity):
        self.seconds = seconds
        tags = [tag for tag in self.encode(workspace, name, identity) if tag[1] == self.kind]
        self.config = [tag for tag in tags if self.is_config(tag[2])]
        self.frames = [(at, self.frame_of(body)) for at, _, body in tags
                       if not self.is_config(body) and self.frame_of(body)]

    def is_config(self, _body):
        return False

    def frame_of(self, body):
        """The frame of a tag; nothing where it is none of a picture or sound."""
        return body[1:]

    def tag(self, frame):
        raise NotImplementedError

    def tags(self):
        return self.config + [(at, self.kind, self.tag(frame)) for at, frame in self.frames]

    def payloads(self, frame):
        """RTP payloads of a frame."""
        return [frame]

    def timed_payloads(self):
        """[(milliseconds, [payloads])]."""
        return [(at, self.payloads(frame)) for at, frame in self.frames]

    def frames_of_packets(self, packets):
        """What was in RTP packets, in order."""
        return [packet.payload for packet in packets]

    def frames_of_tags(self, bodies):
        return [frame for frame in (self.frame_of(body) for body in bodies
                                    if not self.is_config(body)) if frame]


class G711(Stream):
    """Compared as one run of bytes: packets and tags may be cut elsewhere."""

    codec, sound_format = "pcm_alaw", 7

    def encode(self, workspace, name, identity):
        path = _noise(workspace, f"{name}-{identity:x}", self.seconds, 8000, ["-c:a", self.codec])
        sound = b"".join(body[1:] for _, kind, body in rtmp_raw.flv_tags(path) if kind == AUDIO)
        return [(n * 20, AUDIO, bytes([self.sound_format << 4 | 2]) + sound[n * 160:n * 160 + 160])
                for n in range(len(sound) // 160)]

    def tag(self, frame):
        return bytes([self.sound_format << 4 | 2]) + frame

    def frame_of(self, body):
        return body[1:] if body[0] >> 4 == self.sound_format else None


class Pcma(G711):
    pass


class Pcmu(G711):
    codec, sound_format = "pcm_mulaw", 8


class Aac(Stream):
    clock_rate = 44100

    def encode(self, workspace, name, identity):
        return rtmp_raw.flv_tags(_noise(workspace, f"{name}-{identity:x}", self.seconds, 44100,
                                        ["-c:a", "aac", "-b:a", "64k"]))

    def is_config(self, body):
        return body[0] >> 4 == 10 and body[1] == 0

    def frame_of(self, body):
        return body[2:] if body[0] >> 4 == 10 else None

    def tag(self, frame):
        return b"\xaf\x01" + frame


class AacGeneric(Aac):
    """RFC 3640, AAC-hbr: one AU, 13 bits of size and 3 of index."""

    def payloads(self, frame):
        return [b"\x00\x10" + (len(frame) << 3).to_bytes(2, "big") + frame]

    def frames_of_packets(self, packets):
        frames, part, wanted = [], b"", 0
        for packet in packets:
            data = packet.payload
            bits = int.from_bytes(data[:2], "big")
            at = 2 + (bits + 7) // 8
            for header in range(bits // 16):
                size = int.from_bytes(data[2 + 2 * header:4 + 2 * header], "big") >> 3
                if part:
                    part += data[at:]
                    if len(part) >= wanted:
                        frames.append(part)
                        part = b""
                    break
                if at + size > len(data):  # a fragment: its size is that of the whole
                    part, wanted = data[at:], size
                    break
                frames.append(data[at:at + size])
                at += size
        return frames


class AacLatm(Aac):
    """RFC 3016, cpresent=0: PayloadLengthInfo (ISO 14496-3, 1.7.3.1), then the AU."""

    def payloads(self, frame):
        return [b"\xff" * (len(frame) // 255) + bytes([len(frame) % 255]) + frame]

    def frames_of_packets(self, packets):
        frames, data = [], b""
        for packet in packets:
            data += packet.payload
            if not packet.marker:
                continue
            at = 0
            while at < len(data):
                size = 0
                while data[at] == 255:
                    size, at = size + 255, at + 1
                size, at = size + data[at], at + 1
                frames.append(data[at:at + size])
                at += size
            data = b""
        return frames


class Speex(Stream):
    clock_rate = 16000

    def encode(self, workspace, name, identity):
        return rtmp_raw.flv_tags(_noise(workspace, f"{name}-{identity:x}", self.seconds, 16000,
                                        ["-c:a", "libspeex"]))

    def frame_of(self, body):
        # ffmpeg writes Speex's two header packets of Ogg as tags, too: 80 bytes, and a comment.
        is_header = body[1:9] == b"Speex   " or self._is_comment(body[1:])
        return None if body[0] >> 4 != 11 or is_header else body[1:]

    @staticmethod
    def _is_comment(data):
        return len(data) > 8 and int.from_bytes(data[:4], "little") <= len(data) - 8 and \
            data[4:8] in (b"Lavf", b"Enco", b"Spee")

    def tag(self, frame):
        return b"\xb2" + frame


class H264(Stream):
    kind, clock_rate = VIDEO, 90000
    picture = (marks.WIDTH, marks.HEIGHT)

    @staticmethod
    def arguments():
        from . import rtmp
        return rtmp.X264

    def encode(self, workspace, name, identity):
        picture = marks.Picture(identity, name, *self.picture)
        return rtmp_raw.flv_tags(_flv_pictures(workspace, f"{name}-{identity:x}", picture,
                                               self.seconds, self.arguments()))

    def is_config(self, body):
        return body[0] & 15 == 7 and body[1] == 0

    def _nals(self, data):
        at = 0
        while at + 4 <= len(data):
            size = int.from_bytes(data[at:at + 4], "big")
            yield data[at + 4:at + 4 + size]
            at += 4 + size

    def frame_of(self, body):
        if body[0] & 15 != 7 or body[1] != 1:
            return None
        return tuple(nal for nal in self._nals(body[5:]) if nal[0] & 31 not in _NOT_PICTURES)

    def tag(self, frame):
        key = frame[0][0] & 31 == 5
        return bytes([0x17 if key else 0x27, 1, 0, 0, 0]) + \
            b"".join(len(nal).to_bytes(4, "big") + nal for nal in frame)

    def parameter_sets(self):
        """SPS and PPS of the AVCDecoderConfigurationRecord (ISO 14496-15, 5.2.4.1)."""
        record, sets, at = self.config[0][2][5:], [], 5
        for mask in (31, 255):
            count, at = record[at] & mask, at + 1
            for _ in range(count):
                size = int.from_bytes(record[at:at + 2], "big")
                sets.append(record[at + 2:at + 2 + size])
                at += 2 + size
        return sets

    def payloads(self, frame):
        from . import rtp
        key = frame[0][0] & 31 == 5
        return rtp.h264_payloads([*(self.parameter_sets() if key else []), *frame], _MTU)

    def frames_of_packets(self, packets):
        from . import rtp
        frames, group = [], []
        for packet in packets:
            if group and packet.timestamp != group[-1].timestamp:
                frames.append(group)
                group = []
            group.append(packet)
        frames.append(group)
        return [frame for frame in (
            tuple(nal for nal in rtp.h264_nals(group) if nal[0] & 31 not in _NOT_PICTURES)
            for group in frames if group) if frame]


class SlicedH264(H264):
    """For packetization mode 0: each slice of a picture fits a packet."""

    @staticmethod
    def arguments():
        return [argument.replace("sliced-threads=0", "sliced-threads=0:slice-max-size=1100")
                for argument in H264.arguments()]

    def payloads(self, frame):
        key = frame[0][0] & 31 == 5
        nals = [*(self.parameter_sets() if key else []), *frame]
        assert max(map(len, nals)) <= _MTU
        return nals


class EnhancedH264(H264):
    """With FourCC avc1: SequenceStart, CodedFrames with a composition time for keyframes, and
    CodedFramesX for the others. A legacy tag is none of its frames."""

    def encode(self, workspace, name, identity):
        return [(at, kind, b"\x90avc1" + body[5:] if super(EnhancedH264, self).is_config(body)
                 else self.tag(frame)) for at, kind, body in super().encode(workspace, name, identity)
                if kind == VIDEO
                for frame in [super(EnhancedH264, self).frame_of(body)]
                if frame or super(EnhancedH264, self).is_config(body)]

    def is_config(self, body):
        return body[:5] == b"\x90avc1"

    def frame_of(self, body):
        if not body[0] & 0x80 or body[1:5] != b"avc1" or body[0] & 15 not in (1, 3):
            return None
        data = body[8 if body[0] & 15 == 1 else 5:]
        return tuple(nal for nal in self._nals(data) if nal[0] & 31 not in _NOT_PICTURES)

    def tag(self, frame):
        key = frame[0][0] & 31 == 5
        return (b"\x91avc1\0\0\0" if key else b"\xa3avc1") + \
            b"".join(len(nal).to_bytes(4, "big") + nal for nal in frame)


class Vp8(Stream):
    kind, clock_rate = VIDEO, 90000

    def encode(self, workspace, name, identity):
        picture = marks.Picture(identity, name)
        path = workspace.file(f"{name}-{identity:x}.ivf")
        _ffmpeg(path, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s",
                f"{picture.width}x{picture.height}", "-r", str(marks.FPS), "-i", "-", "-c:v",
                "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "800k", "-g",
                str(marks.FPS),
                stdin=b"".join(picture.frame(n) for n in range(self.seconds * marks.FPS)))
        with open(path, "rb") as file:
            frames = flvpeer.ivf_frames(file.read())
        return [(0, VIDEO, flvpeer.VP8_SEQUENCE_START)] + \
            [(n * 1000 // marks.FPS, VIDEO, flvpeer.vp8_tag(frame))
             for n, frame in enumerate(frames)]

    def is_config(self, body):
        return body[0] & 0x80 != 0 and body[0] & 15 == 0

    def frame_of(self, body):
        return body[5:] if body[0] & 0x80 and body[1:5] == b"vp08" and body[0] & 15 == 1 else None

    def tag(self, frame):
        return flvpeer.vp8_tag(frame)

    def payloads(self, frame):
        parts = [frame[i:i + _MTU] for i in range(0, len(frame), _MTU)]
        return [bytes([0x10 if n == 0 else 0]) + part for n, part in enumerate(parts)]

    @staticmethod
    def _without_descriptor(data):
        """RFC 7741, 4.2."""
        at = 1
        if data[0] & 0x80:
            extended, at = data[1], 2
            if extended & 0x80:  # PictureID of 7 or 15 bits
                at += 2 if data[at] & 0x80 else 1
            at += extended >> 6 & 1             # TL0PICIDX
            at += 1 if extended & 0x30 else 0   # TID, KEYIDX
        return data[at:]

    def frames_of_packets(self, packets):
        frames, part = [], b""
        for packet in packets:
            part += self._without_descriptor(packet.payload)
            if packet.marker:
                frames.append(part)
                part = b""
        return frames


class H263(Stream):
    """RFC 2190, whole pictures or groups of blocks in mode A."""

    kind, clock_rate = VIDEO, 90000

    def encode(self, workspace, name, identity):
        from . import rtmp
        picture = marks.Picture(identity, name)
        arguments = list(rtmp.VIDEO_ENCODERS["h263"])
        arguments[arguments.index("-b:v") + 1] = "300k"
        # Each group of blocks has a header: there packets may begin.
        return rtmp_raw.flv_tags(_flv_pictures(workspace, f"{name}-{identity:x}", picture,
                                               self.seconds, [*arguments, "-ps", "1"]))

    def frame_of(self, body):
        return body[1:] if body[0] & 15 == 8 else None

    def tag(self, frame):
        return bytes([(0x10 if self._is_key(frame) else 0x20) | 8]) + frame

    @staticmethod
    def _is_key(frame):
        return not frame[4] & 2  # H.263, 5.1.3: bit 9 of PTYPE

    @staticmethod
    def _parts(frame):
        """Groups of blocks, joined up to what a packet takes; they begin at whole bytes."""
        starts = [0] + [at for at in range(3, len(frame) - 2)
                        if frame[at:at + 2] == b"\0\0" and frame[at + 2] & 0x80
                        and not frame[at + 2] & 0x7C == 0] + [len(frame)]
        parts, begin = [], 0
        for here, after in zip(starts[1:], starts[2:] + [None]):
            if after is None or after - begin > _MTU:
                parts.append(frame[begin:here])
                begin = here
        return [part for part in parts if part]

    def payloads(self, frame):
        # F=0 (mode A), P=0; SRC as in PTYPE (bits 6 to 8), I as in bit 9.
        source, inter = frame[4] >> 2 & 7, frame[4] >> 1 & 1
        header = bytes([0, source << 5 | inter << 4, 0, 0])
        return [header + part for part in self._parts(frame)]

    def frames_of_packets(self, packets):
        frames, part, spare = [], b"", 0
        for packet in packets:
            data = packet.payload
            size = 4 if not data[0] & 0x80 else 8 if not data[0] & 0x40 else 12
            begin, end = data[0] >> 3 & 7, data[0] & 7
            body = data[size:]
            if begin and part:  # the byte that two packets share
                part = part[:-1] + bytes([part[-1] & (0xFF00 >> begin & 0xFF)
                                          | body[0] & 0xFF >> begin]) + body[1:]
            else:
                part += body
            spare = end
            if packet.marker:
                assert spare in (0, end)
                frames.append(part)
                part = b""
        return frames


class Sorenson(Stream):
    """FLV alone carries it (10.1, E.4.3.2)."""

    kind = VIDEO

    def encode(self, workspace, name, identity):
        from . import rtmp
        return rtmp_raw.flv_tags(_flv_pictures(
            workspace, f"{name}-{identity:x}", marks.Picture(identity, name), self.seconds,
            rtmp.VIDEO_ENCODERS["sorenson"]))

    def frame_of(self, body):
        return body[1:] if body[0] & 15 == 2 else None

    def tag(self, frame):
        return bytes([(0x10 if self._is_key(frame) else 0x20) | 2]) + frame

    @staticmethod
    def _is_key(frame):
        """By its PictureType, behind a size of its own, which has two bytes or two words."""
        head = int.from_bytes(frame[:10], "big")
        own = {0: 16, 1: 32}.get(head >> 47 & 7, 0)
        return head >> 45 - own & 3 == 0


class H263Plus(H263):
    """RFC 4629: the two zero bytes that a picture begins with are left out and marked (P)."""

    def payloads(self, frame):
        parts = [frame[i:i + _MTU] for i in range(2, len(frame), _MTU)]
        return [bytes([4 if n == 0 else 0, 0]) + part for n, part in enumerate(parts)]

    def frames_of_packets(self, packets):
        frames, part = [], b""
        for packet in packets:
            data = packet.payload
            at = 2 + (data[0] >> 1 & 1) + ((data[0] & 1) << 5 | data[1] >> 3)
            if data[0] & 4:
                part += b"\0\0"
            part += data[at:]
            if packet.marker:
                frames.append(part)
                part = b""
        return frames


# By the names of gstphone's formats, and of what terminals alone have: (codec at the terminal, how the
# bytes are read).
STREAMS = {
    "pcma": ("pcma", Pcma), "pcmu": ("pcmu", Pcmu), "speex/16000": ("speex", Speex),
    "mpeg4-generic": ("aac", AacGeneric), "mp4a-latm": ("aac", AacLatm),
    "h264": ("h264", H264), "avc1": ("h264", EnhancedH264), "vp8": ("vp8", Vp8), "h263": ("h263", H263),
    "h263-1998": ("h263", H263Plus), "h263-2000": ("h263", H263Plus),
    "h264 mode 0": ("h264", SlicedH264), "sorenson": ("sorenson", Sorenson),
    "aac": ("aac", Aac), "speex": ("speex", Speex),
}
