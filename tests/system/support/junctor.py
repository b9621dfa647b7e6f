# The program under test: started, asked and stopped. SPDX-License-Identifier: LGPL-2.1-or-later
"""One `junctor serve` with a data directory and ports of its own, and its HTTP API."""

import json
import os
import signal
import time
import urllib.error
import urllib.parse
import urllib.request

from .ports import HOST, free_port, free_range
from .process import Process, wait_until

SOURCE = os.environ.get("JUNCTOR_SOURCE") or os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.environ.get("JUNCTOR_BUILD") or os.path.join(SOURCE, "build")


def environment():
    """What programs need to find the freshly built plugin and templates."""
    return {
        "PATH": os.path.join(BUILD, "orchestrator") + os.pathsep + os.environ.get("PATH", ""),
        "GST_PLUGIN_PATH": os.path.join(BUILD, "plugins"),
        "GST_REGISTRY": os.environ.get("GST_REGISTRY", os.path.join(BUILD, "registry.bin")),
        "JUNCTOR_PIPELINES": os.path.join(SOURCE, "pipelines"),
    }


class ApiError(Exception):
    """An answer other than 2xx: `status` and the problem document, if it was one."""

    def __init__(self, status, body):
        super().__init__(f"HTTP {status}: {body}")
        self.status, self.body = status, body


class Account:
    """A name, its SIP password and its RTMP token."""

    def __init__(self, junctor, name, password, token):
        self.junctor, self.name, self.password, self.token = junctor, name, password, token

    def push_url(self, to=None, token=None):
        query = "?to=" + urllib.parse.quote(to, safe="") if to else ""
        return f"{self.junctor.rtmp_base}?token={token or self.token}/{self.name}{query}"

    def pull_url(self, query="", token=None):
        suffix = f"?{query}" if query else ""
        return f"{self.junctor.rtmp_base}?token={token or self.token}/{self.name}{suffix}"


class Junctor:
    """`config` is TOML text; `flags` are more flags of `serve`."""

    def __init__(self, workspace, config="", flags=(), rtp_ports=400, name="junctor", log="debug",
                 environment_extra=None):
        self.workspace = workspace
        self.data_dir = os.path.dirname(workspace.file(name, "x"))
        self.rtmp_port, self.sip_port, self.http_port = free_port(), free_port(), free_port()
        self.stun_port = free_port(2)  # it takes the next one too
        low = free_range(rtp_ports)
        self.rtp_ports = range(low, low + rtp_ports)
        config = f'log = "{log}"\n{config}'
        argv = ["junctor", "serve", "--data-dir", self.data_dir,
                "--config", workspace.write(f"{name}.toml", config, 0o600),
                *([] if "--rtmp" in flags else ["--rtmp", f"{HOST}:{self.rtmp_port}"]),
                "--sip", f"{HOST}:{self.sip_port}",
                "--http", f"{HOST}:{self.http_port}",
                *([] if "--stun" in flags else ["--stun", f"{HOST}:{self.stun_port}"]),
                "--rtp-ports", f"{low}-{low + rtp_ports - 1}", *flags]
        argv[0] = os.path.join(BUILD, "orchestrator", "junctor")
        env = {**environment(), **(environment_extra or {})}
        self.process = Process("junctor", argv, workspace.file(f"{name}.log"), env=env)
        self._token = None
        wait_until(self._healthy, 30, "junctor to be healthy")

    def _healthy(self):
        if not self.process.running():
            raise AssertionError(f"junctor ended with {self.process.returncode}:\n"
                                 f"{self.process.tail()}")
        try:
            return self.get("health")
        except (OSError, ApiError):
            return None

    @property
    def pid(self):
        return self.process.pid

    @property
    def rtmp_base(self):
        return f"rtmp://{HOST}:{self.rtmp_port}/call"

    @property
    def sip_address(self):
        return f"{HOST}:{self.sip_port}"

    def log(self):
        return self.process.log()

    # --- API ---------------------------------------------------------------------------------

    def _admin_token(self):
        if self._token is None:
            path = os.path.join(self.data_dir, "admin-token")
            if os.path.exists(path):
                with open(path, encoding="ascii") as file:
                    self._token = file.read().strip()
        return self._token

    def request(self, method, path, body=None, headers=None, guard=70):
        """The decoded JSON of an answer, or its text; raises ApiError for all but 2xx. `path` is
        below /api/v1/, unless it begins with a slash."""
        full = path if path.startswith("/") else f"/api/v1/{path}"
        request = urllib.request.Request(f"http://{HOST}:{self.http_port}{full}", method=method)
        if self._admin_token():
            request.add_header("Authorization", f"Bearer {self._token}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, data, timeout=guard) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            raise ApiError(error.code, error.read().decode("utf-8", "replace")) from None
        try:
            return json.loads(text)
        except ValueError:
            return text

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, body=None, **more):
        return self.request("POST", path, body if body is not None else {}, **more)

    def delete(self, path):
        return self.request("DELETE", path)

    def account(self, name, **wish):
        """Adds an account, e.g. srtp="require"; returns it with password and token."""
        made = self.post("accounts", {"name": name, **wish})
        return Account(self, name, made["password"], made["token"])

    def token(self, name, **wish):
        """Another token of an account, e.g. rights=["pull"], expires_in=2 (seconds)."""
        return self.post(f"accounts/{name}/tokens", wish)["token"]

    def calls(self):
        """The newest calls, running and ended."""
        return self.get("calls")["calls"]

    def call(self, identifier):
        return self.get(f"calls/{urllib.parse.quote(identifier)}")

    def find_call(self, account, guard=20.0, known=()):
        """Waits for a call of this caller that is not in `known`; returns its id."""
        def look():
            for call in self.calls():
                if call["from"] == account and call["id"] not in known:
                    return call["id"]
            return None
        return wait_until(look, guard, f"a call from {account}", every=0.05)

    def wait_state(self, identifier, state, guard=30.0):
        """Waits for a state of a call; ended counts as every state's end. Returns the call."""
        def look():
            call = self.call(identifier)
            if call["state"] == state:
                return call
            if call["state"] == "ended":
                raise AssertionError(f"the call ended ({call['reason']}: {call['detail']}) instead "
                                     f"of being {state}; log:\n{self.process.tail(60)}")
            return None
        return wait_until(look, guard, f"the call to be {state}", every=0.05)

    def wait_ended(self, identifier, guard=40.0):
        return self.wait_state(identifier, "ended", guard)

    def hangup(self, identifier):
        return self.delete(f"calls/{urllib.parse.quote(identifier)}")

    def registered(self, account, guard=15.0):
        """Waits until a phone of this account is registered."""
        def look():
            return any(entry["name"] == account and entry["registered"]
                       for entry in self.get("accounts")["accounts"])
        return wait_until(look, guard, f"{account} to be registered", every=0.1)

    # --- end ---------------------------------------------------------------------------------

    def stop(self, guard=15.0):
        """Asks it to shut down; raises if it does not do so cleanly."""
        status = self.process.stop(signal.SIGTERM, guard)
        if status != 0:
            raise AssertionError(f"junctor ended with {status}:\n{self.process.tail(60)}")

    def command(self, *arguments, guard=20):
        """Runs `junctor ARGUMENTS` against this data directory; returns (status, output)."""
        log = self.workspace.file(f"command-{time.monotonic_ns()}.log")
        process = Process("junctor " + arguments[0],
                          [os.path.join(BUILD, "orchestrator", "junctor"), *arguments,
                           "--data-dir", self.data_dir], log, env=environment())
        try:
            return process.wait(guard), process.log()
        finally:
            process.stop()
