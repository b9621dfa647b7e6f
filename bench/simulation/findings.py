# What is run, and what is found in it. SPDX-License-Identifier: LGPL-2.1-or-later
"""A `Case` is one day; `run` makes a summary of it, of numbers alone, so that it can come from
another process. Cases that differ in nothing but nodes and rules share their clients and calls."""

import dataclasses
import functools
import multiprocessing

import numpy as np

from . import behaviour, ladder
from .assumptions import ACCESSES, MIXES, Assumptions, nats_of

SHARES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)  # of lenders
PLENTY = 3     # times the lenders, for a look at the rules where nodes are not scarce

# The product's three, and what might better the first.
RULES = {"nearest": {}, "least-loaded": {"rule": "least-loaded"}, "cheapest": {"rule": "cheapest"},
         "nearest, open ones spared": {"sparing": True}, "nearest, 4 measured": {"probes": 4},
         "nearest, all known": {"knowledge": "exact"}}

# Each from its low to its high value, all else as it is.
SENSITIVITY = (
    ("lenders", 0.005, 0.08), ("endpoint_dependent", 0.7, 1.3), ("udp_blocked", 0.5, 2.0),
    ("open_filters", 0.5, 1.5), ("ipv6", 0.0, 1.5), ("field_failure", 0.02, 0.15),
    ("mapped_ports", 0.0, 0.5), ("calls_per_day", 0.5, 3.0), ("node_gigabytes", 1.0, 50.0),
    ("node_calls", 1.0, 8.0), ("lent_uplink", 0.1, 0.5), ("always_on", 0.1, 0.6),
    ("sessions", 1.0, 4.0), ("tries", 1.0, 5.0), ("local_calls", 0.6, 1.0))

# They change nodes only, not clients nor calls.
_OF_NODES = ("lenders", "mapped_ports", "always_on", "uptime_hours", "sessions", "session_hours",
             "lent_uplink", "uplink_spread", "node_calls", "node_gigabytes", "free_nodes", "cdn_nodes",
             "tries")


@dataclasses.dataclass(frozen=True)
class Case:
    clients: int
    seed: int
    assumptions: Assumptions
    mix: str = "everyday"
    punching: str = "plain"
    rule: str = "nearest"
    knowledge: str = "regions"
    probes: int = 1
    sparing: bool = False

    def with_(self, **changes):
        return dataclasses.replace(self, **changes)


@functools.lru_cache(maxsize=2)
def _day(clients, mix, assumptions, seed, punching):
    return ladder.Day(clients, mix, assumptions, seed, punching)


def outcome(case):
    plain = Assumptions()
    shared = case.assumptions.with_(**{name: getattr(plain, name) for name in _OF_NODES})
    day = _day(case.clients, case.mix, shared, case.seed, case.punching)
    return ladder.Run(day, case.assumptions, case.rule, case.knowledge, case.probes,
                      case.sparing).run()


def run(case):
    return summary(outcome(case))


def run_all(cases, jobs, told=lambda done, all_: None):
    """Summaries of cases, in their order. Neighbours that share a day should stand together."""
    if jobs <= 1:
        results = []
        for case in cases:
            results.append(run(case))
            told(len(results), len(cases))
        return results
    # The long ones first, and those of one day in a row.
    order = sorted(range(len(cases)), key=lambda index: -cases[index].clients)
    results = [None] * len(cases)
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        made = pool.imap(run, [cases[index] for index in order], chunksize=1)
        for done, (index, result) in enumerate(zip(order, made), 1):
            results[index] = result
            told(done, len(cases))
    return results


def _percentiles(values, which=range(101)):
    return np.percentile(values, list(which)).round(4).tolist() if len(values) else []


def _marks(values):
    if not len(values):
        return {"p50": 0.0, "p95": 0.0, "max": 0.0}
    return {"p50": float(np.percentile(values, 50)), "p95": float(np.percentile(values, 95)),
            "max": float(np.max(values))}


