# A SIP phone of SIPp and stock GStreamer elements, for formats that baresip has not.
# SPDX-License-Identifier: LGPL-2.1-or-later
"""SIPp answers, or calls, with one format for each medium; GStreamer encodes and decodes. The two
sockets of the SDP are held here, so that what is sent comes from where it is received."""

import array
import os
import select
import socket
import threading
import time

from . import marks, tones
from .ports import HOST, free_range
from .process import Process, wait_until
from .sipp import SCENARIOS, Sipp

_AAC = "voaacenc bitrate=64000 ! aacparse"


class Format:
    """One format of SIP with what encodes, packs, unpacks and decodes it. `caps` are more fields of
    the RTP caps, `rtpmap` is as the offer has it (a regular expression), `rate` of sound."""

    def __init__(self, rtpmap, send, receive, *, caps="", fmtp="", rate=0, size=None):
        self.rtpmap, self.send, self.receive = rtpmap, send, receive
        self.caps, self.fmtp, self.rate, self.size = caps, fmtp, rate, size


_H264 = ("x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=25 bitrate=800 "
         "{slices} ! video/x-h264,profile=constrained-baseline ! "
         "rtph264pay aggregate-mode=none config-interval=1")
_H263 = "avenc_h263 bitrate=800000 gop-size=25 ! "
AUDIO = {
    "pcma": Format("PCMA/8000", "alawenc ! rtppcmapay", "rtppcmadepay ! alawdec", rate=8000),
    "pcmu": Format("PCMU/8000", "mulawenc ! rtppcmupay", "rtppcmudepay ! mulawdec", rate=8000),
    "speex/16000": Format("SPEEX/16000", "speexenc ! rtpspeexpay", "rtpspeexdepay ! speexdec",
                          rate=16000),
    "speex/8000": Format("SPEEX/8000", "speexenc ! rtpspeexpay", "rtpspeexdepay ! speexdec",
                         rate=8000),
    "mpeg4-generic": Format(
        "MPEG4-GENERIC/44100(?:/1)?", f"{_AAC} ! rtpmp4gpay", "rtpmp4gdepay ! aacparse ! avdec_aac",
        rate=44100, fmtp="streamtype=5;profile-level-id=1;mode=AAC-hbr;config=1208;sizelength=13;"
        "indexlength=3;indexdeltalength=3",
        caps=",mode=(string)AAC-hbr,config=(string)1208,sizelength=(string)13,"
        "indexlength=(string)3,indexdeltalength=(string)3"),
    "mp4a-latm": Format(
        "MP4A-LATM/44100(?:/1)?", f"{_AAC} ! rtpmp4apay", "rtpmp4adepay ! aacparse ! avdec_aac",
        rate=44100, fmtp="profile-level-id=1;cpresent=0;config=400024103fc0",
        caps=",cpresent=(string)0,config=(string)400024103fc0"),
}
VIDEO = {
    "h264": Format("H264/90000", _H264.format(slices=""), "rtph264depay ! avdec_h264",
                   fmtp="profile-level-id=42e01f;packetization-mode=1"),
    "h264 mode 0": Format("H264/90000",
                          _H264.format(slices="option-string=slice-max-size=1100"),
                          "rtph264depay ! avdec_h264",
                          fmtp="profile-level-id=42e01f;packetization-mode=0"),
    # RFC 2190 splits pictures where a group of blocks has a header: each has one.
    "h263": Format("H263/90000", _H263.replace("=25", "=25 ps=1") + "rtph263pay",
                   "rtph263depay ! avdec_h263",
                   fmtp="CIF=1;QCIF=1", size=(352, 288)),
    "h263-1998": Format("H263-1998/90000", _H263 + "rtph263ppay", "rtph263pdepay ! avdec_h263",
                        fmtp="CIF=1;QCIF=1", size=(352, 288)),
    "h263-2000": Format("H263-2000/90000", _H263 + "rtph263ppay", "rtph263pdepay ! avdec_h263",
                        fmtp="CIF=1;QCIF=1", size=(352, 288)),
    "vp8": Format("VP8/90000",
                  "vp8enc deadline=1 cpu-used=8 threads=1 target-bitrate=800000 "
                  "keyframe-max-dist=25 ! rtpvp8pay picture-id-mode=15-bit",
                  "rtpvp8depay ! vp8dec"),
}


def _media_lines(audio, video, numbers):
    """The media of an SDP, with these payload types."""
    def name(form):
        return form.rtpmap.replace("(?:/1)?", "/1")
    sound, picture = numbers
    return [
        f"m=audio [audio_port] RTP/AVP {sound}",
        f"a=rtpmap:{sound} {name(audio)}",
        *([f"a=fmtp:{sound} {audio.fmtp}"] if audio.fmtp else []), "a=sendrecv",
        f"m=video [video_port] RTP/AVP {picture}",
        f"a=rtpmap:{picture} {name(video)}",
        f"a=fmtp:{picture} {video.fmtp}" if video.fmtp else "a=framerate:25",
        f"a=rtcp-fb:{picture} nack pli", "a=sendrecv"]


