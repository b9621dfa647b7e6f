# `junctor node` and who gives it work. SPDX-License-Identifier: LGPL-2.1-or-later
import json
import os
import signal
import socket
import struct
import time

from support.case import SystemTest
from support.fakerendezvous import FakeRendezvous
from support.junctor import BUILD, environment
from support.ports import HOST
from support.process import Process, wait_until

# X25519 keys of nobody: a node can agree with them, nobody can answer it.
KEYS = ("hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo", "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08")


def description(number, port=9):
    """Of a client that is not there."""
    return {"type": "description", "version": 1, "key": KEYS[number], "generation": 1,
            "tag": f"{number:016x}", "candidates": [{"kind": "host", "address": f"{HOST}:{port}"}]}


class N7_Node(SystemTest):
    def setUp(self):
        super().setUp()
        self.rendezvous = self.start(FakeRendezvous())

    def node(self, *arguments, token=None, more=()):
        path = self.workspace.write("token", token or self.rendezvous.token, 0o600)
        settings = {"--url": self.rendezvous.url, "--name": "n7", "--listen": f"{HOST}:0",
                    "--drain": "1"}
        settings.update(zip(arguments[::2], arguments[1::2]))
        return self.start(Process("node", [
            os.path.join(BUILD, "orchestrator", "junctor"), "node", "--token-file", path, "--every", "1",
            "--json", *(word for pair in settings.items() for word in pair), *more],
            self.workspace.file(f"node-{time.monotonic_ns()}.log"), env=environment()))

    def welcomed(self, **more):
        connection = self.rendezvous.wait()
        hello = connection.wait("hello")
        connection.send(type="welcome", account="alice", connection="c1", resume="r1",
                        resumed=False, stun=[], regions=[], **more)
        return connection, hello

    def serve(self, connection, session="s1"):
        connection.send(type="serve", session=session, legs=[
            {"leg": "caller", "description": description(0)},
            {"leg": "callee", "description": description(1)}])

    def status(self, process):
        lines = [line for line in process.log().splitlines() if line.startswith("{")]
        return json.loads(lines[-1])

    def test_it_says_what_it_is_and_serves(self):
        process = self.node("--region", "north", "--price", "1.5", "--max-users", "8")
        connection, hello = self.welcomed()
        self.assertEqual(connection.line.split()[1], "/api/v1/rendezvous")
        self.assertEqual(hello["role"], "node")
        self.assertEqual(hello["families"], ["ipv4"], "what it listens at, whatever there is besides")
        self.assertEqual(hello["node"], {"name": "n7", "region": "north", "legs": 8, "price": 1.5})
        self.serve(connection)
        serving = connection.wait("serving")
        self.assertEqual(serving["session"], "s1")
        legs = {leg["leg"]: leg["description"] for leg in serving["legs"]}
        self.assertEqual(set(legs), {"caller", "callee"})
        address = self.status(process)["address"]
        for leg in legs.values():
            self.assertEqual(leg["type"], "description")
            self.assertIn({"kind": "host", "address": address}, leg["candidates"])
        self.assertNotEqual(legs["caller"]["key"], legs["callee"]["key"])
        self.assertNotEqual(legs["caller"]["tag"], legs["callee"]["tag"])
        self.assertEqual(connection.wait("load")["legs"], 2)
        # Nobody comes: it says so in time.
        failed = connection.wait("leg")
        self.assertEqual((failed["session"], failed["state"]), ("s1", "failed"))
        connection.send(type="release", session="s1")
        wait_until(lambda: connection.wait("load")["legs"] == 0, what="the legs to be released")

    def test_clients_are_told_the_address_that_its_owner_announces(self):
        announced = "198.51.100.7:4000", "[2001:db8::7]:4001"
        process = self.node(more=[word for each in announced for word in ("--announce", each)])
        connection, hello = self.welcomed()
        self.assertEqual(hello["families"], ["ipv4", "ipv6"])
        self.serve(connection)
        own = self.status(process)["address"]
        for leg in connection.wait("serving")["legs"]:
            self.assertEqual(leg["description"]["candidates"],
                             [{"kind": "host", "address": own},
                              *({"kind": "external", "address": each} for each in announced)])

    def test_it_probes_where_the_client_is_said_to_be(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind((HOST, 0))
            client.settimeout(20)
            process = self.node()
            connection, _ = self.welcomed()
            self.serve(connection)
            connection.wait("serving")
            connection.send(type="signal", session="s1", node="n7", leg="caller", data={
                "type": "candidates", "generation": 1, "candidates": [
                    {"kind": "host", "address": f"{HOST}:{client.getsockname()[1]}"}]})
            probe = client.recv(2000)
            kind, _, cookie = struct.unpack("!HHI", probe[:8])
            self.assertEqual((kind, cookie), (1, 0x2112A442))
            # An answer that nobody signed makes no channel of it.
            host, _, port = self.status(process)["address"].rpartition(":")
            client.sendto(struct.pack("!HH", 0x0101, 0) + probe[4:20], (host, int(port)))
            self.assertEqual(connection.wait("leg")["state"], "failed")
            wait_until(lambda: self.status(process)["refused"] > 0, what="the forgery in its figures")

    def test_it_refuses_what_it_cannot_serve(self):
        self.node("--max-users", "2")
        connection, _ = self.welcomed()
        self.serve(connection, "s1")
        connection.wait("serving")
        self.serve(connection, "s2")
        refused = connection.wait("refuse")
        self.assertEqual(refused["session"], "s2")
        self.assertIn("all 2 legs are in use", refused["reason"])
        connection.send(type="serve", session="s3", legs=[
            {"leg": "caller", "description": {"type": "nonsense"}},
            {"leg": "callee", "description": description(1)}])
        self.assertEqual(connection.wait("refuse")["session"], "s3")

    def test_stopped_it_lets_its_calls_move_away(self):
        process = self.node("--drain", "60")
        connection, _ = self.welcomed()
        self.serve(connection)
        connection.wait("serving")
        wait_until(lambda: self.status(process)["sessions"] == 1, what="a call in its figures")
        process.send_signal(signal.SIGINT)
        self.assertIn("owner", connection.wait("drain")["why"])
        self.serve(connection, "s2")
        self.assertEqual(connection.wait("refuse")["session"], "s2")
        self.assertTrue(process.running())
        connection.send(type="release", session="s1")
        self.assertEqual(process.wait(20), 0, process.tail())

    def test_told_twice_it_ends_at_once(self):
        process = self.node("--drain", "60")
        connection, _ = self.welcomed()
        self.serve(connection)
        connection.wait("serving")
        wait_until(lambda: self.status(process)["sessions"] == 1, what="a call in its figures")
        process.send_signal(signal.SIGTERM)
        connection.wait("drain")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(5), 0, process.tail())

    def test_outside_its_hours_it_takes_nothing(self):
        minute = time.localtime().tm_hour * 60 + time.localtime().tm_min + 120
        begin, end = (f"{each // 60 % 24:02}:{each % 60:02}" for each in (minute, minute + 60))
        self.node("--hours", f"{begin}-{end}")
        connection, _ = self.welcomed()
        self.assertIn("hours", connection.wait("drain")["why"])
        self.serve(connection)
        self.assertIn("hours", connection.wait("refuse")["reason"])

    def test_a_lost_connection_is_made_again_and_resumed(self):
        self.node()
        connection, _ = self.welcomed()
        self.serve(connection)
        connection.wait("serving")
        connection.drop()
        again = self.rendezvous.wait()
        self.assertEqual(again.wait("hello")["resume"], "r1")
        again.send(type="welcome", account="alice", connection="c2", resume="r2", resumed=True,
                   stun=[], regions=[])
        # What happened meanwhile is told.
        self.assertEqual(again.wait("leg")["session"], "s1")

    def test_a_wrong_token_ends_it_with_the_fix(self):
        process = self.node(token="guessed")
        self.assertEqual(process.wait(20), 1)
        self.assertIn("junctor account token", process.log())
        self.assertNotIn("guessed", process.log())

    def test_wrong_words_are_told(self):
        for words, told in ((["--hours", "late"], "22:00-06:30"), (["--max-bytes", "much"], "500M"),
                            (["--name", "a b"], "letters"), (["--listen", "here"], "ADDRESS:PORT"),
                            (["--announce", "1.2.3.4:0"], "ADDRESS:PORT"), (["--ca", "/none.pem"], "--ca: "),
                            (["--url", "http://192.0.2.1:8080"], "in clear"),
                            (["--listen", "192.0.2.1:0"], "cannot bind 192.0.2.1:0")):
            with self.subTest(words=words):
                process = self.node(*words)
                self.assertEqual(process.wait(20), 2)
                self.assertIn(told, process.log())
