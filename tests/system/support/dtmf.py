# Telephone events with GStreamer's own elements at the other end. SPDX-License-Identifier: LGPL-2.1-or-later
"""rtpdtmfsrc makes events of digits, rtpdtmfdepay makes tones of events, and dtmfdetect listens."""

import re
import socket
import time

from .ports import HOST, free_port
from .process import Process

DIGITS = "0123456789*#ABCD"
EVENTS = 101
_SEND = """
import sys, time
import gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
Gst.init(None)
line = Gst.parse_launch(sys.argv[1])
line.set_state(Gst.State.PLAYING)
line.get_state(Gst.SECOND)
for number in sys.argv[2:]:
    for start in (True, False):
        about = Gst.Structure.new_empty("dtmf-event")
        for name, value in (("type", 1), ("number", int(number)), ("volume", 10), ("method", 1),
                            ("start", start)):
            about.set_value(name, value)
        line.send_event(Gst.Event.new_custom(Gst.EventType.CUSTOM_UPSTREAM, about))
        time.sleep(0.15)
time.sleep(0.3)
line.set_state(Gst.State.NULL)
"""


def send_events(workspace, send, digits):
    """Has rtpdtmfsrc make packets of these digits, and sends each when it comes."""
    inlet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    inlet.bind((HOST, 0))
    inlet.settimeout(0.1)
    port = inlet.getsockname()[1]
    line = (f"rtpdtmfsrc ! application/x-rtp,clock-rate=8000,payload={EVENTS} ! "
            f"udpsink host={HOST} port={port} sync=false")
    process = Process("rtpdtmfsrc", ["/usr/bin/python3", "-c", _SEND, line,
                                     *(str(DIGITS.index(digit)) for digit in digits)],
                      workspace.file("rtpdtmfsrc.log"))
    try:
        while process.running():
            try:
                send(inlet.recv(2048))
            except socket.timeout:
                pass
        assert process.returncode == 0, process.tail()
    finally:
        process.stop()
        inlet.close()


def heard_in(workspace, packets):
    """What GStreamer makes of these packets (rtp.Packet), played as they came: the digits of the
    events, and those in the sound, where one digit may be there several times."""
    port = free_port()
    caps = ("application/x-rtp,media=audio,clock-rate=8000,encoding-name=TELEPHONE-EVENT,"
            f"payload={EVENTS}")
    process = Process("rtpdtmfdepay", [
        "gst-launch-1.0", "-m", "udpsrc", f"port={port}", f"address={HOST}", f"caps={caps}", "!",
        "rtpdtmfdepay", "!", "audio/x-raw,format=S16LE,rate=8000,channels=1", "!", "dtmfdetect", "!", "fakesink", "sync=false"],
        workspace.file("rtpdtmfdepay.log"))
    try:
        process.wait_log("Setting pipeline to PLAYING", 20)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            last = packets[0].at
            for packet in packets:
                time.sleep(min(max(packet.at - last, 0), 0.3))
                last = packet.at
                head = bytes([0x80, packet.marker << 7 | packet.payload_type])
                out.sendto(head + packet.sequence.to_bytes(2, "big") +
                           packet.timestamp.to_bytes(4, "big") + packet.ssrc.to_bytes(4, "big") +
                           packet.payload, (HOST, port))
        time.sleep(0.5)
    finally:
        process.stop()
    found = re.findall(r'"(rtpdtmfdepay|dtmfdetect)0" \(element\): dtmf-event,.*?number=\(int\)(\d+)',
                       process.log())
    events = [DIGITS[int(number)] for who, number in found if who == "rtpdtmfdepay"]
    tones = [DIGITS[int(number)] for who, number in found if who == "dtmfdetect"]
    return "".join(events), "".join(tones)
