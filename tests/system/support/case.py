# What the system tests have in common. SPDX-License-Identifier: LGPL-2.1-or-later
"""A test case with a workspace; everything it starts is stopped, in the reverse order."""

import datetime
import os
import random
import unittest

from .process import Workspace

FULL = os.environ.get("JUNCTOR_FULL") == "1"

# Picks what is tried of what is too much for each day: others tomorrow.
SEED = os.environ.get("JUNCTOR_SEED") or datetime.date.today().isoformat()


def only_full(why):
    """A decorator for what is too long for each day. scripts/count_cases knows these words: what is
    skipped for another reason was to be run."""
    return unittest.skipUnless(FULL, f"only with --full: {why}")


class SystemTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.workspace = Workspace()
        self.addCleanup(self._finish)

    def _finish(self):
        result = self._outcome.result
        failed = any(getattr(case, "test_case", case) is self
                     for case, _ in result.failures + result.errors)
        if failed:
            self.workspace.keep = True
            print(f"# files and logs of {self.id()}: {self.workspace.path}", flush=True)
        self.workspace.close()

    def chance(self):
        """What picks a sample for this test, the same with the same seed, which is printed."""
        print(f"# JUNCTOR_SEED={SEED} picks the same again", flush=True)
        return random.Random(f"{SEED} {self.id()}")

    def start(self, thing):
        """Remembers to stop `thing`; returns it."""
        self.addCleanup(thing.stop)
        return thing
