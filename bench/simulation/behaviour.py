# Who reaches whom, as tables. SPDX-License-Identifier: LGPL-2.1-or-later
"""The laboratory's theory (tests/system/natlab/theory.py), looked up for each pair of its types once.
A device's class is its type of IPv4 access and whether it has IPv6 too."""

import numpy as np

from natlab.nat import INDEPENDENT, TYPES
from natlab.theory import Access, direct

KINDS = tuple(TYPES)
NONE, MANY_SOCKETS, PREDICTION, PLAIN = range(4)
WAYS = {None: NONE, "many_sockets": MANY_SOCKETS, "prediction": PREDICTION, "plain": PLAIN}

NO_UDP = tuple(kind for kind in KINDS if not Access.of(kind).udp)
MAPS_BY_PEER = tuple(kind for kind in KINDS if Access.of(kind).mapping != INDEPENDENT)
# They let a probe in from a port that they have never sent to.
FILTERS_LITTLE = tuple(kind for kind in KINDS if kind not in NO_UDP + MAPS_BY_PEER
                       and Access.of(kind).filtering != "address-and-port-dependent")


def class_of(kind, ipv6):
    """Works for numbers and for arrays; `kind` is an index of KINDS."""
    return kind * 2 + ipv6


def _kind6(kind):
    """What stands before the device's IPv6 address: a stateful firewall (RFC 6092), not a NAT."""
    if kind in NO_UDP:
        return kind
    return kind if kind == "open" else "firewall"


def ways4():
    """The mildest way between two types over IPv4."""
    return np.array([[WAYS[direct(one, other).best] for other in KINDS] for one in KINDS], np.int8)


def ways6():
    """The same over IPv6, where both have it."""
    return np.array([[WAYS[direct(_kind6(one), _kind6(other)).best] for other in KINDS]
                     for one in KINDS], np.int8)


def _by_class(four, six):
    result = np.repeat(np.repeat(four, 2, 0), 2, 1)
    result[1::2, 1::2] = np.maximum(four, six)
    return result


def ways():
    """[class, class] → NONE … PLAIN."""
    return _by_class(ways4(), ways6())


def ways_behind_one_nat():
    """The same for two behind one NAT without hairpinning: IPv6 alone."""
    return _by_class(np.zeros((len(KINDS),) * 2, np.int8), ways6())


def serves():
    """[class of a node, class of a client]: whether the node can be punched plainly, as
    `natlab.node_serves` has it."""
    return ways() == PLAIN