def _read(scenario):
    with open(os.path.join(SCENARIOS, scenario), encoding="utf-8") as file:
        return file.read()


def callee_scenario(workspace, audio, video):
    """callee_answer.xml with these formats in its answer."""
    text = _read("callee_answer.xml")
    # The offer names the H.264 modes in its fmtp.
    looked_for = f"a=rtpmap:([0-9]+) {video.rtpmap}"
    if video.rtpmap.startswith("H264"):
        mode = video.fmtp.rpartition("=")[2]
        looked_for = f"a=fmtp:([0-9]+) profile-level-id=[0-9a-f]+;packetization-mode={mode}"

    body = text[text.index("m=audio"):text.index("    ]]>", text.index("m=audio"))]
    answer = "\n      ".join(_media_lines(audio, video, ("[$audio_type]", "[$video_type]"))) + "\n"
    text = text.replace(body, answer)
    audio_look = (f'<ereg regexp="a=rtpmap:([0-9]+) {audio.rtpmap.replace("(?:/1)?", "")}" '
                  'search_in="msg" assign_to="audio_line,audio_type"/>')
    video_look = f'regexp="{looked_for}"'
    old = 'regexp="a=rtpmap:([0-9]+) H264"'
    assert text.count(old) == 1
    text = text.replace(old, video_look)
    text = text.replace("    </action>", f"      {audio_look}\n    </action>", 1)
    text = text.replace('variables="h264_line,', 'variables="audio_line,audio_type,h264_line,')
    return workspace.write("phone.xml", text)


def _caller_scenario(workspace, audio, video):
    """caller.xml with these formats in its offer."""
    text = _read("caller.xml")
    static = {"PCMU/8000": 0, "PCMA/8000": 8, "H263/90000": 34}
    numbers = static.get(audio.rtpmap, 97), static.get(video.rtpmap, 98)
    offer = "\n".join(_media_lines(audio, video, numbers)) + "\n"
    begin = text.index("m=audio")
    return workspace.write("phone.xml", text[:begin] + offer + text[text.index("]]>", begin):])


