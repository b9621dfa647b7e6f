# The simulation of the ladder at scale. SPDX-License-Identifier: LGPL-2.1-or-later
"""bench/ladder-sim: what must hold for every day, days that can be reckoned by hand, and that its
document says what it computes."""

import dataclasses
import glob
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import types
import unittest
import xml.etree.ElementTree as ET
from unittest import mock

import numpy as np

from natlab import TYPES, direct, node_serves
from natlab.theory import Verdict
from support.case import only_full
from support.junctor import SOURCE

sys.path.insert(0, os.path.join(SOURCE, "bench"))
from simulation import assumptions, behaviour, document, findings, ladder, world  # noqa: E402
from simulation.assumptions import ACCESSES, MIXES, Assumptions  # noqa: E402

CLIENTS = 20_000
PROGRAM = os.path.join(SOURCE, "bench", "ladder-sim")
DOCUMENT = os.path.join(SOURCE, "docs", "ladder-simulation.md")
SEED = 7


def only(**nats):
    """Everybody has these NATs, by their shares, and no IPv6."""
    named = {kind.replace("_", "-"): share for kind, share in nats.items()}
    home = dataclasses.replace(ACCESSES["home"], nats=named, ipv6=0.0)
    return mock.patch.dict(ACCESSES, home=home)


def case(clients=CLIENTS, mix="everyday", seed=SEED, **changes):
    ours = {name: changes.pop(name) for name in ("punching", "rule", "knowledge", "probes", "sparing")
            if name in changes}
    return findings.Case(clients, seed, Assumptions().with_(**changes), mix, **ours)


class LadderTest(unittest.TestCase):
    def setUp(self):
        findings._day.cache_clear()
        self.addCleanup(findings._day.cache_clear)

    def shares(self, **settings):
        return findings.run(case(mix="home", **settings))["rungs"]


class Sameness(LadderTest):
    def test_the_same_seed_makes_the_same_day_in_any_process(self):
        cases = [case(5000), case(5000, rule="least-loaded"), case(5000, knowledge="exact")]
        alone = findings.run_all(cases, 1)
        self.assertEqual(json.dumps(alone), json.dumps(findings.run_all(cases, 2)))
        self.assertNotEqual(alone[0], alone[1])

    def test_another_seed_makes_another_day_that_says_the_same(self):
        # 20,000 calls: three standard deviations of a share are at most 1.1 points; few nodes add more.
        one, other = findings.run(case()), findings.run(case(seed=SEED + 1))
        self.assertNotEqual(one["rungs"], other["rungs"])
        for rung, share in one["rungs"].items():
            self.assertAlmostEqual(share, other["rungs"][rung],
                                   delta=0.03 if rung in ("node", "relay") else 0.015, msg=rung)

    def test_as_many_nodes_are_online_at_the_end_of_a_day_as_at_its_beginning(self):
        nodes = findings.outcome(case(lenders=0.2, always_on=0, session_hours=6)).online
        self.assertAlmostEqual(nodes[:30].mean() / nodes[-30:].mean(), 1, delta=0.05)

    def test_nodes_change_neither_clients_nor_calls(self):
        few, many = (findings.outcome(case(lenders=share)) for share in (0.01, 0.1))
        self.assertIs(few.day, many.day)
        lent = [set(made.nodes.client.tolist()) for made in (few, many)]
        self.assertLess(lent[0], lent[1])


