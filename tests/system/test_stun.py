# The STUN server of `serve`, asked by clients that are not ours. SPDX-License-Identifier: LGPL-2.1-or-later
import os
import re
import socket
import subprocess

from support import rtmp
from support.baresip import Baresip
from support.case import SystemTest
from support.junctor import BUILD, Junctor, environment
from support.ports import HOST, bound_udp, free_port
from support.process import run, wait_until

OTHER = "127.0.0.2"
COOKIE = bytes.fromhex("2112a442")


def binding_request(identifier=None):
    return bytes.fromhex("00010000") + COOKIE + (identifier or os.urandom(12))


class StunTest(SystemTest):
    def serve(self, alternate=None, config="", **more):
        text = f'[stun]\nalternate = "{alternate}:{free_port()}"\n{config}' if alternate else config
        self.junctor = self.start(Junctor(self.workspace, text, **more))
        self.port = self.junctor.stun_port

    def tool(self, *argv):
        """What a client prints that ends by itself."""
        log = self.workspace.file(f"{argv[0]}.log")
        self.assertEqual(run(list(argv), log), 0)
        with open(log, encoding="utf-8") as file:
            return file.read()

    def counted(self, outcome):
        found = re.search(rf'junctor_stun_requests_total{{outcome="{outcome}"}} (\d+)',
                          self.junctor.get("/metrics"))
        return int(found[1])


