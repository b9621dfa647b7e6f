#!/usr/bin/python3
"""docs/mission.md has every promised row, and what it names exists. Prints TAP."""
import glob
import os
import re
import sys

ROWS = ([f"G{n}" for n in range(1, 11)] + [f"N{n}" for n in range(1, 8)] +
        [f"C{n}" for n in range(1, 16)] + [f"T{n}" for n in range(1, 8)])


def expand(name):
    """a/{b,c}.* is two patterns."""
    found = re.match(r"(.*)\{([^}]*)\}(.*)", name)
    if not found:
        return [name]
    return [found[1] + part + found[3] for part in found[2].split(",")]


def missing_paths(root, text):
    """Every path in backquotes that leads nowhere."""
    for name in re.findall(r"`([a-z]+/[^` ]+)`", text):
        for pattern in expand(name):
            if not glob.glob(os.path.join(root, pattern)):
                yield name


def main():
    root = sys.argv[1]
    with open(os.path.join(root, "docs", "mission.md"), encoding="utf-8") as file:
        text = file.read()
    rows = {match[1]: match[2] for match in re.finditer(r"(?m)^\| ([GNCT]\d+) \|(.*)\|$", text)}
    problems = [f"row {row} is missing" for row in ROWS if row not in rows]
    unclear = [row for row, rest in rows.items()
               if not re.search(r"\b(shown|partly|not yet)\b", rest)]
    problems += [f"row {row} says neither shown, partly nor not yet" for row in unclear]
    problems += [f"{name} does not exist" for name in missing_paths(root, text)]
    if list(missing_paths(root, "`tests/nowhere.py`")) != ["tests/nowhere.py"]:
        problems.append("a path that leads nowhere is not noticed")
    print("1..1")
    for problem in problems:
        print("#", problem)
    print(("not ok" if problems else "ok") + " 1 - every promise has its row and its place")


main()
