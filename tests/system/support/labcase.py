# What tests in a laboratory of NATs have in common. SPDX-License-Identifier: LGPL-2.1-or-later
from natlab import Lab, Unavailable

from .case import SystemTest


class InLaboratory(SystemTest):
    """No tests of its own; skipped where the machine cannot have a laboratory. `self.lab` is one of
    its own for each test, with IPv6 where `ipv6` says so."""

    ipv6 = False

    def setUp(self):
        super().setUp()
        try:
            self.lab = self.start(Lab(self.workspace, self.ipv6))
        except Unavailable as reason:
            self.skipTest(f"no laboratory on this machine: {reason}")
