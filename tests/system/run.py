#!/usr/bin/python3
# Runs one file of system tests and reports in TAP. SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: run.py FILE [NAME ...]   NAME: Class or Class.test"""

import importlib.util
import os
import re
import sys
import time
import traceback
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


class Tap(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.number = 0
        self.began = 0.0

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        print(f"# {name_of(test)} …", flush=True)

    def _line(self, ok, test, note=""):
        self.number += 1
        took = time.monotonic() - self.began
        print(f"{'ok' if ok else 'not ok'} {self.number} - {name_of(test)}{note}")
        print(f"# {took:.1f} s", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self._line(True, test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._line(True, test, f" # SKIP {reason}")

    def _problem(self, test, error):
        self._line(False, test)
        for line in "".join(traceback.format_exception(*error)).splitlines():
            print(f"# {printable(line)}")
        sys.stdout.flush()

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._problem(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self._problem(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._problem(subtest, err)


def printable(line):
    """A line of anybody's log without its colours: XML cannot hold what they are made of."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", re.sub(r"\x1b\[[0-9;]*m", "", line))


def name_of(test):
    # TAP gives `#` a meaning of its own.
    return str(test.id()).replace("system_tests.", "").replace("#", "")


def main():
    path = sys.argv[1]
    spec = importlib.util.spec_from_file_location("system_tests", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["system_tests"] = module
    spec.loader.exec_module(module)
    loader = unittest.TestLoader()
    if len(sys.argv) > 2:
        suite = loader.loadTestsFromNames(sys.argv[2:], module)
    else:
        suite = loader.loadTestsFromModule(module)
    result = Tap()
    suite.run(result)
    print(f"1..{result.number}", flush=True)
    return 0 if result.wasSuccessful() and result.number else 1


sys.exit(main())
