# N2, N3 and N6: `junctor phone`. SPDX-License-Identifier: LGPL-2.1-or-later
"""Two phones find each other at a rendezvous, and see and hear each other through what stands between."""
import os
import re
import subprocess
import time

from support.case import FULL
from support.fakerendezvous import FakeRendezvous
from support.junctor import Junctor, environment
from support.ladderlab import LadderTest
from support.phone import JUNCTOR, Phone, film
from support.phonelab import ALICE, BOB, PhoneTest
from support.ports import HOST, free_port
from support.process import wait_until

class N3_Phones(PhoneTest):
    """On one machine."""

    def serve(self):
        self.port = free_port()
        self.junctor = Junctor(self.workspace, "", ["--https", f"{HOST}:{self.port}"])
        self.addCleanup(self.junctor.process.stop_soundly)
        self.url = f"https://{HOST}:{self.port}"
        self.trust = ("--ca", os.path.join(self.junctor.data_dir, "tls-cert.pem"))
        self.tokens = {name: self.junctor.account(name).token for name in ("alice", "bob", "carol")}

    def phone(self, name, *arguments, log=None):
        phone = self.start(Phone(self.workspace, name, self.url, self.tokens[name], *self.trust,
                                 *arguments, log=log))
        return phone

    def there(self, name, *arguments, log=None):
        phone = self.phone(name, *arguments, log=log)
        phone.wait("nat")
        return phone

    def test_a_call_and_its_end(self):
        self.serve()
        bob = self.there("bob", *self.media_of(BOB, "BOB"), "--stats")
        alice = self.phone("alice", "--call", "bob", *self.media_of(ALICE, "ALICE"))
        session = alice.wait("answered")["session"]
        up = [each.wait("channel", state="up") for each in (alice, bob)]
        self.assertEqual({each["rung"] for each in up}, {"p2p"})
        self.assertEqual(up[0]["fingerprint"], up[1]["fingerprint"])
        self.assertRegex(up[0]["fingerprint"], r"^([0-9a-f]{4} ){3}[0-9a-f]{4}$")
        self.sees(alice, BOB)
        self.sees(bob, ALICE)
        wait_until(lambda: any(each["pictures"] > 5 and each["round_trip_ms"] > 0 and
                               each["packets_received"] > 50 for each in bob.events("stats")),
                   20, "figures of the call")
        shown = self.junctor.get(f"channels/{session}")
        self.assertEqual(shown["carried_by"], {"caller": "p2p", "callee": "p2p"})
        self.assertEqual({each["by"] for each in shown["ladder"]}, {"caller", "callee"})
        alice.hang_up()
        self.assertEqual(alice.ended(), 0)
        self.assertEqual(bob.wait("ended")["reason"], "caller-hangup")
        self.heard(alice, BOB)
        self.heard(bob, ALICE)
        # It waits for the next.
        again = self.phone("carol", "--call", "bob", "--codec", "vp8", "--duration", "2")
        bob.wait("answered", **{"from": "carol"})
        self.assertEqual(again.ended(30), 0)
        self.assertEqual(self.junctor.get("channels")["channels"][0]["reason"], "caller-hangup")
        for each in (alice, bob, again):
            self.assertNotRegex(each.process.log(), "CRITICAL|WARNING")

    def test_who_cannot_be_reached(self):
        self.serve()
        for callee, detail in (("carol", "carol is not connected."),
                               ("nobody", "There is no account 'nobody'.")):
            alice = self.phone("alice", "--call", callee, log=f"to-{callee}")
            self.assertEqual(alice.ended(), 1)
            self.assertEqual(alice.events("ended")[0]["detail"], detail)
        self.there("bob", "--answer", "no")
        alice = self.phone("alice", "--call", "bob", log="to-bob")
        self.assertEqual(alice.ended(), 1)
        self.assertEqual(alice.events("ended")[0]["reason"], "declined")

    def test_only_those_who_are_wanted_are_answered(self):
        self.serve()
        bob = self.there("bob", "--video", "off", "--answer-from", "carol,alice")
        self.tokens["eve"] = self.junctor.account("eve").token
        eve = self.phone("eve", "--call", "bob", "--video", "off")
        self.assertEqual(eve.ended(), 1)
        self.assertEqual(eve.events("ended")[0]["reason"], "declined")
        self.assertEqual(bob.events("answered"), [])
        self.phone("alice", "--call", "bob", "--video", "off").wait("channel", state="up")

    def test_one_call_at_a_time(self):
        self.serve()
        bob = self.there("bob", "--video", "off")
        alice = self.phone("alice", "--call", "bob", "--video", "off")
        alice.wait("channel", state="up")
        carol = self.phone("carol", "--call", "bob", "--video", "off")
        self.assertEqual(carol.ended(), 1)
        self.assertEqual(carol.events("ended")[0]["reason"], "busy")
        bob.hang_up()
        self.assertEqual(alice.ended(), 0)
        self.assertEqual(alice.events("ended")[0]["reason"], "callee-hangup")

    def test_the_server_goes_and_the_call_stays(self):
        self.serve()
        bob = self.there("bob", *self.media_of(BOB, "BOB"))
        alice = self.phone("alice", "--call", "bob", *self.media_of(ALICE, "ALICE"))
        alice.wait("channel", state="up")
        self.junctor.process.kill()
        alice.wait("away")
        bob.wait("away")
        self.sees(alice, BOB)
        self.sees(bob, ALICE)

    def test_a_file_that_cannot_be_written_ends_the_call_and_nothing_else(self):
        self.serve()
        bob = self.there("bob", *self.media_of(BOB, "BOB"))
        gone = os.path.dirname(bob.sound)
        os.rmdir(gone)
        idle = len(os.listdir(f"/proc/{bob.process.pid}/task")) + 2
        for number in range(5):
            alice = self.phone("alice", "--call", "bob", *self.media_of(ALICE, "ALICE"),
                               log=f"alice-{number}")
            said = alice.wait("ended")
            self.assertEqual((said["reason"], said["detail"]),
                             ("internal", "The other end cannot send or receive its media."))
            self.assertEqual(alice.ended(), 1)
            wait_until(lambda: len(bob.events("ended")) == number + 1, 20, "bob's end")
            # What ICE has open goes a moment later.
            wait_until(lambda: len(os.listdir(f"/proc/{bob.process.pid}/task")) <= idle, 20,
                       "the threads of the call to end")
        self.assertIn(f"--save-sound {bob.sound}: ", bob.events("ended")[0]["detail"])
        os.mkdir(gone)
        alice = self.phone("alice", "--call", "bob", *self.media_of(ALICE, "ALICE"))
        alice.wait("channel", state="up")
        self.sees(alice, BOB)
        bob.hang_up()
        self.assertEqual(bob.ended(), 0)
        self.assertNotRegex(bob.process.log(), "CRITICAL|WARNING")

    def test_what_a_browser_recorded_is_sent(self):
        self.serve()
        recording = self.workspace.file("recording.webm")
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i",
                        film(self.workspace, ALICE, "ALICE", 30), "-c:v", "libvpx", "-deadline",
                        "realtime", "-cpu-used", "8", "-b:v", "1M", recording], check=True)
        with open(recording, "r+b") as file:
            # It says neither a frame rate nor how long a picture lasts: DefaultDuration becomes Void.
            whole = file.read()
            at = whole.index(b"\x23\xe3\x83")
            size = whole[at + 3] & 0x7f
            file.seek(at)
            file.write(bytes([0xec, 0x80 + size + 2]) + bytes(size + 2))
        bob = self.there("bob", *self.media_of(BOB, "BOB"))
        alice = self.phone("alice", "--call", "bob", "--video", recording, "--audio", "off")
        alice.wait("channel", state="up")
        self.sees(bob, ALICE)
        alice.hang_up()
        self.assertEqual(alice.ended(), 0)

    def test_it_says_which_address_families_it_has(self):
        rendezvous = self.start(FakeRendezvous())
        self.start(Phone(self.workspace, "alice", rendezvous.url, rendezvous.token))
        hello = rendezvous.wait().wait("hello")
        own = subprocess.run(["hostname", "-I"], capture_output=True, text=True, timeout=10,
                             check=True).stdout
        there = [family for family, mark in (("ipv4", "."), ("ipv6", ":")) if mark in own]
        if not there:
            self.skipTest("this machine has the loopback alone")
        self.assertEqual(hello["families"], there)
        self.assertEqual(hello["role"], "client")

    def test_a_connection_that_has_lasted_is_made_again_at_once(self):
        rendezvous = self.start(FakeRendezvous())
        phone = self.start(Phone(self.workspace, "alice", rendezvous.url, rendezvous.token))

        def welcomed(count):
            connection = rendezvous.wait()
            connection.wait("hello")
            connection.send(type="welcome", account="alice", connection="c1", resume="r1",
                            resumed=count > 1, stun=[], regions=[])
            wait_until(lambda: len(phone.events("connected")) == count, 20, "the welcome")
            return connection
        connection = welcomed(1)
        time.sleep(2.5)
        connection.drop()
        # One that ends at once does so again, perhaps.
        welcomed(2).drop()
        welcomed(3)
        self.assertEqual([each["again_in_s"] for each in phone.events("away")], [0, 0.25])

    def test_errors_name_the_fix(self):
        self.serve()
        flags = {"token": ("--token-file", self.workspace.write("t", self.tokens["alice"], 0o600))}

        silent = film(self.workspace, ALICE, "ALICE", 2)
        cut = self.workspace.file("cut.mp4")
        with open(silent, "rb") as whole, open(cut, "wb") as half:
            half.write(whole.read()[:os.path.getsize(silent) // 2])
        still = self.workspace.file("still.png")
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", silent, "-frames:v", "1", still],
                       check=True)

        def run(*arguments):
            done = subprocess.run([JUNCTOR, "phone", *arguments],
                                  env={**os.environ, **environment(), "JUNCTOR_TOKEN": ""},
                                  capture_output=True, text=True, timeout=60, check=False)
            return done.returncode, done.stderr
        for status, says, arguments in (
                (2, "JUNCTOR_TOKEN", ("--url", self.url)),
                (1, "--ca FILE.pem", ("--url", self.url, *flags["token"])),
                (1, "junctor account token NAME",
                 ("--url", self.url, "--token", "x.y.z", *self.trust)),
                (2, "https://HOST:8443", ("--url", "nonsense", *flags["token"])),
                (2, "in clear", ("--url", "http://192.0.2.1:8080", *flags["token"])),
                (2, "--rungs: 'foo' is no rung; write p2p, sfu or relay",
                 ("--url", self.url, *flags["token"], "--rungs", "foo")),
                (2, "--rungs: '' is no rung",
                 ("--url", self.url, *flags["token"], "--rungs", "")),
                (3, "no orchestrator answers at http://127.0.0.1:1 (",
                 ("--url", "http://127.0.0.1:1", *flags["token"], "--call", "bob")),
                (2, "--video /etc/passwd: there is neither film nor sound in it",
                 ("--url", self.url, *flags["token"], "--video", "/etc/passwd")),
                (2, f"--audio {silent}: there is no sound in it; name a file that has one",
                 ("--url", self.url, *flags["token"], "--call", "bob", "--audio", silent)),
                (2, f"--video {cut}: it cannot be played, it may be damaged or cut off",
                 ("--url", self.url, *flags["token"], "--call", "bob", "--video", cut)),
                (2, f"--video {still}: its picture is a still one",
                 ("--url", self.url, *flags["token"], "--call", "bob", "--video", still)),
                (2, "--call: An account name has",
                 ("--url", self.url, *flags["token"], "--call", "")),
                (2, "there is no file", ("--url", self.url, *flags["token"], "--video", "/none")),
                (2, "there is no directory",
                 ("--url", self.url, *flags["token"], "--save-pictures", "/none")),
                (2, "--save-sound: there is no directory /none",
                 ("--url", self.url, *flags["token"], "--save-sound", "/none/x.wav")),
                (3, "junctor serve", (*flags["token"], "--data-dir", "/nowhere"))):
            with self.subTest(says):
                ended, said = run(*arguments)
                self.assertEqual((ended, says in said), (status, True), said)

    def test_a_certificate_is_named_from_where_it_runs(self):
        self.serve()
        token = self.workspace.write("t", self.tokens["alice"], 0o600)
        done = subprocess.run([JUNCTOR, "phone", "--url", self.url, "--token-file", token, "--ca",
                               "tls-cert.pem", "--call", "carol"], cwd=self.junctor.data_dir,
                              env={**os.environ, **environment()}, capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertIn("carol is not connected", done.stdout, done.stderr)


class N3_BehindNats(LadderTest):
    def test_two_phones_see_and_hear_each_other(self):
        self.serve()
        alice, bob = self.join("port-restricted", "restricted")
        self.assertIn("behind a NAT", alice.wait("nat")["behaviour"]["summary"])
        up = [each.wait("channel", state="up") for each in (alice, bob)]
        self.assertEqual({each["rung"] for each in up}, {"p2p"})
        pictures = [each.wait("picture")["ms"] for each in (alice, bob)]
        print(f"# up in {up[0]['ms']:.1f} and {up[1]['ms']:.1f} ms, first pictures "
              f"{pictures[0]} and {pictures[1]} ms after the start of the phones' media")
        self.sees(alice, BOB)
        self.sees(bob, ALICE)
        self.assertIn("p2p", self.junctor("channels"))
        bob.hang_up()
        self.assertEqual(alice.ended(), 0)
        self.assertEqual(alice.events("ended")[0]["reason"], "callee-hangup")
        self.heard(alice, BOB)
        self.heard(bob, ALICE)

    def test_a_relay_where_nothing_else_helps(self):
        self.serve("--turn", "auto")
        alice, bob = self.join("symmetric", "symmetric")
        up = [each.wait("channel", 30, state="up") for each in (alice, bob)]
        self.assertEqual({each["rung"] for each in up}, {"relay"})
        self.sees(alice, BOB)
        self.sees(bob, ALICE)
        identifier = alice.wait("answered")["session"]
        shown = self.junctor("channels", identifier)
        self.assertRegex(shown, "relay carrying")
        self.assertNotRegex(shown, r"after \d+\.\d\d")
        self.assertRegex(shown, "sfu failed.*no node")
        print("# " + shown.replace("\n", "\n# "))

    def test_nothing_is_left(self):
        self.serve()
        alice, bob = self.join("symmetric", "port-restricted", "--rungs", "p2p", "--timeout", "1000")
        self.assertEqual(alice.ended(30), 1)
        ended = alice.events("ended")[0]
        self.assertEqual(ended["reason"], "unreachable")
        self.assertRegex(ended["detail"], "p2p")
        bob.wait("ended")
        listed = self.junctor("channels")
        self.assertIn("...", listed)
        self.assertLess(max(map(len, listed.splitlines())), 180, listed)

    def test_a_phone_moves_in_mid_call(self):
        self.serve()
        phones = alice, bob = self.join("port-restricted", "restricted")
        self.up(phones, "p2p")
        self.see_each_other(phones)
        before, since = len(alice.events()), self.figures(phones)
        router = self.lab.site("other", "full-cone").place
        moved = time.time()
        self.lab.hosts["left"].move(router)
        took = time.time() - moved
        wait_until(lambda: alice.events("connected")[-1]["resumed"], 30, "the rendezvous again",
                   every=0.2)
        # It does not wait until the connection turns out to be dead.
        told = [each["state"] for each in alice.events("channel")]
        self.assertEqual(told[:3], ["trying", "up", "trying"])
        again = alice.events("connected")[-1]["at"] - moved
        print(f"# the rendezvous again {again:.2f} s after the move")
        if FULL:
            self.assertLess(again, 1.5)
        self.see_each_other(phones)
        self.moved(phones, "p2p")
        told = alice.wait("nat", after=before)["behaviour"]
        self.assertEqual(told["filtering"]["is"], "endpoint-independent")
        lasted = self.pauses(phones, since, took)
        print(f"# {lasted}, beside {1000 * took:.0f} ms of the move itself")
        self.assertLess(max(lasted.silence), 1000 if FULL else 8000)
