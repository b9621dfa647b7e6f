# N1 and N4: what is nearest is taken, unless the operator wants another rule.
# SPDX-License-Identifier: LGPL-2.1-or-later
"""STUN servers and nodes at different distances; nodes of different prices."""
from support.coturn import Coturn
from support.phonelab import PhoneLab


class N1_Phones(PhoneLab):
    def test_phones_and_nodes_learn_their_address_from_the_nearest_region(self):
        hosts = {name: self.lab.host(name, addresses=2) for name in ("far", "near")}
        for host in hosts.values():
            self.start(Coturn(self.lab, host))
        hosts["far"].link.delay(0.03)
        self.serve(config="".join(f'[[regions]]\nname = "{name}"\nstun = "{host.address}"\n'
                                  for name, host in hosts.items()))
        # Its own STUN server is between the two.
        self.server.link.delay(0.01)
        self.node("n1")
        self.assertRegex(self.junctor("nodes"), "(?m)^n1 .*  in near$")
        phone = self.phone("alice", self.lab.site("left", "restricted"), "--video", "off")
        nearest = phone.wait("nearest")
        self.assertEqual(nearest["name"], "near")
        self.assertLess(nearest["round_trip_ms"], 20)
        behaviour = phone.wait("nat")["behaviour"]
        self.assertLess(behaviour["round_trip_ms"], 20)
        self.assertEqual(behaviour["filtering"]["is"], "address-dependent")


class N4_Choice(PhoneLab):
    def nodes(self, price_of_near="0"):
        """By its name the far one would be the first."""
        hosts = [self.lab.host(name) for name in ("a-far", "b-near")]
        hosts[0].link.delay(0.03)
        for host, price in zip(hosts, ("0", price_of_near)):
            self.node(host.name, "carol", None, host, "--price", price)

    def call(self):
        """Between two who find no direct way."""
        sound = "--video", "off", "--audio", "test"
        sites = [self.lab.site(name, "symmetric") for name in ("left", "right")]
        bob = self.phone("bob", sites[1], *sound)
        bob.wait("nat")
        return self.phone("alice", sites[0], "--call", "bob", *sound), bob

    def check(self, phones, node, why):
        """It is named first, and it carries."""
        for phone in phones:
            named = phone.wait("node")
            self.assertEqual(named["node"], node)
            self.assertRegex(named["why"], why)
            self.assertEqual(phone.wait("channel", state="up")["node"], node)

    def test_the_nearest_node_carries(self):
        self.serve()
        self.nodes()
        self.check(self.call(), "b-near", r"^the nearest, \d+ ms over both clients' regions$")

    def test_the_cheapest_where_the_configuration_says_so(self):
        self.serve(config='[nodes]\nrule = "cheapest"\n')
        self.nodes(price_of_near="1.5")
        self.check(self.call(), "a-far", "^the cheapest$")

    def test_none_where_the_configuration_takes_none(self):
        self.serve(config="[nodes]\naccept = false\n")
        node = self.run_node("n1", "carol", self.lab.host("n1"))
        node.wait_log("this server takes no nodes")
        alice, _ = self.call()
        self.assertEqual(alice.ended(30), 1)
        self.assertRegex(alice.events("ended")[0]["detail"], "no node is online")
