# Clients, what they do in a day, and the devices they lend. SPDX-License-Identifier: LGPL-2.1-or-later
"""Each kind of chance has a stream of its own, so that a change of one assumption leaves all else as
it was: runs that are compared differ in nothing but that. Times are in seconds of a day in UTC,
delays round trips in ms."""

import numpy as np

from .assumptions import ACCESSES, CALLS_BY_HOUR, MIXES, ONLINE_BY_HOUR, REGION_ROUND_TRIPS, REGIONS, \
    nats_of
from .behaviour import KINDS, class_of

DAY = 86400
_NAMES = tuple(ACCESSES)
_OFFSETS = np.array([region.utc_offset for region in REGIONS])
_BETWEEN = np.array(REGION_ROUND_TRIPS)
_STREAMS = ("clients", "calls", "channels", "lenders", "sessions")


def chance(seed, stream, mix):
    key = (_STREAMS.index(stream), *mix.encode())
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _drawn(table, uniform):
    """Indices by a table of shares, from numbers in [0, 1)."""
    edges = np.cumsum(np.asarray(table, float))
    return np.minimum(np.searchsorted(edges / edges[-1], uniform, side="right"), len(edges) - 1)


def _utc(region, local_hour, uniform):
    return ((local_hour - _OFFSETS[region]) % 24 + uniform) * 3600


class Clients:
    """Sorted by region. `edge` is the round trip to the middle of the region, access included."""

    def __init__(self, count, mix, assumptions, seed):
        draw = chance(seed, "clients", mix)
        self.mix, self.assumptions, self.seed = mix, assumptions, seed
        self.region = np.sort(_drawn([region.share for region in REGIONS], draw.random(count)))
        self.access = _drawn([MIXES[mix].get(name, 0) for name in _NAMES], draw.random(count))
        uniform, six = draw.random(count), draw.random(count)
        kind, ipv6 = np.zeros(count, np.int64), np.zeros(count, bool)
        for index, name in enumerate(_NAMES):
            here = self.access == index
            nats = nats_of(ACCESSES[name], assumptions)
            kind[here] = _drawn([nats.get(each, 0) for each in KINDS], uniform[here])
            ipv6[here] = six[here] < ACCESSES[name].ipv6 * assumptions.ipv6
        self.klass = class_of(kind, ipv6)
        self.kind = kind
        radius = assumptions.region_radius_ms * np.sqrt(draw.random(count))
        angle = draw.random(count) * 2 * np.pi
        self.x, self.y = radius * np.cos(angle), radius * np.sin(angle)
        self.delay = self._of_access("delay_ms") * np.exp(
            assumptions.delay_spread * draw.standard_normal(count))
        self.edge = self.delay + radius
        self.first = np.searchsorted(self.region, np.arange(len(REGIONS) + 1))

    def __len__(self):
        return len(self.region)

    def _of_access(self, what):
        return np.array([getattr(ACCESSES[name], what) for name in _NAMES], float)[self.access]

    @property
    def mobile(self):
        return self._of_access("mobile") > 0

    def lent(self, assumptions):
        """Indices of the clients that lend their device, the most willing first: with a larger share
        the same ones still do."""
        draw = chance(self.seed, "lenders", self.mix)
        order = draw.exponential(size=len(self)) / self._of_access("lends")
        wanted = min(round(assumptions.lenders * len(self)), len(self))
        chosen = np.argpartition(order, max(wanted - 1, 0))[:wanted]
        return chosen[np.argsort(order[chosen])]

    def uplinks(self, who):
        """Median up-link in kbit/s."""
        return self._of_access("uplink_mbit")[who] * 1000


def round_trip(a, b, one, other):
    """Between pairs of anything with a region, a place and a delay: on a straight line inside one
    region, through the middles of two."""
    ra, rb = a.region[one], b.region[other]
    near = np.hypot(a.x[one] - b.x[other], a.y[one] - b.y[other]) + a.delay[one] + b.delay[other]
    far = a.edge[one] + b.edge[other] + _BETWEEN[ra, rb]
    return np.where(ra == rb, near, far)


