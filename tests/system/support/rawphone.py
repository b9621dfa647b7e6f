# A phone of which the test decides each packet. SPDX-License-Identifier: LGPL-2.1-or-later
"""SIPp says what is in the SDP, an RtpPeer has the media; between them there may be a bad line."""

import os
import re
import struct
import threading

from . import rtp
from .process import wait_until
from .sipp import SCENARIOS, Sipp

H264 = ["a=rtpmap:{} H264/90000", "a=fmtp:{} profile-level-id=42e01f;packetization-mode=1"]
PLI, FIR = "a=rtcp-fb:{} nack pli", "a=rtcp-fb:{} ccm fir"
_FEEDBACK = 206  # payload-specific (RFC 4585, 6.1)


class RawPhone:
    """Answers with PCMA and H.264. `feedback` are the lines of what it knows (PLI, FIR), `mode` is
    the packetization mode, `steps` is SIPp's between ACK and BYE."""

    def __init__(self, workspace, *, feedback=(PLI,), mode=1, steps="", line=None, video=True,
                 keys=None):
        self.peer = rtp.RtpPeer()
        self._stopped, self._asker = threading.Event(), None
        self.line = line(self.peer.ports) if line else None
        with open(os.path.join(SCENARIOS, "callee_answer.xml"), encoding="utf-8") as file:
            text = file.read()
        begin = text.index("      m=video")
        end = text.index("    ]]>", begin)
        lines = ["m=video [video_port] RTP/AVP [$video_type]",
                 *(each.format("[$video_type]").replace("mode=1", f"mode={mode}") for each in H264),
                 *(each.format("[$video_type]") for each in feedback), "a=sendrecv"]
        if not video:
            lines = ["m=video 0 RTP/AVP [$video_type]"]
        text = text[:begin] + "".join(f"      {each}\n" for each in lines) + text[end:]
        text = text.replace('regexp="a=rtpmap:([0-9]+) H264"',
                            'regexp="a=fmtp:([0-9]+) profile-level-id=[0-9a-f]+;'
                            f'packetization-mode={mode}"')
        text = text.replace('  <recv request="BYE"/>', steps + '  <recv request="BYE"/>')
        source = self.line or self.peer
        ports = {m: source.port(m) if self.line else self.peer.ports[m]
                 for m in (rtp.AUDIO, rtp.VIDEO)}
        self.sipp = Sipp(workspace, workspace.write("rawphone.xml", text),
                         keys={"audio_port": ports[rtp.AUDIO], "video_port": ports[rtp.VIDEO],
                               **(keys or {})})
        self.sipp.wait_listening()

    def uri(self):
        return self.sipp.uri()

    def described(self, way, guard=10.0):
        """The latest SDP that was "sent" or "received"."""
        def look():
            found = [text for _, its, text in self.sipp.messages_seen()
                     if its == way and "m=audio" in text]
            return found[-1] if found else None
        return wait_until(look, guard, f"an SDP {way} by SIPp")

    def targets(self):
        """{medium: (port to send RTP to, payload type)}."""
        offer, answer = self.described("received"), self.described("sent")
        targets = {}
        for medium in (rtp.AUDIO, rtp.VIDEO):
            port = int(re.search(rf"m={medium} (\d+)", offer).group(1))
            number = int(re.search(rf"m={medium} \d+ RTP/AVP (\d+)", answer).group(1))
            if self.line:
                self.line.target(medium, port)
                port = self.line.entrance(medium)
            targets[medium] = (port, number)
        return targets

    def rtcp_port(self, medium):
        """Where RTCP goes."""
        if self.line:
            return self.line.entrance(medium, rtp=False)
        return self.targets()[medium][0] + 1

    def requests(self, since=0.0):
        """[(time, "pli" or number of a FIR)] of the keyframe requests that came over RTCP."""
        found = []
        with self.peer._lock:
            packets = list(self.peer.rtcp[rtp.VIDEO])
        for at, data in packets:
            if at < since:
                continue
            while len(data) >= 12:
                form, kind, size = data[0] & 31, data[1], 4 + 4 * struct.unpack_from("!H", data, 2)[0]
                if kind == _FEEDBACK and form == 1:
                    found.append((at, "pli"))
                elif kind == _FEEDBACK and form == 4:
                    found.append((at, data[16]))
                data = data[size:]
        return found

    def info_requests(self):
        return [at for at, way, text in self.sipp.messages_seen()
                if way == "received" and text.startswith("INFO") and "picture_fast_update" in text]

    def ask(self, how, number=0):
        """Asks the gateway for a keyframe: "pli" or "fir"."""
        heard = self.peer.packets(rtp.VIDEO)[-1].ssrc
        report = struct.pack("!BBHI", 0x80, 201, 1, 7)
        if how == "pli":
            request = struct.pack("!BBHII", 0x81, _FEEDBACK, 2, 7, heard)
        else:
            request = struct.pack("!BBHIIIBxxx", 0x84, _FEEDBACK, 4, 7, 0, heard, number)
        self.peer.send_rtcp(rtp.VIDEO, report + request, self.rtcp_port(rtp.VIDEO))

    def ask_after_losses(self):
        """From now on it asks for a keyframe whenever it misses a packet, as phones do."""
        def run():
            known = 0
            while not self._stopped.wait(0.05):
                lost = self.peer.lost(rtp.VIDEO)
                if lost > known:
                    self.ask("pli")
                known = lost
        self._asker = threading.Thread(target=run, daemon=True)
        self._asker.start()

    def stop(self):
        self._stopped.set()
        if self._asker:
            self._asker.join()
        self.peer.close()
        if self.line:
            self.line.stop()
        return self.sipp.stop()
