# The elements without the orchestrator: gst-launch-1.0 lines, and a program that embeds the plugin.
# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
import time

from support import rtmp
from support.elements import PHONE, PUSHER, TONES, ElementsTest
from support.junctor import BUILD, environment
from support.ports import HOST, free_port
from support.process import Process

TO_PHONE = ("in.video ! rtph264pay config-interval=1 aggregate-mode=zero-latency ! out.video "
            "in.audio ! rtppcmapay min-ptime=20000000 max-ptime=20000000 ! out.audio ")
TO_PLAYER = ("out.video_src ! rtph264depay ! video/x-h264,stream-format=avc,alignment=au ! "
             "back.video out.audio_src ! rtppcmadepay ! back.audio ")


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
        process.wait_log(r"stage=\(string\)connect, .*accepted=\(boolean\)false", 5)
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
        self.program.wait_log("connect: refused", 5)
