# N2: clients find each other, and nobody else does. SPDX-License-Identifier: LGPL-2.1-or-later
import os
import signal
import subprocess
import time

from support.case import SystemTest
from support.junctor import BUILD, Junctor, environment
from support.ports import HOST, free_port
from support.process import wait_until
from support.websocket import BINARY, PING, TEXT, Closed, Refused, Rendezvous, WebSocket

PATH = "/api/v1/rendezvous"
PROTOCOL = "junctor.rendezvous.1"
OFFER, ANSWER = {"key": "A"}, {"key": "B"}


class N2_Rendezvous(SystemTest):
    def serve(self, config="", flags=()):
        self.junctor = self.start(Junctor(self.workspace, config, flags))
        self.port = self.junctor.http_port
        self.tokens = {name: self.junctor.account(name).token for name in ("alice", "bob", "carol")}

    def client(self, account, **more):
        return self.start(Rendezvous(self.port, self.tokens[account], **more))

    def join(self, caller, callee):
        caller.send(type="open", ref="1", to="bob")
        session = caller.expect("session")["session"]
        caller.send(type="invite", session=session, offer=OFFER, media={"audio": ["opus"]})
        self.assertEqual(callee.expect("invite"),
                         {"type": "invite", "session": session, "from": "alice", "offer": OFFER,
                          "media": {"audio": ["opus"]}})
        callee.send(type="accept", session=session, answer=ANSWER)
        self.assertEqual(caller.expect("accept")["answer"], ANSWER)
        return session

    def test_a_session_and_its_record(self):
        self.serve('[[regions]]\nname = "eu"\nstun = "192.0.2.1:3478"\n')
        alice, bob = self.client("alice"), self.client("bob")
        self.assertEqual(alice.welcome["account"], "alice")
        self.assertEqual(alice.welcome["regions"], [{"name": "eu", "stun": "192.0.2.1:3478"}])
        # The second port is open by default.
        self.assertEqual(alice.welcome["stun"], [f"{HOST}:{self.junctor.stun_port}",
                                                 f"{HOST}:{self.junctor.stun_port + 1}"])
        session = self.join(alice, bob)
        for number in range(20):
            alice.send(type="signal", session=session, data={"n": number})
            bob.send(type="signal", session=session, data={"n": -number})
        self.assertEqual([bob.expect("signal")["data"]["n"] for _ in range(20)], list(range(20)))
        self.assertEqual([-alice.expect("signal")["data"]["n"] for _ in range(20)], list(range(20)))
        alice.send(type="rung", session=session, rung="p2p", state="carrying", ms=21.5,
                   why="both let probes in")
        wait_until(lambda: self.junctor.get(f"channels/{session}")["carried_by"]["caller"] == "p2p",
                   10, "the rung in the API")
        shown = self.junctor.get(f"channels/{session}")
        self.assertEqual((shown["from"], shown["to"], shown["state"], shown["reason"]),
                         ("alice", "bob", "answered", None))
        self.assertEqual((shown["ladder"][0]["why"], shown["ladder"][0]["ms"]),
                         ("both let probes in", 21.5))
        metrics = self.junctor.get("/metrics")
        for line in ("junctor_channels 1", "junctor_rendezvous_connections 2",
                     'junctor_channel_rungs_total{rung="p2p",state="carrying"} 1'):
            self.assertIn(line + "\n", metrics)
        listed = subprocess.run(
            [os.path.join(BUILD, "orchestrator", "junctor"), "channels", session, "--data-dir",
             self.junctor.data_dir], env={**os.environ, **environment()}, capture_output=True,
            text=True, timeout=30, check=True).stdout
        self.assertIn("p2p carrying after 22 ms: both let probes in", listed)
        bob.send(type="bye", session=session)
        self.assertEqual(alice.expect("bye")["reason"], "callee-hangup")
        self.assertEqual(self.junctor.get(f"channels/{session}")["reason"], "callee-hangup")
        for secret in (*self.tokens.values(), alice.welcome["resume"]):
            self.assertNotIn(secret, self.junctor.log())

    def test_under_tls_with_a_token_in_the_url(self):
        secure = free_port()
        self.serve(flags=["--https", f"{HOST}:{secure}"])
        own = os.path.join(self.junctor.data_dir, "tls-cert.pem")
        alice = self.start(Rendezvous(secure, self.tokens["alice"], trust=own))
        bob = self.start(WebSocket(secure, f"{PATH}?token={self.tokens['bob']}", PROTOCOL, trust=own))
        bob.send(type="hello", version=1, role="client")
        self.assertEqual(bob.expect("welcome")["account"], "bob")
        session = self.join(alice, bob)
        self.junctor.request("DELETE", f"channels/{session}")
        self.assertEqual(alice.expect("bye")["reason"], "admin")

    def test_who_is_refused_before_there_is_a_websocket(self):
        self.serve()
        right = {"Authorization": f"Bearer {self.tokens['alice']}"}
        push_only = self.junctor.post("accounts/alice/tokens", {"rights": ["push"]})["token"]
        for status, protocol, headers in (
                (401, PROTOCOL, {}),
                (401, PROTOCOL, {"Authorization": "Bearer x.y.z"}),
                (401, PROTOCOL, {"Authorization": f"Bearer {push_only}"}),
                (401, PROTOCOL, {"Authorization": f"Bearer {self.junctor._admin_token()}"}),
                (400, None, right),
                (400, "junctor.rendezvous.2", right),
                (403, PROTOCOL, {**right, "Origin": "https://evil.example"}),
                (403, PROTOCOL, {**right, "Origin": "null"})):
            with self.subTest(status=status, protocol=protocol, headers=list(headers)):
                with self.assertRaises(Refused) as refused:
                    WebSocket(self.port, PATH, protocol, headers)
                self.assertEqual(refused.exception.status, status)
        own = {**right, "Origin": f"http://{HOST}:{self.port}"}
        self.start(WebSocket(self.port, PATH, PROTOCOL, own))
        self.assertIn("both rights", self.junctor.log())

    def test_a_connection_is_resumed(self):
        self.serve()
        alice, bob = self.client("alice"), self.client("bob")
        session = self.join(alice, bob)
        alice.stop()
        bob.send(type="signal", session=session, data={"n": 1})
        back = self.client("alice", hello={"resume": alice.welcome["resume"], "got": alice.got})
        self.assertTrue(back.welcome["resumed"])
        self.assertEqual(back.expect("signal")["data"], {"n": 1})

    def test_bad_frames_part_only_who_sent_them(self):
        self.serve()
        alice, bob = self.client("alice"), self.client("bob")
        session = self.join(alice, bob)
        for name, code, frames in (
                ("too large", 1009, [(TEXT, b"x" * 20000, True, True)]),
                ("far too large", None, [(TEXT, b"x" * 200000, True, True)]),
                ("without a mask", 1002, [(TEXT, b"{}", True, False)]),
                ("no such kind", None, [(11, b"x", True, True)]),
                ("a long ping", None, [(PING, b"x" * 200, True, True)]),
                ("no UTF-8", 1007, [(TEXT, b"\xff\xfe", True, True)]),
                ("many pieces", None, [(TEXT, b"x" * 9000, False, True)] +
                 [(0, b"x" * 9000, False, True)] * 10),
                ("wrong ones", 1008, [(TEXT, b"[]", True, True)] * 33),
                ("binary ones", 1008, [(BINARY, b"{}", True, True)] * 33),
                ("no hello", 1008, "no hello")):
            with self.subTest(name):
                carol = self.client("carol", hello=frames != "no hello")
                try:
                    if frames == "no hello":
                        carol.send(type="open", ref="1", to="alice")
                    else:
                        for kind, payload, final, masked in frames:
                            carol.send_frame(kind, payload, final, masked)
                except OSError:
                    pass
                closed = carol.expect_close()
                if code:
                    self.assertEqual(closed.code, code, closed.reason)
                carol.stop()
        wait_until(lambda: "junctor_rendezvous_connections 2\n" in self.junctor.get("/metrics"), 20,
                   "the connections of who was parted are gone")
        alice.send(type="signal", session=session, data={"n": 1})
        self.assertEqual(bob.expect("signal")["data"], {"n": 1})
        self.assertNotIn("CRITICAL", self.junctor.log())

    def test_many_come_and_go(self):
        self.serve()
        descriptors = f"/proc/{self.junctor.pid}/fd"
        self.client("alice").stop()
        before = len(os.listdir(descriptors))
        for _ in range(300):  # more than the HTTP side takes at once
            self.client("alice").stop()
        wait_until(lambda: len(os.listdir(descriptors)) <= before + 2, 20, "no descriptor is left")
        wait_until(lambda: "junctor_rendezvous_connections 0\n" in self.junctor.get("/metrics"), 20,
                   "no connection is left")

    def test_an_account_has_so_many(self):
        self.serve("[rendezvous]\nconnections-per-account = 2\n")
        first, _ = self.client("alice"), self.client("alice")
        third = self.client("alice", hello=False)
        closed = third.expect_close()
        self.assertEqual(closed.code, 1008)
        self.assertIn("2 connections", closed.reason)
        first.stop()

        def again():
            try:
                return self.client("alice")
            except Closed:
                return None
        wait_until(again, 20, "room for another")

    def test_revoked_tokens_end_what_they_opened(self):
        self.serve()
        alice, bob = self.client("alice"), self.client("bob")
        self.join(alice, bob)
        time.sleep(1.1)  # a token of the second in which they are revoked would be void, too
        self.junctor.request("DELETE", "accounts/alice/tokens")
        self.assertEqual(bob.expect("bye")["reason"], "admin")
        self.assertEqual(alice.expect_close().code, 1008)
        with self.assertRaises(Refused):
            self.client("alice")

    def test_a_revoked_token_ends_what_it_opened(self):
        self.serve()
        for name, revoke in (
                ("over HTTP", lambda id: self.junctor.request("DELETE", f"accounts/alice/tokens/{id}")),
                ("on the command line", lambda id: subprocess.run(
                    [os.path.join(BUILD, "orchestrator", "junctor"), "account", "revoke", "alice",
                     "--id", id, "--data-dir", self.junctor.data_dir],
                    env={**os.environ, **environment()}, capture_output=True, timeout=30,
                    check=True))):
            with self.subTest(name):
                made = self.junctor.post("accounts/alice/tokens", {})
                bob, other = self.client("bob"), self.client("alice")
                kept = self.join(other, bob)
                alice = self.start(Rendezvous(self.port, made["token"]))
                session = self.join(alice, bob)
                revoke(made["id"])
                bye = bob.expect("bye")
                self.assertEqual((bye["session"], bye["reason"]), (session, "admin"))
                closed = alice.expect_close()
                self.assertEqual((closed.code, closed.reason), (1008, "The token was revoked."))
                with self.assertRaises(Refused):
                    Rendezvous(self.port, made["token"])
                self.assertEqual(self.junctor.get(f"channels/{kept}")["state"], "answered")
                other.send(type="open", ref="2", to="bob")
                other.expect("session")
                bob.stop()
                other.stop()

    def test_the_server_says_goodbye(self):
        self.serve()
        alice, bob = self.client("alice"), self.client("bob")
        self.join(alice, bob)
        self.junctor.process.send_signal(signal.SIGTERM)
        self.assertEqual(bob.expect("bye")["reason"], "shutdown")
        self.assertEqual(alice.expect_close().code, 1001)
        self.assertEqual(self.junctor.process.wait(20), 0)
