# G9: phones are called over the connection that they registered over, also from behind a NAT, with
# baresip. SPDX-License-Identifier: LGPL-2.1-or-later
import os
import socket
import threading

from support import baresip, marks, media, rtmp, tones
from support.case import SystemTest
from support.junctor import Junctor, environment
from support.labcase import InLaboratory
from support.labdoor import Door
from support.phone import JUNCTOR
from support.ports import HOST
from support.process import wait_until
from support.wire import Wire

ALICE, BOB = rtmp.FfmpegPush.IDENTITY, baresip.Baresip.IDENTITY
ALICE_TONE, BOB_TONE = 440, 1000


class CalledTest(SystemTest):
    """No tests of its own. `junctor` and a registered phone are there when the call begins."""

    def call(self, phone):
        """Alice calls bob; picture and sound arrive both ways, and so does the end."""
        pull = self.start(rtmp.FfmpegPull(self.workspace, self.alice.pull_url()))
        self.start(rtmp.FfmpegPush(self.workspace, self.alice.push_url("bob"),
                                   frequency=ALICE_TONE))
        call = self.junctor.find_call("alice")
        self.junctor.wait_state(call, "answered")
        pull.wait_picture(BOB)
        pull.wait_tone(BOB_TONE)

        def at_the_phone():
            found = phone.snapshot()
            mark = found and media.mark_of(found[0])
            return mark and mark[0] == ALICE
        wait_until(at_the_phone, 20, "alice's picture at the phone", every=0.3)
        wait_until(lambda: tones.longest_with_tone(*phone.heard(), ALICE_TONE) > 0.4, 20,
                   "alice's tone at the phone", every=0.3)
        self.junctor.hangup(call)
        phone.wait_event("CALL_CLOSED")
        return self.junctor.wait_ended(call)


class G9_OverTcp(CalledTest):
    def test_a_phone_is_called_over_the_connection_that_it_registered_over(self):
        self.junctor = self.start(Junctor(self.workspace))
        self.alice, bob = self.junctor.account("alice"), self.junctor.account("bob")
        phone = self.start(baresip.Baresip(
            self.workspace, "bob", frequency=BOB_TONE, registrar=self.junctor.sip_address,
            password=bob.password, transport="tcp"))
        phone.wait_registered()
        wire = Wire([self.junctor.sip_port])
        try:
            self.call(phone)
        finally:
            wire.stop()
        # One that was opened to the phone would have another port at our end.
        for request in (b"INVITE sip:bob", b"BYE sip:bob"):
            self.assertIn(request, wire.tcp)


class ServerInLab(Junctor):
    """On a public host of a laboratory, for phones there; its terminals, and we, come by doors."""

    def __init__(self, workspace, host):  # pylint: disable=super-init-not-called
        self.workspace, self.address, self.sip_port = workspace, host.address, 5060
        self.data_dir, self._token = os.path.dirname(workspace.file("junctor", "x")), None
        self.process = host.run(
            [JUNCTOR, "serve", "--data-dir", self.data_dir,
             "--config", workspace.write("junctor.toml", 'log = "debug"\n'),
             "--rtmp", f"{HOST}:1935", "--http", f"{HOST}:8080", "--stun", "off",
             "--sip", self.sip_address, "--sips", f"{self.address}:5061"], env=environment())
        self.http_port, self.rtmp_port = (Door(host, port).port for port in (8080, 1935))
        wait_until(self._healthy, 30, "junctor to be healthy")

    @property
    def sip_address(self):
        return f"{self.address}:{self.sip_port}"


