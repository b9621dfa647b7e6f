# Ends of channels through NATs. SPDX-License-Identifier: LGPL-2.1-or-later
"""As a program it makes pipelines around `stunpunch` and obeys lines of JSON on its standard input:

    {"open": ID, "properties": {...}, "media": "packets" | "call" | "none", "identity": 1, "tone": 440}
    {"string": ID, "text": ...}     of the peer's
    {"report": ID}                  what has come so far
    {"close": ID}

and says, a line each: {"string": ID, "text"}, {"state": ID, "is", "rung", "local", "remote", "ms",
"why"}, {"error": ID, "text"}, {"report": ID, ...}. `packets` is 50 packets of RTP a second from when
it is up; `call` a marked picture as H.264 and a tone as A-law, both decoded at the other end.

As a module, Peers lets hosts of a laboratory have channels; the strings go by way of the test."""

import json
import os
import struct
import subprocess
import sys
import threading
import time

_INTERVAL = 20                                      # ms between two packets
_WIDTH, _HEIGHT, _FPS = 320, 180, 10


def say(**line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class _End:
    """One channel."""

    def __init__(self, gst, glib, asked):
        self.gst, self.glib, self.name = gst, glib, asked["open"]
        self.media = asked.get("media", "packets")
        self.arrivals, self.marks, self.sound = [], [], bytearray()
        self.up_at, self.sequence, self.counter = None, 0, 0
        self.identity, self.tone = asked.get("identity", 1), asked.get("tone", 440)
        self.pipeline = gst.parse_launch(self._launch())
        self.channel = self.pipeline.get_by_name("channel")
        for name, value in asked.get("properties", {}).items():
            self.channel.set_property(name, value)
        self.channel.connect("local-candidates",
                             lambda _, text: say(string=self.name, text=text))
        self.channel.get_static_pad("src").add_probe(
            gst.PadProbeType.BUFFER | gst.PadProbeType.BUFFER_LIST, self._arrived)
        if self.media == "call":
            self._set_up_call()
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message", self._message)
        self.pipeline.set_state(gst.State.PLAYING)

    def _launch(self):
        if self.media != "call":
            return ("appsrc name=packets format=time is-live=true do-timestamp=true "
                    "caps=application/x-rtp ! stunpunch name=channel ! fakesink sync=false")
        return (
            f"appsrc name=camera format=time is-live=true do-timestamp=true caps=video/x-raw,"
            f"format=I420,width={_WIDTH},height={_HEIGHT},framerate={_FPS}/1 "
            "! x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=300 "
            "! video/x-h264,profile=constrained-baseline ! rtph264pay pt=96 config-interval=-1 "
            "mtu=1200 ! both.sink_0 "
            f"audiotestsrc is-live=true freq={self.tone} samplesperbuffer=160 "
            "! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay pt=8 ! both.sink_1 "
            "funnel name=both ! stunpunch name=channel ! rtpptdemux name=parted "
            "queue name=pictures ! rtph264depay ! avdec_h264 max-threads=1 ! videoconvert "
            "! video/x-raw,format=GRAY8 ! appsink name=eye emit-signals=true sync=false "
            "queue name=tones ! rtppcmadepay ! alawdec ! audio/x-raw,format=S16LE "
            "! appsink name=ear emit-signals=true sync=false")

    def _set_up_call(self):
        from support.marks import Picture, read_mark
        self.picture, self.read_mark = Picture(self.identity, "CALL", _WIDTH, _HEIGHT), read_mark
        parted = self.pipeline.get_by_name("parted")
        caps = {96: "application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload=96",
                8: "application/x-rtp,media=audio,clock-rate=8000,encoding-name=PCMA,payload=8"}
        parted.connect("request-pt-map", lambda _, pt: self.gst.Caps.from_string(caps[pt]))
        parted.connect("pad-added", self._part)
        self.pipeline.get_by_name("eye").connect("new-sample", self._see)
        self.pipeline.get_by_name("ear").connect("new-sample", self._hear)
        self.glib.timeout_add(1000 // _FPS, self._film)

    def _part(self, _, pad):
        target = {"src_96": "pictures", "src_8": "tones"}.get(pad.get_name())
        if target:
            pad.link(self.pipeline.get_by_name(target).get_static_pad("sink"))

    def _film(self):
        if self.pipeline is None:
            return False
        self.counter += 1
        frame = self.picture.frame(self.counter)
        self.pipeline.get_by_name("camera").emit("push-buffer",
                                                 self.gst.Buffer.new_wrapped(frame))
        return True

    def _see(self, sink):
        buffer = sink.emit("pull-sample").get_buffer()
        self.marks.append(self.read_mark(buffer.extract_dup(0, buffer.get_size()), _WIDTH,
                                         _HEIGHT))
        return self.gst.FlowReturn.OK

    def _hear(self, sink):
        buffer = sink.emit("pull-sample").get_buffer()
        self.sound += buffer.extract_dup(0, buffer.get_size())
        return self.gst.FlowReturn.OK

    def _arrived(self, _, info):
        now, listed = time.monotonic(), info.get_buffer_list() \
            if info.type & self.gst.PadProbeType.BUFFER_LIST else None
        self.arrivals += [now] * (listed.length() if listed else 1)
        return self.gst.PadProbeReturn.OK

    def _message(self, _, message):
        structure = message.get_structure()
        if message.type == self.gst.MessageType.ERROR:
            say(error=self.name, text=message.parse_error()[0].message)
        elif message.type == self.gst.MessageType.WARNING:
            say(error=self.name, text=message.parse_warning()[0].message)
        elif structure and structure.get_name() == "junctor-channel":
            said = {each: structure.get_value(each) for each in ("rung", "local", "remote", "why")}
            state = structure.get_value("state")
            say(state=self.name, **{"is": state}, ms=structure.get_value("time-ms"),
                 at=time.monotonic(), **said)
            if state == "up" and self.media == "packets" and self.up_at is None:
                self.up_at = time.monotonic()
                self.glib.timeout_add(_INTERVAL, self._send)
                self._send()

    def _send(self):
        if self.pipeline is None:
            return False
        self.sequence += 1
        packet = struct.pack("!BBHII", 0x80, 8, self.sequence & 0xFFFF, self.sequence * 160,
                             self.identity) + bytes(160)
        self.pipeline.get_by_name("packets").emit("push-buffer",
                                                  self.gst.Buffer.new_wrapped(packet))
        return True

    def take(self, text):
        self.channel.emit("set-remote-candidates", text)

    def report(self):
        gaps = [(b - a, a) for a, b in zip(self.arrivals, self.arrivals[1:])]
        stats = self.channel.get_property("stats")
        figures = {each: stats.get_value(each) for each in (
            "state", "rung", "local", "remote", "round-trip-ms", "packets-sent",
            "packets-received", "packets-lost", "packets-unsent", "packets-refused")}
        say(report=self.name, arrived=len(self.arrivals), sent=self.sequence,
             first=self.arrivals[0] if self.arrivals else None,
             last=self.arrivals[-1] if self.arrivals else None,
             longest_gap=max(gaps, default=(0, 0))[0] * 1000, now=time.monotonic(),
             marks=self.marks, sound=bytes(self.sound[-32000:]).hex(), stats=figures,
             fingerprint=self.channel.get_property("fingerprint"))

    def forget(self):
        """Counts anew."""
        self.arrivals, self.marks, self.sound = self.arrivals[-1:], [], bytearray()

    def close(self):
        pipeline, self.pipeline = self.pipeline, None
        pipeline.set_state(self.gst.State.NULL)
        pipeline.get_bus().remove_signal_watch()


def main(make):
    """Obeys until its standard input ends. `make()` loads what an end needs and returns what makes
    one of an `open`."""
    import gi
    gi.require_version("Gst", "1.0")
    from gi.repository import GLib, Gst
    GLib.log_writer_default_set_use_stderr(True)    # what NICE_DEBUG asks for goes to the log
    Gst.init(None)
    open_end = make()
    loop, ends = GLib.MainLoop(), {}

    def obey(line):
        asked = json.loads(line)
        if "open" in asked:
            ends[asked["open"]] = open_end(asked)
        elif "string" in asked:
            end = ends.get(asked["string"])
            if end:
                end.take(asked["text"])
        elif "report" in asked:
            ends[asked["report"]].report()
        elif "forget" in asked:
            ends[asked["forget"]].forget()
        elif "close" in asked:
            ends.pop(asked["close"]).close()

    def read():
        for line in sys.stdin:
            GLib.idle_add(obey, line)
        GLib.idle_add(loop.quit)

    threading.Thread(target=read, daemon=True).start()
    say(ready=True)
    loop.run()
    for end in ends.values():
        end.close()


def _make():
    from gi.repository import GLib, Gst
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return lambda asked: _End(Gst, GLib, asked)


class Peer:
    """The program in a host of a laboratory."""

    PROGRAM = os.path.abspath(__file__)

    def __init__(self, host, environment):
        self.host = host
        self._process = host.run([sys.executable, self.PROGRAM], name="channels",
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self._lock = threading.Condition()
        self.states, self.errors, self.strings, self._reports, self._others = {}, {}, {}, {}, {}
        self._told_at = {}                          # by name, beside `strings`
        self._ready = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.popen.stdout:
            if not line.startswith(b"{"):
                continue                            # a library's
            said = json.loads(line)
            with self._lock:
                if "string" in said:
                    self.strings.setdefault(said["string"], []).append(said["text"])
                    self._told_at.setdefault(said["string"], []).append(time.monotonic())
                    other = self._others.get(said["string"])
                    if other:
                        other.give(said["string"], said["text"])
                elif "state" in said:
                    self.states.setdefault(said["state"], []).append(said)
                elif "error" in said:
                    self.errors.setdefault(said["error"], []).append(said["text"])
                elif "report" in said:
                    self._reports[said["report"]] = said
                self._ready = self._ready or "ready" in said
                self._lock.notify_all()

    def _tell(self, **line):
        self._process.popen.stdin.write(json.dumps(line).encode() + b"\n")
        self._process.popen.stdin.flush()

    def _wait(self, condition, what, guard=20.0):
        with self._lock:
            if not self._lock.wait_for(condition, guard):
                raise AssertionError(f"{self.host}: not within {guard:g} s: {what()}\n"
                                     f"{self._process.tail()}")

    def open(self, name, caller, stun, media="packets", timeout=3000, session=None, **more):
        self._wait(lambda: self._ready, lambda: "to begin")
        properties = {"caller": caller, "session": session or name, "stun-server": stun,
                      "timeout": timeout, **more.pop("properties", {})}
        self._tell(open=name, properties=properties, media=media, **more)

    def give(self, name, text):
        self._tell(string=name, text=text)

    def speak_to(self, other, name):
        """What this end said and will say about the channel goes to the other."""
        with self._lock:
            self._others[name] = other
            for each in self.strings.get(name, []):
                other.give(name, each)

    def wait(self, name, *states, after=0):
        """The first of these states behind the `after` first ones that were told."""
        def find():
            return next((each for each in self.states.get(name, [])[after:]
                         if each["is"] in states), None)
        self._wait(lambda: find() is not None, lambda: f"{name} is "
                   f"{self.states.get(name)}, {self.errors.get(name)}, not {states}")
        return find()

    def told_at(self, name, *parts):
        """When the first string with any of `parts` in it was said; None if none was."""
        with self._lock:
            return next((at for at, text in zip(self._told_at.get(name, []),
                                                self.strings.get(name, []))
                         if any(part in text for part in parts)), None)

    def report(self, name):
        with self._lock:
            self._reports.pop(name, None)
        self._tell(report=name)
        self._wait(lambda: name in self._reports, lambda: "a report")
        return self._reports[name]

    def forget(self, name):
        self._tell(forget=name)

    def close(self, name):
        self._tell(close=name)

    def stop(self):
        self._process.kill()
        self._process.popen.stdin.close()
        self._process.popen.stdout.close()


def join(caller, callee, name, stun, **options):
    """Opens a channel at both and lets their strings pass."""
    caller.open(name, True, stun, **options)
    callee.open(name, False, stun, **options)
    caller.speak_to(callee, name)
    callee.speak_to(caller, name)


if __name__ == "__main__":
    main(_make)
