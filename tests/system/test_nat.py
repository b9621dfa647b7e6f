# `junctor nat` in the laboratory of NATs. SPDX-License-Identifier: LGPL-2.1-or-later
"""Every type of NAT is named right, by the STUN server of `serve` and by somebody else's; the nearest
server is chosen; changes of the address are told."""

import json
import os
import signal

from natlab import TYPES, Nat
from natlab.nat import ADDRESS, ADDRESS_PORT, INDEPENDENT
from support.coturn import Coturn
from support.junctor import BUILD, environment
from support.labcase import InLaboratory

JUNCTOR = os.path.join(BUILD, "orchestrator", "junctor")
_KINDS = (INDEPENDENT, ADDRESS, ADDRESS_PORT)
_GRID = {f"m{m}-f{f}": Nat(mapping, filtering, hairpin=True)
         for m, mapping in enumerate(_KINDS) for f, filtering in enumerate(_KINDS)}
# Whether it translates, mapping, filtering, ports.
_FOUND = {
    "open": (False, INDEPENDENT, INDEPENDENT, "unknown"),
    "firewall": (False, INDEPENDENT, ADDRESS_PORT, "unknown"),
    "full-cone": (True, INDEPENDENT, INDEPENDENT, "random"),
    "restricted": (True, INDEPENDENT, ADDRESS, "random"),
    "port-restricted": (True, INDEPENDENT, ADDRESS_PORT, "random"),
    "preserving": (True, INDEPENDENT, ADDRESS_PORT, "preserving"),
    "address-mapped": (True, ADDRESS, ADDRESS_PORT, "random"),
    "address-both": (True, ADDRESS, ADDRESS, "random"),
    "symmetric": (True, ADDRESS_PORT, ADDRESS_PORT, "random"),
    "sequential": (True, ADDRESS_PORT, ADDRESS_PORT, "sequential"),
    "double": (True, INDEPENDENT, ADDRESS_PORT, "random"),
    "double-symmetric": (True, ADDRESS_PORT, ADDRESS_PORT, "random"),
    "udp-blocked": None,
}


class NatTest(InLaboratory):
    def serve(self, name="stun", addresses=2, config=""):
        """A public host with the orchestrator's STUN server."""
        host = self.lab.host(name, addresses=addresses)
        if addresses == 2:
            config += f'[stun]\nalternate = "{host.addresses[1]}:3479"\n'
        path = self.workspace.write(f"{name}.toml", config)
        host.run([JUNCTOR, "serve", "--data-dir", os.path.dirname(path) + f"/{name}-data",
                  "--config", path, "--rtmp", "off", "--sip", "off",
                  "--stun", f"{host.address}:3478"], env=environment()).wait_log("STUN ")
        return host

    def ask(self, host, *arguments):
        """A running `junctor nat`, as read by found()."""
        log = self.workspace.file(f"{host.name}.json")
        with open(log, "wb") as out:
            return log, host.run([JUNCTOR, "nat", "--json", *arguments], stdout=out,
                                 env=environment())

    def found(self, asked, status=0):
        log, process = asked
        self.assertEqual(process.wait(60), status, process.log())
        with open(log, encoding="utf-8") as file:
            return json.load(file)


