# Real senders and receivers around `sfurelay`. SPDX-License-Identifier: LGPL-2.1-or-later
"""As a program it makes relays, senders and receivers out of GStreamer's elements, and obeys lines of
JSON on its standard input. Each is answered with one line:

    {"relay": NAME, "address": A}                             its port
    {"leg": NAME, "remote": "A:P", "options": {...}}          the leg; options as `add-leg` has them
    {"route": NAME, "from": LEG, "to": LEG}
    {"stats": NAME, "leg": LEG}                               junctor-leg-stats
    {"sender": NAME, "address": A, "to": "A:P", "pictures": [{...}], "sound": {...}, ...}   its port
    {"receiver": NAME, "address": A, "to": "A:P"}             its port
    {"play": NAME}                                            the two of before wait for this
    {"set": NAME, "element": E, "property": P, "value": V}
    {"report": NAME}                                          what it has sent, or got since the last

Header extensions have the numbers of NUMBERS. As a module, RelayPeer runs the program."""

import json
import os
import select
import subprocess
import sys
import threading

PICTURE, SOUND = 96, 111
NUMBERS = {"audio-level": 1, "transport-cc": 3, "mid": 4, "rid": 5}
_EXTENSIONS = {"audio-level": "rtphdrextclientaudiolevel", "transport-cc": "rtphdrexttwcc",
               "mid": "rtphdrextmid", "rid": "rtphdrextstreamid"}
_TRANSPORT = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
_WIDTH, _HEIGHT, _FPS = 320, 180, 10
RATE = 48000                                        # of sound
_KEPT = RATE // 2 * 2                               # bytes of each sound: half a second

# The way in first: it makes the way out, which a line must not name before.
_SESSION = ("rtpsession name=session rtp-profile=avpf rtpfunnel name=bundle ! session.send_rtp_sink "
            "session.send_rtp_src ! udpsink name=media sync=false async=false session.send_rtcp_src "
            "! udpsink name=control sync=false async=false udpsrc name=wire caps=application/x-rtcp "
            "! session.recv_rtcp_sink ")
_CAMERA = (f"appsrc name=camera format=time is-live=true do-timestamp=true caps=video/x-raw,"
           f"format=I420,width={_WIDTH},height={_HEIGHT},framerate={_FPS}/1 ")
# Few key frames of itself: who needs one asks for it.
_ENCODER = ("x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=600 bitrate={kbits} "
            "! video/x-h264,profile=constrained-baseline ! rtph264pay name=pay-{ssrc} "
            f"pt={PICTURE} config-interval=-1 mtu=1200 ssrc={{ssrc}} ! bundle. ")
_VOICE = ("audiotestsrc name=voice is-live=true samplesperbuffer=960 freq={tone} volume={volume} ! "
          f"audio/x-raw,rate={RATE},channels=1 ! level audio-level-meta=true post-messages=false ! "
          f"opusenc ! rtpopuspay name=pay-{{ssrc}} pt={SOUND} ssrc={{ssrc}} ! bundle. ")
# None waits for the others to have something too: that may never come.
_END = "appsink name=end emit-signals=true sync=false async=false"
_EYE = ("rtph264depay wait-for-keyframe=true request-keyframe=true ! avdec_h264 max-threads=1 ! "
        f"videoconvert ! video/x-raw,format=GRAY8 ! {_END}")
_EAR = f"rtpopusdepay ! opusdec ! audioconvert ! audio/x-raw,format=S16LE,channels=1 ! {_END}"
_CAPS = {PICTURE: "application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload=96,"
                  "rtcp-fb-nack-pli=(boolean)true",
         SOUND: f"application/x-rtp,media=audio,clock-rate={RATE},encoding-name=OPUS,payload=111"}


def _fields(structure):
    return {} if structure is None else {
        name: structure.get_value(name)
        for name in map(structure.nth_field_name, range(structure.n_fields()))}


class _End:
    """A pipeline with one UDP port, which is whatever it sends and receives by."""

    def __init__(self, gi, launch, asked):
        self.gi, self.gst = gi, gi.Gst
        self.pipeline = self.gst.parse_launch(launch)
        made = gi.Gio.Socket.new(gi.Gio.SocketFamily.IPV4, gi.Gio.SocketType.DATAGRAM,
                                 gi.Gio.SocketProtocol.UDP)
        made.bind(gi.Gio.InetSocketAddress.new_from_string(asked["address"], 0), False)
        self.port = made.get_local_address().get_port()
        host, _, port = asked["to"].rpartition(":")
        for name in ("wire", "media", "control"):
            element = self.pipeline.get_by_name(name)
            if element is None:
                continue
            element.props.socket = made
            element.props.close_socket = False
            if name != "wire":
                element.props.host, element.props.port = host, int(port)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", lambda _, message: print(
            message.parse_error(), file=sys.stderr, flush=True))

    def play(self):
        self.pipeline.set_state(self.gst.State.PLAYING)

    def close(self):
        self.pipeline.set_state(self.gst.State.NULL)


