# A day of calls, each by the best rung that takes it. SPDX-License-Identifier: LGPL-2.1-or-later
"""First the direct way, for all calls at once: it depends on nobody else. Then, minute by minute, nodes
for those that have none, for nodes come, go and fill up; then the relay."""

import collections
import dataclasses
import itertools

import numpy as np

from . import behaviour
from .assumptions import REGIONS
from .world import Calls, Clients, Nodes, chance, round_trip, through_nodes, through_turn

MINUTES = 1440
RULES = ("nearest", "least-loaded", "cheapest")
PUNCHING = ("plain", "prediction", "many-sockets")
LAN, DIRECT, PREDICTED, GUESSED, NODE, RELAY = range(6)
RUNGS = ("same network", "direct", "direct, ports predicted", "direct, many sockets", "node", "relay")
# Why a call is relayed.
CARRIED, NO_UDP, NO_NODE = range(3)
# Nodes that are compared for each call by measuring: more would change nothing and cost time.
_COMPARED = 1024


class Day:
    """Clients and their calls, with the rung that each call has without nodes. Runs with other nodes
    and other rules share it."""

    def __init__(self, count, mix, assumptions, seed, punching="plain"):
        self.mix, self.seed, self.assumptions, self.punching = mix, seed, assumptions, punching
        self.clients = clients = Clients(count, mix, assumptions, seed)
        self.calls = calls = Calls(clients)
        draw = chance(seed, "channels", mix)
        lets, fails = draw.random(len(calls)), draw.random(len(calls))
        one, other = clients.klass[calls.caller], clients.klass[calls.callee]
        self.way = np.where(calls.one_nat, behaviour.ways_behind_one_nat()[one, other],
                            behaviour.ways()[one, other])
        self.rung = np.full(len(calls), RELAY, np.int8)
        works = fails >= assumptions.field_failure
        self.rung[(self.way == behaviour.PLAIN) & works] = DIRECT
        level = PUNCHING.index(punching)
        # Many sockets reach whatever prediction does, should that fail.
        predicted = (self.way == behaviour.PREDICTION) & (lets < assumptions.prediction_success)
        guessed = ((self.way == behaviour.MANY_SOCKETS) | (self.way == behaviour.PREDICTION)) & \
            (lets < assumptions.many_sockets_success)
        if level >= 2:
            self.rung[guessed & works] = GUESSED
        if level >= 1:
            self.rung[predicted & works] = PREDICTED
        self.rung[calls.lan] = LAN
        self.left = np.flatnonzero(self.rung == RELAY)
        self._sort_out()

    def _sort_out(self):
        """Which classes of nodes serve each call that is left: rows of `masks`, by `pattern`."""
        serves = behaviour.serves()
        classes = len(serves)
        one = self.clients.klass[self.calls.caller[self.left]]
        other = self.clients.klass[self.calls.callee[self.left]]
        both = serves[:, :, None] & serves[:, None, :]   # [node, client, client]
        rows = both.reshape(classes, -1).T
        self.masks, inverse = np.unique(rows, axis=0, return_inverse=True)
        self.pattern = inverse.reshape(-1)[one * classes + other]
        self.reachable = self.masks[self.pattern].any(axis=1)


@dataclasses.dataclass
class Outcome:
    """Arrays are by call, but for those of `nodes`."""

    day: Day
    nodes: Nodes
    rung: np.ndarray
    why: np.ndarray            # CARRIED, NO_UDP or NO_NODE
    node_share: np.ndarray     # of the call's time, on lent nodes
    public_share: np.ndarray   # on public ones
    first_node: np.ndarray     # or −1
    tried: np.ndarray          # nodes
    moves: np.ndarray
    moved: dict                # moves by their reason, and how many of them ended on the relay
    node_gigabytes: np.ndarray
    node_most: np.ndarray      # GB in one day of the owner's
    node_peak: np.ndarray      # calls at once
    online: np.ndarray         # nodes, each minute
    carried: np.ndarray        # calls on nodes, each minute
    carried_kbit: np.ndarray   # what nodes send, each minute