class PhoneInLab(baresip.Baresip):
    """At a host of a laboratory. It knows the address that it has there, and asks nobody for
    another."""

    def __init__(self, workspace, host, registrar, account, encryption=""):
        # pylint: disable=super-init-not-called,protected-access
        self.workspace, self.name = workspace, account.name
        self.directory = os.path.dirname(workspace.file("baresip", "config"))
        self.events, self._answers, self._lock = [], [], threading.Lock()
        tones.write_wav(os.path.join(self.directory, "tone.wav"), BOB_TONE, 60)
        self.camera = marks.Camera(marks.Picture(self.IDENTITY, self.name), y4m=True)
        config = baresip._CONFIG.format(
            host=host.address, sip_port=5060, control=4444, rtp_low=20000, rtp_high=20019,
            sounds=self.directory, directory=self.directory,
            tone=os.path.join(self.directory, "tone.wav"),
            alert=os.path.join(self.directory, "alert.wav"),
            video=baresip._VIDEO.format(host=host.address, camera=0, width=marks.WIDTH,
                                        height=marks.HEIGHT, fps=marks.FPS)
            .replace(f"tcp://{host.address}:0", f"unix://{self._show()}"),
            more_modules=baresip._VIDEO_MODULES + "module srtp.so\n" * bool(encryption))
        with open(os.path.join(self.directory, "config"), "w", encoding="utf-8") as out:
            out.write(config)
        with open(os.path.join(self.directory, "accounts"), "w", encoding="utf-8") as out:
            out.write(f"<sip:{self.name}@{registrar}>;answermode=auto;regint=60;"
                      f"auth_user={self.name};auth_pass={account.password}"
                      f"{f';mediaenc={encryption}' if encryption else ''}\n")
        for empty in ("contacts", "current_contact"):
            open(os.path.join(self.directory, empty), "w", encoding="utf-8").close()
        self.process = host.run(["baresip", "-f", self.directory, "-v"], cwd=self.directory)
        self.control_port = Door(host, 4444, host.address).port
        self._control = wait_until(self._connect, 15, "the door to baresip")
        threading.Thread(target=self._listen, daemon=True).start()

    def _show(self):
        """Gives the pictures at a socket in the file system, which all networks share; its path."""
        path = os.path.join(self.directory, "camera")
        self._camera_socket = socket.socket(socket.AF_UNIX)
        self._camera_socket.bind(path)
        self._camera_socket.listen()

        def take():
            while True:
                try:
                    taker, _ = self._camera_socket.accept()
                except OSError:
                    return
                taker.settimeout(10)
                self.camera.feed(taker.sendall, taker.close)
        threading.Thread(target=take, daemon=True).start()
        return path

    def stop(self):
        self._camera_socket.shutdown(socket.SHUT_RDWR)
        self._camera_socket.close()
        return super().stop()


class G9_BehindANat(InLaboratory, CalledTest):
    """The router lets in what answers, from the very address and port that was sent to, and nothing
    else; the phone names an address that leads nowhere."""

    def check(self, transport, encryption=""):
        server, home = self.lab.host("server"), self.lab.site("home", "port-restricted")
        self.junctor = self.start(ServerInLab(self.workspace, server))
        self.alice, bob = self.junctor.account("alice"), self.junctor.account("bob")
        port = 5061 if transport == "tls" else 5060
        taken = self.lab.capture(home)
        phone = self.start(PhoneInLab(
            self.workspace, home, f"{server.address}:{port};transport={transport}", bob, encryption))
        phone.wait_registered()
        security = self.call(phone)["security"]["callee"]
        self.assertEqual(security["signalling"], "tls" if transport == "tls" else "none")
        self.assertRegex(security["media"], "^srtp " if encryption else "^none$")
        # What the phone and the server had between them, in either direction.
        protocol = socket.IPPROTO_UDP if transport == "udp" else socket.IPPROTO_TCP
        ways = {(each.protocol, *((each.source_port, each.target_port) if each.outgoing else
                                  (each.target_port, each.source_port)))
                for each in taken.stop().packets() if server.address in (each.source, each.target)}
        signalling = {(kind, theirs) for kind, _, theirs in ways if theirs in (5060, 5061)}
        self.assertEqual(signalling, {(protocol, port)})
        self.assertEqual(len([way for way in ways if way[2] == port]), 1, ways)

    def test_over_udp(self):
        self.check("udp")

    def test_over_tcp(self):
        self.check("tcp")

    def test_over_tls_with_srtp(self):
        self.check("tls", "srtp-mand")
