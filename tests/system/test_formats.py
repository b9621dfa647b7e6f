# Every RTP format of sipcallsink, both ways, with no orchestrator: pictures and tones arrive at
# decoders that are not ours. SPDX-License-Identifier: LGPL-2.1-or-later
import array
import os
import re
import signal

from support import marks, tones
from support.baresip import Baresip
from support.elements import ElementsTest
from support.gstpeer import GstPeer
from support.linphone import Linphone
from support.ports import HOST
from support.process import wait_until
from support.sipp import SCENARIOS, Sipp

OURS, THEIRS = 0xA1, 0xC3
OUR_TONE, THEIR_TONE = 440, 1000
CIF = (352, 288)

# Raw media to a file in which the test finds what it looks for.
SOUND = ("audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate=8000,channels=1 ! "
         "filesink location={out} buffer-mode=unbuffered sync=false async=false")
PICTURE = (f"videoconvert ! videoscale add-borders=false ! "
           f"video/x-raw,format=GRAY8,width={marks.WIDTH},height={marks.HEIGHT},"
           "pixel-aspect-ratio=1/1 ! "
           "filesink location={out} buffer-mode=unbuffered sync=false async=false")


class Format:
    """`name` and `number` as our offers have them, `answer` the lines that a callee has for it,
    `encode` from raw media, `caps` what a receiver must know besides."""

    def __init__(self, medium, name, number, answer, raw, encode, pay, depay, decode, clock,
                 caps=""):
        self.medium, self.name, self.number, self.answer = medium, name, number, answer
        self.raw, self.encode, self.pay = raw, encode, pay
        self.depay, self.decode = depay, decode
        encoding = name.split("/")[0].upper()
        self.caps = (f"application/x-rtp,media={medium},clock-rate={clock},"
                     f"encoding-name={encoding},payload={number}{caps}")


def aac(name, number, rate, channels, answer, pay, depay, caps):
    return Format("audio", name, number, answer, f"audio/x-raw,rate={rate},channels={channels}",
                  "voaacenc bitrate=64000", pay, depay, "aacparse ! avdec_aac", rate, caps)


def speex(rate, number):
    return Format("audio", f"speex/{rate}", number, f"a=rtpmap:{number} speex/{rate}\n",
                  f"audio/x-raw,rate={rate},channels=1", "speexenc", "rtpspeexpay",
                  "rtpspeexdepay", "speexdec", rate)


def h263(name, number, answer, pay, depay):
    return Format("video", name, number, answer,
                  f"video/x-raw,format=I420,width={CIF[0]},height={CIF[1]}",
                  # With GOB headers, at which alone rtph263pay can cut pictures.
                  "avenc_h263 ps=500 bitrate=800000 gop-size=25", pay, depay, "avdec_h263", 90000)


GENERIC = "streamtype=5;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3"
FORMATS = [
    speex(16000, 98),
    speex(8000, 99),
    aac("mpeg4-generic", 100, 44100, 1,
        f"a=rtpmap:100 mpeg4-generic/44100\na=fmtp:100 {GENERIC};config=1208\n", "rtpmp4gpay",
        "rtpmp4gdepay", "," + GENERIC.replace(";", ",").replace("=", "=(string)")
        + ",config=(string)1208"),
    aac("mp4a-latm", 102, 48000, 2,
        "a=rtpmap:102 MP4A-LATM/48000/2\na=fmtp:102 cpresent=0;config=400023203fc0\n",
        "rtpmp4apay", "rtpmp4adepay", ",cpresent=(string)0,config=(string)400023203fc0"),
    Format("video", "vp8", 103, "a=rtpmap:103 VP8/90000\na=rtcp-fb:103 nack pli\n",
           "video/x-raw,format=I420,width=640,height=360",
           "vp8enc deadline=1 cpu-used=8 threads=1 end-usage=cbr target-bitrate=800000 "
           "keyframe-max-dist=25", "rtpvp8pay picture-id-mode=15-bit", "rtpvp8depay", "vp8dec", 90000),
    h263("h263-1998", 105, "a=rtpmap:105 H263-1998/90000\na=fmtp:105 CIF=1;QCIF=1\n",
         "rtph263ppay", "rtph263pdepay"),
    h263("h263-2000", 104, "a=rtpmap:104 H263-2000/90000\na=fmtp:104 profile=0;level=30\n",
         "rtph263ppay", "rtph263pdepay"),
    h263("h263/90000", 34, "a=rtpmap:34 H263/90000\na=fmtp:34 CIF=1;QCIF=1\n", "rtph263pay",
         "rtph263depay"),
]


