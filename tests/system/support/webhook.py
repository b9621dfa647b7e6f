# An operator's own identity system. SPDX-License-Identifier: LGPL-2.1-or-later
"""An HTTP server that decides the checks of RTMP terminals as the test says."""

import http.server
import json
import ssl
import threading

from .ports import HOST

PATH = "/check"


class Webhook:
    """`decide(question)` returns (status, body): a dict becomes JSON, a str plain text. A function
    `misbehave(handler)` in its place does what it likes with the connection."""

    def __init__(self, decide=None, misbehave=None, certificate=None):
        """`certificate`: PEM file of key and certificate, for HTTPS."""
        self.decide = decide or (lambda question: (204, None))
        self.misbehave = misbehave
        self.questions, self.paths, self.headers = [], [], []
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._connections = set()
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                with hook._lock:
                    hook._connections.add(self.connection)

            def finish(self):
                with hook._lock:
                    hook._connections.discard(self.connection)
                try:
                    super().finish()
                except OSError:
                    pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with hook._lock:
                    hook.questions.append(json.loads(body))
                    hook.paths.append(self.path)
                    hook.headers.append(dict(self.headers))
                try:
                    if hook.misbehave:
                        hook.misbehave(self)
                        return
                    hook.answer(self, json.loads(body))
                except OSError:  # the asker has gone
                    self.close_connection = True

            do_GET = do_POST

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass

        self._server = Server((HOST, 0), Handler)
        self.port = self._server.server_address[1]
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if certificate else 'http'}://{HOST}:{self.port}{PATH}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05},
                         daemon=True).start()

    def answer(self, handler, question):
        status, body = self.decide(question)
        kind = "application/json" if isinstance(body, dict) else "text/plain"
        data = b"" if body is None else \
            (json.dumps(body) if isinstance(body, dict) else body).encode()
        handler.send_response(status)
        if data:
            handler.send_header("Content-Type", kind)
        if status != 204:
            handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def stages(self):
        with self._lock:
            return [question["stage"] for question in self.questions]

    def connections(self):
        """How many are open."""
        with self._lock:
            return len(self._connections)

    def stop(self):
        """Gone, as if its machine were switched off; what is open is cut."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        with self._lock:
            for connection in self._connections:
                try:
                    connection.shutdown(2)
                except OSError:
                    pass
