# A node that takes no work, whatever it offers. SPDX-License-Identifier: LGPL-2.1-or-later
"""`refusingnode.py NAME ADDRESS PORT TOKEN_FILE CERTIFICATE` is a node at no distance from any STUN server
of the rendezvous at ADDRESS:PORT, so that it is the first to be asked; prints a line for each `serve`
that it refuses."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support.websocket import Rendezvous  # noqa: E402

PROGRAM = os.path.abspath(__file__)
REASON = "its owner needs it"


def main(name, address, port, token_file, certificate):
    with open(token_file, encoding="ascii") as file:
        token = file.read().strip()
    server = Rendezvous(int(port), token, hello=False, trust=certificate, host=address, guard=None)
    server.send(type="hello", version=1, role="node", agent="refusing-node",
                node={"name": name, "region": "", "legs": 100, "price": 0})
    regions = server.expect("welcome")["stun"]      # without regions each server is one
    server.send(type="moved", regions=[{"name": each, "round_trip_ms": 0} for each in regions])
    while True:
        session = server.expect("serve")["session"]
        server.send(type="refuse", session=session, reason=REASON)
        print(f"refused {session}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
