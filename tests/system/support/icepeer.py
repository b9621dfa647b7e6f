# An ICE agent that is not ours. SPDX-License-Identifier: LGPL-2.1-or-later
"""libnice's agent, with GStreamer's stock nicesrc and nicesink, as a program like channelpeer.py: it
obeys the same lines and says the same, and knows of channels only what an ICE agent has to say:
credentials and candidates. It has no keys."""

import json
import os
import struct
import sys
import time

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import channelpeer  # pylint: disable=wrong-import-position

_INTERVAL = 20                                      # ms between two packets
_RTP = 1                                            # the one component


class _End:
    def __init__(self, gst, nice, glib, asked):
        self.gst, self.nice, self.glib, self.name = gst, nice, glib, asked["open"]
        properties = asked["properties"]
        self.trickle, self.sequence, self.arrivals = asked.get("trickle", False), 0, []
        self.agent = nice.Agent.new(glib.MainContext.default(), nice.Compatibility.RFC5245)
        self.agent.props.controlling_mode = properties["caller"]
        self.agent.props.upnp = False
        self.agent.props.ice_tcp = False
        self.agent.props.stun_server = properties["stun-server"].split(",")[0]
        self.agent.props.stun_server_port = 3478
        self.stream = self.agent.add_stream(1)
        self.pipeline = gst.parse_launch(
            "appsrc name=packets format=time is-live=true do-timestamp=true ! "
            f"nicesink name=out async=false stream={self.stream} component={_RTP} "
            f"nicesrc name=in stream={self.stream} component={_RTP} ! fakesink name=got sync=false "
            "async=false")
        for each in ("out", "in"):
            self.pipeline.get_by_name(each).props.agent = self.agent
        self.pipeline.get_by_name("got").get_static_pad("sink").add_probe(
            gst.PadProbeType.BUFFER, self._arrived)
        self.agent.connect("new-candidate-full", self._candidate)
        self.agent.connect("candidate-gathering-done", self._gathered)
        self.agent.connect("component-state-changed", self._changed)
        self.pipeline.set_state(gst.State.PLAYING)
        if self.trickle:
            self._tell(**self._credentials())
        self.agent.gather_candidates(self.stream)

    def _tell(self, **fields):
        channelpeer.say(string=self.name, text=json.dumps({"type": "ice", **fields}))

    def _credentials(self):
        _, ufrag, pwd = self.agent.get_local_credentials(self.stream)
        return {"ufrag": ufrag, "pwd": pwd}

    def _sdp(self, candidate):
        return self.agent.generate_local_candidate_sdp(candidate).removeprefix("a=")

    def _candidate(self, _, candidate):
        if self.trickle:
            self._tell(candidates=[self._sdp(candidate)])

    def _gathered(self, *_):
        if self.trickle:
            return self._tell(complete=True)
        found = self.agent.get_local_candidates(self.stream, _RTP)
        return self._tell(**self._credentials(), candidates=[self._sdp(each) for each in found],
                          complete=True)

    def take(self, text):
        said = json.loads(text)
        if said.get("type") != "ice":
            return
        if said.get("ufrag"):
            self.agent.set_remote_credentials(self.stream, said["ufrag"], said["pwd"])
        found = [self.agent.parse_remote_candidate_sdp(self.stream, "a=" + each)
                 for each in said.get("candidates", [])]
        found = [each for each in found if each]
        if found:
            self.agent.set_remote_candidates(self.stream, _RTP, found)
        if said.get("complete"):
            self.agent.peer_candidate_gathering_done(self.stream)

    def _changed(self, _, __, ___, state):
        # An enumeration of libnice, which tells it as a number.
        if state == self.nice.ComponentState.READY:
            channelpeer.say(state=self.name, **{"is": "up"}, rung="", local="", remote="", why="",
                            ms=0, at=time.monotonic())
            if not self.sequence:
                self.glib.timeout_add(_INTERVAL, self._send)
        elif state == self.nice.ComponentState.FAILED:
            channelpeer.say(state=self.name, **{"is": "failed"}, rung="", local="", remote="",
                            why="libnice gives up", ms=0, at=time.monotonic())

    def _send(self):
        if self.pipeline is None:
            return False
        self.sequence += 1
        packet = struct.pack("!BBHII", 0x80, 8, self.sequence & 0xFFFF, self.sequence * 160,
                             77) + bytes(160)
        self.pipeline.get_by_name("packets").emit("push-buffer",
                                                  self.gst.Buffer.new_wrapped(packet))
        return True

    def _arrived(self, _, info):
        data = info.get_buffer().extract_dup(0, 2)
        if data[0] >> 6 == 2 and data[1] & 0x7F == 8:
            self.arrivals.append(time.monotonic())
        return self.gst.PadProbeReturn.OK

    def report(self):
        channelpeer.say(report=self.name, arrived=len(self.arrivals), sent=self.sequence)

    def close(self):
        pipeline, self.pipeline = self.pipeline, None
        pipeline.set_state(self.gst.State.NULL)


def _make():
    import gi
    gi.require_version("Nice", "0.1")
    from gi.repository import GLib, Gst, Nice
    return lambda asked: _End(Gst, Nice, GLib, asked)


class IcePeer(channelpeer.Peer):
    PROGRAM = os.path.abspath(__file__)


if __name__ == "__main__":
    channelpeer.main(_make)
