# Which transcodes are measured, with what at the other side. SPDX-License-Identifier: LGPL-2.1-or-later
"""A row is one call in which one medium is transcoded in one direction. ffmpeg gets the settings that
Junctor's launch line has; `ours` must stand in that line, so that the two cannot drift apart."""

import dataclasses

TO_PHONE, TO_PLAYER = "to phone", "to player"


@dataclasses.dataclass(frozen=True)
class Row:
    way: str
    source: str               # as sources.make() knows it
    codec: str                # what comes out
    ours: tuple               # of the launch line
    theirs: tuple             # arguments of ffmpeg
    formats: str = ""         # what the phone takes, by our name; as the codec if empty
    fmtp: str = ""            # of the phone's answer
    crop: str = ""            # of the picture that comes out, where the mark is looked for
    beside: bool = False      # H.264 passed through in the same call
    note: str = ""
    warm_up: float = 1.5      # seconds until what goes on for the rest of a call

    @property
    def name(self):
        more = " beside copied h264" if self.beside else ""
        return f"{self.source} → {self.formats or self.codec}, {self.way}{more}"


def _x264(kbit, more=""):
    """As x264enc fills in what the launch line leaves open: HRD-like VBV of 600 ms, delimiters."""
    return ("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1",
            "-profile:v", "baseline", "-level", "3.1", "-g", "60", "-b:v", f"{kbit}k", "-maxrate",
            f"{kbit}k", "-bufsize", f"{kbit * 6 // 10}k", "-qmin", "0", "-qmax", "69", "-x264-params",
            "aud=1" + more)


def _vp8(kbit):
    """As vp8enc fills in the rest: buffers of 6 s, 4 s at the start, quantizers from 4."""
    rate = kbit * 1000
    return ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-threads", "1",
            "-lag-in-frames", "0", "-auto-alt-ref", "0", "-static-thresh", "1", "-qmin", "4", "-qmax",
            "63", "-undershoot-pct", "100", "-overshoot-pct", "100", "-g", "60", "-b:v", str(rate),
            "-minrate", str(rate), "-maxrate", str(rate), "-bufsize", str(6 * rate),
            "-rc_init_occupancy", str(4 * rate))


_CIF = ("-vf", "scale=352:216:flags=bilinear,pad=352:288:0:36,setsar=12/11")
# avenc_h263 and avenc_flv quantize as coarsely as they may (codec_table.cpp says why).
_H263 = ("-c:v", "h263", "-qmin", "8", "-qmax", "8", "-g", "60", "-threads", "1")
_SPEEX = ("-ar", "16000", "-ac", "1", "-c:a", "libspeex", "-cbr_quality", "8", "-compression_level",
          "3")
_PCMA = ("-af", "aresample=8000,asetnsamples=160", "-ac", "1", "-c:a", "pcm_alaw")
_AAC = ("-ar", "44100", "-ac", "1", "-c:a", "aac", "-b:a", "64k")
_AAC_NOTE = "not the same encoder: ours is vo-aacenc, ffmpeg here has its own alone"
_CARD_NOTE = ("more work: a player of an audio call gets a picture that says so too, once a second "
              "when it has learnt its rate; ffmpeg sends sound alone")
_BORDERS = "iw:ih*3/4"
_OURS_H264 = ("x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=60 "
              "bitrate=1800 ",)
_OURS_VP8 = ("vp8enc deadline=1 cpu-used=8 threads=1 end-usage=cbr target-bitrate=1800000 "
             "keyframe-max-dist=60",)
_BASELINE = "profile-level-id=42e01f;packetization-mode=1"

ROWS = (
    Row(TO_PHONE, "h264", "vp8", _OURS_VP8, _vp8(1800)),
    Row(TO_PLAYER, "vp8", "h264", _OURS_H264, _x264(1800)),
    Row(TO_PHONE, "h264", "h263", ("avenc_h263 bitrate=600000 qmax=8 gop-size=60",), _CIF + _H263,
        formats="h263-1998", fmtp="CIF=1;QCIF=1", crop=_BORDERS),
    Row(TO_PLAYER, "h263", "h264", _OURS_H264,
        ("-vf", "scale=384:288:flags=bilinear,setsar=1", *_x264(1800)), crop=_BORDERS),
    Row(TO_PHONE, "h264", "h264", _OURS_H264 + ("slice-max-size=1150",),
        (*_x264(1800, ":slice-max-size=1150"), "-rtpflags", "h264_mode0"), formats="h264 mode 0",
        fmtp="profile-level-id=42e01f;packetization-mode=0"),
    Row(TO_PHONE, "h264 high", "h264", _OURS_H264, _x264(1800), fmtp=_BASELINE),
    Row(TO_PHONE, "sorenson", "h264", _OURS_H264, _x264(1800), fmtp=_BASELINE),
    Row(TO_PLAYER, "h264", "sorenson", ("avenc_flv bitrate=1800000 qmax=6 gop-size=60",),
        ("-c:v", "flv1", "-qmin", "6", "-qmax", "6", "-g", "60", "-threads", "1")),
    Row(TO_PHONE, "aac", "pcma", ("soundfit caps=audio/x-alaw,",), _PCMA),
    Row(TO_PHONE, "aac", "pcma", ("soundfit caps=audio/x-alaw,",), _PCMA, beside=True),
    Row(TO_PLAYER, "pcma", "aac", ("voaacenc bitrate=64000",), _AAC,
        note=f"{_AAC_NOTE}; {_CARD_NOTE}", warm_up=8),
    Row(TO_PLAYER, "pcma", "aac", ("voaacenc bitrate=64000",), _AAC, note=_AAC_NOTE, beside=True),
    Row(TO_PLAYER, "aac", "pcma", ("soundfit caps=audio/x-alaw,",), _PCMA, note=_CARD_NOTE, warm_up=8),
    Row(TO_PLAYER, "aac", "pcma", ("soundfit caps=audio/x-alaw,",), _PCMA, beside=True),
    Row(TO_PHONE, "pcma", "aac", ("voaacenc bitrate=64000",), _AAC, formats="mpeg4-generic",
        note=_AAC_NOTE),
    Row(TO_PHONE, "speex", "pcma", ("soundfit caps=audio/x-alaw,",), _PCMA),
    Row(TO_PLAYER, "pcma", "speex", ("speexenc",), _SPEEX, note=_CARD_NOTE, warm_up=8),
    Row(TO_PLAYER, "pcma", "speex", ("speexenc",), _SPEEX, beside=True),
    Row(TO_PLAYER, "speex", "pcma", ("soundfit caps=audio/x-alaw,",), _PCMA, note=_CARD_NOTE, warm_up=8),
    Row(TO_PLAYER, "speex", "pcma", ("soundfit caps=audio/x-alaw,",), _PCMA, beside=True),
    Row(TO_PHONE, "pcma", "speex", ("speexenc",), _SPEEX, formats="speex/16000"),
    Row(TO_PHONE, "aac", "speex", ("speexenc",), _SPEEX, formats="speex/16000"),
)
