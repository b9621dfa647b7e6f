# Junctor and ffmpeg carrying one call of a row. SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
import time

from support.junctor import Junctor
from support.ports import HOST, free_port, free_range
from support.process import Process, Timeout, wait_until
from support.sipp import Sipp

from . import ends, payloads, rows, sources

SYSTEMS = ("junctor", "ffmpeg")
_CALLEE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "callee.xml")
_RTPMAP = {"pcma": "PCMA/8000", "speex": "SPEEX/16000", "aac": "MPEG4-GENERIC/44100/1",
           "h264": "H264/90000", "vp8": "VP8/90000", "h263": "H263-1998/90000"}
_AAC_FMTP = ("streamtype=5;profile-level-id=1;mode=AAC-hbr;config=1208;sizelength=13;indexlength=3;"
             "indexdeltalength=3")
_FMTP = {"aac": _AAC_FMTP, "h263": "CIF=1;QCIF=1",
         "h264": "profile-level-id=42e01f;packetization-mode=1"}
_FORMATS = {"aac": "mpeg4-generic", "h263": "h263-1998", "speex": "speex/16000"}


def medium_of(codec):
    return "video" if payloads.is_video(codec) else "audio"


class Carried:
    """A call of `row` under way in one system, whose processes are `pids`. `sink` has what comes
    out."""

    def __init__(self, workspace, row, source, beside):
        self.workspace, self.row = workspace, row
        self.sources = [source, beside] if row.beside else [source]
        self.source, self.things = source, []
        self.launch = ""
        self.idle_threads = 0
        self.sink = self.sender = None
        self.pids = []

    def keep(self, thing):
        self.things.append(thing)
        return thing

    def log(self, name):
        return self.workspace.file(f"{name}-{time.monotonic_ns()}.log")

    def stop(self):
        for thing in reversed(self.things):
            thing.stop()

    def threads(self):
        return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in self.pids) - self.idle_threads

    def cpu_ns(self):
        """User and system time with ended threads: the clock that clock_getcpuclockid(3) names."""
        return sum(time.clock_gettime_ns(~pid << 3 | 2) for pid in self.pids)

    def received(self):
        """(configuration, units) of the transcoded medium so far."""
        if self.row.way == rows.TO_PHONE:
            return b"", self.sink.units(medium_of(self.row.codec), self.row.codec)
        return self.sink.config_and_units(self.row.codec)

    # --- junctor -----------------------------------------------------------------------------------

    def start_junctor(self):
        """Signalling and pipelines up, the sender going."""
        row, to_phone = self.row, self.row.way == rows.TO_PHONE
        codec = row.codec if to_phone else self.source.codec
        spoken = [row.formats.split()[0] if row.formats else _FORMATS.get(codec, codec)]
        spoken += ["h264"] if row.beside else []
        junctor = self.keep(Junctor(
            self.workspace, "[sip]\nallow = [\"sip:*@127.0.0.1:*\"]\n"
            f"formats = {spoken!r}\n".replace("'", '"'), log="warning",
            name=f"junctor-{time.monotonic_ns()}"))
        self.pids = [junctor.pid]
        phone = self.keep(ends.RtpSink())
        sipp = self.keep(Sipp(self.workspace, self._scenario(codec), keys={
            f"{medium}_port": port for medium, port in phone.ports.items()}))
        alice = junctor.account("alice")
        if not to_phone:
            wanted = [row.codec] + (["h264"] if row.beside else [])
            app, stream = _split(alice.pull_url("&".join(
                f"{medium_of(each)}={each}" for each in wanted)))
            self.sink = self.keep(ends.RtmpSink(junctor.rtmp_port, app, stream))
        time.sleep(0.5)
        self.idle_threads = self.threads()
        app, stream = _split(alice.push_url(sipp.uri()))
        # A publisher is a call's beginning. Where the phone's media is measured it says little.
        publisher = self.keep(ends.RtmpSender(
            junctor.rtmp_port, app, stream,
            self.sources if to_phone else [_trickle(self.source)]))
        if to_phone:
            self.sink = phone
        else:
            publisher.start([_trickle(self.source)])
        identifier = junctor.find_call("alice")
        junctor.wait_state(identifier, "answered")
        if to_phone:
            self.sender = publisher
        else:
            ports, types = _offer(sipp)
            self.sender = self.keep(ends.RtpSender(
                {medium: (HOST, port) for medium, port in ports.items()}, types, phone.sockets))
        self.sender.start(self.sources)

        def as_written():
            self.launch = junctor.call(identifier).get("launch") or ""
            return all(part in self.launch for part in row.ours)
        try:
            wait_until(as_written, 10)
        except Timeout:
            raise AssertionError(f"the launch line has not {row.ours}, so ffmpeg's settings in "
                                 f"bench/transcode/rows.py are not the same: {self.launch}") from None

    def _scenario(self, codec):
        with open(_CALLEE, encoding="utf-8") as file:
            text = file.read()
        lines = []
        for each in [codec] + (["h264"] if self.row.beside else []):
            medium = medium_of(each)
            lines.append(f"m={medium} [{medium}_port] RTP/AVP [${medium}_type]")
            lines.append(f"a=rtpmap:[${medium}_type] {_RTPMAP[each]}")
            fmtp = self.row.fmtp if each == codec and self.row.fmtp else _FMTP.get(each)
            lines += [f"a=fmtp:[${medium}_type] {fmtp}"] if fmtp else []
        # Of H.264 both packetization modes are offered, each with a type of its own.
        mode = "0" if "mode=0" in self.row.fmtp else "1"
        video = "m=video [0-9]+ [^ ]+ ([0-9]+)"
        if codec == "h264" or self.row.beside:
            video = f"a=fmtp:([0-9]+) profile-level-id=[0-9a-f]+;packetization-mode={mode}"
        text = text.replace("VIDEO\"", video + "\"").replace("      MEDIA", "\n".join(
            "      " + line for line in lines))
        return self.workspace.write(f"callee-{time.monotonic_ns()}.xml", text)

    # --- ffmpeg ------------------------------------------------------------------------------------

    def start_ffmpeg(self):
        row, to_phone = self.row, self.row.way == rows.TO_PHONE
        video = payloads.is_video(row.codec)
        # As Junctor's decoders and scalers: one thread, nothing held back.
        argv = ["ffmpeg", "-hide_banner", "-nostats", "-nostdin", "-loglevel", "warning",
                "-filter_threads", "1", "-filter_complex_threads", "1", "-sws_flags", "bilinear",
                "-fflags", "nobuffer", "-flags", "low_delay", "-analyzeduration", "300000",
                "-max_delay", "0", "-threads", "1"]
        argv += ["-strict", "-1"]
        if to_phone:
            port = free_port()
            argv += ["-listen", "1", "-i", f"rtmp://{HOST}:{port}/live/x"]
            self.sink = self.keep(ends.RtpSink())
            target = {m: f"rtp://{HOST}:{p}?pkt_size=1200" for m, p in self.sink.ports.items()}
            outs = [*row.theirs, "-strict", "-1", "-max_delay", "0", "-f", "rtp",
                    target["video" if video else "audio"]]
            if row.beside:
                outs += ["-map", "0:v", "-c", "copy", "-f", "rtp", target["video"]]
        else:
            port = free_range(2 * len(self.sources))
            media = {medium_of(each.codec): (each, port + 2 * at, 96 + at)
                     for at, each in enumerate(self.sources)}
            self.sink = self.keep(ends.FlvSink())
            argv += ["-protocol_whitelist", "file,udp,rtp", "-i", self._sdp(media.values())]
            outs = [*row.theirs] + (["-map", "0:v", "-c:v", "copy"] if row.beside else [])
            outs += ["-flvflags", "no_duration_filesize", "-flush_packets", "1",
                     "-f", "flv", f"tcp://{HOST}:{self.sink.port}"]
        outs = (["-map", "0:v", "-fps_mode", "passthrough"] if video else ["-map", "0:a"]) + outs
        process = self.keep(Process("ffmpeg", argv + outs, self.log("ffmpeg")))
        self.pids = [process.pid]
        if to_phone:
            wait_until(lambda: _listening(port), 30, f"ffmpeg to listen on {port}")
            self.sender = self.keep(ends.RtmpSender(port, "live", "x", self.sources))
        else:
            wait_until(lambda: _bound(port), 30, f"ffmpeg to take port {port}")
            phone = self.keep(ends.RtpSink())
            self.sender = self.keep(ends.RtpSender(
                {medium: (HOST, at) for medium, (_, at, _) in media.items()},
                {medium: kind for medium, (_, _, kind) in media.items()}, phone.sockets))
        self.sender.start(self.sources)

    def _sdp(self, media):
        lines = ["v=0", f"o=- 1 1 IN IP4 {HOST}", "s=-", f"c=IN IP4 {HOST}", "t=0 0"]
        for source, port, kind in media:
            codec = source.codec
            lines += [f"m={medium_of(codec)} {port} RTP/AVP {kind}", f"a=rtpmap:{kind} {_RTPMAP[codec]}"]
            lines += [f"a=fmtp:{kind} {_FMTP[codec]}"] if codec in _FMTP else []
        return self.workspace.write(f"in-{time.monotonic_ns()}.sdp", "\n".join(lines) + "\n")