class Run:
    """One day with one set of nodes and one rule. `knowledge` "regions": the server knows each
    device's round trips to the regions' STUN servers, as they are told at the start; `probes` nodes
    that are best by that are measured by the clients. "exact": it knows all round trips. `sparing`:
    before the rule, a node that serves fewer kinds of clients is better, so that those which serve all
    are left for calls that nobody else can take."""

    def __init__(self, day, assumptions=None, rule="nearest", knowledge="regions", probes=1,
                 sparing=False):
        if rule not in RULES:
            raise ValueError(f"no rule is called {rule}")
        self.day, self.rule, self.knowledge, self.probes = day, rule, knowledge, probes
        self.assumed = assumptions or day.assumptions
        # How many classes each class of nodes serves.
        self.versatile = behaviour.serves().sum(axis=1) if sparing else None
        self.nodes = nodes = Nodes(day.clients, self.assumed)
        self.draw = chance(day.seed + 1, "channels", day.mix)
        # GB since the owner's midnight.
        self.used, self.spent = np.zeros(len(nodes)), np.zeros(len(nodes), bool)

        self.which = day.left[day.reachable]          # calls that a node can serve
        calls = day.calls
        self.start = (calls.begin[self.which] // 60).astype(np.int64)
        self.stop = np.maximum(np.rint(calls.end[self.which] / 60).astype(np.int64), self.start + 1)
        self.kbit = 2 * calls.kbit[self.which]
        regions = day.clients.region
        self.ends_in = regions[calls.caller[self.which]], regions[calls.callee[self.which]]
        self.pattern = day.pattern[day.reachable]
        # Calls of one group can be served by the same nodes.
        low, high = np.minimum(*self.ends_in), np.maximum(*self.ends_in)
        self.group = ((self.pattern * len(REGIONS) + low) * len(REGIONS) + high) * 2 + \
            (calls.kbit[self.which] > day.assumptions.mobile_kbit)

    def run(self):
        """The day before is run too, for what is left of each owner's limit this morning."""
        if np.isfinite(self.nodes.gigabytes).any():
            self._play()
        return self._play()

    def _reset(self):
        count, size = len(self.nodes), len(self.which)
        self.online, self.load = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self.peak, self.flow = np.zeros(count, np.int64), np.zeros(count)
        self.sent, self.most = np.zeros(count), np.zeros(count)
        self.at = np.full(size, -1)                   # its node now
        self.since = np.zeros(size, np.int64)
        self.minutes = np.zeros((2, size), np.int64)  # on public, on lent nodes
        self.first_node = np.full(size, -1)
        self.tried = np.zeros(size, np.int64)
        self.moves = np.zeros(size, np.int64)
        self.moved = {"left": 0, "limit": 0, "to relay": 0}

    def _play(self):
        self._reset()
        beginnings = np.searchsorted(self.start, np.arange(MINUTES + 1))
        by_end = np.argsort(self.stop, kind="stable")
        endings = np.searchsorted(self.stop[by_end], np.arange(MINUTES + 2))
        minute_of, node_of, delta_of = self.nodes.events
        changes = np.searchsorted(minute_of, np.arange(MINUTES + 1))
        online, carried = np.zeros(MINUTES, np.int64), np.zeros(MINUTES, np.int64)
        carried_kbit = np.zeros(MINUTES)
        active = np.zeros(0, np.int64)
        for minute in range(MINUTES):
            ended = by_end[endings[minute]:endings[minute + 1]]
            self._release(ended[self.at[ended] >= 0], minute)
            these = slice(changes[minute], changes[minute + 1])
            np.add.at(self.online, node_of[these], delta_of[these])
            self._new_day(minute)
            self.spent |= self.used >= self.nodes.gigabytes
            active = active[self.at[active] >= 0]
            homeless = active[~self._open()[self.at[active]]]
            limited = int(np.count_nonzero(self.online[self.at[homeless]] > 0))
            self.moved["limit"] += limited
            self.moved["left"] += len(homeless) - limited
            self._release(homeless, minute)
            self.moves[homeless] += 1
            fresh = np.arange(beginnings[minute], beginnings[minute + 1])
            self._place(np.concatenate([homeless, fresh]), minute)
            self.moved["to relay"] += int((self.at[homeless] < 0).sum())
            active = np.unique(np.concatenate([active, homeless, fresh]))
            active = active[self.at[active] >= 0]
            self.used += self.flow * (60 / 8e6)
            self.sent += self.flow * (60 / 8e6)
            np.maximum(self.most, self.used, out=self.most)
            online[minute] = np.count_nonzero(self.online > 0)
            carried[minute] = len(active)
            carried_kbit[minute] = self.kbit[active].sum()
        last = np.flatnonzero(self.at >= 0)
        self._release(last, MINUTES)
        return self._outcome(online, carried, carried_kbit)

    def _new_day(self, minute):
        for index, region in enumerate(REGIONS):
            if (minute + 60 * region.utc_offset) % MINUTES == 0:
                here = slice(*self.nodes.first[index:index + 2])
                self.used[here], self.spent[here] = 0, False

    def _open(self):
        return (self.online > 0) & ~self.spent

    def _release(self, calls, minute):
        nodes = self.at[calls]
        np.subtract.at(self.load, nodes, 1)
        np.subtract.at(self.flow, nodes, self.kbit[calls])
        np.add.at(self.minutes, (self.nodes.lent[nodes].astype(int), calls), minute - self.since[calls])
        self.at[calls] = -1

    def _place(self, calls, minute):
        if not len(calls) or not len(self.nodes):
            return
        groups = collections.defaultdict(list)
        for call, key in zip(calls.tolist(), self.group[calls].tolist()):
            groups[key].append(call)
        free = self._open() & (self.load < self.nodes.calls)
        known = {}
        for group, members in groups.items():
            first = members[0]
            low, high = self.ends_in[0][first], self.ends_in[1][first]
            pattern, kbit = self.pattern[first], self.kbit[first]
            lists = []
            for region in sorted({int(low), int(high)}):
                key = region, int(pattern), float(kbit)
                if key not in known:
                    known[key] = self._candidates(free, *key)
                lists.append(known[key])
            self._place_group(members, np.concatenate(lists), kbit, minute)

    def _candidates(self, free, region, pattern, kbit):
        """Nodes of a region that serve and have room, the nearest to its middle first."""
        first, last = self.nodes.first[region:region + 2]
        fit = free[first:last] & self.day.masks[pattern][self.nodes.klass[first:last]]
        fit &= self.flow[first:last] + kbit <= self.nodes.kbit[first:last]
        return np.flatnonzero(fit) + first

    def _ordered(self, nodes):
        """By the rule, ties by the round trip that the server knows: whatever the two clients' own
        share in the sum of round trips is, it is the same for all nodes of these regions."""
        keys = [self.nodes.edge[nodes]]   # the last one counts most
        if self.rule == "cheapest":
            keys.append(self.nodes.price[nodes])
        elif self.rule == "least-loaded":
            keys.append(self.load[nodes] / self.nodes.calls[nodes])
        if self.versatile is not None:
            keys.append(self.versatile[self.nodes.klass[nodes]])
        return nodes[np.lexsort(keys)]

    def _has_room(self, node, kbit):
        return self.load[node] < self.nodes.calls[node] and \
            self.flow[node] + kbit <= self.nodes.kbit[node]

    def _place_group(self, members, nodes, kbit, minute):
        if not len(nodes):
            return
        if self.knowledge == "exact":
            rankings = iter(self._measured(members, nodes))
        ranked, front = self._ordered(nodes), 0
        for call in members:
            if self.knowledge == "exact":
                order = next(rankings)
            else:
                while front < len(ranked) and not self._has_room(ranked[front], kbit):
                    front += 1
                order = ranked[front:]
                if self.rule == "least-loaded":   # the next call finds this one loaded
                    front += 1
                    if front >= len(ranked):
                        ranked, front = self._ordered(nodes), 0
            self._try(call, self._with_room(call, order, kbit), kbit, minute)

    def _with_room(self, call, order, kbit):
        """One by one, for one that is tried may be the last that is looked at."""
        found = (node for node in order if self._has_room(node, kbit))
        if self.probes > 1 and self.knowledge != "exact":
            head = np.array(list(itertools.islice(found, self.probes)), np.int64)
            if len(head):
                yield from head[np.argsort(self._sums(np.array([call]), head)[0], kind="stable")]
        yield from found

    def _try(self, call, order, kbit, minute):
        success = (1 - self.assumed.field_failure) ** 2   # a channel to each client
        for node in itertools.islice(order, int(self.assumed.tries)):
            self.tried[call] += 1
            if self.draw.random() < success:
                self._take(call, node, kbit, minute)
                return

    def _sums(self, calls, nodes):
        """Round trip by each of `nodes` (columns) for each of `calls`."""
        which = self.which[calls][:, None]
        return through_nodes(self.day.clients, self.day.calls, which, self.nodes, nodes[None, :])

    def _measured(self, members, nodes):
        if len(nodes) > _COMPARED:
            nodes = np.sort(self.draw.choice(nodes, _COMPARED, replace=False))
        keep = min(len(nodes), 64)
        result, members = [], np.array(members)
        for part in np.array_split(members, -(-len(members) // 256)):
            sums = self._sums(part, nodes)
            best = np.argpartition(sums, keep - 1, axis=1)[:, :keep]
            best = np.take_along_axis(best, np.argsort(np.take_along_axis(sums, best, 1), 1), 1)
            result += list(nodes[best])
        return result

    def _take(self, call, node, kbit, minute):
        self.at[call], self.since[call] = node, minute
        self.load[node] += 1
        self.flow[node] += kbit
        if self.load[node] > self.peak[node]:
            self.peak[node] = self.load[node]
        if self.first_node[call] < 0:
            self.first_node[call] = node

    def _outcome(self, online, carried, carried_kbit):
        day = self.day
        size = len(day.calls)

        def spread(values, empty):
            result = np.full(size, empty, values.dtype)
            result[self.which] = values
            return result
        first = spread(self.first_node, -1)
        rung, why = day.rung.copy(), np.full(size, CARRIED, np.int8)
        rung[first >= 0] = NODE
        why[day.left] = np.where(day.reachable, NO_NODE, NO_UDP)
        why[first >= 0] = CARRIED
        shares = self.minutes / (self.stop - self.start)
        return Outcome(day, self.nodes, rung, why, spread(shares[1], 0.0), spread(shares[0], 0.0), first,
                       spread(self.tried, 0), spread(self.moves, 0), self.moved, self.sent, self.most,
                       self.peak, online, carried, carried_kbit)


def added_round_trip(outcome):
    """Of the calls on nodes: (through the node, through TURN), in ms."""
    which = np.flatnonzero(outcome.first_node >= 0)
    clients, calls = outcome.day.clients, outcome.day.calls
    return (through_nodes(clients, calls, which, outcome.nodes, outcome.first_node[which]),
            through_turn(clients, calls, which))


def direct_round_trip(outcome):
    """What the two clients' own way would take."""
    which = np.flatnonzero(outcome.first_node >= 0)
    clients, calls = outcome.day.clients, outcome.day.calls
    return round_trip(clients, clients, calls.caller[which], calls.callee[which])
