# The whole product, called again and again. SPDX-License-Identifier: LGPL-2.1-or-later
"""`junctor serve`, `junctor node` or a relay where the way wants one, and two `junctor phone`s. Time runs
from when the caller has the answer: both know each other's candidates then, but not a node's or a
relay's, which have to be asked for at the server."""

import contextlib

from natlab import Lab
from support.labserver import LabServer
from support.process import Workspace

from .conditions import sites

PATIENCE = 30


class Phones(LabServer):
    """One laboratory."""

    def __init__(self, stack, way, round_trip, loss):
        self.workspace, self._stack = Workspace("junctor-ladder-"), stack
        stack.callback(self.workspace.close)
        self.lab = self.start(Lab(self.workspace))
        self.serve(*(("--turn", "auto") if way.more.get("relay") else ()))
        if way.more.get("node"):
            self.node("n1")
        self._left, right = sites(self.lab, way, round_trip, loss)
        self._bob = self.phone("bob", right)
        self._bob.wait("nat", PATIENCE)

    def addCleanup(self, function):  # as a test has it
        self._stack.callback(function)

    def start(self, thing):
        self._stack.callback(thing.stop)
        return thing

    def call(self, number):
        before = len(self._bob.events())
        alice = self.phone("alice", self._left, "--call", "bob", log=f"alice-{number}")
        try:
            return self._figures(((alice, 0), (self._bob, before)))
        except AssertionError as error:
            return {"why": f"{error}\n{self._bob.said()}"}
        finally:
            alice.stop()
            if any(each["event"] == "answered" for each in self._bob.events()[before:]):
                self._bob.wait("ended", PATIENCE, after=before)

    def _figures(self, ends):
        pictures = [phone.wait("picture", PATIENCE, after=before) for phone, before in ends]
        ups = [phone.wait("channel", after=before, state="up") for phone, before in ends]
        began = ends[0][0].events("answered")[0]["at"]
        return {"rungs": [each["rung"] for each in ups],
                "up": max(each["at"] - began for each in ups) * 1000,
                "media": max(each["at"] - began for each in pictures) * 1000}


def measure(way, round_trip, loss, count, say):
    results = []
    with contextlib.ExitStack() as stack:
        phones = Phones(stack, way, round_trip, loss)
        for number in range(count):
            results.append(phones.call(number))
            say(".")
    return results
