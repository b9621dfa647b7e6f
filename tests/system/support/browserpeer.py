# The other end of a browser's call. SPDX-License-Identifier: LGPL-2.1-or-later
"""A program: serves a page that calls (PCMA, a tone of 440 Hz), and is called by it, with `stunpunch`
in ICE and GStreamer's own DTLS-SRTP. SDP goes by HTTP. It says lines of JSON: {"url"}, {"state"},
{"error"}, {"heard": {...}} of what it has heard of the page, {"page": {...}} of what the page says."""

import base64
import hashlib
import http.server
import json
import os
import re
import sys
import threading

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import tones  # pylint: disable=wrong-import-position
from support.channelpeer import say  # pylint: disable=wrong-import-position

OF_PAGE, OF_PEER = 440, 660  # Hz
_RTP = "application/x-rtp,media=audio,clock-rate=8000,encoding-name=PCMA,payload=8"

_PAGE = """<!DOCTYPE html><title>call</title><script>
const say = what => fetch("/say", {method: "POST", body: JSON.stringify(what)});
async function call() {
  await navigator.mediaDevices.getUserMedia({audio: true});  // else addresses hide behind mDNS
  const context = new AudioContext(), oscillator = context.createOscillator();
  const out = context.createMediaStreamDestination();
  oscillator.frequency.value = OF_PAGE;
  oscillator.connect(out);
  oscillator.start();
  const call = new RTCPeerConnection(), analyser = context.createAnalyser();
  analyser.fftSize = 8192;
  const sender = call.addTransceiver(out.stream.getTracks()[0], {streams: [out.stream]});
  sender.setCodecPreferences(RTCRtpReceiver.getCapabilities("audio").codecs.filter(
      codec => codec.mimeType == "audio/PCMA"));
  call.onconnectionstatechange = () => say({connection: call.connectionState});
  call.ontrack = event => {
    const player = new Audio();  // Chromium decodes nothing that no element plays
    player.srcObject = event.streams[0] ?? new MediaStream([event.track]);
    player.muted = true;
    player.play();
    context.createMediaStreamSource(player.srcObject).connect(analyser);
    setInterval(() => {
      const bins = new Float32Array(analyser.frequencyBinCount);
      analyser.getFloatFrequencyData(bins);
      const loudest = bins.indexOf(Math.max(...bins));
      say({hz: loudest * context.sampleRate / analyser.fftSize, db: bins[loudest]});
    }, 300);
  };
  await call.setLocalDescription();
  if (call.iceGatheringState != "complete")
    await new Promise(done => call.onicegatheringstatechange =
        () => call.iceGatheringState == "complete" && done());
  const answer = await fetch("/offer", {method: "POST", body: call.localDescription.sdp});
  await call.setRemoteDescription({type: "answer", sdp: await answer.text()});
}
call().catch(error => say({error: String(error)}));
</script>""".replace("OF_PAGE", str(OF_PAGE))


def _fingerprint(pem):
    """RFC 8122 section 5, of the first certificate."""
    body = re.search("-+BEGIN CERTIFICATE-+(.*?)-+END", pem, re.DOTALL).group(1)
    digest = hashlib.sha256(base64.b64decode(body)).hexdigest().upper()
    return ":".join(re.findall("..", digest))


class _Call:
    def __init__(self, gst, offer):
        self.gst, self.offer = gst, offer
        self.sound, self.complete, self.heard_at = bytearray(), threading.Event(), 0
        self.strings = []
        self.pipeline = gst.parse_launch(
            "stunpunch name=channel ice=true encrypt=false timeout=10000 "
            "channel.dtls_src ! dtlssrtpdec name=opened connection-id=call "
            f"opened.rtp_src ! capssetter caps={_RTP} replace=true ! rtpjitterbuffer "
            "! rtppcmadepay ! alawdec ! audio/x-raw,format=S16LE "
            "! appsink name=ear emit-signals=true sync=false "
            "opened.rtcp_src ! fakesink sync=false async=false "
            f"audiotestsrc is-live=true freq={OF_PEER} samplesperbuffer=160 "
            "! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay pt=8 ! sealed.rtp_sink_0 "
            "dtlssrtpenc name=sealed connection-id=call is-client=false ! channel.dtls_sink")
        self.channel = self.pipeline.get_by_name("channel")
        self.channel.connect("local-candidates", self._string)
        self.pipeline.get_by_name("ear").connect("new-sample", self._hear)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message", self._message)
        self.pipeline.set_state(gst.State.PLAYING)

    def answer(self):
        """Takes the offer; the SDP of the answer."""
        found = dict(re.findall(r"^a=(ice-ufrag|ice-pwd|fingerprint|mid):(.*?)\r?$", self.offer,
                                re.MULTILINE))
        self.expected = found["fingerprint"].split()[1]
        self.channel.emit("set-remote-candidates", json.dumps({
            "type": "ice", "ufrag": found["ice-ufrag"], "pwd": found["ice-pwd"],
            "candidates": re.findall(r"^a=(candidate:.*?)\r?$", self.offer, re.MULTILINE),
            "complete": True}))
        if not self.complete.wait(10):
            raise RuntimeError(f"stunpunch does not say all of its candidates: {self.strings}")
        own = {}
        for each in self.strings:
            own.update({key: value for key, value in each.items() if value})
        own["candidates"] = [line for each in self.strings for line in each.get("candidates", [])]
        pem = self.pipeline.get_by_name("opened").get_property("pem")
        return "\r\n".join([
            "v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", f"a=group:BUNDLE {found['mid']}",
            "m=audio 9 UDP/TLS/RTP/SAVPF 8", "c=IN IP4 0.0.0.0", f"a=mid:{found['mid']}",
            "a=rtcp-mux", "a=rtpmap:8 PCMA/8000", f"a=ice-ufrag:{own['ufrag']}",
            f"a=ice-pwd:{own['pwd']}", f"a=fingerprint:sha-256 {_fingerprint(pem)}",
            "a=setup:passive", "a=sendrecv", *(f"a={line}" for line in own["candidates"]),
            "a=end-of-candidates", ""])

    def _string(self, _, text):
        self.strings.append(json.loads(text))
        if self.strings[-1].get("complete"):
            self.complete.set()

    def _hear(self, sink):
        buffer = sink.emit("pull-sample").get_buffer()
        self.sound += buffer.extract_dup(0, buffer.get_size())
        if len(self.sound) >= 8000:  # half a second
            samples = memoryview(bytes(self.sound)).cast("h").tolist()
            self.sound.clear()
            peer = self.pipeline.get_by_name("opened").get_property("peer-pem")
            say(heard={"strength": tones.strength(samples, 8000, OF_PAGE),
                       "is-the-page": _fingerprint(peer) == self.expected,
                       "refused": self.channel.get_property("stats").get_value("packets-refused")})
        return self.gst.FlowReturn.OK

    def _message(self, _, message):
        structure = message.get_structure()
        if message.type == self.gst.MessageType.ERROR:
            say(error=" ".join(str(each) for each in message.parse_error()))
        elif structure and structure.get_name() == "junctor-channel":
            say(state=structure.get_value("state"))


def main():
    import gi
    gi.require_version("Gst", "1.0")
    from gi.repository import GLib, Gst
    Gst.init(None)
    calls = []

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self._reply("text/html", _PAGE)

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if self.path == "/say":
                say(page=json.loads(body))
                return self._reply("text/plain", "")
            calls.append(_Call(Gst, body))
            return self._reply("application/sdp", calls[-1].answer())

        def _reply(self, kind, text):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say(url=f"http://127.0.0.1:{server.server_port}/")
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
