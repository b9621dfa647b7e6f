# Where the two ends of bench/ladder are. SPDX-License-Identifier: LGPL-2.1-or-later


def sites(lab, way, round_trip, loss):
    """Left and right, `round_trip` ms apart; servers and nodes lie between, half of that from each. Of
    all that passes the left one's cable, and so of what the two say to each other, the share `loss`
    vanishes."""
    hosts = [lab.site(side, kind) for side, kind in (("left", way.left), ("right", way.right))]
    for each in hosts:
        each.link.delay(round_trip / 4000)
    if loss:
        hosts[0].link.loss(loss)
    return hosts
