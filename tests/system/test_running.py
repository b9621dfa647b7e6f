# What happens to a server beside its calls: files that change, signals.
# SPDX-License-Identifier: LGPL-2.1-or-later
import mmap
import os
import signal
import socket
import subprocess
import threading
import unittest

from support.case import SystemTest
from support.junctor import BUILD, Junctor, environment
from support.ports import HOST
from support.process import Process, wait_until


class AServerThatRuns(SystemTest):
    def known(self, name):
        return name in [account["name"] for account in
                        self.junctor.get("accounts")["accounts"]]

    def test_an_account_that_is_added_while_it_starts_is_known(self):
        added = []

        def add():
            book = self.workspace.file("junctor", "accounts.json")
            wait_until(lambda: os.path.exists(book), 20, "the accounts' file", every=0.001)
            process = Process("junctor account", [
                os.path.join(BUILD, "orchestrator", "junctor"), "account", "add", "early",
                "--data-dir", os.path.dirname(book)], self.workspace.file("add.log"),
                env=environment())
            added.append(process.wait(20))

        adding = threading.Thread(target=add)
        adding.start()
        self.junctor = self.start(Junctor(self.workspace))
        adding.join()
        self.assertEqual(added, [0])
        wait_until(lambda: self.known("early"), 10, "the server to know the account")

    def test_reload_keeps_it_running(self):
        self.junctor = self.start(Junctor(self.workspace))
        self.junctor.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "SIGHUP" in self.junctor.log(), 10, "the log to have it")
        self.assertFalse(self.known("later"))
        self.assertEqual(self.junctor.command("account", "add", "later")[0], 0)
        wait_until(lambda: self.known("later"), 10, "the server to know the account")

    def test_reload_reads_the_accounts(self):
        """Also what the kernel tells nobody of: what is written by way of memory, until it is closed."""
        self.junctor = self.start(Junctor(self.workspace))
        self.assertEqual(self.junctor.command("account", "add", "before")[0], 0)
        wait_until(lambda: self.known("before"), 10, "the server to know the account")
        with open(os.path.join(self.junctor.data_dir, "accounts.json"), "r+b") as file, \
                mmap.mmap(file.fileno(), 0) as accounts:
            at = accounts.find(b'"before"')
            accounts[at:at + 8] = b'"behind"'
            accounts.flush()
            self.assertTrue(self.known("before"))
            self.junctor.process.send_signal(signal.SIGHUP)
            wait_until(lambda: self.known("behind"), 10, "the server to know the other name")


class ACallByTheCommandLine(SystemTest):
    def test_a_server_that_ends_is_told_as_the_calls_end(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind((HOST, 0))
            self.junctor = self.start(Junctor(self.workspace,
                                              '[sip]\nallow = ["sip:*@127.0.0.1:*"]\n'))
            self.junctor.account("alice")
            calling = Process("junctor call", [
                os.path.join(BUILD, "orchestrator", "junctor"), "call", "alice",
                f"sip:x@{HOST}:{silent.getsockname()[1]}", "--data-dir", self.junctor.data_dir],
                self.workspace.file("call.log"), env=environment())
            self.addCleanup(calling.stop)
            identifier = self.junctor.find_call("alice")
            self.junctor.stop()
            self.assertNotEqual(calling.wait(20), 0)
        said = calling.log()
        if "shutting down" not in said:  # it asks now and then, and may have asked in time
            self.assertIn("does not answer any more, and a call ends with it", said)
            self.assertIn(f"`junctor calls {identifier}`", said)


class WhatTheConfigurationNames(SystemTest):
    def test_what_is_not_there_is_warned_of(self):
        self.junctor = self.start(Junctor(
            self.workspace,
            '[tls]\ncertificate = "/nowhere/c.pem"\nkey = "/nowhere/k.pem"\n'
            f'[[sip.trunks]]\nname = "carrier"\nuri = "sip:{HOST}:9"\nuser = "u"\nregister = false\n'
            'accounts = ["*", "nobody"]\n'))
        log = self.junctor.log()
        self.assertRegex(log, "warning .*/nowhere/c.pem.*; fix: name another in tls.certificate")
        self.assertIn("the account nobody, which the trunk carrier names, does not exist; fix: "
                      "junctor account add nobody", log)

    def test_a_media_address_of_another_machine_ends_the_start(self):
        config = self.workspace.write("there.toml", '[sip]\nmedia-address = "198.51.100.1"\n', 0o600)
        done = subprocess.run(
            [os.path.join(BUILD, "orchestrator", "junctor"), "serve", "--config", config,
             "--data-dir", self.workspace.file("there"), "--rtmp", f"{HOST}:0", "--sip", f"{HOST}:0",
             "--http=off", "--stun=off"],
            capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, **environment()})
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("sip.media-address: cannot bind 198.51.100.1", done.stderr)
        self.assertIn("name an address of this machine", done.stderr)


if __name__ == "__main__":
    unittest.main()
