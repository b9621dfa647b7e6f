# The elements without the orchestrator: gst-launch-1.0 lines, those of the documents among them,
# and a program that embeds the plugin. SPDX-License-Identifier: LGPL-2.1-or-later
"""A block of docs/elements/*.md that begins with ```sh and follows `<!-- test: PEERS; CLAIMS -->` is
run as it stands, but for its addresses: each `port=N` becomes a free port, the same for the same N,
and sip:bob@192.0.2.7 becomes a phone. PEERS are separated by commas: `phone`, `push URL`, `play
URL`; so are CLAIMS: `the phone|player sees|hears the phone|pusher`, `it prints TEXT`, `it ends`."""
import glob
import os
import re
import time

from support import media, rtmp, tones
from support.baresip import Baresip
from support.case import SystemTest
from support.junctor import BUILD, SOURCE, environment
from support.ports import HOST, free_port
from support.process import Process, wait_until

PUSHER, PHONE = rtmp.FfmpegPush.IDENTITY, Baresip.IDENTITY
TONES = {"pusher": 440, "phone": 1000}
IDENTITIES = {"pusher": PUSHER, "phone": PHONE}
TO_PHONE = ("in.video ! rtph264pay config-interval=1 aggregate-mode=zero-latency ! out.video "
            "in.audio ! rtppcmapay min-ptime=20000000 max-ptime=20000000 ! out.audio ")
TO_PLAYER = ("out.video_src ! rtph264depay ! video/x-h264,stream-format=avc,alignment=au ! "
             "back.video out.audio_src ! rtppcmadepay ! back.audio ")


class ElementsTest(SystemTest):
    def setUp(self):
        super().setUp()
        self.phone = self.push = self.player = None

    def make_phone(self):
        self.phone = self.start(Baresip(self.workspace, "bob", frequency=TONES["phone"],
                                        codecs="PCMA/8000/1"))
        return self.phone

    def make_push(self, url):
        self.push = self.start(rtmp.FfmpegPush(self.workspace, url, audio="pcm_alaw",
                                               frequency=TONES["pusher"]))
        return self.push

    def run_line(self, command):
        """Runs a shell line with the freshly built plugin."""
        return self.start(Process("the line", ["bash", "-c", "exec " + command],
                                  self.workspace.file("line.log"), env=environment()))

    def port_open(self, port):
        def look():
            wanted = f":{port:04X} "
            with open("/proc/net/tcp", encoding="ascii") as file:
                return any(wanted in line and " 0A " in line for line in file)
        wait_until(look, 20, f"a server on port {port}")

    def phone_sees(self, identity):
        def look():
            shot = self.phone.snapshot(guard=1)
            mark = shot and media.mark_of(shot[0])
            return mark and mark[0] == identity
        wait_until(look, 20, f"a picture of {identity:#x} at the phone")

    def phone_hears(self, frequency, seconds=0.5):
        def look():
            samples, rate = self.phone.heard()
            last = samples[-int(rate * seconds):]
            return len(last) >= int(rate * seconds) and \
                tones.strength(last, rate, frequency) > 0.5
        wait_until(look, 20, f"{frequency} Hz at the phone")


class E_CallOnOneLine(ElementsTest):
    def line(self, port, more=""):
        return (f"gst-launch-1.0 -m rtmpauthsrc name=in port={port} application=live stream=cam "
                f"token=secret sipcallsink name=out uri={self.phone.uri} {TO_PHONE}{more}")

    def test_a_publisher_calls_a_phone(self):
        self.make_phone()
        port = free_port()
        process = self.run_line(self.line(port))
        self.port_open(port)
        push = self.make_push(f"rtmp://{HOST}:{port}/live?token=secret/cam")
        self.phone.wait_event("CALL_ESTABLISHED")
        self.phone_sees(PUSHER)
        self.phone_hears(TONES["pusher"])
        for stage in ("connect", "createStream", "publish"):
            self.assertRegex(process.log(), rf"junctor-rtmp-auth, stage=\(string\){stage}, ")
        push.stop()
        self.phone.wait_event("CALL_CLOSED")
        self.assertEqual(process.wait(15), 0, process.tail())

    def test_and_the_phone_is_seen_by_a_player(self):
        self.make_phone()
        port, back = free_port(), free_port()
        self.run_line(self.line(port, f"rtmpplaysink name=back port={back} application=live "
                                      f"stream=cam {TO_PLAYER}"))
        self.port_open(port)
        self.port_open(back)
        self.make_push(f"rtmp://{HOST}:{port}/live?token=secret/cam")
        self.phone.wait_event("CALL_ESTABLISHED")
        player = self.start(rtmp.FfmpegPull(self.workspace, f"rtmp://{HOST}:{back}/live/cam"))
        player.wait_picture(PHONE)
        player.wait_tone(TONES["phone"])
        self.phone_sees(PUSHER)

    def test_a_wrong_token_is_refused(self):
        self.make_phone()
        port = free_port()
        process = self.run_line(self.line(port))
        self.port_open(port)
        push = self.start(rtmp.ffmpeg_push_short(
            self.workspace, f"rtmp://{HOST}:{port}/live?token=guess/cam"))
        self.assertNotEqual(push.wait(20), 0)
        self.assertRegex(process.log(), r"stage=\(string\)connect, .*accepted=\(boolean\)false")
        self.assertEqual(self.phone.event_times("CALL_INCOMING"), [])

    def test_the_watchdog_tells_of_silence(self):
        port = free_port()
        process = self.run_line(
            f"gst-launch-1.0 -m rtmpauthsrc name=in port={port} application=live stream=cam "
            "eos-on-finish=false mediawatchdog name=dog interval=200 tries=5 in.video ! dog.sink_0 "
            "dog.src_0 ! fakesink in.audio ! dog.sink_1 dog.src_1 ! fakesink")
        self.port_open(port)
        push = self.make_push(f"rtmp://{HOST}:{port}/live/cam")
        process.wait_log(r"junctor-media, state=\(string\)flowing", 20)
        self.assertNotRegex(process.log(), r"state=\(string\)lost")
        push.drop()
        process.wait_log(r"junctor-media, state=\(string\)lost", 20)