class Calls:
    """Of one day, sorted by their beginning."""

    def __init__(self, clients):
        assumed = clients.assumptions
        draw = chance(clients.seed, "calls", clients.mix)
        count = round(assumed.calls_per_day * len(clients))
        caller = draw.integers(len(clients), size=count)
        region = clients.region[caller]
        hour = _drawn(CALLS_BY_HOUR, draw.random(count))
        begin = _utc(region, hour, draw.random(count))
        callee = self._callees(clients, assumed, draw, caller, region, begin)
        lan = draw.random(count) < assumed.same_lan
        cgn, led_back = draw.random(count), draw.random(count)
        length = assumed.call_minutes * 60 * np.exp(assumed.call_spread * draw.standard_normal(count))
        order = np.argsort(begin, kind="stable")
        self.caller, self.callee, self.lan = caller[order], callee[order], lan[order]
        self.begin = begin[order]
        self.end = np.minimum(self.begin + np.clip(length, 5, 4 * 3600)[order], DAY)
        mobile = clients.mobile
        a, b = self.caller, self.callee
        self.one_nat = (mobile[a] & mobile[b] & (clients.region[a] == clients.region[b])
                        & (cgn[order] < assumed.same_cgn) & (led_back[order] >= assumed.hairpin))
        self.kbit = np.where(mobile[a] | mobile[b], assumed.mobile_kbit, assumed.fixed_kbit)

    @staticmethod
    def _callees(clients, assumed, draw, caller, region, begin):
        """In the caller's region, or where people are awake; never the caller."""
        populated = np.diff(clients.first)
        stay, where, who = (draw.random(len(caller)) for _ in range(3))
        hours = (begin // 3600).astype(int)
        target = region.copy()
        awake = np.array([[CALLS_BY_HOUR[(hour + offset) % 24] for offset in _OFFSETS]
                          for hour in range(24)], float) * populated
        for home in range(len(REGIONS)):
            for hour in range(24):
                away = np.flatnonzero((region == home) & (hours == hour) & (stay >= assumed.local_calls))
                others = awake[hour] * (np.arange(len(REGIONS)) != home)
                if len(away) and others.sum():
                    target[away] = _drawn(others, where[away])
        callee = clients.first[target] + (who * populated[target]).astype(int)
        again = callee == caller
        callee[again] = (callee[again] + 1) % len(clients)
        return callee

    def __len__(self):
        return len(self.begin)

    @property
    def seconds(self):
        return self.end - self.begin

    @property
    def gigabytes(self):
        """That a relay has to send: what each side sends, to the other."""
        return 2 * self.kbit * self.seconds / 8e6


class Nodes:
    """Lent devices, then the operator's public nodes; sorted by region and there by the round trip
    to its middle. `events` are (minute, node, +1 or −1): the device comes or goes."""

    def __init__(self, clients, assumptions):
        who = clients.lent(assumptions)
        public = round(assumptions.cdn_nodes) * len(REGIONS)
        draw = chance(clients.seed, "sessions", clients.mix)
        chances = draw.random((len(who), 24))
        normal = draw.standard_normal((len(who), 8))

        kind = clients.kind[who].copy()
        maps_port = chances[:, 0] < assumptions.mapped_ports
        cone = np.array([each in ("port-restricted", "preserving") for each in KINDS])
        kind[maps_port & cone[kind]] = KINDS.index("full-cone")
        klass = class_of(kind, clients.klass[who] % 2)
        uplink = clients.uplinks(who) * np.exp(assumptions.uplink_spread * normal[:, 0])
        price = np.where(chances[:, 1] < assumptions.free_nodes, 0, chances[:, 2] * 0.01)

        def joined(lent, own):
            return np.concatenate([lent, np.full(public, own)])
        self.client = joined(who, -1)
        self.region = np.concatenate([clients.region[who],
                                      np.repeat(np.arange(len(REGIONS)), public // len(REGIONS))])
        self.klass = joined(klass, class_of(KINDS.index("open"), 1))
        self.x, self.y = joined(clients.x[who], 0.0), joined(clients.y[who], 0.0)
        self.delay, self.edge = joined(clients.delay[who], 1.0), joined(clients.edge[who], 1.0)
        self.kbit = joined(uplink * assumptions.lent_uplink, 1e6)
        self.calls = joined(np.full(len(who), assumptions.node_calls), 500)
        self.gigabytes = joined(np.full(len(who), assumptions.node_gigabytes), np.inf)
        self.price = joined(price, 0.05)
        order = np.lexsort((self.edge, self.region))
        for name, values in list(vars(self).items()):
            setattr(self, name, values[order])
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        self.lent = self.client >= 0
        self.first = np.searchsorted(self.region, np.arange(len(REGIONS) + 1))
        self.events = self._events(place, clients.region[who], assumptions, chances, normal, public)

    def __len__(self):
        return len(self.region)

    @staticmethod
    def _events(place, region, assumed, chances, normal, public):
        lent = len(region)
        always = chances[:, 3] < assumed.always_on
        steady = np.concatenate([np.flatnonzero(always), np.arange(lent, lent + public)])
        minutes, nodes, deltas = [np.zeros(len(steady))], [steady], [np.ones(len(steady))]
        # Away for ten minutes once, if the first interruption falls on this day.
        away = np.flatnonzero(always)
        when = -np.log1p(-chances[away, 4]) * assumed.uptime_hours * 60
        away, when = away[when < 1440], when[when < 1440]
        minutes += [when, when + 10]
        nodes += [away, away]
        deltas += [-np.ones(len(away)), np.ones(len(away))]
        # The day repeats itself: what lasts into the next one was there this morning too.
        counts = _poisson(assumed.sessions, chances[:, 5], 6)
        for column in range(6):
            here = np.flatnonzero(~always & (counts > column))
            start = _utc(region[here], _drawn(ONLINE_BY_HOUR, chances[here, 6 + 2 * column]),
                         chances[here, 7 + 2 * column]) / 60
            stop = start + np.clip(assumed.session_hours * 60 * np.exp(normal[here, 1 + column]), 1, 1440)
            for shift in (0, -1440):
                minutes += [start + shift, stop + shift]
                nodes += [here, here]
                deltas += [np.ones(len(here)), -np.ones(len(here))]
        minute = np.floor(np.concatenate(minutes)).astype(np.int64)
        node = place[np.concatenate(nodes)] if len(place) else np.concatenate(nodes).astype(np.int64)
        delta = np.concatenate(deltas).astype(np.int64)
        minute = np.maximum(minute, 0)
        order = np.argsort(minute, kind="stable")
        return minute[order], node[order], delta[order]


def _poisson(mean, uniform, most):
    """Counts from numbers in [0, 1)."""
    term, table = np.exp(-mean), []
    for count in range(most):
        table.append(term)
        term *= mean / (count + 1)
    return np.searchsorted(np.cumsum(table), uniform, side="right")


class Middles:
    """The operator's TURN servers: one in the middle of each region."""

    region = np.arange(len(REGIONS))
    x = y = np.zeros(len(REGIONS))
    delay = edge = np.ones(len(REGIONS))


def through_turn(clients, calls, which):
    """Round trip between the two clients by the caller's region's TURN server. The callee's is as near:
    what leaves a region passes both middles."""
    a, b = calls.caller[which], calls.callee[which]
    middle = clients.region[a]
    return round_trip(clients, Middles, a, middle) + round_trip(clients, Middles, b, middle)


def through_nodes(clients, calls, which, nodes, chosen):
    a, b = calls.caller[which], calls.callee[which]
    return round_trip(clients, nodes, a, chosen) + round_trip(clients, nodes, b, chosen)
