# G9, HTTPS: the REST API under TLS. SPDX-License-Identifier: LGPL-2.1-or-later
import http.client
import json
import os
import socket
import ssl
import subprocess
import urllib.error
import urllib.request

from support.case import SystemTest
from support.junctor import BUILD, Junctor, environment
from support.ports import HOST, free_port, is_closed
from support.process import wait_until
from support.tls import self_signed, shown


class G9_Https(SystemTest):
    def serve(self, config="", flags=()):
        self.port = free_port()
        self.junctor = self.start(Junctor(self.workspace, config,
                                          ["--https", f"{HOST}:{self.port}", *flags]))

    def ask(self, path, trust, token=None):
        context = ssl.create_default_context(cafile=trust)
        request = urllib.request.Request(f"https://{HOST}:{self.port}/api/v1/{path}")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=20, context=context) as answer:
            return json.load(answer)

    def test_the_api_under_tls(self):
        self.serve()
        self.assertIn("no client trusts", self.junctor.log())
        own = os.path.join(self.junctor.data_dir, "tls-cert.pem")
        self.assertEqual(self.ask("health", own)["status"], "ok")
        with open(os.path.join(self.junctor.data_dir, "admin-token"), encoding="ascii") as file:
            token = file.read().strip()
        self.assertEqual(self.ask("calls", own, token)["calls"], [])
        for trust, status, says in (((), 1, "--ca FILE.pem"), (("--ca", own), 0, "no call"),
                                    (("--insecure",), 0, "no call")):
            done, said = self.junctor.command("calls", "--url", f"https://{HOST}:{self.port}", *trust)
            self.assertEqual((done, says in said), (status, True), said)
        with self.assertRaises(urllib.error.HTTPError) as refused:
            self.ask("calls", own, "wrong")
        self.assertEqual(refused.exception.code, 401)
        with self.assertRaises(urllib.error.URLError) as stranger:
            self.ask("health", None)
        self.assertIn("certificate", str(stranger.exception).lower())

    def test_who_says_nothing_costs_little_and_shuts_the_door_for_nobody(self):
        self.serve()
        own = os.path.join(self.junctor.data_dir, "tls-cert.pem")

        def megabytes():
            with open(f"/proc/{self.junctor.process.pid}/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
        self.ask("health", own)
        before = megabytes()
        for _ in range(300):
            self.addCleanup(socket.create_connection((HOST, self.port), 20).close)
        wait_until(lambda: f"HTTPS {HOST}: parted" in self.junctor.log(), 20, "a word of it")
        self.assertLess(megabytes() - before, 40)
        other = http.client.HTTPSConnection(
            HOST, self.port, timeout=20, source_address=("127.0.0.2", 0),
            context=ssl.create_default_context(cafile=own))
        self.addCleanup(other.close)
        other.request("GET", "/api/v1/health")
        self.assertEqual(json.load(other.getresponse())["status"], "ok")

    def test_a_client_learns_the_regions_without_a_token(self):
        stun = free_port()
        self.serve(f'[[regions]]\nname = "here"\nstun = "{HOST}:{stun}"\n',
                   ["--stun", f"{HOST}:{stun}"])

        def ask(*arguments):
            return subprocess.run(
                [os.path.join(BUILD, "orchestrator", "junctor"), "nat", *arguments],
                env={**os.environ, **environment(),
                     "JUNCTOR_DATA_DIR": self.workspace.file("nowhere")},
                capture_output=True, text=True, timeout=60, check=False)

        url = ("--url", f"https://{HOST}:{self.port}")
        own = os.path.join(self.junctor.data_dir, "tls-cert.pem")
        for trust in (("--ca", own), ("--insecure",)):
            done = ask(*url, *trust, "--json")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual([each["name"] for each in json.loads(done.stdout)["servers"]],
                             ["here"])
        for arguments, status, says in (
                (url, 1, "--ca FILE.pem"), ((*url, "--ca", "/none"), 2, "/none"),
                ((), 3, "or its URL with --url; or name a STUN server with --stun")):
            done = ask(*arguments)
            self.assertEqual((done.returncode, says in done.stderr), (status, True), done.stderr)

    def test_nothing_in_clear_and_nothing_old(self):
        self.serve()
        with socket.create_connection((HOST, self.port), 20) as plain:
            plain.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                self.assertNotIn(b"200", plain.recv(4096))
            except ConnectionResetError:
                pass
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("DEFAULT:@SECLEVEL=0")
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection((HOST, self.port), 20) as plain:
            try:
                with old.wrap_socket(plain) as secure:
                    secure.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
                    self.assertEqual(secure.recv(4096), b"")
            except OSError:
                pass
        self.assertEqual(self.junctor.get("health")["status"], "ok")

    def test_clients_that_shake_no_hands_leave_room_for_others(self):
        self.serve()
        own = os.path.join(self.junctor.data_dir, "tls-cert.pem")
        silent = []

        def connect(last):
            made = socket.create_connection((HOST, self.port), 20, (f"127.0.0.{last}", 0))
            self.addCleanup(made.close)
            return made
        for last in range(1, 9):
            # Of one address there is room for 32, in all for 256.
            silent += [connect(last) for _ in range(32)]
        another = connect(9)
        wait_until(lambda: is_closed(another), 20, "whoever comes after them to be parted")
        self.assertEqual(sum(map(is_closed, silent)), 0, "it had to wait for others to be parted")

        def answered():
            try:
                return self.ask("health", own)
            except OSError:
                return None
        # Their handshakes are over after 10 s, by themselves.
        wait_until(answered, 20, "room for others")
        self.assertGreater(sum(map(is_closed, silent)), 0)

    def test_the_certificate_is_renewed_without_a_restart(self):
        certificate, key, first = self_signed(self.workspace.path, "one")
        self.serve(f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n')
        self.assertEqual(shown(self.port), first)
        renewed, new_key, second = self_signed(self.workspace.path, "two")
        os.replace(new_key, key)
        os.replace(renewed, certificate)
        wait_until(lambda: shown(self.port) == second, 20, "the renewed certificate", every=0.3)
        with open(key, "w", encoding="ascii") as file:
            file.write("broken")
        wait_until(lambda: "the old one stays in use for HTTPS" in self.junctor.log(), 20,
                   "the complaint about the broken key", every=0.3)
        self.assertEqual(shown(self.port), second)

    def test_a_certificate_that_cannot_be_used_stops_the_start(self):
        result = subprocess.run(
            [os.path.join(BUILD, "orchestrator", "junctor"), "serve", "--data-dir", self.workspace.path, "--rtmp", "off", "--sip", "off", "--http",
             "off", "--stun", "off", "--https", f"{HOST}:0", "--config",
             self.workspace.write("bad.toml", '[tls]\ncertificate = "/nowhere.pem"\n'
                                  'key = "/nowhere.key"\n')],
            env={**os.environ, **environment()}, capture_output=True, text=True, timeout=30,
            check=False)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("HTTPS (--https): the certificate /nowhere.pem", result.stderr)
