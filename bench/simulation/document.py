# Tables for docs/ladder-simulation.md. SPDX-License-Identifier: LGPL-2.1-or-later
"""The document's blocks between `<!-- NAME -->` and `<!-- end -->` are written here, from the same
tables and figures as everything else, so that they cannot drift apart."""

import dataclasses
import re

from . import ladder
from .assumptions import ACCESSES, MIXES, REGION_ROUND_TRIPS, REGIONS, SOURCES, Assumptions
from .behaviour import KINDS

_BLOCK = re.compile(r"(<!-- (?P<name>[a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]) + "\n"


def _percent(value, digits=1):
    return f"{100 * value:.{digits}f} %"


def assumptions():
    rows = []
    for each in dataclasses.fields(Assumptions):
        meta = each.metadata
        rows.append((f"`{each.name}`", f"{each.default:g} {meta['unit']}".strip(), meta["meaning"],
                     meta["source"]))
    return _table(("name", "value", "meaning", "source"), rows)


def nats():
    rows = [(kind, *(_percent(access.nats.get(kind, 0)) for access in ACCESSES.values()))
            for kind in KINDS]
    rows.append(("IPv6 beside it", *(_percent(access.ipv6, 0) for access in ACCESSES.values())))
    rows.append(("delay to the provider's edge, median",
                 *(f"{access.delay_ms:g} ms" for access in ACCESSES.values())))
    rows.append(("up-link, median", *(f"{access.uplink_mbit:g} Mbit/s" for access in ACCESSES.values())))
    rows.append(("lent, relative to home", *(f"{access.lends:g}" for access in ACCESSES.values())))
    table = _table(("type in the laboratory", *(access.said for access in ACCESSES.values())), rows)
    notes = "\n".join(f"- {access.said}: {access.nats_source}." for access in ACCESSES.values())
    return f"{table}\n{notes}\n"


def mixes():
    return _table(("mix", *ACCESSES), [(name, *(_percent(mix.get(each, 0), 0) for each in ACCESSES))
                                       for name, mix in MIXES.items()])


def regions():
    rows = [(region.name, _percent(region.share, 0), f"{region.utc_offset:+d} h",
             *(f"{each:g}" if each else "" for each in row))
            for region, row in zip(REGIONS, REGION_ROUND_TRIPS)]
    return _table(("region", "clients", "UTC", *(f"to {region.name} (ms)" for region in REGIONS)), rows)


def sources():
    return _table(("name", "what it says", "seen"),
                  [(name, said, seen) for name, (said, seen) in SOURCES.items()])


def run(found):
    return f"{found['clients']:,} clients, seed {found['seed']}, all else as below.\n"


def rungs(found):
    rows = []
    for mix, ways in found["punching"].items():
        for punching, row in ways.items():
            shares = [row["rungs"][name] for name in ladder.RUNGS]
            rows.append((mix, punching, *(_percent(share) for share in shares), _percent(row["no_udp"])))
    return _table(("mix", "punching", *ladder.RUNGS, "of this: no UDP at one end"), rows)


def needed(found):
    rows = []
    for mix, row in found["needed"].items():
        share, most = row["lenders"], found["lenders"][mix][-1]["lenders"]
        rows.append((mix, _percent(row["without_nodes"]), _percent(row["floor"]),
                     _percent(share) if share else f"over {_percent(most, 0)}",
                     *(_percent(point["relay"]) for point in found["lenders"][mix][1:])))
    points = [f"at {each['lenders'] * 100:g} %" for each in next(iter(found["lenders"].values()))[1:]]
    return _table(("mix", "relay without nodes", "calls no node can serve", "lenders needed", *points),
                  rows)


def _rules(by_rule):
    rows = []
    for rule, row in by_rule.items():
        nodes, moved, trip = row["nodes"], row["moved"], row["round_trip"]
        load, once, added = nodes["gigabytes"], nodes["calls_at_once"], trip["added"]
        rows.append((rule, _percent(row["rungs"]["node"]), _percent(row["relay"]),
                     _percent(row["gigabytes"]["saved"]),
                     f"{load['p50']:.1f} / {load['p95']:.1f} / {load['max']:.1f}",
                     _percent(nodes["used"], 0), _percent(nodes["tenth_has"], 0),
                     f"{once['p50']:.0f} / {once['p95']:.0f}",
                     f"{added[5]:.0f} / {added[50]:.0f} / {added[95]:.0f}", _percent(trip["faster"], 0),
                     _percent(moved["calls"]),
                     f"{moved['left']:,} / {moved['limit']:,} / {moved['to relay']:,}"))
    return _table(("rule", "on nodes", "on the relay", "bytes saved",
                   "GB a node and day, p50 / p95 / max", "nodes used", "of all bytes on the busiest tenth",
                   "calls at once on a used node, at its peak, p50 / p95",
                   "added round trip against TURN, p5 / p50 / p95 (ms)", "faster than TURN",
                   "calls that moved", "moves: node left / limit reached / of these to the relay"), rows)


def rules(found):
    return _rules(found["rules"])


def plenty(found):
    return _rules(found["plenty"])


def bytes_(found):
    row = found["rules"]["nearest"]
    volume, gbit, nodes = row["gigabytes"], row["gbit"], row["nodes"]
    return _table(("", "STUN + TURN alone", "with nodes"), (
        ("sent by the relay in a day (TB)", f"{volume['turn_alone'] / 1000:.1f}",
         f"{volume['relay'] / 1000:.1f}"),
        ("at its busiest (Gbit/s)", f"{gbit['turn_alone']:.2f}", f"{gbit['relay']:.2f}"),
        ("nodes lent / online, mean", "", f"{nodes['lent']:,} / {nodes['online']:,.0f}"),
        ("of these, reached by everybody who has UDP", "", _percent(nodes["for_all"])),
        ("of the calls that find no node, those that only such a node could serve", "",
         _percent(row["no_node_hard"]))))


def scale(found):
    rows = []
    for row in found["scale"]:
        one, four = row["one"], row["four"]
        rows.append((f"{row['clients']:,}", f"{one['nodes']['online']:,.0f}", _percent(one["rungs"]["node"]),
                     _percent(one["relay"]), f"{one['round_trip']['added'][50]:.0f}",
                     f"{four['round_trip']['added'][50]:.0f}"))
    return _table(("clients", "nodes online, mean", "on nodes", "on the relay",
                   "added round trip, median (ms)", "the same, four measured"), rows)


def sensitivity(found):
    rows = sorted(found["sensitivity"], key=lambda row: -abs(row["relay_high"] - row["relay_low"]))
    return _table(("assumption", "low … high", "on the relay", "bytes saved"), [
        (f"`{row['name']}`", f"{row['low']:g} … {row['high']:g}",
         f"{_percent(row['relay_low'])} … {_percent(row['relay_high'])}",
         f"{_percent(row['saved_low'], 0)} … {_percent(row['saved_high'], 0)}") for row in rows])


GIVEN = {"assumptions": assumptions, "nats": nats, "mixes": mixes, "regions": regions, "sources": sources}
FOUND = {"run": run, "rungs": rungs, "needed": needed, "bytes": bytes_, "rules": rules,
         "plenty": plenty, "scale": scale, "sensitivity": sensitivity}


def filled(text, found=None):
    """The document with its blocks as they are now; without findings, only what was given."""
    def block(match):
        name = match["name"]
        if name in GIVEN:
            return match[1] + GIVEN[name]() + match[3]
        if name not in FOUND:
            raise ValueError(f"nobody knows how to fill the block {name}")
        return match[1] + FOUND[name](found) + match[3] if found else match[0]
    return _BLOCK.sub(block, text)
