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
    """Every path in backquotes that leads nowhere; so do a test's file and the beginning of classes."""
    for name in re.findall(r"`([a-z]+/[^` ]+)`", text):
        for pattern in expand(name):
            if not glob.glob(os.path.join(root, pattern)):
                yield name
    tests = os.path.join(root, "tests", "system")
    for name in re.findall(r"`(test_\w+\.py)`", text):
        if not os.path.exists(os.path.join(tests, name)):
            yield name
    classes = ""
    for path in glob.glob(os.path.join(tests, "test_*.py")):
        with open(path, encoding="utf-8") as file:
            classes += "\n".join(re.findall(r"(?m)^class \w+", file.read())) + "\n"
    for name in re.findall(r"`([A-Z]\w*_)\*`", text):
        if f"class {name}" not in classes:
            yield name + "*"


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
    nowhere = ["tests/nowhere.py", "test_nowhere.py", "G99_*"]
    if list(missing_paths(root, "".join(f"`{name}`" for name in nowhere))) != nowhere:
        problems.append("a path that leads nowhere is not noticed")
    print("1..1")
    for problem in problems:
        print("#", problem)
    print(("not ok" if problems else "ok") + " 1 - every promise has its row and its place")


main()