def tone_at_end(path, frequency, seconds=0.5, rate=8000):
    """Whether the last of a raw file is that tone."""
    count = int(rate * seconds)
    with open(path, "rb") as file:
        data = file.read()
    samples = array.array("h", data[:len(data) // 2 * 2])[-count:]
    return len(samples) == count and tones.strength(samples, rate, frequency) > 0.5


def mark_at_end(path):
    """The mark of the last whole picture of a raw file."""
    size = marks.WIDTH * marks.HEIGHT
    with open(path, "rb") as file:
        count = os.fstat(file.fileno()).st_size // size
        if count == 0:
            return None
        file.seek((count - 1) * size)
        return marks.read_mark(file.read(size), marks.WIDTH, marks.HEIGHT)


class FormatsTest(ElementsTest):
    def camera(self, identity, name):
        camera = marks.Camera(marks.Picture(identity, name))
        self.addCleanup(camera.stop)
        return f"tcpclientsrc host={HOST} port={camera.serve()} ! y4mdec ! videoconvert ! videoscale"

    def source(self, fmt, identity, name, tone):
        """Up to raw media of the format."""
        if fmt.medium == "audio":
            return f"audiotestsrc is-live=true freq={tone} ! {fmt.raw}"
        return f"{self.camera(identity, name)} ! {fmt.raw}"

    def shows(self, fmt, path, identity, tone, who):
        def look():
            if not os.path.exists(path):
                return False
            if fmt.medium == "audio":
                return tone_at_end(path, tone)
            mark = mark_at_end(path)
            return mark and mark[0] == identity
        what = f"{tone} Hz" if fmt.medium == "audio" else f"a picture of {identity:#x}"
        wait_until(look, 20, f"{what} in {fmt.name} at {who}")

    def call(self, uri, fmt, more=""):
        """A line that calls; what it receives goes to a file."""
        self.seen = self.workspace.file("line.out")
        drain = (SOUND if fmt.medium == "audio" else PICTURE).format(out=self.seen)
        # One payloader makes two formats of H.263: the line says which.
        chosen = (f"! application/x-rtp,encoding-name={fmt.name.upper()} "
                  if fmt.pay == "rtph263ppay" else "")
        self.line = self.run_line(
            f"gst-launch-1.0 -m sipcallsink name=call uri={uri} "
            f"{self.source(fmt, OURS, 'ours', OUR_TONE)} ! {fmt.encode} ! {fmt.pay} "
            f"{chosen}! call.{fmt.medium} {more}"
            f"call.{fmt.medium}_src ! queue ! {fmt.depay} ! {fmt.decode} ! {drain}")


class E_Formats(FormatsTest):
    """A callee that knows one format alone, with GStreamer's own elements for its media."""

    def scenario(self, media):
        with open(os.path.join(SCENARIOS, "callee_answer_at_once.xml"), encoding="utf-8") as file:
            text = file.read()
        before, _, rest = text.partition("      m=audio ")
        _, _, after = rest.partition("    ]]>")
        # Its own look for H264 finds none here, which would be a failure of SIPp's call.
        before = re.sub(r" *<ereg [^>]*assign_to=\"h264_line,video_type\"/>\n", "", before)
        before = before.replace("h264_line,video_type,", "")
        lines = "".join(f"      {line}\n" for line in media.splitlines())
        return self.workspace.write("callee.xml", f"{before}{lines}    ]]>{after}")

    def check(self, fmt):
        peer = self.start(GstPeer(
            self.workspace, f'caps="{fmt.caps}" ! {fmt.depay} ! {fmt.decode} ! '
            + (SOUND if fmt.medium == "audio" else PICTURE),
            f"{self.source(fmt, THEIRS, 'theirs', THEIR_TONE)} ! {fmt.encode} ! "
            f"{fmt.pay} pt={fmt.number}"))
        callee = self.start(Sipp(self.workspace, self.scenario(
            f"m={fmt.medium} {peer.port} RTP/AVP {fmt.number}\n{fmt.answer}")))
        self.call(callee.uri(), fmt)
        self.line.wait_log(r"state=\(string\)answered", 20)
        self.assertRegex(callee.trace(), rf"(?m)^m={fmt.medium} \d+ RTP/AVP {fmt.number}\r?$")
        self.shows(fmt, peer.out, OURS, OUR_TONE, "the callee")
        self.shows(fmt, self.seen, THEIRS, THEIR_TONE, "the caller")


def add(fmt):
    name = "test_" + fmt.name.replace("/", "_").replace("-", "_")
    setattr(E_Formats, name, lambda self: self.check(fmt))


for one in FORMATS:
    add(one)


class E_FormatsOfBaresip(FormatsTest):
    """What the stock phone has: pictures in VP8 and H.263, both ways."""

    def check(self, name, codecs="", size=None):
        fmt = next(one for one in FORMATS if one.name == name)
        self.phone = self.start(Baresip(self.workspace, "bob", size=size, video_codecs=codecs))
        # Without sound it takes no call.
        self.call(self.phone.uri, fmt, "audiotestsrc is-live=true ! "
                  "audio/x-raw,rate=8000,channels=1 ! alawenc ! call.audio ")
        self.phone.wait_event("CALL_ESTABLISHED")
        self.phone_sees(OURS)
        self.shows(fmt, self.seen, Baresip.IDENTITY, None, "the caller")
        self.line.stop(signal.SIGINT)  # hangs up
        self.phone.wait_event("CALL_CLOSED")

    def test_vp8(self):
        self.check("vp8", "vp8")

    def test_h263(self):
        self.check("h263/90000", size=CIF)


class E_FormatsOfLinphone(FormatsTest):
    """What the stock phone with Speex has, both ways."""

    def check(self, rate):
        fmt = next(one for one in FORMATS if one.name == f"speex/{rate}")
        phone = self.start(Linphone(self.workspace, codecs=[("speex", rate)],
                                    frequency=THEIR_TONE))
        self.call(phone.uri, fmt)
        self.line.wait_log(r"state=\(string\)answered, .*audio=\(string\)speex", 20)
        wait_until(lambda: phone.hears(OUR_TONE, rate), 20, f"{OUR_TONE} Hz at the phone")
        self.shows(fmt, self.seen, None, THEIR_TONE, "the caller")

    def test_speex_16000(self):
        self.check(16000)

    def test_speex_8000(self):
        self.check(8000)