class Bookkeeping(LadderTest):
    def each(self):
        for name, how in findings.RULES.items():
            with self.subTest(name):
                yield findings.outcome(case(8000, cdn_nodes="," in name, **how))

    def test_every_call_is_on_one_rung_and_every_byte_somewhere(self):
        for made in self.each():
            found = findings.summary(made)
            self.assertAlmostEqual(sum(found["rungs"].values()), 1)
            self.assertAlmostEqual(found["relay"], found["no_udp"] + found["no_node"])
            volume = found["gigabytes"]
            self.assertAlmostEqual(volume["turn_alone"], volume["lent_nodes"] + volume["public_nodes"]
                                   + volume["relay"])
            self.assertGreater(volume["lent_nodes"], 0)
            self.assertTrue((made.node_share + made.public_share <= 1 + 1e-9).all())
            # Nodes count in whole minutes, calls in seconds.
            counted = made.node_gigabytes[made.nodes.lent].sum()
            self.assertAlmostEqual(counted / volume["lent_nodes"], 1, delta=0.1)

    def test_no_node_carries_more_than_its_owner_allows(self):
        for made in self.each():
            nodes = made.nodes
            self.assertTrue((made.node_peak <= nodes.calls).all())
            a_minute = 60 * nodes.kbit / 8e6
            self.assertTrue((made.node_most <= nodes.gigabytes + a_minute).all())
            # A day in UTC has parts of two of an owner's.
            self.assertTrue((made.node_gigabytes <= 2 * (nodes.gigabytes + a_minute)).all())
            self.assertTrue((made.node_gigabytes <= 1440 * a_minute).all())

    def test_every_node_reaches_both_clients_by_the_theory(self):
        made = findings.outcome(case())
        calls, klass = made.day.calls, made.day.clients.klass
        on_nodes = np.flatnonzero(made.first_node >= 0)
        self.assertGreater(len(on_nodes), 500)
        for call in on_nodes[:500]:
            node = made.nodes.klass[made.first_node[call]]
            ends = klass[calls.caller[call]], klass[calls.callee[call]]
            kinds = [behaviour.KINDS[each // 2] for each in (node, *ends)]
            if not any(each % 2 for each in ends):      # no IPv6
                self.assertTrue(node_serves(*kinds), kinds)

    def test_moves_are_counted_with_their_reason(self):
        steady = findings.run(case(always_on=1.0, uptime_hours=1e9, node_gigabytes=1e9))["moved"]
        self.assertEqual((steady["left"], steady["limit"], steady["calls"]), (0, 0, 0))
        leaving = findings.run(case(always_on=0.0, node_gigabytes=1e9))["moved"]
        self.assertEqual(leaving["limit"], 0)
        self.assertGreater(leaving["left"], 20)
        limited = findings.run(case(always_on=1.0, uptime_hours=1e9, node_gigabytes=0.3))["moved"]
        self.assertEqual(limited["left"], 0)
        self.assertGreater(limited["limit"], 20)


class Extremes(LadderTest):
    def test_without_lenders_there_is_no_node(self):
        found = findings.run(case(lenders=0))
        self.assertEqual((found["rungs"]["node"], found["nodes"]["lent"]), (0, 0))
        self.assertEqual(found["gigabytes"]["saved"], 0)
        self.assertGreater(found["relay"], 0.2)

    def test_public_nodes_alone_carry_but_save_nothing(self):
        found = findings.run(case(lenders=0, cdn_nodes=2))
        self.assertGreater(found["rungs"]["node"], 0.2)
        self.assertEqual(found["gigabytes"]["saved"], 0)
        self.assertGreater(found["gigabytes"]["public_nodes"], 0)

    def test_all_open_is_all_direct(self):
        with only(open=1.0):
            self.assertEqual(self.shares(field_failure=0, same_lan=0)["direct"], 1)

    def test_channels_fail_as_often_as_is_assumed(self):
        with only(open=1.0):
            shares = self.shares(field_failure=0.4, same_lan=0, lenders=0.5, tries=1, node_calls=100)
        self.assertAlmostEqual(shares["direct"], 0.6, delta=0.012)
        self.assertAlmostEqual(shares["node"], 0.4 * 0.6 * 0.6, delta=0.01)

    def test_all_symmetric_is_all_relayed_but_in_one_network(self):
        with only(symmetric=1.0):
            shares = self.shares(lenders=0.5, punching="many-sockets")
        self.assertAlmostEqual(shares["same network"], 0.03, delta=0.005)
        self.assertAlmostEqual(shares["relay"] + shares["same network"], 1)

    def test_all_sequential_needs_prediction(self):
        with only(sequential=1.0):
            settings = {"field_failure": 0, "same_lan": 0, "prediction_success": 0.7}
            self.assertEqual(self.shares(**settings)["relay"], 1)
            shares = self.shares(punching="prediction", **settings)
        self.assertAlmostEqual(shares["direct, ports predicted"], 0.7, delta=0.01)

    def test_without_udp_neither_direct_nor_nodes(self):
        with only(udp_blocked=1.0):
            self.assertEqual(self.shares(lenders=0.5, same_lan=0)["relay"], 1)

    def test_one_carrier_s_nat_without_hairpin_keeps_its_own_apart(self):
        mobile = dataclasses.replace(ACCESSES["mobile"], nats={"full-cone": 1.0}, ipv6=0.0)
        apart = {"same_cgn": 1.0, "local_calls": 1.0, "same_lan": 0, "field_failure": 0, "lenders": 0}
        with mock.patch.dict(ACCESSES, mobile=mobile), mock.patch.dict(MIXES, mobile={"mobile": 1.0}):
            self.assertAlmostEqual(findings.run(case(mix="mobile", hairpin=0.4, **apart))["rungs"][
                "direct"], 0.4, delta=0.015)
            self.assertEqual(findings.run(case(mix="mobile", hairpin=1, **apart))["rungs"]["direct"], 1)


class ByHand(LadderTest):
    def test_half_port_restricted_half_symmetric(self):
        """A quarter of all pairs are both port-restricted; by many sockets the mixed half works too."""
        quiet = {"field_failure": 0, "same_lan": 0, "many_sockets_success": 1}
        with only(port_restricted=0.5, symmetric=0.5):
            plain = self.shares(**quiet)
            guessed = self.shares(punching="many-sockets", **quiet)
        self.assertAlmostEqual(plain["direct"], 0.25, delta=0.012)
        self.assertEqual(plain["node"], 0)       # such nodes are reached by no symmetric client
        self.assertAlmostEqual(guessed["direct, many sockets"], 0.5, delta=0.012)
        self.assertAlmostEqual(guessed["relay"], 0.25, delta=0.012)

    def test_ipv6_at_both_ends_makes_a_pair_direct(self):
        with only(symmetric=1.0):
            with mock.patch.dict(ACCESSES, home=dataclasses.replace(ACCESSES["home"], ipv6=0.6)):
                shares = self.shares(field_failure=0, same_lan=0, lenders=0)
        self.assertAlmostEqual(shares["direct"], 0.36, delta=0.012)

    def test_the_smallest_share_of_lenders(self):
        self.assertAlmostEqual(findings.smallest_share((0, .01, .1), (.5, .3, .1), .2), .01 * 10 ** .5)
        self.assertAlmostEqual(findings.smallest_share((0, .01, .1), (.5, .3, .1), .4), .005)
        self.assertEqual(findings.smallest_share((0, .01, .1), (.5, .3, .1), .6), 0)
        self.assertIsNone(findings.smallest_share((0, .01, .1), (.5, .3, .1), .05))

    def day(self, calls):
        """All in one place; clients 2n and 2n+1 are symmetric and call each other: (begin, end, kbit)
        in minutes."""
        made = ladder.Day.__new__(ladder.Day)
        begin, end, kbit = (np.array(each, float) for each in zip(*calls))
        count = len(calls)
        zeros = np.zeros(2 * count)
        symmetric = behaviour.class_of(behaviour.KINDS.index("symmetric"), 0)
        made.clients = types.SimpleNamespace(
            region=np.zeros(2 * count, int), klass=np.full(2 * count, symmetric), x=zeros, y=zeros,
            delay=zeros + 10, edge=zeros + 10)
        made.calls = world.Calls.__new__(world.Calls)
        vars(made.calls).update(begin=begin * 60, end=end * 60, kbit=kbit,
                                caller=np.arange(count) * 2, callee=np.arange(count) * 2 + 1)
        made.assumptions = Assumptions().with_(field_failure=0, mobile_kbit=1000)
        made.seed, made.mix = SEED, "home"
        made.rung = np.full(count, ladder.RELAY, np.int8)
        made.left = np.arange(count)
        made._sort_out()
        return made

    def nodes(self, events, *rows):
        """Rows: (type, delay, calls, gigabytes, price); sorted by delay."""
        kinds, delay, calls, gigabytes, price = zip(*rows)
        zeros, count = np.zeros(len(rows)), len(rows)
        first = np.full(len(assumptions.REGIONS) + 1, count)
        first[0] = 0
        return types.SimpleNamespace(
            region=np.zeros(count, int), x=zeros, y=zeros, delay=np.array(delay, float),
            edge=np.array(delay, float), lent=np.ones(count, bool), kbit=zeros + 1e9,
            klass=np.array([behaviour.class_of(behaviour.KINDS.index(kind), 0) for kind in kinds]),
            calls=np.array(calls), gigabytes=np.array(gigabytes, float), price=np.array(price, float),
            first=first, events=tuple(np.array(each) for each in zip(*events)),
            __len__=None)

    def played(self, day, nodes, **settings):
        class Sized(types.SimpleNamespace):
            def __len__(self):
                return len(self.region)
        nodes = Sized(**{name: value for name, value in vars(nodes).items() if name != "__len__"})
        with mock.patch.object(ladder, "Nodes", return_value=nodes):
            return ladder.Run(day, **settings).run()

    EVENTS = [(0, 0, 1), (0, 1, 1), (0, 2, 1)]
    ROWS = (("full-cone", 1, 1, 9, .5), ("port-restricted", 2, 9, 9, 0), ("restricted", 5, 2, 9, .1))

    def test_calls_fill_the_nodes_that_serve_by_each_rule(self):
        day = self.day([(10, 20, 500)] * 4)
        nodes = self.nodes(self.EVENTS, *self.ROWS)
        for rule, expected in (("nearest", [0, 2, 2, -1]), ("cheapest", [2, 2, 0, -1]),
                               ("least-loaded", [0, 2, 2, -1])):
            with self.subTest(rule):
                made = self.played(day, nodes, rule=rule)
                self.assertEqual(made.first_node.tolist(), expected)
                self.assertEqual(made.carried[[9, 10, 19, 20]].tolist(), [0, 3, 3, 0])
                # 1 Mbit/s for ten minutes is 75 MB.
                np.testing.assert_allclose(made.node_gigabytes, [.075, 0, .15])
                self.assertEqual(made.node_share.tolist(), [1, 1, 1, 0])

    def test_a_node_takes_calls_after_one_another(self):
        made = self.played(self.day([(10, 20, 500), (20, 30, 500), (30, 31, 500)]),
                           self.nodes(self.EVENTS[:1], *self.ROWS[:1]))
        self.assertEqual(made.first_node.tolist(), [0, 0, 0])
        self.assertEqual(made.node_peak.tolist(), [1])

    def test_least_loaded_counts_calls_against_what_a_node_may_carry(self):
        nodes = self.nodes(self.EVENTS[:2], ("full-cone", 1, 4, 9, 0), ("full-cone", 5, 8, 9, 0))
        for begin in ((10, 11, 12), (10, 10, 10)):
            day = self.day([(each, 20, 500) for each in begin])
            self.assertEqual(self.played(day, nodes).first_node.tolist(), [0, 0, 0])
            made = self.played(day, nodes, rule="least-loaded")
            self.assertEqual(made.first_node.tolist(), [0, 1, 1])

    def test_one_node_after_another_is_tried_until_a_channel_to_both_is_up(self):
        rows = [("full-cone", delay, 9, 9, 0) for delay in (1, 2, 3, 4)]
        nodes = self.nodes([(0, index, 1) for index in range(4)], *rows)
        day = self.day([(10, 20, 500)])
        for channels, node, tried in (([.1], 0, 1), ([.9, .9, .1], 2, 3), ([.9, .9, .9], -1, 3)):
            # Each of two channels fails in half of all cases: 0.25 is the limit.
            with mock.patch.object(ladder, "chance") as chance:
                chance.return_value.random.side_effect = channels * 2    # yesterday too
                made = self.played(day, nodes, assumptions=day.assumptions.with_(field_failure=0.5))
            self.assertEqual((made.first_node[0], made.tried[0]), (node, tried))

    def test_round_trips_go_straight_in_a_region_and_through_both_middles_between_two(self):
        places = types.SimpleNamespace(
            region=np.array([3, 3, 4]), x=np.array([3., 0, 6]), y=np.array([0., 4, 8]),
            delay=np.array([10., 20, 30]), edge=np.array([13., 24, 40]))
        frankfurt_tokyo = 231
        self.assertEqual(world.round_trip(places, places, [0, 0], [1, 2]).tolist(),
                         [10 + 5 + 20, 13 + frankfurt_tokyo + 40])
        calls = types.SimpleNamespace(caller=np.array([0, 0, 2]), callee=np.array([1, 2, 0]))
        self.assertEqual(world.through_turn(places, calls, np.arange(3)).tolist(),
                         [13 + 1 + 1 + 24] + [13 + 1 + 1 + frankfurt_tokyo + 40] * 2)

    def test_round_trips_through_a_node_are_sums(self):
        made = self.played(self.day([(10, 20, 500)] * 2), self.nodes(self.EVENTS, *self.ROWS))
        through, turn = ladder.added_round_trip(made)
        self.assertEqual(through.tolist(), [22, 30])     # 10 + 1 + 1 + 10; 10 + 5 + 5 + 10
        self.assertEqual(turn.tolist(), [22, 22])        # the server in the middle has 1 ms too

    def test_a_call_moves_when_its_node_goes_and_ends_on_the_relay_when_all_have(self):
        day = self.day([(10, 20, 500)])
        events = self.EVENTS + [(13, 0, -1), (18, 2, -1)]
        made = self.played(day, self.nodes(events, *self.ROWS))
        self.assertEqual((made.first_node[0], made.moves[0]), (0, 2))
        self.assertEqual(made.moved, {"left": 2, "limit": 0, "to relay": 1})
        self.assertAlmostEqual(made.node_share[0], 0.8)
        np.testing.assert_allclose(made.node_gigabytes, [.0225, 0, .0375])

    def test_a_node_at_its_owner_s_limit_gives_its_call_away(self):
        rows = (self.ROWS[0][:3] + (0.02, 0), *self.ROWS[1:])     # 7.5 MB a minute: three minutes
        made = self.played(self.day([(10, 20, 500)]), self.nodes(self.EVENTS, *rows))
        self.assertEqual(made.moved, {"left": 0, "limit": 1, "to relay": 0})
        np.testing.assert_allclose(made.node_gigabytes, [.0225, 0, .0525])

    def test_the_limit_is_that_of_the_owner_s_own_day(self):
        # Dallas: midnight is minute 360. Yesterday's calls end the limit too.
        rows = (("full-cone", 1, 9, .05, 0),)
        day = self.day([(100, 110, 500), (200, 210, 500), (400, 405, 500)])
        made = self.played(day, self.nodes(self.EVENTS[:1], *rows))
        np.testing.assert_allclose(made.node_share, [.2, 0, 1])

    def test_sparing_leaves_the_open_node_for_those_who_need_it(self):
        restricted = behaviour.class_of(behaviour.KINDS.index("port-restricted"), 0)
        day = self.day([(10, 20, 500), (11, 20, 500)])
        day.clients.klass[:2] = restricted       # a pair that failed although it should not have
        day._sort_out()
        nodes = self.nodes(self.EVENTS[:2], *self.ROWS[:2])
        self.assertEqual(self.played(day, nodes).first_node.tolist(), [0, -1])
        self.assertEqual(self.played(day, nodes, sparing=True).first_node.tolist(), [1, 0])


class Theory(LadderTest):
    def test_the_tables_are_the_laboratory_s_theory(self):
        four, serves = behaviour.ways4(), behaviour.serves()
        for (i, one), (j, other) in itertools.product(enumerate(TYPES), repeat=2):
            self.assertEqual(four[i, j], behaviour.WAYS[direct(one, other).best])
            for k, node in enumerate(TYPES):
                both = serves[2 * k, 2 * i] and serves[2 * k, 2 * j]
                self.assertEqual(both, node_serves(node, one, other), (node, one, other))

    def test_another_theory_makes_another_day(self):
        with mock.patch.object(behaviour, "direct", return_value=Verdict(False, False, False, "")):
            self.assertEqual(self.shares(same_lan=0)["relay"], 1)

    def test_more_ways_and_more_lenders_help(self):
        relays = [findings.run(case(punching=punching, lenders=0))["relay"]
                  for punching in ladder.PUNCHING]
        self.assertGreater(relays[0], relays[1] + 0.005)
        self.assertGreater(relays[1], relays[2] + 0.05)
        relays = [findings.run(case(lenders=share))["relay"] for share in (0, .005, .02, .05)]
        for fewer, more in zip(relays, relays[1:]):
            self.assertGreater(fewer, more + 0.02)

    def test_what_is_measured_is_nearer(self):
        added = [np.median(np.subtract(*ladder.added_round_trip(findings.outcome(case(**how)))))
                 for how in ({}, {"probes": 4}, {"knowledge": "exact"})]
        self.assertGreater(added[0], added[1])
        self.assertGreater(added[1], added[2])


class Given(unittest.TestCase):
    def test_shares_sum_to_one_and_name_what_there_is(self):
        for name, access in ACCESSES.items():
            self.assertAlmostEqual(sum(access.nats.values()), 1, msg=name)
            self.assertLessEqual(set(access.nats), set(TYPES))
        for name, mix in MIXES.items():
            self.assertAlmostEqual(sum(mix.values()), 1, msg=name)
        self.assertAlmostEqual(sum(region.share for region in assumptions.REGIONS), 1)
        trips = np.array(assumptions.REGION_ROUND_TRIPS)
        np.testing.assert_array_equal(trips, trips.T)

    def test_factors_leave_the_sum(self):
        changed = Assumptions().with_(endpoint_dependent=1.3, udp_blocked=0.5)
        nats = assumptions.nats_of(ACCESSES["mobile"], changed)
        self.assertAlmostEqual(sum(nats.values()), 1)
        self.assertAlmostEqual(nats["symmetric"], 0.39)
        self.assertAlmostEqual(nats["udp-blocked"], 0.01)
        with self.assertRaises(ValueError):
            assumptions.nats_of(ACCESSES["enterprise"], Assumptions().with_(udp_blocked=9))

    def test_each_source_is_in_the_list(self):
        words = [each.metadata["source"] for each in dataclasses.fields(Assumptions)]
        words += [access.nats_source for access in ACCESSES.values()]
        for word in words:
            for name in re.findall(r"[A-Z][\w-]+ (?:19|20)\d\d", word):
                self.assertTrue(any(source.startswith(name) for source in assumptions.SOURCES), name)
            self.assertRegex(word, "our assumption|measured|(19|20)[0-9][0-9]")


class Document(unittest.TestCase):
    def test_it_says_what_is_assumed(self):
        with open(DOCUMENT, encoding="utf-8") as file:
            text = file.read()
        self.assertEqual(document.filled(text), text, "run bench/ladder-sim --document "
                         "docs/ladder-simulation.md")
        for name in (*document.GIVEN, *document.FOUND):
            self.assertIn(f"<!-- {name} -->", text)
        shown = re.findall(r"\]\((images/[^)]+)\)", text)
        there = glob.glob(os.path.join(os.path.dirname(DOCUMENT), "images", "ladder-*.svg"))
        self.assertEqual(sorted(shown), sorted("images/" + os.path.basename(path) for path in there))

    @only_full("a million clients")
    def test_it_says_what_comes_out(self):
        with open(DOCUMENT, encoding="utf-8") as file:
            text = file.read()
        mixes = list(MIXES)
        cases = findings.plan(1_000_000, 1, Assumptions(), mixes)
        results = findings.run_all(list(cases.values()), os.cpu_count())
        found = findings.gather(1_000_000, 1, Assumptions(), mixes, dict(zip(cases, results)))
        self.assertEqual(document.filled(text, found), text)


class Program(unittest.TestCase):
    def run_program(self, *options):
        return subprocess.run([PROGRAM, *options], capture_output=True, text=True, timeout=240)

    def test_it_writes_findings_and_plots_with_units(self):
        with tempfile.TemporaryDirectory() as folder:
            made = self.run_program("--clients", "2000", "--mix", "home", "--output", folder,
                                    "--set", "lenders=0.05")
            self.assertEqual(made.returncode, 0, made.stderr)
            with open(os.path.join(folder, "ladder-sim.json"), encoding="utf-8") as file:
                found = json.load(file)
            self.assertEqual((found["clients"], found["seed"], found["assumptions"]["lenders"]),
                             (2000, 1, 0.05))
            self.assertEqual(list(found["mixes"]), ["home"])
            self.assertEqual(len(found["sensitivity"]), len(findings.SENSITIVITY))
            plots = glob.glob(os.path.join(folder, "ladder-*.svg"))
            self.assertEqual(len(plots), 6)
            for path in plots:
                words = " ".join(ET.parse(path).getroot().itertext())
                self.assertRegex(words, r"share of calls|\(%|\(GB\)|\(ms\)|\(UTC\)", path)

    def test_it_refuses_what_it_does_not_know(self):
        for options, said in ((("--set", "lender=1"), "no assumption is called lender"),
                              (("--set", "lenders=many"), "no number"),
                              (("--clients", "10"), "no statistics")):
            made = self.run_program(*options)
            self.assertEqual(made.returncode, 2)
            self.assertIn(said, made.stderr)

    def test_it_lists_its_assumptions(self):
        made = self.run_program("--assumptions")
        self.assertEqual(made.returncode, 0, made.stderr)
        for each in dataclasses.fields(Assumptions):
            self.assertIn(f"`{each.name}`", made.stdout)
