# What the simulation is fed with, each figure with its source. SPDX-License-Identifier: LGPL-2.1-or-later
"""SOURCES are what others have measured, HERE is what this project's laboratory has; all else is our
assumption and says so. A scalar is changed with `--set NAME=VALUE`; tables are in this file."""

import dataclasses

OURS = "our assumption"
HERE = "measured in this project's laboratory"

# What is cited below by its short name: what it says, and where that was seen.
SOURCES = {
    "Ford 2005": ("B. Ford, P. Srisuresh, D. Kegel: Peer-to-Peer Communication Across Network Address "
                  "Translators, USENIX 2005: 82 % of tested NATs support UDP hole punching",
                  "abstract"),
    "Ford 2005, hairpin": ("the same, table 1: about 24 % translate hairpin UDP",
                           "from memory"),
    "Guha 2006": ("S. Guha, N. Daswani, R. Jain: An Experimental Study of the Skype Peer-to-Peer VoIP "
                  "System, IPTPS 2006: users follow the day and the working week, supernodes are "
                  "stable",
                  "abstract"),
    "Halkes 2011": ("G. Halkes, J. Pouwelse: UDP NAT and Firewall Puncturing in the Wild, NETWORKING "
                    "2011: 64 % of peers behind a NAT or firewall that should allow punching; more "
                    "than 80 % of such attempts succeed",
                    "abstract"),
    "Bremler-Barr 2011": ("A. Bremler-Barr, R. Goldschmidt: On the Stability of Skype Super Nodes, TMA "
                          "2011: 40 % of super nodes had one session only, with a median residual life "
                          "of 1.75 days, the others 67.5 days",
                          "abstract"),
    "callstats 2015": ("callstats.io: One Year of Measuring WebRTC Service Quality, 2015: about 22 % of "
                       "conferences need a TURN relay",
                       "text"),
    "Richter 2016": ("P. Richter et al.: A Multi-perspective Analysis of Carrier-Grade NAT Deployment, "
                     "IMC 2016: more than 92 % of cellular networks have carrier-grade NATs, 17 to 18 % "
                     "of other networks with many users",
                     "slides about it"),
    "Richter 2016, types": ("the same, section 6: some 40 % of the cellular ones map symmetrically, some "
                            "20 % are full cones; routers at home hardly ever are symmetric and mostly "
                            "keep ports",
                            "from memory"),
    "Langley 2017": ("A. Langley et al.: The QUIC Transport Protocol, SIGCOMM 2017: 4.4 % of clients "
                     "cannot use it, mostly because UDP is blocked",
                     "from memory"),
    "Ookla 2022": ("Ookla, as reported in December 2022: median latency 28 ms on mobile and 10 ms on "
                   "fixed networks",
                   "report in the press"),
    "IBM 2024": ("IBM Cloud: Network latency between regions, means of 28 September to 27 October 2024",
                 "text"),
    "Tailscale 2025": ("W. Moore, K. Purdy, K. Sikand: NAT traversal improvements, part 1, Tailscale "
                       "2025: direct connections well north of 90 % in typical conditions",
                       "text"),
    "Trautwein 2025": ("D. Trautwein et al.: Challenging Tribal Knowledge, 2025 (arXiv 2510.27500): hole "
                       "punching in the libp2p network succeeds in 70 ± 7.1 %, 97.6 % of that at the "
                       "first attempt",
                       "abstract"),
    "APNIC 2026": ("APNIC: Google hits 50 % IPv6, April 2026: 50 % of Google's users, 42 % by APNIC's own "
                   "count",
                   "text"),
}


def given(default, unit, meaning, source=OURS):
    return dataclasses.field(default=default, metadata={"unit": unit, "meaning": meaning,
                                                        "source": source})


