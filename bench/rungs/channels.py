# Two ends of a channel, called again and again. SPDX-License-Identifier: LGPL-2.1-or-later
from natlab import Lab
from support.channelpeer import Peer, join
from support.coturn import Coturn
from support.junctor import environment
from support.process import wait_until

from .conditions import sites


def measure(way, round_trip, loss, count, say):
    with Lab() as lab:
        server = lab.host("stun", addresses=2)
        coturn = Coturn(lab, server, relay=True)    # the STUN server of all ways, too
        properties = dict(way.more)
        if way.rung == "relay":
            properties["turn-server"] = coturn.relay_url
        peers = [Peer(each, environment()) for each in sites(lab, way, round_trip, loss)]
        results = []
        try:
            for number in range(count + 1):
                result = call(peers, f"call-{number}", ",".join(server.addresses), properties)
                if number:                          # the first one loads libraries
                    results.append(result)
                    say(".")
        finally:
            for each in peers:
                each.stop()
    return results


def call(peers, name, stun, properties):
    join(*peers, name, stun, properties=properties)
    try:
        said = [each.wait(name, "up", "failed") for each in peers]
        if any(each["is"] != "up" for each in said):
            return {"why": said[0]["why"] or said[1]["why"]}
        known = max(each.told_at(name, '"external"', "typ srflx") for each in peers)
        reports = [wait_until(lambda peer=peer: arrived(peer, name), 20, "media", every=0.05)
                   for peer in peers]
        return {"up": max(each["ms"] for each in said), "rungs": [each["rung"] for each in said],
                "media": max((each["first"] - known) * 1000 for each in reports)}
    finally:
        for peer in peers:
            peer.close(name)


def arrived(peer, name):
    report = peer.report(name)
    return report if report["arrived"] else None