class N1_Behaviour(NatTest):
    def test_every_type_of_nat_is_named_right(self):
        self.assertEqual(set(_FOUND), set(TYPES))
        server = self.serve()
        hosts = {kind: self.lab.site(kind, kind) for kind in TYPES}
        routers = {**_GRID, "steps": Nat(ADDRESS_PORT, ports="sequential", step=3)}
        for name, nat in routers.items():
            hosts[name] = self.lab.host(name, self.lab.router(f"{name}-router", nat))
        running = {name: self.ask(host, "--stun", server.address) for name, host in hosts.items()}
        took = []
        for name, asked in running.items():
            with self.subTest(name):
                behaviour = self.found(asked)["behaviour"]
                took.append(behaviour["took_ms"])
                if name in TYPES:
                    self.check_type(_FOUND[name], behaviour)
                else:
                    self.check_router(routers[name], behaviour)
        print(f"# {len(took)} at once, the slowest in {max(took):.0f} ms")

    def check_type(self, expected, behaviour):
        if expected is None:
            self.assertEqual(behaviour["udp"], "blocked")
            self.assertEqual(len(behaviour["external_addresses"]), 1)  # as TCP showed it
            self.assertIn("relay", behaviour["meaning"])
            return
        self.assertEqual((behaviour["translated"], behaviour["mapping"]["is"],
                          behaviour["filtering"]["is"], behaviour["ports"]["is"]), expected,
                         behaviour)
        self.assertEqual(behaviour["hairpin"], False if expected[0] else None)
        self.assertEqual("firewall" in behaviour["summary"], expected[:3:2] == (False, ADDRESS_PORT))

    def check_router(self, nat, behaviour):
        self.assertEqual((behaviour["mapping"]["is"], behaviour["filtering"]["is"]),
                         (nat.mapping, nat.filtering), behaviour)
        if nat.ports == "sequential":
            self.assertEqual(behaviour["ports"], {"is": "sequential", "step": nat.step})
        elif nat.hairpin:
            # By the address that the server told, a filter must know the peer's to let it in.
            self.assertEqual(behaviour["hairpin"], INDEPENDENT in (nat.mapping, nat.filtering))

    def test_loss_and_delay_change_nothing(self):
        server = self.serve()
        running = {}
        for kind in ("full-cone", "restricted", "port-restricted", "symmetric", "address-both"):
            host = self.lab.site(kind, kind)
            host.link.delay(0.02)
            host.link.loss(0.1)
            running[kind] = self.ask(host, "--stun", server.address)
        for kind, asked in running.items():
            with self.subTest(kind):
                behaviour = self.found(asked)["behaviour"]
                self.assertEqual((behaviour["mapping"]["is"], behaviour["filtering"]["is"]),
                                 _FOUND[kind][1:3], behaviour)
                self.assertGreaterEqual(behaviour["round_trip_ms"], 40)

    def test_a_server_that_is_not_ours_and_one_with_one_address(self):
        other = self.lab.host("coturn", addresses=2)
        self.start(Coturn(self.lab, other))
        one = self.serve("one", 1, '[stun]\nalternate = "off"\n')
        left, right = self.lab.site("left", "restricted"), self.lab.site("right", "symmetric")
        asked = [self.ask(host, "--stun", other.address) for host in (left, right)]
        for kind, each in zip(("restricted", "symmetric"), asked):
            behaviour = self.found(each)["behaviour"]
            self.assertEqual((behaviour["mapping"]["is"], behaviour["filtering"]["is"]),
                             _FOUND[kind][1:3], behaviour)
        behaviour = self.found(self.ask(left, "--stun", one.address))["behaviour"]
        self.assertEqual(behaviour["mapping"]["is"], "unknown")
        self.assertIn("neither a second address", behaviour["mapping"]["why_unknown"])

    def test_one_address_shows_which_nats_let_nobody_in(self):
        one = self.serve("one", addresses=1)
        known = {kind: (expected[1] if expected[1] == ADDRESS_PORT or not expected[0] else "unknown",
                        expected[2] if expected[2] == ADDRESS_PORT else "unknown")
                 for kind, expected in _FOUND.items() if expected}
        sites = {kind: self.lab.site(kind, kind) for kind in known}
        running = {kind: self.ask(site, "--stun", one.address) for kind, site in sites.items()}
        for kind, asked in running.items():
            with self.subTest(kind):
                behaviour = self.found(asked)["behaviour"]
                self.assertEqual((behaviour["mapping"]["is"], behaviour["filtering"]["is"]),
                                 known[kind], behaviour)
        said = sites["restricted"].output([JUNCTOR, "nat", "--stun", one.address],
                                          env=environment())
        self.assertIn("stun.alternate", said)

    def test_no_network_is_not_blocked_udp(self):
        host = self.lab.host("lost")
        said = self.found(self.ask(host, "--stun", "203.0.113.99"), status=1)
        self.assertEqual(said["behaviour"]["udp"], "no-answer")
        self.assertIsNone(said["servers"][0]["round_trip_ms"])


class N1_Regions(NatTest):
    def test_the_nearest_that_answers_is_taken(self):
        far, near = self.serve("far"), self.lab.host("near", addresses=2)
        Coturn(self.lab, near)
        far.link.delay(0.03)
        names = {"far": far.address, "near": near.address, "gone": "203.0.113.99"}
        regions = "".join(f'[[regions]]\nname = "{name}"\nstun = "{address}"\n'
                          for name, address in names.items())
        home = self.serve("home", 1, regions)
        # By the orchestrator that runs here, which publishes its regions.
        said = self.found(self.ask(home, "--data-dir",
                                   os.path.join(self.workspace.path, "home-data")))
        self.assertEqual([each["name"] for each in said["servers"]], ["near", "far", "gone"])
        trips = [each["round_trip_ms"] for each in said["servers"]]
        self.assertLess(trips[0], trips[1])
        self.assertGreaterEqual(trips[1], 60)
        self.assertIsNone(trips[2])
        self.assertLess(said["behaviour"]["round_trip_ms"], trips[1])


class N1_Watch(NatTest):
    def test_a_change_of_the_address_is_told(self):
        server = self.serve()
        router = self.lab.router("router", Nat(INDEPENDENT, ADDRESS_PORT))
        host = self.lab.host("left", router)
        process = host.run([JUNCTOR, "nat", "--watch", "--every", "1", "--stun", server.address],
                           env=environment())
        process.wait_log("This machine: behind a NAT")
        first = process.wait_log(r"external address (\S+):\d+\n")[1]
        router.readdress()
        changed = process.wait_log(r"external address changed from (\S+):\d+ to (\S+):\d+")
        self.assertEqual(changed[1], first)
        self.assertNotEqual(changed[2], first)
        process.stop(signal.SIGINT)