def _trickle(source):
    """A packet of sound each two seconds: enough for the watchdog, and next to no work. It is in the
    phone's codec: what the caller sends is no second transcode."""
    if payloads.is_video(source.codec):
        return sources.Source("pcma", b"", [(at, b"\xd5" * 160, True)
                                            for at in range(0, 300000, 2000)])
    unit = source.units[-1][1]
    return sources.Source(source.codec, source.config, [(at, unit, True)
                                                        for at in range(0, 300000, 2000)])


def _split(url):
    """Application and stream of one of Junctor's URLs."""
    query, _, stream = url.partition("/call?")[2].partition("/")
    return "call?" + query, stream


def _offer(sipp):
    """Ports and payload types of the offer that SIPp got, by medium."""
    offer = next(text for _, way, text in sipp.messages_seen()
                 if way == "received" and text.lstrip().startswith("INVITE"))
    found = re.findall(r"^m=(\w+) (\d+) \S+ (\d+)", offer, re.MULTILINE)
    return ({medium: int(port) for medium, port, _ in found},
            {medium: int(kind) for medium, _, kind in found})


def _in_table(name, port, state):
    with open(f"/proc/net/{name}", encoding="ascii") as file:
        return any(f":{port:04X} " in line and state in line for line in file)


def _listening(port):
    return _in_table("tcp", port, " 0A ")


def _bound(port):
    return _in_table("udp", port, "")