@dataclasses.dataclass(frozen=True)
class Assumptions:
    """The scalars."""

    calls_per_day: float = given(1.0, "calls", "video calls that a client makes in a day")
    call_minutes: float = given(4.0, "min", "median length of a call; log-normal")
    call_spread: float = given(1.18, "", "its sigma: a mean of twice the median")
    fixed_kbit: float = given(1500.0, "kbit/s", "one direction of a call between fixed lines")
    mobile_kbit: float = given(600.0, "kbit/s", "one direction where one end is mobile; the rate of "
                               "the call that `bench/gateway` measures")
    local_calls: float = given(0.85, "", "share of calls that stay in the region")
    same_lan: float = given(0.03, "", "share of calls between two devices of one network, which see "
                            "each other's own addresses")
    same_cgn: float = given(0.02, "", "share of calls between two mobiles of one region whose "
                            "external address is one carrier-grade NAT's")
    hairpin: float = given(0.24, "", "share of those NATs that lead back what is sent to "
                           "their own outside", "Ford 2005, hairpin")
    field_failure: float = given(0.05, "", "share of channels that fail although theory lets them: lost "
                                 "probes, short-lived mappings, NATs that misbehave under load", OURS
                                 + "; between Tailscale 2025 and Halkes 2011")
    prediction_success: float = given(0.8, "", "prediction, where theory lets it: 20 of 20 in an idle "
                                      f"laboratory ({HERE}); other users take ports too", OURS)
    many_sockets_success: float = given(0.93, "", "256 sockets against 512 probes", HERE)
    endpoint_dependent: float = given(1.0, "×", "factor on the share of NATs that map by peer")
    udp_blocked: float = given(1.0, "×", "factor on the share of accesses without UDP")
    open_filters: float = given(1.0, "×", "factor on the share of NATs that filter by address or not at "
                                "all: those that serve as nodes for everybody")
    ipv6: float = given(1.0, "×", "factor on the share of devices with IPv6")
    lenders: float = given(0.02, "", "share of clients that lend their device as a node")
    mapped_ports: float = given(0.0, "", "share of lenders whose router opens a port for the node (PCP, "
                                "UPnP, by hand), which then filters nobody; `junctor` asks for none")
    always_on: float = given(0.3, "", "share of lending devices that are always on", OURS
                             + "; Bremler-Barr 2011 found 60 % that come back for months")
    uptime_hours: float = given(48.0, "h", "mean time between their interruptions, of 10 minutes each")
    sessions: float = given(2.0, "", "sessions a day of the other lending devices; Poisson, at most 6")
    session_hours: float = given(1.5, "h", "their median length; log-normal, sigma 1")
    lent_uplink: float = given(0.25, "", "share of its up-link that a device lends")
    uplink_spread: float = given(1.0, "", "sigma of the up-link's log-normal distribution")
    node_calls: float = given(4.0, "calls", "that an owner lets through at once")
    node_gigabytes: float = given(5.0, "GB", "that an owner lets through in a day")
    free_nodes: float = given(0.6, "", "share of nodes whose price is zero; the others ask up to "
                              "0.01 for a GB, all alike likely")
    cdn_nodes: float = given(0.0, "", "public nodes in each region, of 1 Gbit/s and 0.05 for a GB; the "
                             "operator pays for what goes through them")
    tries: float = given(3.0, "nodes", "that are tried before the relay has the call for good")
    region_radius_ms: float = given(25.0, "ms", "round trip between a region's middle and its edge; "
                                    "clients are spread evenly")
    delay_spread: float = given(0.5, "", "sigma of the access's delay; log-normal")

    def with_(self, **changes):
        unknown = set(changes) - {each.name for each in dataclasses.fields(self)}
        if unknown:
            raise ValueError(f"no assumption is called {', '.join(sorted(unknown))}; "
                             "--assumptions lists them")
        return dataclasses.replace(self, **changes)


@dataclasses.dataclass(frozen=True)
class Access:
    """A way to be on the internet: share of each type of the laboratory, of IPv6, median round trip to
    the provider's edge, median up-link, and how willingly devices there are lent (relative)."""

    said: str
    nats: dict
    nats_source: str
    ipv6: float
    delay_ms: float
    uplink_mbit: float
    lends: float
    mobile: bool = False