class _Sender(_End):
    """`pictures`: {"ssrc", "kbits", "width", "height", "extensions"}, each an encoding of one camera;
    `sound`: {"ssrc", "tone", "volume", "extensions"}. `extensions`: those of NUMBERS with what each
    is to say, null where it knows. `noise`: instead of a marked picture, so many frames a second
    that no encoder can make small."""

    def __init__(self, gi, asked):
        noise, pictures, sound = asked.get("noise"), asked["pictures"], asked.get("sound")
        camera = _CAMERA if not noise else (
            f"videotestsrc is-live=true pattern=snow ! video/x-raw,width={_WIDTH},height={_HEIGHT},"
            f"framerate={noise}/1 ")
        launch = _SESSION + camera + "! tee name=film "
        for each in pictures:
            launch += (f"film. ! queue ! valve name=valve-{each['ssrc']} ! videoscale ! video/x-raw,"
                       f"width={each.get('width', _WIDTH)},height={each.get('height', _HEIGHT)} ! "
                       + _ENCODER.format(**each))
        if sound:
            launch += _VOICE.format(**sound)
        super().__init__(gi, launch, asked)
        self.sent = {}
        for each in [*pictures, sound] if sound else pictures:
            for name, value in each.get("extensions", {}).items():
                self._extend(each["ssrc"], name, value)
            self.pipeline.get_by_name(f"pay-{each['ssrc']}").get_static_pad("src").add_probe(
                self.gst.PadProbeType.BUFFER | self.gst.PadProbeType.BUFFER_LIST, self._goes,
                each["ssrc"])
        self.camera, self.counter = self.pipeline.get_by_name("camera"), 0
        if self.camera:
            from support.marks import Picture
            self.picture = Picture(asked["identity"], "RELAY", _WIDTH, _HEIGHT)

    def _extend(self, ssrc, which, value):
        extension = self.gst.ElementFactory.make(_EXTENSIONS[which])
        extension.set_id(NUMBERS[which])
        if value is not None:
            extension.set_property(which, value)
        self.pipeline.get_by_name(f"pay-{ssrc}").emit("add-extension", extension)

    def play(self):
        super().play()
        if self.camera:
            self.gi.GLib.timeout_add(1000 // _FPS, self._film)

    def _film(self):
        if self.camera is None:
            return False
        self.counter += 1
        self.camera.emit("push-buffer",
                         self.gst.Buffer.new_wrapped(self.picture.frame(self.counter)))
        return True

    def _goes(self, _, info, ssrc):
        listed = info.get_buffer_list() if info.type & self.gst.PadProbeType.BUFFER_LIST else None
        self.sent[ssrc] = self.sent.get(ssrc, 0) + (listed.length() if listed else 1)
        return self.gst.PadProbeReturn.OK

    def report(self):
        """Packets of each SSRC so far; what the other side says of their arrival."""
        session = self.pipeline.get_by_name("session")
        return {"sent": self.sent, "heard": _fields(session.props.twcc_stats)}

    def close(self):
        self.camera = None
        super().close()


class _Receiver(_End):
    def __init__(self, gi, asked):
        super().__init__(
            gi, "rtpbin name=bin latency=50 rtp-profile=avpf udpsrc name=wire ! bin.recv_rtp_sink_0 "
            "bin.send_rtcp_src_0 ! udpsink name=control sync=false async=false", asked)
        self._lock = threading.Lock()
        self._forget()
        self.sounds = {}
        wire, bundle = self.pipeline.get_by_name("wire"), self.pipeline.get_by_name("bin")
        transport = f'extmap-{NUMBERS["transport-cc"]}=(string)"{_TRANSPORT}"'
        wire.props.caps = self.gst.Caps.from_string(f"application/x-rtp,{transport}")
        wire.get_static_pad("src").add_probe(self.gst.PadProbeType.BUFFER, self._came)
        bundle.connect("request-pt-map", lambda _, __, pt: self.gst.Caps.from_string(
            f"{_CAPS[pt]},{transport}"))
        bundle.connect("pad-added", self._decode)
        # By itself it would wait for the last packet of a picture, which is the first that is lost.
        bundle.emit("get-internal-session", 0).set_property("twcc-feedback-interval", 100_000_000)

    def _forget(self):
        self.packets, self.pictures = {}, []

    def _came(self, _, info):
        data = info.get_buffer().extract_dup(0, 12)
        if not 192 <= data[1] <= 223:
            with self._lock:
                ssrc = int.from_bytes(data[8:12], "big")
                self.packets[ssrc] = self.packets.get(ssrc, 0) + 1
        return self.gst.PadProbeReturn.OK

    def _decode(self, _, pad):
        if not pad.get_name().startswith("recv_rtp_src_0_"):
            return
        ssrc, payload_type = map(int, pad.get_name().split("_")[-2:])
        line = self.gst.parse_bin_from_description(_EYE if payload_type == PICTURE else _EAR, True)
        line.get_by_name("end").connect(
            "new-sample", self._see if payload_type == PICTURE else self._hear, ssrc)
        self.pipeline.add(line)
        line.sync_state_with_parent()
        pad.link(line.get_static_pad("sink"))

    def _see(self, sink, ssrc):
        from support.marks import read_mark
        sample = sink.emit("pull-sample")
        shape, buffer = sample.get_caps().get_structure(0), sample.get_buffer()
        width, height = shape.get_value("width"), shape.get_value("height")
        mark = read_mark(buffer.extract_dup(0, buffer.get_size()), width, height)
        with self._lock:
            self.pictures.append({"ssrc": ssrc, "width": width, "mark": mark})
        return self.gst.FlowReturn.OK

    def _hear(self, sink, ssrc):
        buffer = sink.emit("pull-sample").get_buffer()
        with self._lock:
            heard = self.sounds.get(ssrc, b"") + buffer.extract_dup(0, buffer.get_size())
            self.sounds[ssrc] = heard[-_KEPT:]
        return self.gst.FlowReturn.OK

    def report(self):
        """Packets of each SSRC and pictures since the last one; the end of each sound."""
        with self._lock:
            said = {"packets": self.packets, "pictures": self.pictures,
                    "sounds": {ssrc: heard.hex() for ssrc, heard in self.sounds.items()}}
            self._forget()
        return said


class _Relay:
    def __init__(self, gi, asked):
        self.gst = gst = gi.Gst
        self.element = gst.ElementFactory.make("sfurelay")
        self.element.props.address, self.element.props.join = asked["address"], False
        self.element.set_state(gst.State.PLAYING)
        self.port = self.element.props.port

    def add(self, remote, options):
        told = self.gst.Structure.new_from_string("options" + "".join(
            f",{name}=(uint){value}" for name, value in options.items()))
        return self.element.emit("add-leg", remote, told)

    def stats(self, leg):
        return _fields(self.element.emit("leg-stats", leg))

    def close(self):
        self.element.set_state(self.gst.State.NULL)


_MAKERS = {"relay": _Relay, "sender": _Sender, "receiver": _Receiver}


class _Program:
    def __init__(self, gi):
        self.gi, self.ends = gi, {}

    def obey(self, asked):
        verb, name = next(iter(asked.items()))
        if verb in _MAKERS:
            end = self.ends[name] = _MAKERS[verb](self.gi, asked)
            return {"port": end.port}
        end = self.ends[name]
        if verb == "leg":
            return {"leg": end.add(asked["remote"], asked["options"])}
        if verb == "route":
            return {"done": end.element.emit("route", asked["from"], asked["to"])}
        if verb == "stats":
            return end.stats(asked["leg"])
        if verb == "report":
            return end.report()
        if verb == "set":
            end.pipeline.get_by_name(asked["element"]).set_property(asked["property"],
                                                                    asked["value"])
        elif verb == "play":
            end.play()
        return {}

    def answer(self, line):
        try:
            said = self.obey(json.loads(line))
        except Exception as error:                  # pylint: disable=broad-exception-caught
            said = {"error": repr(error)}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


def main():
    """Obeys until its standard input ends."""
    import gi
    for name in ("Gst", "GstRtp"):
        gi.require_version(name, "1.0")
    import gi.repository
    from gi.repository import Gio, GLib, Gst, GstRtp  # noqa: F401 pylint: disable=unused-import
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    Gst.init(None)
    loop, program = GLib.MainLoop(), _Program(gi.repository)

    def read():
        for line in sys.stdin:
            GLib.idle_add(program.answer, line)
        GLib.idle_add(loop.quit)

    threading.Thread(target=read, daemon=True).start()
    loop.run()
    for end in reversed(list(program.ends.values())):
        end.close()


class RelayPeer:
    """`run(argv, **options)` starts the program, in a host or here, and returns its Process."""

    def __init__(self, run):
        self._process = run([sys.executable, os.path.abspath(__file__)], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE)
        self._read = b""

    def ask(self, **request):
        pipe = self._process.popen.stdin
        pipe.write(json.dumps(request).encode() + b"\n")
        pipe.flush()
        said = json.loads(self._line())
        if "error" in said:
            raise AssertionError(f"{request}: {said['error']}\n{self._process.tail()}")
        return said

    def _line(self, guard=20.0):
        out = self._process.popen.stdout
        while b"\n" not in self._read:
            if not select.select([out], [], [], guard)[0]:
                raise AssertionError(f"no answer within {guard:g} s\n{self._process.tail()}")
            data = os.read(out.fileno(), 1 << 16)
            if not data:
                raise AssertionError(f"it ended\n{self._process.tail()}")
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return line

    def stop(self):
        self._process.popen.stdin.close()
        try:
            self._process.stop_soundly()
        finally:
            self._process.popen.stdout.close()


if __name__ == "__main__":
    main()
