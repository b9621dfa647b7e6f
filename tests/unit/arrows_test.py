#!/usr/bin/python3
"""The arrows between rooms: who may include whom. Prints TAP."""
import os
import re
import sys

# Which families a family's core may include, besides its own.
CORE = {
    "common": set(),
    "rtp": {"common"},
    "rtmp": {"common"},
    "watchdog": {"common"},
    "picture": {"common"},
    "sound": {"common"},
    "sip": {"common", "rtp"},
    "nat": {"common", "rtp"},
    "sfu": {"common", "rtp"},
}
# Which of the program's rooms one of them may include, besides its own. What is at the top may all.
PROGRAM = {
    "accounts": {"config"},
    "api": {"accounts", "calls", "config", "https", "rendezvous", "store", "turn"},
    "calls": {"pictures"},
    "cli": {"accounts", "api", "calls", "config", "node", "phone", "store"},
    "config": {"accounts", "calls", "nodes", "rendezvous", "turn"},
    "https": set(),
    "metrics": {"accounts", "calls", "rendezvous"},
    "node": {"rendezvous"},
    "nodes": set(),
    "phone": {"pictures", "rendezvous"},
    "pictures": set(),
    "rendezvous": {"accounts", "https", "nodes"},
    "store": {"calls"},
    "turn": {"accounts"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)
GST = re.compile(r"^gst(/|reamer)")


def findings(root):
    for top in ("plugins", "orchestrator"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name.endswith((".cpp", ".h")):
                    path = os.path.relpath(os.path.join(folder, name), root)
                    with open(os.path.join(root, path), encoding="utf-8") as file:
                        text = file.read()
                    for _, target in INCLUDE.findall(text):
                        problem = judge(path.split(os.sep), target)
                        if problem:
                            yield f"{path} includes {target}: {problem}"


def judge(path, target):
    parts = target.split("/")
    top, family = path[0], path[1]
    theirs = parts[0] if parts[0] in CORE else None
    if top == "orchestrator":
        if theirs and theirs != "common" and "core" not in parts:
            return "the program knows elements by factory name only"
        if len(path) > 2 and family not in PROGRAM:
            return f"the table of rooms has no {family}"
        if len(path) > 2 and parts[0] in PROGRAM and parts[0] not in PROGRAM[family] | {family}:
            return f"{family} may include only {sorted(PROGRAM[family])}"
        return None
    if theirs is None:
        in_core = "core" in path or (family == "common" and "gst" not in path)
        if in_core and GST.match(target):
            return "a core has no GStreamer"
        if parts[0] in PROGRAM:
            return "plugins know nothing of the program"
        return None
    if family == "plugin.cpp" or theirs == family:
        in_core = "core" in path
        if in_core and theirs == family and family != "common" and "core" not in parts:
            return "a core does not know its elements"
        return None
    if theirs not in CORE[family]:
        return f"{family} may include only {sorted(CORE[family] | {family})}"
    if theirs != "common" and "core" not in parts:
        return "an element never includes another family's element"
    return None


def self_check():
    """The judge must know a wrong arrow when it sees one."""
    wrong = [
        ("plugins/rtmp/core/a.cpp", "rtp/core/session.h"),
        ("plugins/rtp/core/a.cpp", "gst/gst.h"),
        ("plugins/common/a.h", "rtmp/core/server.h"),
        ("plugins/sip/sipcallsink.cpp", "rtmp/rtmpauthsrc.h"),
        ("plugins/rtmp/core/a.cpp", "rtmp/rtmpauthsrc.h"),
        ("plugins/sip/core/a.cpp", "calls/service.h"),
        ("orchestrator/calls/a.cpp", "sip/sipcallsink.h"),
        ("orchestrator/rendezvous/a.cpp", "api/api.h"),
        ("orchestrator/elsewhere/a.cpp", "common/result.h"),
    ]
    right = [
        ("plugins/sip/core/a.cpp", "rtp/core/session.h"),
        ("plugins/sip/sipcallsink.cpp", "gst/gst.h"),
        ("plugins/common/gst/context.cpp", "gst/gst.h"),
        ("plugins/plugin.cpp", "rtmp/rtmpauthsrc.h"),
        ("orchestrator/calls/a.cpp", "sip/core/agent.h"),
        ("orchestrator/rendezvous/a.cpp", "https/tls_door.h"),
        ("orchestrator/serve.cpp", "api/api.h"),
    ]
    bad = [w for w in wrong if not judge(w[0].split("/"), w[1])]
    bad += [r for r in right if judge(r[0].split("/"), r[1])]
    return bad


def main():
    root = sys.argv[1]
    print("1..2")
    bad = self_check()
    for item in bad:
        print("# misjudged", item)
    print(("not ok" if bad else "ok") + " 1 - the judge tells right arrows from wrong ones")
    found = list(findings(root))
    for line in found:
        print("#", line)
    print(("not ok" if found else "ok") + " 2 - every include follows the arrows between rooms")


main()
