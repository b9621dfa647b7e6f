# What is measured by bench/ladder, and its goals. SPDX-License-Identifier: LGPL-2.1-or-later
import dataclasses
from collections.abc import Callable

from . import channels, phones


@dataclasses.dataclass(frozen=True)
class Way:
    name: str
    left: str                 # type of access, of natlab.TYPES
    right: str
    rung: str                 # that is to carry
    measure: Callable         # of `channels` or `phones`
    more: dict = dataclasses.field(default_factory=dict)    # for that
    # ms until media, from the round trip in ms and the share that is lost; None: no goal is stated.
    goal: Callable = lambda round_trip, loss: None


def direct(round_trip, loss):
    return None if loss else 1.5 * round_trip + 40


def node(_, __):
    return 500


def relay(_, __):
    return 1500


WORST = 3000              # ms until media, of any call

GOALS = ("goals for media: directly where both filter 1.5 round trips + 40 ms, without loss; over a "
         f"node 500 ms; over a relay 1500 ms; nothing above {WORST / 1000:g} s")

WAYS = (
    Way("direct", "port-restricted", "port-restricted", "p2p", channels.measure, {"rungs": "p2p"},
        direct),
    Way("predicted", "sequential", "port-restricted", "p2p", channels.measure, {"rungs": "p2p"}),
    Way("ice", "port-restricted", "port-restricted", "p2p", channels.measure, {"ice": True}),
    Way("relay", "symmetric", "symmetric", "relay", channels.measure, {"rungs": "p2p,relay"}, relay),
    Way("phones-direct", "port-restricted", "port-restricted", "p2p", phones.measure),
    Way("phones-node", "symmetric", "symmetric", "sfu", phones.measure, {"node": True}, node),
    Way("phones-relay", "symmetric", "symmetric", "relay", phones.measure, {"relay": True}, relay),
)
