# The findings as pictures. SPDX-License-Identifier: LGPL-2.1-or-later
"""SVG, the same bytes for the same findings. Lines differ in their dashes and marks, areas in their
hatching, so that they can be told apart without colours too. Titles are made from the figures."""

import os

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402
from matplotlib.ticker import PercentFormatter  # noqa: E402

from . import ladder  # noqa: E402

_STYLE = {"svg.hashsalt": "junctor", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10,
          "axes.titlesize": 11, "axes.titleweight": "bold", "axes.titlelocation": "left",
          "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.4,
          "hatch.linewidth": 0.6, "figure.constrained_layout.use": True}
_AREAS = (("#f2f2f2", ".."), ("#c6dbef", ""), ("#9ecae1", "//"), ("#6baed6", "\\\\"), ("#fdae6b", "xx"),
          ("#636363", ""))
_LINES = (("#000000", "-", "o"), ("#0072b2", "--", "s"), ("#d55e00", "-.", "^"), ("#009e73", ":", "D"),
          ("#777777", (0, (5, 1, 1, 1, 1, 1)), "v"), ("#cc79a7", (0, (1, 4)), "P"))


def _percent(value, digits=0):
    return f"{100 * value:.{digits}f} %"


def _save(figure, folder, name):
    path = os.path.join(folder, f"ladder-{name}.svg")
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return path


