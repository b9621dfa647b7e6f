# Coded pictures and sound in RTP, in RTMP and in files. SPDX-License-Identifier: LGPL-2.1-or-later
"""A codec is named as Junctor's documents name it. A unit is one coded picture or packet of sound,
as FLV has it: H.264 with lengths before its NAL units, AAC without ADTS."""

import struct

from support import flvpeer, rtp

MTU = 1200
AUDIO_TAG, VIDEO_TAG = 8, 9
FRAME = 1024  # samples of AAC
CLOCK = {"pcma": 8000, "speex": 16000, "aac": 44100}
# The first byte of an FLV tag (Adobe FLV 10.1, E.4.2.1 and E.4.3.1): of sound; of pictures the id.
_SOUND = {"pcma": b"\x72", "speex": b"\xb2", "aac": b"\xaf\x01"}
_PICTURE = {"sorenson": 2, "h264": 7, "h263": 8}


def clock(codec):
    """Of RTP, in Hz."""
    return CLOCK.get(codec, 90000)


def is_video(codec):
    return codec not in CLOCK


def units_of_tags(codec, tags):
    """(configuration, [(milliseconds, unit, key)]) of FLV tags of one medium."""
    config, units = b"", []
    for at, kind, body in tags:
        if kind != (VIDEO_TAG if is_video(codec) else AUDIO_TAG) or len(body) < 2:
            continue
        if codec in ("pcma", "speex"):
            units.append((at, body[1:], True))
        elif codec == "aac":
            if body[1]:
                units.append((at, body[2:], True))
            else:
                config = body[2:]
        elif body[0] & 0x80:  # Enhanced RTMP v2, of VP8 alone
            if body[0] & 15 == 1:
                units.append((at, body[5:], body[0] >> 4 & 7 == 1))
        elif codec == "h264":
            if body[1] == 0:
                config = body[5:]
            elif body[1] == 1:
                units.append((at, body[5:], body[0] >> 4 == 1))
        else:
            units.append((at, body[1:], body[0] >> 4 == 1))
    return config, units


def tags_of_units(codec, config, units):
    """FLV tags of one medium."""
    kind, tags = VIDEO_TAG if is_video(codec) else AUDIO_TAG, []
    if codec == "aac":
        tags.append((0, kind, b"\xaf\0" + config))
    elif codec == "h264":
        tags.append((0, kind, bytes([0x17, 0, 0, 0, 0]) + config))
    elif codec == "vp8":
        tags.append((0, kind, flvpeer.VP8_SEQUENCE_START))
    for at, unit, key in units:
        if codec in _SOUND:
            body = _SOUND[codec] + unit
        elif codec == "vp8":
            body = flvpeer.vp8_tag(unit)
        else:
            body = bytes([(1 if key else 2) << 4 | _PICTURE[codec]]) + \
                (b"\1\0\0\0" if codec == "h264" else b"") + unit
        tags.append((at, kind, body))
    return tags


def _nals(unit):
    at, result = 0, []
    while at + 4 <= len(unit):
        size = int.from_bytes(unit[at:at + 4], "big")
        result.append(unit[at + 4:at + 4 + size])
        at += 4 + size
    return result


def _parameter_sets(avcc):
    """The NAL units of an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1)."""
    result, at = [], 5
    for mask in (31, 255):
        count = avcc[at] & mask
        at += 1
        for _ in range(count):
            size = int.from_bytes(avcc[at:at + 2], "big")
            result.append(avcc[at + 2:at + 2 + size])
            at += 2 + size
    return result


def pack(codec, config, unit, key):
    """The RTP payloads of one unit."""
    if codec == "h264":
        nals = (_parameter_sets(config) if key else []) + _nals(unit)
        return rtp.h264_payloads(nals, MTU)
    if codec == "aac":  # RFC 3640 with 13 bits of size and 3 of index
        return [struct.pack("!HH", 16, len(unit) << 3) + unit]
    if codec == "vp8":  # RFC 7741: S on the first
        parts = [unit[i:i + MTU] for i in range(0, len(unit), MTU)]
        return [(b"\0" if i else b"\x10") + part for i, part in enumerate(parts)]
    if codec == "h263":  # RFC 4629: P stands for the two zero bytes of the start code
        parts = [unit[2:][i:i + MTU] for i in range(0, len(unit) - 2, MTU)]
        return [(b"\0\0" if i else b"\4\0") + part for i, part in enumerate(parts)]
    return [unit]


def unpack(codec, packets):
    """The units in RTP packets of one timestamp; of H.264 in the form of a file (annex B)."""
    payloads = [packet.payload for packet in packets]
    if codec == "h264":
        return [b"".join(b"\0\0\0\1" + nal for nal in rtp.h264_nals(packets))]
    if codec == "aac":
        headers, result = int.from_bytes(payloads[0][:2], "big") // 16, []
        at = 2 + 2 * headers
        for place in range(headers):
            size = int.from_bytes(payloads[0][2 + 2 * place:4 + 2 * place], "big") >> 3
            result.append(payloads[0][at:at + size])
            at += size
        return result
    if codec == "vp8":
        return [b"".join(payload[_vp8_descriptor(payload):] for payload in payloads)]
    if codec == "h263":
        return [b"".join((b"\0\0" if payload[0] & 4 else b"") + payload[2:]
                         for payload in payloads)]
    return [b"".join(payloads)]


def _vp8_descriptor(payload):
    """How many bytes the payload descriptor has (RFC 7741, 4.2)."""
    size = 1
    if payload[0] & 0x80:
        more = payload[1]
        size = 2
        if more & 0x80:
            size += 2 if payload[size] & 0x80 else 1
        size += (more >> 6 & 1) + bool(more & 0x30)
    return size


def form_of(codec, from_rtp):
    """ffmpeg's name of the form that write() gives units: H.263 and H.264 of RTP as they are."""
    if codec == "vp8":
        return "ivf"
    return codec if codec == "h263" or codec == "h264" and from_rtp else "flv"


def write(path, codec, config, units, from_rtp):
    """A file that ffmpeg can decode of [(seconds, unit, key)]."""
    form = form_of(codec, from_rtp)
    with open(path, "wb") as file:
        if form == "ivf":
            file.write(flvpeer.ivf([(int(at * 1000), unit) for at, unit, _ in units]))
        elif form != "flv":
            file.write(b"".join(unit for _, unit, _ in units))
        else:
            began = units[0][0]
            timed = [(int((at - began) * 1000), unit, key) for at, unit, key in units]
            file.write(b"FLV\1" + (b"\1" if is_video(codec) else b"\4") + b"\0\0\0\x09\0\0\0\0")
            for at, kind, body in tags_of_units(codec, config, timed):
                tag = bytes([kind]) + len(body).to_bytes(3, "big") + \
                    (at & 0xFFFFFF).to_bytes(3, "big") + bytes([at >> 24, 0, 0, 0]) + body
                file.write(tag + struct.pack("!I", len(tag)))