def _by_minute(calls, which, weights):
    """Sum of weights of the calls that are on in each minute; minutes as in ladder.Run."""
    start = (calls.begin[which] // 60).astype(int)
    stop = np.maximum(np.rint(calls.end[which] / 60).astype(int), start + 1)
    change = np.zeros(ladder.MINUTES + 2)
    np.add.at(change, start, weights)
    np.add.at(change, stop, -weights)
    return np.cumsum(change)[:ladder.MINUTES]


def _hard(result):
    """Of the calls that found no node: the share that only nodes reached by everybody could serve."""
    day = result.day
    little = [behaviour.KINDS.index(kind) for kind in behaviour.FILTERS_LITTLE]
    others = ~np.isin(np.arange(day.masks.shape[1]) // 2, little)
    hard = ~day.masks[:, others].any(axis=1)[day.pattern]
    without = result.why[day.left] == ladder.NO_NODE
    return float(hard[without].mean()) if without.any() else 0.0


def summary(result):
    day, calls, nodes = result.day, result.day.calls, result.nodes
    lent = nodes.lent
    gigabytes = calls.gigabytes
    left = np.zeros(len(calls), bool)
    left[day.left] = True
    without = float(gigabytes[left].sum())
    on_lent = float((gigabytes * result.node_share).sum())
    on_public = float((gigabytes * result.public_share).sum())
    needed_kbit = _by_minute(calls, day.left, 2 * calls.kbit[day.left])
    direct = np.flatnonzero(~left)
    carried_calls = int((result.rung == ladder.NODE).sum())
    through, turn = ladder.added_round_trip(result)
    used = result.node_gigabytes[lent]
    by_use = np.sort(used)[::-1]
    at_limit = result.node_most[lent] >= nodes.gigabytes[lent]
    kinds = nodes.klass[lent] // 2
    little = [behaviour.KINDS.index(kind) for kind in behaviour.FILTERS_LITTLE]
    hours = slice(None, None, 10)
    return {
        "calls": len(calls),
        "rungs": {name: float((result.rung == index).mean()) for index, name in enumerate(ladder.RUNGS)},
        "relay": float((result.rung == ladder.RELAY).mean()),
        "no_udp": float((result.why == ladder.NO_UDP).mean()),
        "no_node": float((result.why == ladder.NO_NODE).mean()),
        "no_node_hard": _hard(result),
        "gigabytes": {"turn_alone": without, "lent_nodes": on_lent, "public_nodes": on_public,
                      "relay": without - on_lent - on_public,
                      "saved": on_lent / without if without else 0.0},
        "gbit": {"turn_alone": float(needed_kbit.max() / 1e6),
                 "relay": float((needed_kbit - result.carried_kbit).max() / 1e6)},
        "nodes": {"lent": int(lent.sum()), "online": float(result.online.mean()),
                  "online_least": int(result.online.min()), "online_most": int(result.online.max()),
                  "for_all": float(np.isin(kinds, little).mean()) if len(kinds) else 0.0,
                  "used": float((used > 0).mean()) if len(used) else 0.0,
                  "gigabytes": _marks(used),
                  "gigabytes_for_all": _marks(used[np.isin(kinds, little)]),
                  "gigabytes_of_used": _marks(used[used > 0]),
                  "at_limit": float(at_limit.mean()) if len(used) else 0.0,
                  "tenth_has": float(by_use[:max(len(by_use) // 10, 1)].sum() / by_use.sum())
                  if used.sum() else 0.0,
                  "calls_at_once": _marks(result.node_peak[lent & (result.node_peak > 0)]),
                  "gigabytes_percentiles": _percentiles(used)},
        "moved": {"calls": float((result.moves > 0).sum() / carried_calls) if carried_calls else 0.0,
                  **result.moved},
        "tried": float(result.tried[result.tried > 0].mean()) if carried_calls else 0.0,
        "round_trip": {"through_node": _marks(through), "through_turn": _marks(turn),
                       "added": _percentiles(through - turn),
                       "faster": float((through < turn).mean()) if carried_calls else 0.0},
        "day": {"direct": _by_minute(calls, direct, np.ones(len(direct)))[hours].tolist(),
                "left": _by_minute(calls, day.left, np.ones(len(day.left)))[hours].tolist(),
                "nodes": result.carried[hours].tolist(), "online": result.online[hours].tolist()},
    }


def smallest_share(shares, relays, goal):
    """The smallest share of lenders at which the relay's share is `goal`, between the points that were
    run (both scales logarithmic where they can be); None if none of them is enough."""
    for index, relay in enumerate(relays):
        if relay <= goal:
            if index == 0:
                return shares[0]
            low, high = shares[index - 1], relays[index - 1]
            part = (high - goal) / (high - relay)
            if low == 0:
                return shares[index] * part
            return float(np.exp(np.log(low) + part * (np.log(shares[index]) - np.log(low))))
    return None


def plan(clients, seed, assumptions, mixes):
    """{name: Case} of all that is run. What needs many runs has an eighth of the clients."""
    base = Case(clients, seed, assumptions, mixes[0])
    small = base.with_(clients=max(clients // 8, 1000))
    cases = {}
    plenty = assumptions.with_(lenders=min(PLENTY * assumptions.lenders, 1.0))
    for name, how in RULES.items():
        cases["rule", name] = base.with_(**how)
        cases["plenty", name] = small.with_(assumptions=plenty, **how)
    for mix in mixes:
        for punching in ladder.PUNCHING:
            cases["mix", mix, punching] = small.with_(mix=mix, punching=punching)
        for share in SHARES:
            cases["lenders", mix, share] = small.with_(mix=mix, assumptions=assumptions.with_(
                lenders=share))
    for count in (clients // 100, clients // 10):
        if count >= 1000:
            cases["scale", count] = base.with_(clients=count)
            cases["scale measured", count] = base.with_(clients=count, probes=4)
    for name, *ends in SENSITIVITY:
        for end in ends:
            cases["sensitivity", name, end] = small.with_(assumptions=assumptions.with_(**{name: end}))
    return cases


def gather(clients, seed, assumptions, mixes, results, spare=0.01):
    """All findings as one structure for JSON. `spare`: what the relay may have beyond the calls that no
    node can serve, as a share of all."""
    found = {"clients": clients, "seed": seed, "spare": spare, "assumptions": dataclasses.asdict(assumptions),
             "nats": {name: nats_of(access, assumptions) for name, access in ACCESSES.items()},
             "mixes": {mix: MIXES[mix] for mix in mixes}}
    for name, kind in (("rules", "rule"), ("plenty", "plenty")):
        found[name] = {key[1]: value for key, value in results.items() if key[0] == kind}
    found["punching"] = {mix: {punching: results["mix", mix, punching] for punching in ladder.PUNCHING}
                         for mix in mixes}
    found["lenders"], found["needed"] = {}, {}
    for mix in mixes:
        rows = [results["lenders", mix, share] for share in SHARES]
        relays = [row["relay"] for row in rows]
        floor = rows[-1]["no_udp"]
        needed = smallest_share(SHARES, relays, floor + spare)
        found["lenders"][mix] = [{"lenders": share, "relay": row["relay"], "no_node": row["no_node"],
                                  "saved": row["gigabytes"]["saved"], "online": row["nodes"]["online"]}
                                 for share, row in zip(SHARES, rows)]
        found["needed"][mix] = {"floor": floor, "without_nodes": relays[0], "lenders": needed}
    found["scale"] = [{"clients": key[1], "one": value, "four": results["scale measured", key[1]]}
                      for key, value in results.items() if key[0] == "scale"]
    found["scale"].append({"clients": clients, "one": results["rule", "nearest"],
                           "four": results["rule", "nearest, 4 measured"]})
    found["sensitivity"] = [{"name": name, "low": low, "high": high,
                             "relay_low": results["sensitivity", name, low]["relay"],
                             "relay_high": results["sensitivity", name, high]["relay"],
                             "saved_low": results["sensitivity", name, low]["gigabytes"]["saved"],
                             "saved_high": results["sensitivity", name, high]["gigabytes"]["saved"]}
                            for name, low, high in SENSITIVITY]
    return found
