# A laboratory of networks behind NATs. SPDX-License-Identifier: LGPL-2.1-or-later
"""Hosts, routers and links in namespaces of their own, on one machine, without privileges where the
kernel allows it. See README.md."""

from .lab import Lab, Unavailable
from .nat import TYPES, Nat
from .theory import Verdict, direct, node_serves

__all__ = ["Lab", "Unavailable", "Nat", "TYPES", "Verdict", "direct", "node_serves"]