class GstPhone:
    """Is called by its uri(), or calls by dial(); sends a Camera's picture and a tone once media are
    started."""

    IDENTITY = 0xB0
    RATE = 8000
    WIDTH, HEIGHT = 320, 180

    def __init__(self, workspace, *, audio, video, frequency=1000, crop=None, calls=False):
        self.audio, self.video, self.crop = AUDIO[audio], VIDEO[video], crop
        low, self._inner = free_range(4), free_range(4)
        self._ports = {"audio": low, "video": low + 2}
        self._target = {"audio": None, "video": None}
        self.began = None  # when it sent its first picture: time.time()
        self._stop = threading.Event()
        self._relay_threads = []
        self.camera = marks.Camera(marks.Picture(self.IDENTITY, "bob"))
        self._keys = {"audio_port": low, "video_port": low + 2}
        self.sipp = None
        if not calls:
            self.sipp = Sipp(workspace, callee_scenario(workspace, self.audio, self.video),
                             keys=self._keys)
        self._sounds = workspace.file("phone-sound.raw")
        self._pictures = workspace.file("phone-pictures.raw")
        for medium, offset in (("audio", 0), ("video", 1)):
            self._relay(medium, self._inner + 2 * offset)
        self._frequency, self._workspace = frequency, workspace
        self.processes = []

    def uri(self):
        return self.sipp.uri()

    def dial(self, user, server):
        """Calls a user of a server (ADDRESS:PORT)."""
        self.sipp = Sipp(self._workspace, _caller_scenario(self._workspace, self.audio, self.video),
                         keys=self._keys, extra=("-s", user, server))

    def _relay(self, medium, inner):
        """Between the SDP's port and GStreamer's: `inner` is the sender's target, the next one is
        where the receiver listens."""
        outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        outside.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        outside.bind((HOST, self._ports[medium]))
        inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        inside.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        inside.bind((HOST, inner))

        def run():
            with outside, inside:
                while not self._stop.is_set():
                    for ready in select.select([outside, inside], [], [], 0.1)[0]:
                        try:
                            data, source = ready.recvfrom(65536)
                            if ready is outside:
                                self._target[medium] = source
                                inside.sendto(data, (HOST, inner + 1))
                            elif self._target[medium]:
                                if medium == "video" and self.began is None:
                                    self.began = time.time()
                                outside.sendto(data, self._target[medium])
                        except OSError:
                            continue
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._relay_threads.append(thread)

    def _described(self, way, medium):
        """The words of the medium's line in the latest SDP that was "sent" or "received": kind,
        port, profile, payload type; None before that."""
        lines = [line.split() for _, its, text in self.sipp.messages_seen() if its == way
                 for line in text.splitlines() if line.startswith(f"m={medium} ")]
        return lines[-1] if lines else None

    def start_media(self, guard=20.0):
        """Once offer and answer are exchanged: GStreamer sends and receives."""
        pt = {}
        for medium in self._target:
            ours, theirs = (
                wait_until(lambda w=way, m=medium: self._described(w, m), guard,
                           f"an SDP {way} by the phone") for way in ("sent", "received"))
            # RFC 3264, 6.1: what was chosen has one number in both.
            assert ours[3] in theirs[3:], (ours, theirs)
            pt[medium] = ours[3]
            # Where to, before anything came.
            self._target[medium] = self._target[medium] or (HOST, int(theirs[1]))

        def caps(medium, form):
            clock = form.rate or 90000
            name = form.rtpmap.partition("/")[0]
            return (f"application/x-rtp,media={medium},payload={pt[medium]},clock-rate={clock},"
                    f"encoding-name={name}{form.caps}")
        size = self.video.size or (marks.WIDTH, marks.HEIGHT)
        cut = ""
        if self.crop:  # the borders of an H.263 picture
            cut = "videocrop top=36 bottom=36 ! "
        pace = "min-ptime=20000000 max-ptime=20000000" if "law" in self.audio.send else ""
        line = (
            f"tcpclientsrc host={HOST} port={self.camera.serve()} ! y4mdec ! videoconvert ! "
            "videoscale add-borders=false ! video/x-raw,format=I420,"
            f"width={size[0]},height={size[1]} ! "
            f"{self.video.send} pt={pt['video']} ! udpsink host={HOST} port={self._inner + 2} "
            f"sync=false "
            f"audiotestsrc is-live=true freq={self._frequency} samplesperbuffer="
            f"{self.audio.rate // 50} ! "
            f"audio/x-raw,rate={self.audio.rate},channels=1 ! {self.audio.send} "
            f"pt={pt['audio']} {pace} ! udpsink host={HOST} port={self._inner} sync=false")
        receive = (
            f"udpsrc address={HOST} port={self._inner + 3} caps=\"{caps('video', self.video)}\" ! "
            f"{self.video.receive} ! videoconvert ! {cut}videoscale add-borders=false ! "
            f"video/x-raw,format=GRAY8,width={self.WIDTH},height={self.HEIGHT} ! "
            f"filesink buffer-mode=unbuffered sync=false async=false location={self._pictures} "
            f"udpsrc address={HOST} port={self._inner + 1} caps=\"{caps('audio', self.audio)}\" ! "
            f"{self.audio.receive} ! audioconvert ! audioresample ! "
            f"audio/x-raw,format=S16LE,rate={self.RATE},channels=1 ! "
            f"filesink buffer-mode=unbuffered sync=false async=false location={self._sounds}")
        for name, text in (("receive", receive), ("send", line)):
            self.processes.append(Process(
                f"phone's media ({name})", ["sh", "-c", f"exec gst-launch-1.0 -q {_escaped(text)}"],
                self._workspace.file(f"phone-{name}.log")))

    def heard(self):
        if not os.path.exists(self._sounds):
            return array.array("h"), self.RATE
        with open(self._sounds, "rb") as file:
            data = file.read()
        return array.array("h", data[:len(data) // 2 * 2]), self.RATE

    def seen(self, latest=25):
        """The marks of the latest pictures."""
        size = self.WIDTH * self.HEIGHT
        if not os.path.exists(self._pictures):
            return []
        count = os.path.getsize(self._pictures) // size
        with open(self._pictures, "rb") as file:
            file.seek(max(0, count - latest) * size)
            data = file.read(min(count, latest) * size)
        return [marks.read_mark(data[i:i + size], self.WIDTH, self.HEIGHT)
                for i in range(0, len(data) - size + 1, size)]

    def wait_picture(self, identity, guard=20.0):
        wait_until(lambda: any(m and m[0] == identity for m in self.seen()), guard,
                   f"a picture of source {identity:#x} at the phone", every=0.2)

    def wait_tone(self, frequency, seconds=1.0, guard=20.0):
        def look():
            samples = self.heard()[0][-int(self.RATE * seconds):]
            return len(samples) >= int(self.RATE * seconds) and \
                tones.strength(samples, self.RATE, frequency) > 0.5
        wait_until(look, guard, f"{frequency} Hz at the phone", every=0.2)

    def stop(self):
        self.camera.stop()
        for process in self.processes:
            process.stop()
        self._stop.set()
        for thread in self._relay_threads:
            thread.join()
        return self.sipp.stop() if self.sipp else None


def _escaped(line):
    """A launch line for sh: what would be a command to it is quoted."""
    return " ".join(word if word == "!" else "'" + word.replace('"', "").replace("'", "") + "'"
                    for word in line.split())
