# sfurelay among real clients. SPDX-License-Identifier: LGPL-2.1-or-later
"""ffmpeg sends marked pictures and a tone as RTP; ffmpeg and GStreamer receive what is passed on."""
import subprocess

from support import marks, media, rtmp, tones
from support.elements import ElementsTest
from support.ports import HOST, bound_udp, free_range
from support.process import Process, wait_until

IDENTITY, TONE = 0xA1, 440
SDP = ("v=0\no=- 0 0 IN IP4 {host}\ns=-\nc=IN IP4 {host}\nt=0 0\nm=video {port} RTP/AVP 96\n"
       "a=rtpmap:96 H264/90000\n")


class N5_Relay(ElementsTest):
    def setUp(self):
        super().setUp()
        # Video and sound are relayed apart: each has a sender, two receivers and a relay.
        low = free_range(16)
        self.video, self.sound = range(low, low + 8, 2), range(low + 8, low + 16, 2)

    def relay(self, name, ports):
        relay, *legs = ports
        return (f"sfurelay name={name} port={relay} peers=" +
                ",".join(f"{HOST}:{port}" for port in legs))

    def send(self):
        """ffmpeg's RTCP comes from a port of its own: a stranger's."""
        camera = marks.Camera(marks.Picture(IDENTITY, "alice"), marks.FPS)

        def url(ports):
            return (f"rtp://{HOST}:{ports[0]}?localport={ports[1]}&rtcpport={ports[0]}"
                    "&pkt_size=1200")
        process = self.start(Process("sender", [
            "ffmpeg", "-hide_banner", "-nostats", "-loglevel", "warning", "-probesize", "32",
            "-fflags", "nobuffer", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s",
            f"{marks.WIDTH}x{marks.HEIGHT}", "-r", str(marks.FPS), "-i", "pipe:0", "-f", "lavfi",
            "-i", f"sine=frequency={TONE}:sample_rate=8000:samples_per_frame=80,volume=4",
            "-map", "0:v", *rtmp.X264, "-f", "rtp", url(self.video),
            "-map", "1:a", "-c:a", "pcm_alaw", "-ac", "1", "-f", "rtp", url(self.sound)],
            self.workspace.file("sender.log"), stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL))
        pipe = process.popen.stdin
        camera.feed(rtmp._writer(pipe), pipe.close)
        self.addCleanup(camera.stop)
        return process

    def receive_video(self, port):
        sdp = self.workspace.write(f"video-{port}.sdp", SDP.format(host=HOST, port=port))
        path = self.workspace.file(f"video-{port}.h264")
        self.start(Process("receiver", [
            "ffmpeg", "-hide_banner", "-nostats", "-loglevel", "warning", "-nostdin",
            "-protocol_whitelist", "file,udp,rtp", "-fflags", "nobuffer", "-i", sdp, "-c", "copy",
            "-flush_packets", "1", "-f", "h264", "-y", path],
            self.workspace.file(f"receiver-{port}.log")))
        return path

    def receive_sound(self, port):
        path = self.workspace.file(f"sound-{port}.wav")
        self.run_line(
            f"gst-launch-1.0 -q udpsrc address={HOST} port={port} caps=application/x-rtp,media=audio,"
            "clock-rate=8000,encoding-name=PCMA,payload=8 ! rtppcmadepay ! alawdec ! wavenc ! "
            f"filesink buffer-mode=unbuffered location={path}", f"sound-{port}.log")
        return path

    def test_pictures_and_sound_reach_all_others(self):
        seen = [self.receive_video(port) for port in self.video[2:]]
        heard = [self.receive_sound(port) for port in self.sound[2:]]
        tap = self.workspace.file("tap.wav")
        self.run_line(
            f"gst-launch-1.0 {self.relay('picture', self.video)} {self.relay('sound', self.sound)} "
            "sound.src_0 ! rtppcmadepay ! alawdec ! wavenc ! "
            f"filesink buffer-mode=unbuffered location={tap}", "relay.log")
        self.send()
        for path in seen:
            def marked():
                found = [mark[1] for mark in media.marks_of(path, form="h264") if mark]
                return len(found) >= 30 and found
            counters = wait_until(marked, 30, f"30 marked pictures in {path}", every=0.3)
            self.assertEqual(counters, list(range(counters[0], counters[0] + len(counters))))
        for path in (*heard, tap):
            def tone():
                samples, rate = tones.read_wav(path)
                return len(samples) > 2 * rate and \
                    tones.share_with_tone(samples[rate // 2:], rate, TONE) == 1
            wait_until(tone, 30, f"{TONE} Hz without a gap in {path}", every=0.3)

    def test_every_packet_passes_bit_by_bit_and_none_of_strangers(self):
        relay, alice, bob, carol = self.video
        socks = {port: bound_udp(port) for port in (alice, bob, carol)}
        stranger = bound_udp()
        for sock in (*socks.values(), stranger):
            self.addCleanup(sock.close)
            sock.settimeout(20)
        line = self.run_line(f"gst-launch-1.0 -v {self.relay('relay', self.video)}", "relay.log")
        # With the socket alone it knows none of its legs.
        line.wait_log("Setting pipeline to PLAYING")
        packets = [b"\x80\x60" + number.to_bytes(2, "big") + (number * 3000).to_bytes(4, "big") +
                   b"\0\0\0\7" + bytes([number & 255]) * (40 + number * 31 % 1300)
                   for number in range(2000)]
        for first in range(0, len(packets), 20):
            for packet in packets[first:first + 20]:
                stranger.sendto(packet[::-1], (HOST, relay))
                stranger.sendto(packet, (HOST, relay))
                socks[alice].sendto(packet, (HOST, relay))
            for port in (bob, carol):
                for packet in packets[first:first + 20]:
                    self.assertEqual(rtp_from(socks[port]), packet)
        for sock in (*socks.values(), stranger):
            sock.setblocking(False)
        self.assertIsNone(rtp_from(socks[alice]))
        self.assertIsNone(rtp_from(socks[bob]))
        with self.assertRaises(BlockingIOError):
            stranger.recv(2000)


def rtp_from(sock):
    """The next that is no RTCP; None if nothing has come."""
    while True:
        try:
            packet = sock.recv(2000)
        except BlockingIOError:
            return None
        if not 192 <= packet[1] <= 223:
            return packet
