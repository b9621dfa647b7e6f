# The TURN relay that serve starts. SPDX-License-Identifier: LGPL-2.1-or-later
"""N6, the server's side: coturn runs as a child, coturn's own client uses it with what the API gives
an account, and nobody else can."""

import os
import re
import shutil
import signal
import socket
import subprocess

from support.case import SystemTest
from support.junctor import BUILD, ApiError, Junctor, environment
from support.ports import HOST, free_port, free_range
from support.process import wait_until


def relayed(port, user, password, peer=None):
    """What coturn's client says of 10 messages through the relay: to another allocation on it, or
    to an echo at the address `peer`."""
    target = ["-e", peer] if peer else ["-y"]
    done = subprocess.run(["turnutils_uclient", *target, "-n", "5", "-m", "1", "-c", "-p", str(port),
                           "-u", user, "-w", password, HOST],
                          capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


class N6_Relay(SystemTest):
    def serve(self, mode="auto", config="", extra=None, ends=True, listen=HOST):
        """`ends` False: the test kills it itself."""
        self.port, self.tls = free_port(), free_port()
        low = free_range(200)
        config = (f'[turn]\nlisten = "{listen}:{self.port}"\ntls-listen = "{listen}:{self.tls}"\n'
                  f'ports = "{low}-{low + 199}"\n{config}')
        self.junctor = Junctor(self.workspace, config, ["--turn", mode], environment_extra=extra)
        self.addCleanup(self.junctor.stop if ends else self.junctor.process.stop)
        self.alice = self.junctor.account("alice")

    def listens(self):
        try:
            with socket.create_connection((HOST, self.port), 5):
                return True
        except OSError:
            return False

    def children(self):
        """Process ids of coturn under this server."""
        with open(f"/proc/{self.junctor.process.pid}/task/{self.junctor.process.pid}/children",
                  encoding="ascii") as file:
            return [int(each) for each in file.read().split()]

    def up(self):
        return "junctor_turn_up 1" in self.junctor.request("GET", "/metrics")

    def fake(self, script):
        """A `turnserver` of our own, first in PATH."""
        path = self.workspace.write("programs/turnserver", f"#!/bin/sh\n{script}\n", 0o700)
        return {"PATH": f"{os.path.dirname(path)}:{os.environ['PATH']}"}

    def offer(self):
        return self.junctor.get("accounts/alice/turn")

    def test_an_account_is_relayed_and_a_stranger_is_not(self):
        self.serve()
        wait_until(self.listens, 20, "coturn")
        wait_until(lambda: f"  TURN  turn:{HOST}:{self.port}?transport=udp, " in self.junctor.log(), 20,
                   "the banner")
        offer = self.offer()
        place = f"{HOST}:{self.port}"
        self.assertEqual(offer["urls"], [f"turn:{place}?transport=udp", f"turn:{place}?transport=tcp",
                                         f"turns:{HOST}:{self.tls}?transport=tcp"])
        self.assertRegex(offer["certificate_sha256"], "^[0-9a-f]{64}$")
        self.assertRegex(offer["username"], "^[0-9]+:alice$")
        self.assertEqual(offer["ttl"], 6 * 3600)
        said = relayed(self.port, offer["username"], offer["credential"])
        self.assertRegex(said, r"tot_recv_msgs=[1-9]")
        self.assertIn("Total lost packets 0 ", said)
        self.assertNotRegex(relayed(self.port, offer["username"], "wrong"), r"tot_recv_msgs=[1-9]")
        later = re.sub("^[0-9]+", lambda when: str(int(when[0]) + 9999), offer["username"])
        self.assertNotRegex(relayed(self.port, later, offer["credential"]),
                            r"tot_recv_msgs=[1-9]", "nobody makes his own last longer")
        self.assertNotIn(offer["credential"], self.junctor.log())
        with open(os.path.join(self.junctor.data_dir, "turn-secret"), encoding="ascii") as file:
            self.assertNotIn(file.read().strip(), self.junctor.log())
        wait_until(self.up, 20, "the server to see that it answers")
        turn = os.path.join(self.junctor.data_dir, "turn")
        for name in os.listdir(turn):
            self.assertEqual(os.stat(os.path.join(turn, name)).st_mode & 0o777, 0o600, name)

    def test_private_peers_are_refused(self):
        self.serve()
        wait_until(self.listens, 20, "coturn")
        offer = self.offer()
        for peer in ("10.0.0.1", "127.0.0.53", "192.168.1.1"):
            with self.subTest(peer):
                self.assertIn("403 (Forbidden IP)",
                              relayed(self.port, offer["username"], offer["credential"], peer))

    def test_who_may_ask(self):
        self.serve()
        self.junctor.account("bob")
        with self.assertRaises(ApiError) as refused:
            self.junctor.get("accounts/nobody/turn")
        self.assertEqual(refused.exception.status, 404)
        url = f"http://{HOST}:{self.junctor.http_port}/api/v1/accounts/%s/turn"
        for name, expected in (("alice", "200"), ("bob", "401")):
            status = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-u",
                                     f"alice:{self.alice.password}", url % name],
                                    capture_output=True, text=True, timeout=30, check=True).stdout
            self.assertEqual(status, expected, name)

    def test_it_is_started_again_and_ends_with_the_server(self):
        self.serve(ends=False)
        wait_until(self.up, 20, "coturn")
        [first] = self.children()
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: self.children() not in ([], [first]) and self.listens(), 30,
                   "coturn to run again")
        self.assertIn("was ended by signal 9; it is started again in 100 ms", self.junctor.log())
        [second] = self.children()
        os.kill(self.junctor.process.pid, signal.SIGKILL)
        wait_until(lambda: not os.path.exists(f"/proc/{second}"), 20, "coturn to end")

    def test_it_listens_nowhere_else(self):
        self.serve(listen="0.0.0.0")
        wait_until(self.up, 20, "coturn")
        [child] = self.children()
        mine = {os.readlink(f"/proc/{child}/fd/{fd}") for fd in os.listdir(f"/proc/{child}/fd")}
        ports = set()
        for kind, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
            with open(f"/proc/net/{kind}", encoding="ascii") as file:
                rows = [line.split() for line in file][1:]
            ports |= {int(row[1].split(":")[1], 16) for row in rows
                      if row[3] == state and f"socket:[{row[9]}]" in mine}
        self.assertEqual(ports, {self.port, self.tls})

    def test_one_that_does_not_answer_is_offered_to_nobody(self):
        self.serve(extra=self.fake("exec sleep 600"))
        wait_until(lambda: f"nothing answers at {HOST}:{self.port}" in self.junctor.log(), 40,
                   "the server to notice")
        with self.assertRaises(ApiError) as refused:
            self.offer()
        self.assertEqual(refused.exception.status, 503)
        self.assertIn("junctor_turn_up 0", self.junctor.request("GET", "/metrics"))

    def test_one_that_never_comes_up_is_told_with_its_words_and_listed_nowhere(self):
        self.serve(extra=self.fake("echo '0: : ERROR: main: no meaningful address'; exit 255"))
        wait_until(lambda: "Ctrl-C ends all calls" in self.junctor.log(), 20, "the banner")
        log = self.junctor.log()
        self.assertIn("ended with status 255, its last words: ERROR: main: no meaningful address",
                      log)
        [banner] = re.findall("^  TURN .*$", log, re.MULTILINE)
        self.assertIn("none: turnserver has ended with status 255", banner)
        self.assertNotIn(str(self.port), banner)
        self.assertNotIn("runs again", log)
        doctor = subprocess.run(
            [os.path.join(BUILD, "orchestrator", "junctor"), "doctor", "--turn", "auto", "--config",
             self.workspace.file("junctor.toml"), "--data-dir", self.junctor.data_dir],
            capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, **environment()}).stdout
        self.assertIn(f"missing  the relay of --turn auto: nothing answers at {HOST}:{self.port}",
                      doctor)

    def test_a_port_that_is_taken_ends_the_start(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind((HOST, 0))
            place = f"{HOST}:{other.getsockname()[1]}"
            config = self.workspace.write("taken.toml", f'[turn]\nlisten = "{place}"\n'
                                          'tls-listen = "off"\n')
            off = [f"--{each}=off" for each in ("rtmp", "sip", "http", "stun")]
            done = subprocess.run(
                [os.path.join(BUILD, "orchestrator", "junctor"), "serve", "--config", config,
                 "--data-dir", self.workspace.file("taken"), "--turn", "auto", *off],
                capture_output=True, text=True, timeout=60, check=False,
                env={**os.environ, **environment()})
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(f"TURN (--turn auto): cannot bind {place}: Address already in use",
                      done.stderr)

    def test_without_coturn_calls_go_on(self):
        programs = os.path.dirname(self.workspace.file("programs", "x"))
        os.symlink(shutil.which("setpriv"), os.path.join(programs, "setpriv"))
        self.serve(extra={"PATH": programs})
        self.assertIn("there is no relay (apt install coturn", self.junctor.log())
        with self.assertRaises(ApiError) as refused:
            self.offer()
        self.assertEqual(refused.exception.status, 404)

    def test_another_ones_relay(self):
        secret = self.workspace.write("secret", "north\n", 0o600)
        self.serve("turn:turn.example.org:3478", f'secret-file = "{secret}"\n')
        offer = self.offer()
        self.assertEqual(offer["urls"], ["turn:turn.example.org:3478"])
        self.assertNotIn("certificate_sha256", offer)
        self.assertEqual(self.children(), [])