ACCESSES = {
    "home": Access(
        "fixed line at home",
        {"open": .03, "firewall": .02, "full-cone": .10, "restricted": .08, "port-restricted": .17,
         "preserving": .38, "address-mapped": .01, "address-both": .01, "symmetric": .05,
         "sequential": .03, "double": .08, "double-symmetric": .035, "udp-blocked": .005},
        "86 % map independently of the peer: Ford 2005 has 82 %, Richter 2016, types, more; the division "
        "among filters is our assumption", .45, 10, 20, 1.0),
    "mobile": Access(
        "mobile network",
        {"open": .03, "firewall": .05, "full-cone": .15, "restricted": .05, "port-restricted": .15,
         "preserving": .05, "address-mapped": .01, "address-both": .02, "symmetric": .30,
         "sequential": .05, "double": .06, "double-symmetric": .06, "udp-blocked": .02},
        "44 % map by peer, 15 % full cones: near Richter 2016, types; the rest is our assumption",
        .55, 28, 10, 0.1, mobile=True),
    "enterprise": Access(
        "enterprise network",
        {"open": .02, "firewall": .10, "full-cone": .02, "restricted": .02, "port-restricted": .15,
         "preserving": .10, "address-mapped": .02, "address-both": .02, "symmetric": .30,
         "sequential": .05, "double": .02, "double-symmetric": .03, "udp-blocked": .15},
        "our assumption; 15 % without UDP is several times the 4.4 % of all clients in Langley 2017",
        .15, 8, 50, 0.2),
}

# Shares of the accesses. All but the word "everyday" are our assumption.
MIXES = {
    "everyday": {"home": .50, "mobile": .45, "enterprise": .05},
    "home": {"home": 1.0},
    "mobile": {"home": .20, "mobile": .78, "enterprise": .02},
    "office": {"home": .25, "mobile": .25, "enterprise": .50},
}


@dataclasses.dataclass(frozen=True)
class Region:
    name: str
    share: float      # of all clients: our assumption
    utc_offset: int   # hours


REGIONS = (Region("Dallas", .12, -6), Region("Washington", .18, -5), Region("São Paulo", .12, -3),
           Region("Frankfurt", .35, 1), Region("Tokyo", .20, 9), Region("Sydney", .03, 10))

# Round trips between the regions' middles in ms, IBM 2024, both directions' mean.
REGION_ROUND_TRIPS = (
    (0, 31, 144, 123, 141, 184.5),
    (31, 0, 118.5, 91, 168, 213.5),
    (144, 118.5, 0, 197.5, 285, 327.5),
    (123, 91, 197.5, 0, 231, 250),
    (141, 168, 285, 231, 0, 115),
    (184.5, 213.5, 327.5, 250, 115, 0))

# By local hour; only the ratios matter. The shape is Guha 2006's, a little later in the day.
CALLS_BY_HOUR = (2, 1, 1, 1, 1, 2, 5, 12, 22, 32, 38, 40, 40, 40, 42, 44, 48, 56, 70, 84, 88, 70, 38,
                 12)
ONLINE_BY_HOUR = (14, 8, 6, 5, 5, 7, 14, 26, 36, 42, 44, 45, 46, 46, 46, 48, 52, 60, 70, 78, 80, 70, 48,
                  26)


def nats_of(access, assumptions):
    """Shares of the laboratory's types in one access, after the factors; they sum to 1."""
    from .behaviour import FILTERS_LITTLE, MAPS_BY_PEER, NO_UDP
    factors = {**dict.fromkeys(MAPS_BY_PEER, assumptions.endpoint_dependent),
               **dict.fromkeys(NO_UDP, assumptions.udp_blocked),
               **dict.fromkeys(FILTERS_LITTLE, assumptions.open_filters)}
    scaled = {kind: share * factors[kind] for kind, share in access.nats.items() if kind in factors}
    rest = {kind: share for kind, share in access.nats.items() if kind not in factors}
    left = 1 - sum(scaled.values())
    if left < 0:
        raise ValueError("the factors make more than all NATs of one kind")
    whole = sum(rest.values())
    if not whole:
        return {kind: share / sum(scaled.values()) for kind, share in scaled.items()}
    return {**scaled, **{kind: share * left / whole for kind, share in rest.items()}}