class N1_Stun(StunTest):
    def test_a_stock_client_learns_its_address(self):
        self.serve()
        said = self.tool("turnutils_stunclient", "-p", str(self.port), HOST)
        self.assertRegex(said, rf"UDP reflexive addr: {HOST}:\d+")
        self.assertGreaterEqual(self.counted("answered"), 1)
        self.assertEqual(self.junctor.get("health")["stun"],
                         {"address": f"{HOST}:{self.port}", "alternate": f"{HOST}:{self.port + 1}"})

    def test_behaviour_discovery_of_others_works_with_two_addresses(self):
        self.serve(OTHER)
        said = self.tool("turnutils_natdiscovery", "-m", "-f", "-H", "-p", str(self.port),
                         "-L", HOST, HOST)
        # Nothing stands between: no translation, and everything comes through.
        self.assertRegex(said, "(?i)no nat detected|NAT with Endpoint Independent Mapping")
        self.assertIn("Endpoint Independent Filtering", said)
        said = self.tool("turnutils_stunclient", "-f", "-p", str(self.port), HOST)
        self.assertIn(f"Other addr: : {OTHER}", said)

    def test_a_second_address_that_goes_not_with_the_first_is_refused(self):
        for stun, alternate, says in (
                ("off", OTHER, "stun.alternate is set, but listen.stun (--stun) is off"),
                (f"{HOST}:0", "[::1]", "two addresses of IPv4 or two of IPv6")):
            config = self.workspace.write("alone.toml", f'[stun]\nalternate = "{alternate}:3479"\n')
            done = subprocess.run(
                [os.path.join(BUILD, "orchestrator", "junctor"), "serve", "--config", config,
                 "--data-dir", self.workspace.file("alone"), f"--stun={stun}",
                 *(f"--{each}=off" for each in ("rtmp", "sip", "http"))],
                env={**os.environ, **environment()}, capture_output=True, text=True, timeout=60,
                check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(says, done.stderr)

    def test_a_phone_asks_for_its_address_and_calls(self):
        self.serve()
        bob = self.junctor.account("bob")
        phone = self.start(Baresip(
            self.workspace, "bob", registrar=self.junctor.sip_address, password=bob.password,
            video=False, stun=f"{HOST}:{self.port}"))
        phone.wait_registered()
        alice = self.junctor.account("alice")
        self.start(rtmp.FfmpegPush(self.workspace, alice.push_url("bob")))
        self.junctor.wait_state(self.junctor.find_call("alice"), "answered")
        self.assertGreaterEqual(self.counted("answered"), 1)

    def test_tcp_and_udp_answer_the_same(self):
        self.serve()
        identifier = os.urandom(12)
        with socket.create_connection((HOST, self.port), timeout=10) as stream:
            stream.sendall(binding_request(identifier))
            over_tcp, own = stream.recv(100), stream.getsockname()[1]
        with bound_udp() as sock:
            sock.settimeout(10)
            sock.sendto(binding_request(identifier), (HOST, self.port))
            over_udp, port = sock.recv(100), sock.getsockname()[1]
        for answer, source in ((over_tcp, own), (over_udp, port)):
            head = bytes.fromhex("0101000c") + COOKIE + identifier + bytes.fromhex("00200008")
            self.assertEqual(answer[:24], head)
            self.assertEqual(int.from_bytes(answer[26:28]) ^ 0x2112, source)

    def test_strangers_get_no_more_than_they_may(self):
        self.serve(config="[stun]\nrequests-per-second = 5\n")
        with bound_udp() as sock:
            sock.settimeout(10)
            for rubbish in (b"", b"\0" * 20, b"\1\1\0\0" + COOKIE + b"x" * 12, os.urandom(1400)):
                sock.sendto(rubbish, (HOST, self.port))
            for _ in range(200):
                sock.sendto(binding_request(), (HOST, self.port))
            wait_until(lambda: self.counted("answered") + self.counted("limited") == 200, 20,
                       "all requests to be counted")
            self.assertEqual(self.counted("dropped"), 4)
            # 20 at once, and some more while the second goes on.
            self.assertGreaterEqual(self.counted("answered"), 20)
            self.assertGreater(self.counted("limited"), 100)
            sock.setblocking(False)
            got = 0
            try:
                while sock.recv(1500):
                    got += 1
            except BlockingIOError:
                pass
            self.assertEqual(got, self.counted("answered"))
        lines = re.findall(r"stun 127\.0\.0\.1: asks more", self.junctor.log())
        self.assertEqual(len(lines), 1)
        # It still serves others.
        said = self.tool("turnutils_stunclient", "-L", "127.0.0.3", "-p", str(self.port), HOST)
        self.assertRegex(said, r"UDP reflexive addr: 127\.0\.0\.3:\d+")


class N1_StunStart(SystemTest):
    def test_a_port_that_is_taken_ends_the_start(self):
        with bound_udp() as taken:
            argv = [os.path.join(BUILD, "orchestrator", "junctor"), "serve", "--data-dir",
                    self.workspace.file("data"), "--rtmp", "off", "--sip", "off", "--http", "off",
                    "--stun", f"{HOST}:{taken.getsockname()[1]}"]
            done = subprocess.run(argv, env={**os.environ, **environment()}, capture_output=True,
                                  text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "STUN.*cannot bind.*choose another")

    def test_a_second_port_that_is_taken_is_gone_without(self):
        port = free_port(2)
        with bound_udp(port + 1):
            junctor = self.start(Junctor(self.workspace, flags=["--stun", f"{HOST}:{port}"]))
        self.assertEqual(junctor.get("health")["stun"],
                         {"address": f"{HOST}:{port}", "alternate": None})
        self.assertRegex(junctor.log(), f"no second port: .*{port + 1}.*stun.alternate")
        self.assertRegex(junctor.log(), "STUN .* no second port.*stun.alternate")

    def test_a_second_port_can_be_off(self):
        junctor = self.start(Junctor(self.workspace, '[stun]\nalternate = "off"\n'))
        self.assertIsNone(junctor.get("health")["stun"]["alternate"])

    def test_it_can_be_off(self):
        junctor = self.start(Junctor(self.workspace, flags=["--stun", "off"]))
        self.assertIsNone(junctor.get("health")["stun"])
        self.assertNotIn("junctor_stun", junctor.get("/metrics"))
        self.assertNotIn("STUN", junctor.log())