class E_Embedding(ElementsTest):
    def setUp(self):
        super().setUp()
        self.make_phone()
        self.port = free_port()
        self.program = self.start(Process(
            "embed", [os.path.join(BUILD, "tests", "system", "embed"), str(self.port),
                      self.phone.uri], self.workspace.file("embed.log"), env=environment()))
        self.port_open(self.port)

    def test_a_program_that_embeds_the_plugin_makes_a_call(self):
        push = self.make_push(f"rtmp://{HOST}:{self.port}/live?user=alice/cam")
        self.phone.wait_event("CALL_ESTABLISHED")
        self.program.wait_log("answered")
        self.phone_sees(PUSHER)
        self.phone_hears(TONES["pusher"])
        accepted = re.findall(r"(\w+): accepted", self.program.log())
        self.assertEqual(accepted, ["connect", "createStream", "publish"])
        push.stop()
        self.assertEqual(self.program.wait(15), 0)
        self.assertIn("ended: caller-hangup", self.program.log())

    def test_the_phone_hangs_up(self):
        self.make_push(f"rtmp://{HOST}:{self.port}/live?user=alice/cam")
        self.phone.wait_event("CALL_ESTABLISHED")
        self.program.wait_log("answered")
        time.sleep(0.5)
        self.phone.hangup()
        self.assertEqual(self.program.wait(15), 0)
        self.assertIn("ended: callee-hangup", self.program.log())

    def test_its_own_check_refuses(self):
        push = self.start(rtmp.ffmpeg_push_short(
            self.workspace, f"rtmp://{HOST}:{self.port}/live?user=mallory/cam"))
        self.assertNotEqual(push.wait(20), 0)
        self.assertIn("only alice may call from here", push.log())
        self.assertIn("connect: refused", self.program.log())


def documented_lines():
    """(document, number, peers, claims, command) of each tested block."""
    pattern = re.compile(r"<!-- test: (?P<peers>[^;]*);(?P<claims>.*?)-->\s*```sh\n"
                         r"(?P<command>.*?)```", re.DOTALL)
    for path in sorted(glob.glob(os.path.join(SOURCE, "docs", "elements", "*.md"))):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for number, found in enumerate(pattern.finditer(text), 1):
            yield (os.path.basename(path).removesuffix(".md"), number,
                   [part.strip() for part in found["peers"].split(",") if part.strip()],
                   [part.strip() for part in found["claims"].split(",") if part.strip()],
                   found["command"])


class E_Documents(ElementsTest):
    def test_each_element_has_a_tested_line(self):
        tested = {document for document, *_ in documented_lines()}
        for element in ("rtmpauthsrc", "rtmpplaysink", "sipcallsink", "mediawatchdog"):
            with self.subTest(element=element):
                self.assertIn(element, tested)

    def check_line(self, peers, claims, command):
        ports = {}

        def moved(number):
            return ports.setdefault(number, str(free_port()))
        command = re.sub(r"\bport=(\d+)", lambda m: "port=" + moved(m.group(1)), command)
        if "phone" in peers:
            command = command.replace("sip:bob@192.0.2.7", self.make_phone().uri)
        process = self.run_line(command)
        for port in ports.values():
            self.port_open(int(port))
        for peer in peers:
            kind, _, url = peer.partition(" ")
            url = re.sub(r"//[^/:]+(?::(\d+))?/",
                         lambda m: f"//{HOST}:{moved(m.group(1) or '1935')}/", url)
            if kind == "push":
                self.make_push(url)
            if kind == "play":
                self.player = self.start(rtmp.FfmpegPull(self.workspace, url))
        for claim in claims:
            self.check_claim(claim, process)

    def check_claim(self, claim, process):
        found = re.fullmatch(r"the (phone|player) (sees|hears) the (phone|pusher)", claim)
        if found:
            who, how, whom = found.groups()
            if who == "phone":
                if how == "sees":
                    self.phone_sees(IDENTITIES[whom])
                else:
                    self.phone_hears(TONES[whom])
            elif how == "sees":
                self.player.wait_picture(IDENTITIES[whom])
            else:
                self.player.wait_tone(TONES[whom])
        elif claim.startswith("it prints "):
            process.wait_log(re.escape(claim.removeprefix("it prints ")), 20)
        elif claim == "it ends":
            self.push.stop()
            self.assertEqual(process.wait(20), 0, process.tail())
        else:
            self.fail(f"nobody knows how to check: {claim}")


def _add_documents():
    for document, number, peers, claims, command in documented_lines():
        def test(self, peers=peers, claims=claims, command=command):
            self.check_line(peers, claims, command)
        setattr(E_Documents, f"test_{document}_{number}", test)


_add_documents()