def _rungs(found, folder):
    mixes = list(found["mixes"])
    figure, axes = pyplot.subplots(figsize=(8, 0.36 * len(mixes) * 3 + 1.9))
    places, labels = [], []
    for row, mix in enumerate(mixes):
        for step, punching in enumerate(ladder.PUNCHING):
            place = row * 3.6 + step
            places.append(place)
            labels.append(f"{mix}, {punching}")
            left = 0.0
            for (colour, hatch), rung in zip(_AREAS, ladder.RUNGS):
                share = found["punching"][mix][punching]["rungs"][rung]
                axes.barh(place, share, 0.9, left, color=colour, hatch=hatch, edgecolor="black",
                          linewidth=0.5, label=rung if not places[1:] else None)
                left += share
    axes.set_yticks(places, labels)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("share of calls")
    axes.grid(axis="y", visible=False)
    rungs = found["punching"][mixes[0]]["plain"]["rungs"]
    direct = sum(share for name, share in rungs.items() if name not in ("node", "relay"))
    axes.set_title(f"{mixes[0]}: {_percent(direct)} of calls need nobody, nodes take "
                   f"{_percent(rungs['node'])}, the relay {_percent(rungs['relay'])}\n"
                   f"({_percent(found['assumptions']['lenders'], 1)} of clients lend their device)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.12), ncols=3, frameon=False)
    return _save(figure, folder, "rungs")


def _lenders(found, folder):
    figure, axes = pyplot.subplots(figsize=(8, 4.6))
    for (colour, dashes, mark), (mix, rows) in zip(_LINES, found["lenders"].items()):
        shown = [row for row in rows if row["lenders"] > 0]
        axes.plot([row["lenders"] for row in shown], [row["relay"] for row in shown], color=colour,
                  linestyle=dashes, marker=mark, label=mix)
        floor = found["needed"][mix]["floor"]
        axes.axhline(floor, color=colour, linestyle=dashes, linewidth=0.6, alpha=0.7)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("clients that lend their device (%, logarithmic)")
    axes.set_ylabel("calls on the relay (%)")
    mix = next(iter(found["needed"]))
    needed = found["needed"][mix]
    said = f"From {_percent(needed['lenders'], 1)} lenders on" if needed["lenders"] else \
        f"Not even with {_percent(found['lenders'][mix][-1]['lenders'])} lenders"
    axes.set_title(f"{mix}: {said} the relay has hardly more than the\n{_percent(needed['floor'], 1)} "
                   "of calls that have an end without UDP (thin lines)")
    axes.legend(title="mix", frameon=False)
    return _save(figure, folder, "lenders")


def _load(found, folder):
    figure, axes = pyplot.subplots(figsize=(8, 4.6))
    for (colour, dashes, mark), (rule, row) in zip(_LINES, found["rules"].items()):
        values = row["nodes"]["gigabytes_percentiles"]
        axes.plot(values, [1 - place / 100 for place in range(len(values))], color=colour,
                  linestyle=dashes, marker=mark, markevery=8, markersize=4, label=rule)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("sent for others in a day (GB)")
    axes.set_ylabel("nodes that send at least as much (%)")
    nodes = found["rules"]["nearest"]["nodes"]
    axes.set_title(f"Only {_percent(nodes['for_all'])} of the nodes can be reached by everybody: by "
                   f"\"nearest\"\n{_percent(nodes['at_limit'])} come to their owner's limit, "
                   f"{_percent(1 - nodes['used'])} carry nothing")
    axes.legend(title="rule", frameon=False)
    return _save(figure, folder, "load")


def _round_trips(found, folder):
    figure, axes = pyplot.subplots(figsize=(8, 4.6))
    for (colour, dashes, mark), (rule, row) in zip(_LINES, found["rules"].items()):
        values = row["round_trip"]["added"]
        axes.plot(values, [place / 100 for place in range(len(values))], color=colour, linestyle=dashes,
                  marker=mark, markevery=10, markersize=4, label=rule)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlim(-60, 120)
    axes.set_xlabel("round trip through the node, less that through the region's TURN server (ms)")
    axes.set_ylabel("calls on nodes (%)")
    plain, probed, known = (found["rules"][rule]["round_trip"]["added"][50] for rule in
                            ("nearest", "nearest, 4 measured", "nearest, all known"))
    axes.set_title(f"A node adds {plain:.0f} ms (median) to what TURN takes; {probed:.0f} ms if the clients "
                   f"measure four,\n{known:.0f} ms if all round trips were known")
    axes.legend(title="rule", frameon=False)
    return _save(figure, folder, "round-trip")


def _day(found, folder):
    row = found["rules"]["nearest"]
    day = row["day"]
    hours = [index / 6 for index in range(len(day["direct"]))]
    relay = [left - nodes for left, nodes in zip(day["left"], day["nodes"])]
    figure, axes = pyplot.subplots(figsize=(8, 4.6))
    stacks = axes.stackplot(hours, day["direct"], day["nodes"], relay, colors=("#c6dbef", "#fdae6b",
                            "#636363"), labels=("direct", "on nodes", "on the relay"), edgecolor="black",
                            linewidth=0.4)
    for stack, hatch in zip(stacks, ("", "xx", "")):
        stack.set_hatch(hatch)
    other = axes.twinx()
    other.grid(False)
    other.plot(hours, day["online"], color="black", linestyle="--", label="nodes online")
    other.set_ylim(0, max(day["online"]) * 1.3 or 1)
    other.set_ylabel("nodes online")
    axes.set_xlim(0, 24)
    axes.set_xticks(range(0, 25, 3))
    axes.set_xlabel("hour of the day (UTC)")
    axes.set_ylabel("calls at once")
    gbit = row["gbit"]
    axes.set_title(f"At its busiest the relay sends {gbit['relay']:.1f} instead of "
                   f"{gbit['turn_alone']:.1f} Gbit/s ({found['clients']:,} clients)")
    handles = [sum(pair, []) for pair in zip(axes.get_legend_handles_labels(),
                                             other.get_legend_handles_labels())]
    axes.legend(*handles, loc="upper left", frameon=False)
    return _save(figure, folder, "day")


def _sensitivity(found, folder):
    base = found["punching"][next(iter(found["mixes"]))]["plain"]["relay"]
    rows = sorted(found["sensitivity"], key=lambda row: abs(row["relay_high"] - row["relay_low"]))
    figure, axes = pyplot.subplots(figsize=(8, 0.36 * len(rows) + 1.6))
    for place, row in enumerate(rows):
        for end, colour, hatch in (("low", "#9ecae1", "//"), ("high", "#fdae6b", "xx")):
            value = row[f"relay_{end}"]
            axes.barh(place, value - base, 0.7, base, color=colour, hatch=hatch, edgecolor="black",
                      linewidth=0.5, label=None if place else f"{end} value")
        low, high = row["relay_low"], row["relay_high"]
        axes.text(max(low, high, base) + 0.004, place, f"{row['low']:g} … {row['high']:g}", va="center",
                  fontsize=8)
    axes.set_yticks(range(len(rows)), [row["name"].replace("_", " ") for row in rows])
    axes.axvline(base, color="black", linewidth=0.8)
    axes.set_xlim(0, max(max(row["relay_low"], row["relay_high"]) for row in rows) * 1.2)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("calls on the relay (%)")
    axes.grid(axis="y", visible=False)
    axes.set_title("What moves the relay's share most: " + ", ".join(
        row["name"].replace("_", " ") for row in rows[:-4:-1]))
    axes.legend(loc="lower right", frameon=False)
    return _save(figure, folder, "sensitivity")


def draw(found, folder):
    """Writes all plots; their paths."""
    os.makedirs(folder, exist_ok=True)
    with pyplot.rc_context(_STYLE):
        return [plot(found, folder) for plot in (_rungs, _lenders, _load, _round_trips, _day,
                                                 _sensitivity)]
