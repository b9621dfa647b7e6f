# SIP said by hand: requests that nobody should send, and a phone that lies in its answer.
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Messages are bytes; lines end in CRLF. Nothing here checks anything."""

import hashlib
import itertools
import os
import re
import socket
import threading
import time

from .ports import HOST

_numbers = itertools.count(1)
_ROLE = os.urandom(3).hex()


def crlf(text):
    return text.replace("\n", "\r\n").encode("utf-8", "surrogateescape")


def status_of(message):
    """Of a response, else 0."""
    found = re.match(rb"SIP/2\.0 (\d{3})", message)
    return int(found.group(1)) if found else 0


def header_of(message, name):
    """The first of that name, or an empty text."""
    found = re.search(rf"^{name}[ \t]*:[ \t]*(.*?)\r?$".encode(), message, re.I | re.M)
    return found.group(1).decode("utf-8", "replace") if found else ""


class SipPeer:
    """A UDP socket that talks to one server."""

    def __init__(self, port, source=HOST):
        self.server = (HOST, port)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind((source, 0))
        self.source, self.port = self.socket.getsockname()
        self.name = f"{self.source}:{self.port}"

    def request(self, method="OPTIONS", uri=None, *, contact=None, more="", body=b"",
                call_id=None, to=None, from_=None, cseq=1, via=None):
        """A well-formed request but for what is asked; returns (call id, bytes). `more` are whole
        header lines; `via` replaces the Via."""
        number = next(_numbers)
        call_id = call_id or f"h{_ROLE}-{number}"
        via = via or f"SIP/2.0/UDP {self.name};branch=z9hG4bK{_ROLE}{number}"
        lines = [f"{method} {uri or f'sip:{HOST}'} SIP/2.0", f"Via: {via}",
                 f"From: {from_ or f'<sip:h@{HOST}>;tag={number}'}", f"To: {to or f'<sip:x@{HOST}>'}",
                 f"Call-ID: {call_id}", f"CSeq: {cseq} {method}", "Max-Forwards: 70"]
        if contact:
            lines.append(f"Contact: {contact}")
        head = "\n".join(lines) + "\n" + more + f"Content-Length: {len(body)}\n\n"
        return call_id, crlf(head) + body

    def send(self, data):
        try:
            self.socket.sendto(data, self.server)
        except OSError:
            pass  # longer than a datagram can be

    def answers(self, seconds, enough=None):
        """What comes within that time, or until `enough(list)`."""
        heard = []
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not (enough and enough(heard)):
            self.socket.settimeout(left)
            try:
                heard.append(self.socket.recv(65536))
            except TimeoutError:
                break
        return heard

    def final(self, call_id, seconds=2.0):
        """The status of the first final response to this Call-ID; 0 if there is none."""
        def done(heard):
            return any(status_of(m) >= 200 and header_of(m, "Call-ID") == call_id for m in heard)
        for message in self.answers(seconds, done):
            if status_of(message) >= 200 and header_of(message, "Call-ID") == call_id:
                self.last = message
                return status_of(message)
        return 0

    def ask(self, seconds=2.0, **more):
        return self.exchange(*self.request(**more), seconds)

    def exchange(self, call_id, data, seconds):
        """Sends until there is a final response, each half second as RFC 3261 has it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.send(data)
            status = self.final(call_id, min(0.5, max(0.01, end - time.monotonic())))
            if status:
                return status
        return 0

    def acknowledge(self, invite, response):
        """The ACK of a refused INVITE: on its own transaction (RFC 3261, 17.1.1.3)."""
        via, from_ = header_of(invite, "Via"), header_of(invite, "From")
        uri = invite.split(b" ", 2)[1].decode()
        self.send(crlf(f"ACK {uri} SIP/2.0\nVia: {via}\nFrom: {from_}\n"
                       f"To: {header_of(response, 'To')}\nCall-ID: {header_of(invite, 'Call-ID')}\n"
                       "CSeq: 1 ACK\nMax-Forwards: 70\nContent-Length: 0\n\n"))

    def register(self, name, password, contact=None):
        """REGISTER with its digest; returns the final status."""
        call_id = f"reg{_ROLE}-{next(_numbers)}"
        domain = f"sip:{HOST}"
        own = {"method": "REGISTER", "uri": domain, "to": f"<sip:{name}@{HOST}>",
               "from_": f"<sip:{name}@{HOST}>;tag=r", "call_id": call_id,
               "contact": contact or f"<sip:{name}@{self.name}>"}
        status = self.exchange(*self.request(**own), 3.0)
        if status != 401:
            return status
        challenge = dict(re.findall(r'(\w+)="?([^",]+)"?', header_of(self.last, "WWW-Authenticate")))
        algorithm = challenge.get("algorithm", "MD5")

        def h(text):
            return hashlib.new("sha256" if "256" in algorithm else "md5", text.encode()).hexdigest()
        ha1 = h(f"{name}:{challenge['realm']}:{password}")
        response = h(f"{ha1}:{challenge['nonce']}:00000001:c:auth:" + h(f"REGISTER:{domain}"))
        line = (f'Authorization: Digest username="{name}", realm="{challenge["realm"]}", '
                f'nonce="{challenge["nonce"]}", uri="{domain}", response="{response}", qop=auth, '
                f'nc=00000001, cnonce="c", algorithm={algorithm}\n')
        return self.exchange(*self.request(**own, cseq=2, more=line), 5.0)

    def close(self):
        self.socket.close()


class LyingPhone:
    """Answers an INVITE with whatever `answer(invite)` makes (bytes, or a list of them), and a BYE
    with 200. What it hears is kept in `heard`."""

    def __init__(self, answer):
        self._answer = answer
        self.heard = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def uri(self):
        return f"sip:liar@{HOST}:{self.port}"

    def methods(self):
        return [m.split(b" ", 1)[0].decode("ascii", "replace") for m in list(self.heard)]

    def _run(self):
        answered = set()
        while True:
            try:
                data, source = self._socket.recvfrom(65536)
            except OSError:
                return
            if not data.strip():
                continue
            self.heard.append(data)
            out = []
            if data.startswith(b"INVITE") and header_of(data, "CSeq") not in answered:
                answered.add(header_of(data, "CSeq"))
                made = self._answer(data)
                out = made if isinstance(made, list) else [made]
            elif data.startswith((b"BYE", b"CANCEL")):
                out = [response(data, "200 OK", "")]
            for each in out:
                try:
                    self._socket.sendto(each, source)
                except OSError:
                    pass

    def close(self):
        self._socket.close()


def response(request, status, body, *, contact=None, more="", drop=(), length=None):
    """Of a request, with the headers that belong together but for those in `drop`."""
    body = body if isinstance(body, bytes) else crlf(body)
    vias = re.findall(rb"^Via:.*?\r$", request, re.I | re.M)
    lines = [f"SIP/2.0 {status}"]
    if "Via" not in drop:
        lines += [via.decode().strip() for via in vias]
    for name in ("From", "To", "Call-ID", "CSeq"):
        if name not in drop:
            value = header_of(request, name)
            lines.append(f"{name}: {value}" + (";tag=liar" if name == "To" and "tag=" not in value
                                               else ""))
    if contact:
        lines.append(f"Contact: {contact}")
    if body:
        lines.append("Content-Type: application/sdp")
    head = "\n".join(lines) + "\n" + more
    head += f"Content-Length: {len(body) if length is None else length}\n\n"
    return crlf(head) + body
